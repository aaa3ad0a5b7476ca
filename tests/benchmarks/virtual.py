# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine against the pure simulator under a virtual clock: no sockets, days of restoring in seconds.

Every case runs in a process of its own, so that neither memory nor garbage of one shows in the next. A call takes 50 ms
in the middle (up to 50 ms to the cloud, and as long back), and no more calls run at a time than there are threads in
production. Options are those that the modules have if nobody sets them, except `max_parallel`.

    python -m benchmarks.virtual                                    all cases as a table
    python -m benchmarks.virtual --case "1000 attached, 50 wide"    one case as JSON
    python -m benchmarks.virtual --case ... --profile               and where its CPU time goes
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import fleet, table
from benchmarks.bound import lower_bound
from benchmarks.meter import Cpu, Memory, MeteredWorld, Sampler, most_at_once, threads_of
from benchmarks.table import Row

RUN, CALLS, PLAN = "virtual time", "calls per disk", "plans"
MOST_FACTOR = 1.05
MOST_CALLS = {fleet.DETACHED: 6.0, fleet.ATTACHED: 12.0}
MOST_CALLS_OF_A_PLAN = 40
MOST_GROWTH = 11.0
MOST_MEMORY_MB = 200.0
MOST_CPU_SECONDS = 600
"""For one case, with the simulator, which needs two thirds of the 320 s of the largest. Of the CPU, so that it means
the same on a busy machine."""
RARE_CALLS = 0.05
"""APIs that are called less often than that for each disk are shown together."""
PROGRESS_INTERVAL_SECONDS = 15.0
"""The default of recovery_run."""


@dataclass(frozen=True)
class Case:
    kind: str
    count: int
    width: int
    limited: bool = False
    sizes: str = fleet.MIXED
    backups: int = 3
    plan_only: bool = False

    @property
    def name(self) -> str:
        if self.plan_only:
            return self.plan_name
        parts = [f"{self.count} {self.kind}, {self.width} wide"]
        parts += ["rate limits"] if self.limited else []
        parts += [f"{self.sizes} disks"] if self.sizes != fleet.MIXED else []
        return ", ".join(parts)

    @property
    def plan_name(self) -> str:
        """What a plan depends on: neither the width, nor sizes, nor limits that its few calls never reach."""
        return f"{self.count} {self.kind}, " + (
            "rate limits" if self.kind == fleet.HSS else f"{self.backups} backups each"
        )


CASES = (
    *(
        Case(kind, count, width, limited)
        for count in (100, 1000, 10000)
        for kind in (fleet.DETACHED, fleet.ATTACHED)
        for limited in (False, True)
        for width in (50, 500)
    ),
    # Disks so small that the rate limits decide, not the restores. The marks' own calls are limited as well.
    Case(fleet.DETACHED, 1000, 500, limited=True, sizes=fleet.SMALL),
    Case(fleet.ATTACHED, 1000, 500, limited=True, sizes=fleet.SMALL),
    # Disks of one size that take different times: what one has taken says little about the next.
    Case(fleet.DETACHED, 1000, 50, sizes=fleet.UNEVEN),
    Case(fleet.ATTACHED, 1000, 50, limited=True, sizes=fleet.UNEVEN),
    Case(fleet.HSS, 100, 50, limited=True),
    Case(fleet.HSS, 100, 100, limited=True, sizes=fleet.SMALL),
    Case(fleet.ATTACHED, 1000, 50, backups=20, plan_only=True),
    Case(fleet.DETACHED, 1000, 50, backups=20, plan_only=True),
)
QUICK_COUNT = 1000


# -- in the child: one case --------------------------------------------------------------------------------------------


