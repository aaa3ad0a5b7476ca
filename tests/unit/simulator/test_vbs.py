# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VBS: the restore of a disk, its job, and the backups."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from simulator import control
from simulator.messages import Response
from simulator.rig import Rig, disk_id, server_id, vbs_id
from simulator.scenario import Timing, VbsBackupSpec, load

DISK, BACKUP = disk_id(3), vbs_id(3)


def restore(rig: Rig, backup: str = BACKUP, volume: Any = DISK) -> Response:
    return rig.call("vbs", "POST", f"/v2/{{p}}/cloudbackups/{backup}/restore", {"restore": {"volume_id": volume}})


def code(response: Response) -> tuple[int, str]:
    return response.status, response.json()["error"]["code"]


def disk(rig: Rig) -> Any:
    return rig.get("evs", f"/v2/{{p}}/volumes/{DISK}")["volume"]


def backup_status(rig: Rig) -> str:
    return str(rig.get("vbs", f"/v3/{{p}}/backups/{BACKUP}")["backup"]["status"])


def test_a_restore_from_start_to_end() -> None:
    rig = Rig()
    accepted = restore(rig)
    job_path = f"/v1/{{p}}/jobs/{accepted.json()['job_id']}"
    assert list(accepted.json()) == ["job_id"]
    assert rig.get("vbs", job_path)["status"] == "INIT"
    assert (disk(rig)["status"], backup_status(rig)) == ("restoring-backup", "restoring")
    rig.wait(34)
    job = rig.get("vbs", job_path)
    assert (job["status"], job["job_type"], job["end_time"]) == ("RUNNING", "bksRestoreBackup", "")
    assert rig.cloud.world.disks[DISK].data == "encrypted-by-ransomware"
    rig.wait(1)
    # The disk is there before the backup, and before the job.
    assert (disk(rig)["status"], backup_status(rig)) == ("available", "restoring")
    assert rig.get("vbs", job_path)["status"] == "RUNNING"
    rig.wait(2)
    job = rig.get("vbs", job_path)
    assert (job["status"], job["error_code"], job["fail_reason"]) == ("SUCCESS", None, None)
    assert job["end_time"].endswith("Z")
    assert backup_status(rig) == "available"
    assert rig.cloud.world.disks[DISK].data == "archive-2-hours-old"
    assert rig.cloud.summary()["restores_per_disk"] == {DISK: 1}


def test_time_passes_faster_on_a_scale() -> None:
    rig = Rig(scale=60.0)
    restore(rig)
    rig.wait(37 / 60 + 0.01)
    assert backup_status(rig) == "available"


def test_restores_of_disks_of_one_size_can_take_different_times() -> None:
    timing = Timing(vbs_restore_spread=0.2)
    seconds = [timing.vbs_restore_seconds(disk_id(number), 70) for number in range(500)]
    assert 80 <= min(seconds) < 81
    assert 119 < max(seconds) <= 120
    assert seconds == [timing.vbs_restore_seconds(disk_id(number), 70) for number in range(500)]
    rig = Rig(timing={"vbs_restore_spread": 0.2})
    restore(rig)
    spread = rig.scenario.timing.vbs_restore_seconds(DISK, 5)
    assert spread != 35
    rig.wait(spread - 0.01)
    assert disk(rig)["status"] == "restoring-backup"
    rig.wait(0.01)
    assert disk(rig)["status"] == "available"


def test_the_restore_by_the_native_call_has_no_job() -> None:
    rig = Rig()
    body = {"restore": {"volume_id": DISK}}
    accepted = rig.call("vbs", "POST", f"/v3/{{p}}/backups/{BACKUP}/restore", body)
    assert (accepted.status, accepted.json()["restore"]["volume_id"]) == (202, DISK)
    rig.settle()
    assert rig.cloud.world.disks[DISK].data == "archive-2-hours-old"


def test_an_attached_disk_is_refused() -> None:
    assert code(restore(Rig(), vbs_id(1), disk_id(1))) == (400, "VolumeBackup.0205")


def test_one_restore_at_a_time_per_disk_and_per_backup() -> None:
    rig = Rig()
    restore(rig)
    assert code(restore(rig)) == (400, "VolumeBackup.0089")
    assert code(restore(rig, vbs_id(3, 2))) == (400, "VolumeBackup.0205")
    rig.wait(35)
    assert disk(rig)["status"] == "available"
    assert code(restore(rig, vbs_id(3, 2))) == (400, "VolumeBackup.0205")
    rig.settle()
    assert restore(rig).status == 200


