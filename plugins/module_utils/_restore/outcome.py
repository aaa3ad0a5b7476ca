# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One restore on its way, a server with its disks, and the rules they are brought back by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from .commands import Holder, Now, Pause, Script, WriteMarks
from .mark import Mark, Phase, Standing, decode
from .model import ErrorInfo, Failure, Server
from .steps import PASSING, Patience

MARK_TRIES = 3
MARK_PATIENCE_SECONDS = 900.0
"""How long a mark is tried again while the cloud is only too busy to take it."""
MARK_PAUSE_SECONDS = 2.0
SETTLE_SECONDS = 2.0
"""After a lease or a claim was written, before it is read back: longer than the two calls, a read and a write, of one
who does the same at the same moment."""
POLLS_OF_GRACE = 6
"""How many polls a trace of a restore may lag behind its acceptance before it counts as not there."""


class State(Enum):
    """How a restore stands, in the words of the results."""

    PLANNED = "planned"
    SUBMITTED = "submitted"
    RESTORED = "restored"
    ALREADY_RESTORED = "already_restored"
    FAILED = "failed"
    UNKNOWN = "unknown"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Rules:
    """What the operator allows, and how patient to be. Times in seconds."""

    wait: bool = True
    wait_interval_seconds: float = 10.0
    wait_timeout_seconds: float = 86400.0
    stop_servers: str = "soft"
    stop_timeout_seconds: float = 300.0
    start_servers: bool = True
    step_timeout_seconds: float = 1800.0
    hss_silence_seconds: float = 180.0
    resubmit_unknown: frozenset[str] = frozenset()

    @property
    def grace_seconds(self) -> float:
        return POLLS_OF_GRACE * self.wait_interval_seconds

    @property
    def settle_seconds(self) -> float:
        return min(SETTLE_SECONDS, self.wait_interval_seconds)

    @property
    def step(self) -> Patience:
        return Patience(self.wait_interval_seconds, self.step_timeout_seconds, self.grace_seconds)

    @property
    def stop(self) -> Patience:
        return replace(self.step, limit_seconds=self.stop_timeout_seconds)


GOOD = frozenset({State.RESTORED, State.ALREADY_RESTORED, State.PLANNED, State.SUBMITTED})


@dataclass
class Tally:
    """How many restores of a run have ended, ended badly, and run: counted as it happens, not each time it is asked."""

    total: int = 0
    ended: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)
    running: dict[str, float] = field(default_factory=dict)
    """Since when, the oldest first."""

    def begin(self, name: str, now: float) -> None:
        self.running.setdefault(name, now)

    def end(self, name: str, *, good: bool) -> None:
        self.running.pop(name, None)
        self.ended.add(name)
        if not good:
            self.bad.add(name)


@dataclass
class Restore:
    """One restore on its way. `mark` is what is, or would be, written; with `holder` None this run keeps no marks."""

    target: str
    method: str
    backup_id: str
    mark: Mark
    volume_id: str = ""
    server_id: str = ""
    device: str = ""
    holder: Holder | None = None
    key: str = ""
    seen: str = ""
    """The text of the mark under that key when the plan was checked."""
    standing: Standing = Standing.FRESH
    backup_name: str = ""
    backup_created_at: float | None = None
    size_gb: int = 0
    mappings: tuple[tuple[str | None, str | None], ...] = ()
    power_on: bool = True
    log_before: tuple[str, ...] | None = None
    """HSS: digests of the records that stood in the task list before the submit; None if that is not known."""
    state: State = State.PLANNED
    changed: bool = False
    adopted: bool = False
    handle: dict[str, Any] | None = None
    error: ErrorInfo | None = None
    started_at: float | None = None
    accepted_at: float | None = None
    """When the cloud took it, if this process asked."""
    finished_at: float | None = None
    progress_percent: int | None = None
    notes: list[str] = field(default_factory=list)
    accepted: bool = False
    """The cloud took it, in this run or an earlier one, so the old data is gone."""
    doubt: bool = False
    """It may have been accepted, or done by somebody else: an answer was lost, the first mark came late, or the disk
    was seen being restored."""
    lost: ErrorInfo | None = None
    """What came instead of that answer."""
    detaching: bool = False
    """This process has ordered that it is detached, so it may be."""
    detached: bool = False
    """This process has detached it."""
    back: bool = False
    """The disk is attached again."""
    unwritten: bool = False
    """The last mark could not be written, or that is not known."""
    tally: Tally = field(default_factory=Tally, repr=False)

    def __post_init__(self) -> None:
        went_on = self.standing is not Standing.FRESH
        self.accepted = self.accepted or (went_on and self.mark.phase in (Phase.ACCEPTED, Phase.RESTORED, Phase.FAILED))
        self.accepted = self.accepted or self.standing is Standing.BROKEN  # whatever broke it, it is not what it was
        disbelieved = self.mark.phase is Phase.ACCEPTED and self.standing is Standing.SUBMIT
        self.doubt = self.doubt or (went_on and self.mark.phase is Phase.SUBMITTING) or disbelieved

    @property
    def name(self) -> str:
        return f"disk {self.volume_id}" if self.volume_id else f"server {self.server_id}"

    @property
    def untouched(self) -> bool:
        """The data is certainly what it was."""
        return not self.accepted and not self.doubt

    @property
    def taken(self) -> bool:
        """Another run works on it now."""
        return self.error is not None and self.error.kind is Failure.TAKEN

    @property
    def to_submit(self) -> bool:
        """It may still take one of the places of running restores."""
        return self.standing not in (Standing.ATTACH, Standing.BROKEN, Standing.FINISHED)

    @property
    def to_announce(self) -> bool:
        """Its mark has to say `submitting` before it may be submitted."""
        return self.to_submit and self.standing is not Standing.WATCH

    def abandon(self, now: float, error: ErrorInfo) -> None:
        """It cannot go on. Restored stays restored; what may have been accepted is unknown, the rest failed."""
        if self.standing is Standing.ATTACH:
            self.end(State.RESTORED, now)
        else:
            self.end(State.FAILED if self.untouched else State.UNKNOWN, now, error)

    def begin(self, now: float) -> None:
        self.started_at = now
        self.tally.begin(self.name, now)

    def end(self, state: State, now: float, error: ErrorInfo | None = None) -> None:
        self.state, self.finished_at, self.error = state, now, error
        self.tally.end(self.name, good=state in GOOD)


