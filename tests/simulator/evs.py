# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EVS: reading disks and writing their metadata.

Source: EVS API reference (Querying Details About a Disk, Querying Details About All Disks, Disk Metadata Management).
"""

from __future__ import annotations

import re
from typing import Any

from simulator import jobs
from simulator.messages import Refusal, Response, answer, not_found
from simulator.routing import Call, route
from simulator.state import Attachment, Disk, World, utc_text

_IDS = re.compile(r"\[\s*'[^']*'(\s*,\s*'[^']*')*\s*\]")
_MOST_IDS = 60
_MOST_PER_PAGE = 1000
_FILTERS = frozenset({"status", "name", "availability_zone", "multiattach", "server_id"})
_SORT_KEYS = ("id", "status", "size", "created_at")


def find(world: World, volume_id: str) -> Disk:
    disk = world.disks.get(volume_id)
    if disk is None:
        raise not_found(f"Volume {volume_id} could not be found.")
    return disk


def _attachment(disk: Disk, attachment: Attachment) -> dict[str, Any]:
    return {
        "server_id": attachment.server_id,
        "attachment_id": attachment.attachment_id,
        "attached_at": utc_text(attachment.attached_at),
        "host_name": None,
        "volume_id": disk.id,
        "device": attachment.device,
        "id": disk.id,
    }


def document(world: World, disk: Disk) -> dict[str, Any]:
    spec = disk.spec
    return {
        "id": disk.id,
        "name": spec.name,
        "status": disk.shown.status,
        "size": spec.size,
        "availability_zone": spec.az,
        "volume_type": spec.type,
        # A text, not a boolean; it tells of the data, not of the attachment.
        "bootable": "true" if spec.bootable else "false",
        "attachments": [_attachment(disk, item) for item in disk.shown.attachments],
        "metadata": _metadata(disk),
        "volume_image_metadata": {"image_name": "os", "__os_type": "Linux"} if spec.bootable else None,
        "multiattach": spec.multiattach,
        "shareable": "false",
        "encrypted": spec.encrypted,
        "created_at": utc_text(disk.created_at),
        "updated_at": utc_text(disk.updated_at),
        "snapshot_id": None,
        "source_volid": None,
        "os-vol-tenant-attr:tenant_id": world.project.id,
        "tags": {},
        "wwn": " 688860300000d01f",
        "service_type": "EVS",
        "description": None,
        "links": [],
    }


def _metadata(disk: Disk) -> dict[str, str]:
    system = {"__system__encrypted": "1", "__system__cmkid": "c0ffee00"} if disk.spec.encrypted else {}
    return {**system, **disk.metadata}


def show_volume(world: World, call: Call) -> Response:
    return answer({"volume": document(world, find(world, call.params["volume_id"]))})


# Lists


def _parse_ids(call: Call) -> list[str]:
    """The literal text ``ids=['id1','id2']``, up to 60; unknown ids are skipped silently."""
    text = call.query["ids"]
    if not _IDS.fullmatch(text):
        raise call.malformed("ids must read ['id1','id2']")
    ids = re.findall(r"'([^']*)'", text)
    if len(ids) > _MOST_IDS:
        raise call.malformed(f"ids has {len(ids)} entries, at most {_MOST_IDS} are allowed")
    return ids


def _sorted_disks(world: World, key: str, direction: str) -> list[Disk]:
    cached = world.sorted_disks.get((key, direction))
    if cached is not None:
        return cached
    keys = {
        "id": lambda disk: disk.id,
        "size": lambda disk: (disk.spec.size, disk.id),
        "status": lambda disk: (disk.shown.status, disk.id),
        "created_at": lambda disk: (disk.created_at, disk.id),
    }
    ordered = sorted(world.disks.values(), key=keys[key], reverse=direction == "desc")
    if key != "status":
        world.sorted_disks[key, direction] = ordered
    return ordered


def _candidates(world: World, call: Call) -> list[Disk]:
    """ids wins over id; both and server_id are looked up, everything else is a walk over all disks."""
    query = call.query
    if "ids" in query:
        return [world.disks[volume_id] for volume_id in dict.fromkeys(_parse_ids(call)) if volume_id in world.disks]
    if "id" in query:
        return [world.disks[query["id"]]] if query["id"] in world.disks else []
    key, direction = query.get("sort_key", "created_at"), query.get("sort_dir", "desc")
    if key not in _SORT_KEYS or direction not in ("asc", "desc"):
        raise call.malformed("sort_key or sort_dir is wrong")
    if "server_id" in query:
        server = world.servers.get(query["server_id"])
        return [world.disks[volume_id] for volume_id in server.shown_volumes] if server else []
    return _sorted_disks(world, key, direction)


def _filter(world: World, call: Call) -> list[Disk]:
    query = call.query
    if not _FILTERS & query.keys():
        return _candidates(world, call)
    server = world.servers.get(query["server_id"]) if "server_id" in query else None
    return [
        disk
        for disk in _candidates(world, call)
        if query.get("status") in (None, disk.shown.status)
        and query.get("name") in (None, disk.spec.name)
        and query.get("availability_zone") in (None, disk.spec.az)
        and query.get("multiattach", str(disk.spec.multiattach)).lower() == str(disk.spec.multiattach).lower()
        and ("server_id" not in query or (server is not None and disk.id in server.shown_volumes))
    ]


def _start(world: World, call: Call, found: list[Disk]) -> int:
    if "marker" in call.query:
        places = [index for index, disk in enumerate(found) if disk.id == call.query["marker"]]
        if not places:
            raise call.malformed(f"marker {call.query['marker']} was not found")
        return places[0] + 1
    if world.behaviours.evs_offset == "lenient" or "cloudvolumes" not in call.request.path:
        return call.number("offset", 0, 0, 2**31 - 1)
    # Querying Details About All Disks: offset is greater than 0 and less than the number of disks.
    return call.number("offset", 0, 1, max(1, len(found) - 1))


def list_volumes(world: World, call: Call) -> Response:
    limit = call.number("limit", _MOST_PER_PAGE, 1, _MOST_PER_PAGE)
    cap = world.behaviours.page_limit_cap
    limit = min(limit, cap) if cap else limit
    found = _filter(world, call)
    start = _start(world, call, found)
    page = found[start : start + limit]
    body: dict[str, Any] = {"count": len(found), "volumes": [document(world, disk) for disk in page]}
    if start + limit < len(found):
        # An internal host: not to be followed.
        href = f"http://192.168.0.10:8776{call.request.path}?limit={limit}&marker={page[-1].id}"
        body["volumes_links"] = [{"href": href, "rel": "next"}]
    return answer(body)


# Metadata


def _check_entry(call: Call, key: Any, value: Any) -> None:
    fits = all(isinstance(text, str) and len(text.encode()) <= 255 for text in (key, value))
    if not fits or not key:
        raise call.malformed("metadata keys and values are texts of up to 255 bytes, and a key is not empty")
    if key.startswith("__system__"):
        raise Refusal("EVS.2047", f"The metadata {key} may not be changed")


def _entries(call: Call) -> dict[str, str]:
    entries = call.body.get("metadata")
    if not isinstance(entries, dict):
        raise call.malformed("metadata must be an object")
    for key, value in entries.items():
        _check_entry(call, key, value)
    return entries


def _volume(world: World, call: Call) -> Disk:
    return find(world, call.params["volume_id"])


def show_metadata(world: World, call: Call) -> Response:
    return answer({"metadata": _metadata(_volume(world, call))})


def merge_metadata(world: World, call: Call) -> Response:
    disk = _volume(world, call)
    disk.metadata.update(_entries(call))
    return answer({"metadata": _metadata(disk)})


def replace_metadata(world: World, call: Call) -> Response:
    """PUT replaces the whole set, as Cinder does; the system's own entries stay [inferred]."""
    disk = _volume(world, call)
    system = {key: value for key, value in disk.metadata.items() if key.startswith("__system__")}
    disk.metadata = {**system, **_entries(call)}
    return answer({"metadata": _metadata(disk)})


