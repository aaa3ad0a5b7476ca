# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HSS: ransomware-protection backups of servers, their restore and the log of it.

Source: HSS API reference (Restore Using a Backup, ListOperationLogs, ShowBackupInfoByBackupId, ListBackedupByHostId,
Error Codes) and the models of the official SDK. All refusals are HTTP 400, also "not found" and "no permission".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

from simulator.messages import Refusal, Response, answer, gateway
from simulator.routing import Call, route
from simulator.scenario import HSS_BACKUP_STATUSES, HssChildSpec
from simulator.state import Disk, HssBackup, HssRecord, Server, World, utc_text

_LOCAL_ZONE = timezone(timedelta(hours=8))
_DAY_SECONDS = 86400
_FAILED: Mapping[str, tuple[str, str]] = {
    # error_info comes from the layer below (CBR error codes) [inferred].
    "failed": ("BackupService.0002", "Restore failed."),
    "timeout": ("BackupService.9910", "The task timed out."),
}


def _refuse_below(code: str, message: str) -> Refusal:
    """What CBR, which does the work, refuses; HSS wraps it in a code of its own [inferred]."""
    return Refusal("HSS.0041", f"CBR call exception: {code}: {message}")


def _check_common(world: World, call: Call) -> None:
    if not world.behaviours.hss_published:
        # As reported for the Open Telekom Cloud (Terraform provider, issue 3487).
        message = "The API does not exist or has not been published in the environment"
        raise gateway("APIGW.0101", message, status=404)
    enterprise_project = call.query.get("enterprise_project_id")
    if enterprise_project is not None and not 1 <= len(enterprise_project) <= 256:
        raise call.malformed("enterprise_project_id must have 1 to 256 characters")
    region = call.request.header("region")
    if region is not None and not 1 <= len(region) <= 128:
        raise call.malformed("region must have 1 to 128 characters")
    if len(call.params.get("backup_id", "")) > 64:
        raise call.malformed("backup_id must have at most 64 characters")


def _backup(world: World, call: Call) -> HssBackup:
    backup = world.hss_backups.get(call.params["backup_id"])
    if backup is None:
        # HTTP 400, not 404.
        raise Refusal("HSS.0011", "The resource does not exist")
    return backup


# Reading


def _child(world: World, backup: HssBackup, child: HssChildSpec) -> dict[str, Any]:
    """The SDK describes a child's resource_id as the host's, while in CBR it is the volume's."""
    by_host = world.behaviours.hss_child_resource_id == "host"
    return {
        "id": child.id,
        "name": f"{backup.spec.name}_{child.volume_id}",
        "image_type": "backup",
        "vault_id": "",
        "status": backup.status,
        "resource_size": child.size,
        "resource_id": backup.spec.server_id if by_host else child.volume_id,
        "resource_type": "OS::Nova::Server" if by_host else "OS::Cinder::Volume",
        "resource_name": "",
    }


def show_backup(world: World, call: Call) -> Response:
    _check_common(world, call)
    backup = _backup(world, call)
    spec = backup.spec
    is_server = bool(spec.children)
    unit = 1000 if world.behaviours.hss_created_at_unit == "ms" else 1
    return answer(
        {
            "id": backup.id,
            "name": spec.name,
            "image_type": "backup",
            "vault_id": f"vault-of-{world.project.id}",
            "created_at": int(backup.created_at * unit),
            "status": backup.status,
            "resource_size": sum(part.size for part in backup.parts),
            "resource_id": spec.server_id if is_server else spec.volume_id,
            "resource_name": world.servers[spec.server_id].spec.name,
            "resource_type": "OS::Nova::Server" if is_server else "OS::Cinder::Volume",
            "children": [_child(world, backup, child) for child in spec.children],
        }
    )


def _page(world: World, call: Call) -> tuple[int, int]:
    """offset 0 to 2,000,000 and limit 10 to 200, both have to be sent; for the log this is [inferred]."""
    offset = call.number("offset", None, 0, 2_000_000)
    limit = call.number("limit", None, 10, 200)
    cap = world.behaviours.page_limit_cap
    return offset, min(limit, cap) if cap else limit


def _since(world: World, call: Call) -> float:
    if "last_days" not in call.query:
        return 0.0
    return world.now - call.number("last_days", None, 1, 30) * _DAY_SECONDS


def list_backups(world: World, call: Call) -> Response:
    _check_common(world, call)
    offset, limit = _page(world, call)
    since = _since(world, call)
    query = call.query
    if "status" in query and query["status"] not in HSS_BACKUP_STATUSES:
        raise call.malformed(f"status {query['status']!r} is unknown")
    found = [
        backup
        for backup in world.hss_by_server.get(call.params["host_id"], {}).values()
        if query.get("status") in (None, backup.status)
        and query.get("name") in (None, backup.spec.name)
        and backup.created_at >= since
    ]
    found.sort(key=lambda backup: (-backup.created_at, backup.id))
    entries = [
        {
            "backup_id": backup.id,
            "backup_name": backup.spec.name,
            "backup_status": backup.status,
            # At most 2^31 - 1, so seconds, while the details of one backup may count milliseconds.
            "create_time": int(backup.created_at),
            "os_images_data": [],
            "backup_tag": backup.spec.tag,
        }
        for backup in found[offset : offset + limit]
    ]
    return answer({"total_num": len(found), "data_list": entries})


