# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ECS: power, disks and metadata of servers, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from simulator import control
from simulator.messages import Response
from simulator.rig import Rig, disk_id, server_id
from simulator.scenario import AttachedTo, DiskSpec, ServerSpec, load

SERVER = f"/v1/{{p}}/cloudservers/{server_id(1)}"
ACTION = "/v1/{p}/cloudservers/action"
ROOT, DATA, LOOSE = disk_id(1), disk_id(2), disk_id(3)


def stop(rig: Rig, kind: str = "SOFT", server: str = server_id(1)) -> Response:
    return rig.call("ecs", "POST", ACTION, {"os-stop": {"type": kind, "servers": [{"id": server}]}})


def start(rig: Rig, server: str = server_id(1)) -> Response:
    return rig.call("ecs", "POST", ACTION, {"os-start": {"servers": [{"id": server}]}})


def detach(rig: Rig, volume: str, **query: str) -> Response:
    return rig.call("ecs", "DELETE", f"{SERVER}/detachvolume/{volume}", query=query)


def attach(rig: Rig, volume: str, device: str = "", **more: Any) -> Response:
    entry = {"volumeId": volume, **({"device": device} if device else {})}
    return rig.call("ecs", "POST", f"{SERVER}/attachvolume", {"volumeAttachment": entry, **more})


def code(response: Response) -> tuple[int, str]:
    return response.status, response.json()["error"]["code"]


def shown(rig: Rig) -> Any:
    return rig.get("ecs", SERVER)["server"]


def stopped(**behaviours: Any) -> Rig:
    rig = Rig(**behaviours)
    control.act(rig.cloud.world, {"action": "stop", "server_id": server_id(1)})
    return rig


# Reading


def test_the_details_of_a_server() -> None:
    server = shown(Rig())
    assert (server["status"], server["OS-EXT-STS:vm_state"], server["OS-EXT-STS:task_state"]) == (
        "ACTIVE",
        "active",
        None,
    )
    assert server["OS-EXT-SRV-ATTR:root_device_name"] == "/dev/vda"
    first, second = server["os-extended-volumes:volumes_attached"]
    assert (first["id"], first["device"], first["bootIndex"]) == (ROOT, "/dev/vda", "0")
    assert second["bootIndex"] == "-1"
    assert second["delete_on_termination"] == "false"


def test_an_unknown_server_is_not_found() -> None:
    response = Rig().call("ecs", "GET", "/v1/{p}/cloudservers/unknown")
    assert (response.status, response.json()["itemNotFound"]["code"]) == (404, 404)


def test_block_devices_count_with_numbers() -> None:
    document = Rig().get("ecs", f"{SERVER}/block_device")
    assert [entry["bootIndex"] for entry in document["volumeAttachments"]] == [0, -1]
    assert document["attachableQuantity"]["free_disk"] == 22


def test_boot_index_may_be_zero_for_all() -> None:
    document = Rig(boot_index="all_zero").get("ecs", f"{SERVER}/block_device")
    assert [entry["bootIndex"] for entry in document["volumeAttachments"]] == [0, 0]


def test_the_offset_of_the_list_is_a_page() -> None:
    rig = Rig("demo.yml")

    def names(**query: Any) -> list[str]:
        return [server["name"] for server in rig.get("ecs", "/v1/{p}/cloudservers/detail", **query)["servers"]]

    assert len(names()) == 4
    assert names(limit=3, offset=1) == names(limit=3, offset=0) == names(limit=3)
    assert names(limit=3, offset=2) == ["files01"]
    assert names(name="erp") == ["erp-db01", "erp-app01"]
    assert names(name="w.b01") == ["web01"]
    assert names(name="(") == []
    assert names(status="SHUTOFF") == ["web01"]


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "1001"}, {"limit": "+1"}, {"offset": "-1"}])
def test_bad_paging_is_refused(query: dict[str, str]) -> None:
    assert code(Rig().call("ecs", "GET", "/v1/{p}/cloudservers/detail", query=query)) == (400, "Ecs.0005")


