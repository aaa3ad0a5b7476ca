# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each invariant can fail: a good recovery is played, one thing of it is forged, and that invariant says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import Rules
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Wish
from simulation.cases import LATEST, backup_id, disk_id, server_id
from simulation.chaos import Crash, Ground, Plant, Rival, Story, Try, hss_backup_id
from simulation.chaos_history import OWNER, Mark, Order
from simulation.chaos_play import Played, play
from simulation.invariants import INVARIANTS, _ran_before, violations

LATER = 1_000_000
"""A tick after everything that was played."""
STRANGER, ELSEWHERE = "d0000000-0000-4000-8000-000000000099", "a0000000-0000-4000-8000-000000000099"

GROUND = Ground(
    running=(True, True, True),
    disks=(
        Plant(1, server=1, place=0, size=1, backups=1, delete_on_termination=False),
        Plant(2, server=1, place=1, size=1, backups=1, delete_on_termination=False),
        Plant(3, server=2, place=0, size=1, backups=1, delete_on_termination=False),
        Plant(4, server=3, place=0, size=1, backups=1, delete_on_termination=False),
        Plant(5, server=0, place=0, size=1, backups=1, delete_on_termination=False),
    ),
    protected=3,
)
WISHES = (
    Wish("one", "vbs", group="erp", volumes=((disk_id(1), LATEST), (disk_id(2), LATEST))),
    Wish("two", "vbs", group="erp", volumes=((disk_id(3), LATEST),)),
    Wish("three", "hss", wave=2, server_id=server_id(3)),
    Wish("lone", "vbs", wave=2, volumes=((disk_id(5), LATEST),)),
)
BEHAVIOURS = {"restore_metadata": "keep", "restore_device": "honour"}


def story(**changes: Any) -> Story:
    """One controller, nothing goes wrong."""
    calm = Story(
        seed=0,
        scenario=GROUND.scenario(BEHAVIOURS, {}),
        wishes=WISHES,
        run_id="",
        options={"max_parallel": 10, "stop_on_failure": False},
        rules=Rules(),
        file_journal=False,
        latency_seconds=0.05,
        faults=(),
        tries=(),
        acts=(),
        rival=None,
    )
    return replace(calm, **changes)


@pytest.mark.parametrize("journal_in_a_file", [False, True])
def test_nothing_is_wrong_with_a_good_recovery(journal_in_a_file: bool) -> None:
    assert violations(play(story(file_journal=journal_in_a_file))) == {}


def test_who_works_for_which_run_is_not_told_by_what_a_backup_brings_back() -> None:
    """The lease is given back beside an owner of long ago, which was taken for that of the run that gave it."""
    scenario = GROUND.scenario({**BEHAVIOURS, "restore_metadata": "replace"}, {})
    for backup in scenario["vbs_backups"]:
        backup["metadata"] = {OWNER: "1|long-ago|elsewhere|1.1|ffffffff|server:x|1"}
    lone = next(wish for wish in WISHES if wish.name == "lone")
    played = play(story(scenario=scenario, wishes=(replace(lone, wave=1),)))
    assert played.history.runs == {1: played.attempts[0].plan["run_id"]}
    assert violations(played) == {}


# -- forgeries ---------------------------------------------------------------------------------------------------------


def _restore(played: Played, volume: str) -> Order:
    return next(o for o in played.history.orders if o.api.endswith(".restore") and volume in o.volume_ids)


def _again(played: Played, volume: str) -> None:
    """Accepted once more, when all is over."""
    played.history.orders.append(replace(_restore(played, volume), tick=LATER))


def _without(kind: str, volume: str) -> Callable[[Played], None]:
    def forge(played: Played) -> None:
        facts = played.history.facts
        facts[:] = [fact for fact in facts if (fact.kind, fact.id) != (kind, volume)]

    return forge


def _again_while_detached(played: Played) -> None:
    _without("attached", disk_id(1))(played)
    _without("used", disk_id(1))(played)
    _again(played, disk_id(1))


def _left(**changes: Any) -> Callable[[Played], None]:
    """The last run left something else behind: {what: {id: now}}."""

    def forge(played: Played) -> None:
        last = played.attempts[-1]
        assert last.left is not None
        merged = {name: {**getattr(last.left, name), **now} for name, now in changes.items()}
        last.left = replace(last.left, **merged)

    return forge


def _mark(about: str, phase: str, **changes: Any) -> Callable[[Played], None]:
    def forge(played: Played) -> None:
        last = played.attempts[-1]
        assert last.left is not None
        mark = Mark(about, phase, last.run_id, backup_id(int(about[-2:])), "")
        last.left = replace(last.left, marks=(*last.left.marks, replace(mark, **changes)))

    return forge


