# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request, one answer, and if there is none: whether the request can have arrived. The only place with `requests`.

Nothing is repeated here. The caller knows what may be repeated; a library that re-sends a POST on its own would restore
a disk twice.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import re
import ssl
import threading
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

REQUESTS_ERROR: str | None = None
try:
    import requests
    import requests.adapters
    import requests.utils
    import urllib3
    import urllib3.exceptions
except ImportError:
    REQUESTS_ERROR = traceback.format_exc()

CONNECT_TIMEOUT_SECONDS = 10.0
LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
_PIECE_BYTES = 64 * 1024
_CONNECTIONS_PER_HOST = 32
_HEADER_VALUE = re.compile(r"(\S[^\r\n]*)?")  # as requests has it, but for its `$`, which lets a line end pass


class NotSent(Exception):
    """Nothing has left: no name, no connection, no trust. `certificate`: the other side is not who it should be."""

    def __init__(self, reason: str, *, certificate: bool = False) -> None:
        super().__init__(reason)
        self.certificate = certificate


class AnswerLost(Exception):
    """The request, or a part of it, may have arrived; there is no (whole) answer."""


class Headers(Mapping[str, str]):
    """Header fields of an answer; names in any spelling. Its repr shows names only: a value may be a token."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = {name.lower(): value for name, value in fields.items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({sorted(self._fields)})"


@dataclass(frozen=True)
class HttpRequest:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None

    def __repr__(self) -> str:
        """Neither headers (login) nor query nor body."""
        return f"HttpRequest({self.method} {urlsplit(self.url).path})"


@dataclass(frozen=True)
class HttpResponse:
    status: int
    headers: Headers
    body: bytes

    def __repr__(self) -> str:
        return f"HttpResponse({self.status}, {len(self.body)} bytes)"


class Http(Protocol):
    def send(self, request: HttpRequest, *, timeout_seconds: float) -> HttpResponse:
        """Send once. Raises NotSent or AnswerLost, nothing else."""


# Faults of the TLS handshake, so before the request; any other TLS fault may have come after it. OpenSSL gives some of
# these names to later ones, too, so they prove nothing once a request has begun.
_HANDSHAKE_REASONS = frozenset(
    {
        "CERTIFICATE_VERIFY_FAILED",
        "HTTP_REQUEST",
        "NO_PROTOCOLS_AVAILABLE",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "TLSV1_UNRECOGNIZED_NAME",
        "UNSUPPORTED_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    }
)


_NO_TUNNEL = "Tunnel connection failed"
"""How http.client begins its OSError if a proxy refuses to connect."""


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "?"
    except ValueError:
        return "?"


def _causes(error: BaseException) -> list[BaseException]:
    """The error with all that it was made of: `requests` wraps urllib3's errors, which wrap those of the sockets."""
    found: list[BaseException] = []
    queue: list[object] = [error]
    while queue and len(found) < 50:
        item = queue.pop(0)
        if isinstance(item, BaseException) and item not in found:
            found.append(item)
            queue += [getattr(item, "reason", None), getattr(item, "original_error", None), item.__cause__, *item.args]
    return found


def _not_sent(error: Exception, host: str) -> NotSent | None:
    """The error as a proof that nothing was sent, if it is one.

    Only what is named here is one. ProxyError is not: urllib3 blames the proxy also for an answer that broke off behind
    it (before version 2 for every fault of a socket, since then because closing the connection forgets that it stood).
    """
    causes = _causes(error)
    for cause in causes:
        # urllib3 before 2 checks the name itself, with an error class that moved from version to version.
        if isinstance(cause, ssl.SSLCertVerificationError) or type(cause).__name__ == "CertificateError":
            said = getattr(cause, "verify_message", "") or "it does not fit"
            return NotSent(f"the certificate of {host} is not trusted: {said}", certificate=True)
        if isinstance(cause, ssl.SSLError) and cause.reason in _HANDSHAKE_REASONS:
            return NotSent(f"no TLS connection to {host}: {cause.reason}")
    to = "through the proxy to" if any(isinstance(cause, urllib3.exceptions.ProxyError) for cause in causes) else "to"
    if any(isinstance(cause, OSError) and str(cause).startswith(_NO_TUNNEL) for cause in causes):
        return NotSent(f"no connection {to} {host}: the proxy refuses the tunnel")
    table: tuple[tuple[type[BaseException], str], ...] = (
        (urllib3.exceptions.NewConnectionError, f"no connection {to}"),
        (urllib3.exceptions.ConnectTimeoutError, "connecting took too long:"),
        (requests.exceptions.InvalidProxyURL, "the proxy's URL is malformed; it was meant for"),
        (requests.exceptions.InvalidSchema, "no way to reach (proxy or URL scheme not supported)"),
        (requests.exceptions.InvalidURL, "malformed URL for"),
        (urllib3.exceptions.LocationValueError, "malformed URL for"),
    )
    found = next((text for kind, text in table if any(isinstance(cause, kind) for cause in causes)), None)
    if found is None:
        return None
    systems = [
        cause.strerror
        for cause in causes
        if type(cause).__module__ in ("builtins", "socket") and isinstance(cause, OSError) and cause.strerror
    ]
    return NotSent(f"{found} {host}" + (f": {systems[0]}" if systems else ""))


