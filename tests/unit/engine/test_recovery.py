# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole recoveries against the simulator in virtual time: what comes back, in which order, what a failure leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import Rules
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.recovery import NotReady
from simulation.cases import (
    ARCHIVE,
    DB,
    DEMO,
    ENCRYPTED,
    FILES,
    SMALL,
    Before,
    History,
    backup_id,
    disk_id,
    not_restored,
    restores,
    server_id,
    world,
    writes,
)
from simulation.world import World

BEHAVIOURS: list[dict[str, Any]] = [
    {},
    {"restore_metadata": "replace"},
    {"state_lag_seconds": 15.0},
    {"restore_metadata": "replace", "state_lag_seconds": 25.0, "page_limit_cap": 1},
    {"sub_jobs": "null", "vbs_job_id": "hex", "vbs_error_shape": "flat"},
    {"sub_jobs": "missing", "stop_stopped": "success", "hss_created_at_unit": "s"},
    {"sub_jobs": "empty_string", "hss_time_format": "local_text", "hss_log_lag_seconds": 60.0},
    {"sub_jobs": "entities", "hss_time_format": "epoch_ms", "boot_index": "all_zero"},
    {"delete_on_termination_after_attach": "reset"},
]


@pytest.mark.parametrize("behaviours", BEHAVIOURS, ids=str)
def test_everything_comes_back(behaviours: dict[str, Any]) -> None:
    seen = world(**behaviours)
    before = Before(seen)
    result = seen.recover(SMALL)
    assert not result["failed"]
    assert result["summary"] == {"restored": 4}
    assert not_restored(seen) == []
    assert before.differences(seen) == []
    assert set(restores(seen).values()) == {1}
    assert seen.summary()["violations"] == []


def test_a_server_that_was_off_stays_off() -> None:
    seen = world("demo")
    before = Before(seen)
    result = seen.recover(DEMO)
    assert not result["failed"]
    assert before.power[server_id(3)] == "SHUTOFF"
    assert before.differences(seen) == []
    assert not_restored(seen) == []


def test_a_second_run_changes_nothing() -> None:
    seen = world()
    seen.recover(SMALL)
    so_far = writes(seen)
    again = seen.recover(SMALL)
    assert again["summary"] == {"already_restored": 4}
    assert not again["changed"]
    assert not again["failed"]
    assert writes(seen) == so_far


def test_a_new_run_id_restores_again() -> None:
    seen = world()
    history = History(seen)
    seen.recover([DB])
    assert history.restored_after_use() == []
    again = seen.recover([DB], terms={"run_id": "second-incident"}, run_id="second-incident")
    assert again["summary"] == {"restored": 2}
    assert restores(seen)[disk_id(1)] == 2
    assert set(history.restored_after_use()) == {disk_id(1), disk_id(2)}


def test_check_mode_writes_nothing_and_tells_the_change() -> None:
    seen = world()
    result = seen.recover(SMALL, dry_run=True)
    assert result["changed"]
    assert result["summary"] == {"planned": 4}
    assert all(target["changed"] for target in result["targets"].values())
    assert writes(seen) == 0


def test_the_system_disk_leaves_last_and_comes_back_first_one_at_a_time() -> None:
    seen = world("demo")
    seen.recover([DEMO[0]])
    detached = [entry.path.rsplit("/", 1)[1] for entry in seen.cloud.log if entry.api == "ecs.detach"]
    assert detached == [disk_id(3), disk_id(2), disk_id(1)]
    back = [line for line in seen.said if " back at " in line]
    assert [f"{disk_id(number)}: back" in line for number, line in zip((1, 2, 3), back, strict=True)] == [True] * 3
    assert seen.summary()["refused_writes"] == {}


@pytest.mark.parametrize("width", [1, 2, 3])
def test_no_more_restores_at_a_time_than_allowed(width: int) -> None:
    seen = world("demo")
    most = 0
    handle = seen.cloud.handle

    def watched(*call: Any) -> Any:
        nonlocal most
        answer = handle(*call)
        most = max(most, sum(disk.restoring for disk in seen.cloud.world.disks.values()))
        return answer

    seen.cloud.handle = watched  # type: ignore[method-assign]
    result = seen.recover(DEMO[:3], max_parallel=width)
    assert not result["failed"]
    assert most == width


