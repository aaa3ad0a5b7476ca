# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cloud that answers from a list, and a clock that jumps: what the tests of the client stand on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Union
from urllib.parse import parse_qsl, urlsplit

from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import api as api_module
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import auth, endpoints, transport

PROJECT = "0123456789abcdef0123456789abcdef"
START = 1_767_323_045.0  # 2026-01-02T03:04:05Z
TOKEN = "MIIFakeTokenThatNobodyMaySee"

# Union, because pylint takes `|` between names at run time for arithmetic.
Reply = Union[transport.HttpResponse, Exception, Callable[[transport.HttpRequest], transport.HttpResponse]]  # noqa: UP007


class FakeClock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        return START + self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.seconds += seconds


class Script:
    """Gives its replies one after the other, or the last one for ever, and keeps what was asked."""

    def __init__(self, *replies: Reply, forever: bool = False) -> None:
        self._replies = list(replies)
        self._forever = forever
        self.requests: list[transport.HttpRequest] = []

    def send(self, request: transport.HttpRequest, *, timeout_seconds: float) -> transport.HttpResponse:
        self.requests.append(request)
        if not self._replies:
            raise AssertionError(f"one request too many: {request!r}")
        reply = self._replies[0] if self._forever and len(self._replies) == 1 else self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply(request) if callable(reply) else reply

    @property
    def left(self) -> int:
        return len(self._replies)

    def sent(self, number: int = -1) -> tuple[str, str, dict[str, str], Any]:
        """Method, path, query and JSON body of a request."""
        request = self.requests[number]
        parts = urlsplit(request.url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return request.method, parts.path, query, json.loads(request.body) if request.body else None


def reply(
    document: object = None, status: int = 200, *, headers: Mapping[str, str] | None = None, raw: bytes | None = None
) -> transport.HttpResponse:
    body = raw if raw is not None else (b"" if document is None else json.dumps(document).encode("utf-8"))
    return transport.HttpResponse(status, transport.Headers(headers or {}), body)


def token_reply(token: str = TOKEN, project_id: str = PROJECT) -> transport.HttpResponse:
    body = {"token": {"expires_at": "2026-01-03T03:04:05.000000Z", "project": {"id": project_id, "name": "eu-de"}}}
    return reply(body, 201, headers={"X-Subject-Token": token})


def make_api(script: transport.Http, *, clock: FakeClock | None = None, **options: Any) -> api_module.Api:
    chosen: dict[str, Any] = {
        "login": auth.TokenLogin(TOKEN),
        "endpoints": endpoints.Endpoints(cloud="otc.example.com", region="eu-de"),
        "project_id": PROJECT,
        "random": lambda: 0.5,
        **options,
    }
    return api_module.Api(script, clock=clock or FakeClock(), **chosen)


def all_texts(values: Iterable[object]) -> str:
    return "\n".join(f"{value!r}\n{value}" for value in values)
