# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HSS: the restore of a server, its log, the backups, and the strict limits."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from simulator import control
from simulator.messages import Response
from simulator.rig import START, Rig, child_id, disk_id, hss_id, server_id
from simulator.scenario import HssBackupSpec, load

SERVER, BACKUP = server_id(2), hss_id(2)
ROOT, DATA = disk_id(4), disk_id(5)
STEM = "/v5/{p}/ransomware"
LOGS = f"{STEM}/backup/operation-logs"
MAPPINGS = [
    {"backup_id": child_id(4), "volume_id": ROOT},
    {"backup_id": child_id(5), "volume_id": DATA},
]


def restore(rig: Rig, backup: str = BACKUP, **body: Any) -> Response:
    content = {"server_id": SERVER, "mappings": MAPPINGS, **body}
    content = {name: value for name, value in content.items() if value is not None}
    return rig.call("hss", "POST", f"{STEM}/duplication/{backup}/restore", content)


def logs(rig: Rig, **query: Any) -> list[Any]:
    found: list[Any] = rig.get("hss", LOGS, **{"offset": 0, "limit": 200, **query})["data_list"]
    return found


def detail(rig: Rig, backup: str = BACKUP) -> Any:
    return rig.get("hss", f"{STEM}/backup/{backup}/detail")


def code(response: Response) -> tuple[int, str]:
    return response.status, response.json()["error_code"]


def below(response: Response) -> str:
    """The code of the layer below, wrapped by HSS."""
    assert code(response) == (400, "HSS.0041")
    return str(response.json()["error_msg"].split(": ")[1])


def data(rig: Rig) -> list[str]:
    return [rig.cloud.world.disks[volume].data for volume in (ROOT, DATA)]


# Restore


def test_a_restore_from_start_to_end() -> None:
    rig = Rig()
    before = logs(rig)
    accepted = restore(rig)
    assert (accepted.status, accepted.body) == (200, b"")
    record = logs(rig)[0]
    assert logs(rig)[1:] == before
    assert (record["host_id"], record["backup_name"]) == (SERVER, "files01-2-hours-old")
    assert (record["status"], record["process"], record["ended_at"]) == ("waiting", 0, "")
    assert set(record) == {
        "host_id",
        "host_name",
        "backup_name",
        "process",
        "status",
        "started_at",
        "ended_at",
        "error_info",
    }
    assert detail(rig)["status"] == "waiting_restore"
    rig.wait(10)
    server = rig.cloud.world.servers[SERVER]
    assert (server.status, server.task_state) == ("ACTIVE", "powering-off")
    rig.wait(30)
    assert detail(rig)["status"] == "restoring"
    assert rig.cloud.world.servers[SERVER].status == "SHUTOFF"
    assert 0 < logs(rig)[0]["process"] < 100
    rig.settle()
    record = logs(rig)[0]
    assert (record["status"], record["process"]) == ("success", 100)
    assert record["ended_at"].endswith("Z")
    assert detail(rig)["status"] == "available"
    assert data(rig) == ["files01-root-2-hours-old", "files01-data-2-hours-old"]
    assert rig.cloud.world.servers[SERVER].status == "ACTIVE"
    assert rig.cloud.summary()["restores_per_disk"] == {ROOT: 1, DATA: 1}


@pytest.mark.parametrize(("power_on", "after"), [(None, "ACTIVE"), (True, "ACTIVE"), (False, "SHUTOFF")])
@pytest.mark.parametrize("stopped", [True, False])
def test_power_on_decides_how_the_server_ends(power_on: bool | None, after: str, stopped: bool) -> None:
    rig = Rig()
    if stopped:
        control.act(rig.cloud.world, {"action": "stop", "server_id": SERVER})
    assert restore(rig, power_on=power_on).status == 200
    rig.settle()
    assert rig.cloud.world.servers[SERVER].status == after


def test_the_server_is_busy_meanwhile() -> None:
    rig = Rig()
    restore(rig)
    body = {"os-stop": {"servers": [{"id": SERVER}]}}
    assert rig.call("ecs", "POST", "/v1/{p}/cloudservers/action", body).status == 501


