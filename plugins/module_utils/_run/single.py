# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that restore one thing do: a batch of one, with the same engine as a whole plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._cloud import evs, hss, vbs
from .._cloud.errors import CloudError
from .._restore import report
from .._restore.batch import Batch, Part
from .._restore.commands import Holder, Script
from .._restore.disks import follow_disk, recover_disk
from .._restore.hss import HssUnit, follow_server, open_records, recover_hss
from .._restore.mark import HSS_KEY, LONE_DISK_KEY, Mark, Phase, Standing
from .._restore.model import Backup
from .._restore.outcome import GOOD, DiskUnit, Restore, Rules, State
from .._restore.planning import Plan, Survey, hss_standing, make_plan, map_children, with_attachments
from .._restore.preflight import ERROR, Case, Limits, Problem, examine
from .._restore.times import from_cloud, iso
from .._restore.wishes import Terms, Wish
from .driver import Driver, keep_lease
from .journal import find_workers
from .options import OptionError
from .recovery import NotReady, Shell, make_journal
from .survey import survey

NO_RUN = "-"
"""No run id that a user can give: marks of any run are then another run's, and finished ones count for nothing."""

_NOT_REMEMBERED = (
    "that it ended is written down only by a task that waits for it with run_id: run this one again with wait: true and"
    " without a handle before the disk is used; else the same run_id may restore it once more"
)


@dataclass(frozen=True)
class DiskWish:
    """One disk and the backup to restore it from."""

    backup_id: str
    volume_id: str
    run_id: str = ""
    allow_other_target: bool = False


@dataclass(frozen=True)
class ServerWish:
    """One server and its HSS backup. Pairs of (child backup id, volume id) may lack one half."""

    backup_id: str
    server_id: str = ""
    power_on: bool = True
    mappings: tuple[tuple[str | None, str | None], ...] = ()
    run_id: str = ""
    allow_other_target: bool = False
    resubmit_unknown: bool = False


def rules_of(params: Mapping[str, Any]) -> Rules:
    return Rules(
        wait=params["wait"],
        wait_interval_seconds=params["wait_interval"],
        wait_timeout_seconds=params["wait_timeout"],
    )


# -- one disk ----------------------------------------------------------------------------------------------------------


def restore_disk(shell: Shell, wish: DiskWish, rules: Rules, *, dry_run: bool) -> dict[str, Any]:
    """Check everything, then restore. Raises NotReady with all problems, CloudError."""
    terms = Terms(
        incident_at=shell.clock.now(),
        run_id=wish.run_id or NO_RUN,
        allow_encrypted=True,  # nothing is detached here, so no key can keep the disk from being attached again
        allow_other_target=wish.allow_other_target,
        free_disks_only=True,
    )
    target = Wish(wish.volume_id, "vbs", volumes=((wish.volume_id, wish.backup_id),))
    # restoring one detached disk needs rights to VBS and EVS only
    found = survey(shell.api, [target], terms, clock=shell.clock, needs_servers=False)
    if wish.allow_other_target and wish.backup_id in found.backups:
        backup = _with_zone(shell, found.backups[wish.backup_id])
        found = replace(found, backups={**found.backups, backup.id: backup})
    plan = make_plan([target], terms, found)
    case = next(plan.restores).case
    if other := _of_another_backup(case, wish.backup_id, wish.run_id):
        raise NotReady(f"disk {wish.volume_id} is not restored", [other])
    if case.standing is Standing.FINISHED and case.mark:
        return _already(wish.backup_id, case.mark, volume_id=wish.volume_id)
    problems = [problem for problem in plan.problems if problem.severity == ERROR] + _left_to_a_plan(case)
    adopted = case.fresh and _may_adopt(shell, case)
    if adopted:
        problems = [p for p in problems if p.code not in ("restore_running", "backup_status")]
    if problems:
        raise NotReady(f"disk {wish.volume_id} is not restored", problems)
    restore = _disk_restore(plan, case, wish, adopted=adopted)
    diff = _diff(f"disk {wish.volume_id}", case.mark, case.backup, "detached")
    if dry_run:
        return {**_outcome(restore), "state": State.PLANNED.value, "changed": True, "diff": diff}
    unit = DiskUnit(wish.volume_id, restore)
    _drive(shell, recover_disk(unit, rules), rules, wish.run_id, restore)
    if restore.state is State.SUBMITTED and wish.run_id:
        restore.notes.append(_NOT_REMEMBERED)
    return {**_outcome(restore), "diff": diff}


