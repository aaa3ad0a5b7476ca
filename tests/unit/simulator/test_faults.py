# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults by rules: what matches, how often, and everything that can go wrong."""

from __future__ import annotations

from typing import Any

import pytest
from simulator.faults import FaultError, Faults
from simulator.messages import Response
from simulator.rig import Rig, disk_id, vbs_id

VOLUME = f"/v2/{{p}}/volumes/{disk_id(3)}"
RESTORE = f"/v2/{{p}}/cloudbackups/{vbs_id(3)}/restore"


def rig_with(*rules: Any) -> Rig:
    rig = Rig()
    rig.login()
    rig.cloud.faults.add(rules)
    return rig


def read(rig: Rig) -> Response:
    return rig.call("evs", "GET", VOLUME)


def restore(rig: Rig) -> Response:
    return rig.call("vbs", "POST", RESTORE, {"restore": {"volume_id": disk_id(3)}})


def statuses(rig: Rig, count: int) -> list[int]:
    return [read(rig).status for _unused in range(count)]


def test_a_rule_fires_once_unless_told_otherwise() -> None:
    assert statuses(rig_with({"action": {"status": 500}}), 3) == [500, 200, 200]
    assert statuses(rig_with({"action": {"status": 500}, "times": 2}), 3) == [500, 500, 200]
    assert statuses(rig_with({"action": {"status": 500}, "times": None}), 3) == [500] * 3
    assert statuses(rig_with({"action": {"status": 500}, "nth": 2}), 3) == [200, 500, 200]
    assert statuses(rig_with({"action": {"status": 500}, "nth": [1, 3]}), 4) == [500, 200, 500, 200]
    assert statuses(rig_with({"action": {"status": 500}, "every": 2}), 4) == [200, 500, 200, 500]


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        ({"service": "evs"}, True),
        ({"service": "ecs"}, False),
        ({"method": "GET"}, True),
        ({"method": "POST"}, False),
        ({"api": "evs.show_volume"}, True),
        ({"api": "evs.list_volumes"}, False),
        ({"path": "volumes/d.*3$"}, True),
        ({"path": "^volumes"}, False),
    ],
)
def test_what_a_rule_matches(match: dict[str, str], hit: bool) -> None:
    assert (read(rig_with({**match, "action": {"status": 503}})).status == 503) is hit


def test_before_means_it_never_happened_and_after_means_it_did() -> None:
    before = rig_with({"service": "vbs", "action": {"drop": True}})
    assert restore(before).drop
    assert before.cloud.world.disks[disk_id(3)].status == "available"
    after = rig_with({"service": "vbs", "phase": "after", "action": {"drop": True}})
    assert restore(after).drop
    assert after.cloud.world.disks[disk_id(3)].status == "restoring-backup"


def test_a_late_request_arrives_after_its_answer() -> None:
    rig = rig_with({"service": "vbs", "action": {"late_seconds": 20}})
    refused = restore(rig)
    assert (refused.status, refused.json()["error_code"]) == (504, "APIGW.0201")
    rig.wait(19)
    assert rig.cloud.world.disks[disk_id(3)].status == "available"
    rig.wait(1)
    assert rig.cloud.world.disks[disk_id(3)].status == "restoring-backup"
    rig = rig_with({"service": "vbs", "action": {"late_seconds": 20, "drop": True}})
    assert restore(rig).drop


def test_throttling_with_and_without_a_time_to_wait() -> None:
    plain = read(rig_with({"action": {"throttle": True}}))
    assert (plain.status, plain.json()["error_code"]) == (429, "APIGW.0308")
    assert "Retry-After" not in plain.headers
    assert read(rig_with({"action": {"throttle": {"retry_after": 3}}})).headers["Retry-After"] == "3"


def test_202_without_a_job_is_throttling_too() -> None:
    rig = rig_with({"service": "vbs", "action": {"busy": True}})
    response = restore(rig)
    assert (response.status, response.json()["error"]["code"]) == (202, "Common.0024")
    assert rig.cloud.world.disks[disk_id(3)].status == "available"


def test_own_documents_texts_headers_and_delays() -> None:
    own = {"status": 409, "json": {"a": 1}, "headers": {"X-A": "b"}, "delay_seconds": 2}
    response = read(rig_with({"action": own}))
    assert (response.status, response.json(), response.headers["X-A"]) == (409, {"a": 1}, "b")
    assert response.delay_seconds == 2.0
    assert read(rig_with({"action": {"body": "moved", "status": 418}})).body == b"moved"
    delayed = read(rig_with({"phase": "after", "action": {"delay_seconds": 3}}))
    assert (delayed.status, delayed.delay_seconds) == (200, 3.0)


