# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole server comes back from its HSS backup, exactly once.

The call answers with nothing, not even an id, and the task list names neither backup id nor operation (HSS API:
Restoring Data Using a Backup; Querying the Backup and Restoration Task List). So the list is read before the call, and
what stands there later and did not before is ours. Records are compared as raw text: the format of their times is not
documented.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from .commands import (
    Admit,
    Discharge,
    FreeSlot,
    GoesOn,
    Look,
    Meet,
    Now,
    Pause,
    RestoreServer,
    Say,
    Script,
    StartServer,
    TakeSlot,
    TakeTurn,
    Thing,
)
from .disks import Verdict, changed_since, conclude, confirm_owner, skip, still_ours
from .mark import Phase, Standing
from .model import Accepted, Backup, ErrorInfo, Failure, LogRecord, Server
from .outcome import NOT_STARTED, Restore, Rules, State, announce, held_off, move, overtaken, timed_out, write_marks
from .steps import CONFIRMED_SECONDS, JUST_SEEN_SECONDS, PASSING, GiveUp, Stopped, carry_out, in_one_go, started

FINAL = {"success": True, "skipped": False, "failed": False, "timeout": False}
"""Statuses of a task that has ended (HSS API), and whether it ended well. `running` and `waiting` are open, and so is
any text that is not documented: it is never taken for success."""

RESTORING = ("restoring", "waiting_restore")
DIGEST_LENGTH = 8
DIGESTS_IN_A_MARK = 7
TOO_MANY = "+"
"""In place of digests that do not fit into a mark: then new records cannot be told after a crash."""


@dataclass
class HssUnit:
    """One server that HSS restores as a whole."""

    target: str
    server_id: str
    server_name: str
    was_running: bool
    restore: Restore
    group: str = ""
    as_found: bool = False
    """It is to be given back the power state that it is found in."""
    remembered: bool = False
    """That state is known from an earlier restore, which may have left the server off."""
    started: bool = False
    """This process has started it."""
    left: str = ""
    notes: list[str] = field(default_factory=list)
    error: ErrorInfo | None = None

    @property
    def restores(self) -> list[Restore]:
        return [self.restore]

    def found(self, server: Server) -> None:
        """Remember the power state. As found means now: hours may have passed since the plan was checked."""
        if self.remembered:
            return
        self.was_running = not server.stopped
        self.restore.mark = replace(self.restore.mark, was_running=self.was_running)
        if self.as_found:
            self.restore.power_on = self.was_running


def _is_of(record: LogRecord, host_id: str, backup_name: str) -> bool:
    """Without a host (the backup of one disk, whose server nobody named) the name of the backup has to do."""
    return record.backup_name == backup_name and (record.host_id == host_id or not host_id)


def digests(records: Iterable[LogRecord], host_id: str, backup_name: str) -> tuple[str, ...]:
    """The records of one host and backup as short hashes, to remember what was in the list before."""
    mine = (r.identity for r in records if _is_of(r, host_id, backup_name))
    return tuple(sorted(hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH] for text in mine))


def new_records(records: Iterable[LogRecord], host_id: str, backup_name: str, before: Iterable[str]) -> list[LogRecord]:
    """Those that were not there before. Of equal ones, the open ones count as the new ones."""
    known = Counter(before)
    fresh = []
    mine = (record for record in records if _is_of(record, host_id, backup_name))
    for record in sorted(mine, key=lambda r: r.status not in FINAL):
        [digest] = digests([record], host_id, backup_name)
        if known[digest]:
            known[digest] -= 1
        else:
            fresh.append(record)
    return fresh


def open_records(records: Iterable[LogRecord], host_id: str, backup_name: str) -> list[LogRecord]:
    """What is not over yet at this host, from whatever backup; without a host, from this backup."""
    here = (r for r in records if (r.host_id == host_id if host_id else r.backup_name == backup_name))
    return [record for record in here if record.status not in FINAL]


def _open(restore: Restore, records: Iterable[LogRecord]) -> list[LogRecord]:
    return open_records(records, restore.server_id, restore.backup_name)


def pack(before: tuple[str, ...]) -> str:
    """The digests as a mark carries them."""
    return ".".join(before) if len(before) <= DIGESTS_IN_A_MARK else TOO_MANY


def unpack(packed: str) -> tuple[str, ...] | None:
    """None if they did not fit."""
    return None if packed == TOO_MANY else tuple(part for part in packed.split(".") if part)


