# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules for one disk, one server and for looking, in real playbooks. Each test is one playbook of many tasks."""

from __future__ import annotations

import json
from typing import Any

from simulator.rig import child_id, disk_id, hss_id, server_id, vbs_id

from .conftest import Cloud, CloudStarter, ControllerMaker
from .tasks import Result, assert_refused, perform, play_tasks, result_of, task

ENCRYPTED = "encrypted-by-ransomware"
SLOW_SCALE = 100  # a restore takes a third of a second, one that is "slow" three and a half
CHECK = {"check_mode": True, "diff": True}


def lone_disk(number: int) -> dict[str, Any]:
    return {"id": disk_id(number), "name": f"disk{number}", "size": 5, "data": ENCRYPTED}


def vbs_backup(number: int, place: int = 1) -> dict[str, Any]:
    name = f"disk{number}-{place}"
    where = {"id": vbs_id(number, place), "volume_id": disk_id(number), "name": name}
    return {**where, "size": 5, "age_seconds": 7200 * place, "data": name}


def lone_disks(count: int) -> dict[str, Any]:
    """A scenario of detached disks with a backup each."""
    numbers = range(1, count + 1)
    nothing: dict[str, Any] = {"servers": [], "hss_backups": [], "hss_log": []}
    disks = [lone_disk(number) for number in numbers]
    return {**nothing, "disks": disks, "vbs_backups": [vbs_backup(number) for number in numbers]}


def restore(number: int, keywords: dict[str, Any] | None = None, **options: Any) -> Result:
    which = {"backup_id": vbs_id(number), "volume_id": disk_id(number)}
    return task("vbs_disk_restore", keywords, **which, wait_interval=0.2, **options)


def handle_of(place: int) -> str:
    return f"{{{{ {result_of(place)}.handle }}}}"


def job_of(place: int) -> str:
    return f"{{{{ {result_of(place)}.job_id }}}}"


def ends(results: list[Result]) -> list[tuple[str, bool]]:
    return [(result["state"], result["changed"]) for result in results]


def counts(cloud: Cloud) -> dict[str, int]:
    return {name: disk["restore_count"] for name, disk in cloud.disks().items() if disk["restore_count"]}


def test_one_disk(start_cloud: CloudStarter, new_controller: ControllerMaker) -> None:
    cloud = start_cloud("small.yml", **lone_disks(3))
    controller = new_controller(cloud)
    [planned] = perform(controller, [restore(1, CHECK)])
    assert ends([planned]) == [("planned", True)]
    assert "its present data" in planned["diff"]["before"] and vbs_id(1) in planned["diff"]["after"]
    assert cloud.writes() == 0

    results = perform(
        controller,
        [
            restore(1),
            restore(2, run_id="run-1"),
            restore(2, run_id="run-1"),
            restore(2, run_id="run-2"),
            restore(2, {"check_mode": True}, run_id="run-2"),
            restore(3, wait=False),
            task("vbs_disk_restore", handle=handle_of(5), wait_interval=0.2),
            task("vbs_disk_restore", job_id=job_of(5), wait_interval=0.2),
            task("restore_job_info", handle=handle_of(5)),
            task("restore_job_info", job_id=job_of(5)),
        ],
    )
    assert ends(results[:6]) == [
        ("restored", True),
        ("restored", True),
        ("already_restored", False),
        ("restored", True),
        ("already_restored", False),
        ("submitted", True),
    ]
    assert "run-1" in results[2]["msg"] and "new run_id" in results[2]["msg"]
    assert [result["state"] for result in results[6:8]] == ["restored", "restored"]
    assert results[7]["changed"] is False
    for seen in results[8:10]:
        assert (seen["status"], seen["finished"], seen["success"]) == ("restored", True, True)
    assert counts(cloud) == {"disk1": 1, "disk2": 2, "disk3": 1}
    assert {disk["data"] for disk in cloud.disks().values()} == {"disk1-1", "disk2-1", "disk3-1"}
    assert not cloud.summary()["violations"]


