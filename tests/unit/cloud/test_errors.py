# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every shape of an error, every status of the two documents that the project started from, every documented code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import errors
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import Redactor, from_answer
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import ErrorInfo, Failure
from hypothesis import given
from hypothesis import strategies as st

WHAT = "restoring disk d1 from backup b1"
REFUSED, BUSY, MISSING, DENIED, LOST = (
    Failure.REFUSED,
    Failure.BUSY,
    Failure.MISSING,
    Failure.DENIED,
    Failure.LOST,
)


def told(
    status: int,
    document: object = None,
    *,
    raw: bytes | None = None,
    headers: dict[str, str] | None = None,
    write: bool = True,
) -> ErrorInfo:
    body = raw if raw is not None else (b"" if document is None else json.dumps(document).encode("utf-8"))
    return from_answer(status, headers or {}, body, what=WHAT, may_have_arrived=write)


CODE, TEXT = "VolumeBackup.0209", "The disk is too small"
SHAPES: dict[str, Any] = {
    "error_code": {"error_code": CODE, "error_msg": TEXT},
    "gateway": {"error_msg": TEXT, "error_code": CODE, "request_id": "0123"},
    "errorCode": {"errorCode": CODE, "errorMsg": TEXT},
    "flat": {"code": CODE, "message": TEXT},
    "error": {"error": {"code": CODE, "message": TEXT}},
    "error with title": {"error": {"code": CODE, "message": TEXT, "title": "Bad Request"}},
    "badRequest": {"badRequest": {"code": CODE, "message": TEXT}},
    "badrequest": {"badrequest": {"code": CODE, "message": TEXT}},
    "itemNotFound": {"itemNotFound": {"code": CODE, "message": TEXT}},
    "forbidden": {"forbidden": {"code": CODE, "message": TEXT}},
    "conflictingRequest": {"conflictingRequest": {"code": CODE, "message": TEXT}},
    "overLimit": {"overLimit": {"code": CODE, "message": TEXT}},
    "computeFault": {"computeFault": {"code": CODE, "message": TEXT}},
    "any name": {"somethingNew": {"code": CODE, "message": TEXT}},
    "deep": {"a": {"b": {"error_code": CODE, "error_msg": TEXT}}},
    "pair beside noise": {"message": "outer half", "error": {"code": CODE, "message": TEXT}},
    "both, the first pair wins": {"error_code": CODE, "error_msg": TEXT, "code": "X", "message": "Y"},
}


@pytest.mark.parametrize("document", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("status", [400, 404, 500])
def test_every_shape_tells_code_and_text(document: object, status: int) -> None:
    info = told(status, document)
    assert (info.code, info.kind, info.http_status) == (CODE, REFUSED, status)
    assert info.message == f"{WHAT}: {TEXT}"
    assert "at least as large" in info.remedy
    assert CODE in str(info)
    assert TEXT in str(info)
    assert str(status) in str(info)


def test_numbers_as_codes() -> None:
    assert told(400, {"error": {"code": 400, "message": "m", "title": "Bad Request"}}).code == "400"
    assert told(404, {"itemNotFound": {"code": 404, "message": "m"}}).kind is MISSING


@pytest.mark.parametrize(
    ("document", "code", "text"),
    [
        ({"error_code": "A.1"}, "A.1", '{"error_code": "A.1"}'),
        ({"message": "only words"}, "", "only words"),
        ({"error": {"message": "only words"}}, "", "only words"),
        ({"error": "just text"}, "", '{"error": "just text"}'),
        ({"error_code": None, "error_msg": None, "code": "B.2", "message": "m"}, "B.2", "m"),
        ({"error": {"code": "C.3", "message": "m", "details": [{"code": "D", "message": "more"}]}}, "C.3", "m; more"),
        ({"error": {"code": "C.3", "message": "m", "details": {"message": "more"}}}, "C.3", "m; more"),
        (
            {
                "error": {"code": "Ecs.0611", "message": "m"},
                "internalError": [{"id": "s1", "error_code": "E", "error_message": "off"}],
            },
            "Ecs.0611",
            "m; off",
        ),
    ],
)
def test_odd_shapes_tell_what_they_can(document: object, code: str, text: str) -> None:
    info = told(400, document)
    assert (info.code, info.message) == (code, f"{WHAT}: {text}")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", "the answer is empty"),
        (b" \r\n ", "the answer is empty"),
        (b"<html>\n<h1>502 Bad Gateway</h1></html>", "<html> <h1>502 Bad Gateway</h1></html>"),
        (b"\x00\x1b[31mred\x07", "[31mred"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 5000, "x" * 200),
        (b'["a list"]', '["a list"]'),
        (b"null", "null"),
        (b"17", "17"),
        (b"{}", "{}"),
        (b'{"a":', '{"a":'),
        (b"[" * 100_000, "[" * 200),
    ],
)
def test_garbage_gives_status_and_first_characters(raw: bytes, text: str) -> None:
    info = told(502, raw=raw)
    assert (info.message, info.http_status, info.code) == (f"{WHAT}: {text}", 502, "")


