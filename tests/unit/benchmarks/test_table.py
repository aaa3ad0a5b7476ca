# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table says which targets are missed, and by how much."""

from __future__ import annotations

import json

import pytest
from benchmarks.table import Row, as_json, as_text, machine, number

ROWS = [
    Row("speed", "10 disks", "makespan", 1.04, target=1.05),
    Row("speed", "10 disks", "calls", 18, "", 12, "all that were sent"),
    Row("speed", "100 disks", "makespan", 2.1, target=1.05),
    Row("memory", "10 disks", "peak", 51.25, "MB"),
]
TEXT = """\
cpu Z80, cores 1

speed          makespan      calls
----------------------------------
10 disks   1.040         18 !1.50x
100 disks  2.100 !2.00x
  target: makespan <= 1.050
  target: calls <= 12
  calls: all that were sent

memory    peak [MB]
-------------------
10 disks       51.2

1 of 3 targets met, 2 missed
"""


def test_a_group_is_a_table_a_case_a_line_and_a_figure_a_column() -> None:
    assert as_text(ROWS, {"cpu": "Z80", "cores": 1}) == TEXT


@pytest.mark.parametrize(
    ("value", "target", "missed", "factor"),
    [(1.05, 1.05, False, 1.0), (1.2, 1.0, True, 1.2), (3, None, False, None), (0, 0, False, None), (2, 0, True, None)],
)
def test_a_target_is_missed_above_it_only(
    value: float, target: float | None, missed: bool, factor: float | None
) -> None:
    row = Row("g", "c", "f", value, "", target)
    assert (row.missed, row.factor) == (missed, factor)


def test_json_is_read_back() -> None:
    kept = json.loads(as_json(ROWS, machine()))
    assert [row["missed"] for row in kept["rows"]] == [False, True, True, False]
    assert [row["factor"] for row in kept["rows"]] == [1.04 / 1.05, 1.5, 2.0, None]
    assert kept["rows"][0]["group"] == "speed"
    assert set(kept["machine"]) == {"cpu", "cores", "memory_gb", "system", "python"}


@pytest.mark.parametrize(
    ("value", "text"), [(3.0, "3"), (0.12345, "0.123"), (12.345, "12.3"), (12345.6, "12346"), (0.0, "0")]
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text