def recover_hss(unit: HssUnit, rules: Rules) -> Script[None]:
    """Restore one server and see how it ends. Leaves the outcome in the unit; never raises."""
    restore = unit.restore
    begun = restore.standing in _BEGUN  # what is begun is ended, also when the run is being stopped
    if (yield Admit(1, running=begun)):
        if (yield TakeSlot(running=begun)):
            restore.begin((yield Now()))
            try:
                yield from restore_server(unit, rules)
            except Stopped:
                skip(restore, (yield Now()))
            except GiveUp as reason:
                restore.abandon((yield Now()), reason.error)
                if restore.state is State.RESTORED:  # before, and by whom it is handed over is another's to say
                    unit.error = reason.error
                if restore.state is State.UNKNOWN and restore.handle is None:
                    restore.handle = handle_of(restore, unpack(restore.mark.job), (yield Now()))
            yield FreeSlot(good=restore.state in (State.RESTORED, State.SUBMITTED))
        yield Discharge(1)
    if restore.state is State.PLANNED:
        skip(restore, (yield Now()))
    yield from _hand_over(unit, rules)


def restore_server(unit: HssUnit, rules: Rules) -> Script[None]:
    """Submit, unless it runs or has ended already, and watch. Raises GiveUp for what was never accepted."""
    restore = unit.restore
    if restore.standing in _BEGUN and (failure := (yield from _take_over(unit))):
        raise GiveUp(failure)
    if not restore.to_submit:
        restore.end(State.RESTORED, (yield Now()))
        return
    deadline = (yield Now()) + rules.wait_timeout_seconds
    before: tuple[str, ...] | None
    had_ended = False
    if restore.standing is Standing.WATCH:
        restore.adopted = True
        before = unpack(restore.mark.job)
        had_ended = _ended(_new(restore, (yield Look(Thing.HSS_LOG)), before))
    else:
        before = yield from _submit(unit, rules, deadline)
    restore.handle = handle_of(restore, before, (yield Now()))
    if not rules.wait and not restore.doubt:
        restore.state = State.SUBMITTED
        return
    verdict, error = yield from watch(restore, rules, deadline, before)
    if verdict is Verdict.UNKNOWN and restore.standing is Standing.WATCH and restore.target in rules.resubmit_unknown:
        yield Say("resubmit", restore.target, f"{restore.name}: unknown, submitted again as was asked for")
        restore.standing = Standing.SUBMIT
        yield from restore_server(unit, rules)
        return
    yield from conclude(restore, verdict, error)
    restore.changed = restore.changed and not had_ended
    if verdict in _PHASES:
        restore.accepted, restore.doubt = True, False
        if (yield from still_ours([restore])):
            yield from move(restore, _PHASES[verdict])


_BEGUN = (Standing.WATCH, Standing.ATTACH)
_PHASES = {Verdict.RESTORED: Phase.RESTORED, Verdict.FAILED: Phase.FAILED}


def follow_server(restore: Restore, rules: Rules) -> Script[None]:
    """Follow what an earlier task submitted, by its handle. Never submits. Without `wait`, one look."""
    now: float = yield Now()
    restore.begin(now)
    records = yield Look(Thing.HSS_LOG)
    if isinstance(records, ErrorInfo) and not rules.wait:
        restore.end(State.UNKNOWN, (yield Now()), records)
        return
    mine = _new(restore, records, restore.log_before)
    had_ended = _ended(mine)
    restore.progress_percent = mine[0].progress_percent if mine else None
    if not rules.wait and not had_ended:
        return
    deadline = now + rules.wait_timeout_seconds
    verdict, error = yield from watch(restore, rules, deadline, restore.log_before)
    yield from conclude(restore, verdict, error)
    restore.changed = restore.changed and not had_ended


def _take_over(unit: HssUnit) -> Script[ErrorInfo | None]:
    """Go on with what an earlier process began. Returns why it could not be taken over."""
    return (yield from in_one_go(partial(_overtaken, unit))) or (yield from write_marks([unit.restore], claim=True))


