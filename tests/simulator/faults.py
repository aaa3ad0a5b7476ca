# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults: what goes wrong between the client and the cloud, by rules that match requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.messages import Request, Response, answer

_RULE_KEYS = ("name", "service", "method", "api", "path", "nth", "every", "times", "phase", "action")
_ACTION_KEYS = (
    "status",
    "json",
    "headers",
    "body",
    "raw",
    "huge_bytes",
    "drop",
    "echo",
    "hold",
    "delay_seconds",
    "late_seconds",
    "throttle",
    "busy",
    "redirect",
)
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_GARBAGE = bytes(range(128, 256)) + b"{[\x00"
_RAW = ("html", "garbage", "empty", "truncated", "huge")
REDIRECT_MARK = "simulator_redirected"


class FaultError(ValueError):
    """A rule that cannot be."""


@dataclass
class Rule:
    """``nth`` counts the matching requests from 1; ``times`` None means without end."""

    action: Mapping[str, Any]
    name: str = ""
    service: str = ""
    method: str = ""
    api: str = ""
    path: str = ""
    nth: tuple[int, ...] = ()
    every: int = 1
    times: int | None = 1
    phase: str = "before"
    seen: int = field(default=0)
    fired: int = field(default=0)

    def matches(self, service: str, api: str, method: str, path: str) -> bool:
        return (
            self.service in ("", service)
            and self.method in ("", method)
            and self.api in ("", api)
            and (not self.path or re.search(self.path, path) is not None)
        )

    def fires(self) -> bool:
        """Count a match and say whether it is one of those that go wrong."""
        if self.times is not None and self.fired >= self.times:
            return False
        self.seen += 1
        due = self.seen in self.nth if self.nth else self.seen % self.every == 0
        self.fired += due
        return due


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise FaultError(message)


def _check_action(action: Mapping[str, Any], phase: str) -> None:
    unknown = sorted(set(action) - set(_ACTION_KEYS))
    _check(not unknown, f"action: unknown key {unknown[0] if unknown else ''!r}, known are {', '.join(_ACTION_KEYS)}")
    _check(bool(action), "action is empty")
    _check(action.get("raw", "html") in _RAW, f"action.raw: one of {', '.join(_RAW)}")
    _check(isinstance(action.get("headers", {}), Mapping), "action.headers must be an object")
    _check(isinstance(action.get("status", 200), int), "action.status must be a number")
    _check(set(action) == {"hold"} or "hold" not in action, "action.hold goes with nothing else")
    for name in ("delay_seconds", "late_seconds"):
        value = action.get(name, 0)
        _check(isinstance(value, int | float) and value >= 0, f"action.{name} must be a number of seconds")
    if phase == "before":
        _check(set(action) != {"delay_seconds"}, "a delay alone needs phase after; for a late arrival use late_seconds")
        _check(action.get("raw") != "truncated", "raw truncated needs phase after")
    else:
        _check("late_seconds" not in action, "late_seconds needs phase before")


def parse_rule(raw: Any) -> Rule:
    _check(isinstance(raw, Mapping), "a rule must be an object")
    unknown = sorted(set(raw) - set(_RULE_KEYS))
    _check(not unknown, f"unknown key {unknown[0] if unknown else ''!r}, known are {', '.join(_RULE_KEYS)}")
    phase = raw.get("phase", "before")
    _check(phase in ("before", "after"), "phase must be before or after")
    action = raw.get("action")
    if not isinstance(action, Mapping):
        raise FaultError("action must be an object")
    _check_action(action, phase)
    nth = raw.get("nth", [])
    places = tuple(nth) if isinstance(nth, list | tuple) else (nth,)
    every = raw.get("every", 1)
    _check(all(isinstance(place, int) and place > 0 for place in places), "nth counts from 1")
    _check(isinstance(every, int) and every > 0, "every must be a positive number")
    times = raw.get("times", len(places) or (None if "every" in raw else 1))
    _check(times is None or (isinstance(times, int) and times > 0), "times must be a positive number or null")
    rule = Rule(action, nth=places, every=every, times=times, phase=phase)
    for name in ("name", "service", "method", "api", "path"):
        setattr(rule, name, str(raw.get(name, "")))
    try:
        re.compile(rule.path)
    except re.error as error:
        raise FaultError(f"path is no regular expression: {error}") from error
    return rule


