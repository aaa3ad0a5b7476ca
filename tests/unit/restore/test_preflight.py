# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a restore: each rule where it applies, and where it must not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import Phase, Standing
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import Attachment, ChildBackup
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.preflight import (
    ERROR,
    RULES,
    WARNING,
    Case,
    Limits,
    examine,
)
from builders import DATA, DAY, NOW, PROJECT, ROOT, SERVER, attachment, backup, disk, free, hss_backup, mark, server

GOOD = Case(
    target="db01",
    method="vbs",
    project_id=PROJECT,
    limits=Limits(NOW),
    volume_id=ROOT,
    disk=disk(),
    backup_id=backup().id,
    backup=backup(),
    server_id=SERVER,
    server=server(),
)
GOOD_HSS = replace(
    GOOD,
    method="hss",
    volume_id="",
    disk=None,
    backup_id=hss_backup().id,
    backup=hss_backup(),
    disks=(disk(ROOT), disk(DATA)),
)
OTHER = "5e000000-0000-4000-8000-000000000009"
BEGUN = [Standing.DETACH, Standing.SUBMIT, Standing.WATCH, Standing.ATTACH]


def case(base: Case = GOOD, **changes: Any) -> Case:
    limits = {name: changes.pop(name) for name in tuple(changes) if hasattr(base.limits, name)}
    return replace(base, limits=replace(base.limits, **limits), **changes)


def found(item: Case) -> list[str]:
    return [problem.code for problem in examine(item)]


def test_nothing_stands_against_a_good_case() -> None:
    assert (found(GOOD), found(GOOD_HSS)) == ([], [])


@dataclass(frozen=True)
class Row:
    """Cases in which a rule applies, and like ones in which it does not."""

    code: str
    bad: tuple[Case, ...]
    good: tuple[Case, ...]
    severity: str = ERROR
    says: tuple[str, ...] = field(default=())


SHARED = disk(attachments=(attachment(), Attachment(OTHER, "x", "/dev/vdb")), shared=True)
CHILD = ChildBackup("c9", resource_id="d9", resource_name="db09")

