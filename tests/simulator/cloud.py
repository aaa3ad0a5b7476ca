# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud as a pure thing: a request in, a response out. No socket, no sleep, no clock of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from simulator import ecs, evs, faults, hss, iam, vbs
from simulator.messages import Refusal, Request, Response, error_response, gateway
from simulator.routing import Call, Identity, Route, Router, read_json
from simulator.scenario import Scenario
from simulator.state import World
from simulator.throttle import Throttle

MOST_BODY_BYTES = 12 * 1024 * 1024  # the number is [inferred]
SERVICES = ("iam", "hss", "vbs", "evs", "ecs")
_ROUTER = Router({"iam": iam.ROUTES, "hss": hss.ROUTES, "vbs": vbs.ROUTES, "evs": evs.ROUTES, "ecs": ecs.ROUTES})


@dataclass(frozen=True)
class Logged:
    """One request as seen: never its headers or bodies, they may hold secrets."""

    n: int
    time: float
    service: str
    api: str
    method: str
    path: str
    status: int
    write: bool
    fault: str = ""


class Cloud:
    """``clock`` gives seconds of the epoch; what takes S simulated seconds takes S / ``scale`` of the clock."""

    def __init__(
        self,
        scenario: Scenario,
        clock: Callable[[], float],
        scale: float = 1.0,
        seed: int = 0,
        *,
        prefix: str = "",
    ) -> None:
        if scale <= 0:
            raise ValueError("scale must be greater than 0")
        self.scenario = scenario
        self._clock = clock
        self.scale = scale
        self._seed = seed
        self._prefix = prefix.rstrip("/")
        self._resets = 0
        self.endpoints: dict[str, str] = {}
        self.reset()

    def reset(self) -> None:
        """Back to the scenario; ids of the time before are not given out again."""
        seed = f"{self._seed}:{self._resets}"
        self._resets += 1
        self.world = World(self.scenario, now=self._clock(), scale=self.scale, seed=seed)
        self.world.endpoints = self.endpoints
        self.throttle = Throttle(scale=self.scale)
        self.faults = faults.Faults(self.scenario.faults)
        self.clear_log()

    def clear_log(self) -> None:
        self.log: list[Logged] = []
        self.refused_writes: Counter[str] = Counter()
        self._count = 0
        self.world.violations.clear()
        self.world.notes.clear()

    def advance(self) -> None:
        """Let everything happen that is due by now."""
        self.world.advance(self._clock())

    def next_event_at(self) -> float | None:
        return self.world.next_event_at()

    # Requests

    def handle(self, service: str, request: Request) -> Response:
        self.advance()
        path = self._without_prefix(request.path)
        found = None if path is None else _ROUTER.match(service, request.method.upper(), path)
        api = found[0].api if found else f"{service}.unknown"
        self._watch_redirect(request)
        request_id = self.world.new_hex()
        rule = self.faults.pick("before", service, api, request.method, request.path)
        if rule is not None:
            if "late_seconds" in rule.action:
                late = partial(self._process, service, request, found, request_id)
                self.world.after(float(rule.action["late_seconds"]), lambda: _ignore(late()))
            response = faults.apply(rule.action, None, request, request_id=request_id)
        else:
            response = self._process(service, request, found, request_id)
            rule = self.faults.pick("after", service, api, request.method, request.path)
            if rule is not None:
                response = faults.apply(rule.action, response, request, request_id=request_id)
        self._record(service, api, request, response, rule)
        return response

    def _without_prefix(self, path: str) -> str | None:
        if not path.startswith(f"{self._prefix}/"):
            return None
        return path[len(self._prefix) :]

    def _watch_redirect(self, request: Request) -> None:
        """Following a redirect would hand a token, or a write, to whoever the answer names."""
        if any(name == faults.REDIRECT_MARK for name, _unused in request.pairs):
            self.world.violate("redirect_followed", f"{request.method} {request.path} came by a redirect")

    def _process(
        self,
        service: str,
        request: Request,
        found: tuple[Route, Mapping[str, str]] | None,
        request_id: str,
    ) -> Response:
        try:
            if found is None:
                message = "The API does not exist or has not been published in the environment"
                raise gateway("APIGW.0101", message, status=404)
            response = self._serve(service, request, *found)
        except Refusal as refusal:
            if is_write(service, request, found[0].api if found else ""):
                self.refused_writes[f"{service}:{refusal.code}"] += 1
            flat = self.world.behaviours.vbs_error_shape == "flat"
            return error_response(service, refusal, request_id=request_id, flat_vbs=flat)
        headers = {"X-Request-Id": request_id, **response.headers}
        return Response(response.status, response.body, headers)

    def _serve(self, service: str, request: Request, found: Route, params: Mapping[str, str]) -> Response:
        if len(request.body) > MOST_BODY_BYTES:
            # API Gateway, error codes: 413 APIGW.0201, the body is too large.
            raise gateway("APIGW.0201", "Request entity too large", status=413)
        identity = self._identify(request, found)
        self._throttle(service, found, identity)
        if "project_id" in params:
            iam.check_project(self.world, identity, params["project_id"])
        body = read_json(service, request) if found.needs_body else {}
        query = dict(request.pairs)
        unknown = sorted(set(query) - found.query - {faults.REDIRECT_MARK})
        if unknown:
            self.world.note("query_ignored", f"{found.api}: {', '.join(unknown)}")
        return found.handler(self.world, Call(service, request, params, query, body, identity))

    def _identify(self, request: Request, found: Route) -> Identity:
        if not found.needs_identity:
            return Identity("", None)
        return iam.identify(self.world, request)

    def _throttle(self, service: str, found: Route, identity: Identity) -> None:
        rate = self.world.limits.rate(service)
        if rate is not None:
            tell = self.world.behaviours.retry_after == "present"
            self.throttle.admit((identity.user, found.api), rate, now=self.world.now, tell_when=tell)

    def _record(self, service: str, api: str, request: Request, response: Response, rule: faults.Rule | None) -> None:
        self._count += 1
        fault = (rule.name or "unnamed") if rule else ""
        write = is_write(service, request, api)
        entry = Logged(
            self._count, self.world.now, service, api, request.method, request.path, response.status, write, fault
        )
        self.log.append(entry)

    # For those who ask

    def summary(self) -> dict[str, Any]:
        world = self.world
        return {
            "requests": len(self.log),
            "writes": sum(entry.write for entry in self.log),
            "by_api": dict(Counter(entry.api for entry in self.log)),
            "by_status": {str(code): count for code, count in Counter(entry.status for entry in self.log).items()},
            "refused_writes": dict(self.refused_writes),
            "throttled": self.throttle.refused,
            "restores_per_disk": {disk.id: disk.restore_count for disk in world.disks.values() if disk.restore_count},
            "violations": list(world.violations),
            "notes": list(world.notes),
        }


def _ignore(_unused: Response) -> None:
    """The answer to a request that arrived late reaches nobody."""


def is_write(service: str, request: Request, api: str) -> bool:
    """Everything but reads, and but the one POST that only logs in."""
    return request.method.upper() not in ("GET", "HEAD") and api != "iam.create_token"
