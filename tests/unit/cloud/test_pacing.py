# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send times: known limits, limits told by the gateway, limits that have to be guessed, and portions of large ones."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.pacing import (
    PORTIONS,
    SPARE_SECONDS,
    TOO_FEW_TO_GUESS,
    WITHOUT_NUMBERS_SECONDS,
    WITHOUT_NUMBERS_SHARE,
    Limit,
    Turns,
    told_limit,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

HSS = ("hss", "RestoreDuplicationInfo")
DETACH = ("ecs", "DetachServerVolume")
TOLD = "The throttling threshold has been reached: policy user over ratelimit,limit:{},time:{}"
NO_NUMBERS = "Too many requests"
WINDOW = 60.0 + SPARE_SECONDS


def sent(turns: Turns, calls: int, key: tuple[str, str] = HSS, now: float = 0.0) -> list[float]:
    """The send times of so many calls that are all asked for at once."""
    return [now + turns.wait_seconds(key, now) for _call in range(calls)]


# -- limits that are known ---------------------------------------------------------------------------------------------


def test_a_known_limit_lets_so_many_through_and_the_next_when_the_window_is_over() -> None:
    assert sent(Turns({"hss": 5}), 11) == [0.0] * 5 + [WINDOW] * 5 + [2 * WINDOW]


def test_the_window_slides() -> None:
    """Each call frees its own place: the sixth waits for the first, the seventh for the second."""
    turns = Turns({"hss": 5})
    for at in (0.0, 10.0, 20.0, 30.0, 40.0):
        assert turns.wait_seconds(HSS, at) == 0.0
    assert [50.0 + turns.wait_seconds(HSS, 50.0) for _call in range(2)] == [WINDOW, 10.0 + WINDOW]


def test_each_api_has_its_own_places_and_services_without_a_limit_never_wait() -> None:
    turns = Turns({"hss": 5, "evs": 0})
    sent(turns, 5)
    assert turns.wait_seconds(("hss", "ShowBackup"), 0.0) == 0.0
    assert sent(turns, 5000, DETACH) == [0.0] * 5000
    assert sent(turns, 5000, ("evs", "ListVolumes")) == [0.0] * 5000


# -- places that are asked for, and taken before ----------------------------------------------------------------------


def test_to_ask_for_the_next_place_does_not_take_it() -> None:
    turns = Turns({"hss": 1})
    assert [turns.free_in_seconds(HSS, 0.0) for _look in range(3)] == [0.0] * 3
    sent(turns, 1)
    assert [turns.free_in_seconds(HSS, 20.0) for _look in range(3)] == [WINDOW - 20.0] * 3


def test_a_reserved_place_counts_and_is_not_given_to_anybody_else() -> None:
    """Whoever reserved it sends without asking; a place that is never used must not let another one slip through."""
    turns = Turns({"hss": 2})
    turns.reserve(HSS, 0.0)
    assert turns.free_in_seconds(HSS, 0.0) == 0.0
    assert turns.wait_seconds(HSS, 0.5) == 0.0
    assert turns.wait_seconds(HSS, 0.5) == WINDOW - 0.5
    assert turns.wait_seconds(HSS, 2 * WINDOW) == 0.0


def test_a_reserved_place_is_that_of_one_api() -> None:
    turns = Turns({"hss": 1})
    turns.reserve(HSS, 0.0)
    other = ("hss", "ShowBackup")
    assert turns.wait_seconds(other, 0.0) == 0.0
    assert turns.wait_seconds(other, 0.0) == WINDOW


# -- limits that are learned -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (TOLD.format(200, "5 minute"), Limit(200, 300.0)),
        (TOLD.format(10, "1 second"), Limit(10, 1.0)),
        (TOLD.format(3000, "2 hour"), Limit(3000, 7200.0)),
        (TOLD.format(7, "1 day"), Limit(7, 86400.0)),
        ("LIMIT: 20 , TIME: 1 Minute", Limit(20, 60.0)),
        (TOLD.format(0, "1 minute"), None),
        (TOLD.format(20, "0 minute"), None),
        (TOLD.format(20, "1 fortnight"), None),
        ("limit:20", None),
        (NO_NUMBERS, None),
        ("", None),
    ],
)
def test_the_limit_in_the_words_of_the_gateway(text: str, limit: Limit | None) -> None:
    assert told_limit(text) == limit


