# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role and its playbooks: plan, approve, restore, hooks, report, and going on after a crash."""

from __future__ import annotations

import time
from typing import Any

import pytest
import yaml

from .conftest import CHECKOUT, Cloud, CloudStarter, Controller, ControllerMaker

PLAN = "hwcloud.recovery.plan"
RESTORE = "hwcloud.recovery.restore"
DEMO = CHECKOUT / "examples" / "demo" / "inventory.yml"
DEMO_HOSTS = {"erp-db01", "erp-app01", "web01", "files01"}
FAST = {"disaster_recovery_wait_interval": 0.2, "disaster_recovery_progress_interval": 1}
UNATTENDED = {**FAST, "disaster_recovery_auto_approve": True, "disaster_recovery_run_id": "run-1"}
PLACES = {
    "erp-db01": {"erp-db01-root": "/dev/vda", "erp-db01-data": "/dev/vdb", "erp-db01-log": "/dev/vdc"},
    "erp-app01": {"erp-app01-root": "/dev/vda", "erp-app01-data": "/dev/vdb", "erp-app01-spool": "/dev/vdc"},
    "web01": {"web01-root": "/dev/vda", "web01-data": "/dev/vdb"},
    "files01": {"files01-root": "/dev/vda", "files01-data": "/dev/vdb"},
}
POWER = {"erp-db01": "ACTIVE", "erp-app01": "ACTIVE", "web01": "SHUTOFF", "files01": "ACTIVE"}
VBS_DISKS = [f"d0000000-0000-4000-8000-00000000000{number}" for number in range(1, 9)]
OLD, NEW = "encrypted-by-ransomware", "-2-hours-old"


def host(disks: list[int], **more: Any) -> dict[str, Any]:
    """A target with these disks of the demo scenario."""
    volumes = [{"volume_id": VBS_DISKS[number - 1]} for number in disks]
    named = {f"disaster_recovery_{name}": value for name, value in more.items()}
    return {"disaster_recovery_method": "vbs", "disaster_recovery_volumes": volumes, **named}


def inventory(**hosts: dict[str, Any]) -> dict[str, Any]:
    return {"all": {"hosts": {name.replace("_", "-"): variables for name, variables in hosts.items()}}}


def role_play(*, tasks: list[Any] | None = None, **play: Any) -> list[Any]:
    """A playbook of the user's own."""
    role = {"name": "Recover", "ansible.builtin.include_role": {"name": "hwcloud.recovery.disaster_recovery"}}
    return [{"hosts": "all", "gather_facts": False, "tasks": [*(tasks or []), role], **play}]


def assert_as_found(cloud: Cloud, *names: str) -> None:
    """Servers have their power state, and their disks at their devices, as in the scenario."""
    servers, disks = cloud.servers(), cloud.disks()
    for name in names or PLACES:
        assert servers[name]["status"] == POWER[name]
        for disk, device in PLACES[name].items():
            assert [place["device"] for place in disks[disk]["attachments"]] == [device], disk


def assert_data(cloud: Cloud, ending: str, *names: str) -> None:
    for name in names or PLACES:
        for disk in PLACES[name]:
            data = cloud.disks()[disk]["data"]
            assert data.endswith(ending) and (ending == OLD or data.startswith(disk)), (disk, data)