def test_waves_run_in_order() -> None:
    seen = world("demo")
    seen.recover(DEMO)
    first_of_wave_two = next(n for n, line in enumerate(seen.said) if line.startswith(("web01", "files01")))
    assert not [line for line in seen.said[first_of_wave_two:] if line.startswith("erp")]


# -- failures ----------------------------------------------------------------------------------------------------------


def test_a_refused_restore_puts_everything_back() -> None:
    seen = world()
    before = Before(seen)
    refusal = {"status": 400, "json": {"error": {"code": "VolumeBackup.0211", "message": "DR site"}}}
    seen.faults({"api": "vbs.restore", "times": 2, "action": refusal})
    result = seen.recover([DB])
    assert result["failed"]
    assert not result["changed"]
    assert result["summary"] == {"failed": 2}
    assert "VolumeBackup.0211" in result["targets"]["db01"]["msg"]
    assert before.differences(seen) == []
    assert set(seen.data().values()) == {ENCRYPTED}
    assert seen.recover([DB])["summary"] == {"restored": 2}


@pytest.mark.parametrize("outcome", ["fail_error_restoring", "fail_available"])
def test_a_failed_restore_leaves_the_disk_off_and_the_server_down(outcome: str) -> None:
    seen = world(restore_outcome={disk_id(2): outcome})
    result = seen.recover([DB, ARCHIVE])
    assert result["failed"]
    assert result["summary"] == {"failed": 1, "restored": 2}
    assert result["targets"]["db01"]["failed"]
    assert "stays off" in result["targets"]["db01"]["msg"]
    assert not result["targets"]["archive"]["failed"]
    places = {disk.id: list(disk.attachments) for disk in seen.cloud.world.disks.values()}
    assert places[disk_id(1)] == [server_id(1)]
    assert places[disk_id(2)] == []
    assert seen.cloud.world.servers[server_id(1)].status == "SHUTOFF"


def test_a_failed_restore_is_done_again_by_the_next_run() -> None:
    seen = world(restore_outcome={disk_id(2): ["fail_available", "ok"]})
    before = Before(seen)
    assert seen.recover([DB])["failed"]
    again = seen.recover([DB])
    assert not again["failed"]
    assert before.differences(seen) == []
    assert restores(seen)[disk_id(1)] == 1


def test_an_older_backup_after_a_failed_restore() -> None:
    seen = world(restore_outcome={disk_id(2): ["fail_available", "ok"]})
    assert seen.recover([DB])["failed"]
    older = replace(DB, volumes=((disk_id(1), backup_id(1)), (disk_id(2), backup_id(2, 2))))
    assert not seen.recover([older])["failed"]
    assert seen.data()[disk_id(2)] == "db01-data-26-hours-old"


def test_no_server_of_a_group_starts_if_a_member_fails() -> None:
    seen = world("demo", restore_outcome={disk_id(5): ["fail_available", "ok"]})
    before = Before(seen)
    result = seen.recover(DEMO[:2])
    assert result["failed"]
    assert {seen.cloud.world.servers[server_id(n)].status for n in (1, 2)} == {"SHUTOFF"}
    assert result["targets"]["erp-db01"]["state"] == "restored"
    assert not seen.recover(DEMO[:2])["failed"]
    assert before.differences(seen) == []
    assert restores(seen)[disk_id(1)] == 1


def test_a_critical_failure_keeps_later_waves_from_starting() -> None:
    seen = world("demo", restore_outcome={disk_id(1): "fail_available"})
    result = seen.recover(DEMO)
    assert result["targets"]["web01"]["state"] == "skipped"
    assert result["targets"]["files01"]["state"] == "skipped"
    assert disk_id(7) not in restores(seen)
    assert seen.data()[disk_id(9)] == ENCRYPTED


def test_an_uncritical_failure_does_not() -> None:
    seen = world("demo", restore_outcome={disk_id(4): "fail_available"})
    result = seen.recover([replace(wish, critical=False) for wish in DEMO])
    assert result["targets"]["web01"]["state"] == "restored"


def test_waves_one_by_one_as_the_role_runs_them() -> None:
    """What an earlier wave left behind is no obstacle for a later one."""
    seen = world("demo", restore_outcome={disk_id(4): "fail_error_restoring"})
    loose = [replace(wish, critical=False, group="") for wish in DEMO]
    assert seen.recover(loose, waves=(1,))["failed"]
    second = seen.recover(loose, waves=(2,))
    assert second["summary"] == {"restored": 3}