def test_the_list_may_be_cut_shorter() -> None:
    rig = Rig("demo.yml", page_limit_cap=1)
    document = rig.get("ecs", "/v1/{p}/cloudservers/detail", limit=3)
    assert (document["count"], len(document["servers"])) == (4, 1)


# Power


def test_a_stop_and_a_start_are_jobs_with_sub_jobs() -> None:
    rig = Rig()
    accepted = stop(rig)
    first = rig.get("ecs", f"/v1/{{p}}/jobs/{accepted.json()['job_id']}")
    assert (first["status"], first["end_time"]) == ("INIT", "")
    rig.wait(2)
    assert (shown(rig)["status"], shown(rig)["OS-EXT-STS:task_state"]) == ("ACTIVE", "powering-off")
    assert rig.get("ecs", f"/v1/{{p}}/jobs/{accepted.json()['job_id']}")["status"] == "RUNNING"
    job = rig.job("ecs", accepted)
    assert job["status"] == "SUCCESS"
    assert "sub_jobs" not in job
    assert job["entities"]["sub_jobs_total"] == 1
    assert job["entities"]["sub_jobs"][0]["entities"]["server_id"] == server_id(1)
    assert (shown(rig)["status"], shown(rig)["OS-EXT-STS:task_state"]) == ("SHUTOFF", None)
    assert rig.job("ecs", start(rig))["status"] == "SUCCESS"
    assert (shown(rig)["status"], shown(rig)["OS-EXT-STS:task_state"]) == ("ACTIVE", None)


def test_the_parent_ends_with_its_last_child() -> None:
    rig = Rig("demo.yml")
    servers = [{"id": server_id(1)}, {"id": server_id(3)}]
    accepted = rig.call("ecs", "POST", ACTION, {"os-stop": {"servers": servers}})
    rig.wait(2)
    job = rig.get("ecs", f"/v1/{{p}}/jobs/{accepted.json()['job_id']}")
    assert (job["status"], [sub["status"] for sub in job["entities"]["sub_jobs"]]) == ("RUNNING", ["RUNNING", "FAIL"])
    job = rig.job("ecs", accepted)
    assert (job["status"], job["error_code"]) == ("FAIL", "Ecs.0611")


def test_a_parent_may_hide_its_failed_child() -> None:
    rig = stopped(batch_parent="success_hides_fail")
    job = rig.job("ecs", stop(rig))
    assert (job["status"], job["entities"]["sub_jobs"][0]["status"]) == ("SUCCESS", "FAIL")


def test_stopping_a_stopped_server_in_three_ways() -> None:
    for how, status in (("fail", "FAIL"), ("success", "SUCCESS")):
        rig = stopped(stop_stopped=how)
        assert rig.job("ecs", stop(rig))["status"] == status
    conflict = stop(stopped(stop_stopped="conflict"))
    assert (conflict.status, conflict.json()["conflictingRequest"]["code"]) == (409, 409)


def test_starting_a_running_server() -> None:
    rig = Rig(stop_stopped="fail")
    assert rig.job("ecs", start(rig))["status"] == "FAIL"
    assert shown(rig)["status"] == "ACTIVE"


def test_no_second_power_command_meanwhile() -> None:
    rig = Rig()
    stop(rig)
    assert code(start(rig)) == (400, "Ecs.0100")
    assert code(stop(rig)) == (400, "Ecs.0100")


def test_a_hard_stop_ends_neither_a_start_nor_a_lock() -> None:
    rig = stopped()
    start(rig)
    assert shown(rig)["OS-EXT-STS:task_state"] == "powering-on"
    assert code(stop(rig, "HARD")) == (400, "Ecs.0100")
    rig = Rig(soft_stop={server_id(1): "hangs"})
    stop(rig)
    control.act(rig.cloud.world, {"action": "set_server", "server_id": server_id(1), "locked": True})
    assert code(stop(rig, "HARD")) == (400, "Ecs.0605")


