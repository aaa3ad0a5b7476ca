# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small and the demo world as targets, and what must be true of them in the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Wish

from simulation.world import World, scenario_path

LATEST = "latest"
ENCRYPTED = "encrypted-by-ransomware"
GOOD_DATA = "2-hours-old"


def server_id(number: int) -> str:
    return f"a0000000-0000-4000-8000-{number:012d}"


def disk_id(number: int) -> str:
    return f"d0000000-0000-4000-8000-{number:012d}"


def backup_id(disk: int, age: int = 1) -> str:
    """The backups of a disk are numbered from the newest (2 hours old) back."""
    return f"b0000000-0000-4000-8000-{disk * 10 + age:012d}"


def disks(*numbers: int) -> tuple[tuple[str, str], ...]:
    return tuple((disk_id(number), LATEST) for number in numbers)


DB = Wish("db01", "vbs", volumes=disks(1, 2))
ARCHIVE = Wish("archive", "vbs", volumes=disks(3))
FILES = Wish("files01", "hss", wave=2, server_id=server_id(2))
SMALL = (DB, ARCHIVE, FILES)

DEMO = (
    Wish("erp-db01", "vbs", volumes=disks(1, 2, 3), group="erp", critical=True),
    Wish("erp-app01", "vbs", volumes=disks(4, 5, 6), group="erp"),
    Wish("web01", "vbs", wave=2, volumes=disks(7, 8)),
    Wish("files01", "hss", wave=2, server_id=server_id(4)),
)


def world(name: str = "small", *, seed: int = 0, timing: Mapping[str, Any] | None = None, **behaviours: Any) -> World:
    document = yaml.safe_load(scenario_path(name).read_text(encoding="utf-8"))
    document["behaviours"] = {**document.get("behaviours", {}), **behaviours}
    document["timing"] = {**document.get("timing", {}), **(timing or {})}
    return World(document, seed=seed)


class Before:
    """What a world was like, to hold against it later."""

    def __init__(self, seen: World) -> None:
        self.power = {server.id: server.status for server in seen.cloud.world.servers.values()}
        self.places = _places(seen)

    def differences(self, seen: World, *, devices: bool = True) -> list[str]:
        """Servers and disks that are not as they were."""
        found = [
            f"server {server.id} is {server.status}"
            for server in seen.cloud.world.servers.values()
            if server.status != self.power[server.id]
        ]
        for volume_id, places in _places(seen).items():
            wanted = self.places[volume_id]
            if (places if devices else places.keys()) != (wanted if devices else wanted.keys()):
                found.append(f"disk {volume_id} is at {places} instead of {wanted}")
        return found


class History:
    """Remembers every attach, to tell whether a disk was restored after it had come back into use."""

    def __init__(self, seen: World) -> None:
        self._disks = seen.cloud.world.disks
        self._attached: list[tuple[str, int]] = []
        link = seen.cloud.world.link

        def remembered(disk: Any, *rest: Any) -> Any:
            self._attached.append((disk.id, disk.restore_count))
            return link(disk, *rest)

        seen.cloud.world.link = remembered  # type: ignore[method-assign]

    def restored_after_use(self) -> list[str]:
        """Disks that were attached with restored data and restored again."""
        return [disk for disk, count in self._attached if 0 < count < self._disks[disk].restore_count]


def _places(seen: World) -> dict[str, dict[str, str]]:
    return {
        disk.id: {server: attachment.device for server, attachment in disk.attachments.items()}
        for disk in seen.cloud.world.disks.values()
    }


def not_restored(seen: World) -> list[str]:
    """Disks that do not hold the data of the newest clean backup."""
    return [volume_id for volume_id, data in seen.data().items() if not data.endswith(GOOD_DATA)]


def restores(seen: World) -> dict[str, int]:
    found: dict[str, int] = seen.summary()["restores_per_disk"]
    return found


def writes(seen: World) -> int:
    return int(seen.summary()["writes"])
