# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control port: the truth, and a human in the middle."""

from __future__ import annotations

import json
from typing import Any

import pytest
from simulator import control
from simulator.messages import Request, Response
from simulator.rig import Rig, disk_id, hss_id, server_id, vbs_id


def ask(rig: Rig, method: str, path: str, body: Any = None) -> Response:
    data = b"" if body is None else json.dumps(body).encode()
    return control.handle(rig.cloud, Request(method, path, body=data))


def act(rig: Rig, action: str, **body: Any) -> Response:
    return ask(rig, "POST", "/act", {"action": action, **body})


def state(rig: Rig) -> Any:
    return ask(rig, "GET", "/state").json()


def test_the_state_tells_everything() -> None:
    rig = Rig()
    document = state(rig)
    assert document["servers"][server_id(1)]["volumes"][0]["device"] == "/dev/vda"
    assert document["disks"][disk_id(3)]["data"] == "encrypted-by-ransomware"
    assert document["backups"][vbs_id(3)]["service"] == "vbs"
    assert document["backups"][hss_id(2)]["service"] == "hss"
    assert len(document["hss_log"]) == 2
    body = {"restore": {"volume_id": disk_id(3)}}
    rig.call("vbs", "POST", f"/v2/{{p}}/cloudbackups/{vbs_id(3)}/restore", body)
    assert [job["status"] for job in state(rig)["jobs"].values()] == ["INIT"]


def test_requests_and_their_sum() -> None:
    rig = Rig()
    rig.get("evs", f"/v2/{{p}}/volumes/{disk_id(1)}")
    rig.call("vbs", "POST", f"/v2/{{p}}/cloudbackups/{vbs_id(1)}/restore", {"restore": {"volume_id": disk_id(1)}})
    entries = ask(rig, "GET", "/requests").json()
    assert [(entry["n"], entry["api"], entry["write"]) for entry in entries] == [
        (1, "iam.create_token", False),
        (2, "evs.show_volume", False),
        (3, "vbs.restore", True),
    ]
    summary = ask(rig, "GET", "/summary").json()
    assert (summary["requests"], summary["writes"]) == (3, 1)
    assert summary["by_api"]["vbs.restore"] == 1
    assert summary["by_status"] == {"201": 1, "200": 1, "400": 1}
    assert summary["refused_writes"] == {"vbs:VolumeBackup.0205": 1}
    rig.cloud.world.violate("rule", "text")
    rig.cloud.world.note("kind", "text")
    assert ask(rig, "POST", "/clear-log").status == 200
    cleared = ask(rig, "GET", "/summary").json()
    assert (cleared["violations"], cleared["notes"], cleared["refused_writes"]) == ([], [], {})
    assert ask(rig, "GET", "/summary").json()["requests"] == 0


def test_nothing_secret_is_told() -> None:
    rig = Rig()
    rig.login(password="a-wrong-Password")
    rig.login()
    secrets = [rig.token, "a-wrong-Password", rig.scenario.users[0].password]
    secrets += [key.secret_key for key in rig.scenario.access_keys]
    told = "".join(ask(rig, "GET", path).body.decode() for path in ("/state", "/requests", "/summary"))
    told += repr(rig.scenario)
    assert [secret for secret in secrets if secret in told] == []


def test_faults_come_and_go() -> None:
    rig = Rig()
    assert ask(rig, "POST", "/faults", [{"action": {"drop": True}}]).status == 200
    assert len(ask(rig, "GET", "/faults").json()) == 1
    assert ask(rig, "DELETE", "/faults").status == 200
    assert ask(rig, "GET", "/faults").json() == []
    assert ask(rig, "POST", "/faults", {"action": {}}).status == 400
    assert control.handle(rig.cloud, Request("POST", "/faults", body=b"{")).status == 400


def test_a_reset_goes_back_to_the_scenario_with_new_ids() -> None:
    rig = Rig()
    act(rig, "write_disk", volume_id=disk_id(3), data="changed")
    rig.login()
    old = rig.token
    ask(rig, "POST", "/faults", [{"action": {"drop": True}}])
    assert ask(rig, "POST", "/reset").status == 200
    assert state(rig)["disks"][disk_id(3)]["data"] == "encrypted-by-ransomware"
    assert ask(rig, "GET", "/summary").json()["requests"] == 0
    assert ask(rig, "GET", "/faults").json() == []
    rig.login()
    assert rig.token != old
    assert rig.call("evs", "GET", "/v3/{p}/volumes/detail", headers={"X-Auth-Token": old}).status == 401


def test_what_the_port_does_not_know() -> None:
    rig = Rig()
    for method, path in (("GET", "/secrets"), ("POST", "/explode"), ("PUT", "/state"), ("DELETE", "/state")):
        assert ask(rig, method, path).status == 404


def test_disks_come_and_go_by_hand() -> None:
    rig = Rig()
    assert act(rig, "detach", volume_id=disk_id(2)).status == 200
    assert state(rig)["disks"][disk_id(2)]["status"] == "available"
    assert act(rig, "detach", volume_id=disk_id(2)).status == 400
    assert act(rig, "attach", volume_id=disk_id(2), server_id=server_id(2), device="/dev/vdc").status == 200
    assert state(rig)["disks"][disk_id(2)]["attachments"][0]["server_id"] == server_id(2)
    assert act(rig, "attach", volume_id=disk_id(2), server_id=server_id(2), device="/dev/vdd").status == 400
    assert act(rig, "attach", volume_id=disk_id(3), server_id=server_id(2), device="/dev/vdc").status == 400


