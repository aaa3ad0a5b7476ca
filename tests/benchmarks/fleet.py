# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clouds to recover, made by seed: servers with their disks, disks without a server, servers that HSS restores.

Sizes are those of ordinary companies: system disks of 40 GB, sometimes 100; data disks of 100 to 2,000 GB, small ones
more often than large ones, 400 GB on average; one to five disks a server, three on average. "Small" disks have 40 GB
each. A restore takes half a minute and writes 100 MB a second, so 10 s a GB; among "uneven" disks it takes up to 20 %
more or less. Stop, start, detach and attach take what the simulator takes by default.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Wish
from simulator.scenario import (
    AttachedTo,
    DiskSpec,
    HssBackupSpec,
    HssChildSpec,
    Limits,
    Project,
    Scenario,
    ServerSpec,
    Timing,
    User,
    VbsBackupSpec,
)

from benchmarks.bound import Need, Rate

TIMING = Timing(vbs_restore=30.0, vbs_restore_per_gb=10.0, hss_restore=60.0, hss_restore_per_gb=10.0)
DETACHED, ATTACHED, HSS = "detached", "attached", "hss"
MIXED, SMALL, UNEVEN = "mixed", "small", "uneven"
SPREAD = 0.2
DAY_SECONDS = 86400
NEWEST_SECONDS = 7200
GOOD, BAD = "good", "encrypted"

# Documented for HSS (API reference, Constraints); reported for others (terraform-provider-huaweicloud, issue 1335).
HSS_RATE = Rate(5, 60.0)
OTHER_RATE = Rate(200, 300.0)
OTHER_SERVICES = ("iam", "vbs", "evs", "ecs")

_DATA_GB = {100: 30, 200: 25, 300: 15, 500: 15, 1000: 10, 2000: 5}
_SYSTEM_GB = {40: 80, 100: 20}
_DISKS_A_SERVER = {1: 15, 2: 20, 3: 30, 4: 20, 5: 15}


@dataclass(frozen=True)
class Fleet:
    """A cloud, the targets that bring all of it back, and what each of them needs at the least."""

    scenario: Scenario
    wishes: tuple[Wish, ...]
    needs: tuple[Need, ...]
    rates: dict[str, Rate]


@dataclass(frozen=True)
class _Disk:
    number: int
    size: int
    server: int | None = None
    letter: str = ""

    @property
    def id(self) -> str:
        return _id("d", self.number)

    @property
    def is_system(self) -> bool:
        return self.letter == "a"


def make(
    kind: str,
    count: int,
    *,
    limited: bool,
    sizes: str = MIXED,
    backups: int = 3,
    seed: int = 0,
    timing: Timing = TIMING,
) -> Fleet:
    """`count` disks, or servers for HSS. `limited` turns on the documented rate limits."""
    dice = random.Random(seed)
    if kind == DETACHED:
        disks = [_Disk(number, _size(dice, sizes, is_system=False)) for number in range(count)]
    else:
        disks = list(_disks_of_servers(dice, sizes, disks=count if kind == ATTACHED else None, servers=count))
    servers = sorted({disk.server for disk in disks if disk.server is not None})
    scenario = Scenario(
        project=Project("0123456789abcdef0123456789abcdef", "eu-de"),
        name=f"{count} {kind}",
        users=(User("operator", "benchmark-Password-1"),),
        servers=tuple(ServerSpec(_id("a", number), f"server-{number:05d}") for number in servers),
        disks=tuple(_spec(disk) for disk in disks),
        timing=replace(timing, vbs_restore_spread=SPREAD) if sizes == UNEVEN else timing,
        limits=Limits(rates=_limits() if limited else {}),
    )
    if kind == HSS:
        return _for_hss(scenario, disks, servers, limited=limited)
    return _for_vbs(scenario, disks, backups, limited=limited)


def _id(letter: str, number: int) -> str:
    return f"{letter}0000000-0000-4000-8000-{number:012d}"


def _pick(dice: random.Random, weights: dict[int, int]) -> int:
    return dice.choices(list(weights), list(weights.values()))[0]


