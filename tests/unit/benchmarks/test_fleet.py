# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clouds that benchmarks recover: such as the simulator takes from a file, and of the sizes that are promised."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import pytest
from benchmarks import fleet
from simulator import scenario as scenarios

KINDS = [fleet.DETACHED, fleet.ATTACHED, fleet.HSS]


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_scenario_would_pass_as_a_file(kind: str, limited: bool) -> None:
    made = fleet.make(kind, 20, limited=limited).scenario
    assert scenarios.parse(asdict(made)) == made


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_makes_the_same_cloud(kind: str) -> None:
    assert fleet.make(kind, 50, limited=True, seed=3) == fleet.make(kind, 50, limited=True, seed=3)
    assert fleet.make(kind, 50, limited=True, seed=3) != fleet.make(kind, 50, limited=True, seed=4)


def test_every_disk_is_wished_for_once_and_has_its_need() -> None:
    made = fleet.make(fleet.ATTACHED, 1000, limited=False)
    wished = [volume for wish in made.wishes for volume, _backup in wish.volumes]
    assert sorted(wished) == sorted(disk.id for disk in made.scenario.disks)
    assert len(made.needs) == len(made.scenario.disks) == 1000
    assert [need.restore for need in made.needs] == [30 + 10 * disk.size for disk in made.scenario.disks]


def test_servers_have_one_to_five_disks_three_on_average() -> None:
    made = fleet.make(fleet.ATTACHED, 3000, limited=False)
    sizes = Counter(Counter(disk.attached[0].server for disk in made.scenario.disks).values())
    assert set(sizes) == {1, 2, 3, 4, 5}
    assert 950 <= len(made.scenario.servers) <= 1050
    assert sizes[3] == max(sizes.values())


def test_data_disks_are_of_400_gb_on_average() -> None:
    made = fleet.make(fleet.DETACHED, 3000, limited=False)
    assert 380 <= sum(disk.size for disk in made.scenario.disks) / 3000 <= 420


def test_uneven_disks_of_one_size_take_different_times() -> None:
    made = fleet.make(fleet.DETACHED, 2000, limited=False, sizes=fleet.UNEVEN)
    pairs = zip(made.needs, made.scenario.disks, strict=True)
    parts = [need.restore / (30 + 10 * disk.size) for need, disk in pairs]
    assert 0.8 <= min(parts) < 0.81
    assert 1.19 < max(parts) <= 1.2
    assert sum(parts) / 2000 == pytest.approx(1.0, abs=0.01)


def test_an_hss_server_needs_all_of_its_disks_one_after_the_other() -> None:
    made = fleet.make(fleet.HSS, 3, limited=True)
    sizes = Counter[str]()
    for disk in made.scenario.disks:
        sizes[disk.attached[0].server] += disk.size
    assert [need.restore for need in made.needs] == [3 + 20 + 60 + 10 * size + 30 for size in sizes.values()]
    assert not any(need.attached for need in made.needs)


def test_rate_limits_are_those_of_the_scenario() -> None:
    made = fleet.make(fleet.ATTACHED, 5, limited=True)
    limits = made.scenario.limits
    for call, service in (("restore", "vbs"), ("detach", "ecs"), ("attach", "ecs")):
        rate = limits.rate(service)
        assert rate is not None
        assert (rate.requests, rate.window_seconds) == (made.rates[call].calls, made.rates[call].window)
    hss = limits.rate("hss")
    assert hss is not None
    assert (hss.requests, hss.window_seconds) == (5, 60.0)
    free = fleet.make(fleet.ATTACHED, 5, limited=False)
    assert free.rates == {}
    assert free.scenario.limits.rates == {}
