# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A clock, workers and a network in which time passes only when everybody waits.

Calls overlap as they do in threads, yet everything runs in one thread and in the same order for the same seed.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.api import Api
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.auth import PasswordLogin
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.endpoints import Endpoints
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.transport import (
    AnswerLost,
    Headers,
    HttpRequest,
    HttpResponse,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.planning import Plan
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Terms, Wish
from ansible_collections.hwcloud.recovery.plugins.module_utils._run import recovery
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.clock import Clock
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.workers import Done
from greenlet import getcurrent, greenlet
from simulator import control
from simulator import scenario as scenarios
from simulator.cloud import Cloud
from simulator.messages import Request, Response
from simulator.scenario import Scenario

START = 1_790_000_000.0
SERVICES = ("iam", "hss", "vbs", "evs", "ecs")


class VirtualClock:
    """Seconds since 1970 that pass only in `sleep` and while workers are waited for."""

    def __init__(self) -> None:
        self.time = START
        self._wakes: list[tuple[float, int, greenlet, tuple[Any, ...]]] = []
        self._serial = count()
        self._main = getcurrent()

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        until = self.time + max(seconds, 0.0)
        if getcurrent() is self._main:
            while self.step(until):
                pass
            self.time = until
        else:
            self.wake(getcurrent(), until)
            self._main.switch()

    def wake(self, who: greenlet, at: float, *values: Any) -> None:
        """Let it go on then; a greenlet that has not begun yet is given the values."""
        heapq.heappush(self._wakes, (at, next(self._serial), who, values))

    def step(self, until: float) -> bool:
        """Let the next sleeper go on, if its time comes by then."""
        if not self._wakes or self._wakes[0][0] > until:
            return False
        self.time, _serial, who, values = heapq.heappop(self._wakes)
        who.switch(*values)
        return True

    def forget(self) -> None:
        """The controller dies: nobody wakes up any more."""
        self._wakes.clear()


Job = tuple[int, int, Any, Callable[[], Any]]


class VirtualWorkers:
    """Every call is a greenlet. `limits` says how many calls of a lane run at a time; without it all do."""

    def __init__(self, clock: VirtualClock, limits: Callable[[str], int] | None = None) -> None:
        self._clock = clock
        self._limits = limits
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, list[Job]] = defaultdict(list)
        self._serial = count()
        self._done: list[Done] = []

    def submit(self, lane: str, key: Any, call: Callable[[], Any], *, rank: int = 0) -> None:
        heapq.heappush(self._waiting[lane], (rank, next(self._serial), key, call))
        if self._limits is None or self._running[lane] < self._limits(lane):
            self._running[lane] += 1
            self._clock.wake(greenlet(self._work), self._clock.time, lane)

    def _work(self, lane: str) -> None:
        """What a thread does: one call after the other, until none waits in its lane."""
        jobs = self._waiting[lane]
        while jobs:
            _rank, _serial, key, call = heapq.heappop(jobs)
            try:
                done = Done(key, call())
            except BaseException as bug:  # noqa: BLE001  (as the threads do: the driver raises it)
                done = Done(key, bug=bug)
            self._done.append(done)
        self._running[lane] -= 1

    def results(self, timeout_seconds: float | None) -> list[Done]:
        until = self._clock.time + (timeout_seconds if timeout_seconds is not None else 1e9)
        while not self._done and self._clock.step(until):
            pass
        if not self._done:
            self._clock.time = until
        found, self._done = self._done, []
        return found

    def close(self) -> None:
        """Nothing to end."""


class VirtualLock:
    """A thread that waits for a lock lets the others go on; so must a greenlet."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._held = False

    def __enter__(self) -> None:
        while self._held:
            self._clock.sleep(0.001)
        self._held = True

    def __exit__(self, *_error: object) -> None:
        self._held = False


class Crash(BaseException):
    """The controller dies here."""


@dataclass
class Network:
    """The way to the simulator. `crash_at` is the number of a call and whether the cloud still gets it."""

    cloud: Cloud
    clock: VirtualClock
    seed: int = 0
    latency_seconds: float = 0.05
    crash_at: tuple[int, str] | None = None
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def send(self, request: HttpRequest, *, timeout_seconds: float) -> HttpResponse:
        number = len(self.calls)
        self.calls.append(f"{request.method} {urlsplit(request.url).path}")
        self._die_at(number, "before")
        self.clock.sleep(self.latency_seconds * self._random.random())
        response = self.ask(request)
        self._die_at(number, "after")
        self.clock.sleep(self.latency_seconds * self._random.random())
        if response.drop:
            raise AnswerLost("the connection was closed")
        headers = {**response.headers, "Date": formatdate(self.clock.now(), usegmt=True)}
        return HttpResponse(response.status, Headers(headers), response.body)

    def ask(self, request: HttpRequest) -> Response:
        """The cloud's part of a call."""
        return self.cloud.handle(*_to_simulator(request))

    def _die_at(self, number: int, phase: str) -> None:
        if self.crash_at == (number, phase):
            raise Crash