def measure(case: Case, *, profile: bool = False) -> dict[str, Any]:
    """All figures of one case. Seconds, bytes and numbers of calls, not yet divided by anything."""
    started = time.monotonic()
    memory = Memory()
    cloud = fleet.make(case.kind, case.count, limited=case.limited, sizes=case.sizes, backups=case.backups)
    world = MeteredWorld(cloud.scenario, limits=threads_of)
    memory.start()
    sampler = Sampler() if profile else None
    with sampler or nullcontext():
        figures: dict[str, Any] = {"plan": {}}
        plan = _plan(world, cloud, figures["plan"])
        if not case.plan_only:
            figures["run"] = {}
            _run(world, case, plan, figures["run"])
            bound = lower_bound(cloud.needs, width=case.width, rates=cloud.rates)
            figures["run"]["bound"] = dict(bound.parts)
    figures["memory_bytes"] = memory.of_engine()
    figures["wall_seconds"] = time.monotonic() - started
    if sampler:
        print(sampler.report(), file=sys.stderr)
    return figures


def _plan(world: MeteredWorld, cloud: fleet.Fleet, figures: dict[str, Any]) -> dict[str, Any]:
    began, cpu = world.clock.now(), Cpu()
    plan = world.plan(cloud.wishes).as_dict()
    figures |= _cost(world, cpu, began)
    return plan


def _run(world: MeteredWorld, case: Case, plan: Mapping[str, Any], figures: dict[str, Any]) -> None:
    began, cpu = world.clock.now(), Cpu()
    world.carry_out(plan, max_parallel=case.width, progress_interval_seconds=PROGRESS_INTERVAL_SECONDS)
    figures |= _cost(world, cpu, began)
    state = world.cloud.world
    figures["not_restored"] = sum(disk.data != fleet.GOOD or disk.restore_count != 1 for disk in state.disks.values())
    jobs = [job for job in state.jobs.values() if job.type == "bksRestoreBackup" and job.end is not None]
    figures["most_restores"] = most_at_once({job.id: (job.begin, job.end or 0.0) for job in jobs})


def _cost(world: MeteredWorld, cpu: Cpu, began: float) -> dict[str, Any]:
    return {
        "seconds": world.clock.now() - began,
        "cpu_seconds": cpu.of_engine(world.network),
        "cloud_cpu_seconds": world.network.cloud_cpu_seconds,
        "most_in_flight": world.network.most_in_flight,
        "by_api": dict(world.tally.by_api),
        "throttled": world.tally.throttled,
    }


# -- in the parent: all cases ------------------------------------------------------------------------------------------


def rows(*, quick: bool = False) -> Iterator[Row]:
    cpu_seconds: dict[Case, float] = {}
    planned: set[str] = set()
    for case in CASES:
        if quick and case.count > QUICK_COUNT:
            continue
        figures = _in_child(case)
        if figures is None:
            note = f"it took more than {MOST_CPU_SECONDS} s of CPU, or failed with what stands above the tables"
            yield Row(RUN, case.name, "no result", 1, "", 0.0, note)
            continue
        if case.plan_name not in planned:
            planned.add(case.plan_name)
            yield from _plan_rows(case, figures)
        if not case.plan_only:
            yield from _run_rows(case, figures)
            yield from _calls_rows(case, figures["run"])
            cpu_seconds[case] = figures["run"]["cpu_seconds"]
            yield from _growth_rows(case, cpu_seconds)


