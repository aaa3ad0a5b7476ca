# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud as a whole: the gateway in front, the log, the order of events, and its independence."""

from __future__ import annotations

import ast
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import simulator
from simulator import control
from simulator.cloud import MOST_BODY_BYTES, SERVICES, Cloud
from simulator.messages import Request
from simulator.rig import Rig, disk_id, hss_id, server_id, vbs_id
from simulator.scenario import load, parse
from simulator.state import World


def imported(path: Path) -> set[str]:
    """The top names of everything that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".", maxsplit=1)[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".", maxsplit=1)[0])
    return found


def test_it_stands_on_its_own_and_only_the_shell_touches_the_world() -> None:
    files = list(Path(simulator.__file__).parent.glob("*.py"))
    assert len(files) > 10
    for path in files:
        names = imported(path)
        assert names <= {*sys.stdlib_module_names, "simulator", "yaml", "aiohttp"}, path
        if path.name not in ("server.py", "__main__.py"):
            assert not names & {"time", "socket", "asyncio", "aiohttp", "threading", "subprocess"}, path


@pytest.mark.parametrize("service", SERVICES)
def test_an_unknown_path_is_not_published(service: str) -> None:
    response = Rig().call(service, "GET", "/v9/nothing")
    assert (response.status, response.json()["error_code"]) == (404, "APIGW.0101")
    assert response.json()["request_id"] == response.headers["X-Request-Id"]
    assert response.headers["Server"] == "api-gateway"


def test_an_unknown_method_is_not_published_either() -> None:
    assert Rig().call("evs", "PATCH", f"/v2/{{p}}/volumes/{disk_id(1)}").status == 404


def test_a_path_prefix_is_part_of_every_path() -> None:
    rig = Rig(prefix="/gw")
    rig.login()
    headers = {"X-Auth-Token": rig.token}
    path = f"/v2/{rig.project_id}/volumes/{disk_id(1)}"
    assert rig.raw("evs", "GET", path, headers=headers).status == 200
    for wrong in ("", "/xx", "/gw2"):
        assert rig.cloud.handle("evs", Request("GET", wrong + path, headers=headers)).status == 404


BODIES = [
    ("evs", f"/v2/{{p}}/volumes/{disk_id(1)}/metadata", "EVS.5400"),
    ("ecs", "/v1/{p}/cloudservers/action", "Ecs.0005"),
    ("vbs", "/v2/{p}/cloudbackups/x/restore", "VolumeBackup.0210"),
    ("hss", "/v5/{p}/ransomware/duplication/x/restore", "HSS.0002"),
    ("iam", "/v3/auth/tokens", "Bad Request"),
]


@pytest.mark.parametrize(("service", "path", "code"), BODIES)
@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"{", "application/json"), (b"[]", "application/json"), (b"{}", "text/plain"), (b"{}", "")],
)
def test_bodies_must_be_json_objects(service: str, path: str, code: str, body: bytes, content_type: str) -> None:
    rig = Rig()
    rig.login()
    headers = {"X-Auth-Token": rig.token, "Content-Type": content_type}
    response = rig.raw(service, "POST", path.replace("{p}", rig.project_id), body, headers=headers)
    assert response.status == 400
    assert code in response.body.decode()


ODD_VALUES: list[Any] = [None, True, 7, -1.5, "", "text", [], ["x"], [None], {}, {"id": None}, [{"id": 7}]]
WRITES = [
    ("evs", "POST", f"/v2/{{p}}/volumes/{disk_id(1)}/metadata", "metadata"),
    ("evs", "PUT", f"/v2/{{p}}/volumes/{disk_id(1)}/metadata", "metadata"),
    ("evs", "PUT", f"/v2/{{p}}/volumes/{disk_id(1)}/metadata/k", "meta"),
    ("ecs", "POST", f"/v1/{{p}}/cloudservers/{server_id(1)}/metadata", "metadata"),
    ("ecs", "POST", "/v1/{p}/cloudservers/action", "os-stop"),
    ("ecs", "POST", "/v1/{p}/cloudservers/action", "os-start"),
    ("ecs", "POST", f"/v1/{{p}}/cloudservers/{server_id(1)}/attachvolume", "volumeAttachment"),
    ("vbs", "POST", f"/v2/{{p}}/cloudbackups/{vbs_id(3)}/restore", "restore"),
    ("hss", "POST", f"/v5/{{p}}/ransomware/duplication/{hss_id(2)}/restore", "mappings"),
    ("iam", "POST", "/v3/auth/tokens", "auth"),
]


@pytest.mark.parametrize(("service", "method", "path", "name"), WRITES)
@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
def test_odd_bodies_are_refused_and_change_nothing(service: str, method: str, path: str, name: str, value: Any) -> None:
    rig = Rig()
    before = control.state(rig.cloud.world)
    response = rig.call(service, method, path, {name: value, "server_id": server_id(2)})
    harmless = service == "evs" and method in ("POST", "PUT") and value == {}
    assert response.status == (200 if harmless and name == "metadata" else 400)
    assert control.state(rig.cloud.world) == before


def test_a_body_can_be_too_large() -> None:
    rig = Rig()
    headers = {"Content-Type": "application/json"}
    response = rig.raw("iam", "POST", "/v3/auth/tokens", b"x" * (MOST_BODY_BYTES + 1), headers=headers)
    assert (response.status, response.json()["error_code"]) == (413, "APIGW.0201")


def test_rates_hold_for_any_service_user_and_api() -> None:
    rig = Rig(limits={"rates": {"evs": {"requests": 2, "window_seconds": 300.0}}})
    path = f"/v2/{{p}}/volumes/{disk_id(1)}"
    assert [rig.call("evs", "GET", path).status for _unused in range(3)] == [200, 200, 429]
    refused = rig.call("evs", "GET", path)
    assert "policy user over ratelimit,limit:2,time:5 minute" in refused.json()["error_msg"]
    assert rig.call("evs", "GET", f"{path}/metadata").status == 200
    assert rig.call("ecs", "GET", f"/v1/{{p}}/cloudservers/{server_id(1)}").status == 200
    rig.wait(299)
    # What was refused does not count later.
    assert [rig.call("evs", "GET", path).status for _unused in range(2)] == [429, 429]
    rig.wait(1.5)
    assert rig.call("evs", "GET", path).status == 200


def test_each_user_has_a_rate_of_its_own() -> None:
    base = load("small.yml")
    users = (*base.users, replace(base.users[0], name="second"))
    rig = Rig(replace(base, users=users), limits={"rates": {"evs": {"requests": 1, "window_seconds": 60.0}}})
    path = f"/v2/{{p}}/volumes/{disk_id(1)}"
    assert [rig.call("evs", "GET", path).status for _unused in range(2)] == [200, 429]
    rig.login(user="second")
    assert [rig.call("evs", "GET", path).status for _unused in range(2)] == [200, 429]


def test_reads_and_the_login_are_no_writes() -> None:
    rig = Rig()
    rig.login()
    rig.get("evs", f"/v2/{{p}}/volumes/{disk_id(1)}")
    assert rig.cloud.summary()["writes"] == 0
    rig.call("evs", "POST", f"/v2/{{p}}/volumes/{disk_id(1)}/metadata", {"metadata": {}})
    rig.call("evs", "DELETE", "/v9/nothing")
    assert rig.cloud.summary()["writes"] == 2


def test_refused_reads_and_logins_are_no_refused_writes() -> None:
    rig = Rig()
    rig.login(password="guess")
    rig.call("evs", "GET", "/v2/{p}/volumes/unknown")
    assert rig.cloud.summary()["refused_writes"] == {}
    rig.call("evs", "DELETE", "/v9/nothing")
    assert rig.cloud.summary()["refused_writes"] == {"evs:APIGW.0101": 1}


def test_a_job_that_ends_early_stays_ended() -> None:
    rig = Rig(timing={"attach": 0.1})
    entry = {"volumeAttachment": {"volumeId": disk_id(3), "device": "/dev/vdc"}}
    path = f"/v1/{{p}}/cloudservers/{server_id(1)}/attachvolume"
    assert rig.job("ecs", rig.call("ecs", "POST", path, entry))["status"] == "SUCCESS"


def test_the_same_seed_makes_the_same_ids() -> None:
    scenario = load("small.yml")

    def token(seed: int) -> str:
        body = json.dumps(
            {
                "auth": {
                    "identity": {
                        "methods": ["password"],
                        "password": {
                            "user": {
                                "name": "operator",
                                "password": "demo-Password-1",
                                "domain": {"name": "demo-account"},
                            }
                        },
                    },
                    "scope": {"project": {"id": scenario.project.id}},
                }
            }
        ).encode()
        request = Request("POST", "/v3/auth/tokens", headers={"content-type": "application/json"}, body=body)
        return Cloud(scenario, lambda: 0.0, seed=seed).handle("iam", request).headers["X-Subject-Token"]

    assert token(1) == token(1)
    assert token(1) != token(2)


def test_a_scale_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="scale"):
        Cloud(load("small.yml"), lambda: 0.0, 0)


def test_events_happen_in_order_and_at_their_own_time() -> None:
    world = World(load("small.yml"), now=100.0, scale=2.0, seed="x")
    seen: list[tuple[str, float]] = []

    def first() -> None:
        seen.append(("first", world.now))
        world.after(2, lambda: seen.append(("chained", world.now)))

    world.after(10, lambda: seen.append(("last", world.now)))
    world.after(4, first)
    world.after(4, lambda: seen.append(("tie", world.now)))
    assert world.next_event_at() == 102.0
    world.advance(101.0)
    assert seen == []
    world.advance(200.0)
    assert seen == [("first", 102.0), ("tie", 102.0), ("chained", 103.0), ("last", 105.0)]
    assert world.now == 200.0
    assert world.next_event_at() is None


def test_ten_thousand_restores_side_by_side() -> None:
    count = 10_000
    document: dict[str, Any] = {
        "project": {"id": "p1", "name": "eu-de"},
        "users": [{"name": "u", "password": "p"}],
        "disks": [{"id": f"d{n}", "name": f"d{n}", "size": 1} for n in range(count)],
        "vbs_backups": [{"id": f"b{n}", "volume_id": f"d{n}", "size": 1, "data": "clean"} for n in range(count)],
    }
    rig = Rig(parse(document))
    began = time.process_time()
    jobs = []
    for n in range(count):
        started = rig.call("vbs", "POST", f"/v2/{{p}}/cloudbackups/b{n}/restore", {"restore": {"volume_id": f"d{n}"}})
        jobs.append(started.json()["job_id"])
    rig.wait(40)
    assert {rig.get("vbs", f"/v1/{{p}}/jobs/{job_id}")["status"] for job_id in jobs} == {"SUCCESS"}
    assert all(disk.data == "clean" for disk in rig.cloud.world.disks.values())
    # 20,000 requests; a call that walked over all disks would take minutes.
    assert time.process_time() - began < 30
