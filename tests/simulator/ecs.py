# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ECS: servers, their power, their disks and their metadata.

Source: ECS API reference (Querying Details About an ECS, Stopping ECSs in a Batch, Attaching a Disk to an ECS,
Detaching an EVS Disk from an ECS, Updating ECS Metadata, Error Codes).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from simulator import jobs
from simulator.messages import Refusal, Response, Shape, answer, not_found
from simulator.routing import Call, route
from simulator.state import Attachment, Disk, Job, Server, World, utc_text

_POWER_STATES = {"ACTIVE": 1, "SHUTOFF": 4}
_METADATA_KEY = re.compile(r"[A-Za-z0-9\-_:.]{1,255}")
_METADATA_VM_STATES = ("active", "stopped", "paused", "suspended")
_DATA_LETTERS = "bcdefghijklmnopqrstuvwx"  # VBD data disks: /dev/vdb to /dev/vdx only
_ATTACH_STATES = ("ACTIVE", "SHUTOFF")
# Error Codes: "some error codes are displayed in the returned messages for task viewing requests". Those of a failed
# start and of a failed attach have a code of their own; that of the other two is [inferred].
_JOB_FAILURES = {
    "stop": ("Ecs.0000", "Request error."),
    "detach": ("Ecs.0000", "Request error."),
    "attach": ("Ecs.0205", "Failed to attach the data disk."),
    "start": ("Ecs.0226", "Failed to start the ECS."),
}
# Querying Job Execution Status names INIT, RUNNING, SUCCESS and FAIL.
_UNKNOWN_STATUS = "SUSPENDED"


def find(world: World, server_id: str) -> Server:
    server = world.servers.get(server_id)
    if server is None:
        raise not_found(f"Instance {server_id} could not be found.")
    return server


def _server(world: World, call: Call) -> Server:
    return find(world, call.params["server_id"])


# Reading


def _in_order(server: Server) -> list[tuple[str, Attachment]]:
    return sorted(server.volumes.items(), key=lambda item: item[1].device)


def _boot_index(world: World, server: Server, attachment: Attachment) -> int:
    """Live answers (reported 2025-11 for the Open Telekom Cloud) showed 0 for a data disk, too."""
    if world.behaviours.boot_index == "all_zero" or attachment.device == server.spec.root_device:
        return 0
    return -1


def _volume_entry(world: World, server: Server, volume_id: str, attachment: Attachment) -> dict[str, Any]:
    return {
        "id": volume_id,
        # Texts, not a boolean and not a number.
        "delete_on_termination": "true" if attachment.delete_on_termination else "false",
        "bootIndex": str(_boot_index(world, server, attachment)),
        "device": attachment.device,
    }


def document(world: World, server: Server) -> dict[str, Any]:
    spec = server.spec
    return {
        "id": server.id,
        "name": spec.name,
        "tenant_id": world.project.id,
        "status": server.status,
        "OS-EXT-STS:vm_state": server.vm_state,
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:power_state": _POWER_STATES.get(server.status, 0),
        "OS-EXT-AZ:availability_zone": spec.az,
        "OS-EXT-SRV-ATTR:root_device_name": spec.root_device,
        "os-extended-volumes:volumes_attached": [
            _volume_entry(world, server, volume_id, attachment) for volume_id, attachment in _in_order(server)
        ],
        "locked": server.locked,
        "metadata": {"os_type": "Linux", "charging_mode": "0", **server.metadata},
        "fault": None,
        "host_status": "UP",
        "tags": [],
        "sys_tags": [],
        "created": "2026-01-02T03:04:05Z",
        "updated": utc_text(world.now, digits=0, zone="Z"),
    }


def show_server(world: World, call: Call) -> Response:
    return answer({"server": document(world, _server(world, call))})


def list_servers(world: World, call: Call) -> Response:
    """Listing Details About ECSs: offset is the number of the PAGE, counted from 1, and 0 means 1."""
    limit = call.number("limit", 25, 1, 1000)
    page = max(1, call.number("offset", 1, 0, 2**31 - 1))
    cap = world.behaviours.page_limit_cap
    limit = min(limit, cap) if cap else limit
    name = call.query.get("name")
    found = [
        server
        for server in world.servers.values()
        if call.query.get("status") in (None, server.status)
        # The name is fuzzy: a part is enough, and a dot stands for any character.
        and (name is None or re.search(re.escape(name).replace(r"\.", "."), server.spec.name))
    ]
    chosen = found[(page - 1) * limit : page * limit]
    return answer({"count": len(found), "servers": [document(world, server) for server in chosen]})


