# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lower bound: cases counted by hand, schedules that no client could beat, and the engine itself."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace

import pytest
from benchmarks import fleet
from benchmarks.bound import Need, Rate, lower_bound
from hypothesis import given, settings
from hypothesis import strategies as some
from simulation.world import World

LONE = Need(100.0)
AT_A_SERVER = Need(100.0, True, stop=20.0, detach=8.0, attach=9.0, start=30.0)


def test_places_when_many_disks_share_few() -> None:
    found = lower_bound([LONE] * 3, width=2)
    assert found.parts == {"places": 150.0, "chain": 100.0}
    assert (found.seconds, found.by) == (150.0, "places")


def test_the_longest_chain_when_there_is_place_for_all() -> None:
    found = lower_bound([LONE, replace(AT_A_SERVER, restore=500.0)], width=50)
    assert found.parts == {"places": 12.0, "chain": 567.0}
    assert found.by == "chain"


def test_servers_are_stopped_before_the_first_restore_and_started_after_the_last() -> None:
    assert lower_bound([AT_A_SERVER] * 4, width=2).parts["places"] == 20 + 8 + 200 + 9 + 30


def test_a_disk_without_a_server_can_be_first_and_last() -> None:
    assert lower_bound([AT_A_SERVER, LONE], width=1).parts["places"] == 200


@pytest.mark.parametrize(
    ("restores", "seconds"),
    [
        ([10.0] * 5, 10.0),  # all in the first window
        ([10.0] * 12, 2 * 60.0 + 10.0),  # five, five and two
        ([1000.0] + [10.0] * 5, 1000.0),  # the long one first, and one short one waits
        ([1000.0] * 6, 60.0 + 1000.0),  # a long one has to wait
        ([1000.0] * 5 + [10.0] * 5 + [500.0], 1000.0),  # 500 s in the second window, 10 s in the third
        ([990.0] * 5 + [950.0] + [10.0] * 4, 60.0 + 950.0),
    ],
)
def test_restores_take_turns(restores: Sequence[float], seconds: float) -> None:
    needs = [Need(restore) for restore in restores]
    assert lower_bound(needs, width=50, rates={"restore": Rate(5, 60.0)}).seconds == seconds


def test_turns_of_every_call_begin_after_what_goes_before_it() -> None:
    rates = dict.fromkeys(("restore", "detach", "attach"), Rate(1, 1000.0))
    assert lower_bound([AT_A_SERVER] * 3, width=9, rates=rates).parts == {
        "places": 28 + 300 / 9 + 39,
        "chain": 167.0,
        "restore": 28 + 2000 + 100 + 39,
        "detach": 20 + 2000 + 8 + 100 + 39,
        "attach": 28 + 100 + 2000 + 39,
    }


def test_calls_that_nobody_needs_have_no_turns() -> None:
    assert set(lower_bound([LONE], width=1, rates={"attach": Rate(1, 60.0)}).parts) == {"places", "chain"}


NEEDS = some.one_of(
    some.builds(Need, restore=some.floats(1, 500)),
    some.builds(
        Need,
        restore=some.floats(1, 500),
        attached=some.just(True),
        stop=some.floats(0, 50),
        detach=some.floats(1, 20),
        attach=some.floats(1, 20),
        start=some.floats(0, 50),
    ),
)


@given(
    needs=some.lists(NEEDS, min_size=1, max_size=12),
    width=some.integers(1, 4),
    rate=some.builds(Rate, some.integers(1, 3), some.floats(1, 100)),
)
@settings(deadline=None, derandomize=True)
def test_no_schedule_is_faster(needs: list[Need], width: int, rate: Rate) -> None:
    """An ideal client without any delay of its own, which takes the disks in whatever order they come."""
    rates = dict.fromkeys(("restore", "detach", "attach"), rate)
    assert lower_bound(needs, width=width, rates=rates).seconds <= _makespan(needs, width, rate) + 1e-6


class _Turns:
    """The earliest moment that leaves no more calls in a window than allowed; moments are asked for in any order."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._taken: list[float] = []

    def at(self, earliest: float) -> float:
        moments = [
            earliest,
            *(taken + self._rate.window for taken in self._taken if taken + self._rate.window > earliest),
        ]
        moment = next(moment for moment in sorted(moments) if self._fits([*self._taken, moment]))
        self._taken.append(moment)
        return moment

    def _fits(self, calls: list[float]) -> bool:
        calls = sorted(calls)
        pairs = zip(calls, calls[self._rate.calls :], strict=False)
        return all(later - first >= self._rate.window - 1e-9 for first, later in pairs)


def _makespan(needs: Sequence[Need], width: int, rate: Rate) -> float:
    detaches, restores, attaches = (_Turns(rate) for _call in range(3))
    places = [0.0] * width
    ends = []
    for need in needs:
        ready = detaches.at(need.stop) + need.detach if need.attached else 0.0
        began = restores.at(max(ready, heapq.heappop(places)))
        restored = began + need.restore
        heapq.heappush(places, restored)
        ends.append(attaches.at(restored) + need.after if need.attached else restored)
    return max(ends)


@pytest.mark.parametrize("width", [1, 3, 20])
@pytest.mark.parametrize("kind", [fleet.DETACHED, fleet.ATTACHED, fleet.HSS])
def test_the_engine_is_not_faster(kind: str, width: int) -> None:
    quick = replace(fleet.TIMING, vbs_restore_per_gb=0.5, hss_restore_per_gb=0.2)
    for seed in range(2):
        cloud = fleet.make(kind, 9, limited=True, sizes=fleet.UNEVEN, seed=seed, timing=quick)
        world = World(cloud.scenario, seed=seed)
        plan = world.plan(cloud.wishes).as_dict()
        began = world.clock.now()
        result = world.carry_out(plan, max_parallel=width)
        assert not result["failed"]
        assert world.clock.now() - began >= lower_bound(cloud.needs, width=width, rates=cloud.rates).seconds
