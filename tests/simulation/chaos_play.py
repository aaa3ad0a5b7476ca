# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A story is played: controllers come, die and come again, until all is well or a person has to decide."""

from __future__ import annotations

import contextlib
import heapq
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.transport import HttpRequest, HttpResponse
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.preflight import Problem
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Terms, Wish
from ansible_collections.hwcloud.recovery.plugins.module_utils._run import journal, recovery
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.recovery import NotReady
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.workers import Done
from greenlet import getcurrent, greenlet
from simulator.control import ActError

from simulation.cases import backup_id
from simulation.chaos import LEASE_IS_OLD, Act, Machine, Story, Try
from simulation.chaos import Crash as CrashAt
from simulation.chaos_history import WHO, History, Mark, Snapshot, newest
from simulation.world import START, Crash, Network, VirtualClock, VirtualWorkers, World, _close_files

LONGEST_SECONDS = 86400.0
"""No recovery of a story takes a day."""
MOST_CALLS = 20_000
LAST_TRIES = 4
"""How often the playbook is run again once everything works: what failed may be tried again by the next run only."""

UNDER_WAY = ("submitting", "accepted")
"""Phases of a server's mark with which the next controller looks how that restore ends, and begins none of its own."""


class Endless(BaseException):
    """A controller that calls and calls."""


@dataclass
class Attempt:
    """One controller, from its plan to its end: `result`, `refused` (NotReady), `error` (CloudError) or none: died."""

    who: int
    found: Snapshot
    """What was there when it came."""
    plan: dict[str, Any] = field(default_factory=dict)
    run_id: str = ""
    take_over: str = ""
    ended: str = ""
    result: dict[str, Any] | None = None
    problems: tuple[Problem, ...] = ()
    error: str = ""
    calls: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """What it said while it was at work."""
    stalls: list[tuple[float, float]] = field(default_factory=list)
    """When it stood still: from, until."""
    left: Snapshot | None = None

    @property
    def started_at(self) -> float:
        return self.found.at

    @property
    def marks(self) -> tuple[Mark, ...]:
        """What the journal said when it came."""
        return self.found.marks

    @property
    def well(self) -> bool:
        return self.result is not None and not self.result["failed"]

    @property
    def said(self) -> str:
        """Everything that it told its user."""
        return f"{self.result}{self.problems}{self.error}"


@dataclass
class Played:
    """A story and all that came of it."""

    story: Story
    seen: Stage
    history: History
    before: Snapshot
    attempts: list[Attempt] = field(default_factory=list)

    def runs(self) -> Iterator[Attempt]:
        """Those that came to an end and told about it."""
        return (attempt for attempt in self.attempts if attempt.ended in ("result", "refused", "error"))


@dataclass
class Line(Network):
    """A network that says who calls, and lets a controller die or stand still at any call."""

    who: int = 0
    at_call: Callable[[str, str], None] = lambda call, phase: None

    on_the_way: set[greenlet] = field(default_factory=set)
    """Whose requests have left the machine: they arrive, whatever becomes of it."""

    def send(self, request: HttpRequest, *, timeout_seconds: float) -> HttpResponse:
        tagged = replace(request, headers={**request.headers, WHO: str(self.who)})
        return super().send(tagged, timeout_seconds=timeout_seconds)

    def _die_at(self, number: int, phase: str) -> None:
        self.on_the_way.discard(getcurrent())
        self.at_call(self.calls[number], phase)
        if phase == "before":
            self.on_the_way.add(getcurrent())


class Stage(World):
    """A world with such a network."""

    network_type = Line
    network: Line


