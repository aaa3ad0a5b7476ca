# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of things: waves, places, groups, pauses, and what a stop still lets happen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.batch import Batch, Part
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.commands import (
    Admit,
    Discharge,
    FreeSlot,
    Look,
    Meet,
    Now,
    Pause,
    Script,
    TakeSlot,
    Thing,
    Together,
)
from hypothesis import given
from hypothesis import strategies as st


@dataclass
class Stage:
    """Plays a batch: time passes only in pauses, each question to the world is answered with its own name."""

    now: float = 1000.0
    log: list[tuple[float, str]] = field(default_factory=list)
    most_running: int = 0
    turns: int = 0

    def play(self, batch: Batch, *, between: Callable[[Batch], None] = lambda batch: None) -> Stage:
        while True:
            self.turns += 1
            assert self.turns < 20_000, "the batch does not come to its end"
            while asked := batch.next(self.now):
                self.most_running = max(self.most_running, batch.running)
                for ticket, command in asked:
                    batch.apply(ticket, command.id if isinstance(command, Look) else None)
            self.most_running = max(self.most_running, batch.running)
            if batch.finished:
                return self
            between(batch)
            wake = batch.wake_at()
            if wake is None:
                assert batch.next(self.now), "everybody waits for somebody else"
            else:
                self.now = max(self.now, wake)

    def note(self, what: str) -> None:
        self.log.append((self.now - 1000.0, what))

    @property
    def said(self) -> list[str]:
        return [what for _at, what in self.log]


@dataclass
class Work:
    """A part that asks to be let in, takes a place, runs for a while and says how it went."""

    stage: Stage
    name: str
    seconds: float = 10.0
    good: bool = True
    critical: bool = False
    group: str = ""
    weight: int = 1
    running: bool = False
    prepare: float = 0.0

    def part(self) -> Part:
        self.done = False
        return Part(self._script(), lambda: not self.done, self.critical, self.group)

    def _script(self) -> Script[None]:
        if (yield Admit(self.weight)):
            self.stage.note(f"{self.name} admitted")
            outcomes = yield Together(tuple(self._restore(number) for number in range(self.weight)))
            self.done = self.good and all(outcomes)
        else:
            self.stage.note(f"{self.name} turned away")
        if self.group:
            self.done = yield Meet(self.group, self.done)
            self.stage.note(f"{self.name} met {self.done}")

    def _restore(self, number: int) -> Script[bool]:
        if self.prepare:
            yield Pause(self.prepare)
        went = yield TakeSlot(running=self.running)
        if went:
            self.stage.note(f"{self.name}{number} runs")
            yield Pause(self.seconds)
            self.stage.note(f"{self.name}{number} ends")
            yield FreeSlot(good=self.good)
        else:
            self.stage.note(f"{self.name}{number} not started")
        yield Discharge(1)
        return bool(went)


def play(stage: Stage, *waves: Sequence[Work], width: int = 10, between: Any = None, **options: Any) -> Stage:
    batch = Batch([[work.part() for work in wave] for wave in waves], width=width, **options)
    return stage.play(batch, between=between or (lambda batch: None))


# -- waves -------------------------------------------------------------------------------------------------------------


def test_parts_of_a_wave_run_together_and_waves_one_after_the_other() -> None:
    stage = Stage()
    play(stage, [Work(stage, "a"), Work(stage, "b", 20)], [Work(stage, "c")])
    assert [line for line in stage.log if "runs" in line[1]] == [(0, "a0 runs"), (0, "b0 runs"), (20, "c0 runs")]


@pytest.mark.parametrize("waves", [[], [[]], [[], [], []]])
def test_nothing_to_do_is_done_at_once(waves: list[list[Part]]) -> None:
    batch = Batch(waves, width=1)
    assert batch.next(0.0) == []
    assert batch.finished


def test_an_empty_wave_between_others_is_passed() -> None:
    stage = Stage()
    play(stage, [Work(stage, "a")], [], [Work(stage, "b")])
    assert "b0 ends" in stage.said


def test_a_part_that_is_not_critical_does_not_keep_the_next_wave_from_starting() -> None:
    stage = Stage()
    play(stage, [Work(stage, "a", good=False)], [Work(stage, "b")])
    assert "b0 ends" in stage.said


