# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vbs_disk_restore and restore_job_info: every way in which a restore of one disk can end."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.options import OptionError
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.recovery import NotReady
from ansible_collections.hwcloud.recovery.plugins.modules import restore_job_info, vbs_disk_restore
from simulation.cases import backup_id, disk_id, world
from simulator.messages import Request, Response

from .conftest import Stage

DISK, BACKUP = disk_id(3), backup_id(3)
THIS: dict[str, Any] = {"backup_id": BACKUP, "volume_id": DISK}
GOOD = "archive-2-hours-old"


def test_a_detached_disk_comes_back(stage: Stage) -> None:
    result = stage.run(vbs_disk_restore, **THIS)
    assert (result["state"], result["changed"], result["adopted"]) == ("restored", True, False)
    assert result["handle"]["job_id"] == result["job_id"]
    assert stage.world.data()[DISK] == GOOD and stage.restores() == 1
    assert stage.writes == 1  # without run_id nothing is written but the restore


@pytest.mark.parametrize("status", [403, 404])
def test_no_right_to_servers_is_needed(stage: Stage, status: int) -> None:
    refusal = {"status": status, "json": {"error": {"code": "Ecs.0000", "message": "not for you"}}}
    stage.world.faults({"service": "ecs", "times": None, "every": 1, "action": refusal})
    assert stage.run(vbs_disk_restore, backup_id=BACKUP, volume_id=DISK)["state"] == "restored"


def test_without_a_run_id_it_restores_each_time(stage: Stage) -> None:
    stage.run(vbs_disk_restore, **THIS)
    assert stage.run(vbs_disk_restore, **THIS)["changed"] is True
    assert stage.restores() == 2


@pytest.mark.parametrize("metadata", ["keep", "replace"])
def test_a_run_id_makes_it_once(metadata: str) -> None:
    stage = Stage(world(restore_metadata=metadata))
    assert stage.run(vbs_disk_restore, **THIS, run_id="incident-1")["state"] == "restored"
    again = stage.run(vbs_disk_restore, **THIS, run_id="incident-1")
    assert (again["state"], again["changed"]) == ("already_restored", False)
    assert "by run incident-1" in again["msg"] and stage.restores() == 1
    assert stage.run(vbs_disk_restore, **THIS, run_id="incident-2")["state"] == "restored"
    assert stage.run(vbs_disk_restore, **THIS)["state"] == "restored"
    assert stage.restores() == 3


@pytest.mark.parametrize("metadata", ["keep", "replace"])
def test_a_run_that_did_not_wait_is_told_how_it_is_remembered(metadata: str) -> None:
    """Nobody wrote down that it had ended, so the same run_id restored the disk again after its use."""
    stage = Stage(world(restore_metadata=metadata))
    started = stage.run(vbs_disk_restore, **THIS, run_id="incident-1", wait=False)
    assert "run this one again with wait: true" in started["notes"][0]
    assert stage.run(vbs_disk_restore, **THIS, run_id="incident-1")["state"] == "restored"
    assert stage.run(vbs_disk_restore, **THIS, run_id="incident-1")["state"] == "already_restored"
    assert stage.restores() == 1
    assert stage.run(vbs_disk_restore, **THIS, wait=False)["notes"] == [], "without a run nothing is remembered"


@pytest.mark.parametrize("run_id", [None, "incident-1"])
def test_check_mode_tells_and_writes_nothing(stage: Stage, run_id: str | None) -> None:
    result = stage.run(vbs_disk_restore, **THIS, run_id=run_id, check_mode=True)
    assert (result["state"], result["changed"]) == ("planned", True)
    assert "its present data" in result["diff"]["before"] and f"backup {BACKUP} of 20" in result["diff"]["after"]
    assert stage.writes == 0
    stage.run(vbs_disk_restore, **THIS, run_id="incident-1")
    held = stage.run(vbs_disk_restore, **THIS, run_id="incident-2", check_mode=True)["diff"]["before"]
    assert f"backup {BACKUP} (finished)" in held


def test_waiting_later_by_handle_and_by_job(stage: Stage) -> None:
    started = stage.run(vbs_disk_restore, **THIS, wait=False)
    assert (started["state"], started["changed"], started["finished_at"]) == ("submitted", True, None)
    by_id: dict[str, Any] = {"job_id": started["job_id"]}
    seen = stage.run(restore_job_info, handle=started["handle"])
    assert (seen["status"], seen["finished"], seen["success"]) == ("running", False, False)
    assert stage.run(restore_job_info, **by_id)["status"] == "running"
    for not_waiting in ({"wait": False}, {"check_mode": True}):
        looked: dict[str, Any] = stage.run(vbs_disk_restore, handle=started["handle"], **not_waiting)
        assert (looked["state"], looked["changed"]) == ("submitted", "check_mode" in not_waiting)
    ended = stage.run(vbs_disk_restore, **by_id)
    assert (ended["state"], ended["changed"], ended["volume_id"]) == ("restored", True, None)
    again = stage.run(vbs_disk_restore, handle=started["handle"])
    assert (again["state"], again["changed"]) == ("restored", False)
    seen = stage.run(restore_job_info, **by_id)
    assert (seen["status"], seen["finished"], seen["success"], seen["error"]) == ("restored", True, True, None)
    assert stage.restores() == 1


