# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times: what the cloud and people write is read to the second, and what cannot be a time is told or left out."""

from __future__ import annotations

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore import times
from hypothesis import given
from hypothesis import strategies as st

FEBRUARY_3 = 1_770_088_446.0  # 2026-02-03T03:14:06Z


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-02-03T03:14:06Z", FEBRUARY_3),
        ("2026-02-03T03:14:06", FEBRUARY_3),  # Cinder writes no zone and means UTC
        ("2026-02-03 03:14:06", FEBRUARY_3),
        (" 2026-02-03T03:14:06.000000 ", FEBRUARY_3),
        ("2026-02-03T03:14:06.500Z", FEBRUARY_3 + 0.5),
        ("2026-02-03T03:14:06,25Z", FEBRUARY_3 + 0.25),
        ("2026-02-03T05:14:06+02:00", FEBRUARY_3),
        ("2026-02-03T05:14:06+0200", FEBRUARY_3),
        ("2026-02-02T22:14:06-05:00", FEBRUARY_3),
        ("2026-02-03T03:14Z", FEBRUARY_3 - 6),
        ("2026-02-03", FEBRUARY_3 - 6 - 14 * 60 - 3 * 3600),
    ],
)
def test_a_time_is_read(text: str, seconds: float) -> None:
    assert times.parse(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        "yesterday",
        "03.02.2026",
        "2026-02-30",
        "2026-02-03T25:00:00Z",
        "2026-02-03T03:14:06+99:00",
        "2026-02-03T03:14:06Zulu",
        "0000-01-01",
        "1770088446",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_what_is_no_time_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time like") as refused:
        times.parse(text)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1_770_088_446, FEBRUARY_3),
        (1_770_088_446.0, FEBRUARY_3),
        ("1770088446", FEBRUARY_3),
        (1_770_088_446_000, FEBRUARY_3),  # HSS does not name the unit of its numbers
        ("1770088446000", FEBRUARY_3),
        ("2026-02-03T03:14:06.000000", FEBRUARY_3),
        (99_999_999_999, 99_999_999_999.0),
        (100_000_000_000, 100_000_000.0),
        (None, None),
        (True, None),
        (0, None),
        (-1, None),
        ("", None),
        ("null", None),
        ("\u00b2", None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        ("9" * 400, None),
        ([], None),
        ({"at": 1}, None),
        (999_999_999_999_999, None),  # later than the year 9999, in either unit
    ],
)
def test_a_time_of_an_answer(value: object, seconds: float | None) -> None:
    assert times.from_cloud(value) == seconds


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.from_regex(r"\d{1,20}", fullmatch=True),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


@given(JSON_VALUES)
def test_no_answer_of_the_cloud_is_too_odd(value: object) -> None:
    seconds = times.from_cloud(value)
    assert seconds is None or times.from_cloud(times.iso(seconds)) == int(seconds // 1)


@given(st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", fullmatch=True))
def test_what_is_read_as_a_time_can_be_written(text: str) -> None:
    seconds = times.from_cloud(text)
    assert seconds is None or times.iso(seconds) is not None


@given(st.integers(min_value=0, max_value=253_402_300_799))
def test_what_is_written_is_read_again(seconds: int) -> None:
    text = times.iso(float(seconds))
    assert text is not None
    assert text.endswith("Z")
    assert times.parse(text) == seconds


def test_no_time_is_written_as_none() -> None:
    assert times.iso(None) is None


def test_seconds_are_cut_not_rounded() -> None:
    assert times.iso(FEBRUARY_3 + 0.999) == "2026-02-03T03:14:06Z"
