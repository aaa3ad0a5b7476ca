# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control port: looking at the truth, faults, and a human in the middle. Pure like the cloud itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from simulator import faults, iam
from simulator.cloud import Cloud
from simulator.hss import record_document
from simulator.messages import Request, Response, answer
from simulator.scenario import DISK_STATUSES, ScenarioError, VbsBackupSpec
from simulator.state import Attachment, Disk, Job, Server, World, utc_text

_SERVER_STATUSES = ("ACTIVE", "SHUTOFF", "ERROR", "PAUSED")


class ActError(ValueError):
    """Something that even a human cannot do, or say."""


# The truth


def _attachment(attachment: Attachment) -> dict[str, Any]:
    return {
        "server_id": attachment.server_id,
        "device": attachment.device,
        "attachment_id": attachment.attachment_id,
        "delete_on_termination": attachment.delete_on_termination,
    }


def _disk_state(disk: Disk) -> dict[str, Any]:
    return {
        "name": disk.spec.name,
        "status": disk.status,
        "shown_status": disk.shown.status,
        "data": disk.data,
        "attachments": [_attachment(item) for item in disk.attachments.values()],
        "metadata": dict(disk.metadata),
        "size": disk.spec.size,
        "restore_count": disk.restore_count,
        "restoring": disk.restoring,
        "last_used_at": disk.last_used_at,
        "used_since_restore": disk.used_since_restore,
    }


def _server_state(server: Server) -> dict[str, Any]:
    volumes = [{"id": volume_id, **_attachment(item)} for volume_id, item in server.volumes.items()]
    return {
        "name": server.spec.name,
        "status": server.status,
        "task_state": server.task_state,
        "busy": server.busy,
        "locked": server.locked,
        "metadata": dict(server.metadata),
        "volumes": sorted(volumes, key=lambda item: str(item["device"])),
    }


def _job_state(job: Job) -> dict[str, Any]:
    return {
        "service": job.service,
        "type": job.type,
        "status": job.status,
        "begin": job.begin,
        "end": job.end,
        "entities": dict(job.entities),
        "sub_jobs": [sub.id for sub in job.subs],
        "error_code": job.error_code,
    }


def _backups_state(world: World) -> dict[str, Any]:
    vbs = {
        item.id: {
            "service": "vbs",
            "status": item.status,
            "volume_id": item.spec.volume_id,
            "created_at": utc_text(item.created_at),
        }
        for item in world.vbs_backups.values()
    }
    hss = {
        item.id: {
            "service": "hss",
            "status": item.status,
            "server_id": item.spec.server_id,
            "created_at": utc_text(item.created_at),
        }
        for item in world.hss_backups.values()
    }
    return {**vbs, **hss}


def state(world: World) -> dict[str, Any]:
    return {
        "now": world.now,
        "servers": {item.id: _server_state(item) for item in world.servers.values()},
        "disks": {item.id: _disk_state(item) for item in world.disks.values()},
        "backups": _backups_state(world),
        "hss_log": [record_document(world, record) for record in world.hss_log],
        "jobs": {job.id: _job_state(job) for job in world.jobs.values()},
    }


# A human in the middle: at once, and without the rules that bind the API


def _pick(collection: Mapping[str, Any], body: Mapping[str, Any], name: str) -> Any:
    found = collection.get(str(body.get(name, "")))
    if found is None:
        raise ActError(f"{name} {body.get(name)!r} does not exist")
    return found


def _disk(world: World, body: Mapping[str, Any]) -> Disk:
    found: Disk = _pick(world.disks, body, "volume_id")
    return found


def _server(world: World, body: Mapping[str, Any]) -> Server:
    found: Server = _pick(world.servers, body, "server_id")
    return found


def _attach(world: World, body: Mapping[str, Any]) -> None:
    disk, server = _disk(world, body), _server(world, body)
    device = str(body.get("device", "/dev/vdx"))
    if server.id in disk.attachments or device in {item.device for item in server.volumes.values()}:
        raise ActError("the disk is attached there already, or the device is taken")
    world.link(disk, server, device, bool(body.get("delete_on_termination", False)))
    world.show(disk)


def _detach(world: World, body: Mapping[str, Any]) -> None:
    disk = _disk(world, body)
    if not disk.attachments:
        raise ActError(f"disk {disk.id} is not attached")
    for server_id in list(disk.attachments):
        world.unlink(disk, world.servers[server_id])
    world.show(disk)


def _power(status: str) -> Callable[[World, Mapping[str, Any]], None]:
    def act(world: World, body: Mapping[str, Any]) -> None:
        server = _server(world, body)
        server.power_ticket += 1
        world.set_power(server, status)

    return act


def _delete_backup(world: World, body: Mapping[str, Any]) -> None:
    backup_id = str(body.get("backup_id", ""))
    if backup_id in world.vbs_backups:
        world.remove_vbs_backup(backup_id)
    elif backup_id in world.hss_backups:
        world.remove_hss_backup(backup_id)
    else:
        raise ActError(f"backup_id {backup_id!r} does not exist")