def _lost(error: Exception) -> AnswerLost:
    """Named by its kind only: the text of a library's error may quote the request."""
    kinds = [type(cause).__name__ for cause in _causes(error)]
    return AnswerLost(f"the connection broke or took too long ({kinds[-1]})")


class TornHead(http.client.HTTPException):
    """The connection ended before the blank line that ends the head of an answer."""


class _Lines:
    """Lines of a connection; remembers the last one."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        self.last = self._source.readline(limit)
        return self.last

    def close(self) -> None:
        self._source.close()


class _Response(http.client.HTTPResponse):
    """http.client takes the end of the connection for the end of the head, so that a torn "200" would look like a whole
    one without a body. A whole one need not tell its length: an HTTP/1.0 server may just close.
    """

    def begin(self) -> None:
        source: Any = self.fp
        lines: Any = _Lines(source)
        self.fp = lines
        try:
            super().begin()
        finally:
            if self.fp is lines:
                self.fp = source
        if not lines.last:
            raise TornHead


_this_thread = threading.local()
"""`begun`: whether a byte of the request that this thread sends may have left."""


class _Connection(http.client.HTTPConnection):
    """Notes that a request goes out, and does not believe answers whose head is torn."""

    response_class = _Response
    _connecting = False

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        if self.sock is None and self.auto_open:
            self.connect()
        # While it connects it only asks the proxy for a tunnel.
        _this_thread.begun = _this_thread.begun or not self._connecting
        super().send(data)


def _strict(connection: Any) -> Any:
    """The same class of connections with the ways of ours."""
    return type(connection.__name__, (_Connection, connection), {})


class _Call:
    """One request on its way, between the thread that waits for the answer and the one that sends."""

    def __init__(self, http: RequestsHttp, request: HttpRequest, timeout_seconds: float) -> None:
        self._http = http
        self._request = request
        self._timeout_seconds = timeout_seconds
        self._outcome: queue.SimpleQueue[HttpResponse | NotSent | AnswerLost] = queue.SimpleQueue()
        self.abandoned = False

    def perform(self) -> None:
        outcome: HttpResponse | NotSent | AnswerLost
        try:
            outcome = self._http.exchange(self._request, self._timeout_seconds, self)
        except (NotSent, AnswerLost) as error:
            # What it came from holds on to the connection and to the request with its token.
            error.__context__ = None
            outcome = error.with_traceback(None)
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell; unknown counts as "may have arrived"
            outcome = _lost(error)
        self._outcome.put(outcome)

    def outcome(self) -> HttpResponse | NotSent | AnswerLost | None:
        """None if there was none in time; nobody waits for it any longer then."""
        try:
            return self._outcome.get(timeout=CONNECT_TIMEOUT_SECONDS + self._timeout_seconds)
        except queue.Empty:
            self.abandoned = True
            return None


class _Sender(threading.Thread):
    """Performs calls for others: only a thread of its own bounds everything, name look-up, handshake, head and body.

    A socket's time-out starts anew with each byte, so a server that drips would hold the caller for ever. A sender is
    used again, since starting a thread costs more than a call.
    """

    def __init__(self) -> None:
        super().__init__(name="hwcloud-http", daemon=True)
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self.start()

    def take(self, call: _Call) -> None:
        self._calls.put(call)

    def dismiss(self) -> None:
        """End after the call that is being made, however long that takes."""
        self._calls.put(None)

    def run(self) -> None:
        while (call := self._calls.get()) is not None:
            call.perform()
            del call  # it holds the request with its token


@dataclass(frozen=True)
class _Route:
    """How a host is reached: its connections, and whether they want whole URLs, as a plain proxy does."""

    pool: Any
    whole_urls: bool


class RequestsHttp:
    """HTTP by `requests`, safe for many threads.

    It uses the adapter below a `requests.Session` and not the session: the adapter's pool is made for threads, and what
    a session adds (cookies, .netrc, redirects, REQUESTS_CA_BUNDLE) is just what must not happen here. From the
    environment come the proxies and NO_PROXY, nothing else. The adapter finds proxy, certificates and connections of a
    host once; to do so for each call would take longer than the rest of it.
    """

    def __init__(self, *, verify: bool | str = True, largest_answer_bytes: int = LARGEST_ANSWER_BYTES) -> None:
        self._verify = verify
        self._largest_answer_bytes = largest_answer_bytes
        self._adapter = requests.adapters.HTTPAdapter(
            pool_connections=_CONNECTIONS_PER_HOST, pool_maxsize=_CONNECTIONS_PER_HOST, max_retries=0
        )
        self._routes: dict[str, _Route] = {}
        self._idle: list[_Sender] = []
        self._closed = False
        if verify is False:  # the user has asked for it; the warning would be repeated at every call
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def send(self, request: HttpRequest, *, timeout_seconds: float) -> HttpResponse:
        call = _Call(self, request, timeout_seconds)
        sender = self._sender()
        sender.take(call)
        outcome = call.outcome()
        if outcome is None:
            sender.dismiss()
            raise AnswerLost(f"no whole answer within {timeout_seconds:g} seconds")
        self._idle.append(sender)
        if self._closed:
            self._dismiss_idle()
        if isinstance(outcome, HttpResponse):
            return outcome
        raise outcome

    def close(self) -> None:
        self._closed = True
        self._dismiss_idle()
        self._routes.clear()
        self._adapter.close()

    def _sender(self) -> _Sender:
        try:
            return self._idle.pop()  # the one that worked last: the others may rest
        except IndexError:
            return _Sender()

    def _dismiss_idle(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().dismiss()

    def exchange(self, request: HttpRequest, timeout_seconds: float, call: _Call) -> HttpResponse:
        """Send and read, in a sender's thread."""
        host = _host(request.url)
        _this_thread.begun = False
        try:
            route, target = self._way(request.url)
            headers = self._prepared(request)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _not_sent(error, host) or NotSent(f"malformed request for {host}") from None
        try:
            raw = route.pool.request(
                request.method,
                target,
                body=request.body,
                headers=headers,
                retries=self._adapter.max_retries,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=timeout_seconds),
                preload_content=False,
                decode_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise (None if _this_thread.begun else _not_sent(error, host)) or _lost(error) from None
        return HttpResponse(raw.status, Headers(raw.headers), self._body(raw, call))

    def _way(self, url: str) -> tuple[_Route, str]:
        """How to reach the host, and what to ask it for: exactly the text that was signed."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        route = self._routes.get(origin)
        if route is None:
            route = self._routes[origin] = self._route(f"{origin}/")
        return route, url if route.whole_urls else url[len(origin) :]

    def _route(self, url: str) -> _Route:
        if isinstance(self._verify, str):
            self._check_ca()
        adapter: Any = self._adapter
        prepared = requests.Request("GET", url).prepare()
        prepared.url = url  # as it was written
        proxies = dict(requests.utils.get_environ_proxies(url))
        if hasattr(adapter, "get_connection_with_tls_context"):
            pool = adapter.get_connection_with_tls_context(prepared, self._verify, proxies=proxies)
        else:  # requests before 2.32
            pool = adapter.get_connection(url, proxies)
        adapter.cert_verify(pool, url, self._verify, None)
        pool.ConnectionCls = _strict(pool.ConnectionCls)
        return _Route(pool, whole_urls=adapter.request_url(prepared, proxies) != prepared.path_url)

    def _prepared(self, request: HttpRequest) -> dict[str, str]:
        """Header fields as they go out: UTF-8, as they are signed. http.client writes latin-1."""
        headers = {name: value.encode("utf-8").decode("latin-1") for name, value in request.headers.items()}
        if not all(map(_HEADER_VALUE.fullmatch, headers.values())):
            raise NotSent(f"malformed header for {_host(request.url)}")
        if request.method != "GET":
            headers["Content-Length"] = str(len(request.body or b""))
        return headers

    def _check_ca(self) -> None:
        try:
            ssl.create_default_context(cafile=str(self._verify))
        except (OSError, ssl.SSLError):
            raise NotSent(f"ca_cert {self._verify} is not a readable file of certificates", certificate=True) from None

    def _body(self, raw: Any, call: _Call) -> bytes:
        # read1 hands over what has arrived; urllib3 before 2.1 has only read, which waits for a full piece.
        read = getattr(raw, "read1", raw.read)
        pieces = bytearray()
        try:
            while piece := read(_PIECE_BYTES, decode_content=True):
                pieces += piece
                if call.abandoned:
                    raise AnswerLost("no whole answer in time")
                if len(pieces) > self._largest_answer_bytes:
                    raise AnswerLost(f"the answer is larger than {self._largest_answer_bytes} bytes")
        except AnswerLost:
            raw.close()
            raise
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raw.close()
            raise _lost(error) from None
        expected = str(raw.headers.get("Content-Length", ""))
        if expected.isdigit() and raw.tell() < int(expected):  # urllib3 before 2 does not look
            raw.close()
            raise AnswerLost("the answer is shorter than it says")
        raw.release_conn()
        return bytes(pieces)
