# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a plan to what is worked on: servers with their disks, disks without a server, servers that HSS restores."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from .batch import Part
from .commands import Holder, Script
from .disks import recover_disk
from .hss import HssUnit, recover_hss
from .mark import HSS_KEY, LONE_DISK_KEY, OVER, Mark, Phase, Standing, mark_key
from .outcome import DiskUnit, Restore, Rules, ServerUnit, State, Tally
from .planning import Plan, PlannedRestore, PlannedTarget
from .preflight import Case
from .servers import recover_server

Unit: TypeAlias = "ServerUnit | DiskUnit | HssUnit"


@dataclass(frozen=True)
class Work:
    """The units of one wave, the longest first, with the targets that they belong to; not what is finished already."""

    wave: int
    units: tuple[tuple[PlannedTarget, Unit], ...]

    def parts(self, rules: Rules, places: int) -> list[Part]:
        """What is to be done, in the order in which it starts."""
        lengths = [_length(unit) for _target, unit in self.units]
        work = [sum(restore.size_gb for restore in unit.restores) for _target, unit in self.units]
        return [_part(*self.units[number], rules) for number in in_turn(lengths, work, places)]


def in_turn(lengths: Sequence[int], work: Sequence[int], places: int) -> list[int]:
    """The order in which to start units, by their numbers; the longest are given first.

    A long one and a short one take turns, from both ends inwards: many short ones in a row would be more starts than
    rate limits let through, and leave places empty. When what is left takes no more than twice as long as the longest
    of it, the longest go first, so that all places end at about the same time.
    """
    order: list[int] = []
    left, first, end = sum(work), 0, len(lengths)
    while first < end and left > 2 * places * lengths[first]:
        pair = [first] if end - first == 1 else [first, end - 1]
        order += pair
        left -= sum(work[number] for number in pair)
        first, end = first + 1, max(first + 1, end - 1)
    return [*order, *range(first, end)]


def _part(target: PlannedTarget, unit: Unit, rules: Rules) -> Part:
    return Part(_script(unit, rules), lambda: unit_failed(unit), target.wish.critical, target.wish.group)


def _script(unit: Unit, rules: Rules) -> Script[None]:
    if isinstance(unit, ServerUnit):
        return recover_server(unit, rules)
    return recover_hss(unit, rules) if isinstance(unit, HssUnit) else recover_disk(unit, rules)


def unit_failed(unit: Unit) -> bool:
    error = None if isinstance(unit, DiskUnit) else unit.error
    return error is not None or any(restore.state is not State.RESTORED or restore.error for restore in unit.restores)


def divide(plan: Plan, waves: Collection[int], tally: Tally) -> list[Work]:
    """The work of these waves (all if none are named)."""
    numbers = sorted({target.wish.wave for target in plan.targets})
    found = []
    for wave in numbers:
        if waves and wave not in waves:
            continue
        units = [(t, unit) for t in plan.targets if t.wish.wave == wave for unit in _units(t, plan.run_id)]
        units.sort(key=lambda pair: -_length(pair[1]))
        found.append(Work(wave, tuple(units)))
    for restore in (restore for work in found for _t, unit in work.units for restore in unit.restores):
        restore.tally = tally
        tally.total += 1
    return found


def _length(unit: Unit) -> int:
    """How long it takes goes with its largest disk: those of one server are restored side by side."""
    return max((restore.size_gb for restore in unit.restores), default=0)


def _units(target: PlannedTarget, run_id: str) -> list[Unit]:
    open_restores = [restore for restore in target.restores if restore.case.standing is not Standing.FINISHED]
    if target.wish.method == "hss":
        return [_hss_unit(target, restore, run_id) for restore in open_restores]
    units: list[Unit] = []
    by_server: dict[str, list[PlannedRestore]] = {}
    for restore in open_restores:
        if restore.case.server_id:
            by_server.setdefault(restore.case.server_id, []).append(restore)
        else:
            units.append(DiskUnit(target.wish.name, _disk_restore(target, restore, run_id, None), target.wish.group))
    return units + [_server_unit(target, restores, run_id) for restores in by_server.values()]


