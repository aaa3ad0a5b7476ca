# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a plan to what is worked on, and from that to what Ansible gets back."""

from __future__ import annotations

import heapq
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore import report
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.commands import Holder
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.hss import HssUnit
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import (
    HSS_KEY,
    LONE_DISK_KEY,
    Phase,
    Standing,
    mark_key,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import ErrorInfo, Failure
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import (
    DiskUnit,
    Restore,
    ServerUnit,
    State,
    Tally,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.planning import Plan
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.units import (
    Unit,
    Work,
    divide,
    in_turn,
    unit_failed,
)
from builders import (
    DATA,
    DAY,
    LONE,
    NOW,
    ROOT,
    SERVER,
    backup_id,
    disk,
    free,
    hss_backup,
    hss_marked,
    hss_wish,
    lone_marked,
    mark,
    marked,
    plan,
    server,
    survey,
    vbs_wish,
)
from hypothesis import given
from hypothesis import strategies as st

FAILURE = ErrorInfo(Failure.REFUSED, "the backend said no", code="VBS.0007", remedy="Ask it.")


def units(found: Plan) -> list[Unit]:
    return [unit for work in divide(found, (), Tally()) for _target, unit in work.units]


def server_unit(found: Plan) -> ServerUnit:
    (unit,) = units(found)
    assert isinstance(unit, ServerUnit)
    return unit


# -- units -------------------------------------------------------------------------------------------------------------


def test_disks_of_one_server_are_one_unit_system_disk_first() -> None:
    unit = server_unit(plan(vbs_wish("db01", DATA, ROOT)))
    assert [restore.volume_id for restore in unit.restores] == [ROOT, DATA]
    assert (unit.server_id, unit.server_name, unit.was_running, unit.weight) == (SERVER, "db01", True, 2)


@pytest.mark.parametrize(("status", "was_running"), [("ACTIVE", True), ("SHUTOFF", False)])
def test_the_power_state_is_remembered_in_every_mark(status: str, was_running: bool) -> None:
    unit = server_unit(plan(vbs_wish(), shown=survey(server(status=status))))
    assert unit.was_running is was_running
    assert [restore.mark.was_running for restore in unit.restores] == [was_running] * 2


def test_a_fresh_mark_says_where_the_disk_was() -> None:
    found = plan(vbs_wish("db01", DATA), run_id="r9")
    (restore,) = server_unit(found).restores
    assert restore.mark == replace(
        mark(Phase.BEGUN, DATA), run_id="r9", target_id=found.targets[0].id, at=0.0, delete_on_termination=False
    )
    assert (restore.holder, restore.key) == (Holder("server", SERVER), mark_key(DATA))


def test_devices_are_ordered_as_the_cloud_counts_them() -> None:
    """After /dev/vdz comes /dev/vdaa."""
    devices = {ROOT: "/dev/vdaa", DATA: "/dev/vdb"}
    shown = survey(
        marked(*((v, mark(Phase.SUBMITTING, v, device=d)) for v, d in devices.items())), free(ROOT), free(DATA)
    )
    assert [restore.device for restore in server_unit(plan(vbs_wish(), shown=shown)).restores] == [
        "/dev/vdb",
        "/dev/vdaa",
    ]


def test_a_server_that_was_stopped_by_us_is_remembered_as_running() -> None:
    stopped = replace(marked((ROOT, mark(Phase.SUBMITTING)), (DATA, mark(Phase.BEGUN, DATA))), status="SHUTOFF")
    unit = server_unit(plan(vbs_wish(), shown=survey(stopped, free(ROOT))))
    assert unit.was_running is True
    assert [restore.mark.was_running for restore in unit.restores] == [True, True]


def test_what_was_begun_keeps_its_mark_under_the_run_that_goes_on() -> None:
    shown = survey(marked((ROOT, mark(Phase.ACCEPTED, job="j1", device="/dev/vdq"))), free(status="restoring-backup"))
    found = plan(vbs_wish("db01", ROOT), shown=shown, run_id="r2", take_over="r1")
    (restore,) = server_unit(found).restores
    assert (restore.mark.phase, restore.mark.job, restore.mark.run_id) == (Phase.ACCEPTED, "j1", "r2")
    assert (restore.standing, restore.device, restore.mark.attachment_id) == (Standing.WATCH, "/dev/vdq", f"at-{ROOT}")


def test_a_disk_without_a_server_keeps_its_own_mark() -> None:
    (unit,) = units(plan(vbs_wish("lone", LONE)))
    assert isinstance(unit, DiskUnit)
    assert (unit.restore.holder, unit.restore.key) == (Holder("disk", LONE), LONE_DISK_KEY)


def test_servers_and_disks_of_one_target_are_units_of_their_own() -> None:
    found = units(plan(vbs_wish("all", LONE, ROOT, group="erp")))
    assert sorted(type(unit).__name__ for unit in found) == ["DiskUnit", "ServerUnit"]
    assert {unit.group for unit in found} == {"erp"}


def test_what_is_finished_is_no_work() -> None:
    shown = survey(marked((ROOT, mark(Phase.FINISHED))))
    unit = server_unit(plan(vbs_wish(), shown=shown, run_id="r1"))
    assert [restore.volume_id for restore in unit.restores] == [DATA]


def test_the_largest_disks_of_a_wave_come_first() -> None:
    found = plan(vbs_wish("small", LONE), vbs_wish("large", ROOT), shown=survey(disk(ROOT, size_gb=500)))
    assert [unit.target for unit in units(found)] == ["large", "small"]


@pytest.mark.parametrize(
    ("places", "order"),
    [
        (1, [0, 6, 1, 5, 2, 4, 3]),  # three pairs of 8, then 4 is left: not more than twice the longest of it
        (2, [0, 1, 2, 3, 4, 5, 6]),  # 28: each place has 14, twice the longest
    ],
)
def test_long_and_short_take_turns_until_the_end_is_near(places: int, order: list[int]) -> None:
    assert in_turn([7, 6, 5, 4, 3, 2, 1], [7, 6, 5, 4, 3, 2, 1], places) == order


def test_what_has_no_known_size_starts_as_it_comes() -> None:
    assert in_turn([0, 0, 0], [0, 0, 0], 1) == [0, 1, 2]


@given(sizes=st.lists(st.integers(0, 9), max_size=40), places=st.integers(1, 9))
def test_everything_has_its_turn_once(sizes: list[int], places: int) -> None:
    lengths = sorted(sizes, reverse=True)
    assert sorted(in_turn(lengths, [2 * length for length in lengths], places)) == list(range(len(lengths)))


def test_turns_keep_the_places_full_where_starts_are_limited() -> None:
    """A hundred places and a start in eight seconds: enough for all of them, but not for the short ones alone."""
    lengths = [20 * step for step in range(100, 0, -1) for _unit in range(40)]
    bound = sum(lengths) / 100
    turns = [lengths[unit] for unit in in_turn(lengths, lengths, 100)]
    assert _makespan(lengths, places=100, gap=8) > 1.15 * bound
    assert _makespan(turns, places=100, gap=8) < 1.05 * bound


def _makespan(lengths: Sequence[int], *, places: int, gap: float) -> float:
    """Of these, one after the other as places get free, but not more often than once in `gap` seconds."""
    free_at = [0.0] * places
    start = -gap
    for length in lengths:
        start = max(start + gap, heapq.heappop(free_at))
        heapq.heappush(free_at, start + length)
    return max(free_at)


@pytest.mark.parametrize(("places", "order"), [(1, ["300", "260", "280"]), (2, ["300", "280", "260"])])
def test_parts_start_in_turn(places: int, order: list[str]) -> None:
    """One place has to do more than twice the longest, two have not."""
    sizes = {ROOT: 300, DATA: 280, LONE: 260}
    wishes = [vbs_wish(f"disk-{size}", name, group=f"{size}") for name, size in sizes.items()]
    found = plan(*wishes, shown=survey(*(free(name, size_gb=size) for name, size in sizes.items())))
    (work,) = divide(found, (), Tally())
    assert [part.group for part in work.parts(rules=None, places=places)] == order  # type: ignore[arg-type]


def test_waves_in_order_and_only_those_that_are_wanted() -> None:
    found = plan(vbs_wish("late", wave=3), vbs_wish("early", LONE, wave=1))
    assert [work.wave for work in divide(found, (), Tally())] == [1, 3]
    assert [work.wave for work in divide(found, (3, 7), Tally())] == [3]


@pytest.mark.parametrize(
    ("status", "asked", "power_on"),
    [("ACTIVE", None, True), ("SHUTOFF", None, False), ("SHUTOFF", True, True), ("ACTIVE", False, False)],
)
def test_a_whole_server_ends_as_found_unless_it_is_asked_for(status: str, asked: bool | None, power_on: bool) -> None:
    (unit,) = units(plan(hss_wish(power_on=asked), shown=survey(server(status=status))))
    assert isinstance(unit, HssUnit)
    assert (unit.restore.power_on, unit.restore.mark.was_running) == (power_on, status == "ACTIVE")
    assert (unit.restore.holder, unit.restore.key) == (Holder("server", SERVER), HSS_KEY)


def test_a_whole_server_that_was_begun_is_remembered_as_it_was_found() -> None:
    shown = replace(hss_marked(mark(Phase.ACCEPTED, backup_id=hss_backup().id)), status="SHUTOFF")
    (unit,) = units(plan(hss_wish(), shown=survey(shown)))
    assert isinstance(unit, HssUnit)
    assert (unit.was_running, unit.restore.power_on, unit.restore.standing) == (True, True, Standing.WATCH)


def test_parts_carry_what_the_batch_has_to_know() -> None:
    (work,) = divide(plan(vbs_wish(critical=True, group="erp")), (), Tally())
    (part,) = work.parts(rules=None, places=1)  # type: ignore[arg-type]
    assert (part.critical, part.group, part.failed()) == (True, "erp", True)


@pytest.mark.parametrize("state", State)
def test_only_restored_is_a_success(state: State) -> None:
    unit = server_unit(plan(vbs_wish("db01", ROOT)))
    unit.restores[0].state = state
    assert unit_failed(unit) is (state is not State.RESTORED)


def test_a_server_that_was_not_put_back_is_a_failure_although_its_disks_are_restored() -> None:
    unit = server_unit(plan(vbs_wish("db01", ROOT)))
    unit.restores[0].state = State.RESTORED
    unit.error = FAILURE
    assert unit_failed(unit)


# -- results -----------------------------------------------------------------------------------------------------------


def ended(found: Plan, *states: State, **changes: Any) -> dict[str, Any]:
    """The result of a run in which the restores ended like this, in order."""
    works: list[Work] = divide(found, (), Tally())
    every = [item for work in works for _target, unit in work.units for item in unit.restores]
    for item, state in zip(every, states, strict=True):
        item.started_at = NOW
        item.end(state, NOW + 120.5, FAILURE if state not in report.GOOD else None)
        item.changed = state is State.RESTORED
        for name, value in changes.items():
            setattr(item, name, value)
    shown = report.result(found, works, [{"at": "x"}])
    assert json.loads(json.dumps(shown)) == shown
    return shown


def test_a_run_that_went_well() -> None:
    shown = ended(plan(vbs_wish(), incident_at=NOW - 3600), State.RESTORED, State.RESTORED)
    assert (shown["changed"], shown["failed"], shown["summary"]) == (True, False, {"restored": 2})
    assert shown["rto_seconds"] == 3600 + 120.5
    assert shown["rpo_seconds"] == DAY - 3600
    assert shown["timeline"] == [{"at": "x"}]
    first = shown["restores"][0]
    assert (first["volume_id"], first["backup_id"], first["state"]) == (ROOT, backup_id(ROOT), "restored")
    assert (first["seconds"], first["started_at"], first["error"]) == (120.5, "2026-09-21T14:13:20Z", None)
    assert shown["targets"]["db01"]["msg"] == "db01: 2 restored"


@pytest.mark.parametrize("state", State)
def test_which_states_are_failures(state: State) -> None:
    shown = ended(plan(vbs_wish("lone", LONE)), state)
    good = state in (State.RESTORED, State.ALREADY_RESTORED, State.PLANNED, State.SUBMITTED)
    assert shown["failed"] is shown["targets"]["lone"]["failed"] is not good
    assert shown["targets"]["lone"]["state"] == state.value


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        ((State.RESTORED, State.FAILED), "failed"),
        ((State.FAILED, State.UNKNOWN), "unknown"),
        ((State.TIMED_OUT, State.FAILED), "timed_out"),
        ((State.SKIPPED, State.RESTORED), "skipped"),
    ],
)
def test_a_target_is_as_good_as_its_worst_restore(states: tuple[State, State], worst: str) -> None:
    shown = ended(plan(vbs_wish()), *states)["targets"]["db01"]
    assert (shown["state"], shown["failed"]) == (worst, True)
    assert "the backend said no" in shown["msg"]
    assert shown["msg"].count("the backend said no") == 1


