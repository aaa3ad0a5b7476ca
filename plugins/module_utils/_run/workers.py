# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded pool that makes calls while the driver goes on. A port like the clock: simulations bring their own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

LANE_THREADS = 16
"""Each API has a lane of its own, so that waiting for the rate limit of one keeps no call of another waiting."""


@dataclass(frozen=True)
class Done:
    """What a call returned, or the exception that it ended with: a bug, to be raised where it is seen."""

    key: Any
    value: Any = None
    bug: BaseException | None = None


class Workers(Protocol):
    def submit(self, lane: str, key: Any, call: Callable[[], Any], *, rank: int = 0) -> None:
        """Of calls that wait in the same lane those of a lower rank go first."""

    def results(self, timeout_seconds: float | None) -> list[Done]:
        """Everything that has ended, waiting for the first up to the time-out; None waits as long as it takes."""

    def close(self) -> None: ...


Job = tuple[Any, Callable[[], Any]]
_Line = queue.PriorityQueue[tuple[int, int, "Job | None"]]
_LAST = 1 << 60


class ThreadWorkers:
    """Threads that are started as they are needed, a fixed number for each lane at most."""

    def __init__(self, lane_threads: int = LANE_THREADS) -> None:
        self._lane_threads = lane_threads
        self._lanes: dict[str, _Line] = {}
        self._threads: dict[str, int] = {}
        self._serial = count()
        self._done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def submit(self, lane: str, key: Any, call: Callable[[], Any], *, rank: int = 0) -> None:
        with self._lock:
            if lane not in self._lanes:
                self._lanes[lane] = queue.PriorityQueue()
            line = self._lanes[lane]
            line.put((rank, next(self._serial), (key, call)))
            started = self._threads.get(lane, 0)
            if started < self._lane_threads:
                self._threads[lane] = started + 1
                threading.Thread(target=self._work, args=(line,), daemon=True).start()

    def results(self, timeout_seconds: float | None) -> list[Done]:
        try:
            found = [self._done.get(timeout=timeout_seconds)]
        except queue.Empty:
            return []
        while not self._done.empty():
            found.append(self._done.get())
        return found

    def close(self) -> None:
        """Let every thread end after the calls that were given to it."""
        with self._lock:
            for lane, line in self._lanes.items():
                for _thread in range(self._threads.get(lane, 0)):
                    line.put((_LAST, next(self._serial), None))

    def _work(self, line: _Line) -> None:
        while (job := line.get()[2]) is not None:
            key, call = job
            try:
                done = Done(key, call())
            except BaseException as bug:  # noqa: BLE001  (handed to the driver, which raises it)
                done = Done(key, bug=bug)
            self._done.put(done)