def test_long_messages_are_cut() -> None:
    assert len(told(400, {"code": "x" * 9000, "message": "y" * 9000}).as_dict()["message"]) < 1100


@pytest.mark.parametrize(
    ("document", "headers", "request_id"),
    [
        ({"error_code": "a", "error_msg": "b", "request_id": "from-body"}, {"X-Request-Id": "h"}, "from-body"),
        ({"error": {"code": "a", "message": "b", "request_id": "inner"}}, {}, "inner"),
        ({"error_code": "a", "error_msg": "b"}, {"x-request-id": "from-header"}, "from-header"),
        (None, {"X-Request-Id": "from-header"}, "from-header"),
        (None, {}, ""),
    ],
)
def test_request_id(document: object, headers: dict[str, str], request_id: str) -> None:
    assert told(500, document, headers=headers).request_id == request_id


def test_the_encoded_authorization_message_is_kept_whole() -> None:
    encoded = "AbC0" * 500
    info = told(403, {"error_code": "PAP.0001", "error_msg": "denied", "encoded_authorization_message": encoded})
    assert encoded in info.remedy
    assert info.kind is DENIED


# --- status alone ---

# All of the VBS document's table, and what gateways add. (status, what a write may believe)
STATUSES = [
    (400, REFUSED), (401, DENIED), (403, DENIED), (404, MISSING), (405, REFUSED), (406, REFUSED), (407, DENIED),
    (408, LOST), (409, REFUSED), (500, LOST), (501, REFUSED), (502, LOST), (503, LOST), (504, LOST),
    (413, REFUSED), (414, REFUSED), (418, REFUSED), (429, BUSY), (302, REFUSED), (307, REFUSED), (505, LOST),
    (599, LOST),
]  # fmt: skip


@pytest.mark.parametrize(("status", "kind"), STATUSES)
@pytest.mark.parametrize(
    "document", [None, {"error": {"code": "Unknown.1234", "message": "m"}}], ids=["empty", "unknown"]
)
def test_status(status: int, kind: Failure, document: object) -> None:
    info = told(status, document)
    assert info.kind is kind
    assert info.remedy.endswith(".")
    assert str(status) in str(info)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 599])
def test_only_a_lost_write_is_told_to_look_first(status: int) -> None:
    assert told(status).remedy == errors.LOOK_FIRST
    if status != 408:
        assert told(status, write=False).remedy != errors.LOOK_FIRST


def test_a_status_inside_a_native_error_is_the_truer_one() -> None:
    """ECS answers so when a signed request names no project."""
    document = {"badRequest": {"message": "project_id 'a' doesn't match Context's project_id 'null'", "code": "401"}}
    assert told(400, document).kind is DENIED
    assert told(400, {"itemNotFound": {"message": "m", "code": 404}}).kind is MISSING
    assert told(500, {"computeFault": {"message": "m", "code": 400}}).kind is LOST, "a 5xx stays doubtful"
    assert told(400, {"computeFault": {"message": "m", "code": 500}}).kind is REFUSED


def test_a_429_is_always_a_later() -> None:
    """The status that Nova writes into it was taken for the truer one, and the call for refused by a quota."""
    assert told(429, {"overLimit": {"code": 413, "message": "rate"}}).kind is BUSY
    assert told(429, {"error": {"code": "400", "message": "rate"}}).kind is BUSY
    assert told(429, {"error_code": "EVS.5413", "error_msg": "quota"}).kind is REFUSED, "a code that is known says more"


