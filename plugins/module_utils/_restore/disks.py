# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One detached disk comes back from its VBS backup, exactly once.

The one rule: while a disk is detached since our own mark, submitting its restore again is harmless, for nobody can
have written to it. Once it was attached again it may hold new data and is never restored again in that run.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any

from .commands import (
    Admit,
    Await,
    ConfirmOwner,
    Discharge,
    FreeSlot,
    GoesOn,
    Learn,
    Look,
    Meet,
    Now,
    Pause,
    RestoreDisk,
    Say,
    Script,
    TakeSlot,
    TakeTurn,
    Thing,
)
from .mark import REMOVED, Phase, Standing
from .model import Accepted, Backup, Disk, ErrorInfo, Failure, Job, JobState
from .outcome import DiskUnit, Restore, Rules, State, announce, move, overtaken, record, timed_out, write_marks
from .steps import CONFIRMED_SECONDS, JUST_SEEN_SECONDS, PASSING, GiveUp, Stopped, in_one_go, job_error

RESTORE = "restore"
"""What the pace of looks is learned for."""
JOB_GROWTH = 2
"""Until the time since the last question has doubled, a disk is believed that it is being restored."""
SUBMITS_AFTER_LOST_ANSWERS = 3
JOB_MISSES = 3
# VBS user guide, Restoring Disk Data; EVS API, Disk Status: only Delete is left for a disk in error_restoring.
AFTER_A_FAILED_RESTORE = (
    "What the disk holds now is of no use. If it is available, restore it again; in error_restoring it can only be"
    " deleted, so make a new disk from the backup."
)
MAY_GO_ON = "The restore may go on: wait for it again with the handle of this result."


class Verdict(Enum):
    RESTORED = "restored"
    FAILED = "failed"
    NO_TRACE = "no trace"
    TIMED_OUT = "timed out"
    UNKNOWN = "unknown"


def recover_disk(unit: DiskUnit, rules: Rules) -> Script[None]:
    """A disk that has no server: its mark lies on the disk itself. Leaves the outcome in the unit; never raises."""
    restore = unit.restore
    weight = int(restore.to_submit)  # what was restored by an earlier run takes no place, so it gives none back
    if (yield Admit(weight, running=restore.standing is Standing.WATCH)):
        if failure := (yield from _claim(restore)):
            restore.abandon((yield Now()), failure)
            keep_handle(restore)
            yield Discharge(weight)
        else:
            yield from restore_disk(restore, rules)
        if (not failure or restore.unwritten) and (yield from still_ours([restore])):
            # A restore may have replaced the disk's metadata by that of the backup, as Cinder's backup driver does:
            # the last mark is written after the job's end and makes up for it.
            yield from record([restore], closing=True)
    else:
        skip(restore, (yield Now()))
    if unit.group:
        yield Meet(unit.group, restore.state is State.RESTORED)


def _claim(restore: Restore) -> Script[ErrorInfo | None]:
    """Write the first mark, which also takes over what an earlier process began. Return why not.

    Nothing has to be prepared for a disk without a server, so its first mark says at once that it is submitted. One
    that came late may stand in the place of those of a run that has come and gone: it must not deny what that one did.
    """
    if restore.holder is None:
        return None
    began = yield Now()
    try:
        stranger = yield from in_one_go(partial(_stranger, restore))
    except GiveUp as reason:
        return reason.error
    if stranger is not None:
        return stranger
    write = announce if restore.to_announce else write_marks
    failure: ErrorInfo | None = yield from write([restore], claim=True)
    restore.doubt = restore.doubt or (restore.to_announce and (yield Now()) - began > CONFIRMED_SECONDS)
    return failure


def _stranger(restore: Restore) -> Script[ErrorInfo | None]:
    disk = yield Look(Thing.DISK, restore.volume_id)
    return disk if isinstance(disk, ErrorInfo) else overtaken(restore, disk.metadata)


