# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks measure is what happened: calls, calls at a time, CPU of the engine without the cloud's."""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.batch import Batch
from benchmarks import fleet, virtual
from benchmarks.meter import Cpu, MeteredWorld, Sampler, most_at_once
from benchmarks.table import Row
from simulation.world import VirtualClock, VirtualWorkers, World
from simulator.messages import Request, Response

TIMING = replace(fleet.TIMING, vbs_restore_per_gb=0.1)


def recovered(world: World, cloud: fleet.Fleet) -> Any:
    result = world.carry_out(world.plan(cloud.wishes).as_dict(), max_parallel=3)
    assert not result["failed"]
    return world


def test_calls_are_those_that_the_cloud_has_seen() -> None:
    cloud = fleet.make(fleet.ATTACHED, 6, limited=False, timing=TIMING)
    plain = recovered(World(cloud.scenario, limits=lambda _lane: 2), cloud)
    metered = recovered(MeteredWorld(cloud.scenario, limits=lambda _lane: 2), cloud)
    # of the run alone: planning is another controller
    of_the_run = plain.cloud.log[-len(plain.network.calls) :]
    assert sum(metered.tally.by_api.values()) == len(of_the_run)
    assert metered.tally.by_api["vbs.restore"] == 6
    assert metered.tally.throttled == 0
    assert list(metered.cloud.log) == list(metered.network.calls) == []


def test_refused_calls_are_counted() -> None:
    cloud = fleet.make(fleet.DETACHED, 6, limited=False, timing=TIMING)
    slow = {"vbs": {"requests": 1, "window_seconds": 30.0}}
    scenario = replace(cloud.scenario, limits=replace(cloud.scenario.limits, rates=slow))
    world = MeteredWorld(scenario, limits=lambda _lane: 9)
    plan = world.plan(cloud.wishes).as_dict()
    before = world.cloud.throttle.refused
    world.carry_out(plan, max_parallel=3)
    assert world.tally.throttled == world.cloud.throttle.refused - before > 0


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_no_more_calls_run_in_a_lane_than_it_has_threads(threads: int) -> None:
    clock = VirtualClock()
    workers = VirtualWorkers(clock, {"narrow": threads, "wide": 9}.__getitem__)
    running = {"narrow": 0, "wide": 0}
    most = dict(running)

    def call(lane: str) -> None:
        running[lane] += 1
        most[lane] = max(most[lane], running[lane])
        clock.sleep(1.0)
        running[lane] -= 1

    for number in range(10):
        for lane in running:
            workers.submit(lane, number, partial(call, lane))
    ended = 0
    while ended < 20:
        ended += len(workers.results(None))
    assert most == {"narrow": threads, "wide": 9}
    assert clock.now() - World("small").clock.now() == -(-10 // threads) * 1.0


def test_calls_of_a_lower_rank_overtake_those_that_wait() -> None:
    clock = VirtualClock()
    workers = VirtualWorkers(clock, lambda _lane: 1)
    for rank, key in enumerate("cab"):
        workers.submit("", key, partial(clock.sleep, 1.0), rank=(rank + 2) % 3)
    order = [done.key for _turn in range(3) for done in workers.results(None)]
    assert order == ["a", "b", "c"]


def test_the_cloud_s_cpu_time_is_not_the_engine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves only while the cloud works, and one tick between."""
    cloud = fleet.make(fleet.DETACHED, 2, limited=False, timing=TIMING)
    world = MeteredWorld(cloud.scenario)
    now = 100.0
    handle = world.cloud.handle

    def busy(service: str, request: Request) -> Response:
        nonlocal now
        now += 7.0
        return handle(service, request)

    monkeypatch.setattr(world.cloud, "handle", busy)
    monkeypatch.setattr(time, "process_time", lambda: now)
    cpu = Cpu()
    world.plan(cloud.wishes)
    now += 1.0
    calls = sum(world.tally.by_api.values())
    assert world.network.cloud_cpu_seconds == 7.0 * calls
    assert cpu.of_engine(world.network) == 1.0


def test_the_sampler_sees_the_engine_and_not_the_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sampled where the test says, and not by a timer: once on each turn of the loop, and once in each call."""
    cloud = fleet.make(fleet.DETACHED, 3, limited=False, timing=TIMING)
    world = MeteredWorld(cloud.scenario)

    def sampled(function: Callable[..., Any]) -> Callable[..., Any]:
        def look_here(*arguments: Any) -> Any:
            signal.raise_signal(signal.SIGPROF)
            return function(*arguments)

        return look_here

    monkeypatch.setattr(signal, "setitimer", lambda *_how: None)
    monkeypatch.setattr(Batch, "next", sampled(Batch.next))
    monkeypatch.setattr(world.cloud, "handle", sampled(world.cloud.handle))
    with Sampler() as sampler:
        recovered(world, cloud)
    report = sampler.report()
    assert "100.0%  _run/driver.py:Driver.run\n" in report
    assert "simulation/world.py:Network.ask" not in report


@pytest.mark.parametrize(
    ("spans", "most"),
    [([], 0), ([(0, 1)], 1), ([(0, 2), (1, 3), (4, 5)], 2), ([(0, 1), (1, 2)], 1), ([(0, 9), (1, 2), (1, 2)], 3)],
)
def test_most_at_once(spans: list[tuple[float, float]], most: int) -> None:
    assert most_at_once({str(number): span for number, span in enumerate(spans)}) == most


def test_names_of_cases_are_their_own() -> None:
    assert len({case.name for case in virtual.CASES}) == len(virtual.CASES)


FIGURES = {
    "plan": {"seconds": 1.0, "cpu_seconds": 0.5, "by_api": {"evs.list_volumes": 10}, "throttled": 0},
    "run": {
        "seconds": 1100.0,
        "cpu_seconds": 2.0,
        "most_in_flight": 8,
        "by_api": {"vbs.restore": 1000, "evs.list_volumes": 5970, "iam.create_token": 10, "ecs.list_servers": 20},
        "throttled": 3,
        "not_restored": 0,
        "most_restores": 50,
        "bound": {"places": 1000.0, "chain": 500.0, "restore": 800.0},
    },
    "memory_bytes": 90e6,
    "wall_seconds": 5.0,
}


def test_targets_are_judged_from_a_thousand_disks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "_in_child", lambda case: FIGURES)
    monkeypatch.setattr(virtual, "CASES", [virtual.Case(fleet.DETACHED, count, 50) for count in (100, 1000, 10000)])
    found = {(row.case, row.figure): row for row in virtual.rows()}
    assert not found["100 detached, 50 wide", "makespan / bound"].missed
    late = found["1000 detached, 50 wide", "makespan / bound"]
    assert (late.value, late.missed) == (1.1, True)
    calls = found["1000 detached, 50 wide", "calls / disk"]
    assert (calls.value, calls.missed) == (7.0, True)
    assert found["10000 detached, 50 wide", "CPU growth"] == Row(
        "virtual time",
        "10000 detached, 50 wide",
        "CPU growth",
        1.0,
        target=11.0,
        note="the engine's CPU seconds by those for a tenth of the disks",
    )
    assert ("1000 detached, 50 wide", "CPU growth") not in found
    quick = {row.case for row in virtual.rows(quick=True) if row.group == virtual.RUN}
    assert quick == {"100 detached, 50 wide", "1000 detached, 50 wide"}