@pytest.mark.parametrize(
    ("document", "headers", "kind"),
    [
        ({"overLimit": {"code": 413, "message": "rate"}}, {"Retry-After": "5"}, BUSY),
        ({"overLimit": {"code": 413, "message": "rate"}}, {}, REFUSED),
        ({"overLimit": {"code": 413, "message": "quota"}}, {"Retry-After": "0"}, REFUSED),  # as Cinder says it
        ({"error_code": "EVS.5413", "error_msg": "quota"}, {"Retry-After": "5"}, REFUSED),
        ({"error_code": "APIGW.0201", "error_msg": "too large"}, {"Retry-After": "5"}, REFUSED),
        (None, {"Retry-After": "5"}, BUSY),
    ],
)
def test_a_413_that_names_a_time_is_a_later(document: object, headers: dict[str, str], kind: Failure) -> None:
    info = told(413, document, headers=headers)
    assert (info.kind, info.retry_after_seconds if kind is BUSY else 5.0) == (kind, 5.0)


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"badRequest": {"code": 400, "message": "m"}}, REFUSED),
        ({"itemNotFound": {"code": 404, "message": "m"}}, MISSING),
        ({"error": {"code": "429", "message": "m"}}, BUSY),
        ({"computeFault": {"code": 500, "message": "m"}}, LOST),
        ({"error_code": "HSS.0041", "error_msg": "internal"}, LOST),
        ({"error_code": "New.1", "error_msg": "m"}, REFUSED),
    ],
)
def test_a_success_leaves_the_judgement_to_the_error_in_it(document: object, kind: Failure) -> None:
    assert told(200, document).kind is kind
    assert told(200, document, write=False).kind is REFUSED, "nothing is gone because of an odd answer to a read"


@pytest.mark.parametrize("inner", [{"code": "Common.0024", "message": "busy"}, {"error_code": "Common.0024"}])
def test_a_success_beside_an_error_is_not_what_is_told(inner: dict[str, str]) -> None:
    info = told(202, {"code": "0", "message": "success", "error": inner})
    assert (info.kind, info.code) == (BUSY, "Common.0024")


# --- codes ---