ROWS = [
    Row(
        "disk_missing",
        bad=(case(disk=None), case(disk=None, standing=Standing.FINISHED)),
        good=(GOOD_HSS,),
        says=(ROOT,),
    ),
    Row(
        "disk_broken",
        bad=tuple(case(disk=free(status=status)) for status in ("error", "error_restoring", "error_deleting")),
        good=(
            case(disk=free()),
            case(disk=free(status="error"), standing=Standing.FINISHED),
            case(disk=free(status="error_restoring"), standing=Standing.BROKEN),
        ),
        says=(ROOT, "error"),
    ),
    Row(
        "begun_disk_broken",
        bad=(case(disk=free(status="error_restoring"), standing=Standing.BROKEN),),
        good=(case(disk=free(status="error_restoring")),),
        severity=WARNING,
        says=(ROOT, "error_restoring", "all else is finished"),
    ),
    Row(
        "restore_running",
        bad=(case(disk=free(status="restoring-backup")),),
        good=tuple(case(disk=free(status="restoring-backup"), standing=stands) for stands in BEGUN),
        says=(ROOT, "somebody else"),
    ),
    Row(
        "disk_busy",
        bad=tuple(
            case(disk=free(status=status)) for status in ("creating", "attaching", "detaching", "backing-up", "odd")
        ),
        good=(
            case(disk=free()),
            case(disk=disk()),
            case(disk=free(status="restoring-backup")),
            *(case(disk=free(status="detaching"), standing=stands) for stands in BEGUN),
        ),
        says=(ROOT, "creating"),
    ),
    Row(
        "disk_shared",
        bad=(case(disk=SHARED), case(disk=replace(SHARED, shared=False)), case(disk=disk(shared=True))),
        good=(case(disk=free(shared=True)),),
        says=(ROOT, "2 server(s)"),
    ),
    Row(
        "disk_attached",
        bad=(case(must_be_free=True), case(must_be_free=True, disk=free(status="in-use"))),
        good=(case(must_be_free=True, disk=free()), case(must_be_free=True, standing=Standing.DETACH)),
        says=(ROOT, SERVER),
    ),
    Row(
        "disk_too_small",
        bad=(case(disk=disk(size_gb=39)),),
        good=(
            case(disk=disk(size_gb=40)),
            case(disk=disk(size_gb=41)),
            case(disk=disk(size_gb=1), backup=backup(size_gb=None)),
        ),
        says=("39 GB", "40 GB"),
    ),
    Row(
        "cmk_unverified",
        bad=(case(disk=disk(encrypted=True)),),
        good=(
            case(disk=disk(encrypted=True), allow_encrypted=True),
            case(disk=free(encrypted=True)),
            case(disk=disk(encrypted=True), standing=Standing.DETACH),
        ),
        says=(ROOT, "encrypted"),
    ),
    Row(
        "backup_missing",
        bad=(
            case(backup=None),
            case(backup=None, standing=Standing.SUBMIT, mark=mark(Phase.FAILED)),
        ),
        good=(
            case(backup=None, standing=Standing.WATCH),
            case(backup=None, standing=Standing.ATTACH),
            case(backup=None, standing=Standing.DETACH),
            case(backup=None, standing=Standing.SUBMIT, mark=mark(Phase.BEGUN)),
        ),
        says=(backup().id, "does not exist"),
    ),
    Row(
        "begun_backup_missing",
        bad=(
            case(backup=None, standing=Standing.DETACH),
            case(backup=None, standing=Standing.SUBMIT, mark=mark(Phase.BEGUN)),
        ),
        good=(case(backup=None), case(standing=Standing.DETACH)),
        severity=WARNING,
        says=(backup().id, "put back"),
    ),
    Row(
        "backup_foreign",
        bad=(case(backup=backup(project_id="another")),),
        good=(case(backup=backup(project_id="")), case(project_id="")),
        says=(backup().id, "another project"),
    ),
    Row(
        "backup_status",
        bad=(
            *(case(backup=backup(status=status)) for status in ("creating", "restoring", "error", "")),
            case(backup=backup(status="error"), standing=Standing.DETACH),
        ),
        # while it is being restored from, the backup itself is `restoring`
        good=tuple(
            case(backup=backup(status="restoring"), standing=stands)
            for stands in (Standing.SUBMIT, Standing.WATCH, Standing.ATTACH)
        ),
        says=(backup().id, "creating"),
    ),
    Row(
        "backup_other_source",
        bad=(
            case(backup=backup(volume_id=DATA)),
            case(backup=backup(volume_id="")),
            case(GOOD_HSS, backup=hss_backup(server_id=OTHER)),
        ),
        good=(
            case(backup=backup(volume_id=DATA), allow_other_target=True),
            case(GOOD_HSS, backup=hss_backup(server_id=OTHER), allow_other_target=True),
            case(GOOD_HSS, backup=replace(hss_backup(), server_id="")),
        ),
        says=(backup().id, DATA, ROOT),
    ),
    Row(
        "zone_differs",
        bad=(case(backup=backup(volume_id=DATA, availability_zone="eu-de-02"), allow_other_target=True),),
        good=(
            case(backup=backup(availability_zone="eu-de-02")),  # its own disk: where else could it be
            case(backup=backup(volume_id=DATA, availability_zone=""), allow_other_target=True),
        ),
        says=("eu-de-01", "eu-de-02"),
    ),
    Row(
        "server_zone_differs",
        bad=(case(server=server(availability_zone="eu-de-02")),),
        good=(
            case(server=server(availability_zone="")),
            case(disk=disk(availability_zone="")),
            case(GOOD_HSS, disk=disk(), server=server(availability_zone="eu-de-02")),
        ),
        says=(ROOT, SERVER),
    ),
    Row(
        "backup_too_old",
        bad=(case(max_backup_age_seconds=DAY - 1), case(max_backup_age_seconds=DAY, backup=backup(created_at=None))),
        good=(
            case(max_backup_age_seconds=DAY),
            case(max_backup_age_seconds=None),
            *(case(max_backup_age_seconds=1.0, standing=stands) for stands in BEGUN),
        ),
        says=("86400 s old", "86399 s"),
    ),
    Row(
        "backup_after_incident",
        bad=(case(incident_at=NOW - DAY - 1),),
        good=(case(incident_at=NOW - DAY), case(incident_at=NOW - 2 * DAY, standing=Standing.SUBMIT)),
        severity=WARNING,
        says=(backup().id,),
    ),
    Row(
        "backup_age_unknown",
        bad=(case(backup=backup(created_at=None)),),
        good=(
            case(backup=backup(created_at=None), max_backup_age_seconds=DAY),  # an error of its own says so
            case(backup=backup(created_at=None), standing=Standing.WATCH),
        ),
        severity=WARNING,
        says=(backup().id,),
    ),
    Row(
        "server_missing",
        bad=(case(server=None), case(GOOD_HSS, server=None), case(server=None, standing=Standing.ATTACH)),
        good=(case(server=None, server_id="", disk=free()),),
        says=(SERVER,),
    ),
    Row(
        "server_locked",
        bad=(case(server=server(locked=True)), case(GOOD_HSS, server=server(locked=True))),
        good=(case(server=server(locked=True), disk=free()),),
        says=(SERVER,),
    ),
    Row(
        "server_state",
        bad=(
            case(server=server(status="ERROR")),
            case(server=server(status="REBOOT")),
            case(server=server(task_state="powering-off")),
            case(GOOD_HSS, server=server(status="VERIFY_RESIZE")),
        ),
        good=(
            case(server=server(status="SHUTOFF")),
            case(server=server(status="SHUTOFF", task_state="powering-on"), standing=Standing.ATTACH),
        ),
        says=(SERVER, "ERROR"),
    ),
    Row(
        "used_since",
        bad=(case(standing=Standing.USED, mark=mark()),),
        good=tuple(case(standing=stands, mark=mark()) for stands in Standing if stands is not Standing.USED),
        says=(ROOT, "r1"),
    ),
    Row(
        "moved_since_begun",
        bad=(case(mark=mark(Phase.BEGUN, server_id=OTHER)),),
        good=(
            case(mark=mark(Phase.BEGUN)),
            case(mark=mark(Phase.RETURNED, server_id=OTHER)),
            case(mark=mark(Phase.BEGUN, server_id=OTHER), disk=free()),
            case(mark=mark(Phase.BEGUN, server_id=OTHER), standing=Standing.SUBMIT),
        ),
        severity=WARNING,
        says=(ROOT, f"at server {OTHER} and is at {SERVER}"),
    ),
    Row(
        "server_left_off",
        bad=(case(GOOD_HSS, server=server(status="SHUTOFF"), mark=mark(Phase.FAILED, was_running=True)),),
        good=(
            case(GOOD_HSS, mark=mark(Phase.FAILED, was_running=True)),
            case(GOOD_HSS, server=server(status="SHUTOFF"), mark=mark(Phase.FAILED, was_running=False)),
            case(GOOD_HSS, server=server(status="SHUTOFF"), mark=mark(Phase.FINISHED, was_running=True)),
        ),
        severity=WARNING,
        says=(SERVER, "r1"),
    ),
    Row(
        "children_unmapped",
        bad=(case(GOOD_HSS, unmapped=(CHILD,)),),
        good=(case(GOOD_HSS, unmapped=(CHILD,), standing=Standing.WATCH),),
        says=(SERVER, "c9 (of db09)"),
    ),
    Row(
        "mappings_missing",
        bad=(case(GOOD_HSS, backup=hss_backup(children=())),),
        good=(
            case(GOOD_HSS, backup=hss_backup(children=(), server_id="", volume_id=ROOT)),
            case(GOOD_HSS, backup=hss_backup(children=()), standing=Standing.WATCH),
        ),
        says=(SERVER,),
    ),
    Row(
        "hss_disk_too_small",
        bad=(case(GOOD_HSS, disks=(disk(ROOT), disk(DATA, size_gb=39))),),
        good=(
            case(GOOD_HSS, disks=(disk(ROOT), disk(DATA, size_gb=40))),
            case(GOOD_HSS, disks=(disk("unknown", size_gb=1),)),
        ),
        says=(DATA,),
    ),
]
BAD = [(row, item) for row in ROWS for item in row.bad]
FINE = [(row, item) for row in ROWS for item in row.good]