def test_evs_sees_at_once_what_a_human_does() -> None:
    rig = Rig(state_lag_seconds=60.0)
    path = f"/v2/{{p}}/volumes/{disk_id(3)}"

    def status() -> str:
        return str(rig.get("evs", path)["volume"]["status"])

    act(rig, "attach", volume_id=disk_id(3), server_id=server_id(1), device="/dev/vdc")
    assert status() == "in-use"
    act(rig, "detach", volume_id=disk_id(3))
    assert status() == "available"
    act(rig, "set_disk", volume_id=disk_id(3), status="error")
    assert status() == "error"


def test_lists_follow_a_changed_size() -> None:
    rig = Rig()
    detail = "/v2/{p}/cloudvolumes/detail"
    assert rig.get("evs", detail, sort_key="size", sort_dir="asc")["volumes"][0]["id"] == disk_id(3)
    act(rig, "set_disk", volume_id=disk_id(3), size=500)
    assert rig.get("evs", detail, sort_key="size")["volumes"][0]["id"] == disk_id(3)
    assert rig.get("evs", detail, sort_key="size", sort_dir="asc")["volumes"][0]["id"] != disk_id(3)


def test_the_control_port_lets_time_pass() -> None:
    rig = Rig()
    body = {"restore": {"volume_id": disk_id(3)}}
    rig.call("vbs", "POST", f"/v2/{{p}}/cloudbackups/{vbs_id(3)}/restore", body)
    rig.now += 100
    assert state(rig)["disks"][disk_id(3)]["data"] == "archive-2-hours-old"


def test_an_attach_by_hand_in_the_middle_of_one_by_api() -> None:
    rig = Rig()
    entry = {"volumeAttachment": {"volumeId": disk_id(3), "device": "/dev/vdc"}}
    accepted = rig.call("ecs", "POST", f"/v1/{{p}}/cloudservers/{server_id(1)}/attachvolume", entry)
    act(rig, "attach", volume_id=disk_id(3), server_id=server_id(1), device="/dev/vdd")
    assert rig.job("ecs", accepted)["status"] == "SUCCESS"
    assert state(rig)["disks"][disk_id(3)]["attachments"][0]["device"] == "/dev/vdd"


def test_a_detach_by_hand_in_the_middle_of_one_by_api() -> None:
    rig = Rig()
    accepted = rig.call("ecs", "DELETE", f"/v1/{{p}}/cloudservers/{server_id(1)}/detachvolume/{disk_id(2)}")
    act(rig, "detach", volume_id=disk_id(2))
    assert rig.job("ecs", accepted)["status"] == "SUCCESS"
    assert state(rig)["disks"][disk_id(2)]["status"] == "available"


def test_an_attach_by_hand_in_the_middle_of_a_restore() -> None:
    rig = Rig()
    body = {"restore": {"volume_id": disk_id(3)}}
    accepted = rig.call("vbs", "POST", f"/v2/{{p}}/cloudbackups/{vbs_id(3)}/restore", body)
    act(rig, "attach", volume_id=disk_id(3), server_id=server_id(1), device="/dev/vdc")
    assert rig.job("vbs", accepted)["status"] == "SUCCESS"
    assert rig.get("evs", f"/v2/{{p}}/volumes/{disk_id(3)}")["volume"]["status"] == "in-use"


def test_power_by_hand() -> None:
    rig = Rig()
    act(rig, "stop", server_id=server_id(1))
    assert state(rig)["servers"][server_id(1)]["status"] == "SHUTOFF"
    rig.wait(5)
    act(rig, "start", server_id=server_id(1))
    assert state(rig)["servers"][server_id(1)]["status"] == "ACTIVE"
    assert state(rig)["disks"][disk_id(1)]["last_used_at"] == rig.now


def test_backups_come_and_go_by_hand() -> None:
    rig = Rig()
    act(rig, "set_metadata", volume_id=disk_id(3), metadata={"a": "b"})
    assert act(rig, "add_backup", volume_id=disk_id(3), backup_id="new", data="x").status == 200
    assert rig.cloud.world.vbs_backups["new"].spec.metadata == {"a": "b"}
    assert act(rig, "add_backup", volume_id=disk_id(3), backup_id="new").status == 400
    for backup_id in ("new", hss_id(2)):
        assert act(rig, "delete_backup", backup_id=backup_id).status == 200
        assert act(rig, "delete_backup", backup_id=backup_id).status == 400
    assert act(rig, "set_backup", backup_id="new", status="error").status == 400


def test_values_set_by_hand() -> None:
    rig = Rig()
    assert act(rig, "set_disk", volume_id=disk_id(3), status="odd").status == 400
    assert act(rig, "set_server", server_id=server_id(1), status="odd").status == 400
    assert act(rig, "set_server", server_id=server_id(1), name="renamed").status == 200
    assert state(rig)["servers"][server_id(1)]["name"] == "renamed"
    act(rig, "set_metadata", server_id=server_id(1), metadata={"a": "b", "c": "d"})
    act(rig, "set_metadata", server_id=server_id(1), metadata={"a": None})
    assert state(rig)["servers"][server_id(1)]["metadata"] == {"c": "d"}
    assert act(rig, "set_metadata", server_id=server_id(1), metadata="a").status == 400


@pytest.mark.parametrize(
    "body",
    [
        {"action": "explode"},
        {},
        {"action": "detach", "volume_id": "unknown"},
        {"action": "stop", "server_id": "unknown"},
        {"action": "expire_tokens", "disguise": "mask"},
        ["now"],
        [],
        "now",
    ],
)
def test_what_cannot_be_done(body: Any) -> None:
    assert ask(Rig(), "POST", "/act", body).status == 400