def test_a_time_out_hands_over_the_handle_and_says_what_not_to_do() -> None:
    stage = Stage(world(restore_outcome={DISK: "stuck"}))
    for again in ("Without run_id", "run the same playbook again"):
        run_id = "incident-1" if "playbook" in again else None
        result = stage.run(vbs_disk_restore, **THIS, run_id=run_id, wait_timeout=120)
        assert (result["state"], result["failed"]) == ("timed_out", True)
        assert "may still run" in result["msg"] and again in result["msg"]
        assert result["handle"]["volume_id"] == DISK
    assert result["adopted"] is True  # the second task found the first one's restore


@pytest.mark.parametrize("run_id", [None, "incident-1"])
def test_a_restore_that_runs_is_adopted(stage: Stage, run_id: str | None) -> None:
    stage.run(vbs_disk_restore, **THIS, wait=False)
    result = stage.run(vbs_disk_restore, **THIS, run_id=run_id)
    assert (result["state"], result["adopted"], result["changed"]) == ("restored", True, True)
    assert stage.restores() == 1


def test_a_restore_that_may_be_another_is_not_adopted(stage: Stage) -> None:
    stage.run(vbs_disk_restore, **THIS, wait=False)
    with pytest.raises(NotReady) as raised:
        stage.run(vbs_disk_restore, backup_id=backup_id(3, 2), volume_id=DISK)
    assert "restore_running" in {problem.code for problem in raised.value.problems}


@pytest.mark.parametrize(
    ("run_id", "phase", "state", "restores"),
    [
        (None, "after", "restored", 1),
        ("incident-1", "after", "restored", 1),
        (None, "before", "unknown", 0),
        ("incident-1", "before", "restored", 1),
    ],
)
def test_a_lost_answer(stage: Stage, run_id: str | None, phase: str, state: str, restores: int) -> None:
    stage.world.faults({"api": "vbs.restore", "phase": phase, "action": {"drop": True}})
    result = stage.run(vbs_disk_restore, **THIS, run_id=run_id)
    assert (result["state"], result["changed"]) == (state, state == "restored")
    assert result["handle"]["backup_id"] == BACKUP
    assert stage.restores() == restores


@pytest.mark.parametrize("outcome", ["fail_available", "fail_error_restoring"])
def test_a_job_that_fails(outcome: str) -> None:
    stage = Stage(world(restore_outcome={DISK: outcome}))
    started = stage.run(vbs_disk_restore, **THIS, wait=False)
    result = stage.run(vbs_disk_restore, handle=started["handle"])
    assert (result["state"], result["changed"], result["failed"]) == ("failed", True, True)
    seen = stage.run(restore_job_info, handle=started["handle"])
    assert (seen["status"], seen["finished"], seen["success"]) == ("failed", True, False)
    assert seen["error"]["code"].startswith("VolumeBackup.") and "make a new disk" in seen["error"]["remedy"]


JOB_GONE = {"api": "vbs.show_job", "every": 1, "times": None, "action": {"status": 404, "json": {}}}
BACKUP_GONE = {**JOB_GONE, "api": "vbs.show_backup"}


@pytest.mark.parametrize("by", ["handle", "job and disk"])
@pytest.mark.parametrize(("outcome", "state"), [("ok", "restored"), ("fail_error_restoring", "failed")])
def test_where_job_and_backup_say_nothing_the_disk_tells(by: str, outcome: str, state: str) -> None:
    """It was waited for until the time was up: the job had been forgotten, and the backup was unknown, or deleted."""
    stage = Stage(world(restore_outcome={DISK: outcome}))
    started = stage.run(vbs_disk_restore, **THIS, wait=False)
    told = {"job and disk": {"job_id": started["job_id"], "volume_id": DISK}, "handle": {"handle": started["handle"]}}
    stage.world.faults(JOB_GONE, BACKUP_GONE)
    result = stage.run(vbs_disk_restore, **told[by], wait_timeout=3600)
    assert result["state"] == state
    again = stage.run(vbs_disk_restore, **told[by], wait_timeout=3600)
    assert again["state"] == ("unknown" if state == "restored" else state)  # nobody has seen it restoring this time


