# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HSS: ransomware-protection backups of servers and their restore (HSS API reference, Ransomware Prevention)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from .._restore import times
from .._restore.model import Accepted, Backup, ChildBackup, LogRecord
from .api import PROJECT, Api
from .fields import flag, items, listed, mapping, needed, nonsense, text, whole
from .paging import Page, at_rest, collect

RESTORE = ("hss", "RestoreDuplicationInfo")
"""The API whose rate limit counts this call. Its turn is taken before the look that guards the call."""
_PAGE = 200
_LOG_PAGES = 1000


def restore(
    api: Api,
    backup_id: str,
    *,
    server_id: str | None = None,
    power_on: bool = True,
    mappings: Iterable[tuple[str, str]] = (),
) -> Accepted:
    """Restoring Data Using a Backup. `mappings`: pairs of the backup of a disk and the disk. The answer is empty."""
    pairs = [{"backup_id": child_id, "volume_id": volume_id} for child_id, volume_id in mappings]
    body: dict[str, Any] = {"power_on": power_on}
    body |= {"server_id": server_id} if server_id else {}
    body |= {"mappings": pairs} if pairs else {}
    target = f"server {server_id}" if server_id else "a disk"
    answer = api.post(
        "hss",
        ("v5", PROJECT, "ransomware", "duplication", backup_id, "restore"),
        json=body,
        query=_enterprise(api),
        headers=_region(api),
        what=f"restoring {target} from backup {backup_id}",
        name=RESTORE[1],
        turn_taken=True,
        empty_ok=True,
    )
    return Accepted(job_id=text(answer.json.get("job_id")))


def backup(api: Api, backup_id: str) -> Backup:
    """One backup with the backups of the server's disks in it."""
    what = f"looking at backup {backup_id}"
    answer = api.get(
        "hss",
        ("v5", PROJECT, "ransomware", "backup", backup_id, "detail"),
        query=_enterprise(api),
        headers=_region(api),
        what=what,
        name="ShowBackupInfoByBackupId",
    )
    found = _detail(answer.json, what=what)
    if found.id.lower() != backup_id.lower():
        raise nonsense(what, f"the answer is about backup {found.id}")
    return replace(found, id=backup_id)


def backups(api: Api, host_id: str, *, status: str = "") -> list[Backup]:
    """The backups of one server."""
    what = f"listing the backups of server {host_id}"

    def fetch(seen: list[dict[str, Any]], _number: int) -> Page:
        answer = api.get(
            "hss",
            ("v5", PROJECT, "ransomware", "backup", host_id),
            query={**_enterprise(api), "status": status or None, "offset": len(seen), "limit": _PAGE},
            headers=_region(api),
            what=what,
            name="ListBackupedByHostId",
        )
        return Page(listed(answer.json, "data_list", what=what, total="total_num"), whole(answer.json.get("total_num")))

    every = collect(fetch, what=what, key="backup_id", filtered=bool(status)).values()
    return [_listed(item, host_id, what=what) for item in every]


def log(api: Api) -> list[LogRecord]:
    """The whole backup and restore task list, in the order in which it came.

    Records have no id, and a restore is recognized by a record that was not there before: one record seen twice would
    look like a new one. Where one has come and an old one has gone the total stays, but two pages hold the same record.
    Two records may be alike, though: a list that is the same when it is read again did not change.
    """
    what = "looking at the backup and restore task list of HSS"
    before: list[str] = []

    def read() -> list[LogRecord] | None:
        nonlocal before
        pages = _log_pages(api, what)
        if pages is None:
            return None
        records = [record for page in pages for record in page]
        last, before = before, [record.identity for record in records]
        return records if before == last or not _on_two_pages(pages) else None

    return at_rest(read, what=what)


def _log_pages(api: Api, what: str) -> list[list[LogRecord]] | None:
    """None if the total changed between two pages."""
    pages: list[list[LogRecord]] = []
    total: int | None = None
    length = 0
    while len(pages) < _LOG_PAGES:
        answer = api.get(
            "hss",
            ("v5", PROJECT, "ransomware", "backup", "operation-logs"),
            query={**_enterprise(api), "offset": length, "limit": _PAGE},
            what=what,
            name="ListOperationLogs",
        )
        page = [_record(api, item) for item in listed(answer.json, "data_list", what=what, total="total_num")]
        before, total = total, whole(answer.json.get("total_num"))
        if (pages and total != before) or (not page and length < (total or 0)):
            return None
        if pages and total is None and [r.identity for r in page] == [r.identity for r in pages[-1]]:
            break  # a service that does not page
        pages.append(page)
        length += len(page)
        if not page or (total is not None and length >= total):
            break
    return pages


def _on_two_pages(pages: list[list[LogRecord]]) -> bool:
    """Whether a record is on more than one page. Its progress may differ from one to the other."""
    on_each = [{record.identity for record in page} for page in pages]
    return len(set().union(*on_each)) < sum(map(len, on_each))


def _enterprise(api: Api) -> dict[str, object]:
    return {"enterprise_project_id": api.enterprise_project_id} if api.enterprise_project_id else {}


def _region(api: Api) -> dict[str, str]:
    return {"region": api.asset_region} if api.asset_region else {}


def _detail(document: Mapping[str, Any], *, what: str) -> Backup:
    resource_id, of_disk = text(document.get("resource_id")), "volume" in text(document.get("resource_type")).lower()
    return Backup(
        service="hss",
        id=needed(document, "id", what=what),
        status=needed(document, "status", what=what),
        name=text(document.get("name")),
        volume_id=resource_id if of_disk else "",
        server_id="" if of_disk else resource_id,
        server_name="" if of_disk else text(document.get("resource_name")),
        size_gb=whole(document.get("resource_size")),
        created_at=times.from_cloud(document.get("created_at")),
        children=tuple(_child(item) for item in items(document.get("children")) if text(item.get("id"))),
    )


def _child(document: Mapping[str, Any]) -> ChildBackup:
    return ChildBackup(
        id=text(document.get("id")),
        resource_id=text(document.get("resource_id")),
        resource_type=text(document.get("resource_type")),
        resource_name=text(document.get("resource_name")),
        name=text(document.get("name")),
        status=text(document.get("status")),
        size_gb=whole(document.get("resource_size")),
    )


def _listed(document: Mapping[str, Any], host_id: str, *, what: str) -> Backup:
    return Backup(
        service="hss",
        id=needed(document, "backup_id", what=what),
        status=needed(document, "backup_status", what=what),
        name=text(document.get("backup_name")),
        server_id=host_id,
        created_at=times.from_cloud(document.get("create_time")),
        ransomware_alert=flag(document.get("backup_tag")),
    )


def _record(api: Api, document: Mapping[str, Any]) -> LogRecord:
    error = mapping(document.get("error_info"))
    return LogRecord(
        host_id=text(document.get("host_id")),
        backup_name=text(document.get("backup_name")),
        status=text(document.get("status")).strip().lower(),
        started_at=text(document.get("started_at")),
        ended_at=text(document.get("ended_at")),
        host_name=text(document.get("host_name")),
        progress_percent=whole(document.get("process")),
        error_code=api.words(error.get("code")),
        error_message=api.words(error.get("message")),
    )