def _with_zone(shell: Shell, backup: Backup) -> Backup:
    """VBS may leave the zone of a backup open (VBS API, backup details): then it is that of the disk it was made of."""
    if backup.availability_zone or not backup.volume_id:
        return backup
    source = evs.disks(shell.api, [backup.volume_id]).get(backup.volume_id)
    return replace(backup, availability_zone=source.availability_zone) if source else backup


def _of_another_backup(case: Case, backup_id: str, run_id: str) -> Problem | None:
    """A run id stands for one backup: what it began, or did, with another one says nothing about this one."""
    if case.fresh or case.mark is None or case.mark.run_id != run_id or case.mark.backup_id == backup_id:
        return None
    return Problem(
        ERROR,
        "run_of_other_backup",
        case.target,
        f"run {case.mark.run_id} has begun with, or restored, backup {case.mark.backup_id} here, not {backup_id}",
        f"Give that backup to finish or repeat that run, or a new run_id to restore {backup_id}.",
        case.volume_id,
    )


def _left_to_a_plan(case: Case) -> list[Problem]:
    if case.fresh or not case.server_id:
        return []
    return [
        Problem(
            ERROR,
            "begun_by_a_plan",
            case.target,
            f"recovery_run has begun with disk {case.volume_id} and will attach it to server {case.server_id}",
            "Let recovery_run finish it: run the same playbook again.",
            case.volume_id,
        )
    ]


def _may_adopt(shell: Shell, case: Case) -> bool:
    """A restore that runs is adopted only if it is certainly this one: the only backup of the project that is
    restoring is this one, its source is this disk, and no other disk is restoring."""
    if case.disk is None or case.backup is None or case.disk.status != "restoring-backup":
        return False
    if case.backup.volume_id != case.volume_id:
        return False
    backups = [backup.id for backup in vbs.backups_in(shell.api, "restoring")]
    disks = [disk.id for disk in evs.disks_in(shell.api, "restoring-backup")]
    return backups == [case.backup_id] and disks == [case.volume_id]


def _disk_restore(plan: Plan, case: Case, wish: DiskWish, *, adopted: bool) -> Restore:
    mark = Mark(Phase.BEGUN, plan.run_id, plan.targets[0].id, wish.backup_id)
    if not case.fresh and case.mark:
        mark = replace(case.mark, run_id=plan.run_id, backup_id=wish.backup_id)
    elif adopted:
        mark = replace(mark, phase=Phase.SUBMITTING)
    return Restore(
        target=wish.volume_id,
        method="vbs",
        backup_id=wish.backup_id,
        mark=mark,
        volume_id=wish.volume_id,
        holder=Holder("disk", wish.volume_id) if wish.run_id else None,
        key=LONE_DISK_KEY,
        seen=case.disk.metadata.get(LONE_DISK_KEY, "") if case.disk else "",
        standing=Standing.WATCH if adopted else case.standing,
        backup_name=case.backup.name if case.backup else "",
        backup_created_at=case.backup.created_at if case.backup else None,
        size_gb=case.disk.size_gb if case.disk else 0,
    )


# -- one server --------------------------------------------------------------------------------------------------------


def restore_server(shell: Shell, wish: ServerWish, rules: Rules, *, dry_run: bool) -> dict[str, Any]:
    """Check everything, then restore. Raises NotReady with all problems, OptionError, CloudError."""
    backup = hss.backup(shell.api, wish.backup_id)
    server_id = wish.server_id or backup.server_id
    if backup.children and not server_id:
        raise OptionError("server_id is missing: the backup does not name its server")
    of_disk = not backup.children and (bool(backup.volume_id) or not server_id)
    if wish.run_id and not server_id:
        raise OptionError("run_id needs server_id: the mark of the run is kept at the server")
    case, mappings = _server_case(shell, wish, backup, server_id)
    problems = [p for p in examine(case) if p.code != "mappings_missing" or not mappings] if server_id else []
    problems += _useless_mappings(wish, backup, case) if of_disk else _mapping_problems(wish, backup, case, mappings)
    problems += _others_at_work(shell, case, wish.run_id)
    if other := _of_another_backup(case, wish.backup_id, wish.run_id):
        raise NotReady(f"server {server_id} is not restored", [other])
    if case.standing is Standing.FINISHED and case.mark:
        return _already(wish.backup_id, case.mark, server_id=server_id)
    adopted = (
        case.fresh and backup.status in ("restoring", "waiting_restore") and _one_open_record(shell, backup, server_id)
    )
    if adopted:
        problems = [p for p in problems if p.code not in ("backup_status", "server_state")]
    if errors := [problem for problem in problems if problem.severity == ERROR]:
        raise NotReady(f"server {server_id or 'of backup ' + wish.backup_id} is not restored", errors)
    restore = _server_restore(case, wish, backup, server_id, mappings)
    diff = _diff(f"server {server_id}", case.mark, backup, case.server.status if case.server else "unknown")
    if dry_run:
        return {**_outcome(restore), "state": State.PLANNED.value, "changed": True, "diff": diff}
    unit = HssUnit(server_id, server_id, server_id, wish.power_on, restore)
    if wish.resubmit_unknown:
        rules = replace(rules, resubmit_unknown=frozenset({restore.target}))
    _drive(shell, recover_hss(unit, rules), rules, wish.run_id, restore)
    restore.notes += unit.notes
    restore.error = restore.error or unit.error
    restore.changed = restore.changed or unit.started
    return {**_outcome(restore), "diff": diff}


