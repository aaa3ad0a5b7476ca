# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real time over loopback, 50 ms per call: this collection beside what people use today, one after the other.

All do the same work with the same cloud: restore each disk from the backup that is named, at most 50 at once, look at a
job once a second, look at the disk at the end. With servers: stop, detach, restore, attach, start. The collection does
more: it plans, checks, and keeps marks.

- **script**: `rivals/straight.py`, requests and a thread pool.
- **uri**: `rivals/uri_loop.yml`, a playbook with `ansible.builtin.uri`, `loop` and `until`. A thousand disks would take
  it the better part of an hour, so it is run at sizes that end. Nothing is extrapolated: its CPU per disk is that of
  the largest.
- **uri async**: `rivals/uri_async.yml`, the same with `async`.

Wall time, CPU (user and system) and memory (sum of PSS, sampled) are those of the whole process tree, daemons included,
from the start of the interpreter to the end of the last process; the simulator is a process of its own and not counted.

All playbooks run with `internal_poll_interval = 0.05`. Ansible itself waits for a task by looking a thousand times a
second; its documentation says of higher values that they are for automation where CPU usage might be a concern. What
either takes while a playbook waits is shown at the end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.rivals.stage import INTERVAL_SECONDS, RIVALS, WIDTH, Group, Measured, Stage, groups, scenario, stage
from benchmarks.table import Row, as_text, machine

COLLECTION, SCRIPT, URI, ASYNC = "collection", "script", "uri", "uri async"
PATIENT = "[defaults]\ninternal_poll_interval = 0.05\n"
DETACHED, ATTACHED = "real time, detached disks", "real time, two disks at a server"
DISKS_PER_SERVER = 2
WAIT_SECONDS = 20
MOST_WALL, MOST_CPU, MOST_CPU_OF_URI = 1.05, 1.0, 1 / 40

Command = Callable[[Stage, Sequence[Group]], list[str]]


def _playbook(where: Stage, name: str, variables: Mapping[str, Any]) -> list[str]:
    given = where.write("variables.json", {**variables, "interval": INTERVAL_SECONDS})
    return ["ansible-playbook", str(RIVALS / name), "-e", f"@{given}"]


def _collection(where: Stage, wanted: Sequence[Group]) -> list[str]:
    targets = [{"name": f"target-{n}", "method": "vbs", "volumes": _named(group)} for n, group in enumerate(wanted)]
    return _playbook(where, "collection.yml", {"targets": targets, "width": WIDTH})


def _script(where: Stage, wanted: Sequence[Group]) -> list[str]:
    threads = WIDTH // max(len(group["disks"]) for group in wanted)
    given = where.write("groups.json", {"groups": wanted})
    return [sys.executable, str(RIVALS / "straight.py"), str(given), str(threads), str(INTERVAL_SECONDS)]


def _uri(where: Stage, wanted: Sequence[Group]) -> list[str]:
    return _playbook(where, "uri_loop.yml", {"disks": [disk for group in wanted for disk in _named(group)]})


def _async(where: Stage, wanted: Sequence[Group]) -> list[str]:
    return _playbook(where, "uri_async.yml", {"disks": [disk for group in wanted for disk in _named(group)]})


def _named(group: Group) -> list[dict[str, str]]:
    return [{name: disk[name] for name in ("volume_id", "backup_id")} for disk in group["disks"]]


COMMANDS: Mapping[str, Command] = {COLLECTION: _collection, SCRIPT: _script, URI: _uri, ASYNC: _async}


def perform(rival: str, number: int, *, disks_per_server: int = 0) -> Measured:
    wanted = groups(number, disks_per_server=disks_per_server)
    with stage(scenario(wanted), ansible_cfg=PATIENT) as where:
        measured = where.measure(COMMANDS[rival](where, wanted))
        where.check_restored(number)
        return measured


