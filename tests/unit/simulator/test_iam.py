# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging in: tokens, their end, projects, and accounts that lock."""

from __future__ import annotations

import json
from typing import Any

import pytest
from simulator import control
from simulator.rig import Rig, disk_id

JSON = {"Content-Type": "application/json"}
VOLUME = f"/v2/{{p}}/volumes/{disk_id(1)}"


def test_a_login_gives_a_token_for_a_day() -> None:
    rig = Rig()
    response = rig.login()
    token = response.json()["token"]
    assert response.status == 201
    assert token["project"]["id"] == rig.project_id
    assert token["expires_at"].endswith("Z")
    assert len(response.headers["X-Subject-Token"]) > 500
    rig.wait(86399)
    assert rig.call("evs", "GET", VOLUME).status == 200
    rig.wait(2)
    assert rig.call("evs", "GET", VOLUME).status == 401


def test_a_new_token_leaves_the_old_one_alone() -> None:
    rig = Rig()
    rig.login()
    old = rig.token
    rig.login()
    assert rig.token != old
    assert rig.call("evs", "GET", VOLUME, headers={"X-Auth-Token": old}).status == 200


def test_the_catalog_can_be_left_out() -> None:
    rig = Rig()
    rig.cloud.endpoints["evs"] = "http://evs.example.com"
    assert rig.login().json()["token"]["catalog"][0]["endpoints"][0]["url"].endswith(f"/v2/{rig.project_id}")
    body = login_body(rig, ["password"], {"project": {"name": "eu-de"}})
    short = rig.raw("iam", "POST", "/v3/auth/tokens", body, headers=JSON, query={"nocatalog": "1"})
    assert "catalog" not in short.json()["token"]


def test_wrong_passwords_are_refused_counted_and_lock_the_account() -> None:
    rig = Rig()
    for attempt in range(5):
        refused = rig.login(password="guess")
        assert (refused.status, refused.json()["error"]["code"]) == (401, 401)
        assert len(rig.cloud.summary()["violations"]) == attempt
    locked = rig.login()
    assert (locked.status, locked.json()["error_code"]) == (401, "IAM.0061")
    rig.wait(901)
    assert rig.login().status == 201


def test_the_count_begins_anew_after_the_lock() -> None:
    rig = Rig()
    for _unused in range(5):
        rig.login(password="guess")
    rig.wait(901)
    assert rig.login(password="guess").json()["error"]["code"] == 401
    assert rig.login().status == 201


def test_a_good_login_forgives_the_bad_ones() -> None:
    rig = Rig()
    rig.login(password="guess")
    rig.login()
    rig.login(password="guess")
    assert rig.cloud.summary()["violations"] == []


def test_an_unknown_project_is_refused() -> None:
    assert Rig().login(project="nowhere").status == 403


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"identity": {"methods": ["token"]}},
        {"identity": {"methods": ["password"], "password": {"user": {"name": "operator", "password": "x"}}}},
    ],
)
def test_malformed_logins_are_refused(auth: Any) -> None:
    body = json.dumps({"auth": auth}).encode()
    response = Rig().raw("iam", "POST", "/v3/auth/tokens", body, headers={"Content-Type": "application/json"})
    assert (response.status, response.json()["error"]["title"]) == (400, "Bad Request")


def login_body(rig: Rig, methods: list[str], scope: Any) -> bytes:
    user = rig.scenario.users[0]
    login = {"name": user.name, "password": user.password, "domain": {"name": user.domain}}
    identity = {"methods": methods, "password": {"user": login}}
    return json.dumps({"auth": {"identity": identity, "scope": scope}}).encode()


def test_the_password_is_the_only_way_to_log_in_here() -> None:
    rig = Rig()
    body = login_body(rig, ["password", "totp"], {"project": {"id": rig.project_id}})
    assert rig.raw("iam", "POST", "/v3/auth/tokens", body, headers=JSON).status == 400
    body = login_body(rig, ["password"], {"project": {"id": rig.project_id}})
    assert rig.raw("iam", "POST", "/v3/auth/tokens", body, headers=JSON).status == 201


def test_a_login_without_a_project_is_of_no_use() -> None:
    rig = Rig()
    assert rig.raw("iam", "POST", "/v3/auth/tokens", login_body(rig, ["password"], {}), headers=JSON).status == 400


def test_no_token_and_a_wrong_token_are_refused() -> None:
    rig = Rig()
    for headers in ({}, {"X-Auth-Token": "MIIwrong"}):
        refused = rig.raw("evs", "GET", VOLUME.replace("{p}", rig.project_id), headers=headers)
        assert (refused.status, refused.json()["error_code"]) == (401, "APIGW.0301")


DISGUISES = [
    ("apigw_0307", 401, "APIGW.0307"),
    ("common_0013", 400, "Common.0013"),
    ("autobackup_0003", 401, "AutoBackup.0003"),
    ("plain_401", 401, ""),
]


def assert_ended(rig: Rig, status: int, code: str) -> None:
    refused = rig.call("vbs", "GET", "/v3/{p}/backups")
    assert refused.status == status
    assert code in refused.body.decode() if code else refused.body == b""
    assert rig.login().status == 201
    assert rig.call("vbs", "GET", "/v3/{p}/backups").status == 200


@pytest.mark.parametrize(("disguise", "status", "code"), DISGUISES)
def test_a_token_that_somebody_ended_in_all_its_disguises(disguise: str, status: int, code: str) -> None:
    rig = Rig()
    rig.login()
    control.act(rig.cloud.world, {"action": "expire_tokens", "disguise": disguise})
    assert_ended(rig, status, code)


@pytest.mark.parametrize(("disguise", "status", "code"), DISGUISES)
def test_a_token_whose_life_is_over_in_all_its_disguises(disguise: str, status: int, code: str) -> None:
    rig = Rig(token_expired_answer=disguise, timing={"token_life_wall_seconds": 10.0})
    rig.login()
    rig.wait(11)
    assert_ended(rig, status, code)


@pytest.mark.parametrize(("service", "path"), [("evs", VOLUME), ("hss", "/v5/{p}/ransomware/backup/x/detail")])
def test_the_project_of_path_and_token_must_be_one(service: str, path: str) -> None:
    rig = Rig()
    rig.login(project="eu-de_other")
    refused = rig.call(service, "GET", path)
    assert refused.status == 400
    assert "Common.0018" in refused.body.decode()


def test_a_token_can_be_verified() -> None:
    rig = Rig()
    rig.login()
    headers = {"X-Subject-Token": rig.token}
    assert rig.call("iam", "GET", "/v3/auth/tokens", headers=headers).json()["token"]["user"]["name"] == "operator"
    assert rig.call("iam", "GET", "/v3/auth/tokens", headers={"X-Subject-Token": "MII"}).status == 404
    control.act(rig.cloud.world, {"action": "expire_tokens"})
    rig.login()
    assert rig.call("iam", "GET", "/v3/auth/tokens", headers=headers).status == 404


def test_projects_by_name() -> None:
    rig = Rig()
    found = rig.get("iam", "/v3/projects", name="eu-de")["projects"]
    assert [project["id"] for project in found] == [rig.project_id]
    assert rig.get("iam", "/v3/projects", name="nowhere")["projects"] == []
    assert len(rig.get("iam", "/v3/auth/projects")["projects"]) == 2