def _server_case(
    shell: Shell, wish: ServerWish, backup: Backup, server_id: str
) -> tuple[Case, tuple[tuple[str | None, str | None], ...]]:
    target = Wish(server_id, "hss", server_id=server_id, backup_id=wish.backup_id)
    terms = Terms(incident_at=shell.clock.now(), run_id=wish.run_id or NO_RUN)
    wishes = [target] if server_id else []
    found = survey(shell.api, wishes, terms, clock=shell.clock, known_hss={backup.id: backup})
    found = _with_attachments(shell, found, wish, backup, server_id)
    server = found.servers.get(server_id)
    from_marks = next(make_plan(wishes, terms, found).restores).case if wishes else None
    mappings, unmapped = complete(wish.mappings, backup) if wish.mappings else map_children(backup, server)
    case = Case(
        target=server_id or wish.backup_id,
        method="hss",
        project_id=found.project_id,
        limits=Limits(terms.incident_at, allow_other_target=wish.allow_other_target),
        backup_id=backup.id,
        backup=backup,
        server_id=server_id,
        server=server,
        standing=from_marks.standing if from_marks else Standing.FRESH,
        mark=from_marks.mark if from_marks else None,
        disks=tuple(found.disks[v] for _child, v in mappings if v and v in found.disks),
        unmapped=unmapped,
    )
    return case, mappings


def _with_attachments(shell: Shell, found: Survey, wish: ServerWish, backup: Backup, server_id: str) -> Survey:
    """Where the server lists no disks, those that the mappings can mean tell themselves where they are attached."""
    server = found.servers.get(server_id)
    meant = [v for _child, v in wish.mappings if v] + [child.resource_id for child in backup.children]
    if server is None or server.volumes or not any(meant):
        return found
    disks = {**evs.disks(shell.api, sorted({v for v in meant if v} - found.disks.keys())), **found.disks}
    return replace(found, disks=disks, servers={**found.servers, server_id: with_attachments(server, disks)})


def complete(
    pairs: tuple[tuple[str | None, str | None], ...], backup: Backup
) -> tuple[tuple[tuple[str | None, str | None], ...], tuple[Any, ...]]:
    """Pairs with both halves, where the backup's children determine the missing one. Raises OptionError.

    For a backup of a disk, which has no children, pairs are left as they are: the cloud does not use them.
    """
    if backup.volume_id and not backup.children:
        return pairs, ()
    disk_of = {child.id: child.resource_id for child in backup.children}
    child_of = {child.resource_id: child.id for child in backup.children if child.resource_id}
    whole = []
    for child_id, volume_id in pairs:
        found_child = child_id or child_of.get(volume_id or "")
        found_disk = volume_id or disk_of.get(child_id or "")
        if not found_child or not found_disk:
            raise OptionError(
                f"mappings: the other half of {child_id or volume_id} cannot be told from the backup; name it"
            )
        if disk_of and found_child not in disk_of:
            raise OptionError(
                f"mappings: {found_child} is not a child of backup {backup.id}; its children are {', '.join(disk_of)}"
            )
        whole.append((found_child, found_disk))
    for place, what in ((0, "backup_id"), (1, "volume_id")):
        if len({pair[place] for pair in whole}) < len(whole):
            raise OptionError(f"mappings: a {what} is named twice")
    return tuple(whole), ()


