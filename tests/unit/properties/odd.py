# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents near the real ones: a key dropped, a type changed, something nested, numbers and texts beyond belief."""

from __future__ import annotations

import copy
import json
import math
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any

from hypothesis import strategies as st

TIMES = (
    "2026-01-02T03:04:05.678901", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+08:00", "2026-01-02 03:04:05",
    "2026-02-30T00:00:00Z", "0000-00-00T00:00:00Z", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59.999999-14:00",
    "1767323045", "1767323045678", "02.01.2026 03:04", "20260102T030405Z", "-1", "now", "\u0661\u0667\u0666\u0667",
)  # fmt: skip
TEXTS = (
    "", " ", "\x00", "null", "true", "ä\u2028\U0001f4be", "\ud800", "\udfff tail", "a" * 5000, "../x", "a|b|c", "%2F",

    "١٢", "²", "1e999", "-0", "99999999999999999999", "SUCCESS", "success", " available ", "in-use", "<b>", "{}",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, 2**63, 10**30, -(10**30), 0.5, -0.0, 1e300, 1_767_323_045, 1_767_323_045_678)

LEAVES = (
    st.none()
    | st.booleans()
    | st.sampled_from(NUMBERS)
    | st.integers()
    | st.floats()
    | st.sampled_from(TEXTS)
    | st.sampled_from(TIMES)
    | st.text(max_size=6)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_REPLACEMENTS = {
    "text": st.sampled_from(TEXTS),
    "time": st.sampled_from(TIMES),
    "number": st.sampled_from(NUMBERS),
    "anything": VALUES,
}
_CHANGES = (*_REPLACEMENTS, "drop", "wrap", "double", "as text")


def _places(document: object) -> list[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    found: list[tuple[Any, Any]] = []
    if isinstance(document, dict | list):
        for key in list(document) if isinstance(document, dict) else range(len(document)):
            found += [(document, key), *_places(document[key])]
    return found


def _change(draw: st.DrawFn, container: Any, key: Any) -> None:
    how, was = draw(st.sampled_from(_CHANGES)), container[key]
    if how == "drop":
        del container[key]
    elif how == "wrap":
        container[key] = draw(st.sampled_from([[was], {"value": was}, {str(key): was}]))
    elif how == "double":
        container[key] = [was, was] if not isinstance(was, list) else was + was
    elif how == "as text":
        container[key] = json.dumps(was)
    else:
        container[key] = draw(_REPLACEMENTS[how])


@st.composite
def mutated(draw: st.DrawFn, good: Mapping[str, Any]) -> dict[str, Any]:
    """A good document with up to three changes."""
    document: dict[str, Any] = copy.deepcopy(dict(good))
    for _number in range(draw(st.integers(0, 3))):
        places = _places(document)
        if places:
            _change(draw, *draw(st.sampled_from(places)))
    return document


@st.composite
def bodies(draw: st.DrawFn, *good: Mapping[str, Any]) -> bytes:
    """As it comes over the wire; now and then cut off, or with bytes that are no UTF-8."""
    text = json.dumps(draw(mutated(draw(st.sampled_from(good))))).encode()
    how = draw(st.sampled_from(["whole"] * 8 + ["cut", "bytes", "bom"]))
    if how == "cut":
        return text[: draw(st.integers(0, len(text)))]
    return {"bytes": text.replace(b"a", b"\xff", 1), "bom": b"\xef\xbb\xbf" + text}.get(how, text)


# -- what a parser may give back ---------------------------------------------------------------------------------------


def oddities(value: object, path: str = "") -> list[str]:
    """What is wrong with a value of the model: texts that cannot be written, numbers that are none, wrong types."""
    if isinstance(value, str):
        return [] if _writable(value) else [f"{path}: a text that is not Unicode"]
    if isinstance(value, float):
        return [] if math.isfinite(value) else [f"{path}: {value}"]
    if isinstance(value, Mapping):
        return [
            odd
            for key, item in value.items()
            for odd in (*oddities(key, f"{path}[]"), *oddities(item, f"{path}[{key!r}]"))
        ]
    if isinstance(value, list | tuple):
        return [odd for number, item in enumerate(value) for odd in oddities(item, f"{path}[{number}]")]
    if is_dataclass(value) and not isinstance(value, type):
        return _oddities_of_fields(value, path)
    return [] if value is None or isinstance(value, int | Enum) else [f"{path}: a {type(value).__name__}"]


def _writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _oddities_of_fields(value: Any, path: str) -> list[str]:
    hints = typing.get_type_hints(type(value))
    found = []
    for field in fields(value):
        item, where = getattr(value, field.name), f"{path}.{field.name}"
        found += [] if _fits(item, hints[field.name]) else [f"{where}: {type(item).__name__}"]
        found += oddities(item, where)
    return found


def _fits(item: object, hint: Any) -> bool:
    if isinstance(hint, UnionType) or typing.get_origin(hint) is typing.Union:
        return any(_fits(item, one) for one in typing.get_args(hint))
    if hint in (int, float) and isinstance(item, bool):
        return False
    kind = typing.get_origin(hint) or hint
    return isinstance(item, kind) if isinstance(kind, type) else True