class Crew(VirtualWorkers):
    """The workers of one of several controllers: while it waits for them, the others go on."""

    def __init__(self, clock: VirtualClock, main: greenlet) -> None:
        super().__init__(clock)
        self._main = main
        self._boss: greenlet | None = None
        self._members: set[greenlet] = set()

    def submit(self, lane: str, key: Any, call: Callable[[], Any], **_order: Any) -> None:
        def work() -> None:
            try:
                done = Done(key, call())
            except BaseException as bug:  # noqa: BLE001  (as the threads do: the driver raises it)
                done = Done(key, bug=bug)
            self._done.append(done)
            if self._boss is not None:
                self._clock.wake(self._boss, self._clock.time)
                self._boss = None

        worker = greenlet(work, self._main)
        worker.gr_context = copy_context()
        self._members.add(worker)
        self._clock.wake(worker, self._clock.time)

    def results(self, timeout_seconds: float | None) -> list[Done]:
        until = self._clock.time + (timeout_seconds if timeout_seconds is not None else 1e9)
        while not self._done and self._clock.time < until:
            self._boss = getcurrent()
            self._clock.wake(self._boss, until)
            self._main.switch()
            self._boss = None
            self.forget({getcurrent()})
        found, self._done = self._done, []
        return found

    def forget(self, who: set[greenlet] | None = None) -> None:
        """These, or all, do not wake up any more."""
        gone = self._members if who is None else who
        wakes = self._clock._wakes
        wakes[:] = [wake for wake in wakes if wake[2] not in gone]
        heapq.heapify(wakes)

    def delay(self, seconds: float, boss: greenlet, but: set[greenlet]) -> None:
        """The machine stands still: nobody on it goes on before that time has passed, `but` these."""
        wakes = self._clock._wakes
        still = (self._members | {boss}) - but
        wakes[:] = [(at + seconds * (who[1] in still), *who) for at, *who in wakes]
        heapq.heapify(wakes)


@dataclass(frozen=True)
class Advice:
    """What a person sets beside the playbook, who has read what the last run said."""

    run_id: str
    take_over: str = ""
    resubmit: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    """Disks whose newest backup is named instead of asked for as the latest."""


@dataclass(frozen=True)
class OwnClock:
    """That of a machine, which need not be right."""

    clock: VirtualClock
    off_seconds: float

    def now(self) -> float:
        return self.clock.now() + self.off_seconds

    def monotonic(self) -> float:
        return self.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)


