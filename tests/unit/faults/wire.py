# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator behind a real socket, while its time stays virtual: what the wire itself can do wrong.

A rule of the simulator whose answer carries the header X-Wire is spoiled on the way, as the header says.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import partial
from urllib.parse import parse_qsl, urlsplit

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import transport
from simulation.world import Network, World
from simulator.messages import Request, Response

PATIENCE_SECONDS = 30.0
"""How long the client waits for one answer, in real seconds."""
SLOW_SECONDS = 1.0
"""The same, where an answer is to be too slow."""
LARGEST_ANSWER_BYTES = 200_000


class Wire:
    """One port for all services: their name is the first segment of the path."""

    def __init__(self, seen: World) -> None:
        self._seen = seen
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.requests = 0
        self.closing = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self._listener.close()

    def _serve(self) -> None:
        while not self.closing.is_set():
            with contextlib.suppress(OSError):  # closed, or the client has gone
                connection, _peer = self._listener.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as lines:
            while first := lines.readline():
                headers = {}
                while (line := lines.readline().strip()) != b"":
                    name, _colon, value = line.decode("latin-1").partition(":")
                    headers[name] = value.strip()
                self.requests += 1
                body = lines.read(int(headers.get("Content-Length", 0)))
                method, target, _version = first.decode("ascii").split()
                if not self._answer(connection, self._ask(method, target, headers, body)):
                    return

    def _ask(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Response:
        url = urlsplit(target)
        _empty, service, path = url.path.split("/", 2)
        query = parse_qsl(url.query, keep_blank_values=True)
        return self._seen.cloud.handle(service, Request(method, f"/{path}", query, headers, body))

    def _answer(self, connection: socket.socket, response: Response) -> bool:
        """False: the connection ends here."""
        how = response.headers.get("X-Wire", "")
        if response.drop or how == "reset":
            return False
        length = len(response.body) + (50 if how == "short" else 0)
        head = {"Date": formatdate(self._seen.clock.now(), usegmt=True), "Content-Length": str(length)}
        fields = "".join(f"{name}: {value}\r\n" for name, value in {**head, **response.headers}.items())
        if how == "slow":
            time.sleep(2 * SLOW_SECONDS)
        connection.sendall(f"HTTP/1.1 {response.status} X\r\n{fields}\r\n".encode() + response.body)
        return how != "short"


@dataclass
class WiredNetwork(Network):
    """In the place of the simulation's network: the same calls, through `requests` and a socket."""

    http: transport.RequestsHttp = field(default_factory=transport.RequestsHttp)
    port: int = 0
    answer_seconds: float = PATIENCE_SECONDS

    def send(self, request: transport.HttpRequest, *, timeout_seconds: float) -> transport.HttpResponse:
        self.calls.append(f"{request.method} {urlsplit(request.url).path}")
        self.clock.sleep(self.latency_seconds)
        host = str(urlsplit(request.url).hostname)
        path = request.url.split(host, 1)[1]
        url = f"http://127.0.0.1:{self.port}/{host.partition('.')[0]}{path}"
        return self.http.send(replace(request, url=url), timeout_seconds=self.answer_seconds)


@contextlib.contextmanager
def wired(seen: World, monkeypatch: pytest.MonkeyPatch, *, slow: bool = False) -> Iterator[Wire]:
    """Every controller of this world talks through a socket."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    wire, http = Wire(seen), transport.RequestsHttp(largest_answer_bytes=LARGEST_ANSWER_BYTES)
    seconds = SLOW_SECONDS if slow else PATIENCE_SECONDS
    network = partial(WiredNetwork, http=http, port=wire.port, answer_seconds=seconds)
    monkeypatch.setattr(seen, "network_type", network)
    try:
        yield wire
    finally:
        wire.close()
        http.close()