def restore_disk(restore: Restore, rules: Rules) -> Script[None]:
    """Restore one detached disk exactly once and see how it ends. Leaves the outcome in `restore`; never raises."""
    if restore.standing is Standing.BROKEN:
        restore.end(State.FAILED, (yield Now()), broken_before(restore))
        return
    if not restore.to_submit:
        restore.end(State.RESTORED, (yield Now()))
        return
    if not (yield TakeSlot(running=restore.standing is Standing.WATCH, soon=restore.volume_id)):
        skip(restore, (yield Now()))
        yield Discharge(1)
        return
    try:
        yield from _submit_and_watch(restore, rules)
    except Stopped:
        skip(restore, (yield Now()))
    except GiveUp as reason:
        restore.abandon((yield Now()), reason.error)
    keep_handle(restore)
    yield FreeSlot(good=restore.state in (State.RESTORED, State.SUBMITTED))
    yield Discharge(1)


def follow_disk(restore: Restore, rules: Rules) -> Script[None]:
    """Follow what an earlier task submitted, by its handle. Never submits. Without `wait`, one look."""
    now: float = yield Now()
    restore.begin(now)
    had_ended, unreadable = yield from _has_ended(restore)
    if unreadable and not (restore.volume_id and rules.wait):
        restore.end(State.UNKNOWN, (yield Now()), unreadable)
        return
    if not rules.wait and not had_ended:
        return
    verdict, error = yield from watch(restore, rules, now + rules.wait_timeout_seconds)
    if verdict is Verdict.NO_TRACE:
        verdict, error = Verdict.UNKNOWN, _untraceable(restore)
    yield from conclude(restore, verdict, error)
    restore.changed = restore.changed and not had_ended


def _has_ended(restore: Restore) -> Script[tuple[bool, ErrorInfo | None]]:
    """Whether a restore that was submitted before had ended before we came, and why that could not be read."""
    if restore.mark.job:
        job = yield Look(Thing.VBS_JOB, restore.mark.job)
        unreadable = job if isinstance(job, ErrorInfo) else None
        return isinstance(job, Job) and job.state is not JobState.RUNNING, unreadable
    disk = yield Look(Thing.DISK, restore.volume_id)
    unreadable = disk if isinstance(disk, ErrorInfo) else None
    return isinstance(disk, Disk) and disk.status != "restoring-backup", unreadable


def _submit_and_watch(restore: Restore, rules: Rules) -> Script[None]:
    now: float = yield Now()
    restore.begin(now)
    deadline = now + rules.wait_timeout_seconds
    runs = restore.standing is Standing.WATCH
    had_ended = False
    if runs:
        _adopt(restore, now)
        had_ended, _unreadable = yield from _has_ended(restore)
    elif restore.doubt:
        runs = yield from _trace_shows(restore, rules)
    for _attempt in range(SUBMITS_AFTER_LOST_ANSWERS):
        if not runs:
            had_ended = False
            runs = yield from _submit(restore, rules, deadline)
        if restore.state is not State.PLANNED:
            return
        if runs and not rules.wait:
            restore.state = State.SUBMITTED
            return
        if runs:
            verdict, error = yield from watch(restore, rules, deadline)
            if verdict is not Verdict.NO_TRACE:
                yield from conclude(restore, verdict, error)
                restore.changed = restore.changed and not had_ended
                return
            runs = False
            restore.doubt = restore.doubt or restore.accepted  # a later no does not prove that this one did nothing
        if restore.holder is None:  # no mark proves that the disk was ours all the time: never submit twice
            break
    yield from conclude(restore, Verdict.UNKNOWN, _untraceable(restore))


