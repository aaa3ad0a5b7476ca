# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that do nothing until they are told to: what the tests of looks and orders decide is when a call ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Submitted:
    lane: str
    bring: Callable[[Any], None]
    call: Callable[[], Any]
    rank: int


class HeldWorkers:
    """Keeps what is submitted until `work`."""

    def __init__(self) -> None:
        self.waiting: list[Submitted] = []

    def submit(self, lane: str, key: Any, call: Callable[[], Any], *, rank: int = 0) -> None:
        self.waiting.append(Submitted(lane, key, call, rank))

    def work(self) -> None:
        """Do what waits now, and bring what came of it as the driver does. What that submits waits again."""
        batch, self.waiting = self.waiting, []
        for one in batch:
            one.bring(one.call())

    def results(self, timeout_seconds: float | None) -> list[Any]:
        raise AssertionError(f"only the driver asks for results (up to {timeout_seconds} s)")

    def close(self) -> None:
        raise AssertionError("whoever started the workers closes them")