def test_a_critical_part_that_fails_keeps_all_later_waves_from_starting() -> None:
    stage = Stage()
    play(
        stage,
        [Work(stage, "a", good=False, critical=True), Work(stage, "b", 50)],
        [Work(stage, "c")],
        [Work(stage, "d")],
    )
    assert stage.said == ["a admitted", "b admitted", "a0 runs", "b0 runs", "a0 ends", "b0 ends",
                          "c turned away", "d turned away"]  # fmt: skip


def test_a_critical_part_that_succeeds_lets_the_next_wave_start() -> None:
    stage = Stage()
    play(stage, [Work(stage, "a", critical=True)], [Work(stage, "b")])
    assert "b0 ends" in stage.said


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_stop_on_failure_ends_what_runs_and_starts_nothing_more_of_the_wave() -> None:
    stage = Stage()
    wave = [
        Work(stage, "a", 10, good=False),
        Work(stage, "b", 50),
        Work(stage, "c"),
        Work(stage, "d"),
        Work(stage, "e"),
    ]
    play(stage, wave, [Work(stage, "f")], width=2, stop_on_failure=True)
    assert {"b0 ends", "c0 not started", "d turned away", "e turned away", "f0 ends"} <= set(stage.said)
    assert (10, "e turned away") in stage.log


def test_stop_on_failure_does_not_wait_until_the_failed_part_is_put_back() -> None:
    """Between a failed restore and the end of its part lie attaching disks and starting a server: minutes."""
    stage = Stage()

    def fails_and_tidies_up() -> Script[None]:
        yield Admit(1)
        yield TakeSlot()
        yield FreeSlot(good=False)
        yield Discharge(1)
        yield Pause(300.0)

    other = Work(stage, "b")
    stage.play(Batch([[Part(fails_and_tidies_up(), lambda: True), other.part()]], width=1, stop_on_failure=True))
    assert "b0 runs" not in stage.said


def test_without_stop_on_failure_the_wave_is_finished() -> None:
    stage = Stage()
    play(stage, [Work(stage, "a", good=False), *(Work(stage, name) for name in "bcde")], width=1)
    assert [what for what in stage.said if "ends" in what] == [f"{name}0 ends" for name in "abcde"]


def test_stop_turns_away_who_waits_at_the_door_and_for_a_place_and_every_later_wave() -> None:
    stage = Stage()

    def stop(batch: Batch) -> None:
        if not batch.stopping and batch.running:
            batch.stop()

    wave = [Work(stage, name) for name in "abcd"]
    play(stage, wave, [Work(stage, "z")], width=1, between=stop)
    assert stage.said == [
        "a admitted", "b admitted", "a0 runs", "c turned away", "d turned away", "b0 not started", "a0 ends",
        "z turned away",
    ]  # fmt: skip


def test_who_runs_already_is_followed_even_when_the_run_is_being_stopped() -> None:
    stage = Stage()
    batch = Batch([], width=1)
    batch.stop()
    answers = []

    def script() -> Script[None]:
        answers.append((yield TakeSlot(running=True)))
        answers.append((yield TakeSlot()))
        answers.append((yield Admit(1)))

    batch = Batch([[Part(script(), lambda: False)]], width=1)
    batch.stop()
    stage.play(batch)
    assert answers == [True, False, False]