def _submit(unit: HssUnit, rules: Rules, deadline: float) -> Script[tuple[str, ...]]:
    """Look, remember the list, ask. Returns what was in the list before; `restore.doubt` if the answer was lost."""
    restore = unit.restore
    before: tuple[str, ...] = ()
    announced = False
    while True:
        # HSS takes five of these calls a minute: the turn comes first, so that nothing seen before it has grown old
        yield TakeTurn(RestoreServer)
        if not (yield GoesOn()):
            raise Stopped
        backup = yield Look(Thing.HSS_BACKUP, restore.backup_id)
        records = yield Look(Thing.HSS_LOG)
        looked_at = yield Now()
        obstacle = (yield from in_one_go(partial(_look_again, unit))) or _obstacle(restore, backup, records)
        if obstacle is None:
            restore.backup_name = backup.name or restore.backup_name
            if not announced:
                before = digests(records, restore.server_id, restore.backup_name)
            if _runs_already(restore, backup, records):
                return (yield from _adopt(restore, records, before))
            if _new(restore, records, before):  # while this one was refused, or waited to be asked again
                raise GiveUp(_worked_on(restore))
            if not announced:
                obstacle = yield from _announce(restore, rules, before, looked_at)
                announced = obstacle is None
            obstacle = obstacle or (yield from _ask(unit, rules))
            if obstacle is None:
                return before
        if obstacle.kind not in (Failure.BUSY, Failure.UNREACHABLE) or (yield Now()) >= deadline:
            yield from _take_back(restore, before)
            raise GiveUp(obstacle)
        yield Pause(obstacle.retry_after_seconds or rules.wait_interval_seconds)


def _look_again(unit: HssUnit) -> Script[ErrorInfo | None]:
    """Until this run has marked the server, another one may have."""
    if unit.restore.mark.phase is not Phase.BEGUN or unit.restore.unwritten:
        return None
    return (yield from _overtaken(unit))


def _overtaken(unit: HssUnit) -> Script[ErrorInfo | None]:
    restore = unit.restore
    if restore.holder is None:
        return None
    server = yield Look(Thing.SERVER, restore.server_id)
    if isinstance(server, ErrorInfo):
        return server
    if restore.standing is Standing.FRESH:
        unit.found(server)
    return overtaken(restore, server.metadata)


def _obstacle(restore: Restore, backup: Backup | ErrorInfo, records: list[LogRecord] | ErrorInfo) -> ErrorInfo | None:
    """What stands against submitting right now."""
    if isinstance(backup, ErrorInfo):
        return backup
    if isinstance(records, ErrorInfo):
        return records
    if _runs_already(restore, backup, records):
        return None
    for record in _open(restore, records):
        return changed_since(f"HSS works on server {record.host_id}: {record.backup_name} is {record.status}")
    if backup.status != "available":
        return changed_since(f"backup {backup.id} is {backup.status} instead of available")
    return None


def _runs_already(restore: Restore, backup: Backup, records: list[LogRecord]) -> bool:
    """An open record of this host is ours only with the same backup name and that backup itself restoring."""
    opened = _open(restore, records)
    return bool(opened) and backup.status in RESTORING and all(record.backup_name == backup.name for record in opened)


def _adopt(restore: Restore, records: list[LogRecord], before: tuple[str, ...]) -> Script[tuple[str, ...]]:
    """It runs already. Returns what was in the list before it was submitted. Raises GiveUp."""
    yield Say("adopted", restore.target, f"{restore.name}: this restore runs already, waiting for it")
    running = digests(_open(restore, records), restore.server_id, restore.backup_name)
    before = tuple((Counter(before) - Counter(running)).elements())
    if restore.mark.phase is not Phase.SUBMITTING:
        failure = yield from move(restore, Phase.SUBMITTING, job=pack(before), claim=True)
        if failure is not None and failure.kind is Failure.TAKEN:
            raise GiveUp(failure)  # it is the restore of the run that works on the server
    restore.adopted = restore.accepted = True
    yield from move(restore, Phase.ACCEPTED)
    return before


def _announce(restore: Restore, rules: Rules, before: tuple[str, ...], looked_at: float) -> Script[ErrorInfo | None]:
    """Write `submitting`, and see that no other run works on the server. Returns why it is not written.

    Whoever has claimed the server at the same moment has done so by the end of the pause, and one of us reads that. A
    mark that took longer may stand in the place of that of a run that had read its own back by then. Raises GiveUp.
    """
    if restore.standing is not Standing.FRESH:  # claimed before; what was new in the list by then is not the new one's
        if failure := (yield from confirm_owner(restore)):
            return failure
        restore.mark = replace(restore.mark, job=pack(before))
        return (yield from announce([restore], job=pack(before)))
    if failure := (yield from announce([restore], job=pack(before), claim=True)):
        return failure
    late = (yield Now()) - looked_at > rules.settle_seconds
    if restore.holder is not None:
        yield Pause(rules.settle_seconds)
    if late and (yield from _may_be_restored(restore, before)):
        raise GiveUp(_worked_on(restore))
    return None