def _add_backup(world: World, body: Mapping[str, Any]) -> None:
    """A VBS backup of what the disk holds now, unless the call says otherwise."""
    disk = _disk(world, body)
    backup_id = str(body.get("backup_id") or world.new_uuid())
    if backup_id in world.vbs_backups:
        raise ActError(f"backup_id {backup_id!r} exists already")
    spec = VbsBackupSpec(
        id=backup_id,
        volume_id=disk.id,
        size=int(body.get("size", disk.spec.size)),
        name=str(body.get("name", "")),
        status=str(body.get("status", "available")),
        age_seconds=int(body.get("age_seconds", 0)),
        data=str(body.get("data", disk.data)),
        metadata=dict(disk.metadata),
    )
    world.add_vbs_backup(spec)


def _write_disk(world: World, body: Mapping[str, Any]) -> None:
    disk = _disk(world, body)
    disk.data = str(body.get("data", "written by somebody"))
    world.mark_used(disk)


def _set_disk(world: World, body: Mapping[str, Any]) -> None:
    disk = _disk(world, body)
    status = body.get("status", disk.status)
    if status not in DISK_STATUSES:
        raise ActError(f"status {status!r} is unknown")
    disk.status = status
    world.sorted_disks.clear()
    changes = {name: body[name] for name in ("size", "multiattach", "encrypted", "sdrs", "az") if name in body}
    disk.spec = replace(disk.spec, **changes)
    world.show(disk)


def _set_server(world: World, body: Mapping[str, Any]) -> None:
    server = _server(world, body)
    if "status" in body:
        if body["status"] not in _SERVER_STATUSES:
            raise ActError(f"status {body['status']!r} is unknown")
        world.set_power(server, body["status"])
    server.locked = bool(body.get("locked", server.locked))
    server.task_state = body.get("task_state", server.task_state)
    changes = {name: body[name] for name in ("name", "az") if name in body}
    server.spec = replace(server.spec, **changes)


def _set_metadata(world: World, body: Mapping[str, Any]) -> None:
    """Of a server or of a disk; a value of null takes the key away."""
    target: Disk | Server = _server(world, body) if "server_id" in body else _disk(world, body)
    entries = body.get("metadata")
    if not isinstance(entries, dict):
        raise ActError("metadata must be an object")
    for key, value in entries.items():
        if value is None:
            target.metadata.pop(key, None)
        else:
            target.metadata[key] = str(value)


def _set_backup(world: World, body: Mapping[str, Any]) -> None:
    backup_id = str(body.get("backup_id", ""))
    backup = world.vbs_backups.get(backup_id) or world.hss_backups.get(backup_id)
    if backup is None:
        raise ActError(f"backup_id {backup_id!r} does not exist")
    backup.status = str(body.get("status", backup.status))


def _expire_tokens(world: World, body: Mapping[str, Any]) -> None:
    """All tokens given out so far end now; ``disguise`` is how the services put it."""
    disguise = body.get("disguise")
    if disguise is not None and disguise not in iam.EXPIRED:
        raise ActError(f"disguise must be one of {', '.join(iam.EXPIRED)}")
    for token in world.tokens.values():
        token.expired = True
        token.disguise = disguise


ACTIONS: Mapping[str, Callable[[World, Mapping[str, Any]], None]] = {
    "attach": _attach,
    "detach": _detach,
    "start": _power("ACTIVE"),
    "stop": _power("SHUTOFF"),
    "delete_backup": _delete_backup,
    "add_backup": _add_backup,
    "write_disk": _write_disk,
    "set_disk": _set_disk,
    "set_server": _set_server,
    "set_metadata": _set_metadata,
    "set_backup": _set_backup,
    "expire_tokens": _expire_tokens,
}


def act(world: World, body: Any) -> None:
    if not isinstance(body, Mapping):
        raise ActError("the body must be a JSON object")
    action = ACTIONS.get(str(body.get("action", "")))
    if action is None:
        raise ActError(f"action must be one of {', '.join(ACTIONS)}")
    action(world, body)


# The port


def _get(cloud: Cloud, path: str) -> Any:
    documents: Mapping[str, Callable[[], Any]] = {
        "/state": lambda: state(cloud.world),
        "/requests": lambda: [asdict(entry) for entry in cloud.log],
        "/summary": cloud.summary,
        "/faults": cloud.faults.describe,
    }
    return documents[path]() if path in documents else None


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise ActError(f"not JSON: {error}") from error


def _post(cloud: Cloud, path: str, body: bytes) -> bool:
    if path == "/faults":
        document = _document(body)
        cloud.faults.add(document if isinstance(document, list) else [document])
    elif path == "/act":
        act(cloud.world, _document(body))
    elif path == "/reset":
        cloud.reset()
    elif path == "/clear-log":
        cloud.clear_log()
    else:
        return False
    return True


def handle(cloud: Cloud, request: Request) -> Response:
    """One request at the control port."""
    cloud.advance()
    try:
        if request.method == "GET":
            document = _get(cloud, request.path)
            return answer({"error": "not found"}, status=404) if document is None else answer(document)
        if request.method == "DELETE" and request.path == "/faults":
            cloud.faults.clear()
            return answer({"ok": True})
        done = request.method == "POST" and _post(cloud, request.path, request.body)
    except (ActError, faults.FaultError, ScenarioError) as error:
        return answer({"error": str(error)}, status=400)
    return answer({"ok": True}) if done else answer({"error": "not found"}, status=404)
