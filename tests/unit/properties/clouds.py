# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strategies: what may be wished, and what the cloud may show of it, as values of the model."""

from __future__ import annotations

from typing import Any

from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import (
    HSS_KEY,
    LONE_DISK_KEY,
    Mark,
    Phase,
    encode,
    mark_key,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import (
    Attachment,
    Backup,
    ChildBackup,
    Disk,
    Server,
    ServerVolume,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.planning import Survey
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Terms, Wish
from builders import DATA, DAY, LONE, NOW, PROJECT, ROOT, SERVER, backup_id, hss_backup
from hypothesis import strategies as st

OTHER = "5e000000-0000-4000-8000-000000000009"
DISKS, SERVERS = (ROOT, DATA, LONE), (SERVER, OTHER)
POINTS = [backup_id(disk, number) for disk in DISKS for number in (1, 2)]
HSS_POINTS = [hss_backup(1).id, hss_backup(2).id]
STATUSES = (
    "available",
    "available",
    "in-use",
    "restoring-backup",
    "restoring",
    "error",
    "error_restoring",
    "detaching",
    "",
)
MOMENTS = st.sampled_from([NOW - 3 * DAY, NOW - DAY, NOW - 1, NOW, NOW + DAY])
NAMES = st.sampled_from(["", "db01", "ä|%", "x" * 70])
SIZES = st.integers(0, 3).map(lambda number: 40 * number)


def one_of(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


MARKS = st.builds(
    Mark,
    phase=st.sampled_from(Phase),
    run_id=one_of("r1", "r2"),
    target_id=one_of("0123456789ab", ""),
    backup_id=st.sampled_from(POINTS + HSS_POINTS),
    device=one_of("", "/dev/vda", "/dev/vdb"),
    attachment_id=one_of("", "at-1"),
    was_running=one_of(None, True, False),
    delete_on_termination=one_of(None, True, False),
    job=one_of("", "j1", "abcd.efgh", "+"),
    at=MOMENTS.map(float),
).map(encode)
METADATA = st.dictionaries(
    st.sampled_from([*map(mark_key, DISKS), HSS_KEY, LONE_DISK_KEY, "name"]), MARKS | NAMES, max_size=3
)
ATTACHMENTS = st.lists(
    st.builds(Attachment, st.sampled_from(SERVERS), one_of("at-1", "at-2"), one_of("/dev/vda", "/dev/vdb", "")),
    max_size=2,
).map(tuple)


def disk(disk_id: str) -> st.SearchStrategy[Disk]:
    return st.builds(
        Disk,
        id=st.just(disk_id),
        status=st.sampled_from(STATUSES),
        size_gb=SIZES,
        name=NAMES,
        availability_zone=one_of("", "eu-de-01", "eu-de-02"),
        attachments=ATTACHMENTS,
        shared=st.booleans(),
        encrypted=st.booleans(),
        project_id=one_of("", PROJECT, "other"),
        metadata=METADATA,
    )


def server(server_id: str) -> st.SearchStrategy[Server]:
    volumes = st.builds(
        ServerVolume, st.sampled_from(DISKS), one_of("/dev/vda", "/dev/vdb", ""), one_of(None, True, False)
    )
    return st.builds(
        Server,
        id=st.just(server_id),
        status=one_of("ACTIVE", "SHUTOFF", "ERROR", ""),
        name=NAMES,
        task_state=one_of(None, "powering-off"),
        locked=st.booleans(),
        root_device=one_of("", "/dev/vda"),
        volumes=st.lists(volumes, max_size=3).map(tuple),
        metadata=METADATA,
    )


def point(point_id: str) -> st.SearchStrategy[Backup]:
    children = st.builds(
        ChildBackup, id=one_of("c1", "c2", ""), resource_id=st.sampled_from((*DISKS, "", "gone")), size_gb=SIZES
    )
    return st.builds(
        Backup,
        service=st.just("hss" if point_id in HSS_POINTS else "vbs"),
        id=st.just(point_id),
        status=st.sampled_from(STATUSES),
        name=NAMES,
        volume_id=st.sampled_from((*DISKS, "")),
        server_id=st.sampled_from((*SERVERS, "")),
        size_gb=st.none() | SIZES,
        created_at=st.none() | MOMENTS,
        project_id=one_of("", PROJECT, "other"),
        ransomware_alert=one_of(None, True, False),
        children=st.lists(children, max_size=3).map(tuple),
    )


def _some(make: Any, ids: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these, by id."""
    return st.fixed_dictionaries({}, optional={one: make(one) for one in ids})


SURVEYS = st.builds(
    Survey,
    at=st.just(NOW),
    project_id=st.just(PROJECT),
    disks=_some(disk, DISKS),
    servers=_some(server, SERVERS),
    backups=_some(point, POINTS + HSS_POINTS),
)
_COMMON: dict[str, Any] = {
    "wave": st.integers(1, 3),
    "group": one_of("", "", "erp"),
    "critical": st.booleans(),
    "point_in_time": st.none() | MOMENTS,
    "max_backup_age_seconds": one_of(None, DAY, 0.0),
}
_VBS = st.builds(
    Wish,
    name=one_of("a", "b", "c"),
    method=st.just("vbs"),
    volumes=st.lists(st.tuples(st.sampled_from(DISKS), st.sampled_from(["latest", *POINTS])), max_size=3).map(tuple),
    **_COMMON,
)
_HSS = st.builds(
    Wish,
    name=one_of("a", "b", "c"),
    method=st.just("hss"),
    server_id=st.sampled_from(SERVERS),
    backup_id=st.sampled_from(["latest", *HSS_POINTS]),
    power_on=one_of(None, True, False),
    **_COMMON,
)
WISHES = st.lists(_VBS | _HSS, min_size=1, max_size=3, unique_by=lambda wish: wish.name)
TERMS = st.builds(
    Terms,
    incident_at=MOMENTS,
    run_id=one_of("", "r1", "r3"),
    clean_only=st.booleans(),
    alerts_since=st.none() | MOMENTS,
)