def test_every_rule_has_a_row() -> None:
    assert [row.code for row in ROWS] == [rule.code for rule in RULES]


@pytest.mark.parametrize(("row", "item"), BAD, ids=[row.code for row, _item in BAD])
def test_a_rule_applies(row: Row, item: Case) -> None:
    problems = [problem for problem in examine(item) if problem.code == row.code]
    assert [(problem.severity, problem.target, problem.volume_id) for problem in problems] == [
        (row.severity, item.target, item.volume_id)
    ]
    assert problems[0].message
    assert problems[0].remedy.endswith(".")


@pytest.mark.parametrize(("row", "item"), FINE, ids=[row.code for row, _item in FINE])
def test_a_rule_does_not_apply(row: Row, item: Case) -> None:
    assert row.code not in found(item)


@pytest.mark.parametrize("row", ROWS, ids=[row.code for row in ROWS])
def test_a_message_names_the_thing(row: Row) -> None:
    message = next(problem.message for problem in examine(row.bad[0]) if problem.code == row.code)
    assert [text for text in row.says if text not in message] == []
    assert "None" not in message


def test_a_point_that_was_not_found_is_told_by_disk_or_server() -> None:
    no_point = [case(backup_id="", backup=None), case(GOOD_HSS, backup_id="", backup=None)]
    assert [[problem.message for problem in examine(item)] for item in no_point] == [
        [f"there is no usable restore point for disk {ROOT}"],
        [f"there is no usable restore point for server {SERVER}"],
    ]