def test_a_told_limit_counts_what_was_sent_before_and_holds_for_ever() -> None:
    turns = Turns({})
    sent(turns, 4, DETACH, now=100.0)
    turns.learn(DETACH, TOLD.format(4, "5 minute"), 101.0)
    assert turns.free_in_seconds(DETACH, 101.0) == 300.0 + SPARE_SECONDS - 1.0
    assert sent(turns, 5, DETACH, now=1e6)[3:] == [1e6, 1e6 + 300.0 + SPARE_SECONDS]


def test_a_told_limit_is_that_of_one_api_only() -> None:
    turns = Turns({})
    turns.learn(DETACH, TOLD.format(1, "5 minute"), 0.0)
    assert sent(turns, 3, ("ecs", "AttachServerVolume")) == [0.0] * 3


@pytest.mark.parametrize(("told", "gap"), [("1 minute", WINDOW), ("10 minute", 600.0 + SPARE_SECONDS)])
def test_of_a_known_and_a_told_limit_the_stricter_one_holds(told: str, gap: float) -> None:
    turns = Turns({"hss": 5})
    turns.learn(HSS, TOLD.format(5, told), 0.0)
    assert sent(turns, 6)[-1] == gap


def test_a_refusal_without_numbers_allows_a_little_less_than_the_last_minute_for_some_time() -> None:
    turns = Turns({})
    calls = 20
    fewer = int(calls * WITHOUT_NUMBERS_SHARE)
    sent(turns, 100, DETACH, now=0.0)  # longer ago than a minute: they do not count
    sent(turns, calls, DETACH, now=100.0)
    turns.learn(DETACH, NO_NUMBERS, 101.0)
    after = sent(turns, fewer + 1, DETACH, now=200.0)
    assert after[-1] - after[0] == WINDOW
    over = 101.0 + WITHOUT_NUMBERS_SECONDS
    assert sent(turns, 200, DETACH, now=over) == [over] * 200


@pytest.mark.parametrize(("calls", "guessed"), [(TOO_FEW_TO_GUESS - 1, False), (TOO_FEW_TO_GUESS, True)])
def test_nothing_is_guessed_from_few_calls(calls: int, guessed: bool) -> None:
    """Then others use the limit up, and going slower would not help."""
    turns = Turns({})
    sent(turns, calls, DETACH)
    turns.learn(DETACH, NO_NUMBERS, 1.0)
    assert (turns.free_in_seconds(DETACH, 1.0) > 0.0) is guessed


def test_calls_that_still_wait_for_their_turn_are_no_reason_for_a_refusal() -> None:
    turns = Turns({"hss": 7})
    sent(turns, 12)  # 7 of them are sent, 5 have places in the minute to come
    turns.learn(HSS, NO_NUMBERS, 1.0)
    assert turns.free_in_seconds(HSS, 1.0) == WINDOW - 1.0


# -- portions ----------------------------------------------------------------------------------------------------------


def test_a_large_limit_is_handed_out_in_portions_over_its_window() -> None:
    turns = Turns({})
    turns.learn(DETACH, TOLD.format(200, "5 minute"), 0.0)
    portion, pause = 200 // PORTIONS, 300.0 / PORTIONS
    times = sent(turns, 200, DETACH)
    assert times == [number * pause for number in range(PORTIONS) for _call in range(portion)]
    assert sent(turns, 1, DETACH) == [300.0 + SPARE_SECONDS]


def test_a_small_limit_is_not_divided() -> None:
    assert sent(Turns({"hss": PORTIONS - 1}), PORTIONS - 1) == [0.0] * (PORTIONS - 1)


# -- no window ever holds too many -------------------------------------------------------------------------------------