CODES = [
    ("APIGW.0101", 404, REFUSED), ("APIGW.0201", 413, REFUSED), ("APIGW.0201", 414, REFUSED),
    ("APIGW.0201", 504, LOST), ("APIGW.0301", 401, DENIED), ("APIGW.0302", 403, DENIED), ("APIGW.0303", 401, DENIED),
    ("APIGW.0307", 401, DENIED), ("APIGW.0308", 429, BUSY),
    ("IAM.0007", 400, REFUSED), ("IAM.0011", 400, REFUSED), ("IAM.0061", 401, DENIED), ("IAM.0066", 401, DENIED),
    ("IAM.0067", 401, DENIED), ("IAM.1105", 400, DENIED), ("IAM.1108", 400, DENIED),
    ("HSS.0001", 400, REFUSED), ("HSS.0002", 400, REFUSED), ("HSS.0010", 400, DENIED), ("HSS.0011", 400, MISSING),
    ("HSS.0013", 400, DENIED), ("HSS.0014", 400, REFUSED), ("HSS.0041", 500, LOST), ("HSS.0041", 400, REFUSED),
    ("HSS.1001", 400, REFUSED), ("HSS.1021", 400, REFUSED),
    ("VolumeBackup.0013", 400, BUSY), ("VolumeBackup.0014", 400, REFUSED), ("VolumeBackup.0014", 500, LOST),
    ("VolumeBackup.0041", 400, DENIED), ("VolumeBackup.0042", 400, DENIED), ("VolumeBackup.0044", 400, DENIED),
    ("VolumeBackup.0064", 400, REFUSED), ("VolumeBackup.0089", 400, REFUSED), ("VolumeBackup.0111", 400, MISSING),
    ("VolumeBackup.0200", 400, REFUSED), ("VolumeBackup.0200", 500, LOST), ("VolumeBackup.0201", 400, LOST),
    ("VolumeBackup.0202", 400, REFUSED), ("VolumeBackup.0203", 400, REFUSED), ("VolumeBackup.0204", 400, REFUSED),
    ("VolumeBackup.0205", 500, REFUSED), ("VolumeBackup.0206", 400, BUSY), ("VolumeBackup.0207", 400, MISSING),
    ("VolumeBackup.0208", 400, REFUSED), ("VolumeBackup.0209", 400, REFUSED), ("VolumeBackup.0210", 400, REFUSED),
    ("VolumeBackup.0211", 400, REFUSED), ("VolumeBackup.0900", 503, LOST), ("AutoBackup.0003", 400, DENIED),
    ("Common.0011", 400, MISSING), ("common.0011", 400, MISSING), ("Common.0013", 400, DENIED),
    ("Common.0018", 400, DENIED), ("Common.0021", 400, REFUSED), ("Common.0022", 400, REFUSED),
    ("Common.0024", 202, BUSY), ("Common.0025", 400, BUSY), ("Common.1503", 429, BUSY),
    ("EVS.1044", 400, REFUSED), ("EVS.1046", 400, REFUSED), ("EVS.1049", 400, REFUSED), ("EVS.2024", 500, REFUSED),
    ("EVS.2025", 500, REFUSED), ("EVS.2047", 400, REFUSED), ("EVS.2068", 400, REFUSED), ("EVS.2089", 400, REFUSED),
    ("EVS.5400", 400, REFUSED), ("EVS.5413", 413, REFUSED), ("EVS.5503", 503, LOST),
    ("Ecs.0005", 400, REFUSED), ("Ecs.0017", 400, REFUSED), ("Ecs.0023", 400, DENIED), ("Ecs.0057", 400, REFUSED),
    ("Ecs.0100", 400, BUSY), ("Ecs.0101", 400, REFUSED), ("Ecs.0102", 400, REFUSED), ("Ecs.0103", 400, BUSY),
    ("Ecs.0104", 400, REFUSED), ("Ecs.0105", 400, REFUSED), ("Ecs.0111", 400, REFUSED), ("Ecs.0118", 400, REFUSED),
    ("Ecs.0121", 400, REFUSED), ("Ecs.0205", 400, REFUSED), ("Ecs.0226", 400, REFUSED), ("Ecs.0603", 501, BUSY),
    ("Ecs.0605", 400, REFUSED), ("Ecs.0611", 400, REFUSED), ("Ecs.1000", 400, LOST), ("Ecs.1002", 400, LOST),
    ("BackupService.0002", 500, BUSY), ("BackupService.2001", 400, REFUSED), ("BackupService.2002", 400, BUSY),
    ("BackupService.2003", 400, REFUSED), ("BackupService.2005", 400, REFUSED), ("BackupService.2007", 400, REFUSED),
    ("BackupService.2008", 400, REFUSED), ("BackupService.2009", 400, REFUSED), ("BackupService.2010", 400, BUSY),
    ("BackupService.2011", 400, REFUSED), ("BackupService.2012", 400, REFUSED), ("BackupService.2013", 400, REFUSED),
    ("BackupService.2014", 400, REFUSED), ("BackupService.2015", 400, REFUSED), ("BackupService.6202", 400, REFUSED),
    ("BackupService.6216", 400, BUSY), ("BackupService.6500", 404, MISSING), ("BackupService.7004", 400, REFUSED),
    ("BackupService.7008", 400, REFUSED), ("BackupService.7009", 500, BUSY), ("BackupService.7114", 400, REFUSED),
    ("BackupService.7115", 400, REFUSED), ("BackupService.7117", 400, REFUSED), ("BackupService.7201", 400, REFUSED),
    ("BackupService.9900", 400, REFUSED), ("BackupService.9910", 500, LOST), ("BackupService.9998", 500, DENIED),
]  # fmt: skip


@pytest.mark.parametrize(("code", "status", "kind"), CODES)
def test_code(code: str, status: int, kind: Failure) -> None:
    for spelled in (code, code.lower(), code.upper()):
        info = told(status, {"error": {"code": spelled, "message": "m"}})
        assert info.kind is kind
        assert info.code == spelled
        assert info.remedy.endswith((".", ")."))


def test_every_code_of_the_table_is_tested() -> None:
    tested = {code.lower() for code, _status, _kind in CODES} | {f"hss.{number}" for number in range(1001, 1022)}
    assert set(errors.CODES) == tested


def test_what_nova_said_inside_ecs() -> None:
    assert told(400, {"error": {"code": "Ecs.1000", "message": "itemNotFound: no such volume"}}).kind is MISSING


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("APIGW.0101", "region"),
        ("IAM.0061", "locked"),
        ("VolumeBackup.0205", "detach"),
        ("VolumeBackup.0205", "recovery_run"),
        ("VolumeBackup.0209", "as large as"),
    ],
)
def test_remedies_name_the_next_step(code: str, words: str) -> None:
    assert words in told(400, {"error_code": code, "error_msg": "m"}).remedy