def test_plan_then_restore_then_nothing_left_to_do(cloud: Cloud, controller: Controller) -> None:
    planned = controller.play(PLAN, DEMO, "--check", variables=FAST)
    assert planned.code == 0
    assert not (controller.cwd / "reports").exists()  # check mode writes no report either
    planned = controller.play(PLAN, DEMO, variables=FAST)
    assert planned.code == 0 and not planned.changed_hosts
    [folder] = (controller.cwd / "reports").iterdir()
    plan_id = controller.report(folder.name, "plan.json")["plan_id"]
    assert f"Plan {plan_id}" in planned.said
    assert "9 to restore, 0 begun, 0 already restored" in planned.said
    assert "b0000000-0000-4000-8000-000000000011" in controller.report(folder.name, "plan.md")
    assert_data(cloud, OLD)

    approved = {**FAST, "disaster_recovery_approved_plan": plan_id}
    checked = controller.play(RESTORE, DEMO, "--check", "--diff", variables=approved)
    assert checked.code == 0
    assert "d0000000-0000-4000-8000-000000000001: its present data" in checked.said  # the diff
    assert "Check mode: no report was written" in checked.said
    assert cloud.writes() == 0

    restored = controller.play(RESTORE, DEMO, "--diff", variables=approved)
    assert restored.code == 0
    assert restored.changed_hosts == checked.changed_hosts == DEMO_HOSTS
    assert "[recovery] erp-db01: server erp-db01: running" in restored.said
    assert_as_found(cloud)
    assert_data(cloud, NEW)
    assert set(cloud.summary()["restores_per_disk"].values()) == {1}

    report = controller.report(plan_id)
    assert report["summary"] == {"restored": 9}
    assert set(report["targets"]) == DEMO_HOSTS
    assert report["targets_met"]["rto"] is True and report["targets_met"]["rpo"] is True
    assert 7000 < report["rpo_seconds"] < 7400
    assert report["versions"]["collection"] and report["approved"] == [plan_id]
    assert {line["event"] for line in report["timeline"]} >= {"stopped", "detached", "accepted", "attached", "started"}
    markdown = controller.report(plan_id, "report.md")
    assert "| result | 9 restored |" in markdown and "What to do next" not in markdown

    before = cloud.writes()
    again = controller.play(RESTORE, DEMO, variables=FAST)  # nothing to restore needs no approval
    assert again.code == 0 and not again.changed_hosts
    assert "9 already_restored" in again.said and "set a new disaster_recovery_run_id" in again.said
    assert cloud.writes() == before
    assert len(list((controller.cwd / "reports" / plan_id).glob("report.json*"))) == 2  # the first one is kept
    assert cloud.summary()["violations"] == []


def test_nothing_is_restored_without_approval(cloud: Cloud, controller: Controller) -> None:
    path = controller.write("inventory.yml", inventory(db=host([1, 2, 3], critical=True), app=host([4], wave=2)))
    unattended = controller.start(RESTORE, path, variables={**FAST, "disaster_recovery_auto_approve": True})
    missing = controller.play(RESTORE, path, variables=FAST)
    assert missing.code != 0 and missing.failed_hosts == {"db", "app"}
    assert "The plan is not approved" in missing.said and "-e disaster_recovery_approved_plan=" in missing.said
    floating = controller.finish(unattended)
    assert floating.code != 0 and "(db, app) needs disaster_recovery_run_id" in floating.said
    assert cloud.writes() == 0

    [reported] = (controller.cwd / "reports").iterdir()
    targets = [target for wave in controller.report(reported.name)["plan"]["waves"] for target in wave["targets"]]
    ids = {target["name"]: target["id"] for target in targets}
    half = controller.play(RESTORE, path, variables={**FAST, "disaster_recovery_approved_plan": [ids["db"], "0" * 12]})
    assert half.code != 0 and f"({ids['db']}, {'0' * 12}) does not cover app." in half.said
    assert cloud.writes() == 0
    both = controller.play(RESTORE, path, variables={**FAST, "disaster_recovery_approved_plan": ",".join(ids.values())})
    assert both.code == 0 and both.changed_hosts == {"db", "app"}


def test_a_play_that_is_not_whole_is_refused(cloud: Cloud, controller: Controller) -> None:
    hosts = inventory(db=host([1, 2, 3]), web=host([7, 8]))
    path = controller.write("inventory.yml", hosts)
    variables = {**UNATTENDED, "disaster_recovery_action": "restore"}
    in_series = controller.start(controller.write("serial.yml", role_play(serial=1)), path, variables=variables)
    dropout = {"name": "Lose a host", "ansible.builtin.fail": {}, "when": "inventory_hostname == 'web'"}
    lost = controller.play(controller.write("lost.yml", role_play(tasks=[dropout])), path, variables=variables)
    assert lost.code != 0 and "only 1 of 2 are here" in lost.said
    serial = controller.finish(in_series)
    assert serial.code != 0 and "only 1 of 2 are here" in serial.said

    hosts["all"]["hosts"]["web"]["disaster_recovery_stop_servers"] = "hard"
    empty = controller.start(PLAN, controller.write("empty.yml", inventory(bystander={})))
    differing = controller.play(RESTORE, controller.write("inventory.yml", hosts), variables=variables)
    assert differing.code != 0 and differing.failed_hosts == {"db", "web"}
    assert "differ between its hosts: disaster_recovery_stop_servers." in differing.said
    nothing = controller.finish(empty)
    assert nothing.code != 0 and "no host of the play has a disaster_recovery_method" in nothing.said
    assert cloud.writes() == 0