@dataclass
class DiskUnit:
    """A disk that has no server."""

    target: str
    restore: Restore
    group: str = ""

    @property
    def restores(self) -> list[Restore]:
        return [self.restore]


@dataclass
class ServerUnit:
    """The disks of one server that one target restores, system disk first, then by device."""

    target: str
    server_id: str
    server_name: str
    was_running: bool
    restores: list[Restore]
    group: str = ""
    left_off: bool = False
    """An earlier run found it running, and never gave it back."""
    left: str = ""
    notes: list[str] = field(default_factory=list)
    error: ErrorInfo | None = None
    marked: bool = False
    """Something was written or begun for it, now or by an earlier run."""
    stopped: bool = False
    """This process has stopped it."""

    def __post_init__(self) -> None:
        self.marked = any(restore.standing is not Standing.FRESH for restore in self.restores)

    def found(self, server: Server) -> None:
        """Remember the power state that the server is to be given back."""
        self.was_running = self.left_off or server.status == "ACTIVE"
        for restore in self.restores:
            restore.mark = replace(restore.mark, was_running=self.was_running)

    @property
    def taken_by(self) -> ErrorInfo | None:
        """Also told by the unit itself: disks that were restored before have no error of their own."""
        failures = [self.error, *(restore.error for restore in self.restores)]
        return next((failure for failure in failures if failure and failure.kind is Failure.TAKEN), None)

    @property
    def taken(self) -> bool:
        return self.taken_by is not None

    @property
    def weight(self) -> int:
        return sum(restore.to_submit for restore in self.restores)


def write_marks(restores: list[Restore], *, claim: bool = False) -> Script[ErrorInfo | None]:
    """Write the marks of restores that share a holder, all in one call. Return why it failed: LOST if any of its tries
    may have arrived."""
    holder = restores[0].holder if restores else None
    if holder is None:
        return None
    command = WriteMarks(holder, tuple((restore.key, restore.mark) for restore in restores), claim)
    patient_until = (yield Now()) + MARK_PATIENCE_SECONDS
    tries = 0
    lost = False
    while True:
        failure: ErrorInfo | None = yield command
        if failure is None:
            return None
        lost = lost or failure.kind is Failure.LOST
        tries += failure.kind is not Failure.BUSY
        if failure.kind not in PASSING or tries >= MARK_TRIES or (yield Now()) >= patient_until:
            return replace(failure, kind=Failure.LOST) if lost else failure
        yield Pause(failure.retry_after_seconds or MARK_PAUSE_SECONDS)


def move(restore: Restore, phase: Phase, *, job: str | None = None, claim: bool = False) -> Script[ErrorInfo | None]:
    """Take one restore to its next phase and write it down. Return why it could not be written."""
    restore.mark = restore.mark.moved(phase, job=job)
    failure = yield from write_marks([restore], claim=claim)
    restore.unwritten = failure is not None
    if failure is not None:
        restore.notes.append(f"the mark '{phase.value}' could not be written: {failure}")
    return failure