def _useless_mappings(wish: ServerWish, backup: Backup, case: Case) -> list[Problem]:
    own = backup.volume_id or "the disk that it was made of"
    return [
        Problem(
            ERROR,
            "mapping_unused",
            case.target,
            f"backup {backup.id} is of one disk: HSS ignores the mapping to {volume_id} and writes to {own}",
            "Leave mappings out for the backup of a disk.",
            volume_id,
        )
        for _child, volume_id in wish.mappings
        if volume_id and volume_id != own
    ]


def _mapping_problems(
    wish: ServerWish, backup: Backup, case: Case, mappings: tuple[tuple[str | None, str | None], ...]
) -> list[Problem]:
    """Every child must go back to its own disk, attached to that server now, unless another target is allowed."""

    def problem(code: str, message: str, remedy: str, volume_id: str | None = "") -> Problem:
        return Problem(ERROR, code, case.target, message, remedy, volume_id or "")

    disk_of = {child.id: child.resource_id for child in backup.children}
    found = []
    for child_id, volume_id in mappings:
        if not wish.allow_other_target and disk_of.get(child_id or "", "") not in ("", volume_id):
            found.append(
                problem(
                    "mapping_other_disk",
                    f"child backup {child_id} was made of disk {disk_of.get(child_id or '')}, not of {volume_id}",
                    "Map it to its own disk, or set allow_other_target.",
                    volume_id,
                )
            )
        if case.server is not None and case.server.volume(volume_id or "") is None:
            found.append(
                problem(
                    "mapping_not_attached",
                    f"disk {volume_id} is not attached to server {case.server_id}",
                    "Attach it first, or map to a disk of that server.",
                    volume_id,
                )
            )
    return found


def _others_at_work(shell: Shell, case: Case, run_id: str) -> list[Problem]:
    if case.server is None:
        return []
    holders = {Holder("server", case.server.id): case.server.metadata}
    now = shell.clock.now() + shell.api.skew_seconds
    found = [
        Problem(
            ERROR,
            "run_in_progress",
            case.target,
            f"run {owner.run_id} is working on server {case.server.id} now, from host {owner.host}",
            "Let it finish.",
        )
        for _holder, owner in find_workers(shell.api, holders, now)
    ]
    if case.mark and case.mark.open and hss_standing(case.mark) is not Standing.FRESH and case.mark.run_id != run_id:
        found.append(
            Problem(
                ERROR,
                "unfinished_run",
                case.target,
                f"run {case.mark.run_id} is unfinished on server {case.server.id}",
                f"Finish it with run_id {case.mark.run_id}.",
            )
        )
    return found


def _one_open_record(shell: Shell, backup: Backup, server_id: str) -> bool:
    opened = open_records(hss.log(shell.api), server_id, backup.name)
    return bool(opened) and all(record.backup_name == backup.name for record in opened)


def _server_restore(
    case: Case, wish: ServerWish, backup: Backup, server_id: str, mappings: tuple[tuple[str | None, str | None], ...]
) -> Restore:
    mark = Mark(Phase.BEGUN, wish.run_id, "", wish.backup_id, server_id=server_id)
    if not case.fresh and case.mark:
        mark = case.mark
    return Restore(
        target=server_id or wish.backup_id,
        method="hss",
        backup_id=wish.backup_id,
        mark=mark,
        server_id=server_id,
        holder=Holder("server", server_id) if wish.run_id else None,
        key=HSS_KEY,
        seen=case.server.metadata.get(HSS_KEY, "") if case.server else "",
        standing=case.standing,
        backup_name=backup.name,
        backup_created_at=backup.created_at,
        mappings=mappings,
        power_on=wish.power_on,
    )


# -- waiting and looking with a handle ---------------------------------------------------------------------------------


def follow(shell: Shell, handle: Mapping[str, Any], rules: Rules, *, dry_run: bool) -> dict[str, Any]:
    """Wait for what was submitted before; never submits. In check mode, one look. Raises OptionError, CloudError."""
    restore, waits = read_handle(handle), rules.wait
    if dry_run:
        rules = replace(rules, wait=False)
    script = follow_disk(restore, rules) if restore.method == "vbs" else follow_server(restore, rules)
    _drive(shell, script, rules, "", restore)
    if restore.finished_at is None:  # it runs: in check mode, tell what waiting for its end would
        restore.state, restore.changed = State.SUBMITTED, dry_run and waits
    return _outcome(restore)