def test_rare_calls_are_shown_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "_in_child", lambda case: FIGURES)
    monkeypatch.setattr(virtual, "CASES", [virtual.Case(fleet.DETACHED, 1000, 50)])
    shown = {row.figure: row.value for row in virtual.rows() if row.group == virtual.CALLS}
    assert shown == {"vbs.restore": 1.0, "evs.list_volumes": 5.97, "others": 0.03, "429": 0.003}


def test_a_plan_is_shown_once_however_it_is_carried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "_in_child", lambda case: FIGURES)
    cases = [virtual.Case(fleet.DETACHED, 1000, width, limited) for width in (50, 500) for limited in (False, True)]
    monkeypatch.setattr(virtual, "CASES", cases)
    plans = [row.case for row in virtual.rows() if row.group == virtual.PLAN and row.figure == "calls"]
    assert plans == ["1000 detached, 3 backups each"]


def test_a_case_without_a_result_is_a_missed_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "_in_child", lambda case: None)
    assert all(row.missed for row in virtual.rows(quick=True))


@pytest.fixture
def _collector() -> Iterator[None]:
    """Measuring takes what exists out of the collector's sight, which is meant for a process of its own."""
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("_collector")
def test_one_case_from_end_to_end() -> None:
    figures = virtual.measure(virtual.Case(fleet.HSS, 3, 2, sizes=fleet.SMALL))
    assert figures["run"]["seconds"] >= max(figures["run"]["bound"].values())
    assert figures["run"]["not_restored"] == 0
    assert figures["run"]["cpu_seconds"] > 0
    assert 10e6 < figures["memory_bytes"] < 1e9