@pytest.mark.parametrize("keyword", [{"when": "inventory_hostname != 'web'"}, {"loop": "{{ rounds }}"}])
def test_hosts_without_a_part_in_the_role_are_not_restored(
    cloud: Cloud, controller: Controller, keyword: dict[str, str]
) -> None:
    """Whoever gives the role to some hosts only means them only. An earlier play with all hosts makes no difference."""
    hosts = inventory(db={**host([1, 2, 3]), "rounds": [1]}, web={**host([7, 8]), "rounds": []})
    [everywhere], [in_part] = role_play(), role_play(vars={"disaster_recovery_action": "restore"})
    in_part["tasks"][0].update(keyword)
    playbook = controller.write("site.yml", [everywhere, in_part])
    played = controller.play(playbook, controller.write("inventory.yml", hosts), variables=UNATTENDED)
    assert played.code != 0 and "db" in played.failed_hosts
    assert "1 hosts are not as far as this one, such as web" in played.said
    assert cloud.writes() == 0


@pytest.mark.parametrize("playbook", [PLAN, "site.yml"])
def test_wrong_values_are_told_with_their_host(cloud: Cloud, controller: Controller, playbook: str) -> None:
    """Also where the role compares them itself, once for all hosts."""
    controller.write(
        "site.yml", [{"hosts": "all", "gather_facts": False, "roles": ["hwcloud.recovery.disaster_recovery"]}]
    )
    hosts = inventory(good=host([7, 8]), bad=host([1], wave="first", method="tape"))
    hosts["all"]["vars"] = {"disaster_recovery_stop_timeout": "long"}
    played = controller.play(playbook, controller.write("inventory.yml", hosts))
    assert played.code != 0 and "bad" in played.failed_hosts
    for wrong in ("stop_timeout' is of type", "wave' is of type", "must be one of: vbs, hss, got: tape", "bad"):
        assert wrong in played.said
    assert cloud.writes() == 0


def test_every_documented_variable_is_read() -> None:
    role = CHECKOUT / "roles" / "disaster_recovery"
    described, known = (
        yaml.safe_load((role / folder).read_text(encoding="utf-8"))
        for folder in ("meta/argument_specs.yml", "vars/main.yml")
    )
    read = known["disaster_recovery__of_a_host"] + known["disaster_recovery__of_the_play"]
    without_secrets = [name.replace("__connection", "_connection") for name in read]
    assert sorted(without_secrets) == sorted(described["argument_specs"]["main"]["options"])


def test_limit_selects_targets_but_cuts_no_group(cloud: Cloud, controller: Controller) -> None:
    in_part = controller.start(PLAN, DEMO, "--limit", "erp-db01,web01", variables=FAST)
    one = controller.play(RESTORE, DEMO, "--limit", "web01", variables=UNATTENDED)
    assert one.code == 0 and one.changed_hosts == {"web01"} and set(one.hosts) == {"web01"}
    cut = controller.finish(in_part)
    assert cut.code != 0 and "consistency group erp is cut: erp-app01 not in this plan" in cut.said
    assert set(cloud.summary()["restores_per_disk"]) == set(VBS_DISKS[6:8])
    assert_as_found(cloud)