def _size(dice: random.Random, sizes: str, *, is_system: bool) -> int:
    if sizes == SMALL:
        return 40
    return _pick(dice, _SYSTEM_GB if is_system else _DATA_GB)


def _disks_of_servers(dice: random.Random, sizes: str, *, disks: int | None, servers: int) -> Iterator[_Disk]:
    """Server after server until there are that many disks, or servers if no number of disks is given."""
    number = server = 0
    while (server < servers) if disks is None else (number < disks):
        more = _pick(dice, _DISKS_A_SERVER)
        for letter in "abcde"[: more if disks is None else min(more, disks - number)]:
            yield _Disk(number, _size(dice, sizes, is_system=letter == "a"), server, letter)
            number += 1
        server += 1


def _spec(disk: _Disk) -> DiskSpec:
    place = () if disk.server is None else (AttachedTo(_id("a", disk.server), f"/dev/vd{disk.letter}"),)
    return DiskSpec(disk.id, f"disk-{disk.number:05d}", disk.size, data=BAD, bootable=disk.is_system, attached=place)


def _limits() -> dict[str, Any]:
    rates = {"hss": HSS_RATE, **dict.fromkeys(OTHER_SERVICES, OTHER_RATE)}
    return {name: {"requests": rate.calls, "window_seconds": rate.window} for name, rate in rates.items()}


def _age(place: int) -> int:
    return NEWEST_SECONDS + place * DAY_SECONDS


def _for_vbs(scenario: Scenario, disks: Sequence[_Disk], backups: int, *, limited: bool) -> Fleet:
    points = tuple(
        VbsBackupSpec(_id("b", disk.number * 100 + place), disk.id, disk.size, age_seconds=_age(place), data=GOOD)
        for disk in disks
        for place in range(backups)
    )
    by_target: dict[str, list[_Disk]] = {}
    for disk in disks:
        name = f"disk-{disk.number:05d}" if disk.server is None else f"server-{disk.server:05d}"
        by_target.setdefault(name, []).append(disk)
    return Fleet(
        replace(scenario, vbs_backups=points),
        tuple(Wish(name, "vbs", volumes=tuple((d.id, "latest") for d in group)) for name, group in by_target.items()),
        tuple(_disk_need(disk, scenario.timing) for disk in disks),
        dict.fromkeys(("restore", "detach", "attach"), OTHER_RATE) if limited else {},
    )


def _disk_need(disk: _Disk, timing: Timing) -> Need:
    # Until the disk is available; that its job ends a little later is nothing that everybody has to wait for.
    restore = timing.vbs_restore_seconds(disk.id, disk.size)
    if disk.server is None:
        return Need(restore)
    return Need(restore, True, timing.stop, timing.detach, timing.attach, timing.start)


def _for_hss(scenario: Scenario, disks: Sequence[_Disk], servers: Sequence[int], *, limited: bool) -> Fleet:
    of_server: dict[int, list[_Disk]] = {number: [] for number in servers}
    for disk in disks:
        of_server[disk.server if disk.server is not None else -1].append(disk)
    return Fleet(
        replace(scenario, hss_backups=tuple(_server_backup(number, of_server[number]) for number in servers)),
        tuple(Wish(f"server-{number:05d}", "hss", server_id=_id("a", number)) for number in servers),
        tuple(_server_need(of_server[number], scenario.timing) for number in servers),
        {"restore": HSS_RATE} if limited else {},
    )


def _server_backup(number: int, disks: Sequence[_Disk]) -> HssBackupSpec:
    parts = tuple(HssChildSpec(_id("c", disk.number), disk.id, disk.size, GOOD) for disk in disks)
    name = f"backup-of-server-{number:05d}"
    return HssBackupSpec(_id("e", number), name, _id("a", number), age_seconds=_age(0), children=parts)


def _server_need(disks: Sequence[_Disk], timing: Timing) -> Need:
    """HSS stops and starts the server itself: all of it is one restore, and no call of ours lies in between."""
    work = timing.hss_restore + timing.hss_restore_per_gb * sum(disk.size for disk in disks)
    return Need(timing.hss_wait + timing.stop + work + timing.start)