def _submit(restore: Restore, rules: Rules, deadline: float) -> Script[bool]:
    """Look once more, then ask. True: it runs. False: refused, which ended it, or no trace after a lost answer."""
    while True:
        yield TakeTurn(RestoreDisk)
        if not (yield GoesOn()):
            raise Stopped
        obstacle = yield from in_one_go(partial(_not_ready, restore))
        if obstacle is None:
            answer: Accepted | ErrorInfo = yield RestoreDisk(restore.backup_id, restore.volume_id)
            if isinstance(answer, Accepted):
                yield from _accept(restore, answer)
                return True
            if answer.kind is Failure.LOST:
                restore.doubt, restore.lost = True, answer
                yield Say(
                    "answer_lost",
                    restore.target,
                    f"{restore.name}: no answer to the restore, looking",
                    restore.volume_id,
                )
                return (yield from _trace_shows(restore, rules))
            obstacle = (yield from _other_restore(restore, answer)) or answer
            if restore.doubt and obstacle.kind is Failure.BUSY:  # it may be the one whose answer was lost
                return (yield from _trace_shows(restore, rules))
        if obstacle.kind is Failure.REFUSED and (yield from _changed_under_our_mark(restore)):
            restore.doubt = True
            return (yield from _trace_shows(restore, rules))
        now = yield Now()
        if obstacle.kind not in (Failure.BUSY, Failure.UNREACHABLE) or now >= deadline:
            yield from _refuse(restore, obstacle)
            return False
        yield Pause(obstacle.retry_after_seconds or rules.wait_interval_seconds)


def _accept(restore: Restore, answer: Accepted) -> Script[None]:
    restore.changed = restore.accepted = True
    restore.doubt = False
    restore.accepted_at = yield Now()
    restore.handle = handle_of(restore, job_id=answer.job_id, submitted_at=restore.accepted_at)
    yield Say("accepted", restore.target, f"{restore.name}: restore accepted, job {answer.job_id}", restore.volume_id)
    yield from move(restore, Phase.ACCEPTED, job=answer.job_id)


def _adopt(restore: Restore, now: float) -> None:
    restore.adopted = restore.accepted = True
    restore.doubt = False
    restore.handle = handle_of(restore, submitted_at=now)


def _refuse(restore: Restore, error: ErrorInfo) -> Script[None]:
    """The cloud said no. If an earlier answer was lost, this no does not prove that nothing was done."""
    restore.end(State.UNKNOWN if restore.doubt else State.FAILED, (yield Now()), error)
    yield Say("refused", restore.target, f"{restore.name}: not restored: {error}", restore.volume_id)


def _not_ready(restore: Restore) -> Script[ErrorInfo | None]:
    # first whose it is: what looks like an obstacle may be the work of the run that has taken over
    return (yield from _confirm(restore)) or (yield from _obstacle(restore))


def _obstacle(restore: Restore) -> Script[ErrorInfo | None]:
    """What stands against submitting right now. The backup is the cloud's to check, and it does."""
    disk = yield Look(Thing.DISK, restore.volume_id, JUST_SEEN_SECONDS)
    if isinstance(disk, Disk) and not disk.free:
        disk = yield Look(Thing.DISK, restore.volume_id)
    if isinstance(disk, ErrorInfo):
        return disk
    if not disk.free:
        return changed_since(f"disk {disk.id} is {disk.status} instead of detached and available")
    return None


def _changed_under_our_mark(restore: Restore) -> Script[bool]:
    """Whether it is being restored, or such a restore has failed, though not for us: then it is not untouched.

    The process that this one took over from may have been about to ask.
    """
    disk = (yield Look(Thing.DISK, restore.volume_id)) if restore.holder else None
    return isinstance(disk, Disk) and (disk.status == "restoring-backup" or disk.status.startswith("error"))


def _other_restore(restore: Restore, refused: ErrorInfo) -> Script[ErrorInfo | None]:
    """A backup restores one disk at a time (VBS user guide): if that is why, its turn comes later."""
    backup = (yield Look(Thing.VBS_BACKUP, restore.backup_id)) if refused.kind is Failure.REFUSED else None
    if isinstance(backup, Backup) and backup.status == "restoring":
        return ErrorInfo(Failure.BUSY, f"backup {backup.id} is restoring another disk")
    return None


def _confirm(restore: Restore) -> Script[ErrorInfo | None]:
    """See that the marks say `submitting` and are still ours, right before the submit. Raises GiveUp."""
    # read back before the write, too: the marks of a run that has taken over must not be written over
    if restore.mark.phase is not Phase.SUBMITTING and (
        failure := (yield from confirm_owner(restore)) or (yield from announce([restore]))
    ):
        return failure
    return (yield from confirm_owner(restore, JUST_SEEN_SECONDS))


