# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The single modules: pairs of child and disk with one half left out, and handles that come back."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore import report
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.disks import handle_of as disk_handle
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.hss import handle_of as server_handle
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import RUN_ID, Phase, Standing
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import ChildBackup
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import Restore
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.options import OptionError
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.single import NO_RUN, complete, read_handle
from builders import LONE, NOW, SERVER, backup_id, hss_backup, mark

POINT = hss_backup(children=(ChildBackup("c1", "d1"), ChildBackup("c2", "d2"), ChildBackup("c3", "")))


@pytest.mark.parametrize(
    ("pairs", "whole"),
    [
        ([("c1", "d1"), ("c2", "d2")], [("c1", "d1"), ("c2", "d2")]),
        ([("c1", None), (None, "d2")], [("c1", "d1"), ("c2", "d2")]),
        ([("c1", "d9")], [("c1", "d9")]),  # to another disk: whether that is allowed is checked elsewhere
        ([("c3", "d9")], [("c3", "d9")]),
    ],
)
def test_a_half_that_the_backup_determines_may_be_left_out(pairs: list[Any], whole: list[Any]) -> None:
    assert complete(tuple(pairs), POINT) == (tuple(whole), ())


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        ([("c3", None)], "the other half of c3"),
        ([(None, "d9")], "the other half of d9"),
        ([(None, None)], "the other half of None"),
        ([("c9", "d1")], "c9 is not a child of backup"),
        ([("c1", "d1"), ("c1", "d2")], "a backup_id is named twice"),
        ([("c1", "d1"), ("c2", "d1")], "a volume_id is named twice"),
        ([("c1", None), (None, "d1")], "a backup_id is named twice"),
    ],
)
def test_a_pair_that_is_not_certain_is_refused(pairs: list[Any], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        complete(tuple(pairs), POINT)


def test_a_wrong_child_is_told_the_right_ones() -> None:
    with pytest.raises(OptionError, match="its children are c1, c2, c3"):
        complete((("c9", "d1"),), POINT)


def test_pairs_for_the_backup_of_a_disk_are_left_as_they_are() -> None:
    """The cloud does not use them (HSS API: Restoring Data Using a Backup)."""
    of_disk = hss_backup(children=(), server_id="", volume_id="d1")
    assert complete((("c1", None),), of_disk) == ((("c1", None),), ())


def test_pairs_for_a_server_whose_disks_are_not_named_must_be_whole() -> None:
    point = hss_backup(children=())
    assert complete((("c1", "d1"), ("c2", "d2")), point) == ((("c1", "d1"), ("c2", "d2")), ())
    with pytest.raises(OptionError, match="the other half of c1"):
        complete((("c1", None),), point)


# -- handles -----------------------------------------------------------------------------------------------------------


def of_disk(**changes: Any) -> Restore:
    return Restore("t", "vbs", backup_id(LONE), mark(Phase.ACCEPTED, LONE, job="j1"), volume_id=LONE, **changes)


def of_server(**changes: Any) -> Restore:
    item = mark(Phase.ACCEPTED, backup_id="h1")
    return Restore("t", "hss", "h1", item, server_id=SERVER, backup_name="hss-1", **changes)


def test_a_handle_of_a_disk_comes_back() -> None:
    given = report.handle(disk_handle(of_disk(), job_id="j2", submitted_at=NOW))
    assert given is not None
    restore = read_handle(given)
    assert (restore.method, restore.volume_id, restore.backup_id, restore.mark.job) == (
        "vbs", LONE, backup_id(LONE), "j2",
    )  # fmt: skip
    assert (restore.standing, restore.mark.phase, restore.accepted) == (Standing.WATCH, Phase.ACCEPTED, True)
    assert report.handle(restore.handle) == given


@pytest.mark.parametrize("before", [(), ("01234567", "89abcdef"), None])
def test_a_handle_of_a_server_comes_back_with_what_was_in_the_log(before: tuple[str, ...] | None) -> None:
    given = report.handle(server_handle(of_server(), before, NOW))
    assert given is not None
    restore = read_handle(given)
    assert (restore.method, restore.server_id, restore.backup_id, restore.backup_name) == ("hss", SERVER, "h1", "hss-1")
    assert restore.log_before == before
    assert report.handle(restore.handle) == given


def test_a_bare_job_id_is_enough() -> None:
    restore = read_handle({"service": "vbs", "job_id": "j1", "backup_id": None, "volume_id": None})
    assert (restore.mark.job, restore.volume_id, restore.target) == ("j1", "", "j1")


def test_a_handle_of_a_disk_that_hss_restores_names_no_server() -> None:
    restore = read_handle({"service": "hss", "server_id": "", "backup_id": "h1", "backup_name": "hss-1"})
    assert (restore.method, restore.server_id, restore.target) == ("hss", "", "h1")


def test_a_restore_that_is_followed_has_no_mark_to_write() -> None:
    assert read_handle({"service": "vbs", "job_id": "j1"}).holder is None


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"service": "vbs"},
        {"service": "vbs", "job_id": ""},
        {"service": "vbs", "backup_id": "b1"},
        {"service": "hss", "backup_id": "h1"},
        {"service": "cbr", "job_id": "j1"},
        {"service": None, "job_id": "j1"},
        {"job_id": "j1"},
    ],
)
def test_what_is_no_handle_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="not a handle that a restore returned"):
        read_handle(given)


def test_the_name_of_no_run_cannot_be_given_by_a_user() -> None:
    assert not RUN_ID.fullmatch(NO_RUN)
