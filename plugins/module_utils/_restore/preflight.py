# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a restore, as a table. Every row that applies becomes a problem: all, never only the first.

Sources of the rules: user guides of VBS, EVS, ECS and CBR (restoring data, detaching and attaching disks, statuses).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from .mark import Mark, Phase, Standing
from .model import Backup, ChildBackup, Disk, Server

ERROR = "error"
WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """One finding. Errors keep a plan from being carried out; warnings are shown."""

    severity: str
    code: str
    target: str
    message: str
    remedy: str
    volume_id: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Limits:
    """What the operator demands of a restore point. Times are seconds since 1970, lengths seconds; None: no demand."""

    incident_at: float
    max_backup_age_seconds: float | None = None
    allow_encrypted: bool = False
    allow_other_target: bool = False
    must_be_free: bool = False
    """For the module that restores one disk and touches no server."""


@dataclass(frozen=True)
class Case:
    """One disk and the backup that is to be written over it, or one server and its HSS backup."""

    target: str
    method: str
    project_id: str
    limits: Limits
    volume_id: str = ""
    disk: Disk | None = None
    backup_id: str = ""
    backup: Backup | None = None
    server_id: str = ""
    server: Server | None = None
    standing: Standing = Standing.FRESH
    mark: Mark | None = None
    disks: tuple[Disk, ...] = ()
    """HSS: the disks that the mappings name."""
    unmapped: tuple[ChildBackup, ...] = field(default=())
    """HSS: children of the backup for which no disk of the server is certain."""

    @property
    def fresh(self) -> bool:
        return self.standing is Standing.FRESH

    @property
    def chosen_now(self) -> bool:
        """Its backup is not the one of a restore that has begun."""
        return self.fresh or (self.mark is not None and self.mark.backup_id != self.backup_id)

    @property
    def age_seconds(self) -> float | None:
        if self.backup is None or self.backup.created_at is None:
            return None
        return self.limits.incident_at - self.backup.created_at


@dataclass(frozen=True)
class Rule:
    """`applies` sees only what is known: a missing disk or backup is the business of its own rule."""

    code: str
    severity: str
    applies: Callable[[Case], bool]
    message: Callable[[Case], str]
    remedy: str
    gate: bool = False
    """Does not bind what has begun: a restore in the middle is finished, whatever its point's age."""


def _disk(case: Case, test: Callable[[Disk], bool]) -> bool:
    return case.disk is not None and test(case.disk)


def _backup(case: Case, test: Callable[[Backup], bool]) -> bool:
    return case.backup is not None and test(case.backup)


def _server(case: Case, test: Callable[[Server], bool]) -> bool:
    return case.server is not None and test(case.server)


def _too_small(case: Case) -> bool:
    backup, disk = case.backup, case.disk
    return bool(backup and disk and backup.size_gb is not None and disk.size_gb < backup.size_gb)


def _source(case: Case) -> str:
    if case.backup is None:
        return ""
    return case.backup.server_id if case.method == "hss" else case.backup.volume_id


def _other_source(case: Case) -> bool:
    if case.backup is None or case.limits.allow_other_target:
        return False
    if case.method == "hss":
        return bool(_source(case)) and _source(case) != case.server_id
    return _source(case) != case.volume_id


def _other_zone(case: Case) -> bool:
    backup, disk = case.backup, case.disk
    if backup is None or disk is None or backup.volume_id == disk.id:
        return False
    return bool(backup.availability_zone and disk.availability_zone != backup.availability_zone)


def _zones_differ(case: Case) -> bool:
    disk, server = case.disk, case.server
    if disk is None or server is None or not disk.availability_zone or not server.availability_zone:
        return False
    return disk.availability_zone != server.availability_zone


def _foreign(case: Case) -> bool:
    return _backup(case, lambda b: bool(b.project_id and case.project_id) and b.project_id != case.project_id)


def _disk_busy(case: Case) -> bool:
    return case.fresh and _disk(case, lambda d: d.status not in ("available", "in-use") and not _is_broken(d))


def _is_broken(disk: Disk) -> bool:
    return disk.status.startswith("error")


