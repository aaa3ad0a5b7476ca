# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The signer against texts of the vendor: one published vector, and twelve made with the official SDK 3.1.219."""

from __future__ import annotations

import calendar
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import signing
from hypothesis import given
from hypothesis import strategies as st

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("signing_vectors.json").read_text(encoding="utf-8"))
KEYS = {"access_key": "AKFAKEACCESSKEY00001", "secret_key": "SkFakeSecretKeyForTestVectorsOnly0000001"}
PROJECT = "0123456789abcdef0123456789abcdef"
NOW = float(calendar.timegm((2026, 1, 2, 3, 4, 5)))


def _plain(pairs: list[list[Any]]) -> list[tuple[str, object]]:
    return [(pair[0], pair[1]) for pair in pairs]


def _given(vector: dict[str, Any]) -> tuple[str, dict[str, str], bytes | None, str]:
    query = signing.query_text(_plain(vector["query"]))
    url = f"https://{vector['host']}{vector['resource_path']}" + (f"?{query}" if query else "")
    headers = dict(vector["input_headers"])
    sent = vector["sent_headers"]
    headers |= {"X-Project-Id": PROJECT} if "X-Project-Id" in sent else {}
    headers |= {"X-Domain-Id": "d0" * 16} if "X-Domain-Id" in sent else {}
    token = "FakeSecurityToken/+=" if "X-Security-Token" in sent else ""
    body = vector["body"].encode("utf-8") if vector["body"] is not None else None
    return url, headers, body, token


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"].split()[0])
def test_official_vector(vector: dict[str, Any]) -> None:
    url, headers, body, token = _given(vector)
    signed = signing.sign(vector["method"], url, headers, body, **KEYS, now=NOW, security_token=token)
    text, _names = signing.canonical_request(
        vector["method"], url, {name: value for name, value in signed.items() if name != "Authorization"}, body
    )
    assert text == vector["canonical"]
    assert hashlib.sha256(text.encode("utf-8")).hexdigest() == vector["cr_sha"]
    assert url.partition(vector["host"])[2] == vector["uri"], "what is sent is what is signed"
    assert signed["Authorization"] == vector["auth"]
    assert sorted(signed) == sorted(vector["sent_headers"])


def test_published_vector() -> None:
    """V0, from the vendor's guide to API request signing."""
    signed = signing.sign(
        "GET",
        "https://service.region.example.com/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs"
        "?limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
        {"content-type": "application/json", "x-sdk-date": "20191115T033655Z"},
        None,
        access_key="QTWAOYTTINDUT2QVKYUC",
        secret_key="MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc",
        now=0,
    )
    assert signed["Authorization"] == (
        "SDK-HMAC-SHA256 Access=QTWAOYTTINDUT2QVKYUC, SignedHeaders=content-type;host;x-sdk-date, "
        "Signature=7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"
    )


def test_makes_date_and_host_itself() -> None:
    signed = signing.sign("GET", "https://user@ecs.example.com:8443/v1", {}, None, **KEYS, now=NOW + 0.9)
    assert signed["X-Sdk-Date"] == "20260102T030405Z"
    assert signed["Host"] == "ecs.example.com:8443"


def test_signature_changes_with_everything_that_is_signed() -> None:
    url, headers, body = "https://evs.example.com/v2/p/a?x=1", {"Content-Type": "application/json"}, b"{}"
    variants = [
        ("POST", url, headers, body, "s", NOW),
        ("PUT", url, headers, body, "s", NOW),
        ("POST", url + "2", headers, body, "s", NOW),
        ("POST", url, {**headers, "region": "eu-de"}, body, "s", NOW),
        ("POST", url, headers, b"{ }", "s", NOW),
        ("POST", url, headers, body, "t", NOW),
        ("POST", url, headers, body, "s", NOW + 1),
    ]
    made = {
        signing.sign(method, where, fields, content, access_key="a", secret_key=secret, now=now)["Authorization"]
        for method, where, fields, content, secret, now in variants
    }
    assert len(made) == len(variants)


_TEXT = st.text(max_size=12).filter(lambda text: text.isprintable())


@given(st.lists(st.tuples(_TEXT, _TEXT), max_size=6))
def test_the_query_that_is_sent_is_canonical_already(pairs: list[tuple[str, str]]) -> None:
    query = signing.query_text(pairs)
    assert signing.query_text(signing._pairs(query)) == query


@given(_TEXT)
def test_canonical_path_is_stable(path: str) -> None:
    once = signing.canonical_path("/" + path.replace("%", ""))
    assert once.endswith("/")
    assert signing.canonical_path(once) == once
