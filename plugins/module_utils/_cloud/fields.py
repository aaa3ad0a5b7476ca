# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of the cloud's JSON documents, read without trust in their types.

The APIs write numbers as text ("size" of a block device), booleans as text ("bootable", "delete_on_termination") and
null where a text belongs; what cannot be read counts as not said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .._restore.model import Failure
from .errors import CloudError, fail


def text(value: object, default: str = "") -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return default
    shown = str(value)
    # JSON may hold half a character ("\ud800"), which nobody could print, hash or send back.
    return shown if shown.isascii() else shown.encode("utf-8", "replace").decode("utf-8")


def whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if math.isfinite(value) else None
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) <= 20:
        return int(value)
    return None


def flag(value: object) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    if isinstance(value, bool) or value in (0, 1):
        return bool(value)
    return None


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def listed(document: Mapping[str, Any], name: str, *, what: str, total: str = "count") -> list[dict[str, Any]]:
    """The entries of a list. A success without its list is no empty list: who believed it would take marks for gone and
    old records for new ones. Only where the answer itself counts none may the list be left out.
    """
    value = document.get(name)
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    if value is None and whole(document.get(total)) == 0:
        return []
    raise nonsense(what, f"the answer has no list of {name}")


def texts(value: object) -> dict[str, str]:
    """Metadata: whatever stands there, as texts."""
    return {
        text(key): str(item).lower() if isinstance(item, bool) else text(item) for key, item in mapping(value).items()
    }


def needed(document: Mapping[str, Any], name: str, *, what: str) -> str:
    """A text without which the document means nothing."""
    value = text(document.get(name)).strip()
    if not value:
        raise nonsense(what, f"the answer has no {name}")
    return value


def nonsense(what: str, why: str) -> CloudError:
    return fail(
        Failure.NONSENSE,
        f"{what}: {why}",
        remedy="Check region, cloud and endpoints: something else than the service may have answered.",
    )