@pytest.mark.parametrize(
    ("status", "expected"),
    [("error", "0202"), ("error_restoring", "0202"), ("backing-up", "0206"), ("attaching", "0205")],
)
def test_the_state_of_the_disk_decides(status: str, expected: str) -> None:
    rig = Rig()
    control.act(rig.cloud.world, {"action": "set_disk", "volume_id": DISK, "status": status})
    assert code(restore(rig)) == (400, f"VolumeBackup.{expected}")


def test_disaster_recovery_protection_must_be_off() -> None:
    rig = Rig()
    control.act(rig.cloud.world, {"action": "set_disk", "volume_id": DISK, "sdrs": True})
    assert code(restore(rig)) == (400, "VolumeBackup.0211")


def test_a_backup_must_be_available() -> None:
    rig = Rig()
    control.act(rig.cloud.world, {"action": "set_backup", "backup_id": BACKUP, "status": "error"})
    assert code(restore(rig)) == (400, "VolumeBackup.0089")


def test_the_disk_must_not_be_smaller_than_the_backup() -> None:
    rig = Rig()
    control.act(rig.cloud.world, {"action": "set_disk", "volume_id": DISK, "size": 4})
    assert code(restore(rig)) == (400, "VolumeBackup.0209")


def test_unknown_things_and_wrong_ids() -> None:
    rig = Rig()
    assert code(restore(rig, "unknown")) == (400, "VolumeBackup.0111")
    assert code(restore(rig, "no%20id")) == (400, "VolumeBackup.0204")
    assert code(restore(rig, volume="unknown")) == (400, "VolumeBackup.0207")
    for volume in ("", None, 1):
        assert code(restore(rig, volume=volume)) == (400, "VolumeBackup.0208")
    empty = rig.call("vbs", "POST", f"/v2/{{p}}/cloudbackups/{BACKUP}/restore", {"volume_id": DISK})
    assert code(empty) == (400, "VolumeBackup.0208")


def test_a_shared_backup_is_not_for_restores() -> None:
    rig = Rig()
    assert code(restore(rig, "b0000000-0000-4000-8000-000000009001")) == (403, "VolumeBackup.0042")


def test_another_disk_is_possible() -> None:
    rig = Rig()
    control.act(rig.cloud.world, {"action": "set_disk", "volume_id": DISK, "size": 50})
    assert rig.job("vbs", restore(rig, vbs_id(1)))["status"] == "SUCCESS"
    assert rig.cloud.world.disks[DISK].data == "db01-root-2-hours-old"


def with_old_mark(**behaviours: Any) -> Rig:
    base = load("small.yml")
    backup = VbsBackupSpec(id="old", volume_id=DISK, size=5, age_seconds=1, data="old", metadata={"mark": "old run"})
    rig = Rig(replace(base, vbs_backups=(backup,)), **behaviours)
    rig.cloud.world.disks[DISK].metadata.update({"mark": "this run", "__system__x": "1"})
    rig.job("vbs", restore(rig, "old"))
    return rig


def test_metadata_is_kept_or_replaced() -> None:
    assert with_old_mark().cloud.world.disks[DISK].metadata == {"mark": "this run", "__system__x": "1"}
    replaced = with_old_mark(restore_metadata="replace")
    assert replaced.cloud.world.disks[DISK].metadata == {"mark": "old run", "__system__x": "1"}


@pytest.mark.parametrize(
    ("outcome", "status", "error"),
    [("fail_available", "available", "VolumeBackup.0200"), ("fail_error_restoring", "error_restoring", None)],
)
def test_a_restore_can_fail(outcome: str, status: str, error: str | None) -> None:
    rig = Rig(restore_outcome={DISK: outcome})
    job = rig.job("vbs", restore(rig))
    assert job["status"] == "FAIL"
    assert job["error_code"] == (error or "VolumeBackup.0200")
    assert job["fail_reason"]
    assert disk(rig)["status"] == status
    assert rig.cloud.world.disks[DISK].data.startswith("undefined")
    assert backup_status(rig) == "available"


def test_outcomes_in_a_row() -> None:
    rig = Rig(restore_outcome={DISK: ["fail_available", "slow"]})
    assert rig.job("vbs", restore(rig))["status"] == "FAIL"
    before = rig.now
    assert rig.job("vbs", restore(rig))["status"] == "SUCCESS"
    assert rig.now - before > 350
    before = rig.now
    assert rig.job("vbs", restore(rig))["status"] == "SUCCESS"
    assert rig.now - before < 40


