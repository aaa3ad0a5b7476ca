# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool: bounded lanes that do not wait for each other, results as they come, bugs handed on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.workers import (
    LANE_THREADS,
    Done,
    ThreadWorkers,
)

PATIENCE_SECONDS = 5.0


class Gate:
    """Calls that wait until they are let go, and count how many are inside."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._lock = threading.Lock()
        self._entered = threading.Semaphore(0)
        self.inside = 0
        self.most = 0

    def __call__(self) -> str:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self._entered.release()
        self._open.wait(PATIENCE_SECONDS)
        with self._lock:
            self.inside -= 1
        return "done"

    def wait_for(self, number: int) -> None:
        for _one in range(number):
            assert self._entered.acquire(timeout=PATIENCE_SECONDS)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def pool() -> Iterator[ThreadWorkers]:
    workers = ThreadWorkers()
    yield workers
    workers.close()


def collect(workers: ThreadWorkers, number: int) -> list[Done]:
    found: list[Done] = []
    while len(found) < number:
        more = workers.results(PATIENCE_SECONDS)
        assert more, "the workers do not come to their end"
        found += more
    return found


@pytest.mark.parametrize("limit", [1, 3, LANE_THREADS])
def test_a_lane_has_no_more_threads_than_its_limit(limit: int) -> None:
    pool = ThreadWorkers(limit)
    gate = Gate()
    for number in range(limit + 5):
        pool.submit("lane", number, gate)
    gate.wait_for(limit)
    gate.open()
    assert {done.key for done in collect(pool, limit + 5)} == set(range(limit + 5))
    assert gate.most == limit
    pool.close()


def test_a_lane_that_is_full_does_not_hold_up_another(pool: ThreadWorkers) -> None:
    gate = Gate()
    for number in range(LANE_THREADS + 3):
        pool.submit("hss", number, gate)
    gate.wait_for(LANE_THREADS)
    pool.submit("", "quick", lambda: "here")
    assert pool.results(PATIENCE_SECONDS) == [Done("quick", "here")]
    gate.open()
    collect(pool, LANE_THREADS + 3)


def test_those_of_a_lower_rank_go_first_and_equals_in_their_order() -> None:
    workers = ThreadWorkers(1)
    gate = Gate()
    workers.submit("", "first", gate)
    gate.wait_for(1)
    for key, rank in (("late", 5), ("early", 1), ("early too", 1), ("urgent", -1)):
        workers.submit("", key, lambda: None, rank=rank)
    gate.open()
    assert [done.key for done in collect(workers, 5)] == ["first", "urgent", "early", "early too", "late"]
    workers.close()


def test_results_come_with_their_key_and_all_that_are_there() -> None:
    workers = ThreadWorkers(1)
    for number in range(4):
        workers.submit("", f"k{number}", lambda number=number: number * 10)
    assert [(done.key, done.value) for done in collect(workers, 4)] == [(f"k{n}", n * 10) for n in range(4)]
    workers.close()


def test_nothing_to_tell_is_told_after_the_time_out(pool: ThreadWorkers) -> None:
    assert pool.results(0.01) == []


@pytest.mark.parametrize("bug", [ZeroDivisionError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_a_bug_is_handed_on_and_the_thread_goes_on(bug: BaseException) -> None:
    workers = ThreadWorkers(1)

    def fail() -> Any:
        raise bug

    workers.submit("", "bad", fail)
    workers.submit("", "good", lambda: 1)
    assert collect(workers, 2) == [Done("bad", bug=bug), Done("good", 1)]
    workers.close()


def test_threads_end_when_the_pool_is_closed() -> None:
    before = set(threading.enumerate())
    workers = ThreadWorkers()
    gate = Gate()
    for number in range(5):
        workers.submit("", number, gate)
    gate.wait_for(5)
    mine = set(threading.enumerate()) - before
    assert len(mine) == 5
    assert all(thread.daemon for thread in mine)
    workers.close()
    gate.open()
    for thread in mine:
        thread.join(PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in mine)
