# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists that come in pages. Links in the answers are never followed: VBS names internal hosts in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from .._restore.model import Failure
from .errors import fail
from .fields import text

T = TypeVar("T")
_MOST_PAGES = 1000
_READINGS = 3


@dataclass(frozen=True)
class Page:
    """`total`: how many there are in all pages, None if the service does not say."""

    items: list[dict[str, Any]]
    total: int | None = None


def collect(
    fetch: Callable[[list[dict[str, Any]], int], Page],
    *,
    what: str,
    wanted: Iterable[str] = (),
    key: str = "id",
    filtered: bool = False,
) -> dict[str, dict[str, Any]]:
    """All items by id. `fetch` gets what is there so far and the number of the page (from 0).

    A service may give fewer items a page than asked for, so a short page is no end: only the total, an empty page, or
    one that brings nothing new (a service that does not page) is. With `wanted`, it also ends when all are found. The
    total of a `filtered` list may be that without the filter: it may tell that all is there, but not that more is.
    """
    names = frozenset(wanted)
    return at_rest(lambda: _read(fetch, what, names, key, filtered), what=what)


def at_rest(read: Callable[[], T | None], *, what: str) -> T:
    """What is read once the list does not change meanwhile; `read` returns None if it did.

    What comes or goes between two pages shifts the rest: something is read twice, or not at all. What is missing in a
    list must not be taken for gone, nor what is there twice for new, so it is read again from the start.
    """
    for _reading in range(_READINGS):
        found = read()
        if found is not None:
            return found
    raise fail(Failure.BUSY, f"{what}: it changed while it was read", remedy="Try again in a minute.")


def _read(
    fetch: Callable[[list[dict[str, Any]], int], Page], what: str, wanted: frozenset[str], key: str, filtered: bool
) -> dict[str, dict[str, Any]] | None:
    """None if the list changed between two pages."""
    found: dict[str, dict[str, Any]] = {}
    seen: list[dict[str, Any]] = []
    total: int | None = None
    for number in range(_MOST_PAGES):
        page = fetch(seen, number)
        shown = {text(item.get(key)): item for item in page.items}
        shown.pop("", None)
        new = {name: item for name, item in shown.items() if name not in found}
        found.update(new)
        if wanted and wanted <= found.keys():
            return found
        moved = None not in (total, page.total) and page.total != total
        total = page.total
        there = len(seen) + len(page.items)
        length = None if total is None or (filtered and there < total) else total
        again = len(new) < len(shown) and (bool(new) or length is not None)
        if number and (moved or again):
            return None
        seen += page.items
        if not page.items and length is not None and there < length:
            raise fail(
                Failure.BUSY,
                f"{what}: the list ends after {there} of {length}",
                remedy="Try again; what is missing in a list must not be taken for gone.",
            )
        if not new or (length is not None and there >= length):
            return found
    raise fail(
        Failure.NONSENSE, f"{what}: the list has no end", remedy="Report this with the number of your resources."
    )