def _ask(unit: HssUnit, rules: Rules) -> Script[ErrorInfo | None]:
    """Submit. Returns the refusal; None if it was accepted, or may have been. Raises GiveUp."""
    restore = unit.restore
    if failure := (yield from confirm_owner(restore)):
        return failure
    power_on = restore.power_on and not unit.group and rules.start_servers
    order = RestoreServer(restore.backup_id, restore.server_id or None, power_on, restore.mappings)
    answer: Accepted | ErrorInfo = yield order
    if isinstance(answer, Accepted):
        restore.changed = restore.accepted = True
        yield Say("accepted", restore.target, f"{restore.name}: restore from backup {restore.backup_name} accepted")
        yield from move(restore, Phase.ACCEPTED)
        return None
    if answer.kind is not Failure.LOST:
        return answer
    restore.doubt, restore.lost = True, answer
    yield Say("answer_lost", restore.target, f"{restore.name}: no answer to the restore, looking")
    return None


def _take_back(restore: Restore, before: tuple[str, ...]) -> Script[None]:
    """It was refused, so nothing was accepted. The mark must not deny what another run may do under it, though."""
    if restore.holder is None or restore.mark.phase is not Phase.SUBMITTING or not restore.untouched:
        return
    if not (yield from _may_be_restored(restore, before)) and (yield from still_ours([restore])):
        yield from move(restore, Phase.BEGUN)


def _may_be_restored(restore: Restore, before: tuple[str, ...]) -> Script[bool]:
    """Whether the server is restored, or was since the list of before; also if that cannot be told."""
    records = yield Look(Thing.HSS_LOG)
    if isinstance(records, ErrorInfo) or _open(restore, records) or _new(restore, records, before):
        return True
    backup: Backup | ErrorInfo = yield Look(Thing.HSS_BACKUP, restore.backup_id)
    return isinstance(backup, ErrorInfo) or backup.status in RESTORING


def _worked_on(restore: Restore) -> ErrorInfo:
    return changed_since(f"{restore.name} was worked on while its first mark was on its way")


def watch(
    restore: Restore, rules: Rules, deadline: float, before: tuple[str, ...] | None
) -> Script[tuple[Verdict, ErrorInfo | None]]:
    """Follow the new record to its end. If there is none for long, the backup's own status must show the restore."""
    silent_until = (yield Now()) + rules.hss_silence_seconds
    while True:
        records = yield Look(Thing.HSS_LOG)
        if isinstance(records, ErrorInfo) and records.kind is Failure.DENIED:
            return Verdict.UNKNOWN, records
        mine = _new(restore, records, before)
        if _ended(mine):
            return _verdict(mine)
        if mine:
            restore.accepted, restore.doubt = True, False
            restore.changed = restore.changed or restore.lost is not None  # it is the one whose answer was lost
            restore.progress_percent = mine[0].progress_percent
        # silence counts only while the list can be heard: it may have been out of reach since the last record
        if mine or isinstance(records, ErrorInfo):
            silent_until = (yield Now()) + rules.hss_silence_seconds
        elif (yield Now()) >= silent_until:
            if not (yield from _backup_restores(restore)):
                return Verdict.UNKNOWN, _silent(restore, rules)
            silent_until = (yield Now()) + rules.hss_silence_seconds
        if (yield Now()) >= deadline:
            return Verdict.TIMED_OUT, timed_out(restore, rules)
        yield Pause(rules.wait_interval_seconds, poll=True)


def _backup_restores(restore: Restore) -> Script[bool]:
    """Whether the backup itself shows a restore, or cannot be asked just now."""
    backup: Backup | ErrorInfo = yield Look(Thing.HSS_BACKUP, restore.backup_id)
    return backup.kind in PASSING if isinstance(backup, ErrorInfo) else backup.status in RESTORING