class Faults:
    """The rules in force; the first that fires wins."""

    def __init__(self, rules: Iterable[Any] = ()) -> None:
        self._rules = [parse_rule(raw) for raw in rules]
        self.holding = False
        """A rule with `hold` has fired: nobody is answered until the rules are cleared."""

    def add(self, rules: Iterable[Any]) -> None:
        self._rules += [parse_rule(raw) for raw in rules]

    def clear(self) -> None:
        self._rules.clear()
        self.holding = False

    def pick(self, phase: str, service: str, api: str, method: str, path: str) -> Rule | None:
        for rule in self._rules:
            if rule.phase == phase and rule.matches(service, api, method, path) and rule.fires():
                self.holding = self.holding or bool(rule.action.get("hold"))
                return rule
        return None

    def describe(self) -> list[dict[str, Any]]:
        return [
            {"name": rule.name, "service": rule.service, "api": rule.api, "seen": rule.seen, "fired": rule.fired}
            for rule in self._rules
        ]


def _throttled(how: Any, request_id: str) -> Response:
    """429 APIGW.0308 as the gateway words it; Retry-After only on demand: the ones reported carry none."""
    headers = {"Retry-After": str(how["retry_after"])} if isinstance(how, Mapping) else {}
    document = {
        "error_msg": "The throttling threshold has been reached: policy user over ratelimit,limit:200,time:5 minute",
        "error_code": "APIGW.0308",
        "request_id": request_id,
    }
    return answer(document, status=429, headers=headers)


def _raw(action: Mapping[str, Any], original: Response | None) -> Response:
    kind = action["raw"]
    if kind == "html":
        return Response(action.get("status", 502), _HTML, {"Content-Type": "text/html"})
    status = action.get("status", original.status if original else 200)
    bodies = {"garbage": _GARBAGE, "empty": b""}
    if kind == "truncated" and original is not None:
        body = original.body[: len(original.body) // 2]
    elif kind == "huge":
        body = b'{"padding": "' + b"x" * int(action.get("huge_bytes", 20_000_000)) + b'"}'
    else:
        body = bodies[kind]
    return Response(status, body, {"Content-Type": "application/json"})


def _echo(action: Mapping[str, Any], request: Request, request_id: str) -> Response:
    """An error that quotes the request with its headers and body, as one that quotes the canonical request does."""
    lines = [request.method, request.path, *(f"{name}:{value}" for name, value in request.headers.items())]
    text = "|".join([*lines, request.body.decode("utf-8", "replace")])
    status = action.get("status", 400)
    if action["echo"] == "text":
        return Response(status, f"cannot be verified, {text}".encode(), {"Content-Type": "text/plain"})
    document = {"error_msg": f"cannot be verified, {text}", "error_code": "APIGW.0301", "request_id": request_id}
    return answer(document, status=status)


def _content(action: Mapping[str, Any], original: Response | None, request: Request, request_id: str) -> Response:
    if action.get("drop") or action.get("hold"):
        return Response(0, drop=True)
    if action.get("echo"):
        return _echo(action, request, request_id)
    if action.get("throttle"):
        return _throttled(action["throttle"], request_id)
    if action.get("busy"):
        # ECS API reference, Error Codes: HTTP 202 with Common.0024, flow limit exceeded: nothing was accepted.
        return answer({"error": {"message": "Flow limit exceeded", "code": "Common.0024"}}, status=202)
    if action.get("redirect"):
        target = action["redirect"] if isinstance(action["redirect"], str) else request.path
        return Response(action.get("status", 307), b"", {"Location": f"{target}?{REDIRECT_MARK}=1"})
    if "raw" in action:
        return _raw(action, original)
    return _plain(action, original, request_id)


def _plain(action: Mapping[str, Any], original: Response | None, request_id: str) -> Response:
    if "json" in action:
        return answer(action["json"], status=action.get("status", 200))
    if "body" in action:
        return Response(action.get("status", 200), str(action["body"]).encode(), {"Content-Type": "text/plain"})
    if "status" in action:
        return Response(action["status"])
    if original is not None:
        return original
    # Late arrival without further words: the gateway gives up waiting (API gateway, APIGW.0201).
    document = {"error_msg": "Backend timeout", "error_code": "APIGW.0201", "request_id": request_id}
    return answer(document, status=504)


def apply(action: Mapping[str, Any], original: Response | None, request: Request, *, request_id: str) -> Response:
    """What the client gets instead of the answer (``original`` is None if there was none)."""
    content = _content(action, original, request, request_id)
    extra = {str(name): str(value) for name, value in action.get("headers", {}).items()}
    return Response(
        content.status,
        content.body,
        {**content.headers, **extra},
        drop=content.drop,
        delay_seconds=float(action.get("delay_seconds", 0)),
    )
