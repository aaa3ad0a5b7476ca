# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists that come in pages. Links in the answers are never followed: VBS names internal hosts in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .._restore.model import Failure
from .errors import fail
from .fields import text

_MOST_PAGES = 1000


@dataclass(frozen=True)
class Page:
    """`total`: how many there are in all pages, None if the service does not say."""

    items: list[dict[str, Any]]
    total: int | None = None


def collect(
    fetch: Callable[[list[dict[str, Any]], int], Page], *, what: str, wanted: Iterable[str] = (), key: str = "id"
) -> dict[str, dict[str, Any]]:
    """All items by id. `fetch` gets what is there so far and the number of the page (from 0).

    A service may give fewer items a page than asked for, so a short page is no end: only the total, an empty page, or
    one that brings nothing new (a service that does not page) is. With `wanted`, it also ends when all are found.
    """
    missing = set(wanted)
    stop_early = bool(missing)
    found: dict[str, dict[str, Any]] = {}
    seen: list[dict[str, Any]] = []
    for number in range(_MOST_PAGES):
        page = fetch(seen, number)
        new = {text(item.get(key)): item for item in page.items if text(item.get(key)) not in found}
        new.pop("", None)
        found.update(new)
        seen += page.items
        missing -= new.keys()
        if not page.items and page.total is not None and len(seen) < page.total:
            raise fail(
                Failure.NONSENSE,
                f"{what}: the list ends after {len(seen)} of {page.total}",
                remedy="Try again; what is missing in a list must not be taken for gone.",
            )
        if not new or (page.total is not None and len(seen) >= page.total) or (stop_early and not missing):
            return found
    raise fail(
        Failure.NONSENSE, f"{what}: the list has no end", remedy="Report this with the number of your resources."
    )