def test_one_disk_that_goes_wrong(start_cloud: CloudStarter, new_controller: ControllerMaker) -> None:
    outcomes = {1: "slow", 2: "fail_available", 3: "fail_error_restoring", 4: "slow", 7: "stuck"}
    behaviours = {"restore_outcome": {disk_id(number): outcome for number, outcome in outcomes.items()}}
    cloud = start_cloud("small.yml", scale=SLOW_SCALE, behaviours=behaviours, **lone_disks(7))
    for number, phase in ((4, "after"), (5, "before"), (6, "before")):
        lost = {"api": "vbs.restore", "path": vbs_id(number), "phase": phase, "action": {"drop": True}}
        cloud.add_faults(lost)
    results = perform(
        new_controller(cloud),
        [
            restore(1, wait=False),
            restore(1),  # without the handle, while it runs
            restore(2),
            restore(3),
            restore(4),
            restore(5, run_id="run-1"),
            restore(6),
            restore(7, wait_timeout=1),
            task("vbs_disk_restore", CHECK, handle=handle_of(7)),
            task("restore_job_info", handle=handle_of(7)),
            task("vbs_disk_restore", handle=handle_of(7), wait_timeout=1, wait_interval=0.2),
        ],
    )
    assert ends(results[:9]) == [
        ("submitted", True),
        ("restored", True),
        ("failed", True),
        ("failed", True),
        ("restored", True),
        ("restored", True),
        ("unknown", False),
        ("timed_out", True),
        ("submitted", True),
    ]
    assert [result["adopted"] for result in results[:6]] == [False, True, False, False, True, False]
    assert [result.get("failed", False) for result in results[:8]] == [
        False,
        False,
        True,
        True,
        False,
        False,
        True,
        True,
    ]
    for failed in results[2:4]:
        assert "VolumeBackup." in failed["error"]["code"] and "make a new disk" in failed["msg"]
    assert "answer" in results[6]["msg"] and results[6]["handle"]["volume_id"] == disk_id(6)
    for timed_out in (results[7], results[10]):
        assert timed_out["failed"] and "may still run" in timed_out["msg"] and timed_out["handle"]["job_id"]
    assert (results[9]["status"], results[9]["finished"]) == ("running", False)
    assert (results[10]["state"], results[10]["changed"]) == ("timed_out", False)
    assert cloud.summary()["restores_per_disk"] == {disk_id(number): 1 for number in (1, 4, 5)}


def hss_server(number: int) -> dict[str, Any]:
    """A server with two disks, numbered after it, and one backup of them."""
    root, data = 10 * number, 10 * number + 1
    attached = [{"server": server_id(number), "device": device} for device in ("/dev/vda", "/dev/vdb")]
    children = [
        {"id": child_id(disk), "volume_id": disk_id(disk), "size": 5, "data": f"disk{disk}-good"}
        for disk in (root, data)
    ]
    disks = [{**lone_disk(disk), "attached": place} for disk, place in zip((root, data), attached, strict=True)]
    backup = {"id": hss_id(number), "name": f"server{number}-backup", "server_id": server_id(number)}
    return {
        "servers": {"id": server_id(number), "name": f"server{number}"},
        "disks": disks,
        "hss_backups": {**backup, "age_seconds": 7200, "children": children},
    }


def hss_servers(count: int) -> dict[str, Any]:
    parts = [hss_server(number) for number in range(1, count + 1)]
    disks = [disk for part in parts for disk in part["disks"]]
    rest = {name: [part[name] for part in parts] for name in ("servers", "hss_backups")}
    return {**rest, "disks": disks, "vbs_backups": [], "hss_log": []}


def restore_server(number: int, keywords: dict[str, Any] | None = None, **options: Any) -> Result:
    return task("hss_backup_restore", keywords, backup_id=hss_id(number), wait_interval=0.2, **options)


def test_one_server(start_cloud: CloudStarter, new_controller: ControllerMaker) -> None:
    outcomes = {4: "failed", 5: "skipped", 6: "timeout"}
    behaviours = {"hss_outcome": {server_id(number): outcome for number, outcome in outcomes.items()}}
    cloud = start_cloud("small.yml", behaviours=behaviours, **hss_servers(7))
    cloud.add_faults({"api": "hss.restore", "path": hss_id(7), "phase": "after", "action": {"drop": True}})
    controller = new_controller(cloud)
    [planned] = perform(controller, [restore_server(1, CHECK)])
    assert ends([planned]) == [("planned", True)] and hss_id(1) in planned["diff"]["after"]
    assert cloud.writes() == 0

    half = [{"backup_id": child_id(20)}, {"volume_id": disk_id(21)}]
    whole = [{"backup_id": child_id(disk), "volume_id": disk_id(disk)} for disk in (30, 31)]
    results = perform(
        controller,
        [
            restore_server(1, run_id="run-1"),
            restore_server(1, run_id="run-1"),
            restore_server(2, server_id=server_id(2), power_on=False, mappings=half, asset_region="eu-west-101"),
            restore_server(3, mappings=whole, enterprise_project_id="all_granted_eps", wait=False),
            task("hss_backup_restore", handle=handle_of(3), wait_interval=0.2),
            task("restore_job_info", handle=handle_of(3)),
            *(restore_server(number) for number in (4, 5, 6)),
            restore_server(7),
        ],
    )
    assert ends(results[:4]) == [
        ("restored", True),
        ("already_restored", False),
        ("restored", True),
        ("submitted", True),
    ]
    assert results[4]["state"] == "restored"
    assert (results[5]["finished"], results[5]["success"]) == (True, True)
    for result, status in zip(results[6:9], ("failed", "skipped", "timeout"), strict=True):
        assert (
            result["failed"] and result["state"] == "failed" and f"HSS reports the restore as {status}" in result["msg"]
        )
    assert ends(results[9:]) == [("restored", True)]
    assert cloud.servers()["server2"]["status"] == "SHUTOFF"
    good = [10, 11, 20, 21, 30, 31, 70, 71]
    assert all(cloud.disks()[f"disk{disk}"]["data"] == f"disk{disk}-good" for disk in good)
    assert {counts(cloud)[f"disk{disk}"] for disk in good} == {1}


