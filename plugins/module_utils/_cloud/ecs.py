# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ECS: servers, their power, their disks and their metadata (ECS API reference)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._restore.model import Accepted, Failure, Job, Server, ServerVolume
from . import jobs
from .api import PROJECT, Api
from .errors import CloudError
from .fields import flag, items, listed, mapping, needed, nonsense, text, texts, whole
from .paging import Page, collect

SHOW = ("ecs", "ShowServer")
DETACH = ("ecs", "DetachServerVolume")
"""The API whose rate limit counts this call. Its turn is taken before the look that guards the call."""
_SINGLE_CALLS = 3
_PAGE = 1000
_UNKNOWN = "UNKNOWN"
"""The status of a server whose status the cloud cannot tell (ECS API reference, ECS Statuses): neither on nor off."""


def server(api: Api, server_id: str) -> Server:
    what = f"looking at server {server_id}"
    answer = api.get("ecs", ("v1", PROJECT, "cloudservers", server_id), what=what, name=SHOW[1])
    found = _server(mapping(answer.json.get("server")), what=what)
    if found.id.lower() != server_id.lower():
        raise nonsense(what, f"the answer is about server {found.id}")
    return replace(found, id=server_id)


def servers(api: Api, server_ids: Iterable[str]) -> dict[str, Server]:
    """Those of the servers that exist; many of them by pages of the list."""
    wanted = list(dict.fromkeys(server_ids))
    if len(wanted) <= _SINGLE_CALLS:
        found = (_server_or_none(api, server_id) for server_id in wanted)
        return {one.id: one for one in found if one}
    what = f"looking at {len(wanted)} servers"
    seen = _listed(api, what=what, wanted=wanted)
    return {server_id: _server(seen[server_id], what=what) for server_id in wanted if server_id in seen}


def all_servers(api: Api) -> dict[str, Server]:
    """Every server of the project, also those whose entries are incomplete: they may be nobody's business here."""
    what = "listing the servers of the project"
    return {
        server_id: _server({**found, "status": text(found.get("status")).strip() or _UNKNOWN}, what=what)
        for server_id, found in _listed(api, what=what).items()
    }


def _listed(api: Api, *, what: str, wanted: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    def fetch(_seen: list[dict[str, Any]], number: int) -> Page:
        # The offset of this list is the number of the page, from 1 (Querying Details About ECSs). To other lists of
        # the family it is a number of records: who reads it so here, too, would leave out the first server.
        answer = api.get(
            "ecs",
            ("v1", PROJECT, "cloudservers", "detail"),
            query={"limit": _PAGE, "offset": number + 1 if number else None},
            what=what,
            name="ListServers",
        )
        return Page(listed(answer.json, "servers", what=what), whole(answer.json.get("count")))

    return collect(fetch, what=what, wanted=wanted)


def stop(api: Api, server_ids: Sequence[str], *, hard: bool = False) -> Accepted:
    body = {"os-stop": {"type": "HARD" if hard else "SOFT", "servers": [{"id": one} for one in server_ids]}}
    return _action(api, body, what=f"stopping {_named(server_ids)}", name="BatchStopServers")


def start(api: Api, server_ids: Sequence[str]) -> Accepted:
    body = {"os-start": {"servers": [{"id": one} for one in server_ids]}}
    return _action(api, body, what=f"starting {_named(server_ids)}", name="BatchStartServers")


def detach(api: Api, server_id: str, volume_id: str) -> Accepted:
    """By the disk's id, not the attachment's (Detaching an EVS Disk from an ECS)."""
    what = f"detaching disk {volume_id} from server {server_id}"
    path = ("v1", PROJECT, "cloudservers", server_id, "detachvolume", volume_id)
    return jobs.accepted(api.delete("ecs", path, what=what, name=DETACH[1], turn_taken=True), what=what)


def attach(api: Api, server_id: str, volume_id: str, *, device: str = "", dry_run: bool = False) -> Accepted:
    """With `dry_run` the cloud only checks, and gives no job."""
    what = f"attaching disk {volume_id} to server {server_id}" + (f" as {device}" if device else "")
    attachment = {"volumeId": volume_id} | ({"device": device} if device else {})
    answer = api.post(
        "ecs",
        ("v1", PROJECT, "cloudservers", server_id, "attachvolume"),
        json={"volumeAttachment": attachment} | ({"dry_run": True} if dry_run else {}),
        what=what,
        name="AttachServerVolume",
        empty_ok=dry_run,
    )
    return Accepted() if dry_run else jobs.accepted(answer, what=what)


def job(api: Api, job_id: str) -> Job:
    return jobs.read(api, "ecs", job_id)


def write_metadata(api: Api, server_id: str, values: Mapping[str, str]) -> None:
    """Add or change these keys, keep the others (Updating ECS Metadata)."""
    api.post(
        "ecs",
        ("v1", PROJECT, "cloudservers", server_id, "metadata"),
        json={"metadata": dict(values)},
        what=f"writing metadata of server {server_id}",
        name="UpdateServerMetadata",
        empty_ok=True,
        patient=True,
    )


def _server_or_none(api: Api, server_id: str) -> Server | None:
    try:
        return server(api, server_id)
    except CloudError as error:
        if error.info.kind is not Failure.MISSING:
            raise
        return None


def _named(server_ids: Sequence[str]) -> str:
    return f"server {server_ids[0]}" if len(server_ids) == 1 else f"{len(server_ids)} servers"


def _action(api: Api, body: Mapping[str, Any], *, what: str, name: str) -> Accepted:
    path = ("v1", PROJECT, "cloudservers", "action")
    return jobs.accepted(api.post("ecs", path, json=body, what=what, name=name), what=what)


def _server(document: Mapping[str, Any], *, what: str) -> Server:
    return Server(
        id=needed(document, "id", what=what),
        status=needed(document, "status", what=what),
        name=text(document.get("name")),
        task_state=text(document.get("OS-EXT-STS:task_state")) or None,
        vm_state=text(document.get("OS-EXT-STS:vm_state")),
        availability_zone=text(document.get("OS-EXT-AZ:availability_zone")),
        locked=flag(document.get("locked")) is True,
        root_device=text(document.get("OS-EXT-SRV-ATTR:root_device_name")),
        volumes=tuple(
            ServerVolume(
                volume_id=text(item.get("id")),
                device=text(item.get("device")),
                delete_on_termination=flag(item.get("delete_on_termination")),
            )
            for item in items(document.get("os-extended-volumes:volumes_attached"))
            if text(item.get("id"))
        ),
        metadata=texts(document.get("metadata")),
    )