def test_a_restore_can_get_stuck() -> None:
    rig = Rig(restore_outcome={DISK: "stuck"})
    accepted = restore(rig)
    rig.wait(86400)
    rig.login()
    assert rig.job("vbs", accepted)["status"] == "RUNNING"
    assert disk(rig)["status"] == "restoring-backup"


def test_a_restore_of_a_disk_that_was_in_use_since_is_noted() -> None:
    rig = Rig()
    rig.job("vbs", restore(rig))
    rig.job("vbs", restore(rig))
    assert rig.cloud.summary()["notes"] == []
    control.act(rig.cloud.world, {"action": "write_disk", "volume_id": DISK})
    rig.job("vbs", restore(rig))
    assert [note["kind"] for note in rig.cloud.summary()["notes"]] == ["restored_after_use"]
    rig.job("vbs", restore(rig))
    assert len(rig.cloud.summary()["notes"]) == 1
    assert rig.cloud.summary()["restores_per_disk"] == {DISK: 4}


@pytest.mark.parametrize(
    ("how", "expected"), [("list", []), ("empty_string", ""), ("null", None), ("missing", "absent"), ("entities", "in")]
)
def test_sub_jobs_are_left_blank_in_five_ways(how: str, expected: Any) -> None:
    rig = Rig(sub_jobs=how)
    job = rig.job("vbs", restore(rig))
    inside = "in" if "sub_jobs" in job["entities"] else "absent"
    assert job.get("sub_jobs", inside) == expected


@pytest.mark.parametrize(("how", "pattern"), [("dashed", r"[0-9a-f-]{36}"), ("hex", r"[0-9a-f]{32}")])
def test_job_ids_in_two_ways(how: str, pattern: str) -> None:
    assert re.fullmatch(pattern, restore(Rig(vbs_job_id=how)).json()["job_id"])


def test_errors_in_two_shapes() -> None:
    assert "code" in restore(Rig(), "unknown").json()["error"]
    rig = Rig(vbs_error_shape="flat")
    assert restore(rig, "unknown").json()["code"] == "VolumeBackup.0111"
    body = {"metadata": {"": "a key is not empty"}}
    assert "code" in rig.call("evs", "POST", f"/v2/{{p}}/volumes/{DISK}/metadata", body).json()["error"]


# Backups


def test_one_backup() -> None:
    backup = Rig().get("vbs", f"/v3/{{p}}/backups/{BACKUP}")["backup"]
    assert (backup["volume_id"], backup["size"], backup["status"]) == (DISK, 5, "available")
    assert backup["os-backup-project-attr:project_id"] == Rig().project_id
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", backup["created_at"])
    assert Rig().call("vbs", "GET", "/v3/{p}/backups/unknown").json()["itemNotFound"]["code"] == 404


def test_backups_by_disk_and_status() -> None:
    rig = Rig()
    control.act(rig.cloud.world, {"action": "set_backup", "backup_id": BACKUP, "status": "error"})

    def ids(**query: Any) -> list[str]:
        return [backup["id"] for backup in rig.get("vbs", "/v3/{p}/backups/detail", **query)["backups"]]

    assert ids(volume_id=DISK) == [BACKUP, vbs_id(3, 2), vbs_id(3, 3)]
    assert ids(volume_id=DISK, status="available") == [vbs_id(3, 2), vbs_id(3, 3)]
    assert ids(name="archive-50-hours-old") == [vbs_id(3, 3)]
    assert ids(volume_id="unknown") == []
    # Nine of its own; the shared one is in a list of its own.
    assert len(ids()) == 9


def test_the_order_of_backups_is_not_promised() -> None:
    rig = Rig(vbs_backup_order="arbitrary")
    control.act(rig.cloud.world, {"action": "add_backup", "volume_id": DISK, "backup_id": "zzz"})
    newest_first = Rig()
    control.act(newest_first.cloud.world, {"action": "add_backup", "volume_id": DISK, "backup_id": "zzz"})
    listed = newest_first.get("vbs", "/v3/{p}/backups/detail", volume_id=DISK)["backups"]
    assert listed[0]["id"] == "zzz"
    newest_last = [item["id"] for item in rig.get("vbs", "/v3/{p}/backups/detail", volume_id=DISK)["backups"]]
    assert newest_last[-1] == "zzz"


