# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a seed decides: the world, the plan, how the cloud behaves, what goes wrong and who gets in the way.

Everything is drawn from one `random.Random(seed)` in a fixed order, before anything is played. To try a story without
one of its troubles, take that part away with `dataclasses.replace`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import Rules
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Wish
from simulator import iam
from simulator.scenario import ECS_JOBS

from simulation.cases import LATEST, backup_id, disk_id, server_id
from simulation.world import START

HOUR = 3600
ENCRYPTED = "encrypted-by-ransomware"
LEASE_IS_OLD = 200.0
"""Seconds after which another controller may go on: the lease is 180 s good."""
LONE_MARK = "hwcloud_recovery_mark"
PROJECT = {"id": "0123456789abcdef0123456789abcdef", "name": "eu-de"}
USER = {"name": "operator", "password": "demo-Password-1", "domain": "demo-account"}


@dataclass(frozen=True)
class Crash:
    """The controller dies so many calls after so many writes; `arrives`: the cloud still gets that call."""

    writes: int
    calls: int
    arrives: bool


@dataclass(frozen=True)
class Machine:
    """Where a controller runs. The same number: the same host, on which a process that has died is known to be gone.

    `clock_off_seconds`: how far its clock is ahead. The cloud takes a difference of 15 minutes.
    """

    number: int = 1
    clock_off_seconds: float = 0.0


@dataclass(frozen=True)
class Try:
    """One controller that carries the playbook out, and how long nobody does so afterwards."""

    crash: Crash | None = None
    away_seconds: float = LEASE_IS_OLD
    machine: Machine = Machine()


@dataclass(frozen=True)
class Act:
    """A human does something in the console right before the cloud gets that write (counted over all controllers)."""

    at_write: int
    action: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Rival:
    """A second controller with the same playbook, while the first one is at work.

    `stall_seconds`: the first one stands still for so long when it is about to send its n-th read (a paused machine).
    """

    after_seconds: float
    run_id: str
    take_over: bool
    stall_at_read: int
    stall_seconds: float
    machine: Machine = Machine()