def _to_simulator(request: HttpRequest) -> tuple[str, Request]:
    url = urlsplit(request.url)
    service = str(url.hostname).split(".", 1)[0]
    query = parse_qsl(url.query, keep_blank_values=True)
    return service, Request(request.method, url.path, query, request.headers, request.body or b"")


class World:
    """One cloud and the controllers that come and go. `limits` are those of their workers."""

    network_type: type[Network] = Network

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | Scenario,
        *,
        seed: int = 0,
        limits: Callable[[str], int] | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.cloud = Cloud(_parsed(scenario), self.clock.now, seed=seed)
        self.seed = seed
        self.limits = limits
        self.said: list[str] = []
        self.api: Api | None = None

    def shell(
        self,
        *,
        crash_at: tuple[int, str] | None = None,
        read_only: bool = False,
        clock: Clock | None = None,
    ) -> recovery.Shell:
        """A new controller that knows nothing but its options. `clock`: its own, if that is not the cloud's."""
        clock = clock or self.clock
        user = self.cloud.scenario.users[0]
        project = self.cloud.scenario.project
        self.network = self.network_type(self.cloud, self.clock, seed=self.seed, crash_at=crash_at)
        self.api = Api(
            self.network,
            clock=clock,
            login=PasswordLogin(user.name, user.password, user.domain),
            endpoints=Endpoints(region=project.name, overrides={name: f"http://{name}.localhost" for name in SERVICES}),
            project_name=project.name,
            random=random.Random(self.seed).random,
            read_only=read_only,
        )
        # the two locks that are held during a call
        vars(self.api)["_project_lock"] = VirtualLock(self.clock)
        vars(vars(self.api)["_session"])["_lock"] = VirtualLock(self.clock)
        return recovery.Shell(self.api, clock, VirtualWorkers(self.clock, self.limits), show=self.said.append)

    def plan(self, wishes: Sequence[Wish], *, journal_dir: Path | None = None, **terms: Any) -> Plan:
        found = Terms(**{"incident_at": self.clock.now(), **terms})
        shell = self.shell(read_only=True)
        return recovery.resolve(shell.api, wishes, found, clock=self.clock, journal_dir=journal_dir)

    def recover(
        self,
        wishes: Sequence[Wish],
        *,
        crash_at: tuple[int, str] | None = None,
        dry_run: bool = False,
        terms: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Plan, approve, run: what the role does. Raises Crash, NotReady, CloudError."""
        plan = self.plan(wishes, journal_dir=options.get("journal_dir"), **(terms or {})).as_dict()
        return self.carry_out(plan, crash_at=crash_at, dry_run=dry_run, **options)

    def carry_out(
        self,
        plan: Mapping[str, Any],
        *,
        crash_at: tuple[int, str] | None = None,
        dry_run: bool = False,
        **options: Any,
    ) -> dict[str, Any]:
        """Approve a plan and run it. Raises as `recover` does."""
        chosen = recovery.RunOptions(**{"approved": (plan["id"],), "progress_interval_seconds": 0.0, **options})
        shell = self.shell(crash_at=crash_at, read_only=dry_run)
        try:
            return recovery.recover(shell, plan, chosen, dry_run=dry_run)[0]
        except Crash:
            _close_files(chosen.journal_dir)
            raise
        finally:
            self.clock.forget()

    @contextlib.contextmanager
    def dying(self, when: Callable[[Request], bool]) -> Iterator[None]:
        """Whoever works within dies when it is about to send such a request, and has to."""
        handle = self.cloud.handle

        def act(service: str, request: Request) -> Response:
            if when(request):
                raise Crash
            return handle(service, request)

        self.cloud.handle = act  # type: ignore[method-assign]
        try:
            yield
        except Crash:
            return
        finally:
            self.cloud.handle = handle  # type: ignore[method-assign]
        raise AssertionError("nobody died: no such request was sent")

    def pass_time(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.cloud.advance()

    def faults(self, *rules: Mapping[str, Any]) -> None:
        self.cloud.faults.add(list(rules))

    def act(self, action: str, **body: Any) -> None:
        """A human does something in the console."""
        control.act(self.cloud.world, {"action": action, **body})

    # what the cloud holds

    def data(self) -> dict[str, str]:
        return {disk.id: disk.data for disk in self.cloud.world.disks.values()}

    def summary(self) -> dict[str, Any]:
        return self.cloud.summary()


def _parsed(scenario: str | Mapping[str, Any] | Scenario) -> Scenario:
    if isinstance(scenario, Scenario):
        return scenario
    return scenarios.load(scenario) if isinstance(scenario, str) else scenarios.parse(scenario)


def _close_files(folder: Path | None) -> None:
    """A process that dies gives up its locks; this one lives on, so the open files are closed for it."""
    for number in os.listdir("/proc/self/fd") if folder else ():
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{number}").startswith(str(folder)):
                os.close(int(number))


def scenario_path(name: str) -> Path:
    return Path(scenarios.__file__).parent / "scenarios" / f"{name}.yml"