def test_one_restore_at_a_time() -> None:
    rig = Rig()
    restore(rig)
    assert below(restore(rig)) == "BackupService.2010"
    other = [{**entry, "backup_id": child_id(4 + n, 3)} for n, entry in enumerate(MAPPINGS)]
    assert below(restore(rig, hss_id(2, 3), mappings=other)) == "BackupService.2010"


def test_a_backup_must_be_available_and_known() -> None:
    rig = Rig()
    assert code(restore(rig, "unknown")) == (400, "HSS.0011")
    control.act(rig.cloud.world, {"action": "set_backup", "backup_id": BACKUP, "status": "error"})
    assert below(restore(rig)) == "BackupService.2005"


@pytest.mark.parametrize("change", [{"locked": True}, {"status": "PAUSED"}, {"task_state": "rebooting"}])
def test_the_server_must_be_idle(change: dict[str, Any]) -> None:
    rig = Rig()
    control.act(rig.cloud.world, {"action": "set_server", "server_id": SERVER, **change})
    assert below(restore(rig)) == "BackupService.2008"


def test_a_disk_operation_keeps_the_server_from_being_restored() -> None:
    rig = Rig()
    path = f"/v1/{{p}}/cloudservers/{SERVER}/detachvolume/{DATA}"
    assert rig.call("ecs", "DELETE", path).status == 200
    assert below(restore(rig)) == "BackupService.2008"


@pytest.mark.parametrize(
    "body",
    [
        {"server_id": None},
        {"server_id": ""},
        {"server_id": "s" * 129},
        {"mappings": None},
        {"mappings": []},
        {"mappings": "all"},
        {"mappings": 1},
        {"mappings": [{"backup_id": child_id(4)}]},
        {"mappings": [{"volume_id": ROOT}]},
        {"mappings": [{"backup_id": "b" * 129, "volume_id": ROOT}]},
        {"mappings": [MAPPINGS[0], MAPPINGS[0]]},
        {"mappings": [MAPPINGS[0], {**MAPPINGS[1], "volume_id": ROOT}]},
        {"mappings": [MAPPINGS[0], {**MAPPINGS[1], "backup_id": "unknown"}]},
        {"power_on": "yes"},
    ],
)
def test_malformed_bodies_are_refused(body: dict[str, Any]) -> None:
    assert code(restore(Rig(), **body)) == (400, "HSS.0001")


def test_only_to_the_original_server_and_disks() -> None:
    rig = Rig()
    assert code(restore(rig, server_id="unknown")) == (400, "HSS.0011")
    assert below(restore(rig, server_id=server_id(1))) == "BackupService.2003"
    foreign = [MAPPINGS[0], {**MAPPINGS[1], "volume_id": disk_id(2)}]
    assert below(restore(rig, mappings=foreign)) == "BackupService.7201"
    crossed = [{**MAPPINGS[0], "volume_id": DATA}, {**MAPPINGS[1], "volume_id": ROOT}]
    assert below(restore(rig, mappings=crossed)) == "BackupService.7004"
    control.act(rig.cloud.world, {"action": "set_disk", "volume_id": DATA, "size": 19})
    assert below(restore(rig)) == "BackupService.2001"


def test_some_disks_only_may_be_allowed() -> None:
    assert below(restore(Rig(), mappings=MAPPINGS[:1])) == "BackupService.2012"
    rig = Rig(hss_partial_mappings="allow")
    assert restore(rig, mappings=MAPPINGS[:1]).status == 200
    rig.settle()
    assert data(rig) == ["files01-root-2-hours-old", "encrypted-by-ransomware"]


def disk_backup() -> Rig:
    base = load("small.yml")
    backup = HssBackupSpec(id="disk-backup", name="one disk", server_id=SERVER, volume_id=DATA, data="disk data")
    return Rig(replace(base, hss_backups=(*base.hss_backups, backup)))


def test_a_disk_backup_ignores_the_values_of_mappings() -> None:
    rig = disk_backup()
    assert detail(rig, "disk-backup")["resource_type"] == "OS::Cinder::Volume"
    assert detail(rig, "disk-backup")["resource_id"] == DATA
    assert restore(rig, "disk-backup", server_id=None, mappings=[{"backup_id": "x", "volume_id": ROOT}]).status == 200
    rig.wait(30)
    assert rig.cloud.world.servers[SERVER].status == "SHUTOFF"
    rig.settle()
    assert data(rig) == ["encrypted-by-ransomware", "disk data"]