# -- places ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_no_more_than_the_width_runs_and_no_place_stays_empty(width: int) -> None:
    stage = Stage()
    play(stage, [Work(stage, f"p{number:02}") for number in range(14)], width=width)
    assert stage.most_running == width
    assert stage.now - 1000 == 10 * -(-14 // width)


def test_no_more_than_the_lookahead_is_prepared() -> None:
    """A server is not taken down hours before its turn."""
    stage = Stage()
    play(stage, [Work(stage, f"p{number}") for number in range(30)], width=8)
    at_start = [what for at, what in stage.log if at == 0 and "admitted" in what]
    assert len(at_start) == 8 + 8 // 4


def test_more_is_prepared_when_a_place_finds_nobody_ready() -> None:
    """Preparing takes three times as long as restoring here: with a quarter in advance most places would stay empty."""
    stage = Stage()
    play(stage, [Work(stage, f"p{number}", prepare=30.0) for number in range(64)], width=8)
    prepared = [sum(at < moment for at, what in stage.log if "admitted" in what) for moment in (30.0, 60.0)]
    assert prepared[0] == 10
    assert prepared[1] > 10 + 8
    assert stage.most_running == 8


def test_a_server_with_more_disks_than_fit_is_let_in_alone() -> None:
    stage = Stage()
    play(stage, [Work(stage, "a", weight=9), Work(stage, "b")], width=2)
    assert stage.most_running == 2
    assert stage.said.index("b admitted") > stage.said.index("a0 runs")
    assert "b0 ends" in stage.said


def test_the_first_at_the_door_is_the_first_let_in() -> None:
    """A light part does not overtake a heavy one for ever."""
    stage = Stage()
    play(stage, [Work(stage, "a"), Work(stage, "heavy", weight=2), Work(stage, "b"), Work(stage, "c")], width=1)
    admitted = [what.split()[0] for what in stage.said if "admitted" in what]
    assert admitted == ["a", "heavy", "b", "c"]


def test_a_restore_that_runs_already_is_not_kept_waiting_but_counts() -> None:
    stage = Stage()
    old = [Work(stage, "old1", 10, running=True), Work(stage, "old2", 10, running=True)]
    play(stage, [*old, Work(stage, "new")], width=1)
    assert stage.most_running == 2
    assert (0, "old2" + "0 runs") in stage.log
    assert {what: at for at, what in stage.log}["new0 runs"] >= 10


# -- groups ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("good", [True, False])
def test_members_of_a_group_wait_for_each_other_and_share_the_outcome(good: bool) -> None:
    stage = Stage()
    members = [Work(stage, "a", 10, group="g"), Work(stage, "b", 70, good=good, group="g")]
    play(stage, [*members, Work(stage, "c", 5)], width=1)
    assert [line for line in stage.log if "met" in line[1]] == [(80, f"a met {good}"), (80, f"b met {good}")]
    assert (85, "c0 ends") in stage.log


def test_two_groups_do_not_wait_for_each_other() -> None:
    stage = Stage()
    play(stage, [Work(stage, "a", 10, group="g"), Work(stage, "b", 99, good=False, group="h")])
    assert (10, "a met True") in stage.log
    assert (99, "b met False") in stage.log


def test_a_group_larger_than_the_places_does_not_lock_itself_out() -> None:
    stage = Stage()
    play(stage, [Work(stage, f"m{number}", group="g") for number in range(7)], width=1)
    assert [what for what in stage.said if "met True" in what] == [f"m{number} met True" for number in range(7)]


def test_a_group_meets_when_the_run_is_being_stopped() -> None:
    stage = Stage()
    wave = [Work(stage, "x", 1, good=False), *(Work(stage, name, 30, group="g") for name in "abc")]
    play(stage, wave, width=1, stop_on_failure=True)
    assert sorted(what for what in stage.said if "met" in what) == [f"{name} met False" for name in "abc"]


# -- pauses ------------------------------------------------------------------------------------------------------------


def pauses(*commands: Pause, now: float) -> list[float]:
    """When scripts that pause wake up, if time jumps from one end to the next."""
    woken: dict[int, float] = {}
    stage = Stage(now)

    def script(number: int) -> Script[None]:
        yield commands[number]
        woken[number] = yield Now()

    stage.play(Batch([[Part(script(number), lambda: False) for number in range(len(commands))]], width=1))
    return [woken[number] for number in range(len(commands))]


def test_a_pause_lasts_as_long_as_it_says() -> None:
    assert pauses(Pause(3.0), Pause(10.5), Pause(0.0), now=1001.0) == [1004.0, 1011.5, 1001.0]


@pytest.mark.parametrize("now", [1000.0, 1000.1, 1004.9, 1005.0, 1005.1, 1009.9])
def test_polls_fall_on_a_common_beat(now: float) -> None:
    """One list then answers for all that wait. Nobody waits less than half or more than one and a half of it."""
    (woken,) = pauses(Pause(10.0, poll=True), now=now)
    assert woken % 10 == 0
    assert 5.0 <= woken - now <= 15.0


def test_polls_that_begin_apart_end_together() -> None:
    stage = Stage()
    woken: list[float] = []

    def script(delay: float) -> Script[None]:
        yield Pause(delay)
        yield Pause(10.0, poll=True)
        woken.append((yield Now()))

    stage.play(Batch([[Part(script(delay), lambda: False) for delay in (0.0, 1.3, 2.9, 4.7)]], width=1))
    assert woken == [1010.0] * 4


def test_a_batch_says_when_it_wakes_up() -> None:
    def script() -> Script[None]:
        yield Pause(7.0)

    batch = Batch([[Part(script(), lambda: False)]], width=1)
    assert batch.wake_at() is None
    batch.next(100.0)
    assert batch.wake_at() == 107.0
    assert batch.next(106.9) == []
    assert not batch.finished
    batch.next(107.0)
    assert (batch.finished, batch.wake_at()) == (True, None)


# -- questions ---------------------------------------------------------------------------------------------------------


def test_each_script_gets_the_answer_to_its_own_question() -> None:
    got: dict[str, Any] = {}

    def script(name: str) -> Script[None]:
        got[name] = yield Look(Thing.DISK, name)

    batch = Batch([[Part(script(name), lambda: False) for name in "abc"]], width=1)
    asked = batch.next(0.0)
    assert [command for _ticket, command in asked] == [Look(Thing.DISK, name) for name in "abc"]
    for ticket, command in reversed(asked):
        batch.apply(ticket, f"answer to {command.id}")  # type: ignore[union-attr]
    assert batch.next(0.0) == []
    assert got == {name: f"answer to {name}" for name in "abc"}
    assert batch.finished


def test_an_answer_to_a_question_that_nobody_asked_is_a_bug() -> None:
    with pytest.raises(KeyError):
        Batch([], width=1).apply(1, None)


def test_together_returns_in_order_whatever_ends_first() -> None:
    results: list[Any] = []

    def one(seconds: float) -> Script[float]:
        yield Pause(seconds)
        return seconds

    def both() -> Script[None]:
        results.append((yield Together((one(9.0), one(1.0), one(5.0)))))
        results.append((yield Together(())))

    Stage().play(Batch([[Part(both(), lambda: False)]], width=1))
    assert results == [[9.0, 1.0, 5.0], []]


def test_a_background_script_runs_beside_and_does_not_keep_the_batch_from_ending() -> None:
    stage = Stage()
    beats = []

    def lease() -> Script[None]:
        while True:
            yield Pause(60.0)
            beats.append((yield Look(Thing.SERVER, "lease")))

    play(stage, [Work(stage, "a", 150)], [Work(stage, "b", 100)], background=[lease()])
    assert (len(beats), stage.now) == (4, 1250.0)


def test_a_bug_in_a_script_is_not_swallowed() -> None:
    def script() -> Script[None]:
        yield Now()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Batch([[Part(script(), lambda: False)]], width=1).next(0.0)


# -- anything at all ---------------------------------------------------------------------------------------------------

WORKS = st.fixed_dictionaries(
    {
        "seconds": st.sampled_from([0.0, 1.0, 10.0, 33.3]),
        "good": st.booleans(),
        "critical": st.booleans(),
        "group": st.sampled_from(["", "", "g", "h"]),
        "weight": st.integers(0, 5),
    }
)


@given(
    st.lists(st.lists(WORKS, max_size=6), max_size=3),
    st.integers(1, 4),
    st.booleans(),
    st.none() | st.integers(0, 8),
)
def test_any_batch_ends_and_never_exceeds_its_width(
    waves: list[list[dict[str, Any]]], width: int, stop_on_failure: bool, stop_after: int | None
) -> None:
    stage = Stage()
    works = [
        # a group within one wave: that is what a plan makes sure of
        [
            Work(stage, f"{wave}-{number}-", **{**given_, "group": given_["group"] and f"{given_['group']}{wave}"})
            for number, given_ in enumerate(parts)
        ]
        for wave, parts in enumerate(waves)
    ]
    turn = iter(range(10_000))

    def stop(batch: Batch) -> None:
        if stop_after is not None and next(turn) >= stop_after:
            batch.stop()

    play(stage, *works, width=width, stop_on_failure=stop_on_failure, between=stop)
    assert stage.most_running <= width
    every = [work for wave in works for work in wave]
    entered = {what.split()[0] for what in stage.said if what.endswith((" admitted", " turned away"))}
    assert entered == {work.name for work in every}
    started = [what.removesuffix(" runs") for what in stage.said if what.endswith(" runs")]
    ended = [what.removesuffix(" ends") for what in stage.said if what.endswith(" ends")]
    assert sorted(started) == sorted(ended)
    assert len(set(started)) == len(started)
    if stop_after is None and not stop_on_failure and not any(work.critical for work in every):
        assert len(started) == sum(work.weight for work in every)