@pytest.mark.parametrize(
    ("document", "no"),
    [
        ({"job_id": "j"}, False),
        ({"error": {"code": "a", "message": "b"}}, True),
        ({"code": "a", "message": "b"}, True),
        ({"error_code": "a", "error_msg": "b"}, True),
        ({"job_id": "", "message": "b", "code": "a"}, True),
        ({"status": "FAIL", "job_id": "j", "error_code": "a", "fail_reason": "b"}, False),
        ({"status": "FAIL", "error_code": "a", "fail_reason": "b"}, False),
        ({"error_info": {"code": "a", "message": "b"}}, False),
        ({"code": None, "message": None}, False),
        ({"code": 0, "message": "success"}, False),
        ({"error_code": "0", "error_msg": "success"}, False),
        ({"code": 200, "message": "ok"}, False),
        ({"error": {"code": "200", "message": "OK"}}, False),
        ({"code": 0, "message": "success", "error": {"code": "a", "message": "b"}}, True),
        ({"code": "200", "message": "ok", "error_code": "a", "error_msg": "b"}, True),
        ({"code": 404, "message": "b"}, True),
        ({"code": "00", "message": "b"}, True),
        ({}, False),
    ],
)
def test_an_error_in_a_success(document: dict[str, Any], no: bool) -> None:
    assert errors.said_no(document) is no
    if document.get("error_code") != "a":  # of a job, which nobody gets from an order
        assert errors.said_no(document, order=True) is no


@pytest.mark.parametrize(
    ("document", "no"),
    [
        ({"status": "RUNNING", "code": "Common.0000", "message": "processing"}, False),
        ({"status": "RUNNING", "code": "Common.1234", "message": "processing"}, False),
        ({"status": "SUCCESS", "code": "Common.0000", "message": "done"}, False),
        ({"status": "SUCCESS", "code": "Common.0021", "message": "no"}, True),
        ({"status": 500, "code": "Common.0021", "message": "no"}, True),
        ({"status": "ERROR", "code": "Common.0021", "message": "no"}, True),
        ({"code": "Common.0011", "message": "no such job"}, True),
    ],
)
def test_a_job_that_tells_of_itself(document: dict[str, Any], no: bool) -> None:
    """A job under way that bore a code and a message was taken for one that may not be asked for."""
    assert errors.said_no(document, job=True) is no


NO, UNSURE, YES = "no", "unsure", "yes"
ORDERED = [
    ({"error_code": "HSS.1021", "error_msg": ""}, NO),
    ({"error_code": "HSS.0011"}, NO),
    ({"errorCode": "X.1"}, NO),
    ({"error_msg": "denied"}, NO),
    ({"error_code": None, "error_msg": "denied"}, NO),
    ({"error": {"message": "boom"}}, NO),
    ({"error": {"code": "X.1"}}, NO),
    ({"error": {"error_msg": "boom"}}, NO),
    ({"error": "boom"}, NO),
    ({"errors": [{"message": "boom"}]}, NO),
    ({"badRequest": {"code": 400, "message": "bad"}}, NO),
    ({"ITEMNOTFOUND": {"message": "bad"}}, NO),
    ({"overLimit": {"code": 413}}, NO),
    ({"errorCode": "X.1", "message": "no"}, NO),
    ({"success": True, "error_code": "X.1"}, NO),
    ({"code": 400, "message": None}, UNSURE),
    ({"code": "X.1"}, UNSURE),
    ({"message": "denied"}, UNSURE),
    ({"success": False}, UNSURE),
    ({"result": "Failed"}, UNSURE),
    ({"status": "FAIL"}, UNSURE),
    ({"status": 500}, UNSURE),
    ({"status": "\u00b2"}, YES),
    ({"error": True}, UNSURE),
    ({}, YES),
    ({"task_id": "t1"}, YES),
    ({"result": "success"}, YES),
    ({"success": True}, YES),
    ({"status": "running"}, YES),
    ({"status": 200}, YES),
    ({"message": "success"}, YES),
    ({"message": "Accepted.", "task_id": "t1"}, YES),
    ({"code": 0}, YES),
    ({"code": 202, "message": "on its way"}, YES),
    ({"code": "Common.0000", "message": "on its way"}, YES),
    ({"error_code": "0", "error_msg": "none"}, YES),
    ({"error_code": None, "error_msg": None}, YES),
    ({"error_msg": "success"}, YES),
    ({"error": None}, YES),
    ({"error": {}}, YES),
    ({"error": ""}, YES),
    ({"error": False}, YES),
    ({"error": 0}, YES),
    ({"error": {"code": "200", "message": "OK"}}, YES),
    ({"metadata": {"error": "a word of the user", "code": "x", "message": "y"}}, YES),
    ({"job_id": "j", "error_code": "X.1", "message": "later"}, YES),
]