def test_a_broken_disk_is_believed_whatever_its_job_says() -> None:
    """The job of a restore that had failed went on for ever, and so did the waiting, for a day in a recovery."""
    stage = Stage(world(restore_outcome={DISK: "fail_error_restoring"}))
    running = {"status": 200, "json": {"status": "RUNNING", "job_id": "j", "job_type": "restoreVolumeBackup"}}
    stage.world.faults({**JOB_GONE, "action": running})
    began = stage.world.clock.now()
    result = stage.run(vbs_disk_restore, **THIS, wait_timeout=86400)
    assert (result["state"], result["changed"]) == ("failed", True)
    assert "error_restoring" in result["msg"]
    assert stage.world.clock.now() - began < 3600


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "backup_id and volume_id are required"),
        ({"backup_id": BACKUP}, "backup_id and volume_id are required"),
        ({"handle": {"service": "vbs"}}, "not a handle"),
        ({**THIS, "wait_timeout": 0}, "wait_timeout must be more than 0"),
        ({**THIS, "run_id": "-"}, "run_id must be 1 to 40"),
    ],
)
def test_options_that_make_no_sense(stage: Stage, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        stage.run(vbs_disk_restore, **options)
    assert not stage.requests


def test_a_job_that_cannot_be_read_is_no_state(stage: Stage) -> None:
    with pytest.raises(CloudError, match="0011"):
        stage.run(restore_job_info, job_id="70a599e0-31e7-49b7-b260-868f441e862b")
    with pytest.raises(CloudError, match="0011"):
        stage.run(
            restore_job_info, handle={"service": "vbs", "job_id": "unknown", "backup_id": BACKUP, "volume_id": DISK}
        )
    waited = stage.run(vbs_disk_restore, job_id="70a599e0-31e7-49b7-b260-868f441e862b")
    assert (waited["state"], waited["changed"]) == ("unknown", False)


def test_other_disks_are_refused_unless_allowed(stage: Stage) -> None:
    other: dict[str, Any] = {"backup_id": backup_id(1), "volume_id": DISK}
    stage.world.act("set_disk", volume_id=DISK, size=40)
    with pytest.raises(NotReady) as raised:
        stage.run(vbs_disk_restore, **other)
    assert {problem.code for problem in raised.value.problems} == {"backup_other_source"}
    assert stage.writes == 0
    assert stage.run(vbs_disk_restore, **other, allow_other_target=True)["state"] == "restored"


def test_a_disk_in_another_zone_than_the_backups_own_disk(stage: Stage) -> None:
    stage.world.act("set_disk", volume_id=DISK, size=40, az="eu-de-02")
    assert stage.run(vbs_disk_restore, **THIS, check_mode=True)["state"] == "planned"
    with pytest.raises(NotReady) as raised:
        stage.run(vbs_disk_restore, backup_id=backup_id(1), volume_id=DISK, allow_other_target=True)
    assert [problem.code for problem in raised.value.problems] == ["zone_differs"]
    assert stage.writes == 0


def test_a_missing_disk_is_one_problem(stage: Stage) -> None:
    with pytest.raises(NotReady) as raised:
        stage.run(vbs_disk_restore, backup_id=BACKUP, volume_id="00000000-0000-4000-8000-00000000dead")
    assert [problem.code for problem in raised.value.problems] == ["disk_missing"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [({"raw": "html"}, "HTTP 502"), ({"raw": "garbage"}, "looking at disk"), ({"raw": "empty"}, "looking at disk")],
)
def test_answers_that_are_no_json(stage: Stage, answer: dict[str, Any], words: str) -> None:
    stage.world.faults({"api": "evs.show_volume", "every": 1, "action": answer})
    with pytest.raises(CloudError, match=words):
        stage.run(vbs_disk_restore, **THIS)
    assert stage.writes == 0


def test_ids_may_be_written_in_capitals(stage: Stage) -> None:
    """The cloud finds them and answers in small letters (RFC 9562): that was taken for an answer about another disk."""
    big = {name: value.upper() for name, value in THIS.items()}
    result = stage.run(vbs_disk_restore, **big, run_id="r1")
    assert (result["state"], result["volume_id"], result["backup_id"]) == ("restored", DISK, BACKUP)
    assert stage.run(vbs_disk_restore, **THIS, run_id="r1")["state"] == "already_restored"


def test_a_server_that_has_nothing_to_do_with_it_may_lack_its_status(stage: Stage) -> None:
    """Marks are looked for at all servers, and one incomplete entry among them kept a detached disk from its backup."""
    handle = stage.world.cloud.handle

    def changed(service: str, request: Request) -> Response:
        response = handle(service, request)
        if not request.path.endswith("/cloudservers/detail"):
            return response
        document = response.json()
        document["servers"][0]["status"] = None
        return replace(response, body=json.dumps(document).encode())

    stage.world.cloud.handle = changed  # type: ignore[method-assign]
    assert stage.run(vbs_disk_restore, **THIS)["state"] == "restored"


@pytest.mark.parametrize("where", ["nowhere", "/restore", "accepted|", "finished|"])
@pytest.mark.parametrize("other", [backup_id(3, 2), backup_id(2)])
def test_a_run_id_stands_for_one_backup(where: str, other: str) -> None:
    """What the run had done with the first backup was told of the second one, or that one was restored unexamined."""
    stage = Stage(world())
    stage.world.act("set_disk", volume_id=DISK, size=20)
    if where == "nowhere":
        stage.run(vbs_disk_restore, **THIS, run_id="incident-1")
    else:
        stage.dies(vbs_disk_restore, where, **THIS, run_id="incident-1")
    before = stage.writes
    with pytest.raises(NotReady) as raised:
        stage.run(vbs_disk_restore, backup_id=other, volume_id=DISK, run_id="incident-1")
    [problem] = raised.value.problems
    assert problem.code == "run_of_other_backup" and BACKUP in problem.message
    assert stage.writes == before