def look(shell: Shell, handle: Mapping[str, Any]) -> dict[str, Any]:
    """Where a restore stands now. Raises OptionError, CloudError."""
    restore = read_handle(handle)
    follow_once = follow_disk if restore.method == "vbs" else follow_server
    rules = Rules(wait=False)
    _drive(shell, follow_once(restore, rules), rules, "", restore)
    if restore.state is State.UNKNOWN and restore.error:
        raise CloudError(restore.error)  # it could not be read: that says nothing about the restore
    return {
        "status": restore.state.value if restore.finished_at else "running",
        "finished": restore.finished_at is not None,
        "success": restore.state is State.RESTORED,
        "progress_percent": restore.progress_percent,
        "error": restore.error.as_dict() if restore.error else None,
        "handle": report.handle(restore.handle),
        "changed": False,
    }


_TELLING: Mapping[str, tuple[str, ...]] = {"vbs": ("job_id", "volume_id"), "hss": ("server_id", "backup_name")}
"""One of these is needed to find a restore again. HSS restores the backup of one disk without naming a server."""
_NAMES = ("volume_id", "server_id", "job_id", "backup_id", "backup_name")


def read_handle(handle: Mapping[str, Any]) -> Restore:
    """Raises OptionError for something that no module of this collection has returned."""
    service = handle.get("service")
    if not any(handle.get(name) for name in _TELLING.get(str(service), ())):
        raise OptionError("handle: this is not a handle that a restore returned; pass it on as it is")
    before = handle.get("log_before")
    restore = Restore(
        target=str(next(handle[name] for name in _NAMES if handle.get(name))),
        method=str(service),
        backup_id=str(handle.get("backup_id") or ""),
        mark=Mark(Phase.ACCEPTED, "", "", str(handle.get("backup_id") or ""), job=str(handle.get("job_id") or "")),
        volume_id=str(handle.get("volume_id") or ""),
        server_id=str(handle.get("server_id") or ""),
        standing=Standing.WATCH,
        backup_name=str(handle.get("backup_name") or ""),
        log_before=tuple(str(digest) for digest in before) if isinstance(before, (list, tuple)) else None,
    )
    restore.handle = {**handle, "submitted_at": from_cloud(handle.get("submitted_at"))}
    return restore


# -- common ------------------------------------------------------------------------------------------------------------


def _drive(shell: Shell, script: Script[None], rules: Rules, run_id: str, restore: Restore) -> None:
    journal = make_journal(shell, run_id, rules) if restore.holder else None
    if journal is not None and restore.holder is not None and (failure := journal.open(restore.holder)):
        raise CloudError(failure)
    shell.api.patience_seconds = min(shell.api.patience_seconds, rules.wait_timeout_seconds)
    driver = Driver(
        shell.api, clock=shell.clock, workers=shell.workers, journal=journal, tell=lambda line: shell.show(line.text)
    )
    try:
        driver.run(Batch([[Part(script, lambda: False)]], width=1, background=[keep_lease()]))
        if journal is not None:
            journal.close()
    finally:
        shell.workers.close()


def _already(backup_id: str, mark: Mark, **ids: str) -> dict[str, Any]:
    return {
        "state": State.ALREADY_RESTORED.value,
        "changed": False,
        "backup_id": backup_id,
        **ids,
        "msg": f"already restored by run {mark.run_id} at {iso(mark.at)}; to restore again, give a new run_id",
    }


def _outcome(restore: Restore) -> dict[str, Any]:
    """What a single module returns."""
    shown = report.restore(restore)
    failed = restore.state not in GOOD or restore.error is not None  # restored, but its last mark is missing
    result = {key: value for key, value in shown.items() if key not in ("target", "method", "device")}
    result["job_id"] = (restore.handle or {}).get("job_id")
    result["msg"] = str(restore.error) if restore.error else f"{restore.name}: {restore.state.value}"
    return {**result, "failed": True} if failed else result


def _diff(thing: str, mark: Mark | None, backup: Backup | None, where: str) -> dict[str, str]:
    held = f"backup {mark.backup_id} ({mark.phase.value})" if mark else "its present data"
    made = f" of {iso(backup.created_at)}" if backup and backup.created_at else ""
    return {
        "before": f"{thing}: {held}, {where}\n",
        "after": f"{thing}: backup {backup.id if backup else ''}{made}, {where}\n",
    }
