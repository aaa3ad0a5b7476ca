# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HSS task list names no task: which of its records are ours is told by what stood there before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.hss import (
    DIGESTS_IN_A_MARK,
    FINAL,
    TOO_MANY,
    digests,
    new_records,
    open_records,
    pack,
    unpack,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import LogRecord
from hypothesis import given
from hypothesis import strategies as st


def record(started_at: str = "t1", status: str = "success", **changes: Any) -> LogRecord:
    return LogRecord(**{"host_id": "h", "backup_name": "b", "status": status, "started_at": started_at, **changes})


OPEN = ["running", "waiting", "", "Success", "something new"]


@pytest.mark.parametrize("status", [*FINAL, *OPEN])
def test_only_documented_ends_are_ends(status: str) -> None:
    assert open_records([record(status=status)], "h", "b") == ([record(status=status)] if status in OPEN else [])
    assert [name for name, good in FINAL.items() if good] == ["success"]


def test_records_of_other_hosts_and_backups_are_not_ours() -> None:
    others = [record(host_id="h2", status="running"), record(backup_name="b2", status="running")]
    assert digests(others, "h", "b") == ()
    assert new_records(others, "h", "b", ()) == []
    assert open_records(others, "h", "b") == others[1:]


def test_without_a_host_the_name_of_the_backup_tells() -> None:
    """HSS restores the backup of one disk without naming a server, but its records do."""
    records = [record(host_id="h1", status="running"), record(host_id="h2", backup_name="b2", status="running")]
    assert len(digests(records, "", "b")) == 1
    assert new_records(records, "", "b", ()) == records[:1]
    assert open_records(records, "", "b") == records[:1]


def test_a_record_that_was_not_there_is_new() -> None:
    before = digests([record("t1")], "h", "b")
    assert new_records([record("t1"), record("t2", "running")], "h", "b", before) == [record("t2", "running")]


def test_a_record_does_not_become_new_by_going_on() -> None:
    before = digests([record("t1", "running", progress_percent=3)], "h", "b")
    later = record("t1", "failed", progress_percent=100, ended_at="t9", error_code="e", error_message="m")
    assert new_records([later], "h", "b", before) == []


def test_of_equal_records_the_open_one_is_the_new_one() -> None:
    """The list has no ids, and two tasks may have started in the same second."""
    before = digests([record("t1")], "h", "b")
    running = record("t1", "running")
    assert new_records([running, record("t1")], "h", "b", before) == [running]
    assert new_records([record("t1"), running], "h", "b", before) == [running]


def test_times_are_compared_as_text() -> None:
    before = digests([record("2026-01-01T00:00:00Z")], "h", "b")
    assert len(new_records([record("2026-01-01T01:00:00+01:00")], "h", "b", before)) == 1


def test_a_record_that_has_left_the_list_does_not_hide_a_new_one() -> None:
    before = digests([record("t1"), record("t2")], "h", "b")
    assert new_records([record("t2"), record("t3")], "h", "b", before) == [record("t3")]


RECORDS = st.lists(
    st.builds(
        LogRecord,
        host_id=st.sampled_from(["h", "h2"]),
        backup_name=st.sampled_from(["b", "b2"]),
        status=st.sampled_from([*FINAL, *OPEN]),
        started_at=st.sampled_from(["t1", "t2", ""]),
    ),
    max_size=8,
)


@given(RECORDS, st.lists(st.sampled_from([*FINAL, *OPEN]), min_size=8, max_size=8), st.randoms(use_true_random=False))
def test_what_was_there_before_is_never_new(records: list[LogRecord], later: list[str], random: Any) -> None:
    before = digests(records, "h", "b")
    went_on = [replace(item, status=status) for item, status in zip(records, later, strict=False)]
    random.shuffle(went_on)
    assert new_records(went_on, "h", "b", before) == []


@given(RECORDS, RECORDS, st.randoms(use_true_random=False))
def test_as_many_are_new_as_were_added(records: list[LogRecord], added: list[LogRecord], random: Any) -> None:
    before = digests(records, "h", "b")
    shown = [*records, *added]
    random.shuffle(shown)
    mine = [item for item in added if (item.host_id, item.backup_name) == ("h", "b")]
    assert sorted(item.identity for item in new_records(shown, "h", "b", before)) == sorted(i.identity for i in mine)


@given(st.lists(st.integers(0, 2**32 - 1).map("{:08x}".format), max_size=12).map(tuple))
def test_what_was_before_is_remembered_in_a_mark_or_known_to_be_forgotten(before: tuple[str, ...]) -> None:
    if len(before) <= DIGESTS_IN_A_MARK:
        assert unpack(pack(before)) == before
    else:
        assert (pack(before), unpack(pack(before))) == (TOO_MANY, None)


def test_an_empty_list_is_not_an_unknown_one() -> None:
    assert unpack(pack(())) == ()
