# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server with its disks: stop, detach, restore, attach, start, and everything as it was found."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from .commands import (
    Admit,
    Attach,
    Detach,
    Discharge,
    GoesOn,
    Look,
    Meet,
    Now,
    Pause,
    Say,
    Script,
    StartServer,
    StopServer,
    Thing,
    Together,
)
from .disks import changed_since, confirm_owner, keep_handle, restore_disk, skip, still_ours
from .mark import Phase, Place, Standing, place
from .model import Disk, ErrorInfo, Failure, Server
from .outcome import (
    NOT_STARTED,
    Restore,
    Rules,
    ServerUnit,
    State,
    announce,
    held_off,
    overtaken,
    record,
    write_marks,
)
from .steps import (
    CONFIRMED_SECONDS,
    JUST_SEEN_SECONDS,
    GiveUp,
    Stopped,
    attached,
    carry_out,
    detached,
    in_one_go,
    started,
    stopped,
)

GATHER_SECONDS = 0.5
"""Servers whose turn comes at about the same time are stopped by one call."""


def recover_server(unit: ServerUnit, rules: Rules) -> Script[None]:
    """Bring all disks of one server back. Leaves the outcome in the unit and its restores; never raises."""
    running = any(restore.standing is Standing.WATCH for restore in unit.restores)
    if (yield Admit(unit.weight, running=running)):
        yield from _restore_disks(unit, rules)
    else:
        yield from _skip(unit)
        if unit.marked:
            yield from _take_up(unit, rules)
    yield from _note_started(unit)
    for restore in unit.restores if unit.taken else ():  # none of them goes back, also not what is restored
        restore.error = restore.error or unit.taken_by
    if unit.taken or not unit.marked or not (yield from still_ours(unit.restores)):
        # another run's by now, or nothing was changed
        if unit.group:
            yield Meet(unit.group, False)
        return
    yield from record(unit.restores)  # before a disk is attached again, its mark must say what it holds
    all_back = yield from _put_back(unit, rules)
    yield from _hand_over(unit, rules, all_back)


def _restore_disks(unit: ServerUnit, rules: Rules) -> Script[None]:
    try:
        yield from _free_disks(unit, rules)
    except Stopped:
        yield from _skip(unit)
        yield Discharge(unit.weight)
    except GiveUp as reason:
        yield from _give_up(unit, reason.error)
        if unit.marked and not unit.taken:
            # the stop or detach that was given up may still take effect, and the disk's state lag behind it
            yield Pause(rules.grace_seconds)
    else:
        yield Together(tuple(restore_disk(restore, rules) for restore in unit.restores))


def _skip(unit: ServerUnit) -> Script[None]:
    for restore in unit.restores:
        skip(restore, (yield Now()))


def _give_up(unit: ServerUnit, error: ErrorInfo) -> Script[None]:
    unit.error = error
    for restore in unit.restores:
        restore.abandon((yield Now()), error)
        keep_handle(restore)
    yield Discharge(unit.weight)
    yield Say("failed", unit.target, f"server {unit.server_name}: nothing was submitted: {error}")


def _free_disks(unit: ServerUnit, rules: Rules) -> Script[None]:
    """Mark, stop, detach. Raises GiveUp."""
    to_detach = yield from _claim(unit, rules)
    if to_detach:  # whoever has claimed it at the same moment has done so by then, and one of us reads that
        yield Pause(rules.settle_seconds, poll=True)
    if failure := (yield from confirm_owner(unit.restores[0])):
        raise GiveUp(failure)
    unit.marked = True
    if to_detach:
        yield from _if_it_goes_on()
        yield from _stop(unit, rules)
    # the system disk leaves last: a server without one refuses several operations (ECS error codes: Ecs.0105)
    for restore in reversed(to_detach):
        yield from _if_it_goes_on()
        order = Detach(unit.server_id, restore.volume_id)
        guard = partial(_unless_started, restore)
        at_once = restore.standing is Standing.FRESH  # then it was seen to be attached before the server was stopped
        restore.detaching = True
        yield from carry_out(order, detached(restore.volume_id), rules.step, guard=guard, at_once=at_once)
        restore.detached = True
        yield Say("detached", unit.target, f"{restore.name}: detached from {unit.server_name}", restore.volume_id)
    if failure := (yield from confirm_owner(unit.restores[0], CONFIRMED_SECONDS)):
        raise GiveUp(failure)
    if failure := (yield from announce([restore for restore in unit.restores if restore.to_announce])):
        raise GiveUp(failure)


