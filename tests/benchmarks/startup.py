# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start-up: what has to happen before the first call, what a plan costs, what the role adds for each host.

- **module**: the file that Ansible makes of `vbs_disk_restore` and starts, from the start of its interpreter to the
  moment at which the simulator sees its first request; and the same from the start of `ansible localhost -m … --check`.
- **plan**: `recovery_plan` of 1,000 disks with 20 backups each, of which nobody named one, by `ansible localhost -m`.
- **role**: its playbooks with `--check` over 1,000 hosts with a disk each, less the same over one host, per further
  host.

Module and `ansible localhost` are the median of five; the simulator answers 50 ms late, but in the first case.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator

from benchmarks.rivals.stage import Group, Measured, RivalFailed, Stage, groups, scenario, stage
from benchmarks.table import Row, as_text, machine

GROUP = "start-up"
TIMES = 5
MODULE = "hwcloud.recovery.vbs_disk_restore"
PLAYBOOKS = ("hwcloud.recovery.plan", "hwcloud.recovery.restore")
MOST_PLAN_CALLS = 40
MOST_MS_PER_HOST = 60.0
UNATTENDED = "disaster_recovery_auto_approve=true disaster_recovery_run_id=benchmark"


def rows(*, quick: bool = False) -> Iterator[Row]:
    number = 100 if quick else 1000
    yield from _first_calls()
    yield from _plan(number)
    for playbook in PLAYBOOKS:
        yield from _role(playbook, number)


def _first_calls() -> Iterator[Row]:
    [group] = groups(1)
    options = {name: group["disks"][0][name] for name in ("volume_id", "backup_id")}
    with stage(scenario([group]), latency_seconds=0) as where:
        ad_hoc = ["ansible", "localhost", "-m", MODULE, "--check", "-a", json.dumps(options)]
        whole = _median(where, lambda: where.measure(ad_hoc))
        where.measure(["env", f"ANSIBLE_REMOTE_TEMP={where.folder / 'kept'}", "ANSIBLE_KEEP_REMOTE_FILES=1", *ad_hoc])
        [payload] = (where.folder / "kept").glob("*/AnsiballZ_*.py")
        module = _median(where, lambda: where.measure([sys.executable, str(payload)]))
    yield Row(GROUP, "module alone", "to the first call", 1000 * module, "ms")
    yield Row(GROUP, "ansible localhost -m", "to the first call", 1000 * whole, "ms")


def _median(where: Stage, start: Callable[[], Measured]) -> float:
    """Seconds from the start to the first request."""
    return statistics.median(_first_call_seconds(where, start) for _time in range(TIMES))


def _first_call_seconds(where: Stage, start: Callable[[], Measured]) -> float:
    seen = len(where.simulator.ask("/requests"))
    started_at = start().started_at
    log = where.simulator.ask("/requests")
    if len(log) == seen:
        raise RivalFailed("the module made no call")
    return float(log[seen]["time"]) - started_at  # the simulator writes down the clock of this machine


def _plan(number: int) -> Iterator[Row]:
    backups, wanted = 20, groups(number)
    targets = [{"name": f"disk-{n}", "method": "vbs", "volumes": _volumes(group)} for n, group in enumerate(wanted)]
    with stage(scenario(wanted, backups_per_disk=backups)) as where:
        given = ["-e", f"@{where.write('targets.json', {'targets': targets})}", "-a", '{"targets": "{{ targets }}"}']
        found = where.measure(["ansible", "localhost", "-m", "hwcloud.recovery.recovery_plan", *given])
    case = f"plan of {number} disks, {backups} backups each"
    yield Row(GROUP, case, "wall", found.wall_seconds, "s")
    yield Row(GROUP, case, "CPU", found.cpu_seconds, "s")
    yield Row(GROUP, case, "memory", found.peak_bytes / 1e6, "MB")
    yield Row(GROUP, case, "calls", sum(found.calls.values()), "", MOST_PLAN_CALLS)


def _role(playbook: str, number: int) -> Iterator[Row]:
    one, many = _checked(playbook, 1), _checked(playbook, number)
    case = f"{playbook} --check, {number} hosts"
    yield Row(GROUP, case, "wall", many.wall_seconds, "s")
    yield Row(GROUP, case, "CPU", many.cpu_seconds, "s")
    yield Row(GROUP, case, "memory", many.peak_bytes / 1e6, "MB")
    yield Row(GROUP, case, "calls", sum(many.calls.values()))
    per_host = 1000 * (many.wall_seconds - one.wall_seconds) / (number - 1)
    yield Row(GROUP, case, "per further host", per_host, "ms", MOST_MS_PER_HOST)


def _checked(playbook: str, number: int) -> Measured:
    wanted = groups(number)
    hosts = {
        f"host-{n}": {"disaster_recovery_method": "vbs", "disaster_recovery_volumes": _volumes(group)}
        for n, group in enumerate(wanted)
    }
    with stage(scenario(wanted)) as where:
        inventory = where.write("inventory.json", {"all": {"hosts": hosts}})
        return where.measure(["ansible-playbook", "-i", str(inventory), playbook, "--check", "-e", UNATTENDED])


def _volumes(group: Group) -> list[dict[str, str]]:
    """Without backups: the newest are wanted."""
    return [{"volume_id": disk["volume_id"]} for disk in group["disks"]]


if __name__ == "__main__":
    print(as_text(list(rows(quick="--quick" in sys.argv[1:])), machine()))
