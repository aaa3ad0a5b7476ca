# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenario files: the ones that come with the simulator, and everything that must be refused."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import pytest
from simulator.rig import Rig
from simulator.scenario import SCENARIO_FOLDER, ScenarioError, load, parse, parse_time

GOOD: dict[str, Any] = {
    "project": {"id": "p1", "name": "eu-de"},
    "users": [{"name": "u", "password": "p"}],
    "servers": [{"id": "s1", "name": "s1"}, {"id": "s2", "name": "s2", "az": "eu-de-02"}],
    "disks": [{"id": "d1", "name": "d1", "size": 1, "attached": {"server": "s1", "device": "/dev/vda"}}],
    "vbs_backups": [{"id": "b1", "volume_id": "d1", "size": 1}],
    "hss_backups": [
        {"id": "h1", "name": "h1", "server_id": "s1", "children": [{"id": "c1", "volume_id": "d1", "size": 1}]}
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """GOOD with one value changed; the path is like ``disks.0.size``."""
    document = copy.deepcopy(GOOD)
    place: Any = document
    *steps, last = path.split(".")
    for step in steps:
        place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
    place[last] = value
    return document


@pytest.mark.parametrize("name", sorted(path.name for path in SCENARIO_FOLDER.glob("*.yml")))
def test_the_scenarios_that_come_along(name: str) -> None:
    scenario = load(name)
    assert f"{scenario.name}.yml" == name
    assert load(name.removesuffix(".yml")) == scenario


def test_the_demo_has_what_it_promises() -> None:
    demo = load("demo.yml")
    assert sorted(server.status for server in demo.servers) == ["ACTIVE", "ACTIVE", "ACTIVE", "SHUTOFF"]
    protected = {backup.server_id for backup in demo.hss_backups}
    on_others = [disk for disk in demo.disks if disk.attached[0].server not in protected]
    assert (len(on_others), len(demo.disks)) == (8, 10)
    assert {disk.data for disk in demo.disks} == {"encrypted-by-ransomware"}
    for disk in on_others:
        assert len([backup for backup in demo.vbs_backups if backup.volume_id == disk.id]) >= 3


def test_the_example_is_good() -> None:
    assert parse(GOOD).disks[0].attached[0].device == "/dev/vda"


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("colour", "red", "unknown key 'colour'"),
        ("project", {"id": "p"}, "'name' is missing"),
        ("project", "p", "expected a mapping"),
        ("users", [], "nobody can log in"),
        ("disks.0.size", "big", "expected int"),
        ("disks.0.size", True, "expected int"),
        ("disks", "none", "expected a list"),
        ("disks.0.attached.server", "s9", "no server 's9'"),
        ("disks.0.attached.server", "s2", "another AZ"),
        ("disks.0.status", "broken", "status 'broken' is unknown"),
        ("disks.0.status", "available", "attached and available"),
        ("disks.0.id", "no id!", "is no id"),
        ("disks.0.metadata", "x", "expected a mapping"),
        ("servers.1.id", "s1", "appears twice"),
        ("servers.0.status", "ASLEEP", "ASLEEP"),
        ("vbs_backups.0.status", "fine", "unknown"),
        ("hss_backups.0.status", "fine", "unknown"),
        ("hss_backups.0.tag", 2, "tag"),
        ("hss_backups.0.server_id", "s9", "no server"),
        ("hss_backups.0.children", [], "neither children nor volume_id"),
        ("hss_backups.0.children.0.volume_id", "d9", "no disk"),
        ("behaviours", {"sub_jobs": "maybe"}, "none of list"),
        ("behaviours", {"restore_outcome": {"d1": "explode"}}, "none of ok"),
        ("behaviours", {"soft_stop": {"s1": ["hangs", "explode"]}}, "none of ok"),
        ("behaviours", {"ecs_job_outcome": {"stop": "explode"}}, "none of ok"),
        ("behaviours", {"ecs_job_outcome": {"reboot": "fail"}}, "none of stop"),
        ("behaviours", {"page_limit_cap": -1}, "must not be negative"),
        ("timing", {"stop": -1}, "must not be negative"),
        ("timing", {"vbs_restore_spread": 1.5}, "must not be greater than 1"),
        ("limits", {"rates": {"hss": {"requests": 0, "window_seconds": 1}}}, "greater than 0"),
        ("limits", {"rates": {"hss": 5}}, "greater than 0"),
    ],
)
def test_what_cannot_be(path: str, value: Any, text: str) -> None:
    with pytest.raises(ScenarioError, match=text):
        parse(changed(path, value))


@pytest.mark.parametrize("kind", ["vbs_backups", "hss_backups", "disks"])
def test_ids_are_there_once(kind: str) -> None:
    document = copy.deepcopy(GOOD)
    document[kind].append(document[kind][0])
    with pytest.raises(ScenarioError, match="appears twice"):
        parse(document)


def test_a_part_has_an_id_of_its_own() -> None:
    with pytest.raises(ScenarioError, match="appears twice"):
        parse(changed("hss_backups.0.children.0.id", "h1"))


def test_what_is_said_outright_counts() -> None:
    document = changed("vbs_backups.0.created_at", "2026-01-02T03:04:05Z")
    document["hss_backups"][0]["created_at"] = "2026-01-02T03:04:06Z"
    document["disks"][0]["status"] = "error"
    document["behaviours"] = {"restore_outcome": {"d1": ["stuck", "ok"]}}
    world = Rig(parse(document)).cloud.world
    assert world.vbs_backups["b1"].created_at == parse_time("2026-01-02T03:04:05Z")
    assert world.hss_backups["h1"].created_at == parse_time("2026-01-02T03:04:06Z")
    assert world.disks["d1"].status == "error"


def test_times_in_a_file_need_no_quotes(tmp_path: Path) -> None:
    path = tmp_path / "own.yml"
    path.write_text(
        "project: {id: p1, name: eu-de}\n"
        "users: [{name: u, password: p}]\n"
        "disks: [{id: d1, name: d1, size: 1, created_at: 2026-01-02T03:04:05Z}]\n"
    )
    assert parse_time(load(str(path)).disks[0].created_at) == parse_time("2026-01-02T03:04:05Z")


def test_two_disks_do_not_share_a_device() -> None:
    document = copy.deepcopy(GOOD)
    document["disks"].append({**document["disks"][0], "id": "d2"})
    with pytest.raises(ScenarioError, match="is taken"):
        parse(document)


def test_only_a_shared_disk_has_two_servers() -> None:
    places = [{"server": "s1", "device": "/dev/vda"}, {"server": "s1", "device": "/dev/vdb"}]
    with pytest.raises(ScenarioError, match="multiattach"):
        parse(changed("disks.0.attached", places))


def test_files_that_are_not_there_or_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no scenario file"):
        load("unheard-of")
    broken = tmp_path / "broken.yml"
    broken.write_text("a: [")
    with pytest.raises(ScenarioError, match="not YAML"):
        load(str(broken))


def test_times_without_a_zone_are_utc_wherever_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_time("1970-01-01T00:01:00") == 60.0
    finally:
        monkeypatch.undo()
        time.tzset()
    assert parse_time("1970-01-01T02:01:00+02:00") == 60.0
    assert parse_time("1970-01-01T00:01:00") == parse_time("1970-01-01T00:01:00Z") == 60.0
