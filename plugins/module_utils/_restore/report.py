# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only shapes that Ansible gets back. Nothing in them comes from an option that holds a secret."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .hss import HssUnit
from .mark import Standing
from .outcome import GOOD, DiskUnit, Restore, ServerUnit, State, Tally
from .planning import Plan, PlannedRestore, PlannedTarget
from .times import iso
from .units import Unit, Work

WORST_FIRST = (
    State.UNKNOWN,
    State.TIMED_OUT,
    State.FAILED,
    State.SKIPPED,
    State.SUBMITTED,
    State.PLANNED,
    State.RESTORED,
    State.ALREADY_RESTORED,
)


def handle(raw: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A handle as it is given to people, and taken back."""
    if raw is None:
        return None
    return {**raw, "submitted_at": iso(raw.get("submitted_at"))}


def restore(item: Restore) -> dict[str, Any]:
    seconds = None
    if item.started_at is not None and item.finished_at is not None:
        seconds = round(item.finished_at - item.started_at, 1)
    return {
        "target": item.target,
        "method": item.method,
        "volume_id": item.volume_id or None,
        "server_id": item.server_id or None,
        "device": item.device or None,
        "backup_id": item.backup_id,
        "backup_name": item.backup_name or None,
        "backup_created_at": iso(item.backup_created_at),
        "state": item.state.value,
        "changed": item.changed,
        "adopted": item.adopted,
        "handle": handle(item.handle),
        "started_at": iso(item.started_at),
        "finished_at": iso(item.finished_at),
        "seconds": seconds,
        "error": item.error.as_dict() if item.error else None,
        "notes": list(item.notes),
    }


def _finished_before(target: PlannedTarget, planned: PlannedRestore) -> dict[str, Any]:
    shown = planned.as_dict()
    return {
        "target": target.wish.name,
        "method": target.wish.method,
        **{
            key: shown[key]
            for key in ("volume_id", "server_id", "device", "backup_id", "backup_name", "backup_created_at")
        },
        "state": State.ALREADY_RESTORED.value,
        "changed": False,
        "adopted": False,
        "handle": None,
        "started_at": None,
        "finished_at": shown["since"],
        "seconds": None,
        "error": None,
        "notes": [f"restored by run {shown['run_id']}"],
    }


def server(unit: Unit) -> dict[str, Any] | None:
    if isinstance(unit, DiskUnit):
        return None
    return {
        "target": unit.target,
        "server_id": unit.server_id,
        "name": unit.server_name,
        "found": "ACTIVE" if unit.was_running else "SHUTOFF",
        "left": unit.left or None,
        "notes": list(unit.notes),
        "error": unit.error.as_dict() if unit.error else None,
    }


def result(plan: Plan, works: Sequence[Work], timeline: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a run returns, however it ended."""
    units = [pair for work in works for pair in work.units]
    waves = {work.wave for work in works}
    before = [
        (target, planned)
        for target in plan.targets
        if target.wish.wave in waves
        for planned in target.restores
        if planned.case.standing is Standing.FINISHED
    ]
    restores = [restore(item) for _t, unit in units for item in unit.restores]
    restores += [_finished_before(target, planned) for target, planned in before]
    units_of: dict[str, list[Unit]] = {}
    for target, unit in units:
        units_of.setdefault(target.wish.name, []).append(unit)
    before_of: dict[str, list[PlannedRestore]] = {}
    for target, planned in before:
        before_of.setdefault(target.wish.name, []).append(planned)
    targets = {
        name: _outcome_of(target, units_of.get(name, []), before_of.get(name, []))
        for name, target in ((target.wish.name, target) for target in plan.targets if target.wish.wave in waves)
    }
    finished = [item.finished_at for _t, unit in units for item in unit.restores if item.finished_at is not None]
    ages = [p.case.age_seconds for p in plan.restores if p.case.age_seconds is not None]
    return {
        "run_id": plan.run_id,
        "plan_id": plan.id,
        "restores": restores,
        "targets": targets,
        "servers": [shown for _t, unit in units if (shown := server(unit))],
        "summary": dict(sorted(Counter(item["state"] for item in restores).items())),
        "rto_seconds": round(max(finished) - plan.terms.incident_at, 1) if finished else None,
        "rpo_seconds": round(max(ages), 1) if ages else None,
        "timeline": list(timeline),
        "changed": any(target["changed"] for target in targets.values()),
        "failed": any(target["failed"] for target in targets.values()),
    }


def _outcome_of(target: PlannedTarget, units: Sequence[Unit], before: Sequence[PlannedRestore]) -> dict[str, Any]:
    items = [item for unit in units for item in unit.restores]
    states = [item.state for item in items] + [State.ALREADY_RESTORED] * len(before)
    state = next((worst for worst in WORST_FIRST if worst in states), State.PLANNED)
    complaints = [str(item.error) for item in items if item.error]
    complaints += [str(unit.error) for unit in units if not isinstance(unit, DiskUnit) and unit.error]
    failed = state not in GOOD or bool(complaints)
    notes = [note for unit in units if not isinstance(unit, DiskUnit) for note in unit.notes]
    notes += [note for item in items for note in item.notes]
    changed = any(item.changed or (item.back and item.standing is not Standing.FRESH) for item in items)
    changed = changed or any(_power_changed(unit) for unit in units)
    said = "; ".join(dict.fromkeys([*complaints, *notes]))
    return {
        "id": target.id,
        "wave": target.wish.wave,
        "group": target.wish.group or None,
        "critical": target.wish.critical,
        "state": state.value,
        "changed": changed,
        "failed": failed,
        "msg": f"{target.wish.name}: {_counted(states)}" + (f". {said}" if said else ""),
    }


def _power_changed(unit: Unit) -> bool:
    """Whether it was started, or is left in another state than it was found in, though no disk tells so."""
    if isinstance(unit, DiskUnit):
        return False
    started = isinstance(unit, HssUnit) and unit.started
    stopped = isinstance(unit, ServerUnit) and unit.stopped and unit.was_running and unit.left == "SHUTOFF"
    return started or stopped


def _counted(states: Sequence[State]) -> str:
    counts = Counter(state.value for state in states)
    return ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "nothing to restore"


def planned_changes(plan: Plan, waves: Sequence[int] = ()) -> dict[str, str]:
    """The diff of a run: what each disk holds and where it is, before and after."""
    before, after = [], []
    for target in plan.targets:
        if waves and target.wish.wave not in waves:
            continue
        for planned in target.restores:
            if planned.case.standing is Standing.FINISHED:
                continue
            shown = planned.as_dict()
            thing = f"{target.wish.name}: " + (
                f"disk {shown['volume_id']}" if shown["volume_id"] else f"server {shown['server_id']}"
            )
            mark = planned.case.mark
            held = f"backup {mark.backup_id} ({mark.phase.value})" if mark else "its present data"
            before.append(f"{thing}: {held}{_where(planned)}")
            after.append(f"{thing}: backup {shown['backup_id']} of {shown['backup_created_at']}{_where(planned)}")
    return {"before": "".join(f"{line}\n" for line in before), "after": "".join(f"{line}\n" for line in after)}


def _where(planned: PlannedRestore) -> str:
    found = planned.case.server
    if found is None:
        return ", detached"
    return f", at {found.name or found.id} {planned.device} ({found.status})".replace("  ", " ")


def progress(tally: Tally, now: float) -> str:
    """One line: how many are done, run, wait."""
    done, running = len(tally.ended), len(tally.running)
    line = f"{done} of {tally.total} done, {running} running, {tally.total - done - running} waiting"
    oldest = now - next(iter(tally.running.values()), now)
    return (
        line
        + (f", {len(tally.bad)} not restored" if tally.bad else "")
        + (f", longest running {oldest:.0f} s" if running else "")
    )


def headline(shown: Mapping[str, Any]) -> str:
    """The last line of a run."""
    counted = ", ".join(f"{number} {state}" for state, number in shown["summary"].items()) or "nothing to restore"
    already = shown["summary"].get(State.ALREADY_RESTORED.value, 0)
    hint = ". To restore again what is already restored, set a new run_id" if already else ""
    return f"run {shown['run_id']}: {counted}{hint}"