def test_all_problems_are_told_at_once() -> None:
    worst = case(
        disk=disk(size_gb=1, encrypted=True, shared=True),
        backup=backup(status="error", project_id="another", volume_id=DATA),
        server=server(locked=True, status="ERROR", availability_zone="eu-de-02"),
        max_backup_age_seconds=1.0,
    )
    assert set(found(worst)) == {
        "disk_shared", "disk_too_small", "cmk_unverified", "backup_foreign", "backup_status", "backup_other_source",
        "server_zone_differs", "backup_too_old", "server_locked", "server_state",
    }  # fmt: skip


def test_a_source_that_the_cloud_does_not_name_is_not_shown_as_a_blank() -> None:
    [problem] = [p for p in examine(case(backup=backup(volume_id=""))) if p.code == "backup_other_source"]
    assert problem.message == f"the cloud does not say which disk backup {backup().id} was made of"


def test_nothing_stands_against_what_is_finished() -> None:
    worst = case(
        disk=disk(size_gb=1, encrypted=True, shared=True, status="attaching"),
        backup=None,
        server=None,
        standing=Standing.FINISHED,
    )
    assert found(worst) == []


@pytest.mark.parametrize("stands", BEGUN)
def test_no_gate_blocks_what_was_begun(stands: Standing) -> None:
    """Age and attachment do not keep a restore in the middle from being finished."""
    item = case(standing=stands, mark=mark(), must_be_free=True, max_backup_age_seconds=1.0, incident_at=NOW - 9 * DAY)
    assert found(item) == []
