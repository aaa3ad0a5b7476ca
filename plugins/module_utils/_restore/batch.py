# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many scripts side by side: waves, places, groups, pauses. Takes the time as a number and does nothing itself.

`next(now)` returns what the world must be asked, each question with a ticket; `apply(ticket, answer)` brings the answer
back. What is a matter of order and time alone is answered here.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from .commands import (
    Admit,
    Await,
    Command,
    Discharge,
    FreeSlot,
    GoesOn,
    Learn,
    Meet,
    Now,
    Pause,
    Script,
    TakeSlot,
    Together,
)
from .pace import Pace, on_the_grid

STEPS_TO_TWICE = 4
"""Stopping and detaching must not leave places empty, and must not take servers down hours before their turn. So a
quarter of the places is prepared in advance at first, and a quarter more each time that a place finds nobody ready, up
to as many as there are places."""
COMPANY = 16
"""The door opens when there is room for so many, or a quarter of the places: what enters together shares its looks and
its stop."""


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
    rank: int = 0
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
        self._door_is_open = True
        self._quarter = max(1, width // STEPS_TO_TWICE)
        self._ahead = self._quarter
        self._for_a_slot: deque[tuple[_Task, str]] = deque()
        self._pace = Pace()
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

    def soon(self, most: int) -> list[str]:
        """The disks that are next to be restored."""
        return [disk for _task, disk in islice(self._for_a_slot, max(0, most)) if disk]

    def stop(self) -> None:
        """Start nothing more. What was submitted is followed to its end; what was not is put back."""
        self.stopping = self._blocked = True
        self._turn_away()

    def rank(self, ticket: int) -> int:
        """The place of who asks among the parts of its wave: where calls have to wait, the first ones go first."""
        return self._asked[ticket].rank

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
        for rank, part in enumerate(parts):
            if part.group:
                self._groups.setdefault(part.group, _Group(0)).size += 1
            self._ready.append((_Task(part.script, rank, part), None))

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
        if command.poll:
            wake = on_the_grid(now + command.seconds / 2, command.seconds)
        self._sleep(task, wake)
        return True, None

    def _await(self, task: _Task, command: Await, now: float) -> tuple[bool, Any]:
        wake = self._pace.next_look(
            command.work,
            command.size_gb,
            since=command.since,
            now=now,
            interval_seconds=command.interval_seconds,
        )
        self._sleep(task, max(now, min(wake, command.until)))
        return True, None

    def _sleep(self, task: _Task, until: float) -> None:
        heapq.heappush(self._asleep, (until, next(self._serial), task))

    def _learn(self, _task: _Task, command: Learn, _now: float) -> tuple[bool, Any]:
        self._pace.learn(command.work, command.size_gb, command.seconds)
        return False, None

    def _together(self, task: _Task, command: Together, _now: float) -> tuple[bool, Any]:
        if not command.scripts:
            return False, []
        family = _Family(task, [None] * len(command.scripts), len(command.scripts))
        self._ready.extend(
            (_Task(script, task.rank, parent=family, place=i), None) for i, script in enumerate(command.scripts)
        )
        return True, None

    def _goes_on(self, _task: _Task, _command: GoesOn, _now: float) -> tuple[bool, Any]:
        return False, not self.stopping

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
        room = self._width + self._ahead
        if self._admitted <= room - min(self._quarter, COMPANY):
            self._door_is_open = True
        while self._at_the_door and self._door_is_open and not self.stopping:
            task, weight = self._at_the_door[0]
            # one server with more disks than there are places takes what there is, and does not keep others waiting
            if self._admitted + min(weight, self._width) > room:
                self._door_is_open = False
                return
            self._at_the_door.popleft()
            self._admitted += weight
            self._ready.append((task, True))
        self._turn_away()

    def _take_slot(self, task: _Task, command: TakeSlot, _now: float) -> tuple[bool, Any]:
        if command.running:
            self._running += 1
            return False, True
        self._for_a_slot.append((task, command.soon))
        self._give_slots()
        return True, None

    def _free_slot(self, _task: _Task, command: FreeSlot, _now: float) -> tuple[bool, Any]:
        self._running -= 1
        self.stopping = self.stopping or (self._stop_on_failure and not command.good)
        if self._at_the_door and not self._for_a_slot:
            self._ahead = min(self._width, self._ahead + self._quarter)
        self._give_slots()
        return False, None

    def _give_slots(self) -> None:
        while self._for_a_slot and self._running < self._width and not self.stopping:
            self._running += 1
            self._ready.append((self._for_a_slot.popleft()[0], True))
        self._turn_away()

    def _turn_away(self) -> None:
        if not self.stopping:
            return
        self._ready.extend((task, False) for task, _weight in self._at_the_door)
        self._ready.extend((task, False) for task, _disk in self._for_a_slot)
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
    Await: Batch._await,
    Learn: Batch._learn,
    Together: Batch._together,
    GoesOn: Batch._goes_on,
    Admit: Batch._admit,
    Discharge: Batch._discharge,
    TakeSlot: Batch._take_slot,
    FreeSlot: Batch._free_slot,
    Meet: Batch._meet,
}