def _time_text(world: World, moment: float | None) -> str:
    """The format is documented nowhere."""
    if moment is None:
        return ""
    how = world.behaviours.hss_time_format
    if how == "epoch_ms":
        return str(int(moment * 1000))
    if how == "local_text":
        return datetime.fromtimestamp(moment, UTC).astimezone(_LOCAL_ZONE).strftime("%Y-%m-%d %H:%M:%S")
    return utc_text(moment, digits=0, zone="Z")


def _percent(world: World, record: HssRecord) -> int:
    if record.status == "success":
        return 100
    if record.status != "running":
        return 0
    length = max(record.ends_at - record.started_at, 1e-9)
    return max(0, min(99, int(100 * (world.now - record.started_at) / length)))


def record_document(world: World, record: HssRecord) -> dict[str, Any]:
    """No task id, no backup id, no kind of operation: a record names a host and a backup's name."""
    return {
        "host_id": record.host_id,
        "host_name": record.host_name,
        "backup_name": record.backup_name,
        "process": _percent(world, record),
        "status": record.status,
        "started_at": _time_text(world, record.started_at),
        "ended_at": _time_text(world, record.ended_at),
        "error_info": {"code": record.error_code, "message": record.error_message},
    }


def list_operation_logs(world: World, call: Call) -> Response:
    _check_common(world, call)
    offset, limit = _page(world, call)
    since = _since(world, call)
    query = call.query
    found = [
        record
        for record in world.hss_log
        if query.get("status") in (None, record.status)
        and query.get("resource_name") in (None, record.host_name)
        and record.started_at >= since
    ]
    page = found[offset : offset + limit]
    return answer({"total_num": len(found), "data_list": [record_document(world, record) for record in page]})


# Restore


def _mappings(call: Call) -> list[tuple[str, str]]:
    """mappings[].backup_id 1 to 128 characters, volume_id 0 to 128; CBR demands both."""
    entries = call.body.get("mappings")
    if not isinstance(entries, list) or not entries:
        raise call.malformed("mappings must be given to restore a server")
    pairs = [
        (call.text(entry, "backup_id", longest=128), call.text(entry, "volume_id", longest=128)) for entry in entries
    ]
    for side in zip(*pairs, strict=True):
        if len(set(side)) != len(side):
            # No document says what becomes of it [inferred].
            raise call.malformed("an id appears twice in mappings")
    return pairs


def _server_target(world: World, call: Call, backup: HssBackup) -> Server:
    server_id = call.text(call.body, "server_id", longest=128)
    server = world.servers.get(server_id)
    if server is None:
        raise Refusal("HSS.0011", f"The server {server_id} does not exist")
    if server.id != backup.spec.server_id:
        raise _refuse_below("BackupService.2003", "the backup is not of this server")
    return server


def _server_disks(world: World, call: Call, backup: HssBackup, server: Server) -> list[tuple[Disk, HssChildSpec]]:
    children = {child.id: child for child in backup.spec.children}
    chosen = []
    for child_id, volume_id in _mappings(call):
        child = children.get(child_id)
        if child is None:
            raise call.malformed(f"backup {child_id} is no part of backup {backup.id}")
        if volume_id not in server.volumes:
            raise _refuse_below("BackupService.7201", f"the disk {volume_id} is not attached to the server")
        if child.volume_id != volume_id:
            # CBR user guide: backup data goes to the original disk only.
            raise _refuse_below("BackupService.7004", f"the disk {volume_id} is not the original one")
        chosen.append((world.disks[volume_id], child))
    if len(chosen) < len(children) and world.behaviours.hss_partial_mappings == "refuse":
        raise _refuse_below("BackupService.2012", "restoration of some disks is not allowed")
    return chosen


def _disk_target(world: World, backup: HssBackup) -> tuple[Server | None, list[tuple[Disk, HssChildSpec]]]:
    """A disk backup: mappings may be given, but their values are not used (Chinese text of the API reference)."""
    disk = world.disks.get(backup.spec.volume_id)
    if disk is None:
        raise Refusal("HSS.0011", "The disk does not exist")
    if disk.status not in ("available", "in-use") or disk.restoring:
        raise _refuse_below("BackupService.2011", f"the disk is {disk.status}")
    holder = next(iter(disk.attachments), None)
    return (world.servers[holder] if holder else None), [(disk, backup.parts[0])]


def _check_idle(server: Server) -> None:
    if server.busy == "restore":
        raise _refuse_below("BackupService.2010", "the server is being restored")
    if server.busy or server.task_state or server.locked or server.status not in ("ACTIVE", "SHUTOFF"):
        raise _refuse_below("BackupService.2008", f"the state of the server does not fit: {server.status}")


