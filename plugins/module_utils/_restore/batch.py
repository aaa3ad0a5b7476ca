# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many scripts side by side: waves, places, groups, pauses. Takes the time as a number and does nothing itself.

`next(now)` returns what the world must be asked, each question with a ticket; `apply(ticket, answer)` brings the answer
back. What is a matter of order and time alone is answered here.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from .commands import (
    Admit,
    Command,
    Discharge,
    FreeSlot,
    Meet,
    Now,
    Pause,
    Script,
    TakeSlot,
    Together,
)

LOOKAHEAD = 2
"""Restores admitted to preparation, as a multiple of those that may run: stopping and detaching must not leave places
empty, and must not take servers down hours before their turn."""


@dataclass
class Part:
    """One server, or one disk without a server. `failed` is asked when its script has ended."""

    script: Script[None]
    failed: Callable[[], bool]
    critical: bool = False
    group: str = ""


@dataclass
class _Task:
    script: Script[Any]
    part: Part | None = None
    parent: _Family | None = None
    place: int = 0


@dataclass
class _Family:
    """A task that waits for the scripts it runs together."""

    task: _Task
    results: list[Any]
    missing: int


@dataclass
class _Group:
    size: int
    good: bool = True
    waiting: list[_Task] = field(default_factory=list)


class Batch:
    """Runs waves of parts. `background` scripts run beside them and do not keep the batch from ending."""

    def __init__(
        self,
        waves: Sequence[Sequence[Part]],
        *,
        width: int,
        stop_on_failure: bool = False,
        background: Sequence[Script[None]] = (),
    ) -> None:
        self.stopping = False
        self._width = width
        self._stop_on_failure = stop_on_failure
        self._waves = deque(waves)
        self._blocked = False
        self._parts_left = 0
        self._ready: deque[tuple[_Task, Any]] = deque((_Task(script), None) for script in background)
        self._asleep: list[tuple[float, int, _Task]] = []
        self._asked: dict[int, _Task] = {}
        self._serial = count(1)
        self._admitted = 0
        self._running = 0
        self._at_the_door: deque[tuple[_Task, int]] = deque()
        self._for_a_slot: deque[_Task] = deque()
        self._groups: dict[str, _Group] = {}

    @property
    def finished(self) -> bool:
        return not self._parts_left and not self._waves

    @property
    def running(self) -> int:
        """How many restores take a place right now."""
        return self._running

    def wake_at(self) -> float | None:
        """When a pause ends next."""
        return self._asleep[0][0] if self._asleep else None

    def stop(self) -> None:
        """Start nothing more. What was submitted is followed to its end; what was not is put back."""
        self.stopping = self._blocked = True
        self._turn_away()

    def apply(self, ticket: int, answer: Any) -> None:
        self._ready.append((self._asked.pop(ticket), answer))

    def next(self, now: float) -> list[tuple[int, Command]]:
        """Go on with everything that can go on. Returns the questions to the world, each with its ticket."""
        asked: list[tuple[int, Command]] = []
        while self._asleep and self._asleep[0][0] <= now:
            self._ready.append((heapq.heappop(self._asleep)[2], None))
        while True:
            while self._ready:
                task, answer = self._ready.popleft()
                self._step(task, answer, now, asked)
            if self._parts_left or not self._waves:
                return asked
            self._start_wave()

    def _start_wave(self) -> None:
        parts = self._waves.popleft()
        self.stopping = self._blocked
        self._parts_left = len(parts)
        for part in parts:
            if part.group:
                self._groups.setdefault(part.group, _Group(0)).size += 1
            self._ready.append((_Task(part.script, part=part), None))

    def _step(self, task: _Task, answer: Any, now: float, asked: list[tuple[int, Command]]) -> None:
        """Send an answer into a script and see what it asks next, until it has to wait."""
        while True:
            try:
                command = task.script.send(answer)
            except StopIteration as end:
                self._ended(task, end.value)
                return
            handle = _HANDLERS.get(type(command))
            if handle is None:
                ticket = next(self._serial)
                self._asked[ticket] = task
                asked.append((ticket, command))
                return
            waits, answer = handle(self, task, command, now)
            if waits:
                return

    def _ended(self, task: _Task, result: Any) -> None:
        if task.parent is not None:
            family = task.parent
            family.results[task.place] = result
            family.missing -= 1
            if not family.missing:
                self._ready.append((family.task, family.results))
        if task.part is not None:
            self._parts_left -= 1
            if task.part.failed():
                self._blocked = self._blocked or task.part.critical
                if self._stop_on_failure:
                    self.stopping = True
                    self._turn_away()

    # Each handler answers (waits, answer): whether the script has to wait, and what it is sent if not.

    def _now(self, _task: _Task, _command: Now, now: float) -> tuple[bool, Any]:
        return False, now

    def _pause(self, task: _Task, command: Pause, now: float) -> tuple[bool, Any]:
        wake = now + command.seconds
        if command.poll and command.seconds > 0:
            wake = math.ceil((now + command.seconds / 2) / command.seconds) * command.seconds
        heapq.heappush(self._asleep, (wake, next(self._serial), task))
        return True, None

    def _together(self, task: _Task, command: Together, _now: float) -> tuple[bool, Any]:
        if not command.scripts:
            return False, []
        family = _Family(task, [None] * len(command.scripts), len(command.scripts))
        self._ready.extend((_Task(s, parent=family, place=i), None) for i, s in enumerate(command.scripts))
        return True, None

    def _admit(self, task: _Task, command: Admit, _now: float) -> tuple[bool, Any]:
        if command.running:
            self._admitted += command.weight
            return False, True
        self._at_the_door.append((task, command.weight))
        self._open_door()
        return True, None

    def _discharge(self, _task: _Task, command: Discharge, _now: float) -> tuple[bool, Any]:
        self._admitted -= command.weight
        self._open_door()
        return False, None

    def _open_door(self) -> None:
        while self._at_the_door and not self.stopping:
            task, weight = self._at_the_door[0]
            if self._admitted and self._admitted + weight > self._width * LOOKAHEAD:
                return
            self._at_the_door.popleft()
            self._admitted += weight
            self._ready.append((task, True))
        self._turn_away()

    def _take_slot(self, task: _Task, command: TakeSlot, _now: float) -> tuple[bool, Any]:
        if command.running:
            self._running += 1
            return False, True
        self._for_a_slot.append(task)
        self._give_slots()
        return True, None

    def _free_slot(self, _task: _Task, command: FreeSlot, _now: float) -> tuple[bool, Any]:
        self._running -= 1
        self.stopping = self.stopping or (self._stop_on_failure and not command.good)
        self._give_slots()
        return False, None

    def _give_slots(self) -> None:
        while self._for_a_slot and self._running < self._width and not self.stopping:
            self._running += 1
            self._ready.append((self._for_a_slot.popleft(), True))
        self._turn_away()

    def _turn_away(self) -> None:
        if not self.stopping:
            return
        self._ready.extend((task, False) for task, _weight in self._at_the_door)
        self._ready.extend((task, False) for task in self._for_a_slot)
        self._at_the_door.clear()
        self._for_a_slot.clear()

    def _meet(self, task: _Task, command: Meet, _now: float) -> tuple[bool, Any]:
        group = self._groups[command.group]
        group.good = group.good and command.good
        group.waiting.append(task)
        if len(group.waiting) == group.size:
            self._ready.extend((member, group.good) for member in group.waiting)
        return True, None


_HANDLERS: dict[type, Callable[[Batch, _Task, Any, float], tuple[bool, Any]]] = {
    Now: Batch._now,
    Pause: Batch._pause,
    Together: Batch._together,
    Admit: Batch._admit,
    Discharge: Batch._discharge,
    TakeSlot: Batch._take_slot,
    FreeSlot: Batch._free_slot,
    Meet: Batch._meet,
}
