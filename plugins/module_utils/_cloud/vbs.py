# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VBS: backups of single disks and their restore (VBS API reference)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from .._restore import times
from .._restore.model import UNKNOWN, Accepted, Backup, Job
from . import jobs
from .api import PROJECT, Api
from .fields import listed, mapping, needed, nonsense, text, whole
from .paging import Page, collect

RESTORE = ("vbs", "RestoreBackup")
"""The API whose rate limit counts this call. Its turn is taken before the look that guards the call."""
_PAGE = 1000
_FILTERED_CALLS = 5
_RESTORE_FAILED = frozenset(f"volumebackup.{number}" for number in ("0064", "0200", "0201", "0202"))
"""Restore failed; its result is empty; disk or backup are in an error state (VBS API reference, Error Codes)."""
# One page of the reference says tenant_id in its table and project_id in its sample; v2 has a name of its own.
_PROJECT_FIELDS = (
    "os-backup-project-attr:project_id",
    "os-backup-project-attr:tenant_id",
    "os-bak-tenant-attr:tenant_id",
)


def restore(api: Api, backup_id: str, volume_id: str) -> Accepted:
    """Restoring a Disk Using a VBS Backup. The path without its last word deletes the backup: it is never put together
    from parts that may be empty.
    """
    what = f"restoring disk {volume_id} from backup {backup_id}"
    answer = api.post(
        "vbs",
        ("v2", PROJECT, "cloudbackups", backup_id, "restore"),
        json={"restore": {"volume_id": volume_id}},
        what=what,
        name=RESTORE[1],
        turn_taken=True,
    )
    return jobs.accepted(answer, what=what)


def job(api: Api, job_id: str) -> Job:
    return jobs.read(api, "vbs", job_id, ends=_RESTORE_FAILED)


def backup(api: Api, backup_id: str) -> Backup:
    what = f"looking at backup {backup_id}"
    answer = api.get("vbs", ("v3", PROJECT, "backups", backup_id), what=what, name="ShowBackup")
    found = _backup(api, mapping(answer.json.get("backup")), what=what)
    if found.id.lower() != backup_id.lower():
        raise nonsense(what, f"the answer is about backup {found.id}")
    return replace(found, id=backup_id)


def backups(api: Api, *, volume_ids: Iterable[str] = ()) -> list[Backup]:
    """The backups of these disks, or of the whole project if none are named."""
    wanted = list(dict.fromkeys(volume_ids))
    named = set(wanted)
    filters: list[dict[str, object]] = [{"volume_id": one} for one in wanted] if len(wanted) <= _FILTERED_CALLS else []
    found: dict[str, Backup] = {}
    for query in filters or [{}]:
        for document in _all(api, query).values():
            one = _listed(api, document)
            if not named or one.volume_id in named:
                found[one.id] = one
    return list(found.values())


def backups_in(api: Api, status: str) -> list[Backup]:
    """All backups of the project that are in one state, or may be."""
    every = (_listed(api, document) for document in _all(api, {"status": status}).values())
    return [one for one in every if one.status in (status, UNKNOWN)]


def _all(api: Api, query: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    disk = query.get("volume_id")
    what = f"listing the backups of disk {disk}" if disk else "listing the backups of the project"

    def fetch(seen: list[dict[str, Any]], number: int) -> Page:
        offset = {"offset": len(seen)} if number else {}
        answer = api.get(
            "vbs",
            ("v3", PROJECT, "backups", "detail"),
            query={**query, "limit": _PAGE, **offset},
            what=what,
            name="ListBackups",
        )
        return Page(listed(answer.json, "backups", what=what), whole(answer.json.get("count")))

    return collect(fetch, what=what, filtered=bool(query))


def _listed(api: Api, document: Mapping[str, Any]) -> Backup:
    """An entry of the list. One without a status stays in it, for it may be the newest of its disk."""
    known = {**document, "status": text(document.get("status")).strip() or UNKNOWN}
    return _backup(api, known, what="listing backups")


def _backup(api: Api, document: Mapping[str, Any], *, what: str) -> Backup:
    return Backup(
        service="vbs",
        id=needed(document, "id", what=what),
        status=needed(document, "status", what=what),
        name=text(document.get("name")),
        volume_id=text(document.get("volume_id")),
        size_gb=whole(document.get("size")),
        created_at=times.from_cloud(document.get("created_at")),
        project_id=next((found for name in _PROJECT_FIELDS if (found := text(document.get(name)))), ""),
        availability_zone=text(document.get("availability_zone")),
        fail_reason=api.words(document.get("fail_reason")),
    )
