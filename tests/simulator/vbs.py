# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VBS: backups of disks and their restore.

Source: VBS API reference (Restoring a Disk Using a VBS Backup, Querying the Job Status, Querying Details About VBS
Backups, Error Codes) and the VBS user guide. The table of error codes names no HTTP status: 400 [inferred].
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from simulator import jobs
from simulator.messages import Refusal, Response, answer, not_found
from simulator.routing import Call, route
from simulator.state import Disk, Job, VbsBackup, World, utc_text

_MOST_PER_PAGE = 1000
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A disk whose state forbids a restore, and how VBS says so.
_DISK_STATE_CODES: Mapping[str, str] = {
    "error": "VolumeBackup.0202",
    "error_restoring": "VolumeBackup.0202",
    "backing-up": "VolumeBackup.0206",
}


def _is_own(world: World, backup: VbsBackup) -> bool:
    return backup.project_id == world.project.id


def _backup(world: World, call: Call) -> VbsBackup:
    backup_id = call.params["backup_id"]
    if not _ID.fullmatch(backup_id):
        raise Refusal("VolumeBackup.0204", "The format of backup_id is wrong")
    backup = world.vbs_backups.get(backup_id)
    if backup is None:
        raise Refusal("VolumeBackup.0111", f"The backup {backup_id} does not exist")
    return backup


# Restore


def _check_restore(world: World, call: Call) -> tuple[VbsBackup, Disk]:
    backup = _backup(world, call)
    wanted = call.body.get("restore")
    volume_id = wanted.get("volume_id") if isinstance(wanted, dict) else None
    if not isinstance(volume_id, str) or not volume_id:
        raise Refusal("VolumeBackup.0208", "volume_id is wrong")
    if not _is_own(world, backup):
        # User guide: only own backups can be restored, shared ones serve to create new disks.
        raise Refusal("VolumeBackup.0042", "No rights to this backup", status=403)
    disk = world.disks.get(volume_id)
    if disk is None:
        raise Refusal("VolumeBackup.0207", f"The disk {volume_id} does not exist")
    _check_states(backup, disk)
    return backup, disk


def _check_states(backup: VbsBackup, disk: Disk) -> None:
    if backup.status != "available":
        raise Refusal("VolumeBackup.0089", f"The backup status is unavailable: {backup.status}")
    if disk.spec.sdrs:
        raise Refusal("VolumeBackup.0211", "The disk is at a disaster recovery site")
    if disk.status != "available" or disk.restoring:
        # One operation at a time: until the job has ended the disk is not to be had.
        code = _DISK_STATE_CODES.get(disk.status, "VolumeBackup.0205")
        raise Refusal(code, f"The disk status is unavailable: {disk.status}")
    if disk.spec.size < backup.spec.size:
        message = f"The disk ({disk.spec.size} GB) must not be smaller than the backup ({backup.spec.size} GB)"
        raise Refusal("VolumeBackup.0209", message)


def restore(world: World, call: Call) -> Response:
    backup, disk = _check_restore(world, call)
    return answer({"job_id": _begin_restore(world, backup, disk).id})


def restore_native(world: World, call: Call) -> Response:
    """The native call has no job; and on the host of CBR the same path means something else."""
    backup, disk = _check_restore(world, call)
    _begin_restore(world, backup, disk)
    entry = {"backup_id": backup.id, "volume_id": disk.id, "volume_name": disk.spec.name}
    return answer({"restore": entry}, status=202)


def _begin_restore(world: World, backup: VbsBackup, disk: Disk) -> Job:
    if disk.restore_count and disk.used_since_restore:
        world.note("restored_after_use", f"disk {disk.id} was in use since its last restore")
    job_id = world.new_uuid() if world.behaviours.vbs_job_id == "dashed" else world.new_hex()
    # What a restore job's entities hold is not documented [inferred]; its type is known from the vendor's tests.
    entities = {"backup_id": backup.id, "volume_id": disk.id}
    job = world.new_job("vbs", "bksRestoreBackup", entities, job_id=job_id)
    disk.restoring = True
    backup.status = "restoring"
    world.set_disk_status(disk, "restoring-backup")
    outcome = world.outcome("restore_outcome", disk.id)
    timing = world.timing
    seconds = timing.vbs_restore_seconds(disk.id, backup.spec.size) * (10 if outcome == "slow" else 1)
    if outcome == "stuck":
        return job
    data_written = partial(_fail_disk, world, disk, backup, outcome)
    if outcome in ("ok", "slow"):
        data_written = partial(_write_disk, world, disk, backup)
    world.after(seconds, data_written)
    # A real Cinder showed the disk available while the backup was still restoring.
    world.after(seconds + timing.vbs_settle, partial(_end_restore, world, disk, backup, job, outcome))
    return job


