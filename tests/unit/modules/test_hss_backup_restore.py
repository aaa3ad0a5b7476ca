# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hss_backup_restore: what is sent, what is refused, and how each end is told."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.options import OptionError
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.recovery import NotReady
from ansible_collections.hwcloud.recovery.plugins.modules import hss_backup_restore, restore_job_info
from simulation.cases import disk_id, server_id, world
from simulator.messages import Request, Response
from simulator.rig import child_id, hss_id

from .conftest import Stage

SERVER = server_id(2)
BACKUP = hss_id(2)
PAIRS = [{"backup_id": child_id(4), "volume_id": disk_id(4)}, {"backup_id": child_id(5), "volume_id": disk_id(5)}]
SILENCE_SECONDS = 180


def restore_request(stage: Stage) -> Request:
    [found] = [request for request in stage.requests if request.method == "POST" and request.path.endswith("/restore")]
    return found


def sent(stage: Stage) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(restore_request(stage).body)
    return body


def codes(raised: pytest.ExceptionInfo[NotReady]) -> set[str]:
    return {problem.code for problem in raised.value.problems}


def test_server_and_mappings_are_worked_out_from_the_backup(stage: Stage) -> None:
    result = stage.run(hss_backup_restore, backup_id=BACKUP)
    assert (result["state"], result["changed"], result["server_id"]) == ("restored", True, SERVER)
    assert sent(stage) == {"server_id": SERVER, "power_on": True, "mappings": PAIRS}
    assert restore_request(stage).header("region") is None
    data = stage.world.data()
    assert data[disk_id(4)] == "files01-root-2-hours-old" and data[disk_id(5)] == "files01-data-2-hours-old"
    assert stage.world.cloud.world.servers[SERVER].status == "ACTIVE"


def test_ids_may_be_written_in_capitals(stage: Stage) -> None:
    pairs = [{name: value.upper() for name, value in pair.items()} for pair in PAIRS]
    options = {"backup_id": BACKUP.upper(), "server_id": SERVER.upper(), "mappings": pairs}
    assert stage.run(hss_backup_restore, **options)["state"] == "restored"
    assert sent(stage) == {"server_id": SERVER, "power_on": True, "mappings": PAIRS}


def told_otherwise(stage: Stage, api: str, **changes: Any) -> None:
    """The cloud of the stage with other values in some documents: those of paths that match `api`."""
    handle = stage.world.cloud.handle

    def changed(service: str, request: Request) -> Response:
        response = handle(service, request)
        if request.method == "GET" and re.search(api, request.path) and response.status == 200:
            document = response.json()
            inner = document.get("server", document)
            inner.update(changes)
            return replace(response, body=json.dumps(document).encode())
        return response

    stage.world.cloud.handle = changed  # type: ignore[method-assign]


@pytest.mark.parametrize("mappings", [None, PAIRS])
def test_a_server_need_not_list_its_disks(stage: Stage, mappings: Any) -> None:
    """EVS shows where they are attached. Without the list, no HSS backup could be restored, mapped or not."""
    told_otherwise(stage, r"/cloudservers/[^/]+$", **{"os-extended-volumes:volumes_attached": None})
    assert stage.run(hss_backup_restore, backup_id=BACKUP, mappings=mappings)["state"] == "restored"
    assert sent(stage)["mappings"] == PAIRS


def test_a_disk_of_another_server_stays_one(stage: Stage) -> None:
    told_otherwise(stage, r"/cloudservers/[^/]+$", **{"os-extended-volumes:volumes_attached": None})
    elsewhere = [{"backup_id": child_id(4), "volume_id": disk_id(3)}, PAIRS[1]]
    with pytest.raises(NotReady) as raised:
        stage.run(hss_backup_restore, backup_id=BACKUP, mappings=elsewhere, allow_other_target=True)
    assert codes(raised) == {"mapping_not_attached"}
    assert stage.writes == 0


def test_a_server_backup_need_not_name_the_backups_of_its_disks(stage: Stage) -> None:
    """It was taken for the backup of one disk, and mappings, which HSS demands for a server, were refused."""
    told_otherwise(stage, r"/detail$", children=None)
    assert stage.run(hss_backup_restore, backup_id=BACKUP, mappings=PAIRS)["state"] == "restored"
    assert sent(stage) == {"server_id": SERVER, "power_on": True, "mappings": PAIRS}


def test_without_the_backups_of_its_disks_mappings_are_needed(stage: Stage) -> None:
    told_otherwise(stage, r"/detail$", children=None)
    with pytest.raises(NotReady) as raised:
        stage.run(hss_backup_restore, backup_id=BACKUP)
    assert codes(raised) == {"mappings_missing"}
    with pytest.raises(NotReady) as raised:
        stage.run(hss_backup_restore, backup_id=BACKUP, mappings=[{**PAIRS[0], "volume_id": disk_id(3)}])
    assert codes(raised) == {"mapping_not_attached"}
    assert stage.writes == 0