def _attached_but_must_be_free(case: Case) -> bool:
    return (
        case.limits.must_be_free and case.fresh and _disk(case, lambda d: d.status == "in-use" or bool(d.attachments))
    )


def _shared(case: Case) -> bool:
    return _disk(case, lambda d: len(d.attachments) > 1 or (d.shared and bool(d.attachments)))


def _too_old(case: Case) -> bool:
    age, limit = case.age_seconds, case.limits.max_backup_age_seconds
    return limit is not None and (age is None or age > limit)


def _server_unfit(case: Case) -> bool:
    return case.fresh and _server(case, lambda s: s.status not in ("ACTIVE", "SHUTOFF") or bool(s.task_state))


def _backup_status(case: Case) -> bool:
    return case.standing in (Standing.FRESH, Standing.DETACH) and _backup(case, lambda b: b.status != "available")


def _backup_missing(case: Case) -> bool:
    """Backups of a disk that does not exist are not looked for."""
    if case.backup is not None or (case.volume_id and case.disk is None):
        return False
    return case.fresh or (case.standing is Standing.SUBMIT and not _unfinished(case))


def _begun_backup_missing(case: Case) -> bool:
    return case.backup is None and _unfinished(case)


def _unfinished(case: Case) -> bool:
    """Taken apart by a run that died: it has to be put together again, with its backup or without."""
    died = case.mark is not None and case.mark.phase in (Phase.BEGUN, Phase.SUBMITTING)
    return case.standing is Standing.DETACH or (case.standing is Standing.SUBMIT and died)


def _names(children: tuple[ChildBackup, ...]) -> str:
    return ", ".join(f"{c.id} (of {c.resource_name or c.resource_id or 'unknown'})" for c in children)