def test_a_disk_backup_needs_its_disk() -> None:
    rig = disk_backup()
    control.act(rig.cloud.world, {"action": "set_disk", "volume_id": DATA, "status": "error"})
    assert below(restore(rig, "disk-backup")) == "BackupService.2011"
    del rig.cloud.world.disks[DATA]
    assert code(restore(rig, "disk-backup")) == (400, "HSS.0011")


def test_a_detached_disk_can_be_restored_from_a_disk_backup() -> None:
    rig = disk_backup()
    control.act(rig.cloud.world, {"action": "detach", "volume_id": DATA})
    assert restore(rig, "disk-backup").status == 200
    rig.settle()
    assert data(rig)[1] == "disk data"
    assert logs(rig)[0]["status"] == "success"


def test_hss_and_vbs_do_not_restore_the_same_disk_at_a_time() -> None:
    rig = disk_backup()
    control.act(rig.cloud.world, {"action": "detach", "volume_id": DATA})
    control.act(rig.cloud.world, {"action": "add_backup", "volume_id": DATA, "backup_id": "vbs"})
    body = {"restore": {"volume_id": DATA}}
    path = "/v2/{p}/cloudbackups/vbs/restore"
    restore(rig, "disk-backup")
    assert rig.call("vbs", "POST", path, body).json()["error"]["code"] == "VolumeBackup.0205"
    rig.settle()
    started = rig.call("vbs", "POST", path, body)
    rig.wait(51)
    assert rig.cloud.world.disks[DATA].status == "available"
    assert below(restore(rig, "disk-backup")) == "BackupService.2011"
    assert rig.job("vbs", started)["status"] == "SUCCESS"
    assert restore(rig, "disk-backup").status == 200


@pytest.mark.parametrize(
    ("outcome", "status", "power", "written"),
    [
        ("failed", "failed", "SHUTOFF", "undefined"),
        ("timeout", "timeout", "SHUTOFF", "undefined"),
        ("skipped", "skipped", "ACTIVE", "encrypted"),
    ],
)
def test_how_a_restore_can_end(outcome: str, status: str, power: str, written: str) -> None:
    rig = Rig(hss_outcome={SERVER: outcome})
    assert restore(rig).status == 200
    rig.settle()
    record = logs(rig)[0]
    assert (record["status"], record["process"]) == (status, 0)
    assert bool(record["error_info"]["code"]) == (status != "skipped")
    assert record["ended_at"]
    assert rig.cloud.world.servers[SERVER].status == power
    assert data(rig)[0].startswith(written)
    assert detail(rig)["status"] == "available"


def test_a_restore_without_a_record() -> None:
    rig = Rig(hss_outcome={SERVER: "no_record"})
    before = logs(rig)
    restore(rig)
    assert detail(rig)["status"] == "waiting_restore"
    rig.settle()
    assert logs(rig) == before
    assert data(rig)[0] == "files01-root-2-hours-old"


def test_a_restore_that_is_accepted_and_never_happens() -> None:
    rig = Rig(hss_outcome={SERVER: "vanish"})
    before = logs(rig)
    assert restore(rig).status == 200
    rig.settle()
    assert logs(rig) == before
    assert detail(rig)["status"] == "available"
    assert data(rig)[0] == "encrypted-by-ransomware"


def test_a_restore_can_get_stuck() -> None:
    rig = Rig(hss_outcome={SERVER: "stuck"})
    restore(rig)
    rig.wait(80000)
    assert (logs(rig)[0]["status"], logs(rig)[0]["process"]) == ("running", 99)
    assert detail(rig)["status"] == "restoring"


def test_the_record_may_come_late() -> None:
    rig = Rig(hss_log_lag_seconds=30.0)
    before = len(logs(rig))
    restore(rig)
    rig.wait(29)
    assert len(logs(rig)) == before
    rig.wait(1)
    assert len(logs(rig)) == before + 1