@pytest.mark.parametrize(("document", "meant"), ORDERED, ids=[json.dumps(document) for document, _meant in ORDERED])
def test_what_an_order_is_answered_with(document: dict[str, Any], meant: str) -> None:
    no = errors.said_no(document, order=True)
    assert (NO if no else UNSURE if errors.looks_like_no(document) else YES) == meant


# --- secrets ---

SECRETS = ("Token+/==Value", 'pa"ss wörd\\', "SKsecret")


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", ["message", "code", "request_id", "raw", "what", "encoded", "cut", "header"])
def test_no_secret_comes_through(secret: str, place: str) -> None:
    document = {
        "message": {"error_code": "A", "error_msg": f"bad {secret}!"},
        "code": {"error_code": f"x{secret}", "error_msg": "m"},
        "request_id": {"error_code": "A", "error_msg": "m", "request_id": secret},
        "encoded": {"error_code": "A", "error_msg": "m", "encoded_authorization_message": secret},
        "cut": {"error_code": "A", "error_msg": "x" * (1000 - len(secret) // 2) + secret},
    }.get(place)
    raw = f"<html>{secret}</html>".encode() if place == "raw" else json.dumps(document).encode()
    headers = {"X-Request-Id": secret} if place == "header" else {}
    what = f"doing {secret}" if place == "what" else WHAT
    info = from_answer(400, headers, raw, what=what, may_have_arrived=True, redactor=Redactor(SECRETS))
    shown = str(errors.CloudError(info)) + repr(info)
    for spelled in (secret, json.dumps(secret)[1:-1], secret[: len(secret) // 2]):
        assert spelled not in shown


def test_a_quoted_canonical_request_loses_its_token() -> None:
    text = (
        "Incorrect IAM authentication information: verify aksk signature fail, canonicalRequest:GET|/v1/x/|limit=1|"
        "host:h|x-sdk-date:20260102T030405Z|x-security-token:UnknownToken/+=||host;x-sdk-date|e3b0"
    )
    info = told(401, {"error_code": "APIGW.0301", "error_msg": text})
    assert "UnknownToken" not in str(info)
    assert "x-sdk-date:20260102T030405Z" in str(info)


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Cannot reach http://user:geheim@proxy.example:3128/", "geheim"),
        ("407 GET /|Proxy-Authorization:Basic dXNlcjpnZWhlaW0=|Host:x", "dXNlcjpnZWhlaW0"),
        ('{\\"authorization\\": \\"Bearer abc.def-ghi\\"}', "abc.def"),
        ('{"X-Auth-Token": "abcdef"}', "abcdef"),
        ("X-Subject-Token=abcdef", "abcdef"),
        ("Access=AK, SignedHeaders=host, Signature=0123456789abcdef0123", "0123456789abcdef"),
    ],
)
def test_secrets_that_nobody_named(text: str, gone: str) -> None:
    assert gone not in Redactor().text(text)


def test_a_secret_inside_another_one() -> None:
    assert "longer" not in Redactor(("secret", "secret-longer")).text("a secret-longer b")
    assert Redactor(("", " ")).text("a b")


@given(st.text(min_size=1), st.text(), st.text())
def test_redaction_is_complete(secret: str, before: str, after: str) -> None:
    mask = "********"
    cleaned = Redactor((secret,)).text(before + secret + after)
    assert mask in cleaned
    assert secret not in cleaned or secret in mask or mask[:1] in secret


# --- nothing makes it fail ---

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "code", "message", "error_code", "error_msg", "details", "internalError", "request_id"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.integers(100, 599),
    st.binary(max_size=200) | _JSON.map(lambda document: json.dumps(document).encode()),
    st.dictionaries(st.sampled_from(["Retry-After", "Date", "X-Request-Id"]), st.text(max_size=40)),
    st.booleans(),
)
def test_any_answer_gives_one_failure(status: int, body: bytes, headers: dict[str, str], write: bool) -> None:
    info = from_answer(status, headers, body, what=WHAT, may_have_arrived=write)
    assert info.http_status == status
    assert info.message.startswith(WHAT)
    assert info.remedy
    assert info.retry_after_seconds is None or 0 <= info.retry_after_seconds <= 3600
    assert str(errors.CloudError(info)).isprintable()