class Controller:
    """One process that runs the playbook; it may die, or stand still for a while."""

    def __init__(
        self,
        play: Play,
        who: int,
        crash: CrashAt | None = None,
        advice: Advice | None = None,
        machine: Machine | None = None,
    ) -> None:
        self.play = play
        self._seen = play.seen
        self._crash = crash
        self.machine = machine or Machine()
        self._clock = OwnClock(play.seen.clock, self.machine.clock_off_seconds)
        self._advice = advice or Advice(play.story.run_id)
        self._main = getcurrent()
        self._crew = Crew(play.seen.clock, self._main)
        self._writes = self._reads = self._calls_after = 0
        self._dead = False
        self.stall: tuple[int, float] = (0, 0.0)
        self.attempt = Attempt(who, play.history.snapshot(), take_over=self._advice.take_over)
        self.greenlet = greenlet(self._live, self._main)

    def start(self, after_seconds: float = 0.0) -> None:
        self._seen.clock.wake(self.greenlet, self._seen.clock.time + after_seconds)

    def end(self) -> None:
        """Nothing of it stays behind."""
        if not self.greenlet.dead:
            self.attempt.ended = "endless"
        self._crew.forget()
        self._crew.forget({self.greenlet})
        self.attempt.left = self.play.history.snapshot()
        # a plan may be of another run than the one that comes of it, when a restore failed and a newer backup is there,
        # or when none was named and another run was left unfinished meanwhile
        claims = self.play.history.runs.get(self.attempt.who, self.attempt.run_id)
        self.attempt.run_id = self.attempt.result["run_id"] if self.attempt.result else claims

    def _live(self) -> None:
        attempt = self.attempt
        _RUNNING.set(self)
        self.play.living.add(attempt.who)
        attempt.found = self.play.history.snapshot()
        try:
            attempt.result = self._recover()
            attempt.ended = "result"
        except Crash:
            attempt.ended = "crash"
            _close_files(self.play.folder)
        except Endless:
            attempt.ended = "endless"
        except NotReady as refusal:
            attempt.ended, attempt.problems, attempt.error = "refused", refusal.problems, str(refusal)
        except CloudError as error:
            attempt.ended, attempt.error = "error", str(error.info)
        self.play.living.discard(attempt.who)
        self._crew.forget()

    def _recover(self) -> dict[str, Any]:
        story, folder = self.play.story, self.play.folder
        advice = self._advice
        terms = Terms(incident_at=START, run_id=advice.run_id, take_over=advice.take_over)
        shell = self._shell(read_only=True)
        wishes = [_named(wish, advice.named) for wish in story.wishes]
        plan = recovery.resolve(shell.api, wishes, terms, clock=self._clock, journal_dir=folder)
        self.attempt.run_id, self.attempt.plan = plan.run_id, plan.as_dict()
        if not plan.ready:
            raise NotReady("the plan is not ready", plan.problems)
        options = recovery.RunOptions(
            approved=(plan.id,),
            rules=replace(story.rules, resubmit_unknown=advice.resubmit),
            take_over=advice.take_over,
            journal_dir=folder,
            progress_interval_seconds=0.0,
            **story.options,
        )
        return recovery.recover(self._shell(), self.attempt.plan, options)[0]

    def _shell(self, *, read_only: bool = False) -> recovery.Shell:
        shell = self._seen.shell(read_only=read_only, clock=self._clock)
        line = self._seen.network
        line.latency_seconds = self.play.story.latency_seconds
        line.who, line.at_call = self.attempt.who, self._at_call
        return replace(shell, workers=self._crew, show=self.attempt.lines.append)

    def _at_call(self, call: str, phase: str) -> None:
        """Before the cloud gets a call, and after: the places to die at, or to stand still."""
        if phase == "before":
            self._count(call)
        if self._dead or self._dies(phase):
            self._dead = True
            self.play.living.discard(self.attempt.who)
            raise Crash
        if len(self.attempt.calls) > MOST_CALLS:
            raise Endless
        if phase == "before" and call.startswith("GET") and self._reads == self.stall[0]:
            self._stand_still(self.stall[1])
        elif self.attempt.stalls:  # an answer that came while it stood still is read afterwards
            self._seen.clock.sleep(self.attempt.stalls[-1][1] - self._seen.clock.time)

    def _count(self, call: str) -> None:
        self.attempt.calls.append(f"{self._seen.clock.time - START:9.2f} {call}")
        write = not call.startswith("GET") and not call.endswith("/auth/tokens")
        self._calls_after = 0 if self._crash and self._writes < self._crash.writes else self._calls_after + 1
        self._writes += write
        self._reads += not write

    def _dies(self, phase: str) -> bool:
        crash = self._crash
        if crash is None or self._writes < crash.writes or self._calls_after < crash.calls:
            return False
        return crash.arrives == (phase == "after")

    def _stand_still(self, seconds: float) -> None:
        now = self._seen.clock.time
        self.attempt.stalls.append((now, now + seconds))
        self._crew.delay(seconds, self.greenlet, self._seen.network.on_the_way)
        self._seen.clock.sleep(seconds)


_RUNNING: ContextVar[Controller] = ContextVar("the controller whose code runs now")


def _started(process: int) -> str:
    """As the engine asks it of a machine: "" for a process that has ended."""
    return str(process) if process in _RUNNING.get().play.living else ""


MACHINES: Mapping[str, Callable[..., str]] = {
    "this_host": lambda: f"machine-{_RUNNING.get().machine.number}",
    "this_process": lambda: f"{_RUNNING.get().attempt.who}.{_RUNNING.get().attempt.who}",
    "_started": _started,
}
"""What controllers know of their machines and of the processes there, for all of them are one process here."""