def test_a_soft_stop_can_hang_and_a_hard_one_ends_it() -> None:
    rig = Rig(soft_stop={server_id(1): "hangs"})
    soft = stop(rig).json()["job_id"]
    rig.wait(300)
    assert shown(rig)["OS-EXT-STS:task_state"] == "powering-off"
    hard = stop(rig, "HARD")
    rig.wait(21)
    assert shown(rig)["status"] == "SHUTOFF"
    assert rig.job("ecs", hard)["status"] == "SUCCESS"
    assert rig.get("ecs", f"/v1/{{p}}/jobs/{soft}")["status"] == "FAIL"
    assert shown(rig)["status"] == "SHUTOFF"


def test_an_overtaken_stop_changes_nothing_any_more() -> None:
    rig = Rig(soft_stop={server_id(1): "falls_back"})
    soft = stop(rig)
    hard = stop(rig, "HARD")
    rig.wait(30)
    started = start(rig)
    rig.wait(31)
    assert shown(rig)["status"] == "ACTIVE"
    assert rig.job("ecs", soft)["entities"]["sub_jobs"][0]["fail_reason"] == "overtaken by a hard stop"
    assert [rig.job("ecs", accepted)["status"] for accepted in (hard, started)] == ["SUCCESS", "SUCCESS"]
    assert shown(rig)["status"] == "ACTIVE"


def test_a_soft_stop_that_hangs_gives_up_or_falls_back() -> None:
    rig = Rig(soft_stop={server_id(1): "hangs"})
    assert rig.job("ecs", stop(rig))["status"] == "FAIL"
    assert (shown(rig)["status"], shown(rig)["OS-EXT-STS:task_state"]) == ("ACTIVE", None)
    rig = Rig(soft_stop={server_id(1): "falls_back"})
    assert rig.job("ecs", stop(rig))["status"] == "SUCCESS"
    assert shown(rig)["status"] == "SHUTOFF"


def test_a_start_that_a_human_overtakes() -> None:
    rig = stopped()
    accepted = start(rig)
    control.act(rig.cloud.world, {"action": "stop", "server_id": server_id(1)})
    assert rig.job("ecs", accepted)["status"] == "FAIL"
    assert shown(rig)["status"] == "SHUTOFF"


def test_errors_of_ecs_have_details() -> None:
    assert detach(Rig(), LOOSE).json()["error"]["details"] == []
    other = Rig().call("evs", "GET", "/v2/{p}/cloudvolumes/detail", query={"limit": "0"})
    assert set(other.json()["error"]) == {"message", "code"}


def test_no_start_without_a_system_disk() -> None:
    rig = stopped()
    control.act(rig.cloud.world, {"action": "detach", "volume_id": ROOT})
    assert code(start(rig)) == (400, "Ecs.0105")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reboot": {"servers": [{"id": server_id(1)}]}},
        {"os-stop": {"servers": [{"id": server_id(1)}]}, "dry_run": True},
        {"os-stop": {"servers": []}},
        {"os-stop": {"servers": 1}},
        {"os-stop": {"servers": [{"id": 1}]}},
        {"os-stop": {"servers": [{"id": server_id(1)}, {"id": server_id(1)}]}},
        {"os-stop": {"type": "GENTLE", "servers": [{"id": server_id(1)}]}},
        {"os-stop": "now"},
        {"os-stop": {"servers": [{"id": server_id(1)}]}, "os-start": {"servers": [{"id": server_id(1)}]}},
    ],
)
def test_malformed_actions_are_refused(body: Any) -> None:
    assert code(Rig().call("ecs", "POST", ACTION, body)) == (400, "Ecs.0005")


def test_a_batch_has_a_limit_and_knows_its_servers() -> None:
    rig = Rig(limits={"servers_in_one_action": 1, "rates": {}})
    servers = [{"id": server_id(1)}, {"id": server_id(2)}]
    assert code(rig.call("ecs", "POST", ACTION, {"os-stop": {"servers": servers}})) == (400, "Ecs.0118")
    assert stop(rig, server="unknown").status == 404