def test_two_slices_of_one_recovery_side_by_side(cloud: Cloud, new_controller: ControllerMaker) -> None:
    """One as AWX cuts it, an inventory with every second host and nothing of the others; one by --limit."""
    files = {"disaster_recovery_method": "hss", "disaster_recovery_server_id": "a0000000-0000-4000-8000-000000000004"}
    hosts = {"erp_app01": host([4, 5, 6]), "erp_db01": host([1, 2, 3]), "files01": files, "web01": host([7, 8], wave=2)}
    even, odd = sorted(hosts)[::2], sorted(hosts)[1::2]
    first, second = new_controller(cloud), new_controller(cloud)
    sliced = first.write("inventory.yml", inventory(**{name: hosts[name] for name in even}))
    whole = second.write("inventory.yml", inventory(**hosts))
    limit = ",".join(odd).replace("_", "-")
    at_once = first.start(RESTORE, sliced, variables=UNATTENDED)
    limited = second.play(RESTORE, whole, "--limit", limit, variables=UNATTENDED)
    sliced_ended = first.finish(at_once)
    assert (sliced_ended.code, limited.code) == (0, 0)
    assert sliced_ended.changed_hosts == {"erp-app01", "files01"} and limited.changed_hosts == {"erp-db01", "web01"}
    assert set(cloud.summary()["restores_per_disk"].values()) == {1}
    assert_as_found(cloud)
    assert_data(cloud, NEW)
    assert cloud.summary()["violations"] == []
    for controller, names in ((first, even), (second, odd)):
        report = controller.report("run-1")
        assert {name.replace("_", "-") for name in names} == set(report["targets"])
        assert set(report["summary"]) == {"restored"}

    before = cloud.writes()
    again = first.play(RESTORE, sliced, variables=UNATTENDED)
    assert again.code == 0 and not again.changed_hosts and cloud.writes() == before


def test_errors_fail_their_own_hosts_and_start_nothing(cloud: Cloud, controller: Controller) -> None:
    volumes = [{"volume_id": "d0000000-0000-4000-8000-00000000dead"}]
    hosts = inventory(good=host([7, 8]), bad=host([], volumes=volumes), bystander={})
    path = controller.write("inventory.yml", hosts)
    planned = controller.play(PLAN, path, variables=FAST)
    assert planned.code != 0 and planned.failed_hosts == {"bad"}
    assert "bad: disk d0000000-0000-4000-8000-00000000dead does not exist" in planned.said
    assert "bystander: left out" in planned.said
    restored = controller.play(RESTORE, path, variables=UNATTENDED)
    assert restored.code != 0 and restored.failed_hosts == {"bad", "good"}
    assert "good: not started" in restored.said
    assert cloud.writes() == 0


LOGIN = {
    "username": "operator",
    "password": "demo-Password-1",
    "domain_name": "demo-account",
    "region": "eu-de",
    "project_name": "eu-de",
}
KEYS = {
    "access_key": "DEMOACCESSKEY0000001",
    "secret_key": "DemoSecretKeyForTheSimulatorOnly00000001",
    "region": "eu-de",
}


@pytest.mark.parametrize("way", ["connection", "module_defaults", "environment"])
def test_ways_to_give_the_login(cloud: Cloud, new_controller: ControllerMaker, way: str) -> None:
    controller = new_controller(cloud)
    known = cloud.simulator.environment()
    bare = {name: "" for name in known if name.startswith("HW_")}  # nothing in the environment of ansible-playbook
    endpoints = {
        "endpoints": cloud.simulator.endpoints,
        "auth_url": known["HW_AUTH_URL"],
        "rate_limits": cloud.rate_limits,
    }
    plays: dict[str, dict[str, Any]] = {
        "connection": {"vars": {"disaster_recovery_connection": {**LOGIN, **endpoints}}},
        "module_defaults": {"module_defaults": {"group/hwcloud.recovery.all": {**KEYS, **endpoints}}},
        "environment": {"environment": {name: value for name, value in known.items() if name.startswith("HW_")}},
    }
    path = controller.write("inventory.yml", inventory(web01=host([7, 8])))
    playbook = controller.write("site.yml", role_play(**plays[way]))
    variables = {**UNATTENDED, "disaster_recovery_action": "restore"}
    verbosity = "-v" if way == "environment" else "-vvv"  # Ansible itself shows a play's environment with -vvv
    played = controller.play(playbook, path, verbosity, variables=variables, environment=bare)
    assert played.code == 0 and played.changed_hosts == {"web01"}
    assert_data(cloud, NEW, "web01")
    for written in controller.cwd.rglob("report.*"):
        assert not [secret for secret in controller.secrets if secret in written.read_text(encoding="utf-8")]


