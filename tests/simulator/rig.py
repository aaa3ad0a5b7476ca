# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cloud under a virtual clock with a caller beside it: hours of simulated time in no time at all, for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from simulator.cloud import Cloud
from simulator.messages import Query, Request, Response
from simulator.scenario import Scenario, load

_load = cache(load)  # a scenario never changes, and parsing it takes longer than a whole recovery
START = 1_790_000_000.0


def _id(letter: str, number: int) -> str:
    return f"{letter}0000000-0000-4000-8000-{number:012d}"


def server_id(number: int) -> str:
    """Of the scenarios that come with the simulator: their ids follow one pattern."""
    return _id("a", number)


def disk_id(number: int) -> str:
    return _id("d", number)


def vbs_id(disk: int, place: int = 1) -> str:
    """The backups of a disk, 1 is the newest."""
    return _id("b", disk * 10 + place)


def hss_id(server: int, place: int = 2) -> str:
    """The backups of a server; 1 is the newest, made at the alarm."""
    return _id("e", server * 10 + place)


def child_id(disk: int, place: int = 2) -> str:
    return _id("c", disk * 10 + place)


class Rig:
    """``behaviours``, ``timing`` and ``limits`` change single values of the scenario."""

    def __init__(
        self,
        scenario: Scenario | str = "small.yml",
        *,
        timing: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
        scale: float = 1.0,
        prefix: str = "",
        **behaviours: Any,
    ) -> None:
        base = _load(scenario) if isinstance(scenario, str) else scenario
        self.scenario = replace(
            base,
            behaviours=replace(base.behaviours, **behaviours),
            timing=replace(base.timing, **(timing or {})),
            limits=replace(base.limits, **(limits or {"rates": {}})),
        )
        self.now = START
        self.prefix = prefix
        self.cloud = Cloud(self.scenario, lambda: self.now, scale, prefix=prefix)
        self.project_id = self.scenario.project.id
        self.token = ""

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.cloud.advance()

    def settle(self) -> None:
        """Until nothing is going to happen any more."""
        while (due := self.cloud.next_event_at()) is not None:
            self.now = max(self.now, due)
            self.cloud.advance()

    def raw(
        self,
        service: str,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: Query | Mapping[str, str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        return self.cloud.handle(service, Request(method, self.prefix + path, query, headers or {}, body))

    def login(self, *, password: str = "", project: str = "", user: str = "") -> Response:
        known = self.scenario.users[0]
        login = {
            "name": user or known.name,
            "password": password or known.password,
            "domain": {"name": known.domain},
        }
        scope = {"project": {"name": project or self.scenario.project.name}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": login}}, "scope": scope}}
        response = self.raw(
            "iam",
            "POST",
            "/v3/auth/tokens",
            json.dumps(body).encode(),
            headers={"Content-Type": "application/json;charset=utf8"},
        )
        self.token = response.headers.get("X-Subject-Token", self.token)
        return response

    def call(
        self,
        service: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Query | Mapping[str, str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """With a token; ``{p}`` in the path is the project's id."""
        if not self.token:
            self.login()
        content = {"Content-Type": "application/json", "X-Auth-Token": self.token, **(headers or {})}
        data = b"" if body is None else json.dumps(body).encode()
        return self.raw(service, method, path.replace("{p}", self.project_id), data, query=query, headers=content)

    def get(self, service: str, path: str, **query: Any) -> Any:
        """The document that a read gives."""
        return self.call(service, "GET", path, query={name: str(value) for name, value in query.items()}).json()

    def job(self, service: str, started: Response) -> Any:
        """The job that an answer names, after everything has settled."""
        job_id = started.json()["job_id"]
        self.settle()
        return self.get(service, f"/v1/{{p}}/jobs/{job_id}")