def test_a_locked_server_is_left_alone() -> None:
    rig = Rig()
    control.act(rig.cloud.world, {"action": "set_server", "server_id": server_id(1), "locked": True})
    assert shown(rig)["locked"] is True
    for refused in (stop(rig), stop(rig, "HARD"), detach(rig, DATA), attach(rig, LOOSE, "/dev/vdc")):
        assert code(refused) == (400, "Ecs.0605")


# Detach


def test_a_data_disk_leaves_a_running_server() -> None:
    rig = Rig()
    accepted = detach(rig, DATA)
    assert rig.cloud.world.disks[DATA].status == "detaching"
    job = rig.job("ecs", accepted)
    assert (job["status"], job["entities"]["server_id"]) == ("SUCCESS", server_id(1))
    assert "sub_jobs" not in job["entities"]
    assert rig.get("evs", f"/v2/{{p}}/volumes/{DATA}")["volume"]["status"] == "available"
    assert rig.get("evs", f"/v2/{{p}}/volumes/{DATA}")["volume"]["attachments"] == []
    assert [item["id"] for item in shown(rig)["os-extended-volumes:volumes_attached"]] == [ROOT]


def test_a_system_disk_leaves_a_stopped_server_only() -> None:
    assert code(detach(Rig(), ROOT)) == (400, "Ecs.0100")
    rig = stopped()
    assert code(detach(rig, ROOT, delete_flag="1")) == (400, "Ecs.0005")
    assert rig.job("ecs", detach(rig, ROOT))["status"] == "SUCCESS"


def test_what_is_not_attached_cannot_be_detached() -> None:
    rig = Rig()
    assert code(detach(rig, LOOSE)) == (400, "Ecs.0111")
    attachment = rig.cloud.world.disks[DATA].attachments[server_id(1)]
    assert code(detach(rig, attachment.attachment_id)) == (400, "Ecs.0111")
    assert code(detach(rig, DATA, delete_flag="2")) == (400, "Ecs.0005")


def test_a_disk_that_is_being_backed_up_stays() -> None:
    rig = Rig()
    control.act(rig.cloud.world, {"action": "set_disk", "volume_id": DATA, "status": "backing-up"})
    assert code(detach(rig, DATA)) == (400, "Ecs.0102")


def test_one_disk_operation_at_a_time_per_server() -> None:
    rig = Rig()
    detach(rig, DATA)
    assert code(attach(rig, LOOSE, "/dev/vdc")) == (501, "Ecs.0603")
    assert code(stop(rig)) == (501, "Ecs.0603")
    rig.settle()
    attach(rig, LOOSE, "/dev/vdc")
    assert code(attach(rig, DATA, "/dev/vdb")) == (501, "Ecs.0603")
    rig.settle()
    stop(rig)
    assert code(detach(rig, LOOSE)) == (400, "Ecs.0100")


# Attach


def test_a_disk_comes_back_at_its_device() -> None:
    rig = Rig()
    accepted = attach(rig, LOOSE, "/dev/vdd")
    assert rig.cloud.world.disks[LOOSE].status == "attaching"
    assert rig.job("ecs", accepted)["status"] == "SUCCESS"
    volume = rig.get("evs", f"/v2/{{p}}/volumes/{LOOSE}")["volume"]
    assert (volume["status"], volume["attachments"][0]["device"]) == ("in-use", "/dev/vdd")


def test_the_cloud_may_choose_the_device_itself() -> None:
    rig = Rig(restore_device="next_free")
    rig.job("ecs", attach(rig, LOOSE, "/dev/vdd"))
    assert rig.cloud.world.disks[LOOSE].attachments[server_id(1)].device == "/dev/vdc"
    rig = Rig()
    rig.job("ecs", attach(rig, LOOSE))
    assert rig.cloud.world.disks[LOOSE].attachments[server_id(1)].device == "/dev/vdc"


def test_a_system_disk_comes_back_at_its_device_whatever_the_cloud_chooses() -> None:
    rig = stopped(restore_device="next_free")
    rig.job("ecs", detach(rig, ROOT))
    rig.job("ecs", attach(rig, ROOT, "/dev/vda"))
    assert rig.cloud.world.disks[ROOT].attachments[server_id(1)].device == "/dev/vda"


