# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes in and out of the cloud: requests, responses and the refusals in every service's own shape."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl

Query = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Request:
    """One HTTP request. ``path`` is as sent (still percent-encoded), ``query`` is decoded."""

    method: str
    path: str
    query: Query | Mapping[str, str] | str = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        if isinstance(self.query, str):
            return tuple(parse_qsl(self.query, keep_blank_values=True))
        if isinstance(self.query, Mapping):
            return tuple((name, str(value)) for name, value in self.query.items())
        return tuple((name, str(value)) for name, value in self.query)

    def header(self, name: str) -> str | None:
        """The value of a header, whatever the case of its name."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), None)


@dataclass(frozen=True)
class Response:
    """One HTTP answer; ``drop`` closes the connection instead, ``delay_seconds`` is in seconds of the clock."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    delay_seconds: float = 0.0

    def json(self) -> Any:
        return json.loads(self.body)


def answer(document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    content = {"Content-Type": "application/json", **(headers or {})}
    return Response(status, json.dumps(document, ensure_ascii=False).encode(), content)


class Shape(Enum):
    """The error shapes in use (API references of the services, section on returned values)."""

    SERVICE = "service"
    GATEWAY = "gateway"
    ITEM_NOT_FOUND = "itemNotFound"
    BAD_REQUEST = "badRequest"
    CONFLICT = "conflictingRequest"
    FORBIDDEN = "forbidden"
    EMPTY = "empty"


class Refusal(Exception):
    """The cloud says no."""

    def __init__(
        self,
        code: str | int,
        message: str,
        *,
        status: int = 400,
        shape: Shape = Shape.SERVICE,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.shape = shape
        self.headers = dict(headers or {})


def gateway(code: str, message: str, *, status: int, headers: Mapping[str, str] | None = None) -> Refusal:
    """The API gateway in front of all services (API Gateway error codes, APIGW.xxxx)."""
    return Refusal(code, message, status=status, shape=Shape.GATEWAY, headers=headers)


def not_found(message: str) -> Refusal:
    """Native OpenStack style (VBS API reference, native delete; ECS seen by Terraform): the code is a number."""
    return Refusal(404, message, status=404, shape=Shape.ITEM_NOT_FOUND)


_TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}


def _service_document(service: str, refusal: Refusal, *, flat_vbs: bool) -> dict[str, Any]:
    nested = {"message": refusal.message, "code": refusal.code}
    if service == "hss" or str(refusal.code).startswith("IAM."):
        # HSS API reference: error_code and error_msg; IAM uses the same flat shape for its IAM.xxxx codes.
        return {"error_code": refusal.code, "error_msg": refusal.message}
    if service == "iam":
        # IAM API reference, Calling APIs, Response: Keystone shape with a numeric code.
        return {"error": {**nested, "title": _TITLES.get(refusal.status, "Error")}}
    if service == "vbs" and flat_vbs:
        # VBS API reference, Restoring a Disk: the response TABLE lists message and code as siblings of job_id.
        return nested
    if service == "ecs":
        # ECS API reference, Returned Values: details is an extra list.
        return {"error": {**nested, "details": []}}
    return {"error": nested}


def error_response(service: str, refusal: Refusal, *, request_id: str, flat_vbs: bool) -> Response:
    """The refusal as that service would word it."""
    headers = {"X-Request-Id": request_id, **refusal.headers}
    if refusal.shape is Shape.EMPTY:
        return Response(refusal.status, b"", headers)
    if refusal.shape is Shape.GATEWAY:
        document: dict[str, Any] = {
            "error_msg": refusal.message,
            "error_code": refusal.code,
            "request_id": request_id,
        }
        headers["Server"] = "api-gateway"
    elif refusal.shape is Shape.SERVICE:
        document = _service_document(service, refusal, flat_vbs=flat_vbs)
    else:
        document = {refusal.shape.value: {"message": refusal.message, "code": refusal.code}}
    return answer(document, status=refusal.status, headers=headers)
