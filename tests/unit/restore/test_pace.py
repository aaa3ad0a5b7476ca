# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When to look next: learned from the same work done before, by size, on a grid that looks can share."""

from __future__ import annotations

from itertools import pairwise

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.pace import (
    AS_LONG,
    EARLY,
    FORGET,
    LATE,
    STEP,
    Pace,
    on_the_grid,
)
from hypothesis import given
from hypothesis import strategies as st

INTERVAL = 10.0


def learned(*times: tuple[int, float], work: str = "restore") -> Pace:
    """A pace that has seen these (size in GB, seconds)."""
    pace = Pace()
    for size_gb, seconds in times:
        pace.learn(work, size_gb, seconds)
    return pace


def looks(pace: Pace, size_gb: int, ends_after: float, interval: float = INTERVAL, since: float = 0.0) -> list[float]:
    """The times of all looks at work that is over after so many seconds."""
    found = [since]
    while found[-1] < since + ends_after:
        found.append(pace.next_look("restore", size_gb, since=since, now=found[-1], interval_seconds=interval))
    return found[1:]


# -- what is expected --------------------------------------------------------------------------------------------------


def test_nothing_known_means_that_it_may_end_at_once() -> None:
    pace = learned((40, 100.0), work="another work")
    assert pace.expected_seconds("restore", 40) == 0.0


def test_what_took_less_is_believed_at_once() -> None:
    assert learned((40, 100.0), (40, 30.0)).expected_seconds("restore", 40) == 30.0


def test_what_took_much_longer_is_believed_step_by_step() -> None:
    pace = learned((40, 100.0), (40, 1000.0))
    assert pace.expected_seconds("restore", 40) == pytest.approx(100.0 * FORGET)
    pace.learn("restore", 40, 1000.0)
    assert pace.expected_seconds("restore", 40) == pytest.approx(100.0 * FORGET**2)


def test_what_was_only_seen_a_little_late_changes_nothing() -> None:
    """Looks come in steps, so most of what is seen is late: the expectation must not creep up by that."""
    pace = learned((40, 100.0), *[(40, 100.0 * AS_LONG)] * 50)
    assert pace.expected_seconds("restore", 40) == 100.0


@pytest.mark.parametrize(
    ("size_gb", "seconds"),
    [
        (10, 100.0),  # its share of the 40 GB: a quarter of 400 s
        (40, 400.0),
        (41, 400.0),  # at least as long as the smaller one; its share of the 200 GB is less
        (100, 500.0),  # half of the 200 GB
        (200, 1000.0),
        (999, 1000.0),
    ],
)
def test_sizes_that_were_not_seen_go_by_their_neighbours(size_gb: int, seconds: float) -> None:
    pace = learned((200, 1000.0), (40, 400.0))
    assert pace.expected_seconds("restore", size_gb) == pytest.approx(seconds)


def test_kinds_of_work_are_kept_apart() -> None:
    pace = learned((40, 400.0))
    pace.learn("detach", 40, 7.0)
    assert [pace.expected_seconds(work, 40) for work in ("restore", "detach")] == [400.0, 7.0]


# -- when to look ------------------------------------------------------------------------------------------------------


def test_nobody_looks_before_the_work_can_have_ended() -> None:
    first = looks(learned((40, 1000.0)), 40, 1000.0)[0]
    assert EARLY * 1000.0 <= first <= 1000.0


def test_unknown_work_is_looked_at_from_the_first_interval_on() -> None:
    assert looks(Pace(), 40, 60.0) == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]


def test_the_steps_grow_with_the_time_that_passes() -> None:
    """What takes an hour may be seen a minute late, and costs a few looks more than what takes minutes."""
    times = looks(Pace(), 40, 7200.0)
    steps = [after - before for before, after in pairwise(times)]
    assert steps == sorted(steps)
    assert set(steps) == {10.0, 20.0, 40.0, 80.0, 160.0}
    assert all(step <= max(INTERVAL, STEP * after) for step, after in zip(steps, times[1:], strict=True))


def test_work_that_began_at_different_times_shares_its_looks() -> None:
    """Each on its own would be 12 looks in the same minute; on the grid the list call serves them all."""
    pace = learned((40, 1000.0))
    ends = {looks(pace, 40, 1000.0, since=float(begun))[0] for begun in range(12)}
    assert len(ends) <= 2
    assert all(end % INTERVAL == 0 for end in ends)


def test_a_step_without_a_size_is_looked_at_right_when_it_can_have_ended() -> None:
    """Detaching takes about the same time for every disk, and the next step waits for it."""
    pace = learned((0, 100.0))
    first, *more = looks(pace, 0, 200.0)
    assert LATE * 100.0 <= first <= LATE * 100.0 + INTERVAL / 2
    assert more[0] - first <= INTERVAL


def test_an_interval_of_nothing_looks_at_once() -> None:
    """Tests and simulations do that; it must not divide by zero or go round in circles."""
    assert Pace().next_look("restore", 40, since=0.0, now=7.0, interval_seconds=0.0) == 7.0
    assert on_the_grid(7.3, 0.0) == 7.3


times = st.integers(0, 40_000).map(lambda quarters: quarters / 4)


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 40, 41, 500]), times), max_size=8),
    st.sampled_from([0, 1, 20, 40, 100, 500, 4000]),
    times,
    times,
    st.sampled_from([1.0, 5.0, 10.0, 60.0]),
)
def test_the_next_look_is_later_than_now_and_never_late_without_reason(
    known: list[tuple[int, float]], size_gb: int, since: float, passed: float, interval: float
) -> None:
    pace = learned(*known)
    now = since + passed
    at = pace.next_look("restore", size_gb, since=since, now=now, interval_seconds=interval)
    expected = pace.expected_seconds("restore", size_gb)
    assert at > now
    assert at >= since + EARLY * expected
    earliest = max(passed, LATE * expected)
    assert at - since <= earliest + 1.5 * max(interval, STEP * earliest) + 1e-6
    assert at % (interval / 2) == pytest.approx(0.0, abs=1e-6)


@given(st.lists(st.tuples(st.integers(1, 2000), times), min_size=1, max_size=20))
def test_an_expectation_never_exceeds_what_was_seen(known: list[tuple[int, float]]) -> None:
    """Looking too early costs a call; looking too late keeps a place empty, for every disk of that size."""
    pace = learned(*known)
    for size_gb, _seconds in known:
        seen = [seconds for size, seconds in known if size == size_gb]
        assert min(seen) <= pace.expected_seconds("restore", size_gb) <= max(seen)
