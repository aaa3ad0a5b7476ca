# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which restore point is taken: newest in time, clean, and for a consistency group at one common time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import Backup
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.points import PointWish, choose, first_alarm
from hypothesis import given
from hypothesis import strategies as st


def points(source: str, *times: float, service: str = "vbs", alarms: Sequence[float] = ()) -> list[Backup]:
    """Available backups of a disk or server at these times, named like `d1@40`."""
    return [
        Backup(
            service=service,
            id=f"{source}@{at:g}",
            status="available",
            volume_id="" if service == "hss" else source,
            server_id=source if service == "hss" else "",
            created_at=at,
            ransomware_alert=at in alarms if service == "hss" else None,
        )
        for at in times
    ]


def vbs(source: str = "d1", **changes: object) -> PointWish:
    return replace(PointWish("t1", "vbs", source, clean_only=False), **changes)  # type: ignore[arg-type]


def hss(source: str = "s1", **changes: object) -> PointWish:
    return replace(PointWish("t1", "hss", source), **changes)  # type: ignore[arg-type]


def picked(wishes: Sequence[PointWish], backups: Sequence[Backup]) -> list[str]:
    ids = choose(wishes, backups).ids
    return [ids[wish.key] for wish in wishes]


# -- one point ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "expected"),
    [(None, "d1@30"), (30.0, "d1@30"), (29.9, "d1@20"), (20.0, "d1@20"), (10.0, "d1@10"), (9.9, ""), (99.0, "d1@30")],
)
def test_the_newest_at_or_before_the_time(until: float | None, expected: str) -> None:
    assert picked([vbs(point_in_time=until)], points("d1", 20, 30, 10)) == [expected]


def test_a_named_backup_is_taken_whatever_there_is() -> None:
    wishes = [vbs(backup_id="d1@10", point_in_time=5.0), vbs("d2", backup_id="unheard-of")]
    assert picked(wishes, points("d1", 10, 20)) == ["d1@10", "unheard-of"]


def test_points_of_other_disks_do_not_count() -> None:
    assert picked([vbs("d1"), vbs("d2"), vbs("d3")], points("d1", 10) + points("d2", 20)) == ["d1@10", "d2@20", ""]


def test_only_available_points_with_a_known_time_serve() -> None:
    newest = [
        replace(points("d1", 40)[0], status="error"),
        replace(points("d1", 50)[0], status="creating"),
        replace(points("d1", 60)[0], created_at=None),
    ]
    assert picked([vbs()], points("d1", 10) + newest) == ["d1@10"]


@pytest.mark.parametrize("status", ["restoring", "waiting_restore", "unknown"])
def test_an_older_point_is_no_substitute_for_one_that_is_being_restored(status: str) -> None:
    """It was taken in silence, if a plan was made while another run, or a person, restored the newest one."""
    busy = replace(points("d1", 50)[0], status=status)
    assert picked([vbs()], [*points("d1", 10), busy]) == ["d1@50"]


def test_of_two_points_at_one_time_the_choice_does_not_depend_on_their_order() -> None:
    twins = [replace(backup, id=name) for name in ("a", "b") for backup in points("d1", 10)]
    assert picked([vbs()], twins) == picked([vbs()], twins[::-1])


# -- clean points ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clean_only", "since", "expected"),
    [
        (False, None, "s1@50"),
        (True, None, "s1@10"),  # the first alarm, at 20, spoils everything from then on
        (True, 15.0, "s1@10"),
        (True, 20.0, "s1@10"),  # an alarm at the very time is not older
        (True, 21.0, "s1@30"),  # the alarm at 20 is closed, the one at 40 is not
        (True, 41.0, "s1@50"),
    ],
)
def test_points_by_or_after_an_alarm_are_passed_over(clean_only: bool, since: float | None, expected: str) -> None:
    backups = points("s1", 10, 20, 30, 40, 50, service="hss", alarms=(20, 40))
    assert picked([hss(clean_only=clean_only, alerts_since=since)], backups) == [expected]


def test_with_every_point_after_the_alarm_there_is_none() -> None:
    assert picked([hss()], points("s1", 10, 20, service="hss", alarms=(10,))) == [""]


def test_an_alarm_counts_although_its_own_point_cannot_be_used() -> None:
    backups = points("s1", 10, 20, 30, service="hss", alarms=(20,))
    backups[1] = replace(backups[1], status="error")
    assert picked([hss()], backups) == ["s1@10"]


def test_an_alarm_on_one_server_does_not_spoil_another() -> None:
    backups = points("s1", 10, 20, service="hss", alarms=(20,)) + points("s2", 10, 20, service="hss")
    assert picked([hss("s1"), hss("s2")], backups) == ["s1@10", "s2@20"]


def test_a_clean_point_is_also_at_or_before_the_time() -> None:
    backups = points("s1", 10, 20, 30, 40, service="hss", alarms=(40,))
    assert picked([hss(point_in_time=25.0)], backups) == ["s1@20"]


def test_a_named_point_is_taken_although_it_has_an_alarm() -> None:
    """Whoever names it has looked at it; the plan shows that it is not clean."""
    backups = points("s1", 10, 20, service="hss", alarms=(20,))
    assert picked([hss(backup_id="s1@20")], backups) == ["s1@20"]


def test_the_first_alarm() -> None:
    backups = points("s1", 30, 20, 40, service="hss", alarms=(40, 30))
    unknown = replace(backups[2], created_at=None)
    assert first_alarm(backups, None) == 30
    assert first_alarm(backups, 31) == 40
    assert first_alarm(backups, 41) is None
    assert first_alarm([unknown, *points("d1", 10)], None) is None