def list_block_devices(world: World, call: Call) -> Response:
    server = _server(world, call)
    free = world.limits.server_disk_slots - len(server.volumes)
    entries = [
        {
            "serverId": server.id,
            "volumeId": volume_id,
            "id": volume_id,
            "size": world.disks[volume_id].spec.size,
            "device": attachment.device,
            "pciAddress": "0000:02:01.0",
            # A number here, a text in the details of the server.
            "bootIndex": _boot_index(world, server, attachment),
            "bus": "scsi" if attachment.device.startswith("/dev/sd") else "virtio",
        }
        for volume_id, attachment in _in_order(server)
    ]
    quantity = {"free_scsi": free, "free_blk": free, "free_disk": free}
    return answer({"volumeAttachments": entries, "attachableQuantity": quantity})


# Metadata


def _check_metadata(call: Call, entries: Any) -> Mapping[str, str]:
    """Updating ECS Metadata: keys of letters, digits, - _ : and . up to 255, values up to 255."""
    if not isinstance(entries, dict) or not entries:
        raise call.malformed("metadata must be an object with at least one key")
    for key, value in entries.items():
        if not _METADATA_KEY.fullmatch(key):
            raise call.malformed(f"metadata key {key!r} has a character that is not allowed")
        if not isinstance(value, str) or len(value) > 255:
            raise call.malformed(f"metadata value of {key!r} must be a text of up to 255 characters")
    return entries


def _check_metadata_state(server: Server) -> None:
    if server.vm_state not in _METADATA_VM_STATES:
        raise Refusal("Ecs.0100", f"The server is {server.vm_state}: its metadata may not be changed")


def update_metadata(world: World, call: Call) -> Response:
    """POST adds or updates keys and keeps the others."""
    server = _server(world, call)
    entries = _check_metadata(call, call.body.get("metadata"))
    _check_metadata_state(server)
    if len({**server.metadata, **entries}) > world.limits.server_metadata_items:
        # Nova's quota metadata_items; the number is that of the scenario [inferred].
        raise Refusal(403, "Maximum number of metadata items exceeded", status=403, shape=Shape.FORBIDDEN)
    server.metadata.update(entries)
    return answer({"metadata": dict(server.metadata)})


def delete_metadata(world: World, call: Call) -> Response:
    """Known from the SDK only; the answer's status and the 404 are as in Nova [inferred]."""
    server = _server(world, call)
    _check_metadata_state(server)
    if call.params["key"] not in server.metadata:
        raise not_found("Metadata item was not found")
    del server.metadata[call.params["key"]]
    return Response(204)


# Power


def _check_free(server: Server) -> None:
    if server.locked:
        raise Refusal("Ecs.0605", f"The server {server.id} is locked")
    if server.busy:
        # Ecs.0603 comes with HTTP 501 and is temporary: another command runs, try again in a minute.
        raise Refusal("Ecs.0603", "Another command is being executed, try again after 1 minute", status=501)
    if server.task_state is not None:
        raise Refusal("Ecs.0100", f"The state of server {server.id} does not fit: {server.task_state}")


def _action_servers(world: World, call: Call, action: Any) -> list[Server]:
    entries = action.get("servers") if isinstance(action, dict) else None
    if not isinstance(entries, list) or not entries:
        raise call.malformed("servers must be a list with at least one entry")
    if len(entries) > world.limits.servers_in_one_action:
        # Error Codes: Ecs.0118, too many servers in a batch.
        raise Refusal("Ecs.0118", f"{len(entries)} servers in one batch are too many")
    ids = [call.text(entry, "id", longest=128) for entry in entries]
    if len(set(ids)) != len(ids):
        # No document says what becomes of it [inferred].
        raise call.malformed("a server appears twice")
    return [find(world, server_id) for server_id in ids]


def server_action(world: World, call: Call) -> Response:
    """One job with one sub-job per server; the job's type is not documented [inferred]."""
    actions = [name for name in ("os-stop", "os-start") if name in call.body]
    if len(actions) != 1 or len(call.body) != 1:
        raise call.malformed("the body must hold os-stop or os-start and nothing else")
    if actions == ["os-stop"]:
        return _stop_all(world, call, call.body["os-stop"])
    return _start_all(world, call, call.body["os-start"])