def test_a_second_restore_after_use_is_noted() -> None:
    rig = Rig()
    restore(rig)
    rig.settle()
    assert rig.cloud.summary()["notes"] == []
    restore(rig)
    rig.settle()
    assert {note["kind"] for note in rig.cloud.summary()["notes"]} == {"restored_after_use"}


def test_a_second_restore_without_use_is_not_noted() -> None:
    rig = Rig()
    for _unused in range(2):
        assert restore(rig, power_on=False).status == 200
        rig.settle()
    assert rig.cloud.summary()["notes"] == []


# The log


@pytest.mark.parametrize(
    ("how", "pattern"),
    [
        ("iso", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
        ("epoch_ms", r"\d{13}"),
        ("local_text", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    ],
)
def test_times_in_three_formats(how: str, pattern: str) -> None:
    assert re.fullmatch(pattern, logs(Rig(hss_time_format=how))[0]["started_at"])


def test_local_times_are_eight_hours_ahead() -> None:
    utc, local = (
        datetime.fromisoformat(logs(Rig(hss_time_format=how))[0]["started_at"]) for how in ("iso", "local_text")
    )
    assert local - utc.replace(tzinfo=None) == timedelta(hours=8)


def test_filters_of_the_log() -> None:
    rig = Rig()
    assert len(logs(rig)) == 2
    assert len(logs(rig, last_days=1)) == 1
    assert logs(rig, resource_name="elsewhere") == []
    assert len(logs(rig, resource_name="files01")) == 2
    assert logs(rig, status="running") == []
    restore(rig)
    assert len(logs(rig, status="waiting")) == 1
    assert [record["backup_name"] for record in logs(rig, limit=10, offset=2)] == ["files01-26-hours-old"]
    assert rig.get("hss", LOGS, offset=2, limit=10)["total_num"] == 3


@pytest.mark.parametrize("path", [LOGS, f"{STEM}/backup/{SERVER}"])
@pytest.mark.parametrize(
    "query",
    [
        {"limit": "10"},
        {"offset": "0"},
        {"offset": "0", "limit": "9"},
        {"offset": "0", "limit": "201"},
        {"offset": "2000001", "limit": "10"},
        {"offset": "0", "limit": "10", "last_days": "31"},
    ],
)
def test_offset_and_limit_are_required_and_limited(path: str, query: dict[str, str]) -> None:
    assert code(Rig().call("hss", "GET", path, query=query)) == (400, "HSS.0001")


def test_a_page_may_be_shorter_than_asked() -> None:
    assert len(logs(Rig(page_limit_cap=1), limit=10)) == 1


# Backups


def test_the_backups_of_a_host() -> None:
    rig = Rig()
    document = rig.get("hss", f"{STEM}/backup/{SERVER}", offset=0, limit=10)
    newest, second, oldest = document["data_list"]
    assert document["total_num"] == 3
    assert [newest["backup_tag"], second["backup_tag"], oldest["backup_tag"]] == [1, 0, 0]
    assert second["backup_id"] == BACKUP
    assert second["create_time"] == int(START) - 7200

    def ids(**query: Any) -> list[str]:
        found = rig.get("hss", f"{STEM}/backup/{SERVER}", offset=0, limit=10, **query)["data_list"]
        return [entry["backup_id"] for entry in found]

    assert ids(last_days=1) == [hss_id(2, 1), BACKUP]
    assert ids(name="files01-2-hours-old") == [BACKUP]
    assert ids(status="restoring") == []
    assert rig.get("hss", f"{STEM}/backup/{server_id(1)}", offset=0, limit=10)["data_list"] == []
    query = {"offset": "0", "limit": "10", "status": "fine"}
    assert code(rig.call("hss", "GET", f"{STEM}/backup/{SERVER}", query=query)) == (400, "HSS.0001")


def test_backups_are_listed_newest_first() -> None:
    base = load("small.yml")
    newest = HssBackupSpec(id="newest", name="n", server_id=SERVER, volume_id=DATA, age_seconds=1)
    rig = Rig(replace(base, hss_backups=(*base.hss_backups, newest)))
    assert rig.get("hss", f"{STEM}/backup/{SERVER}", offset=0, limit=10)["data_list"][0]["backup_id"] == "newest"


def test_the_details_of_a_backup() -> None:
    document = detail(Rig())
    assert (document["resource_id"], document["resource_type"]) == (SERVER, "OS::Nova::Server")
    assert document["created_at"] == (int(START) - 7200) * 1000
    assert [child["id"] for child in document["children"]] == [child_id(4), child_id(5)]
    assert [child["resource_id"] for child in document["children"]] == [ROOT, DATA]
    assert "created_at" not in document["children"][0]
    assert code(Rig().call("hss", "GET", f"{STEM}/backup/unknown/detail")) == (400, "HSS.0011")


def test_two_readings_of_unclear_fields() -> None:
    assert {child["resource_type"] for child in detail(Rig())["children"]} == {"OS::Cinder::Volume"}
    document = detail(Rig(hss_created_at_unit="s", hss_child_resource_id="host"))
    assert {child["resource_type"] for child in document["children"]} == {"OS::Nova::Server"}
    assert document["created_at"] == int(START) - 7200
    assert {child["resource_id"] for child in document["children"]} == {SERVER}


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ({"enterprise_project_id": ""}, {}),
        ({"enterprise_project_id": "e" * 257}, {}),
        ({}, {"region": "r" * 129}),
        ({}, {"region": ""}),
    ],
)
def test_query_and_header_limits(query: dict[str, str], headers: dict[str, str]) -> None:
    path = f"{STEM}/backup/{BACKUP}/detail"
    assert code(Rig().call("hss", "GET", path, query=query, headers=headers)) == (400, "HSS.0001")


