# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded pool that makes calls while the driver goes on. A port like the clock: simulations bring their own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

LANES: Mapping[str, int] = {"hss": 2}
"""Threads per lane. HSS has its own: waiting for its few calls a minute must not keep other calls waiting."""
DEFAULT_LANE_THREADS = 8


@dataclass(frozen=True)
class Done:
    """What a call returned, or the exception that it ended with: a bug, to be raised where it is seen."""

    key: Any
    value: Any = None
    bug: BaseException | None = None


class Workers(Protocol):
    def submit(self, lane: str, key: Any, call: Callable[[], Any]) -> None: ...

    def results(self, timeout_seconds: float | None) -> list[Done]:
        """Everything that has ended, waiting for the first up to the time-out; None waits as long as it takes."""

    def close(self) -> None: ...


class ThreadWorkers:
    """Threads that are started as they are needed, a fixed number for each lane at most."""

    def __init__(self, lanes: Mapping[str, int] | None = None) -> None:
        self._limits = LANES if lanes is None else lanes
        self._lanes: dict[str, queue.SimpleQueue[tuple[Any, Callable[[], Any]] | None]] = {}
        self._threads: dict[str, int] = {}
        self._done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def submit(self, lane: str, key: Any, call: Callable[[], Any]) -> None:
        name = lane if lane in self._limits else ""
        with self._lock:
            line = self._lanes.setdefault(name, queue.SimpleQueue())
            started = self._threads.get(name, 0)
            if started < self._limits.get(name, DEFAULT_LANE_THREADS):
                self._threads[name] = started + 1
                threading.Thread(target=self._work, args=(line,), daemon=True).start()
        line.put((key, call))

    def results(self, timeout_seconds: float | None) -> list[Done]:
        try:
            found = [self._done.get(timeout=timeout_seconds)]
        except queue.Empty:
            return []
        while not self._done.empty():
            found.append(self._done.get())
        return found

    def close(self) -> None:
        """Let every thread end after the call that it is in."""
        with self._lock:
            for name, line in self._lanes.items():
                for _thread in range(self._threads.get(name, 0)):
                    line.put(None)

    def _work(self, line: queue.SimpleQueue[tuple[Any, Callable[[], Any]] | None]) -> None:
        while (job := line.get()) is not None:
            key, call = job
            try:
                done = Done(key, call())
            except BaseException as bug:  # noqa: BLE001  (handed to the driver, which raises it)
                done = Done(key, bug=bug)
            self._done.put(done)