def _new(restore: Restore, records: list[LogRecord] | ErrorInfo, before: tuple[str, ...] | None) -> list[LogRecord]:
    if isinstance(records, ErrorInfo):
        return []
    if before is None:  # the list before is not known any more: only what is open now can be told
        return [r for r in _open(restore, records) if r.backup_name == restore.backup_name]
    return new_records(records, restore.server_id, restore.backup_name, before)


def _ended(records: list[LogRecord]) -> bool:
    return bool(records) and all(record.status in FINAL for record in records)


def _verdict(records: list[LogRecord]) -> tuple[Verdict, ErrorInfo | None]:
    bad = next((record for record in records if not FINAL[record.status]), None)
    if bad is None:
        return Verdict.RESTORED, None
    return Verdict.FAILED, ErrorInfo(
        Failure.REFUSED,
        f"HSS reports the restore as {bad.status}: {bad.error_message or 'no reason given'}",
        code=bad.error_code,
        remedy="Look at the task in the console of HSS or CBR, mend what it names, then run the same playbook again.",
    )


def _hand_over(unit: HssUnit, rules: Rules) -> Script[None]:
    """Start what has to be started, once every member of its group came back. Close the mark."""
    restore = unit.restore
    restored = restore.state is State.RESTORED and unit.error is None
    group_restored = (yield Meet(unit.group, restored)) if unit.group else True
    if restored and not group_restored and restore.power_on and rules.start_servers:
        unit.error = held_off(unit.server_name, unit.group)
    elif restored and not group_restored:
        unit.notes.append(NOT_STARTED.format(unit.group))
    finished = restored and group_restored and (yield from _start(unit, rules))
    yield from _close(unit, finished=finished)
    server = yield Look(Thing.SERVER, unit.server_id)
    if isinstance(server, Server):
        unit.left = server.status


def _start(unit: HssUnit, rules: Rules) -> Script[bool]:
    """True unless it could not be started. A restore of this run's own, without a group, has powered the server on."""
    restore = unit.restore
    own = restore.standing in (Standing.FRESH, Standing.SUBMIT) and not restore.adopted
    if (own and not unit.group) or not (restore.power_on and rules.start_servers):
        return True
    before = yield Look(Thing.SERVER, unit.server_id, JUST_SEEN_SECONDS)
    try:
        # the others of its group may have taken hours
        guard = partial(confirm_owner, restore, CONFIRMED_SECONDS)
        yield from carry_out(StartServer(unit.server_id), started(unit.server_id), rules.step, guard=guard)
    except GiveUp as reason:
        unit.error = reason.error
        unit.notes.append(f"the server could not be started: {reason.error}")
        return False
    unit.started = isinstance(before, Server) and not before.running
    return True


def _close(unit: HssUnit, *, finished: bool) -> Script[None]:
    """Write the last mark. Without it a run months later would go on with this restore, and do nothing."""
    restore = unit.restore
    failure: ErrorInfo | None = None
    finished = finished and restore.mark.phase is Phase.RESTORED
    if finished and (not unit.group or (yield from still_ours([restore]))):
        failure = yield from move(restore, Phase.FINISHED)
    elif restore.state is State.RESTORED and restore.unwritten and (yield from still_ours([restore])):
        failure = yield from write_marks([restore])
        restore.unwritten = failure is not None
    if failure is not None:
        restore.error = replace(failure, message=_UNMARKED.format(restore.name, failure.message))


_UNMARKED = "{} is restored, but that could not be written down, so the next run would take it for unfinished: {}"


def handle_of(restore: Restore, before: tuple[str, ...] | None, submitted_at: float) -> dict[str, object]:
    return {
        "service": "hss",
        "server_id": restore.server_id,
        "backup_id": restore.backup_id,
        "backup_name": restore.backup_name,
        "log_before": None if before is None else list(before),
        "submitted_at": submitted_at,
    }


def _silent(restore: Restore, rules: Rules) -> ErrorInfo:
    """With what the cloud said instead of an answer, if it said anything."""
    lost = restore.lost or ErrorInfo(Failure.LOST, "")
    said = f"{lost.message.rstrip('.')}; " if lost.message else ""
    return replace(
        lost,
        message=f"{said}for {rules.hss_silence_seconds:.0f} s neither the task list nor backup {restore.backup_id}"
        f" shows the restore of {restore.name}; whether it was done is unknown",
        remedy="Look at server and backup in the console; resubmit_unknown submits it again.",
        retry_after_seconds=None,
    )