def test_sd_becomes_vd() -> None:
    rig = Rig()
    rig.job("ecs", attach(rig, LOOSE, "/dev/sdd"))
    assert rig.cloud.world.disks[LOOSE].attachments[server_id(1)].device == "/dev/vdd"


def test_a_scsi_server_keeps_its_names() -> None:
    base = load("small.yml")
    server = ServerSpec(id="scsi", name="scsi", root_device="/dev/sda")
    rig = Rig(replace(base, servers=(*base.servers, server)))
    entry = {"volumeAttachment": {"volumeId": LOOSE, "device": "/dev/sdb"}}
    rig.job("ecs", rig.call("ecs", "POST", "/v1/{p}/cloudservers/scsi/attachvolume", entry))
    device = rig.get("ecs", "/v1/{p}/cloudservers/scsi/block_device")["volumeAttachments"][0]
    assert (device["device"], device["bus"]) == ("/dev/sdb", "scsi")
    assert rig.get("ecs", f"{SERVER}/block_device")["volumeAttachments"][0]["bus"] == "virtio"


def test_a_dry_run_checks_and_changes_nothing() -> None:
    rig = Rig()
    assert attach(rig, LOOSE, "/dev/vdc", dry_run=True).status == 200
    assert rig.cloud.world.disks[LOOSE].status == "available"
    assert code(attach(rig, LOOSE, "/dev/vdb", dry_run=True)) == (400, "Ecs.0005")
    assert code(attach(rig, LOOSE, "/dev/vdc", dry_run="yes")) == (400, "Ecs.0005")


@pytest.mark.parametrize("device", ["/dev/vdb", "/dev/vdy", "vdc", "/dev/xvdc", "/dev/vda"])
def test_devices_that_are_not_possible(device: str) -> None:
    assert code(attach(Rig(), LOOSE, device)) == (400, "Ecs.0005")


def test_a_data_disk_does_not_become_the_system_disk() -> None:
    rig = stopped()
    rig.job("ecs", detach(rig, ROOT))
    assert code(attach(rig, LOOSE, "/dev/vda")) == (400, "Ecs.0005")
    assert code(attach(rig, ROOT)) == (400, "Ecs.0005")
    assert rig.job("ecs", attach(rig, ROOT, "/dev/vda"))["status"] == "SUCCESS"


def test_a_system_disk_comes_back_to_a_stopped_server_only() -> None:
    rig = stopped()
    rig.job("ecs", detach(rig, ROOT))
    control.act(rig.cloud.world, {"action": "start", "server_id": server_id(1)})
    assert code(attach(rig, ROOT, "/dev/vda")) == (400, "Ecs.0100")


def test_a_disk_must_be_there_and_free() -> None:
    rig = Rig()
    unknown = attach(rig, "unknown", "/dev/vdc")
    assert code(unknown) == (400, "Ecs.1000")
    assert "itemNotFound" in unknown.json()["error"]["message"]
    assert code(attach(rig, DATA, "/dev/vdc")) == (400, "Ecs.0057")
    assert code(attach(rig, disk_id(5), "/dev/vdc")) == (400, "Ecs.0103")


def test_a_server_must_be_running_or_stopped() -> None:
    rig = Rig()
    control.act(rig.cloud.world, {"action": "set_server", "server_id": server_id(1), "status": "PAUSED"})
    assert code(attach(rig, LOOSE, "/dev/vdc")) == (400, "Ecs.0100")


def test_zones_owners_and_slots() -> None:
    rig = Rig(limits={"server_disk_slots": 2, "rates": {}})
    assert code(attach(rig, LOOSE, "/dev/vdc")) == (400, "Ecs.0104")
    rig = Rig()
    rig.cloud.world.disks[LOOSE].metadata["__system__server_id"] = "other"
    assert code(attach(rig, LOOSE, "/dev/vdc")) == (400, "Ecs.0017")
    control.act(rig.cloud.world, {"action": "set_disk", "volume_id": LOOSE, "az": "eu-de-03"})
    assert code(attach(rig, LOOSE, "/dev/vdc")) == (400, "Ecs.0121")


