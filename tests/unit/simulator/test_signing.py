# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed requests: the published rule against vectors of the official signer, and everything that must be refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from simulator import signing
from simulator.messages import Request, Response
from simulator.rig import Rig, disk_id

VECTORS = json.loads((Path(__file__).parents[1] / "cloud" / "signing_vectors.json").read_text(encoding="utf-8"))
VECTOR_SECRET = "SkFakeSecretKeyForTestVectorsOnly0000001"
KEY = ("DEMOACCESSKEY0000001", "DemoSecretKeyForTheSimulatorOnly00000001")
TEMPORARY = ("DEMOTEMPORARYKEY0001", "DemoTemporaryKeyForTheSimulatorOnly00001")
SECURITY_TOKEN = "DemoSecurityToken/+="


def vector_request(vector: Mapping[str, Any]) -> tuple[Request, signing.Signature]:
    """What arrives at the server: the sent URI, and the header values that the canonical text lists."""
    path, _unused, query = vector["uri"].partition("?")
    parsed = signing.parse(vector["auth"])
    lines = vector["canonical"].split("\n")[3:]
    headers = dict(line.split(":", 1) for line in lines[: len(parsed.signed_headers)])
    body = (vector["body"] or "").encode()
    return Request(vector["method"], path, query, headers, body), parsed


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vectors_of_the_official_signer(vector: Mapping[str, Any]) -> None:
    request, parsed = vector_request(vector)
    canonical = signing.canonical_request(request, parsed.signed_headers)
    assert canonical == vector["canonical"]
    assert signing.expected_signature(canonical, date="20260102T030405Z", secret_key=VECTOR_SECRET) == parsed.value


def test_the_vector_that_the_vendor_publishes() -> None:
    request = Request(
        "GET",
        "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs",
        "limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
        {"Content-Type": "application/json", "Host": "service.region.example.com", "X-Sdk-Date": "20191115T033655Z"},
    )
    canonical = signing.canonical_request(request, ("content-type", "host", "x-sdk-date"))
    signature = signing.expected_signature(
        canonical, date="20191115T033655Z", secret_key="MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"
    )
    assert signature == "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"