def _never_accepted(played: Played) -> None:
    orders = played.history.orders
    orders.remove(_restore(played, disk_id(5)))


def _changed_without_an_order(played: Played) -> None:
    """Not called restored, yet called changed."""
    _never_accepted(played)
    result = played.attempts[-1].result or {}
    entry = next(item for item in result["restores"] if item["volume_id"] == disk_id(5))
    entry["state"] = "failed"


def _order(**changes: Any) -> Callable[[Played], None]:
    def forge(played: Played) -> None:
        order = _restore(played, disk_id(3))
        for name, value in changes.items():
            setattr(order, name, value)

    return forge


def _claimed_by_another(played: Played) -> None:
    _order(owner=2, owner_since=_restore(played, disk_id(3)).at - 60.0)(played)


def _changed_by_another(api: str) -> Callable[[Played], None]:
    """A minute after somebody else had claimed it."""

    def forge(played: Played) -> None:
        order = next(order for order in played.history.orders if order.api == api)
        order.owner, order.owner_since = 2, order.at - 60.0

    return forge


def _instead_of_a_result(ended: str, **left: Any) -> Callable[[Played], None]:
    """The last run ended without one, and said nothing of what it left so."""

    def forge(played: Played) -> None:
        last = played.attempts[-1]
        last.ended, last.result, last.error = ended, None, "no connection"
        _left(**left)(played)

    return forge


def _planned_as_done(played: Played) -> None:
    """In a plan that was never carried out."""
    last = played.attempts[-1]
    last.ended, last.result, last.problems = "refused", None, ()
    targets = [target for wave in last.plan["waves"] for target in wave["targets"]]
    restores = [restore for target in targets for restore in target["restores"]]
    next(restore for restore in restores if restore["volume_id"] == disk_id(5))["state"] = "already_restored"
    _without("restored", disk_id(5))(played)


def _remembered(about: str, **changes: Any) -> Callable[[Played], None]:
    """The mark of a disk or server keeps something else of the time before."""

    def forge(played: Played) -> None:
        last = played.attempts[-1]
        assert last.left is not None
        assert about in {mark.about for mark in last.left.marks}
        marks = tuple(replace(mark, **changes) if mark.about == about else mark for mark in last.left.marks)
        last.left = replace(last.left, marks=marks)

    return forge


def _backwards(played: Played) -> None:
    played.history.orders.reverse()


def _started_at_once(played: Played) -> None:
    next(order for order in played.history.orders if order.api == "ecs.start").tick = 0


def _endless(played: Played) -> None:
    played.attempts[-1].ended = "endless"


def _failed(played: Played) -> None:
    result = played.attempts[-1].result
    assert result is not None
    result["failed"] = True
    result["targets"]["lone"]["failed"] = True


def _careless(played: Played) -> None:
    played.seen.cloud.world.violate("backup_deleted", "by accident")


FORGERIES: list[tuple[str, Callable[[Played], None]]] = [
    ("restored_once", lambda played: _again(played, disk_id(1))),
    ("restored_once", lambda played: _again(played, disk_id(4))),
    ("restored_once", _again_while_detached),
    ("disks_back_or_reported", _left(places={disk_id(2): {}})),
    ("disks_back_or_reported", _left(places={disk_id(2): {server_id(1): "/dev/vdx"}})),
    ("disks_back_or_reported", _left(places={disk_id(5): {server_id(2): "/dev/vdb"}})),
    ("disks_back_or_reported", _instead_of_a_result("refused", places={disk_id(2): {}})),
    ("disks_back_or_reported", _instead_of_a_result("error", places={disk_id(2): {}})),
    ("power_as_found_or_reported", _left(power={server_id(2): "SHUTOFF"})),
    ("power_as_found_or_reported", _instead_of_a_result("refused", power={server_id(2): "SHUTOFF"})),
    ("power_as_found_or_reported", _instead_of_a_result("error", power={server_id(2): "SHUTOFF"})),
    ("no_success_without_the_clouds", _without("restored", disk_id(5))),
    ("no_success_without_the_clouds", _without("restored", disk_id(4))),
    ("no_success_without_the_clouds", _changed_without_an_order),
    ("no_success_without_the_clouds", _planned_as_done),
    ("only_its_own", _order(volume_ids=(STRANGER,))),
    ("only_its_own", _order(server_id=ELSEWHERE)),
    ("only_its_own", _claimed_by_another),
    ("only_its_own", _changed_by_another("ecs.stop")),
    ("only_its_own", _changed_by_another("ecs.attach")),
    ("only_its_own", _changed_by_another("ecs.start")),
    ("announced", _order(marks=())),
    ("announced", _order(marks=(Mark(disk_id(3), "begun", "r", backup_id(3), ""),))),
    ("journal_is_reality", _mark(disk_id(3), "begun")),
    ("journal_is_reality", _mark(disk_id(3), "returned")),
    ("journal_is_reality", _mark(disk_id(3), "accepted", job="another")),
    ("journal_is_reality", _mark(disk_id(3), "finished", backup_id=backup_id(3, 2))),
    ("journal_is_reality", _mark(disk_id(3), "restored", backup_id=backup_id(3, 2))),
    ("journal_is_reality", _mark(STRANGER, "failed")),
    ("journal_is_reality", _mark(disk_id(3), "failed")),
    ("journal_is_reality", _remembered(disk_id(3), device="/dev/vdx")),
    ("journal_is_reality", _remembered(disk_id(3), was_running="n")),
    ("journal_is_reality", _remembered(f"hss:{server_id(3)}", was_running="n")),
    ("nothing_left_open", _mark(disk_id(3), "submitting")),
    ("waves_in_order", _backwards),
    ("not_more_than_allowed", _order(running=frozenset(map(str, range(11))))),
    ("groups_start_together", _started_at_once),
    ("ends", _endless),
    ("recovers_in_the_end", _failed),
    ("recovers_in_the_end", _left(places={disk_id(2): {server_id(1): "/dev/vdx"}})),
    ("recovers_in_the_end", _left(power={server_id(3): "SHUTOFF"})),
    ("careful", _careless),
]