def test_a_shared_disk_serves_two_servers() -> None:
    base = load("small.yml")
    shared = DiskSpec(
        id="shared", name="shared", size=1, multiattach=True, attached=(AttachedTo(server_id(2), "/dev/vdc"),)
    )
    rig = Rig(replace(base, disks=(*base.disks, shared)))
    rig.job("ecs", attach(rig, "shared", "/dev/vdc"))
    assert len(rig.get("evs", "/v2/{p}/volumes/shared")["volume"]["attachments"]) == 2
    rig.job("ecs", detach(rig, "shared"))
    assert rig.cloud.world.disks["shared"].status == "in-use"


@pytest.mark.parametrize(("how", "kept"), [("keep", "true"), ("reset", "false")])
def test_delete_on_termination_after_a_round_trip(how: str, kept: str) -> None:
    base = load("small.yml")
    place = AttachedTo(server_id(1), "/dev/vdc", delete_on_termination=True)
    disk = DiskSpec(id="extra", name="extra", size=1, attached=(place,))
    rig = Rig(replace(base, disks=(*base.disks, disk)), delete_on_termination_after_attach=how)
    rig.job("ecs", detach(rig, "extra"))
    rig.job("ecs", attach(rig, "extra", "/dev/vdc"))
    entry = shown(rig)["os-extended-volumes:volumes_attached"][-1]
    assert (entry["id"], entry["delete_on_termination"]) == ("extra", kept)


def test_a_shared_disk_keeps_delete_on_termination_of_the_server_it_left() -> None:
    base = load("small.yml")
    places = (AttachedTo(server_id(1), "/dev/vdc", delete_on_termination=True), AttachedTo(server_id(2), "/dev/vdc"))
    disk = DiskSpec(id="shared", name="shared", size=1, multiattach=True, attached=places)
    rig = Rig(replace(base, disks=(*base.disks, disk)))
    rig.job("ecs", detach(rig, "shared"))
    rig.job("ecs", attach(rig, "shared", "/dev/vdc"))
    assert shown(rig)["os-extended-volumes:volumes_attached"][-1]["delete_on_termination"] == "true"


def test_a_disk_on_a_running_server_is_written_to() -> None:
    rig = Rig()
    disk = rig.cloud.world.disks[LOOSE]
    assert disk.last_used_at is None
    control.act(rig.cloud.world, {"action": "stop", "server_id": server_id(1)})
    rig.job("ecs", attach(rig, LOOSE, "/dev/vdc"))
    assert disk.last_used_at is None
    rig.job("ecs", start(rig))
    started_at = rig.now
    assert disk.last_used_at == started_at
    rig.job("ecs", stop(rig))
    assert disk.last_used_at == started_at
    rig = Rig()
    rig.job("ecs", attach(rig, LOOSE, "/dev/vdc"))
    assert rig.cloud.world.disks[LOOSE].last_used_at == rig.now


# Metadata


def metadata(rig: Rig, entries: Any) -> Response:
    return rig.call("ecs", "POST", f"{SERVER}/metadata", {"metadata": entries})


def test_metadata_is_merged_and_keys_go_one_by_one() -> None:
    rig = Rig()
    assert metadata(rig, {"a": "1"}).json() == {"metadata": {"a": "1"}}
    assert metadata(rig, {"b:c.d_e-f": "2"}).json()["metadata"]["a"] == "1"
    assert rig.call("ecs", "DELETE", f"{SERVER}/metadata/a").status == 204
    assert rig.call("ecs", "DELETE", f"{SERVER}/metadata/a").status == 404
    assert "a" not in shown(rig)["metadata"]
    assert shown(rig)["metadata"]["b:c.d_e-f"] == "2"


