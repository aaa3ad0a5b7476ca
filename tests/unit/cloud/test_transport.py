# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RequestsHttp over real sockets: what a broken network looks like, and that nothing is sent twice."""

from __future__ import annotations

import contextlib
import datetime
import gc
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.client import RemoteDisconnected
from pathlib import Path
from typing import Any

import pytest
import scripted
import urllib3
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import endpoints, transport
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = "TokenThatMustNotTravel"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Talk = Callable[[socket.socket, bytes], bool]
"""Answers one request on a connection; False ends the connection."""


class RawServer:
    """Reads whole requests and lets a function of the test write whatever it likes."""

    def __init__(self, talk: Talk, *, context: ssl.SSLContext | None = None) -> None:
        self._talk = talk
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.requests: list[bytes] = []
        self._stop = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}/v2/p/things"

    def close(self) -> None:
        self._stop.set()
        self._listener.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            while request := self._read(connection):
                self.requests.append(request)
                if not self._talk(connection, request):
                    break
        except OSError:
            return  # the client has gone, which some tests want
        finally:
            connection.close()

    @staticmethod
    def _read(connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return b""
            data += piece
        head, _blank, body = data.partition(b"\r\n\r\n")
        lengths = [
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        ]
        while lengths and len(body) < lengths[0]:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    servers: list[RawServer] = []

    def start(talk: Talk, *, context: ssl.SSLContext | None = None) -> RawServer:
        servers.append(RawServer(talk, context=context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def make_http() -> Iterator[Callable[..., transport.RequestsHttp]]:
    made: list[transport.RequestsHttp] = []

    def make(**options: Any) -> transport.RequestsHttp:
        made.append(transport.RequestsHttp(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def http(make_http: Callable[..., transport.RequestsHttp]) -> transport.RequestsHttp:
    return make_http()


def request(url: str, method: str = "GET", body: bytes | None = None) -> transport.HttpRequest:
    headers = {"X-Auth-Token": TOKEN, "Content-Type": "application/json"}
    return transport.HttpRequest(method, url, headers, body)


def says(answer: bytes, *, keep: bool = False) -> Talk:
    def talk(connection: socket.socket, _request: bytes) -> bool:
        connection.sendall(answer)
        return keep

    return talk


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


# --- good answers ---


def test_an_answer(serve: Callable[..., RawServer], http: transport.RequestsHttp) -> None:
    server = serve(says(b'HTTP/1.1 404 Not Found\r\nX-Request-Id: r1\r\nContent-Length: 7\r\n\r\n{"a":1}'))
    answer = http.send(
        request(server.url + "?ids=%5B%27a%27%2C%27b%27%5D&x=%2A~%7E", "POST", b'{"b":2}'), timeout_seconds=5
    )
    assert (answer.status, answer.headers["x-ReQuest-id"], answer.body) == (404, "r1", b'{"a":1}')
    head, _blank, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v2/p/things?ids=%5B%27a%27%2C%27b%27%5D&x=%2A~%7E HTTP/1.1", "the text that was signed"
    assert b"X-Auth-Token: " + TOKEN.encode() in lines
    assert body == b'{"b":2}'


def test_connections_are_used_again(serve: Callable[..., RawServer], http: transport.RequestsHttp) -> None:
    server = serve(says(GOOD, keep=True))
    for _unused in range(5):
        http.send(request(server.url), timeout_seconds=5)
    assert (server.connections, len(server.requests)) == (1, 5)


def test_many_threads(serve: Callable[..., RawServer], http: transport.RequestsHttp) -> None:
    def talk(connection: socket.socket, asked: bytes) -> bool:
        number = asked.split(b"?n=")[1].split(b" ")[0]
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(number), number))
        return True

    server = serve(talk)
    got: dict[int, bytes] = {}

    def ask(first: int) -> None:
        for number in range(first, first + 10):
            got[number] = http.send(request(f"{server.url}?n={number}"), timeout_seconds=10).body

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(0, 80, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {number: str(number).encode() for number in range(80)}


def senders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "hwcloud-http"]


def wait_until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_threads_are_used_again_and_end_with_the_client(
    serve: Callable[..., RawServer], make_http: Callable[..., transport.RequestsHttp]
) -> None:
    others = set(senders())
    http = make_http()
    server = serve(says(GOOD, keep=True))
    for _unused in range(5):
        http.send(request(server.url), timeout_seconds=5)
    [own] = set(senders()) - others
    http.close()
    wait_until(lambda: not own.is_alive())


def test_a_thread_that_nobody_waits_for_ends(
    serve: Callable[..., RawServer], http: transport.RequestsHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT_SECONDS", 0.1)
    others = set(senders())
    free = threading.Event()

    def late(connection: socket.socket, asked: bytes) -> bool:
        if b"/slow" in asked:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
            while not free.wait(0.05):
                connection.sendall(b" ")
            return False
        connection.sendall(GOOD)
        return True

    server = serve(late)
    with pytest.raises(transport.AnswerLost, match="no whole answer"):
        http.send(request(server.url + "/slow"), timeout_seconds=0.3)
    assert http.send(request(server.url), timeout_seconds=5).body == b"{}", "the next answer is its own"
    free.set()
    wait_until(lambda: len(set(senders()) - others) == 1)


@pytest.mark.parametrize(("method", "body", "length"), [("POST", b"abc", 3), ("POST", None, 0), ("DELETE", None, 0)])
def test_a_change_tells_its_length(
    method: str, body: bytes | None, length: int, serve: Callable[..., RawServer], http: transport.RequestsHttp
) -> None:
    server = serve(says(GOOD))
    http.send(request(server.url, method, body), timeout_seconds=5)
    lines = server.requests[0].partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert lines.count(b"content-length: %d" % length) == 1


def test_headers_go_out_as_they_are_signed(serve: Callable[..., RawServer], http: transport.RequestsHttp) -> None:
    server = serve(says(GOOD))
    http.send(transport.HttpRequest("GET", server.url, {"X-Name": "Zürich 東京"}), timeout_seconds=5)
    assert "X-Name: Zürich 東京".encode() in server.requests[0].split(b"\r\n")


def test_chunked_answers(serve: Callable[..., RawServer], http: transport.RequestsHttp) -> None:
    server = serve(says(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'))
    assert http.send(request(server.url), timeout_seconds=5).body == b'{"a":1}'


def test_redirects_do_not_carry_the_token_away(serve: Callable[..., RawServer], http: transport.RequestsHttp) -> None:
    thief = serve(says(GOOD))
    server = serve(says(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % thief.url.encode()))
    assert http.send(request(server.url), timeout_seconds=5).status == 302
    assert thief.requests == []


def test_cookies_are_not_kept(serve: Callable[..., RawServer], http: transport.RequestsHttp) -> None:
    server = serve(says(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}", keep=True))
    for _unused in range(2):
        http.send(request(server.url), timeout_seconds=5)
    assert all(b"cookie" not in one.lower() for one in server.requests)


# --- broken answers: the request may have arrived ---


def _reset(connection: socket.socket, _request: bytes) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    return False


def _drip(head: bytes, every_seconds: float) -> Talk:
    def talk(connection: socket.socket, _request: bytes) -> bool:
        connection.sendall(head)
        for _unused in range(200):
            time.sleep(every_seconds)
            connection.sendall(b" ")
        return False

    return talk


BROKEN = {
    "closed without an answer": says(b""),
    "reset": _reset,
    "cut in the head": says(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "cut after the status": says(b"HTTP/1.1 200 OK\r\n"),
    "cut between two lines of the head": says(b"HTTP/1.0 200 OK\r\nDate: x\r\n"),
    "cut before the end of the head": says(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n"),
    "cut in a refusal": says(b"HTTP/1.1 400 Bad Request\r\n"),
    "cut in the body": says(b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"job_id"'),
    "cut in a chunk": says(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"job'),
    "cut between chunks": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
    "no HTTP": says(b"220 mail.example.com ESMTP\r\n"),
    "broken gzip": says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"),
}


@pytest.mark.parametrize("talk", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_broken_answer_is_lost(
    talk: Talk, method: str, serve: Callable[..., RawServer], http: transport.RequestsHttp
) -> None:
    server = serve(talk)
    with pytest.raises(transport.AnswerLost):
        http.send(request(server.url, method, b"{}" if method == "POST" else None), timeout_seconds=5)
    assert len(server.requests) == 1, "sent once and never again"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    "fields", [b"", b"Server: x\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n", b"Connection: close\r\n"]
)
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_an_answer_may_end_with_its_connection(
    version: str, fields: bytes, body: bytes, serve: Callable[..., RawServer], http: transport.RequestsHttp
) -> None:
    """An empty success of an HTTP/1.0 server, which need not tell a length, was taken for one that broke off."""
    server = serve(says(f"HTTP/{version} 200 OK\r\n".encode() + fields + b"\r\n" + body))
    answer = http.send(request(server.url, "POST", b"{}"), timeout_seconds=5)
    assert (answer.status, answer.body) == (200, body)


def test_a_silent_server(serve: Callable[..., RawServer], http: transport.RequestsHttp) -> None:
    def silent(_connection: socket.socket, _request: bytes) -> bool:
        time.sleep(2)
        return False

    with pytest.raises(transport.AnswerLost):
        http.send(request(serve(silent).url, "POST", b"{}"), timeout_seconds=0.2)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"])
def test_a_dripping_answer_ends_at_the_deadline(
    head: bytes, serve: Callable[..., RawServer], http: transport.RequestsHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT_SECONDS", 0.3)
    server = serve(_drip(head, 0.1))
    started = time.monotonic()
    with pytest.raises(transport.AnswerLost):
        http.send(request(server.url), timeout_seconds=0.5)
    assert time.monotonic() - started < 3


def test_a_dead_kept_connection_does_not_repeat_a_post(
    serve: Callable[..., RawServer], http: transport.RequestsHttp
) -> None:
    def answers_once(connection: socket.socket, _request: bytes) -> bool:
        if len(server.requests) == 1:
            connection.sendall(GOOD)
            return True
        return False  # the second request arrives and gets no answer

    server = serve(answers_once)
    http.send(request(server.url), timeout_seconds=5)
    with pytest.raises(transport.AnswerLost):
        http.send(request(server.url, "POST", b"{}"), timeout_seconds=5)
    assert [one[:4] for one in server.requests] == [b"GET ", b"POST"]
    assert server.connections == 1


def test_a_closed_kept_connection_is_opened_anew(serve: Callable[..., RawServer], http: transport.RequestsHttp) -> None:
    server = serve(says(GOOD))  # closes after each answer without saying so
    http.send(request(server.url), timeout_seconds=5)
    time.sleep(0.2)
    assert http.send(request(server.url, "POST", b"{}"), timeout_seconds=5).status == 200
    assert (server.connections, len(server.requests)) == (2, 2)


def test_an_endless_answer_is_cut(
    serve: Callable[..., RawServer], make_http: Callable[..., transport.RequestsHttp]
) -> None:
    def endless(connection: socket.socket, _request: bytes) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b" " * 65536)

    with pytest.raises(transport.AnswerLost, match="larger"):
        make_http(largest_answer_bytes=300_000).send(request(serve(endless).url), timeout_seconds=10)


# --- nothing was sent ---


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "https://127.0.0.1:{port}/",
        "http://name.invalid/",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "ftp://127.0.0.1/",
        "http:///x",
    ],
)
def test_no_connection(url: str, http: transport.RequestsHttp) -> None:
    with pytest.raises(transport.NotSent) as caught:
        http.send(request(url.format(port=free_port()), "POST", b"{}"), timeout_seconds=5)
    assert not caught.value.certificate
    assert TOKEN not in scripted.all_texts([caught.value])


def test_connecting_that_takes_too_long_has_sent_nothing(
    http: transport.RequestsHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT_SECONDS", 0.3)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _unused in range(4):  # nobody accepts: a full queue makes the kernel drop whoever else knocks
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        with pytest.raises(transport.NotSent, match="too long"):
            http.send(request(f"http://127.0.0.1:{listener.getsockname()[1]}/", "POST", b"{}"), timeout_seconds=5)


@pytest.mark.parametrize("value", [f"{TOKEN}\nX: y", f"{TOKEN}\r", f"{TOKEN}\n", f" {TOKEN}"])
def test_a_header_that_is_no_header(value: str, http: transport.RequestsHttp) -> None:
    broken = transport.HttpRequest("GET", "http://127.0.0.1:1/", {"X-Auth-Token": value})
    with pytest.raises(transport.NotSent, match="malformed header") as caught:
        http.send(broken, timeout_seconds=5)
    assert TOKEN not in scripted.all_texts([caught.value])


def _certificate(folder: Path, address: str) -> tuple[Path, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    path, key_path = folder / "ca.pem", folder / "key.pem"
    path.write_bytes(pem)
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return path, context


def test_an_untrusted_certificate(
    serve: Callable[..., RawServer], http: transport.RequestsHttp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, context = _certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))  # trust is only for the option ca_cert to give
    monkeypatch.setenv("CURL_CA_BUNDLE", str(path))
    server = serve(says(GOOD), context=context)
    with pytest.raises(transport.NotSent) as caught:
        http.send(request(server.url, "POST", b"{}"), timeout_seconds=5)
    assert caught.value.certificate
    assert server.requests == []


def test_a_certificate_of_another_name(
    serve: Callable[..., RawServer], tmp_path: Path, make_http: Callable[..., transport.RequestsHttp]
) -> None:
    path, context = _certificate(tmp_path, "127.0.0.2")
    with pytest.raises(transport.NotSent) as caught:
        make_http(verify=str(path)).send(
            request(serve(says(GOOD), context=context).url, "POST", b"{}"), timeout_seconds=5
        )
    assert caught.value.certificate


def test_trusted_or_unchecked_certificates(
    serve: Callable[..., RawServer], tmp_path: Path, make_http: Callable[..., transport.RequestsHttp]
) -> None:
    path, context = _certificate(tmp_path, "127.0.0.1")
    server = serve(says(GOOD), context=context)
    for verify in (str(path), False):
        assert make_http(verify=verify).send(request(server.url), timeout_seconds=5).status == 200


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_is_none(
    content: str | None, tmp_path: Path, make_http: Callable[..., transport.RequestsHttp]
) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(transport.NotSent, match="ca_cert"):
        make_http(verify=str(path)).send(request("https://127.0.0.1:1/"), timeout_seconds=5)


def test_tls_where_there_is_none(serve: Callable[..., RawServer], http: transport.RequestsHttp) -> None:
    server = serve(says(GOOD))
    server_url = server.url.replace("http:", "https:")

    def refuse(connection: socket.socket, _request: bytes) -> bool:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        return False

    plain = PlainAnswer(refuse)
    with pytest.raises(transport.NotSent, match="TLS"):
        http.send(request(server_url.replace(str(server.port), str(plain.port)), "POST", b"{}"), timeout_seconds=5)
    plain.close()


class PlainAnswer:
    """Says something in plain text as soon as a client begins its handshake."""

    def __init__(self, talk: Talk) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._talk = talk
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _peer = self._listener.accept()
        with connection:
            self._talk(connection, connection.recv(65536))

    def close(self) -> None:
        self._listener.close()


# --- the environment: proxies, and nothing else ---


def test_proxies_of_the_environment(
    serve: Callable[..., RawServer], http: transport.RequestsHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(says(GOOD))
    monkeypatch.setenv("http_proxy", f"http://user:geheim@127.0.0.1:{proxy.port}")
    assert http.send(request("http://evs.example.com/v2"), timeout_seconds=5).status == 200
    assert proxy.requests[0].startswith(b"GET http://evs.example.com/v2 HTTP/1.1")
    assert b"Proxy-Authorization: Basic" in proxy.requests[0]


def test_no_proxy_is_respected(
    serve: Callable[..., RawServer], http: transport.RequestsHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = serve(says(GOOD)), serve(says(GOOD))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    http.send(request(server.url), timeout_seconds=5)
    assert (len(proxy.requests), len(server.requests)) == (0, 1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"HTTP/1.1 502 Bad\r\n\r\n"])
def test_a_proxy_that_opens_no_tunnel(
    answer: bytes, serve: Callable[..., RawServer], http: transport.RequestsHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(says(answer))
    monkeypatch.setenv("https_proxy", f"http://user:geheim@127.0.0.1:{proxy.port}")
    with pytest.raises(transport.NotSent) as caught:
        http.send(request("https://vbs.example.com/v2", "POST", b"{}"), timeout_seconds=5)
    assert "proxy" in str(caught.value)
    assert "geheim" not in scripted.all_texts([caught.value])
    assert TOKEN.encode() not in proxy.requests[0]
    gc.collect()  # http.client of Python 3.10 forgets the socket of a refused tunnel; warn here


def _tunnel(talk: Talk, context: ssl.SSLContext, requests: list[bytes]) -> Talk:
    """A proxy that opens the tunnel and is the server at its end as well."""

    def proxy(connection: socket.socket, _connect: bytes) -> bool:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(connection, server_side=True) as inner:
            while asked := RawServer._read(inner):
                requests.append(asked)
                if not talk(inner, asked):
                    break
        return False

    return proxy


@pytest.mark.parametrize("kept", [False, True], ids=["fresh", "kept"])
@pytest.mark.parametrize("talk", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_answer_that_is_lost_behind_a_proxy_is_lost(
    scheme: str,
    talk: Talk,
    kept: bool,
    serve: Callable[..., RawServer],
    tmp_path: Path,
    make_http: Callable[..., transport.RequestsHttp],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Libraries blame the proxy for whatever breaks behind it. It was taken for a proof that nothing had been sent, and
    the restore was sent again, up to four times.
    """
    tunnelled: list[bytes] = []

    def first_good(connection: socket.socket, asked: bytes) -> bool:
        return says(GOOD, keep=True)(connection, asked) if asked.startswith(b"GET ") else talk(connection, asked)

    path, context = _certificate(tmp_path, "127.0.0.1")
    proxy = serve(_tunnel(first_good, context, tunnelled) if scheme == "https" else first_good)
    monkeypatch.setenv(f"{scheme}_proxy", f"http://user:geheim@127.0.0.1:{proxy.port}")
    http, url = make_http(verify=str(path)), f"{scheme}://127.0.0.1:{free_port()}/v2/p/cloudbackups/b/restore"
    if kept:
        assert http.send(request(url), timeout_seconds=5).status == 200
    with pytest.raises(transport.AnswerLost) as caught:
        http.send(request(url, "POST", b'{"restore":{}}'), timeout_seconds=5)
    arrived = tunnelled if scheme == "https" else proxy.requests
    assert [one[:4] for one in arrived] == [b"GET ", b"POST"][not kept :]
    assert arrived[-1].endswith(b'{"restore":{}}')
    assert proxy.connections == 1
    assert "geheim" not in scripted.all_texts([caught.value])


def _blamed_on_the_proxy(cause: Exception) -> Exception:
    return urllib3.exceptions.ProxyError("Unable to connect to proxy", cause)


@pytest.mark.parametrize(
    ("error", "proof"),
    [
        (_blamed_on_the_proxy(RemoteDisconnected("closed")), False),
        (_blamed_on_the_proxy(ConnectionResetError(104, "reset")), False),
        (_blamed_on_the_proxy(BrokenPipeError(32, "broken")), False),
        (_blamed_on_the_proxy(TimeoutError("timed out")), False),
        (_blamed_on_the_proxy(OSError("something new")), False),
        (urllib3.exceptions.ProtocolError("aborted", ConnectionResetError(104, "reset")), False),
        (_blamed_on_the_proxy(urllib3.exceptions.ConnectTimeoutError("slow")), True),
        (_blamed_on_the_proxy(OSError("Tunnel connection failed: 403 Forbidden")), True),
    ],
)
def test_what_proves_that_nothing_was_sent(error: Exception, proof: bool) -> None:
    """The list by itself, without the note of whether a request had begun."""
    assert (transport._not_sent(error, "h") is not None) is proof


def test_a_proxy_that_is_silent_before_the_tunnel_proves_nothing(
    serve: Callable[..., RawServer], http: transport.RequestsHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{serve(says(b'')).port}")
    with pytest.raises(transport.AnswerLost):
        http.send(request("https://vbs.example.com/v2", "POST", b"{}"), timeout_seconds=5)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"])
def test_a_fault_of_tls_after_the_request_is_no_proof(
    noise: bytes,
    version: ssl.TLSVersion,
    serve: Callable[..., RawServer],
    tmp_path: Path,
    make_http: Callable[..., transport.RequestsHttp],
) -> None:
    """OpenSSL has the same name for it as in the handshake."""

    def talk(connection: socket.socket, _asked: bytes) -> bool:
        with socket.socket(fileno=connection.detach()) as plain:
            plain.sendall(noise)
        return False

    path, context = _certificate(tmp_path, "127.0.0.1")
    context.minimum_version = context.maximum_version = version
    server = serve(talk, context=context)
    with pytest.raises(transport.AnswerLost):
        make_http(verify=str(path)).send(request(server.url, "POST", b"{}"), timeout_seconds=5)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "proxy", ["http://user:geheim@127.0.0.1:{port}", "socks5://127.0.0.1:{port}", "http://", "nonsense"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there(
    scheme: str, proxy: str, http: transport.RequestsHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", proxy.format(port=free_port()))
    with pytest.raises(transport.NotSent) as caught:
        http.send(request(f"{scheme}://vbs.example.com/v2", "POST", b"{}"), timeout_seconds=5)
    assert "geheim" not in scripted.all_texts([caught.value])


def test_netrc_is_not_read(
    serve: Callable[..., RawServer], http: transport.RequestsHttp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    server = serve(says(GOOD))
    http.send(request(server.url), timeout_seconds=5)
    assert b"authorization" not in server.requests[0].lower()


def test_an_unforeseen_fault_counts_as_may_have_arrived(
    http: transport.RequestsHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise AttributeError(f"a fault of a library that quotes {TOKEN}")

    monkeypatch.setattr(http, "_prepared", broken)
    with pytest.raises(transport.AnswerLost) as caught:
        http.send(request("http://127.0.0.1:1/"), timeout_seconds=5)
    assert TOKEN not in scripted.all_texts([caught.value, caught.value.__context__, caught.value.__cause__])


# --- through the client ---


def test_the_client_over_a_real_socket(serve: Callable[..., RawServer], http: transport.RequestsHttp) -> None:
    def talk(connection: socket.socket, _request: bytes) -> bool:
        connection.sendall(GOOD if len(server.requests) > 1 else b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        return True

    server = serve(talk)
    overrides = {"evs": f"http://127.0.0.1:{server.port}/prefix"}
    api = scripted.make_api(http, endpoints=endpoints.Endpoints(overrides=overrides))
    assert api.get("evs", ("v2", scripted.PROJECT), what="looking").json == {}
    assert server.requests[1].startswith(f"GET /prefix/v2/{scripted.PROJECT} HTTP/1.1".encode())
    with pytest.raises(CloudError) as caught:
        api.post("evs", ("v2", "x y"), json={}, what="changing")
    assert len(server.requests) == 2
    assert caught.value.info.message


def test_nothing_secret_in_any_repr() -> None:
    secret = "NeverShowThis"
    shown = scripted.all_texts(
        [
            transport.HttpRequest("POST", f"https://h/v3/auth?x={secret}", {"X-Auth-Token": secret}, secret.encode()),
            transport.HttpResponse(201, transport.Headers({"X-Subject-Token": secret}), secret.encode()),
            transport.Headers({"X-Subject-Token": secret}),
        ]
    )
    assert secret not in shown
    assert "/v3/auth" in shown