def test_an_error_that_quotes_the_request() -> None:
    rig = rig_with({"action": {"echo": True}}, {"action": {"echo": "text", "status": 500}})
    quoted = read(rig)
    assert (quoted.status, quoted.json()["error_code"]) == (400, "APIGW.0301")
    assert rig.token in quoted.json()["error_msg"]
    own = restore(rig)
    assert own.status == 500 and disk_id(3).encode() in own.body


def test_bodies_that_are_no_json() -> None:
    html = read(rig_with({"action": {"raw": "html"}}))
    assert (html.status, html.headers["Content-Type"]) == (502, "text/html")
    whole = read(rig_with())
    cut = read(rig_with({"phase": "after", "action": {"raw": "truncated"}}))
    assert whole.body.startswith(cut.body)
    assert len(cut.body) == len(whole.body) // 2
    assert read(rig_with({"action": {"raw": "empty"}})).body == b""
    login = rig_with({"phase": "after", "action": {"raw": "empty"}}).login()
    assert (login.status, login.body) == (201, b"")
    assert read(rig_with({"action": {"raw": "garbage", "status": 500}})).status == 500
    assert len(read(rig_with({"action": {"raw": "huge", "huge_bytes": 5000}})).body) > 5000
    with pytest.raises(UnicodeDecodeError):
        read(rig_with({"action": {"raw": "garbage"}})).body.decode()


def test_following_a_redirect_is_a_violation() -> None:
    rig = rig_with({"action": {"redirect": True}})
    moved = read(rig)
    assert moved.status == 307
    target, _unused, query = moved.headers["Location"].partition("?")
    assert rig.cloud.summary()["violations"] == []
    assert target == VOLUME.replace("{p}", rig.project_id)
    rig.call("evs", "GET", target, query=[tuple(query.split("="))])  # type: ignore[list-item]
    assert [entry["rule"] for entry in rig.cloud.summary()["violations"]] == ["redirect_followed"]
    elsewhere = rig_with({"action": {"redirect": "http://evil.example.com/x", "status": 302}})
    assert read(elsewhere).headers["Location"].startswith("http://evil.example.com/x")


def test_a_hold_lasts_until_the_rules_are_cleared() -> None:
    rig = rig_with({"action": {"hold": True}}, {"action": {"status": 500}})
    assert read(rig).drop
    assert read(rig).status == 500
    assert rig.cloud.faults.holding
    rig.cloud.faults.clear()
    assert not rig.cloud.faults.holding


def test_a_fault_is_seen_in_the_log() -> None:
    rig = rig_with({"name": "lost", "action": {"drop": True}})
    read(rig)
    assert (rig.cloud.log[-1].fault, rig.cloud.log[-1].status) == ("lost", 0)
    assert rig.cloud.faults.describe()[0]["fired"] == 1
    rig.cloud.faults.clear()
    assert rig.cloud.faults.describe() == []


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("drop", "must be an object"),
        ({}, "action must be an object"),
        ({"action": {}}, "action is empty"),
        ({"action": {"explode": True}}, "unknown key 'explode'"),
        ({"when": 1, "action": {"drop": True}}, "unknown key 'when'"),
        ({"phase": "during", "action": {"drop": True}}, "before or after"),
        ({"action": {"raw": "poem"}}, "action.raw"),
        ({"action": {"hold": True, "status": 500}}, "action.hold"),
        ({"action": {"raw": "truncated"}}, "needs phase after"),
        ({"action": {"delay_seconds": 1}}, "needs phase after"),
        ({"action": {"delay_seconds": -1, "drop": True}}, "number of seconds"),
        ({"phase": "after", "action": {"late_seconds": 1}}, "needs phase before"),
        ({"nth": None, "action": {"drop": True}}, "counts from 1"),
        ({"action": {"headers": "X"}}, "action.headers"),
        ({"action": {"status": "500"}}, "action.status"),
        ({"nth": 0, "action": {"drop": True}}, "counts from 1"),
        ({"every": 0, "action": {"drop": True}}, "every"),
        ({"times": 0, "action": {"drop": True}}, "times"),
        ({"path": "(", "action": {"drop": True}}, "regular expression"),
    ],
)
def test_rules_that_cannot_be(rule: Any, text: str) -> None:
    with pytest.raises(FaultError, match=text):
        Faults([rule])