def test_on_failure_stop_starts_nothing_more() -> None:
    seen = world("demo", restore_outcome={disk_id(1): "fail_available"})
    before = Before(seen)
    alone = [replace(wish, group="", wave=1) for wish in DEMO[:3]]
    result = seen.recover(alone, max_parallel=1, stop_on_failure=True)
    states = {name: target["state"] for name, target in result["targets"].items()}
    assert "skipped" in states.values()
    untouched = [name for name, state in states.items() if state == "skipped"]
    assert untouched
    assert [text for text in before.differences(seen) if server_id(3) in text] == []


@pytest.mark.parametrize(("how", "summary"), [("soft", {"failed": 2}), ("soft_then_hard", {"restored": 2})])
def test_a_server_that_does_not_stop(how: str, summary: dict[str, int]) -> None:
    seen = world(soft_stop={server_id(1): "hangs"})
    before = Before(seen)
    result = seen.recover([DB], rules=Rules(stop_servers=how, stop_timeout_seconds=120.0))
    assert result["summary"] == summary
    assert before.differences(seen) == []


def test_a_running_server_that_may_not_be_stopped() -> None:
    seen = world()
    result = seen.recover([DB], rules=Rules(stop_servers="refuse"))
    assert result["summary"] == {"failed": 2}
    assert seen.cloud.world.servers[server_id(1)].status == "ACTIVE"
    assert seen.summary()["by_api"].get("ecs.server_action") is None


def test_a_restore_that_does_not_end_gives_a_handle() -> None:
    seen = world(restore_outcome={disk_id(3): "stuck"})
    result = seen.recover([ARCHIVE], rules=Rules(wait_timeout_seconds=600.0))
    (restore,) = result["restores"]
    assert restore["state"] == "timed_out"
    assert restore["changed"]
    assert restore["handle"]["job_id"]
    assert "may still run" in restore["error"]["message"]


@pytest.mark.parametrize("outcome", ["failed", "skipped", "timeout"])
def test_hss_says_that_it_failed(outcome: str) -> None:
    seen = world(hss_outcome={server_id(2): outcome})
    (restore,) = seen.recover([FILES])["restores"]
    assert restore["state"] == "failed"
    assert outcome in restore["error"]["message"]


def test_hss_never_says_anything() -> None:
    seen = world(hss_outcome={server_id(2): "no_record"})
    (restore,) = seen.recover([FILES])["restores"]
    assert restore["state"] == "unknown"  # whatever the disks hold: no success without the cloud's


def test_hss_polls_within_five_requests_a_minute() -> None:
    seen = world()
    seen.recover([FILES])
    assert seen.summary()["throttled"] == 0


# -- before anything is changed ----------------------------------------------------------------------------------------


def _refused(seen: World, *wishes: Any, **options: Any) -> NotReady:
    with pytest.raises(NotReady) as caught:
        seen.recover(wishes, **options)
    assert writes(seen) == 0
    return caught.value


def test_all_problems_at_once_and_nothing_changed() -> None:
    seen = world()
    seen.cloud.world.servers[server_id(1)].locked = True
    unknown = replace(ARCHIVE, volumes=((disk_id(3), backup_id(99)),))
    codes = {problem.code for problem in _refused(seen, DB, unknown, replace(DB, name="twice")).problems}
    assert {"server_locked", "backup_missing", "disk_twice", "server_in_two_targets"} <= codes


def test_what_is_not_approved_is_not_restored() -> None:
    seen = world()
    assert "db01" in str(_refused(seen, DB, approved=("0123456789ab",)))


def test_a_target_can_be_approved_alone() -> None:
    seen = world()
    plan = seen.plan([DB, ARCHIVE])
    archive = next(target.id for target in plan.targets if target.wish.name == "archive")
    assert "db01" in str(_refused(seen, DB, ARCHIVE, approved=(archive,)))
    assert seen.recover([ARCHIVE], approved=(archive,))["summary"] == {"restored": 1}


def test_the_unused_half_of_a_world_is_left_alone() -> None:
    seen = world()
    seen.recover([ARCHIVE])
    assert {volume for volume, data in seen.data().items() if data == ENCRYPTED} == {disk_id(n) for n in (1, 2, 4, 5)}