def _write_disk(world: World, disk: Disk, backup: VbsBackup) -> None:
    disk.data = backup.spec.data
    disk.restore_count += 1
    disk.used_since_restore = False
    if world.behaviours.restore_metadata == "replace":
        # Cinder's backup driver replaces the metadata by that of the time of the backup; system entries [inferred].
        system = {key: value for key, value in disk.metadata.items() if key.startswith("__system__")}
        disk.metadata = {**backup.spec.metadata, **system}
    world.set_idle(disk)
    world.show(disk, at_once=False)


def _fail_disk(world: World, disk: Disk, backup: VbsBackup, outcome: str) -> None:
    disk.data = f"undefined after a failed restore of {backup.id}"
    world.set_disk_status(disk, "available" if outcome == "fail_available" else "error_restoring")


def _end_restore(world: World, disk: Disk, backup: VbsBackup, job: Job, outcome: str) -> None:
    disk.restoring = False
    backup.status = "available"
    if outcome in ("ok", "slow"):
        world.end_job(job)
    else:
        reason = "RestoreBackup Task-fail: fsp cinder return volume status is error."
        world.end_job(job, error_code="VolumeBackup.0200", fail_reason=reason)


# Backups


def document(world: World, backup: VbsBackup) -> dict[str, Any]:
    spec = backup.spec
    created = utc_text(backup.created_at)
    return {
        "id": backup.id,
        "name": spec.name or None,
        "volume_id": spec.volume_id,
        "status": backup.status,
        "size": spec.size,
        "description": '{"DESC":"","INC":0}',
        "availability_zone": None,
        "fail_reason": None,
        "object_count": None,
        "container": None,
        "created_at": created,
        "updated_at": created,
        "data_timestamp": created,
        "has_dependent_backups": False,
        "is_incremental": False,
        "snapshot_id": None,
        "os-backup-project-attr:project_id": backup.project_id,
        "links": _links(world, backup),
    }


def _links(world: World, backup: VbsBackup) -> list[dict[str, str]]:
    """As in the samples: an internal host and the wrong version, never to be followed."""
    return [{"href": f"http://192.168.82.231:8776/v2/{world.project.id}/backups/{backup.id}", "rel": "self"}]


def show_backup(world: World, call: Call) -> Response:
    backup = world.vbs_backups.get(call.params["backup_id"])
    if backup is None:
        raise not_found(f"Backup {call.params['backup_id']} could not be found.")
    return answer({"backup": document(world, backup)})


def _in_order(world: World, backups: Iterable[VbsBackup]) -> list[VbsBackup]:
    """ "My Backups": shared ones are in a list of their own."""
    own = [backup for backup in backups if _is_own(world, backup)]
    if world.behaviours.vbs_backup_order == "created_desc":
        return sorted(own, key=lambda backup: (-backup.created_at, backup.id))
    return sorted(own, key=lambda backup: backup.id)


def _candidates(world: World, call: Call) -> list[VbsBackup]:
    """The order never changes, and sorting all of them for every page would take longer than all the rest."""
    if "volume_id" in call.query:
        return _in_order(world, world.vbs_by_volume.get(call.query["volume_id"], {}).values())
    if world.listed_vbs_backups is None:
        world.listed_vbs_backups = _in_order(world, world.vbs_backups.values())
    return world.listed_vbs_backups


def _matching(world: World, call: Call) -> list[VbsBackup]:
    query = call.query
    candidates = _candidates(world, call)
    if not {"status", "name"} & query.keys():
        return candidates
    return [
        backup
        for backup in candidates
        if query.get("status") in (None, backup.status) and query.get("name") in (None, backup.spec.name)
    ]