def _server_unit(target: PlannedTarget, restores: Sequence[PlannedRestore], run_id: str) -> ServerUnit:
    case = restores[0].case
    remembered = [r.case.mark.was_running for r in restores if _begun(r) and r.case.mark]
    left_off = any(_left_off(restore.case) for restore in restores)
    as_seen = left_off or bool(case.server and case.server.status == "ACTIVE")
    was_running = any(remembered) if remembered else as_seen
    ordered = sorted(restores, key=lambda r: (not r.is_system_disk, len(r.device), r.device, r.case.volume_id))
    return ServerUnit(
        target=target.wish.name,
        server_id=case.server_id,
        server_name=case.server.name if case.server and case.server.name else case.server_id,
        was_running=was_running,
        restores=[_disk_restore(target, restore, run_id, was_running) for restore in ordered],
        group=target.wish.group,
        left_off=left_off,
    )


def _left_off(case: Case) -> bool:
    """Whether a run that this one starts anew after found the server running, and never gave it back."""
    mark = case.mark
    return mark is not None and mark.open and mark.server_id == case.server_id and mark.was_running is True


def _begun(restore: PlannedRestore) -> bool:
    return restore.case.standing not in OVER


def _disk_restore(target: PlannedTarget, planned: PlannedRestore, run_id: str, was_running: bool | None) -> Restore:
    case = planned.case
    here = case.disk.attached_to(case.server_id) if case.disk else None
    listed = case.server.volume(case.volume_id) if case.server else None
    mark = Mark(
        phase=Phase.BEGUN,
        run_id=run_id,
        target_id=target.id,
        backup_id=case.backup_id,
        server_id=case.server_id,
        device=planned.device,
        attachment_id=here.attachment_id if here else "",
        was_running=was_running,
        delete_on_termination=listed.delete_on_termination if listed else None,
    )
    if _begun(planned) and case.mark is not None and case.standing is not Standing.DETACH:
        mark = replace(case.mark, run_id=run_id, target_id=target.id, backup_id=case.backup_id, was_running=was_running)
    key = mark_key(case.volume_id) if case.server_id else LONE_DISK_KEY
    holder = case.server if case.server_id else case.disk
    return Restore(
        target=target.wish.name,
        method="vbs",
        backup_id=case.backup_id,
        mark=mark,
        volume_id=case.volume_id,
        server_id=case.server_id,
        device=planned.device,
        holder=Holder("server", case.server_id) if case.server_id else Holder("disk", case.volume_id),
        key=key,
        seen=holder.metadata.get(key, "") if holder else "",
        standing=case.standing,
        backup_name=case.backup.name if case.backup else "",
        backup_created_at=case.backup.created_at if case.backup else None,
        size_gb=case.disk.size_gb if case.disk else 0,
    )


def _hss_unit(target: PlannedTarget, planned: PlannedRestore, run_id: str) -> HssUnit:
    case = planned.case
    was_running = bool(case.server and case.server.status == "ACTIVE")
    before = case.mark if case.mark and (_begun(planned) or case.mark.phase is Phase.FAILED) else None
    remembered = before is not None and before.was_running is not None
    if before is not None and before.was_running is not None:
        was_running = before.was_running  # a restore that failed may have left the server off
    mark = Mark(Phase.BEGUN, run_id, target.id, case.backup_id, server_id=case.server_id, was_running=was_running)
    if _begun(planned) and case.mark is not None:
        mark = replace(case.mark, run_id=run_id, target_id=target.id)
    power_on = was_running if target.wish.power_on is None else target.wish.power_on
    restore = Restore(
        target=target.wish.name,
        method="hss",
        backup_id=case.backup_id,
        mark=mark,
        server_id=case.server_id,
        holder=Holder("server", case.server_id),
        key=HSS_KEY,
        seen=case.server.metadata.get(HSS_KEY, "") if case.server else "",
        standing=case.standing,
        backup_name=case.backup.name if case.backup else "",
        backup_created_at=case.backup.created_at if case.backup else None,
        size_gb=sum(disk.size_gb for disk in case.disks),
        mappings=planned.mappings,
        power_on=power_on,
    )
    name = case.server.name if case.server and case.server.name else case.server_id
    return HssUnit(
        target=target.wish.name,
        server_id=case.server_id,
        server_name=name,
        was_running=was_running,
        restore=restore,
        group=target.wish.group,
        as_found=target.wish.power_on is None,
        remembered=remembered,
    )