def restore(world: World, call: Call) -> Response:
    """200 and an empty body: no job, no id, nothing."""
    _check_common(world, call)
    backup = _backup(world, call)
    power_on = call.body.get("power_on", True)
    if not isinstance(power_on, bool):
        raise call.malformed("power_on must be a boolean")
    if backup.status in ("restoring", "waiting_restore"):
        raise _refuse_below("BackupService.2010", "the backup is being restored")
    if backup.status != "available":
        raise _refuse_below("BackupService.2005", f"the state of the backup does not fit: {backup.status}")
    server: Server | None
    if backup.spec.children:
        server = _server_target(world, call, backup)
        disks = _server_disks(world, call, backup, server)
    else:
        server, disks = _disk_target(world, backup)
    if server is not None:
        _check_idle(server)
    for disk, child in disks:
        if disk.spec.size < child.size:
            raise _refuse_below("BackupService.2001", f"the disk {disk.id} is smaller than its backup")
    _Restore(world, backup, server, disks, power_on).begin()
    return Response(200)


class _Restore:
    """One restore under way: wait, stop the server, rewrite its disks, start it."""

    def __init__(
        self,
        world: World,
        backup: HssBackup,
        server: Server | None,
        disks: list[tuple[Disk, HssChildSpec]],
        power_on: bool,
    ) -> None:
        self.world = world
        self.backup = backup
        self.server = server
        self.disks = disks
        self.power_on = power_on
        self.host = world.servers[backup.spec.server_id]
        self.outcome = world.outcome("hss_outcome", self.host.id)
        timing = world.timing
        self.work_seconds = timing.hss_restore + timing.hss_restore_per_gb * sum(child.size for _unused, child in disks)
        wall = (timing.hss_wait + timing.stop + self.work_seconds + timing.start) / world.scale
        name = backup.spec.name
        self.record = HssRecord(self.host.id, self.host.spec.name, name, "waiting", world.now, world.now + wall)

    def begin(self) -> None:
        if self.outcome == "vanish":
            return
        self.backup.status = "waiting_restore"
        if self.outcome != "no_record":
            log = self.world.hss_log
            self.world.after(self.world.behaviours.hss_log_lag_seconds, partial(log.appendleft, self.record))
        if self.server is not None:
            self.server.busy = "restore"
        for disk, _unused in self.disks:
            if disk.restore_count and disk.used_since_restore:
                self.world.note("restored_after_use", f"disk {disk.id} was in use since its last restore")
            disk.restoring = True
        self.world.after(self.world.timing.hss_wait, self._stop)

    def _stop(self) -> None:
        if self.outcome == "skipped":
            self._end("skipped")
            return
        self.record.status = "running"
        self.backup.status = "restoring"
        if self.server is None or self.server.status != "ACTIVE":
            self._work()
            return
        self.server.task_state = "powering-off"
        self.world.after(self.world.timing.stop, self._work)

    def _work(self) -> None:
        if self.server is not None:
            self.world.set_power(self.server, "SHUTOFF")
        if self.outcome != "stuck":
            self.world.after(self.work_seconds, self._finish_work)

    def _finish_work(self) -> None:
        if self.outcome in _FAILED:
            for disk, _unused in self.disks:
                disk.data = f"undefined after a failed restore of {self.backup.id}"
            self._end(self.outcome)
            return
        for disk, child in self.disks:
            disk.data = child.data
            disk.restore_count += 1
            disk.used_since_restore = False
        if self.server is None or not self.power_on:
            self._end("success")
            return
        self.server.task_state = "powering-on"
        self.world.after(self.world.timing.start, self._started)

    def _started(self) -> None:
        if self.server is not None:
            self.world.set_power(self.server, "ACTIVE")
        self._end("success")

    def _end(self, status: str) -> None:
        self.record.status = status
        self.record.ended_at = self.world.now
        self.record.error_code, self.record.error_message = _FAILED.get(status, ("", ""))
        self.backup.status = "available"
        for disk, _unused in self.disks:
            disk.restoring = False
        if self.server is not None:
            self.server.busy = ""


def delete_backup(world: World, call: Call) -> Response:
    """The restore's path without its last word, with DELETE."""
    _check_common(world, call)
    backup = _backup(world, call)
    world.violate("backup_deleted", f"HSS backup {backup.id} was deleted")
    world.remove_hss_backup(backup.id)
    return Response(200)


_STEM = "/v5/{project_id}/ransomware"
_LOG_QUERY = "enterprise_project_id status resource_name offset limit last_days"
ROUTES = (
    # Fixed names first: they collide with backup/{host_id}.
    route("GET", f"{_STEM}/backup/operation-logs", "hss.list_operation_logs", list_operation_logs, query=_LOG_QUERY),
    route("GET", f"{_STEM}/backup/{{backup_id}}/detail", "hss.show_backup", show_backup, query="enterprise_project_id"),
    route(
        "GET",
        f"{_STEM}/backup/{{host_id}}",
        "hss.list_backups",
        list_backups,
        query="enterprise_project_id offset limit status name last_days",
    ),
    route(
        "POST",
        f"{_STEM}/duplication/{{backup_id}}/restore",
        "hss.restore",
        restore,
        query="enterprise_project_id",
    ),
    route("DELETE", f"{_STEM}/duplication/{{backup_id}}", "hss.delete_backup", delete_backup),
)
