# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which API a request means, and what every handler is given."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from simulator.messages import Refusal, Request, Response
from simulator.state import World

# What a service answers to a request that it cannot read or whose values are out of range.
MALFORMED: Mapping[str, str | int] = {
    "iam": 400,  # IAM API reference, Calling APIs: Keystone shape, numeric code
    "evs": "EVS.5400",  # EVS API reference, Error Codes: malformed request
    "ecs": "Ecs.0005",  # ECS API reference, Error Codes: invalid parameter
    "vbs": "VolumeBackup.0210",  # VBS API reference, Error Codes: request format
    "hss": "HSS.0001",  # HSS API reference, Error Codes: invalid parameter
}


@dataclass(frozen=True)
class Identity:
    """Who calls: by token, or by a signature (``by_key``), whose project comes in a header."""

    user: str
    project_id: str | None
    by_key: bool = False


@dataclass(frozen=True)
class Call:
    service: str
    request: Request
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    identity: Identity = Identity("", None)

    def malformed(self, message: str) -> Refusal:
        return Refusal(MALFORMED[self.service], message)

    def number(self, name: str, default: int | None, low: int, high: int) -> int:
        """A whole number of the query within its range; without a default it must be there."""
        text = self.query.get(name)
        if text is None and default is not None:
            return default
        if text is None or not re.fullmatch(r"-?\d{1,10}", text) or not low <= int(text) <= high:
            raise self.malformed(f"{name} must be a number from {low} to {high}, not {text!r}")
        return int(text)

    def text(self, document: Any, name: str, *, longest: int = 255, required: bool = True) -> str:
        """A text out of a JSON object; "" if it may be absent and is."""
        value = document.get(name) if isinstance(document, Mapping) else None
        if value is None and not required:
            return ""
        if not isinstance(value, str) or not 1 <= len(value) <= longest:
            raise self.malformed(f"{name} must be a text of 1 to {longest} characters")
        return value


Handler = Callable[[World, Call], Response]


@dataclass(frozen=True)
class Route:
    """One API. ``query`` names the parameters that mean something here; others are ignored, but noted."""

    method: str
    template: str
    api: str
    handler: Handler
    query: frozenset[str] = frozenset()
    needs_identity: bool = True
    needs_body: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template) + "/?")


def route(
    method: str,
    template: str,
    api: str,
    handler: Handler,
    *,
    query: str = "",
    needs_identity: bool = True,
) -> Route:
    has_body = method in ("POST", "PUT")
    return Route(method, template, api, handler, frozenset(query.split()), needs_identity, has_body)


class Router:
    """The first fitting row wins: fixed names stand before names in braces."""

    def __init__(self, tables: Mapping[str, Iterable[Route]]) -> None:
        self._tables = {
            service: [(item.method, item.pattern, item) for item in table] for service, table in tables.items()
        }

    def match(self, service: str, method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        for wanted, pattern, found in self._tables[service]:
            if wanted != method:
                continue
            groups = pattern.fullmatch(path)
            if groups:
                return found, {name: unquote(value) for name, value in groups.groupdict().items()}
        return None


def read_json(call_service: str, request: Request) -> Mapping[str, Any]:
    """The JSON object in the body; anything else is refused with 400."""
    malformed = "HSS.0002" if call_service == "hss" else MALFORMED[call_service]  # HSS.0002: body cannot be parsed
    content_type = request.header("content-type") or ""
    if not content_type.lower().startswith("application/json"):
        raise Refusal(malformed, f"Content-Type must be application/json, not {content_type!r}")
    try:
        document = json.loads(request.body)
    except ValueError as error:
        raise Refusal(malformed, "the request body is not JSON") from error
    if not isinstance(document, dict):
        raise Refusal(malformed, "the request body must be a JSON object")
    return document