@pytest.mark.parametrize(("name", "forge"), FORGERIES)
def test_an_invariant_sees(name: str, forge: Callable[[Played], None]) -> None:
    played = play(story())
    assert list(INVARIANTS[name](played)) == []
    forge(played)
    assert list(INVARIANTS[name](played)) != []
    assert name in violations(played)


@pytest.mark.parametrize(
    ("in_a_file", "phase", "run_id", "at", "excused"),
    [
        (True, "finished", "another", 2.0, True),
        (True, "returned", "another", 2.0, True),
        (True, "restored", "another", 2.0, False),
        (True, "finished", "another", 0.5, False),
        (False, "finished", "another", 2.0, False),
    ],
)
def test_an_old_file_is_excused_by_a_run_that_has_done_it_since_and_by_nothing_else(
    in_a_file: bool, phase: str, run_id: str, at: float, excused: bool
) -> None:
    played = play(story(file_journal=in_a_file))
    last = played.attempts[-1]
    assert last.left is not None
    last.left = replace(last.left, marks=())
    _mark(disk_id(3), "failed", at=1.0)(played)
    _mark(disk_id(3), phase, run_id=run_id, at=at)(played)
    assert (not list(INVARIANTS["nothing_left_open"](played))) is excused


@pytest.mark.parametrize("outcome", ["fail_available", "fail_error_restoring"])
def test_a_restore_that_failed_before_a_controller_came_takes_no_place_of_its_own(outcome: str) -> None:
    scenario = GROUND.scenario({**BEHAVIOURS, "restore_outcome": {disk_id(5): [outcome]}}, {})
    played = play(story(scenario=scenario, wishes=WISHES[3:]))
    failed = _restore(played, disk_id(5))
    over = next(fact for fact in played.history.facts if fact.kind == "over" and fact.id == disk_id(5))
    assert played.history.facts.count(over) == 1 and over.at > failed.at
    last = played.attempts[-1]
    came_before, came_after = (replace(last, who=99, found=replace(last.found, at=over.at + s)) for s in (-1.0, 1.0))
    assert _ran_before(played, came_before) == {disk_id(5)}
    assert _ran_before(played, came_after) == set()


def test_a_person_does_not_take_another_runs_restore_for_the_one_that_was_lost() -> None:
    """One run restores the server, the next one's order never arrives: the person sees that nothing came of it."""
    played = play(
        story(
            wishes=WISHES[2:3],
            run_id="incident-7",
            faults=({"api": "hss.restore", "phase": "before", "nth": [2], "action": {"drop": True}},),
            tries=(Try(Crash(0, 0, arrives=False)), Try()),
            rival=Rival(1.0, "incident-8", take_over=False, stall_at_read=0, stall_seconds=0.0),
        )
    )
    states = [attempt.result and attempt.result["targets"]["three"]["state"] for attempt in played.attempts]
    assert states == [None, "restored", "unknown", "unknown", "restored"]
    assert violations(played) == {}


def test_every_invariant_can_fail() -> None:
    assert {name for name, _forge in FORGERIES} == set(INVARIANTS)


def test_the_hss_server_of_the_story_is_restored_from_its_newest_backup() -> None:
    """Else the forgeries about it would say nothing."""
    played = play(story())
    assert _restore(played, disk_id(4)).backup_id == hss_backup_id(1)
    assert played.attempts[-1].well