def test_a_failure_names_thing_code_and_next_step() -> None:
    (first,) = ended(plan(vbs_wish("lone", LONE)), State.FAILED)["restores"]
    assert first["error"] == {
        "code": "VBS.0007",
        "http_status": None,
        "message": "the backend said no",
        "request_id": "",
        "remedy": "Ask it.",
    }


def test_one_target_that_failed_does_not_make_another_fail() -> None:
    found = plan(vbs_wish(), vbs_wish("lone", LONE))
    shown = ended(found, State.RESTORED, State.RESTORED, State.FAILED)
    assert (shown["failed"], shown["targets"]["db01"]["failed"], shown["targets"]["lone"]["failed"]) == (
        True,
        False,
        True,
    )
    assert (shown["targets"]["db01"]["changed"], shown["targets"]["lone"]["changed"]) == (True, False)


def test_what_was_restored_before_is_told_and_did_not_change() -> None:
    found = plan(vbs_wish(), shown=survey(marked((ROOT, mark(Phase.FINISHED)))), run_id="r1")
    shown = ended(found, State.RESTORED)
    assert shown["summary"] == {"already_restored": 1, "restored": 1}
    before = next(item for item in shown["restores"] if item["state"] == "already_restored")
    assert (before["changed"], before["finished_at"]) == (False, "2026-09-21T14:03:20Z")
    assert before["notes"] == ["restored by run r1"]
    assert "set a new run_id" in report.headline(shown)