def test_the_backup_of_a_disk_takes_no_mappings(stage: Stage) -> None:
    told_otherwise(stage, r"/detail$", children=None, resource_type="OS::Cinder::Volume", resource_id=disk_id(4))
    with pytest.raises(NotReady) as raised:
        stage.run(hss_backup_restore, backup_id=BACKUP, mappings=[{**PAIRS[0], "volume_id": disk_id(5)}])
    assert codes(raised) == {"mapping_unused"}
    assert stage.writes == 0


def of_one_disk(stage: Stage) -> None:
    """The backup of a disk names no server; its record in the task list names one all the same."""
    told_otherwise(stage, r"/detail$", children=None, resource_type="OS::Cinder::Volume", resource_id=disk_id(4))
    backup = stage.world.cloud.world.hss_backups[BACKUP]
    backup.spec = replace(backup.spec, children=(), volume_id=disk_id(4))


def test_the_backup_of_a_disk_is_restored_without_a_server(stage: Stage) -> None:
    """No record was taken for ours, as each one names a host: it ended as unknown."""
    of_one_disk(stage)
    result = stage.run(hss_backup_restore, backup_id=BACKUP)
    assert (result["state"], result["changed"]) == ("restored", True)
    assert sent(stage) == {"power_on": True}


def test_the_backup_of_a_disk_can_be_waited_for_later(stage: Stage) -> None:
    of_one_disk(stage)
    started = stage.run(hss_backup_restore, backup_id=BACKUP, wait=False)
    assert (started["state"], started["changed"]) == ("submitted", True)
    assert stage.run(restore_job_info, handle=started["handle"])["status"] == "running"
    ended = stage.run(hss_backup_restore, handle=started["handle"])
    assert (ended["state"], ended["changed"]) == ("restored", True)
    assert stage.restores() == 1


def test_power_stays_off_if_that_is_wished(stage: Stage) -> None:
    stage.run(hss_backup_restore, backup_id=BACKUP, power_on=False)
    assert sent(stage)["power_on"] is False
    assert stage.world.cloud.world.servers[SERVER].status == "SHUTOFF"


@pytest.mark.parametrize(
    "mappings",
    [PAIRS, [{"backup_id": child_id(4)}, {"volume_id": disk_id(5)}]],
    ids=["whole pairs", "halves"],
)
def test_explicit_mappings_are_sent(stage: Stage, mappings: list[dict[str, str]]) -> None:
    assert stage.run(hss_backup_restore, backup_id=BACKUP, mappings=mappings)["state"] == "restored"
    assert sent(stage)["mappings"] == PAIRS