def announce(restores: list[Restore], *, job: str = "", claim: bool = False) -> Script[ErrorInfo | None]:
    """Write `submitting` for restores that share a holder, in one call. Return why it could not be written.

    What is certainly not written stays unsaid, so that the next try writes it first.
    """
    before = [restore.mark for restore in restores]
    for restore in restores:
        if restore.mark.phase is not Phase.SUBMITTING:
            restore.mark = restore.mark.moved(Phase.SUBMITTING, job=job)
    failure = yield from write_marks(restores, claim=claim)
    lost = failure is not None and failure.kind is Failure.LOST
    for restore, mark in zip(restores, before, strict=True):
        restore.unwritten = lost or (failure is not None and restore.unwritten)
        if failure is not None and not lost:
            restore.mark = mark
    return failure


def record(restores: list[Restore], *, closing: bool = False) -> Script[None]:
    """Write down, in one call, how these restores ended, or that they never began and will be attached anew.

    `closing`: nothing more is to be done for them, as there is no server that they belong to.
    """
    moved = [r for r in restores if not r.taken and (_moved_on(r, closing) or r.unwritten)]
    failure = yield from write_marks(moved)
    for restore in moved:
        restore.unwritten = failure is not None
        if failure is not None:
            restore.notes.append(f"the mark '{restore.mark.phase.value}' could not be written: {failure}")
            if closing and restore.state is State.RESTORED:
                restore.error = replace(failure, message=_UNMARKED.format(restore.name, failure.message))


_UNMARKED = "{} is restored, but that could not be written down, so the next run would restore it again: {}"
_RUNS = (Phase.SUBMITTING, Phase.ACCEPTED)


def _moved_on(restore: Restore, closing: bool) -> bool:
    if restore.standing is Standing.BROKEN:  # what the marks of a broken disk say stays open
        return False
    before = restore.mark
    steps = (
        (_RUNS, Phase.RESTORED, restore.state is State.RESTORED),
        (_RUNS, Phase.FAILED, restore.state is State.FAILED and not restore.untouched),
        ((Phase.SUBMITTING,), Phase.BEGUN, restore.untouched),
        ((Phase.RESTORED,), Phase.FINISHED, closing),
        ((Phase.BEGUN,), Phase.RETURNED, closing and restore.untouched),
    )
    for phases, following, so in steps:
        if so and restore.mark.phase in phases:
            restore.mark = restore.mark.moved(following)
    # it is about to be attached anew, which must not look like use to the next run
    if restore.mark.phase is Phase.BEGUN and (restore.detaching or restore.standing is Standing.SUBMIT):
        restore.mark = replace(restore.mark, attachment_id="")
    return restore.mark != before


def overtaken(restore: Restore, metadata: Mapping[str, str]) -> ErrorInfo | None:
    """Whether another run has marked it since the plan was checked: hours may pass before its turn comes.

    A disk's own mark that is older than the one seen then came out of the backup, with the disk's metadata. At a server
    no restore brings a mark back, so there an older one was written by a clock that is wrong.
    """
    text = metadata.get(restore.key, "")
    now, before = decode(text), decode(restore.seen)
    came_back = not restore.server_id and now is not None and before is not None and now.at < before.at
    if now is None or text == restore.seen or came_back:
        return None
    return begun_since(now.run_id, restore.name)


def begun_since(run_id: str, name: str) -> ErrorInfo:
    return ErrorInfo(
        Failure.TAKEN,
        f"run {run_id} has begun with {name} since the plan was checked",
        remedy="Nothing more is done to it here. When that run has ended, make a new plan.",
    )


NOT_STARTED = "not every member of consistency group {} is restored, so no server of it is started"


def held_off(server: str, group: str) -> ErrorInfo:
    """A server that ran and is restored, and yet may not run: its target is not well, so what waits for it waits on."""
    return ErrorInfo(
        Failure.REFUSED,
        f"server {server} stays off: {NOT_STARTED.format(group)}",
        remedy="Mend what failed in the group, then run the same playbook again: it goes on from here.",
    )


def timed_out(restore: Restore, rules: Rules, unread: ErrorInfo | None = None) -> ErrorInfo:
    """`unread`: why the last look at it failed."""
    again = (
        ", or run the same playbook again: neither starts a new restore."
        if restore.holder
        else ". Without run_id, running the task again without the handle may restore once more."
    )
    return ErrorInfo(
        Failure.LOST,
        f"the restore of {restore.name} did not end within {rules.wait_timeout_seconds:.0f} s; it may still run"
        + (f"; the last look at it failed: {unread.message}" if unread else ""),
        remedy="Wait again with the handle of this result" + again,
    )