def test_a_plan_that_is_done_says_so_and_how_to_do_it_again() -> None:
    shown_cloud = survey(marked((ROOT, mark(Phase.FINISHED)), (DATA, mark(Phase.FINISHED, DATA))))
    shown = ended(plan(vbs_wish(), shown=shown_cloud, run_id="r1"))
    assert (shown["changed"], shown["failed"], shown["rto_seconds"]) == (False, False, None)
    assert report.headline(shown) == (
        "run r1: 2 already_restored. To restore again what is already restored, set a new run_id"
    )


def test_attaching_what_was_restored_before_is_a_change() -> None:
    """It was restored by an earlier process; this one puts it back, and it ended during this task."""
    found = plan(vbs_wish("db01", ROOT), shown=survey(marked((ROOT, mark(Phase.RESTORED))), free(ROOT)))
    works = divide(found, (), Tally())
    (restore,) = works[0].units[0][1].restores
    restore.end(State.RESTORED, NOW)
    assert report.result(found, works, ())["changed"] is False
    restore.back = True
    assert report.result(found, works, ())["changed"] is True


def test_only_the_waves_of_this_run_are_in_its_result() -> None:
    found = plan(vbs_wish("late", wave=2), vbs_wish("early", LONE, wave=1))
    shown = report.result(found, divide(found, (1,), Tally()), ())
    assert list(shown["targets"]) == ["early"]
    assert [item["target"] for item in shown["restores"]] == ["early"]