def figures(group: str, rival: str, number: int, found: Measured) -> Iterator[Row]:
    calls = sum(found.calls.values())
    shown = {
        ("wall", "s"): found.wall_seconds,
        ("CPU", "s"): found.cpu_seconds,
        ("CPU per disk", "ms"): 1000 * found.cpu_seconds / number,
        ("memory", "MB"): found.peak_bytes / 1e6,
        ("calls", ""): calls,
        ("calls per disk", ""): calls / number,
        ("simulator", "% of a core"): 100 * found.cloud_cpu_seconds / found.wall_seconds,
    }
    for (figure, unit), value in shown.items():
        yield Row(group, f"{rival}, {number} disks", figure, value, unit)


def rows(*, quick: bool = False) -> Iterator[Row]:
    yield from _detached(quick=quick)
    yield from _attached(10 if quick else 50)
    yield from _waiting()


def _detached(*, quick: bool) -> Iterator[Row]:
    number = 100 if quick else 1000
    found: dict[str, Measured] = {}
    for rival in (SCRIPT, COLLECTION):
        found[rival] = perform(rival, number)
        yield from figures(DETACHED, rival, number, found[rival])
    small = {URI: (5, 10) if quick else (10, 20, 40), ASYNC: (5,) if quick else (10,)}
    for rival, counts in small.items():
        for count in counts:
            found[rival] = perform(rival, count)
            yield from figures(DETACHED, rival, count, found[rival])
    yield from _ratios(DETACHED, number, found, judged=not quick)
    for rival, counts in small.items():
        theirs = found[rival].cpu_seconds / counts[-1]
        target = MOST_CPU_OF_URI if rival == URI and not quick else None
        ratio = found[COLLECTION].cpu_seconds / number / theirs
        note = f"per disk, {rival} at {counts[-1]} disks"
        yield Row(f"{DETACHED}: ratios", f"collection, {number} disks", f"CPU / {rival}", ratio, "", target, note)


def _attached(number: int) -> Iterator[Row]:
    found: dict[str, Measured] = {}
    for rival in (SCRIPT, COLLECTION):
        found[rival] = perform(rival, number, disks_per_server=DISKS_PER_SERVER)
        yield from figures(ATTACHED, rival, number, found[rival])
    yield from _ratios(ATTACHED, number, found, judged=False)


def _ratios(group: str, number: int, found: Mapping[str, Measured], *, judged: bool) -> Iterator[Row]:
    ours, script = found[COLLECTION], found[SCRIPT]
    ratios = {
        "wall / script": (ours.wall_seconds / script.wall_seconds, MOST_WALL),
        "CPU / script": (ours.cpu_seconds / script.cpu_seconds, MOST_CPU),
        "memory / script": (ours.peak_bytes / script.peak_bytes, None),
        "calls / script": (sum(ours.calls.values()) / sum(script.calls.values()), None),
    }
    for figure, (value, target) in ratios.items():
        yield Row(f"{group}: ratios", f"collection, {number} disks", figure, value, "", target if judged else None)


def _waiting() -> Iterator[Row]:
    """What ansible-playbook takes while its only task waits, less what it takes without waiting."""
    for case, ansible_cfg in (("Ansible's default", ""), ("internal_poll_interval = 0.05", PATIENT)):
        with stage(scenario(groups(1)), ansible_cfg=ansible_cfg) as where:
            used = [
                where.measure(_playbook(where, "wait.yml", {"seconds": seconds})).cpu_seconds
                for seconds in (0, WAIT_SECONDS)
            ]
        yield Row("a playbook that waits", case, "CPU per second", 1000 * (used[1] - used[0]) / WAIT_SECONDS, "ms")


def chosen(words: Sequence[str]) -> Iterator[Row]:
    """Single rivals with detached disks, given as `script:100`."""
    for word in words:
        rival, _colon, number = word.partition(":")
        yield from figures(DETACHED, rival, int(number), perform(rival, int(number)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.realtime")
    parser.add_argument("--quick", action="store_true", help="100 disks")
    parser.add_argument("--only", nargs="+", metavar="RIVAL:DISKS", help=f"of {', '.join(COMMANDS)}")
    arguments = parser.parse_args()
    found = chosen(arguments.only) if arguments.only else rows(quick=arguments.quick)
    print(as_text(list(found), machine()))


if __name__ == "__main__":
    main()