def _unless_started(restore: Restore) -> Script[ErrorInfo | None]:
    """Whose it is, before a disk is detached, and that it is still off: what a person has started is left running.

    Returns why it cannot be told whose it is. Raises GiveUp.
    """
    failure = yield from confirm_owner(restore, CONFIRMED_SECONDS)
    if failure is None and (yield from _runs(restore.server_id, CONFIRMED_SECONDS)):
        raise GiveUp(changed_since(f"server {restore.server_id} was started since it was stopped"))
    return failure


def _runs(server_id: str, max_age_seconds: float) -> Script[bool]:
    """One look shows this and the owner."""
    server = yield Look(Thing.SERVER, server_id, max_age_seconds)
    return isinstance(server, Server) and server.running


def _note_started(unit: ServerUnit) -> Script[None]:
    """Nobody here sees what a server does that a person has started without its disks."""
    away = any(restore.detached or restore.standing in (Standing.SUBMIT, Standing.WATCH) for restore in unit.restores)
    if away and not unit.taken and (yield from _runs(unit.server_id, JUST_SEEN_SECONDS)):
        unit.notes.append("the server was started before its disks were back: see whether it uses them, or restart it")


def _take_up(unit: ServerUnit, rules: Rules) -> Script[None]:
    """Claim what an earlier process has taken apart, to put it back although nothing is restored."""
    try:
        yield from _claim(unit, rules)
    except GiveUp as reason:
        unit.error = reason.error
        unit.notes.append("an earlier process has begun with it: its disks may be detached, and it may be off")


def _claim(unit: ServerUnit, rules: Rules) -> Script[list[Restore]]:
    """Look, then write the first marks, which also take over what an earlier process began.

    Returns the restores whose disks are to be detached. Raises GiveUp.
    """
    began = yield Now()
    patient_until = began + rules.step_timeout_seconds
    while (to_detach := (yield from in_one_go(partial(_look_again, unit)))) is None:
        began = yield Now()
        if began >= patient_until:
            raise GiveUp(changed_since(f"server {unit.server_id} does not come to rest"))
        yield Pause(rules.wait_interval_seconds, poll=True)
    if failure := (yield from write_marks(unit.restores, claim=True)):
        raise GiveUp(failure)
    if (yield Now()) - began > CONFIRMED_SECONDS:
        yield from _came_late(unit, to_detach)
    return to_detach


def _came_late(unit: ServerUnit, to_detach: list[Restore]) -> Script[None]:
    """The marks may stand in the place of those of a run that has come and gone since the looks before them.

    If a disk is not where it was seen, that run may have restored it, and these marks must not deny that.
    """
    begun = [restore for restore in unit.restores if restore.mark.phase is Phase.BEGUN]
    for restore in begun:
        disk = yield Look(Thing.DISK, restore.volume_id)
        expected = Place.AS_MARKED if restore in to_detach else Place.FREE
        if isinstance(disk, ErrorInfo) or place(restore.mark, disk) is not expected:
            failure = yield from announce(begun)
            raise GiveUp(failure or changed_since(f"{restore.name} was moved while its first mark was on its way"))


def _if_it_goes_on() -> Script[None]:
    if not (yield GoesOn()):
        raise Stopped


def _look_again(unit: ServerUnit) -> Script[list[Restore] | None]:
    """Each disk once more before anything is changed. Returns those that are to be detached. Raises GiveUp.

    None: the server is between two states (a reboot), so its power state cannot be told yet.
    """
    server = yield Look(Thing.SERVER, unit.server_id)
    if isinstance(server, ErrorInfo):
        raise GiveUp(server)
    if not unit.marked:  # as found means now: hours may have passed since the plan was checked
        if server.status in ("ERROR", "DELETED"):
            raise GiveUp(changed_since(f"server {unit.server_id} is {server.status}"))
        if not (server.running or server.stopped):
            return None
        unit.found(server)
    to_detach: list[Restore] = []
    for restore in unit.restores:
        if stranger := overtaken(restore, server.metadata):
            raise GiveUp(stranger)
        disk = yield Look(Thing.DISK, restore.volume_id)
        if isinstance(disk, ErrorInfo):
            raise GiveUp(disk)
        if restore.standing is Standing.FRESH and not _only_at(unit.server_id, disk):
            raise GiveUp(
                changed_since(f"disk {disk.id} is {disk.status} and no longer only at server {unit.server_id}")
            )
        if restore.standing in (Standing.FRESH, Standing.DETACH):
            to_detach.append(restore)
    return to_detach


