# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the table relies on sees what it is there to see: each of these runs is told wrongly, or spoiled by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import hss, vbs
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.api import Api
from matrix import ADOPTED, FAULTS, PLACES, RETRIED, UNHURT, Ends, Place
from recovering import DISKS_OF, Outcome, Witness, arm, misordered, next_run, recover, settle, small_world, unnamed
from simulation.cases import backup_id, disk_id, server_id
from simulation.world import World

LONG_ENOUGH = 300.0
"""Seconds in which any restore of the small world ends."""
HSS_BACKUP = "e0000000-0000-4000-8000-000000000022"
HSS_PARTS = {disk_id(4): "c0000000-0000-4000-8000-000000000042", disk_id(5): "c0000000-0000-4000-8000-000000000052"}


def _lone_disk(api: Api) -> None:
    vbs.restore(api, backup_id(3), disk_id(3))


def _server(api: Api) -> None:
    hss.restore(
        api, HSS_BACKUP, server_id=server_id(2), mappings=[(part, volume) for volume, part in HSS_PARTS.items()]
    )


FORGED = [pytest.param("archive", _lone_disk, id="lone disk"), pytest.param("files01", _server, id="server by HSS")]


def _good_run() -> tuple[World, Witness, Outcome]:
    seen = small_world()
    witness = Witness(seen)
    outcome = recover(seen)
    settle(seen)
    assert witness.complaints(outcome) == []
    return seen, witness, outcome


def _once_more(seen: World, order: Callable[[Api], None]) -> None:
    assert seen.api is not None
    order(seen.api)
    seen.pass_time(LONG_ENOUGH)


@pytest.mark.parametrize(("target", "order"), FORGED)
def test_twice_in_one_run(target: str, order: Callable[[Api], None]) -> None:
    seen, witness, outcome = _good_run()
    _once_more(seen, order)
    complaints = witness.complaints(outcome)
    assert [disk for disk in DISKS_OF[target] if f"restored 2 times in one run: {disk}" not in complaints] == []


@pytest.mark.parametrize(("target", "order"), FORGED)
def test_once_in_each_of_two_runs(target: str, order: Callable[[Api], None]) -> None:
    seen, witness, _outcome = _good_run()
    _once_more(seen, order)
    wrong = next_run(seen, witness)
    assert wrong == [f"next run: restored once more: {list(DISKS_OF[target])}"]


def test_a_server_that_was_in_use_meanwhile() -> None:
    seen, witness, outcome = _good_run()
    _once_more(seen, _server)
    used = [complaint for complaint in witness.complaints(outcome) if complaint.startswith("restored again after use")]
    assert [disk for disk in DISKS_OF["files01"] if not any(disk in complaint for complaint in used)] == []


def test_a_table_that_expects_one_more_restore_than_there_was() -> None:
    seen, witness, _outcome = _good_run()
    assert next_run(seen, witness, twice="archive") == ["next run: restored once more: nothing"]


# -- what was ordered --------------------------------------------------------------------------------------------------


def _hit(target: str, name: str, sort: str, fault: str) -> tuple[World, Outcome, Place]:
    place = next(place for place in PLACES if (place.target, place.name) == (target, name))
    seen = small_world()
    return seen, recover(seen, lambda: arm(seen, place, FAULTS[sort][fault])), place


@pytest.mark.parametrize("name", ["stop", "detach", "restore the disk", "attach", "start"])
@pytest.mark.parametrize(("sort", "right", "wrong"), [("gone", RETRIED, ADOPTED), ("done", ADOPTED, RETRIED)])
def test_sent_again_or_not(name: str, sort: str, right: Ends, wrong: Ends) -> None:
    seen, outcome, place = _hit("db01", name, sort, "500")
    assert misordered(seen, outcome, place.calls, right, "db01") == []
    assert misordered(seen, outcome, place.calls, wrong, "db01") != []


def test_what_had_to_be_asked_again_is_not_unhurt() -> None:
    seen, outcome, _place = _hit("db01", "detach", "gone", "500")
    assert misordered(seen, outcome, (), UNHURT, "db01") == ["ecs DELETE detachvolume/d0.*02: sent 2 times, usually 1"]


def test_a_failure_that_names_something_else() -> None:
    _seen, outcome, place = _hit("db01", "stop", "no", "400")
    other = next(place for place in PLACES if place.name == "detach")
    assert (unnamed(outcome, place, place.no), len(unnamed(outcome, other, place.no))) == ([], 1)