RULES: tuple[Rule, ...] = (
    Rule(
        "disk_missing",
        ERROR,
        lambda c: bool(c.volume_id) and c.disk is None,
        lambda c: f"disk {c.volume_id} does not exist in this project and region",
        "Check the disk's id, the project and the region.",
    ),
    Rule(
        "disk_broken",
        ERROR,
        lambda c: c.fresh and _disk(c, _is_broken),
        lambda c: f"disk {c.volume_id} is {c.disk.status if c.disk else ''}",
        "The cloud allows only to delete such a disk: make a new one from the backup.",
    ),
    Rule(
        "begun_disk_broken",
        WARNING,
        lambda c: c.standing is Standing.BROKEN,
        lambda c: (
            f"disk {c.volume_id}, which was begun with, is {c.disk.status if c.disk else ''}; all else is finished"
        ),
        "The cloud allows only to delete such a disk: make a new one from the backup and attach that.",
    ),
    Rule(
        "restore_running",
        ERROR,
        lambda c: c.fresh and _disk(c, lambda d: d.status == "restoring-backup"),
        lambda c: f"disk {c.volume_id} is being restored by somebody else",
        "Wait until it has ended, then make a new plan.",
    ),
    Rule(
        "disk_busy",
        ERROR,
        lambda c: _disk_busy(c) and _disk(c, lambda d: d.status != "restoring-backup"),
        lambda c: (
            f"disk {c.volume_id} is {c.disk.status if c.disk else ''}; only available or in-use disks can be restored"
        ),
        "Wait until the disk has come to rest, then plan again.",
    ),
    Rule(
        "disk_shared",
        ERROR,
        _shared,
        lambda c: f"disk {c.volume_id} is a shared disk in use by {len(c.disk.attachments) if c.disk else 0} server(s)",
        "Stop and detach all its servers yourself, then plan it as a disk without a server.",
    ),
    Rule(
        "disk_attached",
        ERROR,
        _attached_but_must_be_free,
        lambda c: (
            f"disk {c.volume_id} is attached to server"
            f" {', '.join(a.server_id for a in c.disk.attachments) if c.disk else ''}"
        ),
        "Stop the server and detach the disk first, or let recovery_run do all of it.",
    ),
    Rule(
        "disk_too_small",
        ERROR,
        _too_small,
        lambda c: (
            f"disk {c.volume_id} has {c.disk.size_gb if c.disk else 0} GB, its backup {c.backup_id} needs"
            f" {c.backup.size_gb if c.backup else 0} GB"
        ),
        "Extend the disk to at least the backup's size, or take another backup.",
    ),
    Rule(
        "cmk_unverified",
        ERROR,
        lambda c: c.fresh and not c.limits.allow_encrypted and _disk(c, lambda d: d.encrypted and bool(d.attachments)),
        lambda c: f"disk {c.volume_id} is encrypted: if its key is disabled, it cannot be attached again once detached",
        "Check that its key (CMK) is enabled, then set allow_encrypted.",
    ),
    Rule(
        "backup_missing",
        ERROR,
        _backup_missing,
        lambda c: (
            f"backup {c.backup_id} does not exist in this project and region"
            if c.backup_id
            else "there is no usable restore point for"
            f" {'disk ' + c.volume_id if c.volume_id else 'server ' + c.server_id}"
        ),
        "Check the id, the project and the demanded point in time; backup_info lists what there is.",
    ),
    Rule(
        "begun_backup_missing",
        WARNING,
        _begun_backup_missing,
        lambda c: (
            f"backup {c.backup_id}, which was begun with, is gone: disk {c.volume_id} is put back if it is untouched"
        ),
        "Let the run put it back, then make a new plan with another restore point.",
    ),
    Rule(
        "backup_foreign",
        ERROR,
        _foreign,
        lambda c: f"backup {c.backup_id} belongs to another project and is only shared with this one",
        "A shared backup can only make new disks; restore from a backup of this project.",
    ),
    Rule(
        "backup_status",
        ERROR,
        _backup_status,
        lambda c: f"backup {c.backup_id} is {c.backup.status if c.backup else ''} instead of available",
        "Wait until it is available, or take another backup.",
    ),
    Rule(
        "backup_other_source",
        ERROR,
        _other_source,
        lambda c: (
            f"backup {c.backup_id} was made of {_source(c)}, not of {c.server_id if c.method == 'hss' else c.volume_id}"
            if _source(c)
            else f"the cloud does not say which disk backup {c.backup_id} was made of"
        ),
        "Take a backup of this very disk or server; a single module can be told allow_other_target.",
    ),
    Rule(
        "zone_differs",
        ERROR,
        _other_zone,
        lambda c: (
            f"disk {c.volume_id} is in {c.disk.availability_zone if c.disk else ''}, backup {c.backup_id} in"
            f" {c.backup.availability_zone if c.backup else ''}"
        ),
        "Take a disk in the zone of the backup.",
    ),
    Rule(
        "server_zone_differs",
        ERROR,
        lambda c: _zones_differ(c) and c.method == "vbs",
        lambda c: f"disk {c.volume_id} and server {c.server_id} are in different availability zones",
        "It could not be attached again: attach it to a server in its own zone.",
    ),
    Rule(
        "backup_too_old",
        ERROR,
        _too_old,
        lambda c: (
            f"backup {c.backup_id} is {_age(c)} old; max_backup_age allows {c.limits.max_backup_age_seconds or 0:.0f} s"
        ),
        "Take a newer restore point, or raise max_backup_age if this loss of data is accepted.",
        gate=True,
    ),
    Rule(
        "backup_after_incident",
        WARNING,
        lambda c: c.age_seconds is not None and c.age_seconds < 0,
        lambda c: f"backup {c.backup_id} was made after the incident and may hold what the incident did",
        "Set point_in_time to a time before the incident.",
        gate=True,
    ),
    Rule(
        "backup_age_unknown",
        WARNING,
        lambda c: c.backup is not None and c.backup.created_at is None and c.limits.max_backup_age_seconds is None,
        lambda c: f"the cloud does not say when backup {c.backup_id} was made",
        "Check its time in the console before approving.",
        gate=True,
    ),
    Rule(
        "server_missing",
        ERROR,
        lambda c: bool(c.server_id) and c.server is None,
        lambda c: f"server {c.server_id} does not exist in this project and region",
        "Check the server's id, the project and the region.",
    ),
    Rule(
        "server_locked",
        ERROR,
        lambda c: _server(c, lambda s: s.locked) and (c.method == "hss" or _disk(c, lambda d: bool(d.attachments))),
        lambda c: f"server {c.server_id} is locked: the cloud refuses to stop it or to detach its disks",
        "Unlock the server, then plan again.",
    ),
    Rule(
        "server_state",
        ERROR,
        _server_unfit,
        lambda c: (
            f"server {c.server_id} is {c.server.status if c.server else ''}"
            f"{' (' + c.server.task_state + ')' if c.server and c.server.task_state else ''}"
        ),
        "Bring the server to ACTIVE or SHUTOFF with nothing going on, then plan again.",
    ),
    Rule(
        "used_since",
        ERROR,
        lambda c: c.standing is Standing.USED,
        lambda c: (
            f"run {c.mark.run_id if c.mark else ''} may have restored disk {c.volume_id}, and it was put to use since"
            f"{_at_another_server(c)}"
        ),
        "Its data may be new, so it is not restored again in that run. To do so nevertheless, start a new run_id with"
        " take_over set to that run.",
    ),
    Rule(
        "moved_since_begun",
        WARNING,
        lambda c: c.fresh and c.mark is not None and c.mark.phase is Phase.BEGUN and bool(_at_another_server(c)),
        lambda c: (
            f"run {c.mark.run_id if c.mark else ''} had begun with disk {c.volume_id} and not restored it"
            f"{_at_another_server(c)}"
        ),
        "Look after the server that it was taken from: that run may have left it off, or without this disk.",
    ),
    Rule(
        "server_left_off",
        WARNING,
        lambda c: c.fresh and _server(c, lambda s: s.stopped) and _left_off(c),
        lambda c: (
            f"server {c.server_id} ran before run {c.mark.run_id if c.mark else ''}, whose restore failed, and is off"
        ),
        "It is started again when it is restored. If it is needed before, see what its disks hold first.",
    ),
    Rule(
        "children_unmapped",
        ERROR,
        lambda c: bool(c.unmapped) and c.server is not None and c.fresh,
        lambda c: (
            f"it is not certain which disks of server {c.server_id} these backups belong to: {_names(c.unmapped)}"
        ),
        "Restore this server with hss_backup_restore and explicit mappings.",
    ),
    Rule(
        "mappings_missing",
        ERROR,
        lambda c: c.method == "hss" and c.fresh and _backup(c, lambda b: not b.children and not b.volume_id),
        lambda c: f"backup {c.backup_id} is of server {c.server_id}, and HSS does not name the backups of its disks",
        "Restore this server with hss_backup_restore and explicit mappings: the backup of each disk, as the console of"
        " HSS or CBR shows it, and the disk.",
    ),
    Rule(
        "hss_disk_too_small",
        ERROR,
        lambda c: bool(_hss_too_small(c)),
        lambda c: f"these disks are smaller than their backups: {', '.join(_hss_too_small(c))}",
        "Extend the disks to at least the size of their backups.",
    ),
)


def _left_off(case: Case) -> bool:
    return case.mark is not None and case.mark.phase is Phase.FAILED and case.mark.was_running is True


def _at_another_server(case: Case) -> str:
    """Where a marked disk was, and is, if these are two servers."""
    was = case.mark.server_id if case.mark else ""
    places = [attachment.server_id for attachment in case.disk.attachments] if case.disk else []
    return f": it was at server {was} and is at {', '.join(places)}" if was and places and was not in places else ""


def _hss_too_small(case: Case) -> list[str]:
    sizes = {child.resource_id: child.size_gb for child in case.backup.children} if case.backup else {}
    return [disk.id for disk in case.disks if disk.size_gb < (sizes.get(disk.id) or 0)]


def _age(case: Case) -> str:
    return "of unknown age" if case.age_seconds is None else f"{case.age_seconds:.0f} s"


def examine(case: Case) -> Iterator[Problem]:
    """Every rule that applies, in the order of the table."""
    for rule in RULES:
        if case.standing is Standing.FINISHED and rule.code != "disk_missing":
            continue
        if rule.gate and not case.chosen_now:
            continue
        if rule.applies(case):
            yield Problem(rule.severity, rule.code, case.target, rule.message(case), rule.remedy, case.volume_id)