def _stop_all(world: World, call: Call, action: Any) -> Response:
    kind = action.get("type", "SOFT") if isinstance(action, dict) else ""
    if kind not in ("SOFT", "HARD"):
        raise call.malformed("type must be SOFT or HARD")
    servers = _action_servers(world, call, action)
    for server in servers:
        _check_may_stop(world, server, hard=kind == "HARD")
    parent = _batch_job(world, "stopServers")
    for server in servers:
        _stop_one(world, server, parent, hard=kind == "HARD")
    return answer({"job_id": parent.id})


def _check_may_stop(world: World, server: Server, *, hard: bool) -> None:
    if hard and server.task_state == "powering-off" and not server.locked:
        return  # a hard stop ends a soft one that hangs [inferred]
    _check_free(server)
    if server.status == "SHUTOFF" and world.behaviours.stop_stopped == "conflict":
        # Nova: stopping a stopped server is a conflict.
        message = f"Cannot 'stop' instance {server.id} while it is in vm_state stopped"
        raise Refusal(409, message, status=409, shape=Shape.CONFLICT)


def _batch_job(world: World, kind: str) -> Job:
    return world.new_job("ecs", kind, {})


def _sub_job(world: World, parent: Job, kind: str, server: Server) -> Job:
    sub = world.new_job("ecs", kind, {"server_id": server.id, "errorcode_message": ""})
    parent.subs.append(sub)
    return sub


def _end_sub(world: World, parent: Job, sub: Job, *, code: str | None = None, reason: str | None = None) -> None:
    world.end_job(sub, error_code=code, fail_reason=reason)
    sub.entities["errorcode_message"] = reason or ""
    if any(child.end is None for child in parent.subs):
        return
    failed = [child for child in parent.subs if child.status == "FAIL"]
    if failed and world.behaviours.batch_parent == "honest":
        # Error Codes: Ecs.0611, batch failed, read the sub-jobs.
        world.end_job(parent, error_code="Ecs.0611", fail_reason="batch operation failed")
    else:
        world.end_job(parent)


def _end_undone(world: World, parent: Job, sub: Job, server: Server, *, kind: str, outcome: str) -> None:
    """The job did not do it: the server is as it was [inferred]."""
    server.task_state = None
    if outcome == "unknown":
        parent.status = sub.status = _UNKNOWN_STATUS
        return
    code, reason = _JOB_FAILURES[kind]
    _end_sub(world, parent, sub, code=code, reason=reason)


def _stop_one(world: World, server: Server, parent: Job, *, hard: bool) -> None:
    sub = _sub_job(world, parent, "stopServer", server)
    if server.status != "ACTIVE":
        _end_needless(world, parent, sub, server)
        return
    server.task_state = "powering-off"
    server.power_ticket += 1
    ticket = server.power_ticket
    outcome = world.outcome("ecs_job_outcome", "stop")
    if outcome == "stuck":
        return
    how = "ok" if hard or outcome != "ok" else world.outcome("soft_stop", server.id)

    def finish() -> None:
        if server.power_ticket != ticket:
            _end_sub(world, parent, sub, code="Ecs.0100", reason="overtaken by a hard stop")
        elif outcome != "ok":
            _end_undone(world, parent, sub, server, kind="stop", outcome=outcome)
        elif how == "hangs":
            server.task_state = None
            _end_sub(world, parent, sub, code="Ecs.0100", reason="the guest did not shut down")
        else:
            world.set_power(server, "SHUTOFF")
            _end_sub(world, parent, sub)

    world.after(world.timing.stop if how == "ok" else world.timing.soft_stop_hang, finish)


def _end_needless(world: World, parent: Job, sub: Job, server: Server) -> None:
    """Whether stopping a stopped server fails is not documented."""
    reason = None if world.behaviours.stop_stopped == "success" else f"the server is {server.status} already"
    code = "Ecs.0100" if reason else None
    world.after(world.timing.job_init, lambda: _end_sub(world, parent, sub, code=code, reason=reason))


def _start_all(world: World, call: Call, action: Any) -> Response:
    servers = _action_servers(world, call, action)
    for server in servers:
        _check_free(server)
        if not any(item.device == server.spec.root_device for item in server.volumes.values()):
            # Error Codes: Ecs.0105, no system disk is attached.
            raise Refusal("Ecs.0105", f"The server {server.id} has no system disk")
    parent = _batch_job(world, "startServers")
    for server in servers:
        _start_one(world, server, parent)
    return answer({"job_id": parent.id})


