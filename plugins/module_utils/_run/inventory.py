# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What restore points there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._cloud import hss, vbs
from .._restore.model import Backup
from .._restore.points import first_alarm
from .._restore.times import iso
from .options import OptionError
from .recovery import Shell


@dataclass(frozen=True)
class PointFilter:
    """Which points are wanted. Times are seconds since 1970; an empty text filters nothing."""

    service: str
    volume_id: str = ""
    server_id: str = ""
    backup_id: str = ""
    status: str = "available"
    before: float | None = None
    after: float | None = None
    clean_only: bool = False


def list_points(shell: Shell, wanted: PointFilter) -> list[dict[str, Any]]:
    """Newest first. Raises OptionError, CloudError."""
    found = _read(shell, wanted)
    alarm = first_alarm(found, None) if wanted.clean_only else None
    kept = [backup for backup in found if _fits(backup, wanted, alarm)]
    kept.sort(key=lambda backup: (backup.created_at or 0.0, backup.id), reverse=True)
    now = shell.clock.now() + shell.api.skew_seconds
    return [as_dict(backup, now) for backup in kept]


def _read(shell: Shell, wanted: PointFilter) -> list[Backup]:
    if wanted.service == "vbs":
        if wanted.server_id:
            raise OptionError("server_id: VBS keeps backups of single disks; give volume_id")
        if wanted.backup_id:
            return [vbs.backup(shell.api, wanted.backup_id)]
        return vbs.backups(shell.api, volume_ids=[wanted.volume_id] if wanted.volume_id else ())
    if wanted.volume_id:
        raise OptionError("volume_id: HSS keeps backups of whole servers; give server_id")
    if wanted.backup_id and wanted.clean_only:
        raise OptionError("clean_only needs server_id: HSS tells of alerts only where it lists the backups of a server")
    if wanted.backup_id:
        return [hss.backup(shell.api, wanted.backup_id)]
    if not wanted.server_id:
        raise OptionError("service hss needs server_id or backup_id: HSS lists backups by server only")
    return hss.backups(shell.api, wanted.server_id)


def _fits(backup: Backup, wanted: PointFilter, alarm: float | None) -> bool:
    created = backup.created_at
    tests = (
        wanted.backup_id or not wanted.status or backup.status == wanted.status,
        wanted.before is None or (created is not None and created <= wanted.before),
        wanted.after is None or (created is not None and created >= wanted.after),
        alarm is None or (created is not None and created < alarm),
    )
    return all(tests)


def as_dict(backup: Backup, now: float) -> dict[str, Any]:
    return {
        "id": backup.id,
        "name": backup.name,
        "service": backup.service,
        "volume_id": backup.volume_id or None,
        "server_id": backup.server_id or None,
        "created_at": iso(backup.created_at),
        "age_seconds": None if backup.created_at is None else int(now - backup.created_at),
        "size": backup.size_gb,
        "status": backup.status,
        "ransomware_alert": backup.ransomware_alert,
        "fail_reason": backup.fail_reason or None,
        "children": [
            {
                "id": c.id,
                "name": c.name,
                "resource_id": c.resource_id,
                "resource_type": c.resource_type,
                "size": c.size_gb,
                "status": c.status,
            }
            for c in backup.children
        ],
    }