@pytest.mark.parametrize(
    ("mappings", "words"),
    [
        ([{"backup_id": child_id(1), "volume_id": disk_id(4)}], "is not a child of backup"),
        ([{"backup_id": child_id(1)}], "cannot be told from the backup"),
        ([{"volume_id": disk_id(3)}], "cannot be told from the backup"),
        ([{"backup_id": child_id(4), "volume_id": disk_id(5)}, PAIRS[1]], "a volume_id is named twice"),
        ([PAIRS[0], PAIRS[0]], "a backup_id is named twice"),
    ],
)
def test_mappings_that_do_not_fit_the_backup(stage: Stage, mappings: list[dict[str, str]], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        stage.run(hss_backup_restore, backup_id=BACKUP, mappings=mappings)
    assert stage.writes == 0


def test_a_child_goes_to_its_own_disk_only(stage: Stage) -> None:
    crossed = [
        {"backup_id": p["backup_id"], "volume_id": q["volume_id"]} for p, q in zip(PAIRS, PAIRS[::-1], strict=True)
    ]
    with pytest.raises(NotReady) as raised:
        stage.run(hss_backup_restore, backup_id=BACKUP, mappings=crossed)
    assert codes(raised) == {"mapping_other_disk"}
    elsewhere = [{"backup_id": child_id(4), "volume_id": disk_id(3)}, PAIRS[1]]
    with pytest.raises(NotReady) as raised:
        stage.run(hss_backup_restore, backup_id=BACKUP, mappings=elsewhere, allow_other_target=True)
    assert codes(raised) == {"mapping_not_attached"}
    assert stage.writes == 0


def test_children_of_which_the_disk_is_not_certain_are_listed() -> None:
    stage = Stage(world(hss_child_resource_id="host"))
    with pytest.raises(NotReady) as raised:
        stage.run(hss_backup_restore, backup_id=BACKUP)
    [problem] = raised.value.problems
    assert problem.code == "children_unmapped" and child_id(4) in problem.message and child_id(5) in problem.message
    assert stage.writes == 0


def test_another_server_is_refused(stage: Stage) -> None:
    with pytest.raises(NotReady) as raised:
        stage.run(hss_backup_restore, backup_id=BACKUP, server_id=server_id(1))
    assert "backup_other_source" in codes(raised)
    assert stage.writes == 0


def test_asset_region_and_enterprise_project_are_passed_on(stage: Stage) -> None:
    shell_of = stage.world.shell
    stage.world.shell = lambda **more: _with_enterprise_project(shell_of(**more))  # type: ignore[method-assign]
    stage.run(hss_backup_restore, backup_id=BACKUP, asset_region="eu-west-101", wait=False)
    assert restore_request(stage).header("region") == "eu-west-101"
    assert ("enterprise_project_id", "all_granted_eps") in restore_request(stage).pairs


def _with_enterprise_project(shell: Any) -> Any:
    shell.api.enterprise_project_id = "all_granted_eps"
    return shell


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backup_id": ""}, "backup_id must have 1 to 64 characters"),
        ({"backup_id": "b" * 65}, "backup_id must have 1 to 64 characters, it has 65"),
        ({"server_id": "s" * 129}, "server_id must have 1 to 128"),
        ({"asset_region": "r" * 129}, "asset_region must have 1 to 128"),
        ({"asset_region": ""}, "asset_region must have 1 to 128"),
        ({"enterprise_project_id": "e" * 257}, "enterprise_project_id must have 1 to 256"),
        ({"project_id": "p" * 257}, "project_id must have 1 to 256"),
        ({"token": "t" * 32769}, "token must have 1 to 32768"),
        ({"mappings": [{"backup_id": "b" * 129, "volume_id": "v"}]}, "mappings: backup_id must have 1 to 128"),
        ({"mappings": [{"backup_id": "", "volume_id": "v"}]}, "mappings: backup_id must have 1 to 128"),
        ({"mappings": [{"backup_id": "b", "volume_id": "v" * 129}]}, "mappings: volume_id must have 0 to 128"),
        ({"wait_timeout": 0}, "wait_timeout must be more than 0"),
        ({"wait_interval": -1}, "wait_interval must be more than 0"),
        ({"run_id": "two words"}, "run_id must be 1 to 40"),
        ({"handle": {"service": "nothing"}}, "not a handle"),
    ],
)
def test_limits_are_enforced_before_any_call(stage: Stage, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        stage.run(hss_backup_restore, **{"backup_id": BACKUP, **options})
    assert not stage.requests


@pytest.mark.parametrize("status", ["failed", "skipped", "timeout"])
def test_an_end_that_is_no_success(status: str) -> None:
    stage = Stage(world(hss_outcome={SERVER: status}))
    result = stage.run(hss_backup_restore, backup_id=BACKUP)
    assert (result["state"], result["changed"], result["failed"]) == ("failed", True, True)
    assert f"HSS reports the restore as {status}" in result["msg"]
    assert result["handle"]["service"] == "hss"


@pytest.mark.parametrize("outcome", ["no_record", "vanish"])
def test_without_a_record_it_ends_as_unknown(outcome: str) -> None:
    stage = Stage(world(hss_outcome={SERVER: outcome}))
    began = stage.world.clock.now()
    result = stage.run(hss_backup_restore, backup_id=BACKUP, wait_interval=15)
    assert (result["state"], result["failed"]) == ("unknown", True)
    assert result["handle"]["backup_id"] == BACKUP
    assert stage.world.clock.now() - began >= SILENCE_SECONDS


def test_a_lost_answer_is_followed_by_a_look(stage: Stage) -> None:
    stage.world.faults({"api": "hss.restore", "phase": "after", "action": {"drop": True}})
    assert stage.run(hss_backup_restore, backup_id=BACKUP)["state"] == "restored"
    assert stage.restores() == 2  # both disks of the server, once


def test_a_lost_question_is_not_repeated(stage: Stage) -> None:
    stage.world.faults({"api": "hss.restore", "phase": "before", "action": {"drop": True}})
    result = stage.run(hss_backup_restore, backup_id=BACKUP)
    assert (result["state"], result["changed"]) == ("unknown", False)
    assert result["handle"] and stage.restores() == 0


def test_waiting_later_and_looking_by_handle(stage: Stage) -> None:
    started = stage.run(hss_backup_restore, backup_id=BACKUP, wait=False)
    assert (started["state"], started["changed"]) == ("submitted", True)
    seen = stage.run(restore_job_info, handle=started["handle"])
    assert (seen["status"], seen["finished"], seen["success"]) == ("running", False, False)
    checked = stage.run(hss_backup_restore, handle=started["handle"], check_mode=True)
    assert (checked["state"], checked["changed"]) == ("submitted", True)
    ended = stage.run(hss_backup_restore, handle=started["handle"])
    assert (ended["state"], ended["changed"]) == ("restored", True)
    again = stage.run(hss_backup_restore, handle=started["handle"])
    assert (again["state"], again["changed"]) == ("restored", False)
    seen = stage.run(restore_job_info, handle=started["handle"])
    assert (seen["status"], seen["finished"], seen["success"]) == ("restored", True, True)
    assert stage.restores() == 2


@pytest.mark.parametrize("run_id", [None, "incident-1"])
def test_a_restore_that_runs_is_adopted(stage: Stage, run_id: str | None) -> None:
    stage.run(hss_backup_restore, backup_id=BACKUP, wait=False)
    result = stage.run(hss_backup_restore, backup_id=BACKUP, run_id=run_id)
    assert (result["state"], result["adopted"]) == ("restored", True)
    assert stage.restores() == 2


@pytest.mark.parametrize("run_id", [None, "incident-1"])
def test_a_restore_from_another_backup_runs(stage: Stage, run_id: str | None) -> None:
    stage.run(hss_backup_restore, backup_id=BACKUP, wait=False)
    result = stage.run(hss_backup_restore, backup_id=hss_id(2, 3), run_id=run_id)
    assert (result["state"], result["changed"]) == ("failed", False)
    assert "HSS works on server" in result["msg"]


def test_a_time_out_hands_over_the_handle_and_says_what_not_to_do() -> None:
    stage = Stage(world(hss_outcome={SERVER: "stuck"}))
    result = stage.run(hss_backup_restore, backup_id=BACKUP, wait_timeout=600)
    assert (result["state"], result["changed"], result["failed"]) == ("timed_out", True, True)
    assert "may still run" in result["msg"] and "Without run_id" in result["msg"]
    assert result["handle"]["server_id"] == SERVER


def test_a_run_id_makes_it_once(stage: Stage) -> None:
    assert stage.run(hss_backup_restore, backup_id=BACKUP, run_id="incident-1")["state"] == "restored"
    again = stage.run(hss_backup_restore, backup_id=BACKUP, run_id="incident-1")
    assert (again["state"], again["changed"]) == ("already_restored", False)
    assert "incident-1" in again["msg"] and stage.restores() == 2
    assert stage.run(hss_backup_restore, backup_id=BACKUP, run_id="incident-2")["state"] == "restored"
    assert stage.restores() == 4


def test_check_mode_tells_and_writes_nothing(stage: Stage) -> None:
    result = stage.run(hss_backup_restore, backup_id=BACKUP, check_mode=True)
    assert (result["state"], result["changed"]) == ("planned", True)
    assert f"backup {BACKUP}" in result["diff"]["after"] and "its present data" in result["diff"]["before"]
    assert stage.writes == 0


def test_a_cloud_without_this_api_gets_a_hint() -> None:
    stage = Stage(world(hss_published=False))
    with pytest.raises(CloudError, match="Cloud Backup and Recovery"):
        stage.run(hss_backup_restore, backup_id=BACKUP)


def test_the_list_of_tasks_may_be_refused(stage: Stage) -> None:
    started = stage.run(hss_backup_restore, backup_id=BACKUP, wait=False)
    refusal = {"status": 400, "json": {"error_code": "HSS.0013", "error_msg": "no rights"}}
    stage.world.faults({"api": "hss.list_operation_logs", "times": None, "every": 1, "action": refusal})
    with pytest.raises(CloudError, match="no rights"):
        stage.run(restore_job_info, handle=started["handle"])


@pytest.mark.parametrize("where", ["/restore", "accepted|", "finished|"])
def test_a_run_id_stands_for_one_backup(stage: Stage, where: str) -> None:
    """An old record of the other backup was taken for the end of a restore that was never begun."""
    stage.dies(hss_backup_restore, where, backup_id=BACKUP, run_id="incident-1")
    with pytest.raises(NotReady) as raised:
        stage.run(hss_backup_restore, backup_id=hss_id(2, 3), run_id="incident-1")
    assert codes(raised) == {"run_of_other_backup"}


def test_a_server_that_cannot_be_started_is_no_success(stage: Stage) -> None:
    stage.dies(hss_backup_restore, "finished|", backup_id=BACKUP, run_id="incident-1")
    stage.world.act("stop", server_id=SERVER)
    locked = {"status": 400, "json": {"error": {"code": "Ecs.0605", "message": "locked"}}}
    stage.world.faults({"api": "ecs.server_action", "every": 1, "times": None, "action": locked})
    result = stage.run(hss_backup_restore, backup_id=BACKUP, run_id="incident-1")
    assert (result["state"], result["failed"]) == ("restored", True)
    assert "Ecs.0605" in result["msg"] and "could not be started" in result["notes"][0]
