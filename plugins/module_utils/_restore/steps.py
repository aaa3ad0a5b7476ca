# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders that may be repeated: stop, start, detach, attach. Each is done when the cloud shows it, not when it says so.

The job and the state are both awaited: the state of a disk is known to lag behind the job's SUCCESS, and a job may
fail because the wish was fulfilled already (ECS error codes: Ecs.0111, Ecs.0057).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeAlias

from .commands import Await, Learn, Look, Now, Order, Pause, Script, StartServer, StopServer, T, TakeTurn, Thing
from .model import Accepted, Disk, ErrorInfo, Failure, Job, JobState, Server

STOOD_STILL_SECONDS = 120.0
"""Less than a lease is good for: another run may take over from a process that stood still for longer."""
CONFIRMED_SECONDS = 30.0
"""A server's disks are detached one after the other, and no run takes a server over from one that renewed its lease
within the last three minutes: so not each of them needs a look at the owner of its own. A first mark that takes longer
than that may have been written over another run's."""
GOES = 5
PASSING = (Failure.BUSY, Failure.LOST, Failure.UNREACHABLE)
"""Failures after which a write that may be repeated, or a look, is worth another try."""


Guard: TypeAlias = "Callable[[], Script[ErrorInfo | None]]"


class GiveUp(Exception):
    """A step cannot be done. `timed_out` tells that it may still happen later."""

    def __init__(self, error: ErrorInfo, *, timed_out: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.timed_out = timed_out


def in_one_go(check: Callable[[], Script[T]]) -> Script[T]:
    """Check once more what was checked while this process stood still (a paused machine, a laptop that slept).

    What was seen before may not be so any more: meanwhile another run may have taken over, done all and ended.
    """
    for _go in range(GOES):
        began = yield Now()
        found = yield from check()
        if (yield Now()) - began <= STOOD_STILL_SECONDS:
            return found
    raise GiveUp(
        ErrorInfo(
            Failure.BUSY,
            f"each look takes longer than {STOOD_STILL_SECONDS:.0f} s, so what is seen cannot be relied on",
            remedy="Nothing more is done here. Run the same playbook again when cloud and controller answer faster.",
        )
    )


class Stopped(Exception):
    """The run is being stopped, so this is not begun any more."""


@dataclass(frozen=True)
class Goal:
    """What is wanted of one thing, as predicates of what a look shows."""

    name: str
    look: Look
    met: Callable[[Any], bool]
    moving: Callable[[Any], bool]
    hopeless: Callable[[Any], bool]


_STILL_DISK_STATES = ("available", "in-use")
_STILL_SERVER_STATES = ("ACTIVE", "SHUTOFF")


def _disk_moving(disk: Disk) -> bool:
    return disk.status not in _STILL_DISK_STATES


def _disk_hopeless(disk: Disk) -> bool:
    return disk.status.startswith("error")


def _server_moving(server: Server) -> bool:
    return bool(server.task_state) or server.status not in _STILL_SERVER_STATES


def _server_hopeless(server: Server) -> bool:
    return server.status in ("ERROR", "DELETED") or server.locked


def _disk_goal(name: str, volume_id: str, met: Callable[[Disk], bool]) -> Goal:
    return Goal(name, Look(Thing.DISK, volume_id), met, _disk_moving, _disk_hopeless)


def _server_goal(name: str, server_id: str, met: Callable[[Server], bool]) -> Goal:
    return Goal(name, Look(Thing.SERVER, server_id), met, _server_moving, _server_hopeless)


def detached(volume_id: str) -> Goal:
    return _disk_goal(f"disk {volume_id} is detached", volume_id, lambda disk: disk.free)


def attached(volume_id: str, server_id: str) -> Goal:
    def met(disk: Disk) -> bool:
        return disk.status == "in-use" and disk.attached_to(server_id) is not None

    return _disk_goal(f"disk {volume_id} is attached to server {server_id}", volume_id, met)


def stopped(server_id: str) -> Goal:
    return _server_goal(f"server {server_id} is stopped", server_id, lambda server: server.stopped)


def started(server_id: str) -> Goal:
    return _server_goal(f"server {server_id} is running", server_id, lambda server: server.running)


@dataclass(frozen=True)
class Patience:
    """How often to look, for how long, and how long the trace of an order may lag behind its success; in seconds."""

    interval_seconds: float
    limit_seconds: float
    settle_seconds: float


DONE_ALREADY = frozenset({"ecs.0111", "ecs.0057"})
"""Not attached here; already attached (ECS error codes): the wish is fulfilled, only EVS does not show it yet."""
JUST_SEEN_SECONDS = 5.0
"""What was seen so short a time ago need not be looked at again before an order that does no harm when given twice."""


@dataclass
class _Tried:
    """The newest order, and what is known of it."""

    job_id: str = ""
    """Of the job that may still run."""
    shared: bool = False
    refused: ErrorInfo | None = None
    not_taken: ErrorInfo | None = None
    """Why it was not even looked at: the cloud was too busy, or out of reach."""
    at: float = 0.0
    quiet_until: float = 0.0
    """Its trace may lag behind its success: until then its not being there proves nothing."""
    alone: bool = False


class _Move(Enum):
    ORDER = "order"
    ASK_JOB = "ask the job"
    WAIT = "wait"
    GIVE_UP = "give up"


def carry_out(
    order: Order,
    goal: Goal,
    patience: Patience,
    *,
    at_once: bool = False,
    even_if_moving: bool = False,
    guard: Guard | None = None,
) -> Script[Any]:
    """See the goal met, ordering it where needed; return what the last look showed. Raises GiveUp.

    `guard` runs right before each order and raises GiveUp if it must not be given any more; why it cannot be told
    whether it may be given, it returns, and then it is not given now.

    What is already so is not ordered; `at_once` says that it was seen in this run not to be so, which saves a look.
    After a lost answer it is ordered again only if the looks show that nothing happened: these four orders do no harm
    when they are given twice.

    What the thing itself shows decides, and one list call shows it for many; the job is asked only while the thing
    stands still without having got there, for only the job can say that it failed.
    """
    deadline = (yield Now()) + patience.limit_seconds
    tried = (yield from _give_at_once(order, patience, guard, deadline)) if at_once else _Tried()
    look = replace(goal.look, max_age_seconds=JUST_SEEN_SECONDS)
    while True:
        seen = yield look
        look = goal.look
        now = yield Now()
        move = _Move.WAIT
        if isinstance(seen, ErrorInfo):
            if seen.kind not in PASSING:
                raise GiveUp(seen)
        elif goal.met(seen):
            if tried.at:
                yield Learn(_work(order), 0, now - tried.at)
            return seen
        elif goal.hopeless(seen):
            raise GiveUp(_stuck(goal, seen))
        else:
            move = _next_move(tried, patience, now, stands_still=even_if_moving or not goal.moving(seen))
        if now >= deadline or (move is _Move.GIVE_UP and tried.refused):
            raise GiveUp(tried.refused or tried.not_taken or _late(goal, patience, seen), timed_out=now >= deadline)
        if move is _Move.ORDER:
            tried = yield from _give(order, tried, patience, guard)
            even_if_moving = False
        elif move is _Move.ASK_JOB and (yield from _has_ended(order, tried, patience)):
            continue
        yield from _wait(order, tried, patience, deadline)


def _give_at_once(order: Order, patience: Patience, guard: Guard | None, deadline: float) -> Script[_Tried]:
    """A refusal is not final: it may have changed since it was seen, and the first look will tell."""
    tried = replace((yield from _give(order, _Tried(), patience, guard)), refused=None)
    yield from _wait(order, tried, patience, deadline)
    return tried


def _next_move(tried: _Tried, patience: Patience, now: float, *, stands_still: bool) -> _Move:
    """What to do about a goal that is not met."""
    if tried.job_id:
        return _Move.ASK_JOB if stands_still or now >= tried.at + patience.settle_seconds else _Move.WAIT
    if tried.refused:
        patient_until = tried.quiet_until + (0.0 if stands_still else patience.settle_seconds)
        return _Move.GIVE_UP if now >= patient_until else _Move.WAIT
    return _Move.ORDER if stands_still and now >= tried.quiet_until else _Move.WAIT


def _give(order: Order, before: _Tried, patience: Patience, guard: Guard | None) -> Script[_Tried]:
    alone = before.alone
    if guard is not None:
        yield TakeTurn(type(order))
        if (failure := (yield from in_one_go(guard))) is not None:
            if failure.kind in PASSING:
                return _Tried(not_taken=failure, alone=alone)
            return _Tried(refused=failure, quiet_until=(yield Now()))
    if alone and isinstance(order, (StopServer, StartServer)):
        order = replace(order, alone=True)
    answer: Accepted | ErrorInfo = yield order
    now = yield Now()
    settled = now + patience.settle_seconds
    if isinstance(answer, Accepted):
        return _Tried(answer.job_id, answer.shared, at=now, quiet_until=settled)
    if answer.kind not in PASSING:
        return _Tried(refused=answer, quiet_until=settled if answer.code.lower() in DONE_ALREADY else now)
    if answer.kind is Failure.LOST:
        return _Tried(quiet_until=settled, alone=alone)
    return _Tried(not_taken=answer, alone=alone)


def _has_ended(order: Order, tried: _Tried, patience: Patience) -> Script[bool]:
    """Ask the job. One that cannot be read any more counts as ended: what the thing itself shows decides."""
    job = yield Look(Thing.ECS_JOB, tried.job_id)
    if isinstance(job, ErrorInfo) and job.kind not in (Failure.MISSING, Failure.REFUSED, Failure.DENIED):
        return False
    if isinstance(job, Job) and job.state is JobState.RUNNING:
        return False
    now = yield Now()
    tried.job_id, tried.quiet_until = "", now + patience.settle_seconds
    if isinstance(job, Job) and job.state is JobState.FAILED:
        if tried.shared and _server_of(order) not in job.failed_server_ids:
            tried.alone = True  # perhaps another server's failure: it is ordered once more for this one alone
        else:
            tried.refused, tried.quiet_until = job_error(job), now
    return True


def _wait(order: Order, tried: _Tried, patience: Patience, deadline: float) -> Script[None]:
    if tried.job_id:
        yield Await(_work(order), 0, tried.at, deadline, patience.interval_seconds)
    elif tried.not_taken and tried.not_taken.retry_after_seconds:
        yield Pause(tried.not_taken.retry_after_seconds)
    else:
        yield Pause(patience.interval_seconds, poll=True)


def _work(order: Order) -> str:
    return type(order).__name__


def _server_of(order: Order) -> str:
    return order.server_id if isinstance(order, (StopServer, StartServer)) else ""


def job_error(job: Job) -> ErrorInfo:
    reason = job.fail_reason or "the cloud gave no reason"
    return ErrorInfo(
        Failure.REFUSED,
        f"job {job.id} failed: {reason}",
        code=job.error_code,
        remedy="Look the job up in the cloud's console; the code says what it met.",
    )


def _state_of(seen: Any) -> str:
    if isinstance(seen, Disk):
        places = ", ".join(a.server_id for a in seen.attachments)
        return f"{seen.status}{' at ' + places if places else ''}"
    if isinstance(seen, Server):
        return (
            f"{seen.status}{' (' + seen.task_state + ')' if seen.task_state else ''}{', locked' if seen.locked else ''}"
        )
    return str(seen)


def _stuck(goal: Goal, seen: Any) -> ErrorInfo:
    return ErrorInfo(
        Failure.REFUSED,
        f"it cannot come about that {goal.name}: it is {_state_of(seen)}",
        remedy="Mend the state in the cloud's console, then run the same playbook again: it goes on from here.",
    )


def _late(goal: Goal, patience: Patience, seen: Any) -> ErrorInfo:
    return ErrorInfo(
        Failure.LOST,
        f"after {patience.limit_seconds:.0f} s it is still not so that {goal.name}: it is {_state_of(seen)}",
        remedy="Look at it in the cloud's console, then run the same playbook again: it goes on from here.",
    )
