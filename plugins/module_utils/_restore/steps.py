# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders that may be repeated: stop, start, detach, attach. Each is done when the cloud shows it, not when it says so.

The job and the state are both awaited: the state of a disk is known to lag behind the job's SUCCESS, and a job may
fail because the wish was fulfilled already (ECS error codes: Ecs.0111, Ecs.0057).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .commands import Look, Now, Order, Pause, Script, Thing
from .model import Accepted, Disk, ErrorInfo, Failure, Job, JobState, Server

PASSING = (Failure.BUSY, Failure.LOST, Failure.UNREACHABLE)
"""Failures after which a write that may be repeated, or a look, is worth another try."""


class GiveUp(Exception):
    """A step cannot be done. `timed_out` tells that it may still happen later."""

    def __init__(self, error: ErrorInfo, *, timed_out: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.timed_out = timed_out


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


@dataclass(frozen=True)
class _Tried:
    """How an order went. `settle` tells that it may have worked, so its trace is waited for."""

    refused: ErrorInfo | None = None
    settle: bool = False


def carry_out(
    order: Order,
    goal: Goal,
    patience: Patience,
    *,
    even_if_moving: bool = False,
    guard: Callable[[], Script[Any]] | None = None,
) -> Script[Any]:
    """See the goal met, ordering it where needed; return what the last look showed. Raises GiveUp.

    `guard` runs right before each order and raises GiveUp if it must not be given any more.

    What is already so is not ordered. After a lost answer it is ordered again only if the looks show that nothing
    happened: these four orders do no harm when they are given twice.
    """
    deadline = (yield Now()) + patience.limit_seconds
    tried = _Tried()
    quiet_until = deadline - patience.limit_seconds
    while True:
        seen = yield goal.look
        now = yield Now()
        if isinstance(seen, ErrorInfo):
            if seen.kind not in PASSING:
                raise GiveUp(seen)
        elif goal.met(seen):
            return seen
        elif goal.hopeless(seen):
            raise GiveUp(_stuck(goal, seen))
        elif now >= quiet_until and (even_if_moving or not goal.moving(seen)):
            if tried.refused is not None:
                raise GiveUp(tried.refused)
            if guard is not None:
                yield from guard()
            tried = yield from _try(order, patience, deadline)
            even_if_moving = False
            quiet_until = (yield Now()) + (patience.settle_seconds if tried.settle else 0.0)
            continue
        if now >= deadline:
            raise GiveUp(_late(goal, patience, seen), timed_out=True)
        yield Pause(patience.interval_seconds, poll=True)


def _try(order: Order, patience: Patience, deadline: float) -> Script[_Tried]:
    """Give the order and follow its job to the end."""
    answer: Accepted | ErrorInfo = yield order
    if isinstance(answer, Accepted):
        failed = (yield from _job_end(answer.job_id, patience, deadline)) if answer.job_id else None
        return _Tried(failed, settle=failed is None)
    if answer.kind not in PASSING or (yield Now()) >= deadline:
        return _Tried(answer, settle=answer.code.lower() in DONE_ALREADY)
    yield Pause(answer.retry_after_seconds or patience.interval_seconds)
    return _Tried(settle=answer.kind is Failure.LOST)


def _job_end(job_id: str, patience: Patience, deadline: float) -> Script[ErrorInfo | None]:
    while True:
        yield Pause(patience.interval_seconds, poll=True)
        job = yield Look(Thing.ECS_JOB, job_id)
        if isinstance(job, Job) and job.state is not JobState.RUNNING:
            return None if job.state is JobState.SUCCEEDED else job_error(job)
        if isinstance(job, ErrorInfo) and job.kind in (Failure.MISSING, Failure.REFUSED, Failure.DENIED):
            return None  # the job cannot be read any more: what the thing itself shows decides
        if (yield Now()) >= deadline:
            return None


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
