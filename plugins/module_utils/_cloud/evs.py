# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EVS: disks, one or many, and their metadata (EVS API reference)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._restore.model import Attachment, Disk, Failure
from .api import PROJECT, Api
from .errors import CloudError
from .fields import flag, items, listed, mapping, needed, nonsense, text, texts, whole
from .paging import Page, collect

_IDS_PER_CALL = 60
"""The most that the filter `ids` takes (Querying Details About All Disks)."""
_PAGE = 1000


def disk(api: Api, volume_id: str) -> Disk:
    """One disk, by the native Cinder call, the one that all clouds of the family document."""
    what = f"looking at disk {volume_id}"
    answer = api.get("evs", ("v2", PROJECT, "volumes", volume_id), what=what, name="ShowVolume")
    found = _disk(mapping(answer.json.get("volume")), what=what)
    if found.id.lower() != volume_id.lower():
        raise nonsense(what, f"the answer is about disk {found.id}")
    return replace(found, id=volume_id)


def disks(api: Api, volume_ids: Iterable[str]) -> dict[str, Disk]:
    """Those of the disks that exist, in as few calls as can be: by ids, or all pages where that takes fewer."""
    wanted = list(dict.fromkeys(volume_ids))
    if len(wanted) == 1:
        try:
            return {wanted[0]: disk(api, wanted[0])}
        except CloudError as error:
            if error.info.kind is not Failure.MISSING:
                raise
            return {}
    calls = math.ceil(len(wanted) / _IDS_PER_CALL)
    first = _page(api, "looking at the disks of the project", {}) if calls > 5 else None
    if first is not None and first.total is not None and math.ceil(first.total / _PAGE) <= calls:
        found = _all(api, {}, what="looking at the disks of the project", first=first, wanted=wanted)
    else:
        found = {}
        for start in range(0, len(wanted), _IDS_PER_CALL):
            found |= _by_ids(api, wanted[start : start + _IDS_PER_CALL])
    return {
        volume_id: _disk(found[volume_id], what=f"looking at disk {volume_id}")
        for volume_id in wanted
        if volume_id in found
    }


def disks_in(api: Api, status: str) -> list[Disk]:
    """All disks of the project in one state."""
    what = f"looking for disks that are {status}"
    every = _all(api, {"status": status}, what=what).values()
    return [_disk(document, what=what) for document in every if text(document.get("status")) in (status, "")]


def write_metadata(api: Api, volume_id: str, values: Mapping[str, str]) -> None:
    """Add or change these keys. Never by PUT, which in Cinder replaces the whole set (Adding Metadata for a Disk)."""
    api.post(
        "evs",
        ("v2", PROJECT, "volumes", volume_id, "metadata"),
        json={"metadata": dict(values)},
        what=f"writing metadata of disk {volume_id}",
        name="CreateVolumeMetadata",
        empty_ok=True,
        patient=True,
    )


def _by_ids(api: Api, volume_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    # The API wants this very text, with quotes, and passes over ids that do not exist.
    ids = "[" + ",".join(f"'{volume_id}'" for volume_id in volume_ids) + "]"
    return _all(api, {"ids": ids}, what=f"looking at {len(volume_ids)} disks", wanted=volume_ids)


def _page(api: Api, what: str, query: Mapping[str, object]) -> Page:
    answer = api.get(
        "evs",
        ("v2", PROJECT, "cloudvolumes", "detail"),
        query={**query, "limit": _PAGE},
        what=what,
        name="ListVolumes",
    )
    return Page(listed(answer.json, "volumes", what=what), whole(answer.json.get("count")))


def _all(
    api: Api, query: Mapping[str, object], *, what: str, first: Page | None = None, wanted: Iterable[str] = ()
) -> dict[str, dict[str, Any]]:
    """All pages by marker, which does not slip when disks come or go meanwhile, as an offset does.

    `first` is the first page, if it was just read.
    """
    known = [first] if first else []

    def fetch(seen: list[dict[str, Any]], number: int) -> Page:
        if number == 0:
            return known.pop() if known else _page(api, what, query)
        return _page(api, what, {**query, "marker": text(seen[-1].get("id"))})

    return collect(fetch, what=what, wanted=wanted, filtered=bool(query))


def _disk(document: Mapping[str, Any], *, what: str) -> Disk:
    size_gb = whole(document.get("size"))
    if size_gb is None:
        raise nonsense(what, "the answer has no size of the disk")
    metadata = texts(document.get("metadata"))
    return Disk(
        id=needed(document, "id", what=what),
        status=needed(document, "status", what=what),
        size_gb=size_gb,
        name=text(document.get("name")),
        availability_zone=text(document.get("availability_zone")),
        volume_type=text(document.get("volume_type")),
        attachments=tuple(_attachment(item) for item in items(document.get("attachments"))),
        shared=flag(document.get("multiattach")) is True,
        bootable=flag(document.get("bootable")) is True,
        from_image=bool(mapping(document.get("volume_image_metadata"))),
        # Pages of the reference call the field `encrypted` unsupported in places, the metadata never.
        encrypted=flag(metadata.get("__system__encrypted")) is True or flag(document.get("encrypted")) is True,
        project_id=text(document.get("os-vol-tenant-attr:tenant_id")),
        metadata=metadata,
    )


def _attachment(document: Mapping[str, Any]) -> Attachment:
    return Attachment(
        server_id=text(document.get("server_id")),
        attachment_id=text(document.get("attachment_id")),
        device=text(document.get("device")),
    )
