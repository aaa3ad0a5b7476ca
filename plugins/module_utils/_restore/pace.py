# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When to look next at work of the cloud that is under way. Numbers only: nobody sleeps here.

Looking costs calls, and looking late keeps a place empty. So nobody looks before the work can have ended, as told by
the same work done before, and then in steps that grow with the time it takes: what takes an hour may be seen a minute
late, what takes ten seconds may not. The steps lie on a common grid, so that one list call serves all that wait.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort

STEP = 0.03
"""A step between two looks, as a part of the time that has passed: on average a place stays empty for half of it."""
EARLY = 0.98
"""The first look, as a part of the expected time."""
LATE = 1.05
"""The first look at a step that does not depend on a size."""
AS_LONG = 1.1
FORGET = 1.05
"""What takes longer than expected by a tenth lets the expectation grow by so much; it shrinks at once, for looking too
early costs a call only."""


class Pace:
    """Learns how long each kind of work takes for each size in GB, and plans the looks by it."""

    def __init__(self) -> None:
        self._seconds: dict[str, dict[int, float]] = {}
        self._sizes: dict[str, list[int]] = {}

    def learn(self, work: str, size_gb: int, seconds: float) -> None:
        known = self._seconds.setdefault(work, {})
        if size_gb not in known:
            insort(self._sizes.setdefault(work, []), size_gb)
        before = known.get(size_gb, seconds)
        if seconds <= before:
            known[size_gb] = seconds
        elif seconds > before * AS_LONG:  # and not only seen a little late
            known[size_gb] = min(seconds, before * FORGET)

    def expected_seconds(self, work: str, size_gb: int) -> float:
        """At least so long, going by the nearest sizes; 0 if nothing is known.

        A larger disk does not take less time than a smaller one, and a smaller one not less than its share of a
        larger one's: each restore has a part that does not depend on the size.
        """
        known, sizes = self._seconds.get(work, {}), self._sizes.get(work, [])
        at = bisect_left(sizes, size_gb)
        if at < len(sizes) and sizes[at] == size_gb:
            return known[size_gb]
        smaller = known[sizes[at - 1]] if at > 0 else 0.0
        larger = known[sizes[at]] * size_gb / sizes[at] if at < len(sizes) else 0.0
        return max(smaller, larger)

    def next_look(self, work: str, size_gb: int, *, since: float, now: float, interval_seconds: float) -> float:
        """The time of the next look at work that began at `since`.

        Work on disks of a size falls on the grid. Steps that do not depend on a size are short and one follows the
        other, so the first look comes right when they can have ended.
        """
        expected = self.expected_seconds(work, size_gb)
        if not size_gb and since + LATE * expected > now:
            return on_the_grid(since + LATE * expected, interval_seconds / 2)
        earliest = since + EARLY * expected
        grid = _grid(STEP * (max(now, earliest) - since), interval_seconds)
        return on_the_grid(max(now + grid / 2, earliest), grid)


def on_the_grid(at: float, grid_seconds: float) -> float:
    return math.ceil(at / grid_seconds) * grid_seconds if grid_seconds > 0 else at


def _grid(step_seconds: float, interval_seconds: float) -> float:
    """The interval, doubled as often as the step allows: grids that are multiples of each other share their looks."""
    grid = interval_seconds
    while 0 < grid * 2 <= step_seconds:
        grid *= 2
    return grid