def _in_child(case: Case) -> dict[str, Any] | None:
    command = [sys.executable, "-m", "benchmarks.virtual", "--case", case.name, "--limit", str(MOST_CPU_SECONDS)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        return None
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _run_rows(case: Case, figures: Mapping[str, Any]) -> Iterator[Row]:
    run = figures["run"]
    bound = run["bound"]
    # Small disks: there the calls that write marks have to take turns, too, and the bound knows nothing of them.
    judged = case.kind == fleet.HSS or (case.count >= 1000 and case.sizes != fleet.SMALL)
    turns = [seconds for name, seconds in bound.items() if name not in ("places", "chain")]

    def row(figure: str, value: float, unit: str = "", target: float | None = None, note: str = "") -> Row:
        return Row(RUN, case.name, figure, value, unit, target, note)

    yield row(
        "makespan / bound",
        run["seconds"] / max(bound.values()),
        target=MOST_FACTOR if judged else None,
        note="the bound is the largest of places, chain and turns (benchmarks/bound.py); the run reads all again first",
    )
    yield row("makespan", run["seconds"] / 3600, "h")
    yield row("places", bound["places"] / 3600, "h")
    yield row("chain", bound["chain"] / 3600, "h")
    yield row("turns", max(turns, default=0.0) / 3600, "h")
    yield row("calls / disk", sum(run["by_api"].values()) / case.count, target=MOST_CALLS.get(case.kind))
    yield row("in flight", run["most_in_flight"])
    if case.kind != fleet.HSS:
        yield row("restoring", run["most_restores"], target=case.width, note="at a time, by the cloud's jobs")
    yield row("not restored", run["not_restored"], target=0.0, note="disks; or restored twice")
    yield row(
        "CPU / disk", 1000 * run["cpu_seconds"] / case.count, "ms", note="of the engine, the simulator's taken off"
    )
    yield row(
        "memory",
        figures["memory_bytes"] / 1e6,
        "MB",
        MOST_MEMORY_MB,
        "resident: the bare process and the most that was added, growth of the simulator included; without Ansible",
    )
    yield row("wall", figures["wall_seconds"], "s", note="with the simulator")


def _growth_rows(case: Case, cpu_seconds: Mapping[Case, float]) -> Iterator[Row]:
    smaller = cpu_seconds.get(replace(case, count=case.count // 10))
    if smaller is not None and case.count > 1000:
        note = "the engine's CPU seconds by those for a tenth of the disks"
        yield Row(RUN, case.name, "CPU growth", cpu_seconds[case] / smaller, "", MOST_GROWTH, note)


def _calls_rows(case: Case, run: Mapping[str, Any]) -> Iterator[Row]:
    per_disk = {api: number / case.count for api, number in sorted(run["by_api"].items())}
    for api, number in per_disk.items():
        if number >= RARE_CALLS:
            yield Row(CALLS, case.name, api, number)
    yield Row(CALLS, case.name, "others", sum(number for number in per_disk.values() if number < RARE_CALLS))
    yield Row(CALLS, case.name, "429", run["throttled"] / case.count, note="answers; their calls are counted, too")


def _plan_rows(case: Case, figures: Mapping[str, Any]) -> Iterator[Row]:
    plan = figures["plan"]
    target = MOST_CALLS_OF_A_PLAN if case.plan_only else None
    yield Row(PLAN, case.plan_name, "calls", sum(plan["by_api"].values()), "", target)
    yield Row(PLAN, case.plan_name, "time", plan["seconds"], "s")
    yield Row(PLAN, case.plan_name, "CPU", 1000 * plan["cpu_seconds"], "ms")
    if case.plan_only:
        yield Row(PLAN, case.plan_name, "memory", figures["memory_bytes"] / 1e6, "MB", MOST_MEMORY_MB)


def main() -> None:
    names = {case.name: case for case in CASES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=names, metavar="NAME", help="; ".join(names))
    parser.add_argument("--profile", action="store_true", help="with --case: show where the CPU time goes")
    parser.add_argument("--limit", type=int, metavar="SECONDS", help="with --case: give up after so much CPU time")
    parser.add_argument("--quick", action="store_true", help=f"up to {QUICK_COUNT} disks")
    chosen = parser.parse_args()
    if chosen.limit:
        resource.setrlimit(resource.RLIMIT_CPU, (chosen.limit, chosen.limit))
    if chosen.case:
        print(json.dumps(measure(names[chosen.case], profile=chosen.profile), indent=1))
    else:
        print(table.as_text(list(rows(quick=chosen.quick)), table.machine()), end="")


if __name__ == "__main__":
    main()