def _only_at(server_id: str, disk: Disk) -> bool:
    return disk.status == "in-use" and disk.attached_to(server_id) is not None and len(disk.attachments) == 1


def _stop(unit: ServerUnit, rules: Rules) -> Script[None]:
    server = yield Look(Thing.SERVER, unit.server_id, JUST_SEEN_SECONDS)
    if isinstance(server, ErrorInfo):
        raise GiveUp(server)
    if server.locked:
        raise GiveUp(changed_since(f"server {unit.server_id} is locked"))
    if server.stopped:
        return
    if rules.stop_servers == "refuse":
        raise GiveUp(may_not_stop(unit.server_id))
    yield Pause(min(GATHER_SECONDS, rules.wait_interval_seconds), poll=True)
    goal = stopped(unit.server_id)
    guard = partial(confirm_owner, unit.restores[0], JUST_SEEN_SECONDS)
    hard = rules.stop_servers == "hard"
    try:
        yield from carry_out(StopServer(unit.server_id, hard), goal, rules.stop, guard=guard)
    except GiveUp as reason:
        if not (reason.timed_out and rules.stop_servers == "soft_then_hard"):
            raise
        yield Say("stop_hard", unit.target, f"server {unit.server_name}: did not stop softly, switching it off")
        yield from carry_out(StopServer(unit.server_id, True), goal, rules.stop, even_if_moving=True, guard=guard)
    unit.stopped = True
    yield Say("stopped", unit.target, f"server {unit.server_name}: stopped")


def may_not_stop(server_id: str) -> ErrorInfo:
    return ErrorInfo(
        Failure.REFUSED,
        f"server {server_id} runs, and stop_servers is 'refuse'",
        remedy="Stop the server yourself, or allow it with stop_servers: soft.",
    )


def _put_back(unit: ServerUnit, rules: Rules) -> Script[bool]:
    """Attach what may be attached: restored disks and untouched ones, one at a time, the system disk first."""
    for restore in unit.restores:
        if restore.state is not State.RESTORED and not restore.untouched:
            restore.notes.append("the disk stays detached: its data is not certain")
            continue
        try:
            yield from _attach(unit, restore, rules)
            restore.back = True
        except GiveUp as reason:
            restore.notes.append(f"the disk could not be attached again: {reason.error}")
            unit.error = unit.error or reason.error
            yield Say(
                "attach_failed", unit.target, f"{restore.name}: not attached again: {reason.error}", restore.volume_id
            )
    return all(restore.back for restore in unit.restores)


def _attach(unit: ServerUnit, restore: Restore, rules: Rules) -> Script[None]:
    # attached under an older mark the disk would count as used since, and no run could go on with it
    if restore.unwritten and (failure := (yield from write_marks([restore]))):
        raise GiveUp(failure)
    goal = attached(restore.volume_id, unit.server_id)
    order = Attach(unit.server_id, restore.volume_id, restore.device)
    guard = partial(_unless_taken, restore)
    disk: Disk = yield from carry_out(order, goal, rules.step, at_once=restore.detached, guard=guard)
    now_at = disk.attached_to(unit.server_id)
    if now_at is not None and restore.device and now_at.device and now_at.device != restore.device:
        restore.notes.append(f"the cloud attached it as {now_at.device} instead of {restore.device}")
        yield Say("device_differs", unit.target, f"{restore.name}: {restore.notes[-1]}", restore.volume_id)
    else:
        yield Say(
            "attached", unit.target, f"{restore.name}: back at {unit.server_name} {restore.device}", restore.volume_id
        )


def _unless_taken(restore: Restore) -> Script[None]:
    """Whose it is, before a disk goes back or a server starts. What cannot be told now is no reason to leave them.

    Raises GiveUp if it is another run's.
    """
    yield from confirm_owner(restore, CONFIRMED_SECONDS)


def _hand_over(unit: ServerUnit, rules: Rules, all_back: bool) -> Script[None]:
    """Start the server if it ran, close the marks. A server with a missing disk stays off, and says so."""
    restored = all_back and all(restore.state is State.RESTORED for restore in unit.restores)
    untouched = all_back and all(restore.untouched for restore in unit.restores)
    group_restored = (yield Meet(unit.group, restored)) if unit.group else True
    may_start = (restored and group_restored) or (untouched and not unit.group)
    started_again = may_start and (yield from _start(unit, rules))
    yield from _see_all_back(unit, rules)
    yield from _close_marks(unit, finished=started_again)
    yield from _note_left(unit)
    if restored and not group_restored and unit.was_running and rules.start_servers:
        unit.error = unit.error or held_off(unit.server_name, unit.group)
    elif not may_start:
        unit.notes.append(_why_off(unit, restored))