@pytest.mark.parametrize("entries", [{}, {"a b": "1"}, {"a,b": "1"}, {"k" * 256: "1"}, {"k": "x" * 256}, {"k": 1}, "k"])
def test_metadata_has_limits(entries: Any) -> None:
    assert code(metadata(Rig(), entries)) == (400, "Ecs.0005")


def test_metadata_needs_a_sound_server_and_has_a_quota() -> None:
    rig = Rig(limits={"server_metadata_items": 2, "rates": {}})
    assert metadata(rig, {"a": "1", "b": "2"}).status == 200
    assert metadata(rig, {"b": "3"}).status == 200
    assert metadata(rig, {"c": "3"}).json()["forbidden"]["code"] == 403
    control.act(rig.cloud.world, {"action": "set_server", "server_id": server_id(1), "status": "ERROR"})
    assert code(metadata(rig, {"b": "3"})) == (400, "Ecs.0100")
    assert code(rig.call("ecs", "DELETE", f"{SERVER}/metadata/b")) == (400, "Ecs.0100")


def test_a_job_is_known_at_its_own_host_only() -> None:
    rig = Rig()
    job_id = stop(rig).json()["job_id"]
    assert code(rig.call("vbs", "GET", f"/v1/{{p}}/jobs/{job_id}")) == (400, "common.0011")
    assert code(rig.call("ecs", "GET", "/v1/{p}/jobs/unknown")) == (400, "Common.0011")


# Jobs that do not do what they should

ORDERS: dict[str, Callable[[Rig], Response]] = {
    "stop": stop,
    "start": start,
    "detach": lambda rig: detach(rig, DATA),
    "attach": lambda rig: attach(rig, LOOSE, "/dev/vdc"),
}
BETWEEN = {"stop": "powering-off", "start": "powering-on", "detach": "detaching", "attach": "attaching"}


def _told(kind: str, outcome: Any) -> Rig:
    behaviours = {"ecs_job_outcome": {kind: outcome}}
    return stopped(**behaviours) if kind == "start" else Rig(**behaviours)


def _states(rig: Rig) -> tuple[Any, ...]:
    disks = (rig.get("evs", f"/v2/{{p}}/volumes/{disk}")["volume"]["status"] for disk in (DATA, LOOSE))
    return shown(rig)["status"], shown(rig)["OS-EXT-STS:task_state"], *disks


@pytest.mark.parametrize(("outcome", "status"), [("fail", "FAIL"), ("unknown", "SUSPENDED")])
@pytest.mark.parametrize("kind", ORDERS)
def test_a_job_that_does_nothing_and_the_next_one(kind: str, outcome: str, status: str) -> None:
    rig = _told(kind, [outcome])
    before = _states(rig)
    assert rig.job("ecs", ORDERS[kind](rig))["status"] == status
    assert _states(rig) == before
    assert rig.job("ecs", ORDERS[kind](rig))["status"] == "SUCCESS"
    assert _states(rig) != before


@pytest.mark.parametrize(
    ("kind", "wanted"), [("stop", "Ecs.0000"), ("start", "Ecs.0226"), ("detach", "Ecs.0000"), ("attach", "Ecs.0205")]
)
def test_a_failed_job_says_why(kind: str, wanted: str) -> None:
    rig = _told(kind, "fail")
    job = rig.job("ecs", ORDERS[kind](rig))
    told = job["entities"].get("sub_jobs", [job])[0]
    assert (told["error_code"], bool(told["fail_reason"])) == (wanted, True)


@pytest.mark.parametrize("kind", ORDERS)
def test_a_job_that_is_stuck(kind: str) -> None:
    rig = _told(kind, "stuck")
    accepted = ORDERS[kind](rig)
    rig.wait(10_000)
    assert rig.job("ecs", accepted)["status"] == "RUNNING"
    assert BETWEEN[kind] in _states(rig)


def test_a_hard_stop_ends_a_soft_one_that_is_stuck() -> None:
    rig = _told("stop", ["stuck"])
    stop(rig)
    assert rig.job("ecs", stop(rig, "HARD"))["status"] == "SUCCESS"
    assert shown(rig)["status"] == "SHUTOFF"
