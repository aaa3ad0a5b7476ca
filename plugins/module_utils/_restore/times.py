# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times as the cloud and people write them, to and from seconds since 1970 (UTC)."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_SHAPE = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2})?)(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<zone>Z|[+-]\d{2}:?\d{2})?"
)
_MILLISECONDS_FROM = 100_000_000_000  # as seconds this is the year 5138, as milliseconds 1973
_FIRST, _LAST = -62_135_596_800, 253_402_300_800  # the years 1 to 9999: no other can be written


def parse(text: str) -> float:
    """Read an ISO 8601 time; without a zone it is UTC, as the Cinder style APIs write it.

    Raises ValueError with the text that could not be read.
    """
    match = _SHAPE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a time like 2026-01-31T04:05:06Z")
    clock = match["time"] or "00:00"
    seconds = "" if clock.count(":") == 2 else ":00"
    zone = (match["zone"] or "Z").replace("Z", "+0000").replace(":", "")
    try:
        # not strptime, which takes 20 times as long: a plan reads the times of tens of thousands of backups
        whole = datetime.fromisoformat(f"{match['date']}T{clock}{seconds}{zone[:3]}:{zone[3:]}")
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time like 2026-01-31T04:05:06Z: {error}") from None
    found = whole.timestamp() + float(f"0.{match['fraction'] or 0}")
    if not _FIRST <= found < _LAST:
        raise ValueError(f"{text!r} is not a time like 2026-01-31T04:05:06Z: it is out of range")
    return found


def from_cloud(value: object) -> float | None:
    """Read a time of an answer: ISO text, or epoch seconds or milliseconds. None if it says nothing readable.

    HSS gives the creation time of a backup as a number without naming its unit.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        if not 0 < value < _LAST * 1000:  # NaN too
            return None
        return value / 1000 if value >= _MILLISECONDS_FROM else float(value)
    text = str(value).strip()
    if text.isdecimal():
        return from_cloud(int(text)) if len(text) <= 15 else None
    try:
        return parse(text)
    except ValueError:
        return None


def iso(seconds: float | None) -> str | None:
    """Write a time as ISO 8601 in UTC with Z, to the second."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