def test_long_ids_are_refused() -> None:
    path = f"{STEM}/backup/{'b' * 65}/detail"
    assert code(Rig().call("hss", "GET", path)) == (400, "HSS.0001")


def test_a_body_that_is_no_json_has_its_own_code() -> None:
    rig = Rig()
    rig.login()
    path = f"{STEM}/duplication/{BACKUP}/restore".replace("{p}", rig.project_id)
    headers = {"X-Auth-Token": rig.token, "Content-Type": "application/json"}
    assert code(rig.raw("hss", "POST", path, b"{", headers=headers)) == (400, "HSS.0002")


def test_a_cloud_that_does_not_publish_it() -> None:
    rig = Rig(hss_published=False)
    paths = (LOGS, f"{STEM}/backup/{SERVER}", f"{STEM}/backup/{BACKUP}/detail")
    answers = [rig.call("hss", "GET", path) for path in paths]
    answers += [restore(rig), rig.call("hss", "DELETE", f"{STEM}/duplication/{BACKUP}")]
    for response in answers:
        assert code(response) == (404, "APIGW.0101")


def test_deleting_a_backup_is_a_violation() -> None:
    rig = Rig()
    assert rig.call("hss", "DELETE", f"{STEM}/duplication/{BACKUP}").status == 200
    assert rig.cloud.summary()["violations"][0]["rule"] == "backup_deleted"
    assert code(restore(rig)) == (400, "HSS.0011")


# The rate


def test_five_requests_a_minute_per_api() -> None:
    rig = Rig(limits={"rates": {"hss": {"requests": 5, "window_seconds": 60.0}}})
    answers = [rig.call("hss", "GET", LOGS, query={"offset": "0", "limit": "10"}).status for _unused in range(6)]
    assert answers == [200] * 5 + [429]
    refused = rig.call("hss", "GET", LOGS, query={"offset": "0", "limit": "10"})
    assert code(refused) == (429, "APIGW.0308")
    assert "limit:5,time:1 minute" in refused.json()["error_msg"]
    assert "Retry-After" not in refused.headers
    assert detail(rig)["id"] == BACKUP
    rig.wait(61)
    assert len(logs(rig)) == 2
    assert rig.cloud.summary()["throttled"] == 2


def test_the_limit_of_hss_is_on_by_itself_and_scales() -> None:
    assert load("small.yml").limits.rate("hss") is not None
    rig = Rig(limits={"rates": {"hss": {"requests": 1, "window_seconds": 60.0}}}, scale=60.0, retry_after="present")
    logs(rig)
    refused = rig.call("hss", "GET", LOGS, query={"offset": "0", "limit": "10"})
    assert (refused.status, refused.headers["Retry-After"]) == (429, "2")
    rig.wait(1.01)
    assert len(logs(rig)) == 2