def test_hooks_see_the_wave_and_stop_the_next_one(cloud: Cloud, controller: Controller) -> None:
    path = controller.write("inventory.yml", inventory(web=host([7, 8]), app=host([4, 5, 6], wave=2)))
    seen = "{{ disaster_recovery_wave }} {{ disaster_recovery_wave_hosts | join(',') }} {{ disaster_recovery_plan.id }}"
    state = "{{ disaster_recovery_result.targets.web.state | default('untouched') }}"
    told = [{"name": "Tell", "ansible.builtin.debug": {"msg": f"{{{{ hook }}}} saw {seen} {state}"}}]
    hooks = {
        f"disaster_recovery_{name}": str(controller.write(f"{name}.yml", told))
        for name in ("before_wave", "after_wave")
    }
    broken = [{"name": "Check", "ansible.builtin.fail": {"msg": "the shop does not answer"}}]
    hooks["disaster_recovery_verify"] = str(controller.write("verify.yml", broken))
    stopped = controller.play(RESTORE, path, variables={**UNATTENDED, **hooks, "hook": "hook"})
    assert stopped.code != 0 and stopped.failed_hosts == {"web", "app"}
    report = controller.report("run-1")
    assert f"hook saw 1 web {report['plan_id']} untouched" in stopped.said
    assert f"hook saw 1 web {report['plan_id']} restored" in stopped.said
    assert "hook saw 2" not in stopped.said
    assert report["targets"]["web"]["state"] == "restored" and report["targets"]["web"]["failed"]
    assert report["targets"]["app"]["state"] == "skipped"
    assert report["summary"] == {"restored": 2, "skipped": 3}
    assert "the shop does not answer" in controller.report("run-1", "report.md")
    assert "web: 2 restored. the checks of wave 1 failed: the shop does not answer" in stopped.said
    assert set(cloud.summary()["restores_per_disk"]) == set(VBS_DISKS[6:8])

    controller.write("verify.yml", told)
    repaired = controller.play(RESTORE, path, variables={**UNATTENDED, **hooks, "hook": "hook"})
    assert repaired.code == 0
    assert controller.report("run-1")["summary"] == {"already_restored": 2, "restored": 3}
    assert "hook saw 2 app" in repaired.said

    controller.write("before_wave.yml", broken)
    variables = {**UNATTENDED, **hooks, "hook": "hook", "disaster_recovery_run_id": "run-2"}
    before = cloud.writes()
    no_file = controller.start(RESTORE, path, variables={**variables, "disaster_recovery_verify": "/nowhere.yml"})
    refused = controller.play(RESTORE, path, variables=variables)
    assert refused.failed_hosts == {"web", "app"}
    assert "the tasks before wave 1 failed: the shop does not answer" in refused.said
    missing = controller.finish(no_file)
    assert missing.code != 0 and "These files do not exist: /nowhere.yml" in missing.said
    assert cloud.writes() == before


def marks(cloud: Cloud) -> list[str]:
    return [value for server in cloud.servers().values() for value in server["metadata"].values() if "|" in value]


def test_a_crash_is_finished_by_the_same_command_elsewhere(
    start_cloud: CloudStarter, new_controller: ControllerMaker
) -> None:
    cloud = start_cloud(scale=120)
    controller = new_controller(cloud)
    command = {**UNATTENDED, "disaster_recovery_wait_interval": 0.3}
    controller.start(RESTORE, DEMO, variables=command)
    deadline = time.monotonic() + 60
    # All disks of the first wave are accepted, so that none has to be submitted again; the second wave waits.
    while sum(mark.split("|")[1] in ("accepted", "restored", "finished") for mark in marks(cloud)) < 6:
        assert time.monotonic() < deadline, "no restore began"
        time.sleep(0.05)
    controller.kill()
    assert any(not disk["attachments"] for disk in cloud.disks().values())

    finished = new_controller(cloud).play(RESTORE, DEMO, variables=command)
    assert finished.code == 0 and not finished.failed_hosts
    assert set(cloud.summary()["restores_per_disk"].values()) == {1}
    assert_as_found(cloud)
    assert_data(cloud, NEW)
    assert cloud.summary()["violations"] == []