def test_a_server_is_shown_as_found_and_left() -> None:
    found = plan(vbs_wish("db01", ROOT))
    works = divide(found, (), Tally())
    unit = works[0].units[0][1]
    assert isinstance(unit, ServerUnit)
    unit.left, unit.error = "SHUTOFF", FAILURE
    unit.restores[0].end(State.RESTORED, NOW)
    shown = report.result(found, works, ())
    assert [(one["found"], one["left"], one["error"]["code"]) for one in shown["servers"]] == [
        ("ACTIVE", "SHUTOFF", "VBS.0007")
    ]
    assert shown["targets"]["db01"]["failed"] is True


def test_a_handle_is_given_with_a_readable_time() -> None:
    assert report.handle(None) is None
    assert report.handle({"job_id": "j", "submitted_at": NOW}) == {
        "job_id": "j",
        "submitted_at": "2026-09-21T14:13:20Z",
    }


def test_the_diff_of_a_plan() -> None:
    shown_cloud = survey(server(status="SHUTOFF"))
    found = plan(vbs_wish("db01", ROOT), vbs_wish("lone", LONE, wave=2), shown=shown_cloud)
    diff = report.planned_changes(found)
    assert diff["before"].splitlines() == [
        f"db01: disk {ROOT}: its present data, at db01 /dev/vda (SHUTOFF)",
        f"lone: disk {LONE}: its present data, detached",
    ]
    assert diff["after"].splitlines()[0] == (
        f"db01: disk {ROOT}: backup {backup_id(ROOT)} of 2026-09-20T14:13:20Z, at db01 /dev/vda (SHUTOFF)"
    )
    assert report.planned_changes(found, [2])["after"].count("\n") == 1


def test_the_diff_names_what_a_disk_holds_by_its_mark_and_leaves_out_what_is_finished() -> None:
    own = replace(mark(Phase.FINISHED, LONE, backup_id=backup_id(LONE, 2)), server_id="")
    found = plan(vbs_wish("lone", LONE), shown=survey(lone_marked(own)))
    assert f"backup {backup_id(LONE, 2)} (finished)" in report.planned_changes(found)["before"]
    done = plan(vbs_wish("lone", LONE), shown=survey(lone_marked(own)), run_id="r1")
    assert report.planned_changes(done) == {"before": "", "after": ""}


def test_the_line_of_progress() -> None:
    tally = Tally()
    works = divide(plan(vbs_wish(), vbs_wish("lone", LONE)), (), tally)
    items: list[Restore] = [item for work in works for _target, unit in work.units for item in unit.restores]
    assert report.progress(tally, NOW) == "0 of 3 done, 0 running, 3 waiting"
    items[0].begin(NOW)
    items[1].begin(NOW)
    items[0].end(State.FAILED, NOW + 5, FAILURE)
    items[0].end(State.FAILED, NOW + 6, FAILURE)  # told twice, counted once
    assert report.progress(tally, NOW + 65) == (
        "1 of 3 done, 1 running, 1 waiting, 1 not restored, longest running 65 s"
    )