# -- one common point --------------------------------------------------------------------------------------------------


def member(source: str, skew: float | None = 10.0, **changes: object) -> PointWish:
    return vbs(source, **{"group": "erp", "max_skew_seconds": skew, **changes})


@pytest.mark.parametrize(
    ("first", "second", "skew", "expected"),
    [
        ((100, 200), (105, 205), 10.0, ["d1@200", "d2@205"]),
        ((100, 200), (105, 211), 10.0, ["d1@100", "d2@105"]),  # the newest pair is 11 s apart
        ((100, 200), (105, 210), 10.0, ["d1@200", "d2@210"]),  # exactly the skew is allowed
        ((100,), (100,), 0.0, ["d1@100", "d2@100"]),
        ((100, 102), (105,), 10.0, ["d1@102", "d2@105"]),
        ((100,), (90, 95, 99), 10.0, ["d1@100", "d2@99"]),
        ((100, 300), (105, 200), 10.0, ["d1@100", "d2@105"]),
    ],
)
def test_the_newest_common_time(
    first: Sequence[float], second: Sequence[float], skew: float, expected: list[str]
) -> None:
    wishes = [member("d1", skew), member("d2", skew)]
    backups = points("d1", *first) + points("d2", *second)
    assert picked(wishes, backups) == expected
    assert picked(wishes[::-1], backups[::-1]) == expected[::-1]


def test_a_common_time_also_keeps_the_earliest_limit_of_a_member() -> None:
    wishes = [member("d1", point_in_time=150.0), member("d2")]
    assert picked(wishes, points("d1", 100, 200) + points("d2", 105, 205)) == ["d1@100", "d2@105"]


def test_no_common_time_is_told_with_its_limit_and_leaves_nothing_chosen() -> None:
    wishes = [member("d1", point_in_time=150.0), member("d2", backup_id="d2@300")]
    chosen = choose(wishes, points("d1", 100, 200) + points("d2", 300))
    assert [(problem.severity, problem.code) for problem in chosen.problems] == [("error", "group_skew")]
    assert "erp" in chosen.problems[0].message
    assert "within 10 s at or before 1970-01-01T00:02:30Z" in chosen.problems[0].message
    assert [chosen.ids[wish.key] for wish in wishes] == ["", "d2@300"]


def test_a_member_without_any_point_is_told() -> None:
    chosen = choose([member("d1"), member("d2")], points("d1", 100))
    assert [problem.code for problem in chosen.problems] == ["group_skew"]


def test_a_named_backup_draws_the_group_to_its_time() -> None:
    wishes = [member("d1", backup_id="d1@100"), member("d2")]
    assert picked(wishes, points("d1", 100, 200) + points("d2", 95, 205)) == ["d1@100", "d2@95"]


def test_without_a_skew_every_member_takes_its_newest() -> None:
    wishes = [member("d1", None), member("d2", None)]
    chosen = choose(wishes, points("d1", 100) + points("d2", 900))
    assert (list(chosen.ids.values()), chosen.problems) == (["d1@100", "d2@900"], [])


def test_two_groups_do_not_wait_for_each_other() -> None:
    wishes = [member("d1"), member("d2"), member("d3", group="web"), member("d4", group="web")]
    backups = points("d1", 100) + points("d2", 100) + points("d3", 500) + points("d4", 500)
    assert picked(wishes, backups) == ["d1@100", "d2@100", "d3@500", "d4@500"]


def test_clean_members_meet_at_a_clean_time() -> None:
    wishes = [
        hss("s1", group="erp", max_skew_seconds=10.0),
        hss("s2", group="erp", max_skew_seconds=10.0),
    ]
    backups = points("s1", 100, 200, service="hss", alarms=(200,)) + points("s2", 105, 205, service="hss")
    assert picked(wishes, backups) == ["s1@100", "s2@105"]


def test_a_group_that_was_begun_is_not_held_up_by_its_skew() -> None:
    wishes = [member("d1", backup_id="d1@100", pinned=True), member("d2")]
    chosen = choose(wishes, points("d1", 100, 200) + points("d2", 900))
    assert ([chosen.ids[wish.key] for wish in wishes], chosen.problems) == (["d1@100", "d2@900"], [])


TIMES = st.lists(st.integers(0, 60).map(float), max_size=6, unique=True)


@given(st.lists(TIMES, min_size=1, max_size=4), st.integers(0, 30).map(float), st.none() | st.integers(0, 60))
def test_a_common_point_is_within_the_skew_and_no_newer_one_exists(
    times: list[list[float]], skew: float, limit: float | None
) -> None:
    sources = {f"d{number}": ages for number, ages in enumerate(times)}
    chosen = choose(
        [member(source, skew, point_in_time=limit) for source in sources],
        [backup for source, ages in sources.items() for backup in points(source, *ages)],
    )
    found = [float(picked_id.partition("@")[2]) for picked_id in chosen.ids.values() if picked_id]

    def fits(common: float) -> bool:
        return all(any(common - skew <= at <= common for at in ages) for ages in times)

    possible = [at for ages in times for at in ages if (limit is None or at <= limit) and fits(at)]
    if possible:
        assert (len(found), chosen.problems) == (len(times), [])
        assert max(found) - min(found) <= skew
        assert max(found) == max(possible)
    else:
        assert (found, [problem.code for problem in chosen.problems]) == ([], ["group_skew"])