def test_pages_of_backups() -> None:
    rig = Rig()
    first = rig.get("vbs", "/v3/{p}/backups/detail", limit=4)
    link = first["backups_links"][0]["href"]
    assert "limit=4" in link
    assert link.startswith("http://192.168.")
    marker = first["backups"][-1]["id"]
    assert f"marker={marker}" in link
    by_marker = rig.get("vbs", "/v3/{p}/backups/detail", limit=4, marker=marker)["backups"]
    by_offset = rig.get("vbs", "/v3/{p}/backups/detail", limit=4, offset=4)["backups"]
    assert by_marker == by_offset
    last = rig.get("vbs", "/v3/{p}/backups/detail", limit=4, offset=8)
    assert (len(last["backups"]), "backups_links" in last) == (1, False)
    refused = rig.call("vbs", "GET", "/v3/{p}/backups/detail", query={"marker": "unknown"})
    assert code(refused) == (400, "VolumeBackup.0210")
    assert rig.call("vbs", "GET", "/v3/{p}/backups/detail", query={"limit": "0"}).status == 400
    assert rig.call("vbs", "GET", "/v3/{p}/backups/detail", query={"offset": "-1"}).status == 400


def test_a_page_may_be_shorter_than_asked() -> None:
    page = Rig(page_limit_cap=2).get("vbs", "/v3/{p}/backups/detail", limit=4)
    assert (len(page["backups"]), "backups_links" in page) == (2, True)


def test_the_count_needs_its_version() -> None:
    rig = Rig()
    path = "/v3/{p}/backups/detail"
    assert "count" not in rig.get("vbs", path, with_count="true", limit=1)
    for version, expected in (("volume 3.45", 9), ("volume 3.31", None)):
        headers = {"Openstack-Api-Version": version}
        document = rig.call("vbs", "GET", path, query={"with_count": "true", "limit": "1"}, headers=headers).json()
        assert document.get("count") == expected


def test_summaries_are_short() -> None:
    assert set(Rig().get("vbs", "/v3/{p}/backups")["backups"][0]) == {"id", "name", "links"}


def test_the_fatal_sibling_deletes_the_backup() -> None:
    rig = Rig()
    body = {"restore": {"volume_id": DISK}}
    job = rig.job("vbs", rig.call("vbs", "POST", f"/v2/{{p}}/cloudbackups/{BACKUP}", body))
    assert (job["status"], job["job_type"]) == ("SUCCESS", "bksDeleteBackup")
    assert BACKUP not in rig.cloud.world.vbs_backups
    assert rig.cloud.summary()["violations"][0]["rule"] == "backup_deleted"


def test_deleting_a_backup() -> None:
    rig = Rig()
    path = f"/v3/{{p}}/backups/{BACKUP}"
    restore(rig)
    assert rig.call("vbs", "DELETE", path).status == 400
    rig.settle()
    assert rig.call("vbs", "DELETE", path).status == 202
    assert rig.call("vbs", "DELETE", path).status == 404
    assert rig.cloud.summary()["violations"]


def test_a_whole_recovery_of_a_system_disk() -> None:
    rig = Rig()
    server, volume, backup = server_id(1), disk_id(1), vbs_id(1)
    base = f"/v1/{{p}}/cloudservers/{server}"
    action = "/v1/{p}/cloudservers/action"
    rig.job("ecs", rig.call("ecs", "POST", action, {"os-stop": {"servers": [{"id": server}]}}))
    rig.job("ecs", rig.call("ecs", "DELETE", f"{base}/detachvolume/{volume}"))
    rig.job("vbs", restore(rig, backup, volume))
    entry = {"volumeAttachment": {"volumeId": volume, "device": "/dev/vda"}}
    rig.job("ecs", rig.call("ecs", "POST", f"{base}/attachvolume", entry))
    rig.job("ecs", rig.call("ecs", "POST", action, {"os-start": {"servers": [{"id": server}]}}))
    assert rig.cloud.world.disks[volume].data == "db01-root-2-hours-old"
    assert rig.cloud.world.servers[server].status == "ACTIVE"
    assert rig.cloud.summary()["refused_writes"] == {}


def test_the_list_follows_backups_that_come_and_go() -> None:
    rig = Rig()

    def listed() -> list[str]:
        return [backup["id"] for backup in rig.get("vbs", "/v3/{p}/backups/detail")["backups"]]

    before = listed()
    control.act(rig.cloud.world, {"action": "add_backup", "volume_id": DISK})
    (new,) = set(listed()) - set(before)
    assert listed() == [new, *before]
    control.act(rig.cloud.world, {"action": "delete_backup", "backup_id": new})
    assert listed() == before