class Callers:
    """Calls of one API at times that pass: `sent` are the times at which they went out."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.now = 1000.0
        self.sent: list[float] = []
        self.reserved: list[float] = []

    def wait(self) -> None:
        self.sent.append(self.now + self.turns.wait_seconds(HSS, self.now))

    def reserve(self) -> None:
        """As the turnstile does: only where a place is free now. It is used within the second that is to spare."""
        if self.turns.free_in_seconds(HSS, self.now) <= 0:
            self.turns.reserve(HSS, self.now)
            self.reserved.append(self.now)

    def use(self) -> None:
        if self.reserved:
            self.reserved.pop(0)
            self.sent.append(self.now)

    def passes(self, seconds: float) -> None:
        end = self.now + seconds
        while self.reserved and self.reserved[0] + SPARE_SECONDS < end:
            self.now = max(self.now, self.reserved[0] + SPARE_SECONDS)
            self.use()
        self.now = end


# Quarters of a second: sums of them are exact.
actions = st.lists(
    st.one_of(
        st.sampled_from(["wait", "reserve", "use"]),
        st.integers(0, 8).map(lambda quarters: quarters / 4),
        st.integers(0, 360).map(lambda quarters: quarters / 4),
    ),
    max_size=120,
)


def play(turns: Turns, script: list[str | float]) -> list[float]:
    callers = Callers(turns)
    for action in script:
        if isinstance(action, str):
            getattr(callers, action)()
        else:
            callers.passes(action)
    while callers.reserved:
        callers.use()
    return sorted(callers.sent)


def fullest_window(times: list[float], window_seconds: float) -> int:
    """The most sends in any window that begins with a send; its end is not part of it."""
    return max((sum(begin <= at < begin + window_seconds for at in times) for begin in times), default=0)


# The same examples in every run: a red build is reproducible. No database: nothing is written beside the sources.
always_the_same = settings(derandomize=True, database=None, deadline=None, max_examples=200)


@always_the_same
@given(st.sampled_from([1, 2, 5, 8, 12, 20]), actions)
@example(5, ["reserve"] * 5 + [1.0] + ["use"] * 5 + [60.0] + ["wait"] * 6)
@example(1, ["reserve", 0.5, "wait", "use", 60.0, "wait"])
def test_no_window_of_a_known_limit_holds_more(calls: int, script: list[str | float]) -> None:
    assert fullest_window(play(Turns({"hss": calls}), script), 60.0) <= calls


@always_the_same
@given(st.sampled_from([(1, 10), (3, 60), (5, 300), (16, 60), (24, 300)]), actions)
def test_no_window_of_a_told_limit_holds_more_and_the_known_one_still_holds(
    told: tuple[int, int], script: list[str | float]
) -> None:
    turns = Turns({"hss": 5})
    turns.learn(HSS, TOLD.format(told[0], f"{told[1]} second"), 0.0)
    times = play(turns, script)
    assert fullest_window(times, float(told[1])) <= told[0]
    assert fullest_window(times, 60.0) <= 5


@always_the_same
@given(st.integers(0, 30), st.integers(1, 30))
def test_nobody_waits_longer_than_the_limit_demands(before: int, calls: int) -> None:
    """A pacer that is safe because it lets nobody through would be of no use: a full window is used in full."""
    turns = Turns({"hss": 5})
    times = sent(turns, before + calls)
    assert times == [number // 5 * WINDOW for number in range(before + calls)]


def test_threads_share_the_places() -> None:
    turns = Turns({"hss": 5})
    times: list[float] = []
    threads = [threading.Thread(target=lambda: times.extend(sent(turns, 25))) for _thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(times) == [number // 5 * WINDOW for number in range(100)]


# -- what the review found ---------------------------------------------------------------------------------------------


def test_a_guess_does_not_replace_what_was_told() -> None:
    turns = Turns({})
    key = ("ecs", "ShowServer")
    turns.learn(key, TOLD.format(20, "1 minute"), 0.0)
    sent(turns, 20, key)
    turns.learn(key, "too many requests", 1.0)
    assert turns.wait_seconds(key, 1.0) == WINDOW - 1.0


@pytest.mark.parametrize("calls", [12, 15, 23, 39])
def test_a_limit_of_middling_size_is_used_up_at_once(calls: int) -> None:
    turns = Turns({})
    key = ("ecs", "ShowServer")
    turns.learn(key, TOLD.format(calls, "1 minute"), 0.0)
    assert sent(turns, calls, key) == [0.0] * calls