def _page(world: World, call: Call) -> tuple[list[VbsBackup], int, str]:
    """The page, the total and the query of the next page ("" if this is the last)."""
    limit = call.number("limit", _MOST_PER_PAGE, 1, 2**31 - 1)
    limit = min(limit, _MOST_PER_PAGE, world.behaviours.page_limit_cap or _MOST_PER_PAGE)
    start = call.number("offset", 0, 0, 2**31 - 1)
    found = _matching(world, call)
    if "marker" in call.query:
        # Not in the v3 table, but the next link carries it.
        places = [index for index, backup in enumerate(found) if backup.id == call.query["marker"]]
        if not places:
            raise call.malformed("marker was not found")
        start += places[0] + 1
    page = found[start : start + limit]
    following = f"limit={limit}&marker={page[-1].id}" if start + limit < len(found) else ""
    return page, len(found), following


def _list(world: World, call: Call, entry: Any) -> Response:
    page, total, following = _page(world, call)
    body: dict[str, Any] = {"backups": [entry(world, backup) for backup in page]}
    if following:
        href = f"http://192.168.82.231:8776/v2/{world.project.id}/backups/detail?{following}"
        body["backups_links"] = [{"href": href, "rel": "next"}]
    wants_count = call.query.get("with_count", "").lower() == "true"
    if wants_count and _has_microversion(call):
        body["count"] = total
    return answer(body)


def _has_microversion(call: Call) -> bool:
    """with_count and the fuzzy filters need the header Openstack-Api-Version: volume 3.45."""
    found = re.fullmatch(r"volume 3\.(\d+)", call.request.header("openstack-api-version") or "")
    return found is not None and int(found[1]) >= 45


def list_backups(world: World, call: Call) -> Response:
    return _list(world, call, document)


def _summary(world: World, backup: VbsBackup) -> dict[str, Any]:
    return {"id": backup.id, "name": backup.spec.name or None, "links": _links(world, backup)}


def list_summaries(world: World, call: Call) -> Response:
    return _list(world, call, _summary)


# Deleting


def _delete(world: World, call: Call) -> None:
    backup = _backup(world, call)
    if backup.status not in ("available", "error"):
        raise Refusal("VolumeBackup.0089", f"The backup status is unavailable: {backup.status}")
    world.remove_vbs_backup(backup.id)


def delete_backup(world: World, call: Call) -> Response:
    if call.params["backup_id"] not in world.vbs_backups:
        raise not_found(f"Backup {call.params['backup_id']} could not be found.")
    world.violate("backup_deleted", f"backup {call.params['backup_id']} was deleted")
    _delete(world, call)
    return Response(202)


def delete_by_post(world: World, call: Call) -> Response:
    """Deleting a VBS Backup (deprecated): the restore's path without its last word deletes the backup."""
    world.violate("backup_deleted", f"POST to the path of backup {call.params['backup_id']} deletes it")
    _delete(world, call)
    job = world.new_job("vbs", "bksDeleteBackup", {})
    world.after(2 * world.timing.job_init, lambda: world.end_job(job))
    return answer({"job_id": job.id})


_LIST_QUERY = "name status offset limit marker volume_id with_count"
ROUTES = (
    route("POST", "/v2/{project_id}/cloudbackups/{backup_id}/restore", "vbs.restore", restore),
    route("POST", "/v2/{project_id}/cloudbackups/{backup_id}", "vbs.delete_by_post", delete_by_post),
    route("GET", "/v1/{project_id}/jobs/{job_id}", "vbs.show_job", jobs.show_vbs),
    route("GET", "/v3/{project_id}/backups/detail", "vbs.list_backups", list_backups, query=_LIST_QUERY),
    route("GET", "/v3/{project_id}/backups", "vbs.list_summaries", list_summaries, query=_LIST_QUERY),
    route("GET", "/v3/{project_id}/backups/{backup_id}", "vbs.show_backup", show_backup),
    route("POST", "/v3/{project_id}/backups/{backup_id}/restore", "vbs.restore_native", restore_native),
    route("DELETE", "/v3/{project_id}/backups/{backup_id}", "vbs.delete_backup", delete_backup),
)