def _start_one(world: World, server: Server, parent: Job) -> None:
    sub = _sub_job(world, parent, "startServer", server)
    if server.status != "SHUTOFF":
        _end_needless(world, parent, sub, server)
        return
    server.task_state = "powering-on"
    server.power_ticket += 1
    ticket = server.power_ticket
    outcome = world.outcome("ecs_job_outcome", "start")
    if outcome == "stuck":
        return

    def finish() -> None:
        if server.power_ticket != ticket:
            _end_sub(world, parent, sub, code="Ecs.0100", reason="overtaken by another command")
        elif outcome != "ok":
            _end_undone(world, parent, sub, server, kind="start", outcome=outcome)
        else:
            world.set_power(server, "ACTIVE")
            _end_sub(world, parent, sub)

    world.after(world.timing.start, finish)


# Attach


def _on_root(server: Server, device: str) -> bool:
    return device == server.spec.root_device


def _normal_device(server: Server, device: str) -> str:
    """On KVM /dev/sdX silently becomes /dev/vdX."""
    if server.spec.root_device.startswith("/dev/vd") and device.startswith("/dev/sd"):
        return f"/dev/vd{device.removeprefix('/dev/sd')}"
    return device


def _next_free(server: Server) -> str:
    stem = server.spec.root_device[:-1]
    taken = {item.device for item in server.volumes.values()}
    return next(f"{stem}{letter}" for letter in _DATA_LETTERS if f"{stem}{letter}" not in taken)


def _check_device(server: Server, disk: Disk, device: str) -> None:
    stem = server.spec.root_device[:-1]
    if not device:
        if disk.spec.bootable:
            raise Refusal("Ecs.0005", "A bootable disk needs an explicit device")
        return
    if not _on_root(server, device) and device not in {f"{stem}{letter}" for letter in _DATA_LETTERS}:
        raise Refusal("Ecs.0005", f"The device {device} is not possible on this server")
    if device in {item.device for item in server.volumes.values()}:
        raise Refusal("Ecs.0005", f"The device {device} is in use")
    if _on_root(server, device) and not disk.spec.bootable:
        # A disk made from data cannot be a system disk.
        raise Refusal("Ecs.0005", f"The disk {disk.id} is not bootable, it cannot be the system disk")
    if _on_root(server, device) and server.status != "SHUTOFF":
        raise Refusal("Ecs.0100", "A system disk can be attached to a stopped server only [inferred]")


def _check_may_attach(world: World, server: Server, disk: Disk) -> None:
    _check_free(server)
    if server.status not in _ATTACH_STATES:
        raise Refusal("Ecs.0100", f"The server is {server.status}")
    if server.id in disk.attachments:
        raise Refusal("Ecs.0057", f"The disk {disk.id} is attached already")
    shared = disk.spec.multiattach and disk.status == "in-use"
    if disk.status != "available" and not shared:
        raise Refusal("Ecs.0103", f"The disk {disk.id} is not available: {disk.status}")
    if disk.spec.az != server.spec.az:
        raise Refusal("Ecs.0121", "The disk and the server are in different failure domains")
    owner = disk.metadata.get("__system__server_id")
    if owner not in (None, server.id):
        # Error Codes: Ecs.0017, the disk belongs to another server.
        raise Refusal("Ecs.0017", f"The disk belongs to server {owner}")
    if len(server.volumes) >= world.limits.server_disk_slots:
        raise Refusal("Ecs.0104", "There is no free slot for a disk")


def _find_disk(world: World, volume_id: str) -> Disk:
    disk = world.disks.get(volume_id)
    if disk is None:
        # As seen by Terraform: HTTP 400, Ecs.1000, with the native text in the message.
        message = f'Nova call failed: {{"itemNotFound": {{"message": "Volume {volume_id} could not be found."}}}}'
        raise Refusal("Ecs.1000", message)
    return disk