class Play:
    """A story under way."""

    def __init__(self, story: Story, folder: Path | None) -> None:
        self.story = story
        self.folder = folder
        self.seen = Stage(story.scenario, seed=story.seed)
        self.history = History(self.seen, folder)
        self.history.before_write = self._people
        self.seen.faults(*story.faults)
        self._acts = list(story.acts)
        self.living: set[int] = set()
        """Controllers whose process runs."""
        self._writes = 0
        self.played = Played(story, self.seen, self.history, self.history.snapshot())

    def all(self) -> Played:
        for place in self.story.tries:
            self._try(place)
        if not self.story.tries and self.story.rival:
            self._try(Try())
        self.seen.cloud.faults.clear()
        self._acts.clear()
        self._until_well()
        return self.played

    def _try(self, place: Try) -> None:
        rival = None if self.played.attempts else self.story.rival
        # with two of them at the same files the files of the one that dies could not be told
        number = len(self.played.attempts) + 1
        crash = None if rival and self.folder else place.crash
        controllers = [Controller(self, number, crash, machine=place.machine)]
        if rival is not None:
            controllers[0].stall = (rival.stall_at_read, rival.stall_seconds)
            advice = Advice(rival.run_id, rival.run_id if rival.take_over else "")
            controllers.append(Controller(self, number + 1, advice=advice, machine=rival.machine))
        self._run(controllers, rival.after_seconds if rival else 0.0)
        self.seen.pass_time(place.away_seconds)

    def _run(self, controllers: list[Controller], rival_after_seconds: float = 0.0) -> None:
        clock = self.seen.clock
        for number, controller in enumerate(controllers):
            controller.start(number * rival_after_seconds)
        until = clock.time + LONGEST_SECONDS
        left = list(controllers)
        while left and clock.step(until):
            for controller in [c for c in left if c.greenlet.dead]:
                left.remove(controller)
                controller.end()
        for controller in left:
            controller.end()
        self.seen.cloud.advance()
        self.played.attempts += [controller.attempt for controller in controllers]

    def _until_well(self) -> None:
        """All works now. A person looks at what the last run said before the playbook is run once more."""
        advice = Advice(self.story.run_id)
        for _number in range(LAST_TRIES):
            self.seen.pass_time(LEASE_IS_OLD)
            self._run([Controller(self, len(self.played.attempts) + 1, advice=advice)])
            last = self.played.attempts[-1]
            if last.well or last.ended == "endless":
                return
            advice = replace(_about_runs(last, advice), resubmit=self._never_restored(last))

    def _never_restored(self, last: Attempt) -> frozenset[str]:
        """Targets of which the result says `unknown`, and of which the person sees that nothing was done.

        The server may well have been restored before: by another run, whose restores are none of this one's.
        """
        targets = last.result["targets"] if last.result else {}
        return frozenset(
            wish.name
            for server, wish in self.story.hss_servers.items()
            if targets.get(wish.name, {}).get("state") == "unknown"
            and not self._restored_since(self._begun_after(server), server)
        )

    def _begun_after(self, server: str) -> float:
        """When the last controller came that did not find the restore of this server under way: it was begun since.

        Its mark tells it more exactly: the one that came may have stood still before it wrote that.
        """
        found = [(attempt, newest(attempt.marks, f"hss:{server}")) for attempt in self.played.attempts]
        before = max(a.started_at for a, mark in found if mark is None or mark.phase not in UNDER_WAY)
        if self.story.file_journal:  # its times are those of clocks that may be wrong
            return before
        since = [mark.at for a, mark in found if a.started_at > before and mark and mark.phase == "submitting"]
        return max(before, since[0]) if since else before

    def _restored_since(self, at: float, server: str) -> bool:
        restored = {fact.id for fact in self.history.facts if fact.kind == "restored" and fact.at > at}
        return any(server in places and volume in restored for volume, places in self.played.before.places.items())

    def _people(self) -> None:
        self._writes += 1
        for act in [act for act in self._acts if act.at_write == self._writes]:
            self._acts.remove(act)
            self._act(act)

    def _act(self, act: Act) -> None:
        with contextlib.suppress(ActError):  # not even a human can do it just now
            self.seen.act(act.action, **act.body)
            self.history.touched |= {str(value) for name, value in act.body.items() if name.endswith("_id")}


def _about_runs(last: Attempt, before: Advice) -> Advice:
    """What the remedies say. Of two unfinished runs one goes on and takes the other one over."""
    others = [p.message.split()[1] for p in last.problems if p.code == "unfinished_run"]
    doubtful = {p.volume_id for p in last.problems if p.code == "mark_of_backup"}
    advice = Advice(last.run_id, others[0]) if others and not doubtful else before
    return replace(advice, named=before.named | doubtful)


def _named(wish: Wish, volumes: frozenset[str]) -> Wish:
    """The newest backup of these disks, by its id."""
    chosen = ((v, backup_id(int(v[-12:])) if v in volumes else backup) for v, backup in wish.volumes)
    return replace(wish, volumes=tuple(chosen))


def play(story: Story) -> Played:
    """Play it to its end. The same story always takes the same course."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.multiple(journal, **MACHINES))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if story.file_journal else None
        return Play(story, folder).all()