def confirm_owner(restore: Restore, max_age_seconds: float = 0.0) -> Script[ErrorInfo | None]:
    """Go on only while the marks are this run's own: raises GiveUp if they are not. Returns why it cannot be told.

    The backup of a disk was there before we claimed the disk, so who takes over claims it after that. An earlier owner
    came out of the backup, with the disk's metadata.
    """
    if restore.holder is None:
        return None
    since = 0.0 if restore.server_id else restore.backup_created_at or 0.0
    stranger: ErrorInfo | None = yield ConfirmOwner(restore.holder, max_age_seconds, since)
    if stranger is not None and stranger.kind is Failure.TAKEN:
        raise GiveUp(stranger)
    return stranger


def still_ours(restores: list[Restore]) -> Script[bool]:
    """Before marks are written and disks attached after hours of restoring: another run may work on them by now.

    That a disk bears no owner, or one of before, is the work of its restore, which may replace its metadata by the
    backup's.
    """
    first = restores[0]
    try:
        yield from in_one_go(partial(confirm_owner, first, JUST_SEEN_SECONDS))
    except GiveUp as reason:
        wiped = not first.server_id and reason.error.code == REMOVED
        if (
            wiped or reason.error.kind is not Failure.TAKEN
        ):  # what cannot be told now is no reason to leave disks behind
            return True
        for restore in restores:
            restore.error = reason.error
        return False
    return True


def _trace_shows(restore: Restore, rules: Rules) -> Script[bool]:
    """After a lost answer: does the restore run? Its trace may lag, so nothing seen counts only after a grace."""
    until = (yield Now()) + rules.grace_seconds
    while True:
        disk = yield Look(Thing.DISK, restore.volume_id)
        backup = yield Look(Thing.VBS_BACKUP, restore.backup_id)
        if not isinstance(disk, ErrorInfo) and not isinstance(backup, ErrorInfo):
            if disk.status.startswith("error"):
                restore.accepted, restore.doubt = True, False
                raise GiveUp(_broken(disk))
            if disk.attachments:
                raise GiveUp(changed_since(f"disk {disk.id} was attached by somebody else"))
            if disk.status == "restoring-backup" and backup.status == "restoring":
                _adopt(restore, (yield Now()))
                restore.changed = True
                yield Say(
                    "adopted", restore.target, f"{restore.name}: the restore runs, waiting for it", restore.volume_id
                )
                return True
        if (yield Now()) >= until:
            return False
        yield Pause(rules.wait_interval_seconds, poll=True)


def watch(restore: Restore, rules: Rules, deadline: float) -> Script[tuple[Verdict, ErrorInfo | None]]:
    """Follow the job to its end; without a job that can be read, follow the states of disk and backup.

    While the disk shows that it is being restored the job is asked seldom, as one list call shows many disks. What
    counts is the job's word: so it is asked now and then although the disk says so, and once more before time is up.
    """
    since: float = yield Now()
    if restore.accepted_at is not None:
        since = restore.accepted_at
        yield Await(RESTORE, restore.size_gb, since, deadline, rules.wait_interval_seconds)
    was_restoring = False
    unread: ErrorInfo | None = None
    misses = 0
    ask_again = 0.0
    while restore.mark.job and misses < JOB_MISSES:
        disk = (yield Look(Thing.DISK, restore.volume_id)) if restore.volume_id else None
        restoring = isinstance(disk, Disk) and disk.status == "restoring-backup"
        was_restoring = was_restoring or restoring
        now: float = yield Now()
        seconds = now - since
        if not restoring or seconds >= ask_again or now >= deadline:
            ask_again = JOB_GROWTH * seconds
            job = yield Look(Thing.VBS_JOB, restore.mark.job)
            if isinstance(job, Job) and job.state is JobState.SUCCEEDED:
                if restore.accepted_at is not None:
                    yield Learn(RESTORE, restore.size_gb, min(seconds, job.seconds or seconds))
                # a state from before the submit may still be shown, but no longer than traces lag
                believed = disk if was_restoring or seconds >= rules.grace_seconds else None
                return (yield from _settle(restore, rules, deadline, believed))
            if verdict := _ended_badly(job):
                return verdict
            unread = job if isinstance(job, ErrorInfo) else None
            misses += _says_nothing(job, disk)
        if (yield Now()) >= deadline:
            return Verdict.TIMED_OUT, timed_out(restore, rules, unread)
        if restoring:
            yield Await(RESTORE, restore.size_gb, since, deadline, rules.wait_interval_seconds)
        else:  # just begun, or about to end
            yield Pause(rules.wait_interval_seconds, poll=True)
    return (yield from _watch_states(restore, rules, deadline, was_restoring=was_restoring))