def failing(*disks: int) -> dict[str, Any]:
    return {"restore_outcome": {VBS_DISKS[number - 1]: "fail_error_restoring" for number in disks}}


def test_a_failed_restore_leaves_the_others_alone(start_cloud: CloudStarter, new_controller: ControllerMaker) -> None:
    cloud = start_cloud(behaviours=failing(5))
    controller = new_controller(cloud)
    hosts = inventory(erp_app01=host([4, 5, 6]), web01=host([7, 8]))
    played = controller.play(RESTORE, controller.write("inventory.yml", hosts), variables=UNATTENDED)
    assert played.code != 0 and played.failed_hosts == {"erp-app01"} and "web01" in played.changed_hosts
    report = controller.report("run-1")
    assert report["summary"] == {"failed": 1, "restored": 4}
    assert report["targets_met"]["rto"] is None  # no target was set
    text = controller.report("run-1", "report.md")
    assert VBS_DISKS[4] in text.split("## What to do next")[1]
    assert_as_found(cloud, "web01")
    assert cloud.servers()["erp-app01"]["status"] == "SHUTOFF"  # it must not start without its disk


def test_a_failure_that_is_not_critical_lets_later_waves_start(
    start_cloud: CloudStarter, new_controller: ControllerMaker
) -> None:
    cloud = start_cloud(behaviours=failing(5))
    controller = new_controller(cloud)
    hosts = inventory(erp_app01=host([5]), web01=host([7, 8], wave=2))
    played = controller.play(RESTORE, controller.write("inventory.yml", hosts), variables=UNATTENDED)
    assert played.failed_hosts == {"erp-app01"} and "web01" in played.changed_hosts
    assert controller.report("run-1")["summary"] == {"failed": 1, "restored": 2}
    assert_as_found(cloud, "web01")


def test_a_critical_failure_keeps_later_waves_from_starting(
    start_cloud: CloudStarter, new_controller: ControllerMaker
) -> None:
    cloud = start_cloud(behaviours=failing(2))
    controller = new_controller(cloud)
    hosts = inventory(erp_db01=host([1, 2, 3], critical=True), erp_app01=host([4]), web01=host([7, 8], wave=2))
    played = controller.play(RESTORE, controller.write("inventory.yml", hosts), variables=UNATTENDED)
    assert played.failed_hosts == {"erp-db01", "web01"} and "erp-app01" in played.changed_hosts
    assert "web01: not restored: wave 1 failed for erp-db01 (critical)" in played.said
    report = controller.report("run-1")
    assert report["summary"] == {"failed": 1, "restored": 3, "skipped": 2}
    assert not set(VBS_DISKS[6:8]) & set(cloud.summary()["restores_per_disk"])
    assert_as_found(cloud, "web01")


def test_play_variables_count_like_those_of_the_inventory(cloud: Cloud, controller: Controller) -> None:
    """They are not in hostvars, so they are easily lost: a point in time that is ignored restores the wrong data.

    Two plays with the role in one playbook: nothing of the first may be left in the second.
    """
    path = controller.write("inventory.yml", inventory(web01=host([7, 8])))
    yesterday = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 86400))
    unapproved = role_play(vars={"disaster_recovery_action": "restore"}, ignore_errors=True)
    restore = role_play(
        vars={
            "disaster_recovery_action": "restore",
            "disaster_recovery_auto_approve": True,
            "disaster_recovery_point_in_time": yesterday,
        }
    )
    playbook = controller.write("site.yml", [*unapproved, *restore])
    played = controller.play(playbook, path, variables={**FAST, "disaster_recovery_run_id": "run-1"})
    assert played.code == 0 and "The plan is not approved" in played.said
    assert "web01: 2 restored" in played.said
    assert controller.report("run-1")["error"] == ""
    assert_data(cloud, "-26-hours-old", "web01")