@dataclass(frozen=True)
class Story:
    """All of it. `wishes`, `terms` and `options` are the playbook, which stays the same in every try."""

    seed: int
    scenario: Mapping[str, Any]
    wishes: tuple[Wish, ...]
    run_id: str
    options: Mapping[str, Any]
    rules: Rules
    file_journal: bool
    latency_seconds: float
    faults: tuple[Mapping[str, Any], ...]
    tries: tuple[Try, ...]
    acts: tuple[Act, ...]
    rival: Rival | None

    @property
    def behaviours(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.scenario["behaviours"]
        return found

    @property
    def volumes(self) -> dict[str, Wish]:
        """The disks of the plan that VBS restores."""
        return {volume: wish for wish in self.wishes for volume, _backup in wish.volumes}

    @property
    def hss_servers(self) -> dict[str, Wish]:
        return {wish.server_id: wish for wish in self.wishes if wish.method == "hss"}


def draw(seed: int) -> Story:
    """The story of this seed: always the same one."""
    rng = random.Random(seed)
    ground = Ground.draw(rng)
    wishes = _wishes(rng, ground)
    rules = _rules(rng)
    behaviours = _behaviours(rng, ground, rules)
    story = Story(
        seed=seed,
        scenario=ground.scenario(behaviours, _timing(rng)),
        wishes=wishes,
        run_id=rng.choice(("", "incident-7")),
        options={"max_parallel": rng.choice((1, 2, 10)), "stop_on_failure": rng.random() < 0.2},
        rules=rules,
        file_journal=rng.random() < 0.2,
        latency_seconds=rng.choice((0.05, 0.05, 1.0)),
        faults=_faults(rng),
        tries=_tries(rng, len(ground.disks)),
        acts=_acts(rng, ground),
        rival=_rival(rng),
    )
    if any(fault["api"] == "vbs.restore" for fault in story.faults):
        _spare_hidden_failures(behaviours)
    return story


def _spare_hidden_failures(behaviours: dict[str, Any]) -> None:
    """An answer that was lost with its job id leaves only the states of disk and backup to tell how the restore ended.

    A failed one shows `error_restoring` (EVS API, Disk Status), which no document contradicts. That it may leave the
    disk `available` is our guess; together with a lost answer nobody could tell it from success. README names the gap.
    """
    if behaviours.get("restore_outcome") and not set(map(str, behaviours["restore_outcome"].values())) & _SHOWN:
        del behaviours["restore_outcome"]


_SHOWN = {"fail_error_restoring", "slow", "stuck"}


# -- the world and the plan --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plant:
    """A disk of the world. `server` 0: it has none. The first disk of a server is its system disk."""

    number: int
    server: int
    place: int
    size: int
    backups: int
    delete_on_termination: bool

    @property
    def device(self) -> str:
        return f"/dev/vd{'abcdefgh'[self.place]}"


@dataclass(frozen=True)
class Ground:
    """Servers with their disks, disks without a server, and the one server, if any, that HSS protects."""

    running: tuple[bool, ...]
    disks: tuple[Plant, ...]
    protected: int

    @classmethod
    def draw(cls, rng: random.Random) -> Ground:
        ordinary, lone = _weighted(rng, {1: 6, 2: 3, 3: 1, 0: 1}), _weighted(rng, {0: 5, 1: 4, 2: 1})
        protected = ordinary + 1 if rng.random() < 0.3 or not ordinary + lone else 0
        sizes = [_weighted(rng, {1: 4, 2: 4, 3: 2, 4: 1}) for _server in range(ordinary)]
        sizes += [rng.choice((1, 2))] if protected else []
        places = [(server, place) for server, size in enumerate(sizes, 1) for place in range(size)]
        places += [(0, 0)] * lone
        disks = [
            Plant(number, server, place, rng.randint(1, 5), rng.choice((1, 2)), rng.random() < 0.2)
            for number, (server, place) in enumerate(places, 1)
        ]
        return cls(tuple(rng.random() < 0.8 for _server in sizes), tuple(disks), protected)

    def at(self, server: int) -> list[Plant]:
        return [disk for disk in self.disks if disk.server == server]

    def scenario(self, behaviours: Mapping[str, Any], timing: Mapping[str, Any]) -> dict[str, Any]:
        vbs = [_vbs_backup(disk, age) for disk in self.disks for age in range(1, disk.backups + 1)]
        return {
            "name": "chaos",
            "project": PROJECT,
            "users": [USER],
            "servers": [_server(number, running) for number, running in enumerate(self.running, 1)],
            "disks": [_disk(disk) for disk in self.disks],
            "vbs_backups": vbs,
            "hss_backups": [self._hss_backup(age) for age in (1, 2)] if self.protected else [],
            "behaviours": behaviours,
            "timing": timing,
        }

    def _hss_backup(self, age: int) -> dict[str, Any]:
        parts = [
            {
                "id": f"c0000000-0000-4000-8000-{disk.number * 10 + age:012d}",
                "volume_id": disk_id(disk.number),
                "size": disk.size,
                "data": content(disk.number, age),
            }
            for disk in self.at(self.protected)
        ]
        return {
            "id": hss_backup_id(age),
            "name": f"protected-{age}",
            "server_id": server_id(self.protected),
            "age_seconds": (24 * age - 22) * HOUR,
            "children": parts,
        }


def hss_backup_id(age: int) -> str:
    return f"e0000000-0000-4000-8000-{age:012d}"


def content(disk: int, age: int) -> str:
    """The data of a disk's backups, numbered from the newest back: no two are the same."""
    return f"disk-{disk}-backup-{age}"


def _server(number: int, running: bool) -> dict[str, Any]:
    return {"id": server_id(number), "name": f"server-{number}", "status": "ACTIVE" if running else "SHUTOFF"}


def _disk(disk: Plant) -> dict[str, Any]:
    place = {
        "server": server_id(disk.server),
        "device": disk.device,
        "delete_on_termination": disk.delete_on_termination,
    }
    return {
        "id": disk_id(disk.number),
        "name": f"disk-{disk.number}",
        "size": disk.size,
        "data": ENCRYPTED,
        "bootable": disk.place == 0 and disk.server != 0,
        "attached": [place] if disk.server else [],
    }


def _vbs_backup(disk: Plant, age: int) -> dict[str, Any]:
    """Some were made when the disk held a mark of a run of that time, which a restore may bring back."""
    return {
        "id": backup_id(disk.number, age),
        "volume_id": disk_id(disk.number),
        "size": disk.size,
        "age_seconds": (24 * age - 22) * HOUR,
        "data": content(disk.number, age),
        "metadata": {LONE_MARK: _old_mark(disk, age)} if disk.number % 3 == 1 and not disk.server else {},
    }


def _old_mark(disk: Plant, age: int) -> str:
    phase = ("finished", "submitting", "returned")[disk.number % 4 % 3]
    at = START - (24 * age - 21) * HOUR
    return f"1|{phase}|long-ago|t|{backup_id(disk.number, 9)}|||-|-||{at:.0f}"


def _wishes(rng: random.Random, ground: Ground) -> tuple[Wish, ...]:
    """One target for each server and each lone disk; some in a group, some in a second wave, some disks left out."""
    found = []
    for number in range(1, len(ground.running) + 1):
        if number == ground.protected:
            power_on = rng.choice((None, None, None, True, False))
            found.append(Wish(f"server-{number}", "hss", server_id=server_id(number), power_on=power_on))
        else:
            found.append(Wish(f"server-{number}", "vbs", volumes=_some(rng, ground.at(number))))
    found += [Wish(f"lone-{disk.number}", "vbs", volumes=(_volume(rng, disk),)) for disk in ground.at(0)]
    found = [replace(wish, wave=_weighted(rng, {1: 3, 2: 1}), critical=rng.random() < 0.2) for wish in found]
    if len(found) > 1 and rng.random() < 0.3:
        found = [replace(wish, group="erp", wave=1) if rng.random() < 0.7 else wish for wish in found]
    return tuple(found)


def _some(rng: random.Random, disks: Sequence[Plant]) -> tuple[tuple[str, str], ...]:
    chosen = [disk for disk in disks if rng.random() < 0.85] or [rng.choice(disks)]
    return tuple(_volume(rng, disk) for disk in chosen)


def _volume(rng: random.Random, disk: Plant) -> tuple[str, str]:
    named = backup_id(disk.number, rng.randint(1, disk.backups))
    return disk_id(disk.number), LATEST if rng.random() < 0.8 else named


def _rules(rng: random.Random) -> Rules:
    return Rules(
        wait_interval_seconds=rng.choice((5.0, 10.0, 10.0, 20.0)),
        wait_timeout_seconds=HOUR,
        stop_servers=_weighted(rng, {"soft": 14, "soft_then_hard": 4, "hard": 2, "refuse": 1}),
        start_servers=rng.random() < 0.95,
    )


# -- the cloud ---------------------------------------------------------------------------------------------------------


def _behaviours(rng: random.Random, ground: Ground, rules: Rules) -> dict[str, Any]:
    """Mostly as by default; lags stay within the grace that the engine gives them."""
    lag = rng.choice((0.0, 0.0, 0.0, 0.2, 0.8)) * rules.grace_seconds
    found: dict[str, Any] = {name: rng.choice(choices) for name, choices in CHOICES.items()}
    found |= {"state_lag_seconds": lag, "hss_log_lag_seconds": rng.choice((0.0, 0.0, 20.0, 100.0))}
    found["page_limit_cap"] = rng.choice((0, 0, 0, 1, 2))
    if rng.random() < 0.15:
        disk = disk_id(rng.choice(ground.disks).number)
        found["restore_outcome"] = {disk: _outcome(rng, VBS_OUTCOMES)}
    if rng.random() < 0.2 and ground.protected:
        found["hss_outcome"] = {server_id(ground.protected): _outcome(rng, HSS_OUTCOMES)}
    if rng.random() < 0.1 and ground.running:
        found["soft_stop"] = {server_id(1): rng.choice(("hangs", ["hangs"], "falls_back"))}
    if rng.random() < 0.1:
        kind, outcome, times = rng.choice(ECS_JOBS), rng.choice(("fail", "unknown")), rng.choice((1, 1, 2))
        # a job of unknown status is waited for until the step's time is up: two runs of four would be spent with it
        found["ecs_job_outcome"] = {kind: [outcome] * (times if outcome == "fail" else 1)}
    return found


CHOICES: Mapping[str, Sequence[Any]] = {
    "restore_metadata": ("keep", "replace"),
    "restore_device": ("honour", "honour", "honour", "next_free"),
    "sub_jobs": ("list", "empty_string", "null", "missing", "entities"),
    "vbs_job_id": ("dashed", "hex"),
    "vbs_error_shape": ("nested", "flat"),
    "vbs_backup_order": ("created_desc", "arbitrary"),
    "hss_time_format": ("iso", "epoch_ms", "local_text"),
    "hss_created_at_unit": ("ms", "s"),
    "stop_stopped": ("fail", "success", "conflict"),
    "batch_parent": ("honest", "success_hides_fail"),
    "boot_index": ("normal", "all_zero"),
    "delete_on_termination_after_attach": ("keep", "keep", "reset"),
    "retry_after": ("absent", "present"),
}
"""The points that no document settles (tests/simulator/README.md)."""

VBS_OUTCOMES: Mapping[str, int] = {
    "fail_available": 4,
    "fail_once": 8,
    "fail_error_restoring": 4,
    "slow": 4,
    "stuck": 1,
}
HSS_OUTCOMES: Mapping[str, int] = {
    "failed_once": 4,
    "skipped_once": 2,
    "timeout": 1,
    "no_record": 1,
    "vanish": 1,
    "stuck": 1,
}
ONCE: Mapping[str, list[str]] = {
    "fail_once": ["fail_available"],
    "failed_once": ["failed"],
    "skipped_once": ["skipped"],
}
"""What is well the second time."""


def _outcome(rng: random.Random, weights: Mapping[Any, int]) -> Any:
    chosen = _weighted(rng, weights)
    return ONCE.get(chosen, chosen)


def _timing(rng: random.Random) -> dict[str, float]:
    return {name: rng.choice(choices) for name, choices in TIMES.items()}


TIMES: Mapping[str, Sequence[float]] = {
    "stop": (2.0, 20.0, 100.0),
    "start": (2.0, 30.0),
    "detach": (1.0, 8.0, 30.0),
    "attach": (1.0, 8.0, 30.0),
    "vbs_restore": (3.0, 30.0, 200.0),
    "vbs_settle": (0.0, 2.0, 20.0),
    "hss_wait": (0.0, 3.0, 60.0),
    "hss_restore": (5.0, 60.0, 200.0),
}
"""In seconds."""


# -- what goes wrong ---------------------------------------------------------------------------------------------------

READS = (
    "iam.create_token",
    "evs.list_volumes",
    "evs.show_volume",
    "ecs.list_servers",
    "ecs.show_server",
    "ecs.show_job",
    "vbs.show_job",
    "vbs.show_backup",
    "vbs.list_backups",
    "hss.list_operation_logs",
    "hss.show_backup",
    "hss.list_backups",
)
MARKS = ("ecs.update_metadata", "evs.merge_metadata")
ORDERS = ("vbs.restore", "hss.restore", "ecs.detach", "ecs.attach", "ecs.server_action")
BOTH = ("before", "after")
BEFORE = ("before",)


@dataclass(frozen=True)
class Trouble:
    """A fault, at which calls and in which phases it may be: a refusal after the fact would be a lying cloud."""

    action: Mapping[str, Any]
    apis: tuple[str, ...] = (*READS, *MARKS, *ORDERS)
    phases: tuple[str, ...] = BOTH
    weight: int = 1


TROUBLES = (
    Trouble({"drop": True}, weight=3),
    Trouble({"drop": True}, (*MARKS, *ORDERS), weight=4),
    Trouble({"status": 500, "json": {"error": {"code": "VolumeBackup.0900", "message": "later"}}}),
    Trouble({"status": 502, "raw": "html"}),
    Trouble({"status": 504, "json": {"error_code": "APIGW.0201", "error_msg": "backend timeout"}}),
    Trouble({"status": 503, "body": "-"}),
    Trouble({"raw": "garbage"}),
    Trouble({"raw": "truncated"}, phases=("after",)),
    Trouble({"throttle": True}, phases=BEFORE),
    Trouble({"throttle": {"retry_after": 7}}, phases=BEFORE),
    Trouble({"busy": True}, ORDERS[2:], phases=BEFORE),
    Trouble({"status": 501, "json": {"error": {"code": "Ecs.0603", "message": "busy"}}}, ORDERS[2:], BEFORE),
    Trouble({"status": 403, "json": {"error": {"code": "Ecs.9999", "message": "not now"}}}, phases=BEFORE, weight=2),
    Trouble({"late_seconds": 12}, (*MARKS, *ORDERS), BEFORE, weight=2),
    Trouble({"late_seconds": 150}, MARKS, BEFORE),
)


def _faults(rng: random.Random) -> tuple[Mapping[str, Any], ...]:
    return tuple(_fault(rng) for _number in range(_weighted(rng, {0: 4, 1: 3, 2: 2, 4: 1})))


def _fault(rng: random.Random) -> dict[str, Any]:
    trouble = _weighted(rng, {number: trouble.weight for number, trouble in enumerate(TROUBLES)})
    found = TROUBLES[trouble]
    first = rng.choice((1, 1, 2, 3, 5))
    times = rng.choice((1, 1, 1, 2, 4))
    return {
        "api": rng.choice(found.apis),
        "phase": rng.choice(found.phases),
        "nth": list(range(first, first + times)),
        "action": dict(found.action),
    }


def _tries(rng: random.Random, disks: int) -> tuple[Try, ...]:
    """Each but the last dies somewhere; when the next one comes, its lease is old or not."""
    number = _weighted(rng, {0: 3, 1: 4, 2: 2, 3: 1})
    return tuple(Try(_crash(rng, disks), _away(rng), _machine(rng)) for _number in range(number))


def _crash(rng: random.Random, disks: int) -> Crash:
    return Crash(rng.randint(0, 4 + 7 * disks), rng.choice((0, 0, 0, 1, 2, 5)), rng.random() < 0.5)


def _away(rng: random.Random) -> float:
    return rng.choice((1.0, 60.0, LEASE_IS_OLD, LEASE_IS_OLD, LEASE_IS_OLD, 2.0 * HOUR))


def _machine(rng: random.Random) -> Machine:
    number = rng.choice((1, 1, 2))
    return Machine(number, rng.choice((0.0, 0.0, 0.0, -840.0, 840.0)))


Draw = Callable[[random.Random, Ground], Mapping[str, Any]]


def _acts(rng: random.Random, ground: Ground) -> tuple[Act, ...]:
    number = _weighted(rng, {0: 8, 1: 2, 2: 1})
    return tuple(_act(rng, ground) for _number in range(number))


def _act(rng: random.Random, ground: Ground) -> Act:
    action = rng.choice(list(HUMANS))
    return Act(rng.randint(1, 8 * len(ground.disks)), action, HUMANS[action](rng, ground))


def _any_server(rng: random.Random, ground: Ground) -> dict[str, Any]:
    return {"server_id": server_id(rng.randint(1, max(1, len(ground.running))))}


def _attached(rng: random.Random, ground: Ground) -> dict[str, Any]:
    """Back at its own device, so that it is in use with whatever it holds."""
    disk = rng.choice(ground.disks)
    return {
        "volume_id": disk_id(disk.number),
        "server_id": server_id(disk.server or 1),
        "device": disk.device if disk.server else "/dev/vdx",
    }


def _any_disk(rng: random.Random, ground: Ground) -> dict[str, Any]:
    return {"volume_id": disk_id(rng.choice(ground.disks).number)}


HUMANS: Mapping[str, Draw] = {
    "attach": _attached,
    "start": _any_server,
    "stop": _any_server,
    "set_server": lambda rng, ground: {**_any_server(rng, ground), "locked": True},
    "delete_backup": lambda rng, ground: {"backup_id": backup_id(rng.choice(ground.disks).number)},
    "add_backup": lambda rng, ground: {**_any_disk(rng, ground), "data": "made during the recovery"},
    "expire_tokens": lambda rng, _ground: {"disguise": rng.choice(list(iam.EXPIRED))},
}


def _rival(rng: random.Random) -> Rival | None:
    rival = Rival(
        after_seconds=rng.choice((0.0, 0.5, 5.0, 60.0, 200.0)),
        run_id=rng.choice(("", "incident-7", "incident-8")),
        take_over=rng.random() < 0.3,
        stall_at_read=rng.randint(5, 60),
        stall_seconds=rng.choice((0.0, 100.0, 400.0)),
        machine=_machine(rng),
    )
    return rival if rng.random() < 0.15 else None


def _weighted(rng: random.Random, weights: Mapping[Any, int]) -> Any:
    return rng.choices(list(weights), list(weights.values()))[0]
