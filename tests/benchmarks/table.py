# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks found: one figure per row, shown as compact tables and kept as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure of one case. `target` is the most that is good, None where nothing is promised."""

    group: str
    case: str
    figure: str
    value: float
    unit: str = ""
    target: float | None = None
    note: str = ""

    @property
    def missed(self) -> bool:
        return self.target is not None and self.value > self.target

    @property
    def factor(self) -> float | None:
        """How many times the target it is; None if there is none, or if it is 0."""
        return self.value / self.target if self.target else None


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _colon, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()  # ARM names no model there


def as_json(rows: Sequence[Row], about: dict[str, Any]) -> str:
    entries = [{**asdict(row), "missed": row.missed, "factor": row.factor} for row in rows]
    return json.dumps({"machine": about, "rows": entries}, indent=1) + "\n"


def as_text(rows: Sequence[Row], about: dict[str, Any]) -> str:
    """A table for each group: a line for each case, a column for each figure; `!1.30x` marks 1.3 times the target."""
    parts = [", ".join(f"{name} {value}" for name, value in about.items())]
    for group in dict.fromkeys(row.group for row in rows):
        parts.append(_table(group, [row for row in rows if row.group == group]))
    judged = [row for row in rows if row.target is not None]
    missed = sum(row.missed for row in judged)
    parts.append(f"{len(judged) - missed} of {len(judged)} targets met, {missed} missed")
    return "\n\n".join(parts) + "\n"


def _table(group: str, rows: Sequence[Row]) -> str:
    cases = list(dict.fromkeys(row.case for row in rows))
    columns = [[group, *cases]]
    for heading in dict.fromkeys(_heading(row) for row in rows):
        found = {row.case: row for row in rows if _heading(row) == heading}
        columns.append(_column(heading, [found.get(case) for case in cases]))
    lines = ["  ".join(cells).rstrip() for cells in zip(*_padded(columns), strict=True)]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], *_footnotes(rows)])


def _heading(row: Row) -> str:
    return f"{row.figure} [{row.unit}]" if row.unit else row.figure


def _column(heading: str, rows: Sequence[Row | None]) -> list[str]:
    """Numbers stand below each other, with the marks of missed targets behind them."""
    marks = [_mark(row) if row else "" for row in rows]
    behind = max(map(len, marks))
    cells = [(number(row.value) if row else "") + mark.ljust(behind) for row, mark in zip(rows, marks, strict=True)]
    return [heading, *cells]


def _padded(columns: Sequence[Sequence[str]]) -> Iterable[list[str]]:
    first, *others = columns
    yield [cell.ljust(max(map(len, first))) for cell in first]
    for column in others:
        yield [cell.rjust(max(map(len, column))) for cell in column]


def _mark(row: Row) -> str:
    if not row.missed:
        return ""
    return f" !{row.factor:.2f}x" if row.factor else " !"


def number(value: float) -> str:
    """Three digits that count; whole numbers as they are."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:.0f}"
    digits = 3 if abs(value) < 10 else 1
    return f"{value:.{digits}f}"


def _footnotes(rows: Sequence[Row]) -> list[str]:
    """Targets and notes, each once."""
    goals = dict.fromkeys(f"target: {row.figure} <= {number(row.target)}" for row in rows if row.target is not None)
    notes = dict.fromkeys(f"{row.figure}: {row.note}" for row in rows if row.note)
    return [f"  {line}" for line in (*goals, *notes)]