def _entry(call: Call, disk: Disk) -> str:
    key = call.params["key"]
    if key not in _metadata(disk):
        raise not_found(f"Volume {disk.id} has no metadata with key {key}.")
    return key


def show_entry(world: World, call: Call) -> Response:
    disk = _volume(world, call)
    key = _entry(call, disk)
    return answer({"meta": {key: _metadata(disk)[key]}})


def set_entry(world: World, call: Call) -> Response:
    disk = _volume(world, call)
    meta = call.body.get("meta")
    if not isinstance(meta, dict) or list(meta) != [call.params["key"]]:
        raise call.malformed("meta must hold the key of the URL and nothing else")
    for key, value in meta.items():
        _check_entry(call, key, value)
        disk.metadata[key] = value
    return answer({"meta": meta})


def delete_entry(world: World, call: Call) -> Response:
    disk = _volume(world, call)
    key = _entry(call, disk)
    _check_entry(call, key, "")
    del disk.metadata[key]
    return Response(200)


def _twice(method: str, rest: str, api: str, handler: Any, query: str = "") -> tuple[Any, ...]:
    """The native calls exist as v2 and v3 with the same content."""
    return tuple(route(method, f"/{v}/{{project_id}}/{rest}", api, handler, query=query) for v in ("v2", "v3"))


_LIST_QUERY = "marker name limit offset sort_key sort_dir status availability_zone multiattach id ids server_id"
ROUTES = (
    route("GET", "/v2/{project_id}/cloudvolumes/detail", "evs.list_volumes", list_volumes, query=_LIST_QUERY),
    route("GET", "/v1/{project_id}/jobs/{job_id}", "evs.show_job", jobs.show_evs),
    *_twice("GET", "volumes/detail", "evs.list_native", list_volumes, "marker limit offset status name"),
    *_twice("GET", "volumes/{volume_id}", "evs.show_volume", show_volume),
    *_twice("GET", "volumes/{volume_id}/metadata", "evs.show_metadata", show_metadata),
    *_twice("POST", "volumes/{volume_id}/metadata", "evs.merge_metadata", merge_metadata),
    *_twice("PUT", "volumes/{volume_id}/metadata", "evs.replace_metadata", replace_metadata),
    *_twice("GET", "volumes/{volume_id}/metadata/{key}", "evs.show_metadata_entry", show_entry),
    *_twice("PUT", "volumes/{volume_id}/metadata/{key}", "evs.set_metadata_entry", set_entry),
    *_twice("DELETE", "volumes/{volume_id}/metadata/{key}", "evs.delete_metadata_entry", delete_entry),
)