def _says_nothing(job: Job | ErrorInfo, disk: Disk | ErrorInfo | None) -> bool:
    """It is not there any more, or is said to run while its disk shows that it has failed."""
    if isinstance(job, ErrorInfo):
        return job.kind in (Failure.MISSING, Failure.REFUSED)
    return isinstance(disk, Disk) and disk.status.startswith("error")


def _ended_badly(job: Job | ErrorInfo) -> tuple[Verdict, ErrorInfo] | None:
    if isinstance(job, Job) and job.state is JobState.FAILED:
        return Verdict.FAILED, replace(job_error(job), remedy=AFTER_A_FAILED_RESTORE)
    if isinstance(job, ErrorInfo) and job.kind is Failure.DENIED:
        return Verdict.UNKNOWN, replace(job, remedy=f"{job.remedy} {MAY_GO_ON}".strip())
    return None


def _settle(
    restore: Restore, rules: Rules, deadline: float, disk: Disk | ErrorInfo | None
) -> Script[tuple[Verdict, ErrorInfo | None]]:
    """The job succeeded; the disk must say so too, and it may lag. `disk` is how it was just seen, if that counts."""
    if not restore.volume_id:  # a bare job id does not name the disk
        return Verdict.RESTORED, None
    while True:
        disk = disk or (yield Look(Thing.DISK, restore.volume_id))
        if isinstance(disk, Disk):
            if disk.status.startswith("error"):
                return Verdict.FAILED, _broken(disk)
            if disk.status in ("available", "in-use"):
                return Verdict.RESTORED, None
        if isinstance(disk, ErrorInfo) and disk.kind in (Failure.DENIED, Failure.MISSING):
            return Verdict.UNKNOWN, disk
        if (yield Now()) >= deadline:
            return Verdict.TIMED_OUT, timed_out(restore, rules)
        disk = None
        yield Pause(rules.wait_interval_seconds, poll=True)


def _watch_states(
    restore: Restore, rules: Rules, deadline: float, *, was_restoring: bool
) -> Script[tuple[Verdict, ErrorInfo | None]]:
    """Without a job that can be read: the disk goes from restoring-backup back to available, and so does the backup.

    A restore that failed leaves its disk in error_restoring (EVS API, Disk Status). Where the backup is not known, or
    gone, the disk alone has to tell.
    """
    if not restore.volume_id:  # a bare job id names neither
        return Verdict.UNKNOWN, _untraceable(restore)
    silent_until = (yield Now()) + rules.grace_seconds
    while True:
        disk = yield Look(Thing.DISK, restore.volume_id)
        backup = (yield Look(Thing.VBS_BACKUP, restore.backup_id)) if restore.backup_id else None
        if isinstance(disk, ErrorInfo) and disk.kind in (Failure.DENIED, Failure.MISSING):
            return Verdict.UNKNOWN, disk
        if isinstance(disk, Disk):
            if disk.status.startswith("error"):
                return Verdict.FAILED, _broken(disk)
            if disk.attachments:
                return Verdict.UNKNOWN, changed_since(f"disk {disk.id} was attached by somebody else")
            was_restoring = was_restoring or disk.status == "restoring-backup"
            if disk.status == "available" and not _may_be_restoring(backup):
                verdict = _at_rest(restore, was_restoring=was_restoring, over=(yield Now()) >= silent_until)
                if verdict is not None:
                    return verdict, None
        if (yield Now()) >= deadline:
            return Verdict.TIMED_OUT, timed_out(restore, rules)
        yield Pause(rules.wait_interval_seconds, poll=True)