def attach(world: World, call: Call) -> Response:
    server = _server(world, call)
    wanted = call.body.get("volumeAttachment")
    disk = _find_disk(world, call.text(wanted, "volumeId", longest=128))
    device = _normal_device(server, call.text(wanted, "device", required=False))
    dry_run = call.body.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise call.malformed("dry_run must be a boolean")
    _check_may_attach(world, server, disk)
    _check_device(server, disk, device)
    if dry_run:
        return answer({})  # the answer of a dry run is not documented [inferred]
    if not device or (world.behaviours.restore_device == "next_free" and not _on_root(server, device)):
        # Reported for the Open Telekom Cloud: the device asked for is not honoured.
        device = _next_free(server)
    return answer({"job_id": _begin_attach(world, server, disk, device).id})


def _begin_attach(world: World, server: Server, disk: Disk, device: str) -> Job:
    job = world.new_job("ecs", "attachVolume", {"server_id": server.id, "volume_id": disk.id})
    server.busy = "attach"
    world.set_disk_status(disk, "attaching")
    keep = world.behaviours.delete_on_termination_after_attach == "keep"

    def link() -> None:
        if server.id not in disk.attachments:
            world.link(disk, server, device, disk.delete_on_termination and keep)

    _move_later(world, job, server, disk, kind="attach", move=link)
    return job


def _move_later(world: World, job: Job, server: Server, disk: Disk, *, kind: str, move: Callable[[], None]) -> None:
    """A disk comes or goes, unless the job shall not do it: then it is where it was [inferred]."""
    outcome = world.outcome("ecs_job_outcome", kind)
    if outcome == "stuck":
        return

    def finish() -> None:
        server.busy = ""
        if outcome == "ok":
            move()
        else:
            world.set_idle(disk)
        world.show(disk, at_once=False)
        if outcome == "unknown":
            job.status = _UNKNOWN_STATUS
            return
        code, reason = _JOB_FAILURES[kind] if outcome == "fail" else (None, None)
        world.end_job(job, error_code=code, fail_reason=reason)

    world.after(getattr(world.timing, kind), finish)


# Detach


def detach(world: World, call: Call) -> Response:
    """The path names the disk, not the attachment."""
    server = _server(world, call)
    force = call.query.get("delete_flag", "0")
    if force not in ("0", "1"):
        raise call.malformed("delete_flag must be 0 or 1")
    volume_id = call.params["volume_id"]
    attachment = server.volumes.get(volume_id)
    if attachment is None:
        raise Refusal("Ecs.0111", f"The disk {volume_id} is not attached to the server")
    disk = world.disks[volume_id]
    _check_free(server)
    if _on_root(server, attachment.device) and force == "1":
        raise Refusal("Ecs.0005", "delete_flag 1 is for data disks only")
    if _on_root(server, attachment.device) and server.status != "SHUTOFF":
        raise Refusal("Ecs.0100", "A system disk can be detached from a stopped server only")
    if disk.status != "in-use":
        raise Refusal("Ecs.0102", f"The disk state forbids detaching: {disk.status}")
    return answer({"job_id": _begin_detach(world, server, disk).id})


def _begin_detach(world: World, server: Server, disk: Disk) -> Job:
    job = world.new_job("ecs", "detachVolume", {"server_id": server.id, "volume_id": disk.id})
    server.busy = "detach"
    world.set_disk_status(disk, "detaching")

    def unlink() -> None:
        if server.id in disk.attachments:
            world.unlink(disk, server)

    _move_later(world, job, server, disk, kind="detach", move=unlink)
    return job


_SERVER = "/v1/{project_id}/cloudservers/{server_id}"
ROUTES = (
    route(
        "GET",
        "/v1/{project_id}/cloudservers/detail",
        "ecs.list_servers",
        list_servers,
        query="offset limit name status",
    ),
    route("POST", "/v1/{project_id}/cloudservers/action", "ecs.server_action", server_action),
    route("GET", "/v1/{project_id}/jobs/{job_id}", "ecs.show_job", jobs.show_ecs),
    route("GET", _SERVER, "ecs.show_server", show_server),
    route("GET", f"{_SERVER}/block_device", "ecs.list_block_devices", list_block_devices),
    route("POST", f"{_SERVER}/metadata", "ecs.update_metadata", update_metadata),
    route("DELETE", f"{_SERVER}/metadata/{{key}}", "ecs.delete_metadata", delete_metadata),
    route("POST", f"{_SERVER}/attachvolume", "ecs.attach", attach),
    route("DELETE", f"{_SERVER}/detachvolume/{{volume_id}}", "ecs.detach", detach, query="delete_flag"),
)
