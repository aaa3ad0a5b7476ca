# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the table relies on sees it when a disk is restored twice. Each restore is forged by hand after a good run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import hss, vbs
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.api import Api
from recovering import DISKS_OF, Outcome, Witness, next_run, recover, settle, small_world
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