def _may_be_restoring(backup: Backup | ErrorInfo | None) -> bool:
    """It is, or that cannot be told just now."""
    if isinstance(backup, ErrorInfo):
        return backup.kind in PASSING
    return backup is not None and backup.status == "restoring"


def _at_rest(restore: Restore, *, was_restoring: bool, over: bool) -> Verdict | None:
    """What it means that disk and backup are at rest. `over`: a trace that lags would have been seen by now.

    A disk that was not seen while it was restored may not have been: then nothing is believed. Detached under our own
    mark, to submit it once more is harmless, and certain.
    """
    if restore.mark.at > 0 and not restore.mark.job:
        return Verdict.NO_TRACE
    if was_restoring:
        restore.notes.append("its job cannot be read: that it succeeded is told by the states of disk and backup")
        return Verdict.RESTORED
    return Verdict.NO_TRACE if over else None


_STATES = {
    Verdict.RESTORED: State.RESTORED,
    Verdict.FAILED: State.FAILED,
    Verdict.TIMED_OUT: State.TIMED_OUT,
    Verdict.UNKNOWN: State.UNKNOWN,
}


def conclude(restore: Restore, verdict: Verdict, error: ErrorInfo | None) -> Script[None]:
    restore.end(_STATES[verdict], (yield Now()), error)
    restore.changed = restore.changed or verdict in (Verdict.RESTORED, Verdict.FAILED)
    text = f"{restore.name}: {restore.state.value}" + (f": {error}" if error else "")
    yield Say(restore.state.value, restore.target, text, restore.volume_id)


def keep_handle(restore: Restore) -> None:
    """What is unknown can be followed by its handle, whoever submitted it."""
    if restore.state is State.UNKNOWN and restore.handle is None:
        restore.handle = handle_of(restore, submitted_at=restore.started_at)


def handle_of(restore: Restore, *, job_id: str = "", submitted_at: float | None = None) -> dict[str, Any]:
    return {
        "service": "vbs",
        "job_id": job_id or restore.mark.job or None,
        "backup_id": restore.backup_id,
        "volume_id": restore.volume_id,
        "submitted_at": submitted_at,
    }


def changed_since(what: str) -> ErrorInfo:
    return ErrorInfo(
        Failure.REFUSED,
        f"{what}; it changed since it was checked",
        remedy="Find out who changed it, then start again; a plan must be made and approved anew.",
    )


def _broken(disk: Disk) -> ErrorInfo:
    return _lost_disk(f"disk {disk.id} is {disk.status} after the restore")


def broken_before(restore: Restore) -> ErrorInfo:
    return _lost_disk(f"{restore.name} is in an error state since it was begun")


def _lost_disk(what: str) -> ErrorInfo:
    remedy = "The cloud allows only to delete such a disk: make a new one from the backup and attach that."
    return ErrorInfo(Failure.REFUSED, what, remedy=remedy)


def _untraceable(restore: Restore) -> ErrorInfo:
    """Why it cannot be told whether it was restored, with what the cloud said instead of an answer, if anything."""
    lost = restore.lost or ErrorInfo(Failure.LOST, "the answer to the restore was lost")
    if restore.mark.job:
        lost = ErrorInfo(Failure.MISSING, f"job {restore.mark.job} cannot be read")
    return replace(
        lost,
        message=f"{lost.message.rstrip('.')}; {restore.name} and its backup show no trace of a restore, so whether it"
        " was done is unknown",
        remedy="Look at disk and backup in the cloud's console before anything is started again.",
        retry_after_seconds=None,
    )


def skip(restore: Restore, now: float) -> None:
    """The run was stopped before its turn came."""
    reason = ErrorInfo(
        Failure.REFUSED,
        f"{restore.name}: not started, because the run was stopped after a failure",
        remedy="Mend what failed, then run the same playbook again.",
    )
    restore.abandon(now, reason)
    if restore.state is State.FAILED:
        restore.state = State.SKIPPED
