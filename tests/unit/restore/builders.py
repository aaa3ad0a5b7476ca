# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small cloud to plan on: one running server with two disks, a disk without a server, and their backups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import (
    HSS_KEY,
    LONE_DISK_KEY,
    Mark,
    Phase,
    encode,
    mark_key,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import (
    Attachment,
    Backup,
    ChildBackup,
    Disk,
    Server,
    ServerVolume,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.planning import Plan, Survey, make_plan
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Terms, Wish

PROJECT = "0123456789abcdef0123456789abcdef"
ZONE = "eu-de-01"
NOW = 1_790_000_000.0
DAY = 86_400.0
SERVER = "5e000000-0000-4000-8000-000000000001"
ROOT = "d1000000-0000-4000-8000-000000000001"
DATA = "d1000000-0000-4000-8000-000000000002"
LONE = "d1000000-0000-4000-8000-000000000003"
PLACES = {ROOT: "/dev/vda", DATA: "/dev/vdb"}


def attachment(volume_id: str = ROOT, server_id: str = SERVER) -> Attachment:
    return Attachment(server_id, f"at-{volume_id}", PLACES.get(volume_id, "/dev/vdx"))


def disk(volume_id: str = ROOT, **changes: Any) -> Disk:
    """In use at the server if it has a place there, else detached."""
    here = (attachment(volume_id),) if volume_id in PLACES else ()
    found = Disk(
        id=volume_id,
        status="in-use" if here else "available",
        size_gb=40,
        availability_zone=ZONE,
        attachments=here,
        project_id=PROJECT,
    )
    return replace(found, **changes)


def free(volume_id: str = ROOT, **changes: Any) -> Disk:
    return disk(volume_id, **{"status": "available", "attachments": (), **changes})


def server(server_id: str = SERVER, **changes: Any) -> Server:
    found = Server(
        id=server_id,
        status="ACTIVE",
        name="db01",
        availability_zone=ZONE,
        root_device="/dev/vda",
        volumes=tuple(ServerVolume(volume_id, device, False) for volume_id, device in PLACES.items()),
    )
    return replace(found, **changes)


def backup_id(volume_id: str, number: int = 1) -> str:
    return f"b{number}{volume_id[2:]}"


def backup(source: str = ROOT, number: int = 1, /, **changes: Any) -> Backup:
    """The `number`th newest: backup 1 is a day old, backup 2 two days."""
    found = Backup(
        service="vbs",
        id=backup_id(source, number),
        status="available",
        name=f"nightly-{number}",
        volume_id=source,
        size_gb=40,
        created_at=NOW - number * DAY,
        project_id=PROJECT,
        availability_zone=ZONE,
    )
    return replace(found, **changes)


def hss_backup(number: int = 1, /, **changes: Any) -> Backup:
    children = tuple(
        ChildBackup(id=f"c{number}{volume_id[2:]}", resource_id=volume_id, size_gb=40) for volume_id in PLACES
    )
    found = Backup(
        service="hss",
        id=f"h{number}{SERVER[2:]}",
        status="available",
        name=f"hss-{number}",
        server_id=SERVER,
        created_at=NOW - number * DAY,
        ransomware_alert=False,
        children=children,
    )
    return replace(found, **changes)


def mark(phase: Phase = Phase.BEGUN, volume_id: str = ROOT, **changes: Any) -> Mark:
    """The mark that run r1 left at the server for its disk."""
    found = Mark(
        phase=phase,
        run_id="r1",
        target_id="0123456789ab",
        backup_id=backup_id(volume_id),
        server_id=SERVER,
        device=PLACES.get(volume_id, ""),
        attachment_id=f"at-{volume_id}",
        was_running=True,
        delete_on_termination=False,
        at=NOW - 600,
    )
    return replace(found, **changes)


def marked(*marks: tuple[str, Mark]) -> Server:
    """The server with marks of these disks in its metadata."""
    return server(metadata={mark_key(volume_id): encode(item) for volume_id, item in marks})


def hss_marked(item: Mark) -> Server:
    return server(metadata={HSS_KEY: encode(item)})


def lone_marked(item: Mark, **changes: Any) -> Disk:
    """The disk without a server, with its own mark."""
    return disk(LONE, metadata={LONE_DISK_KEY: encode(item)}, **changes)


def survey(*things: Disk | Server | Backup, **changes: Any) -> Survey:
    """What the cloud shows: the default things, or those given in their place, by id."""
    defaults: tuple[Disk | Server | Backup, ...] = (
        disk(ROOT),
        disk(DATA),
        disk(LONE),
        server(),
        *(backup(volume_id, number) for volume_id in (ROOT, DATA, LONE) for number in (1, 2)),
        hss_backup(1),
        hss_backup(2),
    )
    every = {thing.id: thing for thing in (*defaults, *things)}
    shown: dict[str, Any] = {
        "at": NOW,
        "project_id": PROJECT,
        "disks": {key: thing for key, thing in every.items() if isinstance(thing, Disk)},
        "servers": {key: thing for key, thing in every.items() if isinstance(thing, Server)},
        "backups": {key: thing for key, thing in every.items() if isinstance(thing, Backup)},
    }
    return Survey(**{**shown, **changes})


def vbs_wish(name: str = "db01", *volume_ids: str, **changes: Any) -> Wish:
    volumes = tuple((volume_id, "latest") for volume_id in volume_ids or (ROOT, DATA))
    return Wish(**{"name": name, "method": "vbs", "volumes": volumes, **changes})


def hss_wish(name: str = "db01", server_id: str = SERVER, **changes: Any) -> Wish:
    return Wish(**{"name": name, "method": "hss", "server_id": server_id, **changes})


def plan(*wishes: Wish, shown: Survey | None = None, **terms: Any) -> Plan:
    return make_plan(wishes, Terms(**{"incident_at": NOW, **terms}), shown or survey())


def codes(found: Plan) -> list[str]:
    return [problem.code for problem in found.problems]