def test_restore_points(start_cloud: CloudStarter, new_controller: ControllerMaker) -> None:
    cloud = start_cloud("small.yml")
    server: dict[str, Any] = {"service": "hss", "server_id": server_id(2)}
    disk: dict[str, Any] = {"service": "vbs", "volume_id": disk_id(3)}
    ago = "{{{{ '%Y-%m-%dT%H:%M:%SZ' | strftime(now(utc=true).timestamp() - {} * 3600, utc=true) }}}}"
    keys = {"HW_USER_NAME": "", "HW_ACCESS_KEY": "DEMOACCESSKEY0000001"}
    signed = {**keys, "HW_USER_PASSWORD": "", "HW_SECRET_KEY": "DemoSecretKeyForTheSimulatorOnly00000001"}
    results = perform(
        new_controller(cloud),
        [
            task("backup_info", **disk),
            task("backup_info", **disk, before=ago.format(24)),
            task("backup_info", **disk, after=ago.format(24)),
            task("backup_info", **server, clean_only=True),
            task("backup_info", {"environment": signed}, service="hss", backup_id=hss_id(2)),
        ],
    )
    found = [[backup["id"] for backup in result["backups"]] for result in results]
    assert found == [
        [vbs_id(3, 1), vbs_id(3, 2), vbs_id(3, 3)],
        [vbs_id(3, 2), vbs_id(3, 3)],
        [vbs_id(3, 1)],
        [hss_id(2, 2), hss_id(2, 3)],
        [hss_id(2, 2)],
    ]
    assert [child["id"] for child in results[4]["backups"][0]["children"]] == [child_id(4), child_id(5)]
    assert not any(result["changed"] for result in results) and cloud.writes() == 0


def test_options_for_all_modules_of_a_play(start_cloud: CloudStarter, new_controller: ControllerMaker) -> None:
    """`module_defaults` of the action group reach modules and the action, without anything in the environment."""
    cloud = start_cloud("small.yml")
    controller = new_controller(cloud)
    environment = controller.environment
    connection = {
        "endpoints": json.loads(environment["HW_ENDPOINTS"]),
        "auth_url": environment["HW_AUTH_URL"],
        "region": environment["HW_REGION_NAME"],
        "username": environment["HW_USER_NAME"],
        "password": environment["HW_USER_PASSWORD"],
        "domain_name": environment["HW_DOMAIN_NAME"],
    }
    nothing = {name: "" for name in environment if name.startswith("HW_")}
    targets = [{"name": "archive", "method": "vbs", "volumes": [{"volume_id": disk_id(3)}]}]
    plan, plan_id = "{{ result_0.plan }}", "{{ result_0.plan.id }}"
    results = perform(
        controller,
        [
            task("recovery_plan", targets=targets),
            task("recovery_run", plan=plan, approved_plan=plan_id, wait_interval=0.2, progress_interval=0),
            task("recovery_run", plan=plan, approved_plan=plan_id, wait_interval=0.2, progress_interval=0),
        ],
        module_defaults={"group/hwcloud.recovery.all": connection},
        environment=nothing,
    )
    assert results[0]["ready"] is True and results[0]["plan"]["totals"]["to_restore"] == 1
    assert [result["summary"] for result in results[1:]] == [{"restored": 1}, {"already_restored": 1}]
    assert [result["changed"] for result in results] == [False, True, False]
    assert counts(cloud) == {"archive": 1}


def test_a_failure_ends_the_playbook(start_cloud: CloudStarter, new_controller: ControllerMaker) -> None:
    cloud = start_cloud("small.yml")
    played = play_tasks(new_controller(cloud), [restore(1)])
    assert played.code == 2 and played.failed_hosts == {"localhost"}
    assert "is attached to server" in played.said and "Stop the server and detach the disk first" in played.said
    assert cloud.writes() == 0


def test_wrong_types_end_before_anything_is_asked(start_cloud: CloudStarter, new_controller: ControllerMaker) -> None:
    cloud = start_cloud("small.yml")
    results = perform(
        new_controller(cloud),
        [
            restore(3, wait_timeout="soon"),
            restore(3, handle="somewhere"),
            task("vbs_disk_restore", handle={"service": "vbs", "job_id": "1"}, job_id="1"),
            restore_server(2, mappings=[{"child": "1"}]),
            task("backup_info", service="cbr"),
            task("restore_job_info"),
        ],
    )
    words = ("wait_timeout", "handle", "mutually exclusive", "child", "value of service must be one of", "job_id")
    for result, word in zip(results, words, strict=True):
        assert_refused(result, word)
    assert cloud.simulator.ask("/requests") == []