def signed_call(
    rig: Rig,
    path: str,
    *,
    key: tuple[str, str] = KEY,
    headers: Mapping[str, str] | None = None,
    unsigned: Mapping[str, str] | None = None,
    lost: str = "",
    age_seconds: float = 0.0,
    sign_date: bool = True,
    body: bytes = b"",
    sent_body: bytes | None = None,
    service: str = "evs",
) -> Response:
    """Sign like a client would, then spoil what the test wants spoiled."""
    date = datetime.fromtimestamp(rig.now - age_seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
    content = {"Content-Type": "application/json", "Host": "evs.example.com", "X-Sdk-Date": date, **(headers or {})}
    method = "POST" if body else "GET"
    path = path.replace("{p}", rig.project_id)
    names = tuple(sorted(name.lower() for name in content if sign_date or name != "X-Sdk-Date"))
    canonical = signing.canonical_request(Request(method, rig.prefix + path, (), content, body), names)
    value = signing.expected_signature(canonical, date=date, secret_key=key[1])
    authorization = f"SDK-HMAC-SHA256 Access={key[0]}, SignedHeaders={';'.join(names)}, Signature={value}"
    content = {**content, **(unsigned or {}), "Authorization": authorization}
    content.pop(lost, None)
    return rig.raw(service, method, path, body if sent_body is None else sent_body, headers=content)


VOLUME = f"/v2/{{p}}/volumes/{disk_id(1)}"


def project(rig: Rig) -> dict[str, str]:
    return {"X-Project-Id": rig.project_id}


def assert_refused(response: Response, text: str) -> None:
    assert response.status == 401
    assert response.json()["error_code"] == "APIGW.0301"
    assert text in response.json()["error_msg"]


def test_a_good_signature_is_let_in() -> None:
    rig = Rig()
    assert signed_call(rig, VOLUME, headers=project(rig)).status == 200
    assert signed_call(rig, VOLUME, unsigned=project(rig)).status == 200


def test_a_signature_covers_the_path_prefix() -> None:
    rig = Rig(prefix="/gw")
    assert signed_call(rig, VOLUME, headers=project(rig)).status == 200


@pytest.mark.parametrize("age_seconds", [901.0, -901.0])
def test_15_minutes_of_clock_difference_are_the_most(age_seconds: float) -> None:
    rig = Rig()
    assert signed_call(rig, VOLUME, headers=project(rig), age_seconds=age_seconds * 0.99).status == 200
    refused = signed_call(rig, VOLUME, headers=project(rig), age_seconds=age_seconds)
    assert_refused(refused, "signature expired, signature time:")
    assert "server time:20" in refused.json()["error_msg"]


def test_a_signed_header_must_arrive() -> None:
    rig = Rig()
    assert_refused(signed_call(rig, VOLUME, headers=project(rig), lost="Content-Type"), "content-type not found")


def test_the_date_must_be_signed_and_readable() -> None:
    rig = Rig()
    assert_refused(signed_call(rig, VOLUME, headers=project(rig), sign_date=False), "must be signed")
    assert_refused(signed_call(rig, VOLUME, headers={**project(rig), "X-Sdk-Date": "today"}), "format error")


def test_a_changed_body_breaks_the_signature() -> None:
    rig = Rig()
    path = f"/v2/{{p}}/volumes/{disk_id(1)}/metadata"
    body = b'{"metadata": {"a": "b"}}'
    assert signed_call(rig, path, headers=project(rig), body=body).status == 200
    refused = signed_call(rig, path, headers=project(rig), body=body, sent_body=b'{"metadata": {"a": "c"}}')
    assert_refused(refused, "verify aksk signature fail, canonicalRequest:POST|/v2/")


def test_a_claimed_body_hash_must_fit() -> None:
    rig = Rig()
    path = f"/v2/{{p}}/volumes/{disk_id(1)}/metadata"
    headers = {**project(rig), "X-Sdk-Content-Sha256": "0" * 64}
    assert_refused(signed_call(rig, path, headers=headers, body=b"{}"), "does not fit the body")


def test_a_wrong_secret_and_an_unknown_key_are_refused() -> None:
    rig = Rig()
    assert_refused(signed_call(rig, VOLUME, headers=project(rig), key=(KEY[0], "wrong")), "verify aksk signature fail")
    assert_refused(signed_call(rig, VOLUME, headers=project(rig), key=("NOBODY", KEY[1])), "ak does not exist")


def test_an_unreadable_authorization_is_refused() -> None:
    rig = Rig()
    headers = {"Authorization": "SDK-HMAC-SHA256 Credential=AK/20260102/eu-de/evs/sdk_request, Signature=00"}
    assert_refused(rig.raw("evs", "GET", "/v2/x/volumes/y", headers=headers), "format error")


def test_a_temporary_key_needs_its_security_token() -> None:
    rig = Rig()
    token = {"X-Security-Token": SECURITY_TOKEN}
    assert signed_call(rig, VOLUME, headers={**project(rig), **token}, key=TEMPORARY).status == 200
    assert signed_call(rig, VOLUME, headers=project(rig), unsigned=token, key=TEMPORARY).status == 200
    assert_refused(signed_call(rig, VOLUME, headers=project(rig), key=TEMPORARY), "security token")
    assert_refused(signed_call(rig, VOLUME, headers={**project(rig), **token}), "security token")


@pytest.mark.parametrize(("header", "context"), [({}, "null"), ({"X-Project-Id": "other"}, "other")])
def test_a_signed_request_must_name_its_project(header: dict[str, str], context: str) -> None:
    refused = signed_call(Rig(), VOLUME, headers=header)
    assert refused.status == 400
    assert refused.json()["badRequest"]["code"] == "401"
    assert f"Context's project_id '{context}'" in refused.json()["badRequest"]["message"]


def test_a_key_does_not_reach_into_an_unknown_project() -> None:
    rig = Rig()
    refused = signed_call(rig, "/v2/nowhere/volumes/x", headers={"X-Project-Id": "nowhere"})
    assert (refused.status, refused.json()["error"]["code"]) == (400, "Common.0018")


def test_iam_takes_signatures_without_a_project() -> None:
    rig = Rig()
    assert signed_call(rig, "/v3/auth/projects", service="iam").json()["projects"][0]["id"] == rig.project_id