def _see_all_back(unit: ServerUnit, rules: Rules) -> Script[None]:
    """Look once more whether the server has its disks: an order to detach whose answer was lost may arrive late, and a
    disk may look attached that is not, where its state lags. One that is missing stays open, for the next run.
    """
    until = (yield Now()) + rules.grace_seconds
    while missing := (yield from _missing(unit)):
        if (yield Now()) >= until:
            break
        yield Pause(rules.wait_interval_seconds, poll=True)
    for restore in missing:
        restore.back = False
        unit.error = unit.error or _gone_again(restore)
        restore.notes.append(f"the disk was attached, but server {unit.server_name} does not show it any more")


def _missing(unit: ServerUnit) -> Script[list[Restore]]:
    """Disks that count as back and that the server does not show; not every cloud lists them at servers."""
    server = yield Look(Thing.SERVER, unit.server_id, JUST_SEEN_SECONDS)
    if not isinstance(server, Server):
        return []
    missing = [restore for restore in unit.restores if restore.back and server.volume(restore.volume_id) is None]
    if server.volumes:
        return missing
    gone = []
    for restore in missing:
        disk = yield Look(Thing.DISK, restore.volume_id, JUST_SEEN_SECONDS)
        if isinstance(disk, Disk) and disk.attached_to(unit.server_id) is None:
            gone.append(restore)
    return gone


def _gone_again(restore: Restore) -> ErrorInfo:
    return ErrorInfo(
        Failure.LOST,
        f"{restore.name} was attached to server {restore.server_id}, and is not there any more",
        remedy="Run the same playbook again: it attaches the disk.",
    )


def _why_off(unit: ServerUnit, restored: bool) -> str:
    if restored or unit.group:
        return NOT_STARTED.format(unit.group)
    now = "runs, though" if unit.left == "ACTIVE" else "stays off:"  # a person may have started it
    return f"the server {now} not all of its disks are restored and back"


def _start(unit: ServerUnit, rules: Rules) -> Script[bool]:
    """True if the server is as it was found, or was not to be started."""
    if not (unit.was_running and rules.start_servers):
        return True
    try:
        guard = partial(_unless_taken, unit.restores[0])  # attaching takes minutes, a group hours
        order, goal = StartServer(unit.server_id), started(unit.server_id)
        yield from carry_out(order, goal, rules.step, at_once=unit.stopped, guard=guard)
    except GiveUp as reason:
        unit.error = unit.error or reason.error
        unit.notes.append(f"the server could not be started: {reason.error}")
        yield Say("start_failed", unit.target, f"server {unit.server_name}: not started: {reason.error}")
        return False
    yield Say("started", unit.target, f"server {unit.server_name}: running")
    return True


_CLOSING = {Phase.RESTORED: Phase.FINISHED, Phase.BEGUN: Phase.RETURNED}


def _close_marks(unit: ServerUnit, *, finished: bool) -> Script[None]:
    """Restored and back: finished. Untouched and back: returned. All else stays open for the next run."""
    closing = (
        [restore for restore in unit.restores if restore.back and restore.mark.phase in _CLOSING] if finished else []
    )
    if not closing or not (yield from still_ours(unit.restores)):  # starting takes minutes
        return
    for restore in closing:
        restore.mark = restore.mark.moved(_CLOSING[restore.mark.phase])
    if failure := (yield from write_marks(closing)):
        unit.error = unit.error or replace(failure, message=_UNCLOSED.format(unit.server_name, failure.message))


_UNCLOSED = "server {} is as it should be, but that could not be written down, so it still counts as unfinished: {}"


def _note_left(unit: ServerUnit) -> Script[None]:
    server = yield Look(Thing.SERVER, unit.server_id, JUST_SEEN_SECONDS)
    if not isinstance(server, Server):
        return
    unit.left = server.status
    for restore in unit.restores:
        volume = server.volume(restore.volume_id)
        before = restore.mark.delete_on_termination
        if volume and before is not None and volume.delete_on_termination not in (None, before):
            restore.notes.append(
                f"delete_on_termination was {before} and is {volume.delete_on_termination} since the attach"
            )
