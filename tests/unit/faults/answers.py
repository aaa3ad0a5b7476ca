# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every call of the client, the statuses of the seeds, and the shapes in which the services say no."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import ecs, evs, hss, iam, vbs
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import Failure

DISK, OTHER_DISK = "d0000000-0000-4000-8000-000000000001", "d0000000-0000-4000-8000-000000000002"
SERVER = "a0000000-0000-4000-8000-000000000001"
BACKUP = "b0000000-0000-4000-8000-000000000001"
JOB = "70a599e0-31e7-49b7-b260-868f441e862b"
SERVERS = tuple(f"a0000000-0000-4000-8000-00000000000{number}" for number in range(1, 5))


@dataclass(frozen=True)
class Call:
    """`changes`: it is an order, so it is sent once, whatever comes back but "log in again".

    `patient`: what was certainly not taken is tried again, since doing it twice does no harm.
    """

    name: str
    run: Callable[[Any], object]
    changes: bool = False
    patient: bool = False


CALLS: tuple[Call, ...] = (
    Call("evs.disk", lambda api: evs.disk(api, DISK)),
    Call("evs.disks", lambda api: evs.disks(api, [DISK, OTHER_DISK])),
    Call("evs.disks_in", lambda api: evs.disks_in(api, "restoring-backup")),
    Call("evs.write_metadata", lambda api: evs.write_metadata(api, DISK, {"a": "b"}), changes=True, patient=True),
    Call("ecs.server", lambda api: ecs.server(api, SERVER)),
    Call("ecs.servers", lambda api: ecs.servers(api, SERVERS)),
    Call("ecs.all_servers", ecs.all_servers),
    Call("ecs.job", lambda api: ecs.job(api, JOB)),
    Call("ecs.stop", lambda api: ecs.stop(api, [SERVER]), changes=True),
    Call("ecs.start", lambda api: ecs.start(api, [SERVER]), changes=True),
    Call("ecs.detach", lambda api: ecs.detach(api, SERVER, DISK), changes=True),
    Call("ecs.attach", lambda api: ecs.attach(api, SERVER, DISK, device="/dev/vdb"), changes=True),
    Call("ecs.write_metadata", lambda api: ecs.write_metadata(api, SERVER, {"a": "b"}), changes=True, patient=True),
    Call("vbs.backup", lambda api: vbs.backup(api, BACKUP)),
    Call("vbs.backups", vbs.backups),
    Call("vbs.backups_in", lambda api: vbs.backups_in(api, "restoring")),
    Call("vbs.job", lambda api: vbs.job(api, JOB)),
    Call("vbs.restore", lambda api: vbs.restore(api, BACKUP, DISK), changes=True),
    Call("hss.backup", lambda api: hss.backup(api, BACKUP)),
    Call("hss.backups", lambda api: hss.backups(api, SERVER)),
    Call("hss.log", hss.log),
    Call("hss.restore", lambda api: hss.restore(api, BACKUP, server_id=SERVER), changes=True),
    Call("iam.project_id", lambda api: iam.project_id(api, "eu-de")),
)

STATUSES: dict[int, Failure] = {
    # Restoring a Disk Using a VBS Backup, Status Codes; 429 and 413 of the gateway
    400: Failure.REFUSED,
    401: Failure.DENIED,
    403: Failure.DENIED,
    404: Failure.MISSING,
    405: Failure.REFUSED,
    406: Failure.REFUSED,
    407: Failure.DENIED,
    408: Failure.LOST,
    409: Failure.REFUSED,
    413: Failure.REFUSED,
    429: Failure.BUSY,
    500: Failure.LOST,
    501: Failure.REFUSED,
    502: Failure.LOST,
    503: Failure.LOST,
    504: Failure.LOST,
}

WORDS = "the words of the cloud"
CODE = "Test.0001"

SHAPES: dict[str, Callable[[int], object]] = {
    "error_code": lambda _status: {"error_code": CODE, "error_msg": WORDS, "request_id": "r1"},
    "errorCode": lambda _status: {"errorCode": CODE, "errorMsg": WORDS},
    "flat": lambda _status: {"code": CODE, "message": WORDS},
    "flat, number": lambda status: {"code": status, "message": WORDS},
    "error": lambda _status: {"error": {"code": CODE, "message": WORDS}},
    "error, number": lambda status: {"error": {"code": status, "message": WORDS, "title": "No"}},
    "error, details": lambda _status: {
        "error": {"code": CODE, "message": "no", "details": [{"code": CODE, "message": WORDS}]}
    },
    **{
        native: lambda status, native=native: {native: {"code": status, "message": WORDS}}  # type: ignore[misc]
        for native in (
            "badRequest",
            "badrequest",
            "itemNotFound",
            "forbidden",
            "conflictingRequest",
            "overLimit",
            "computeFault",
        )
    },
    "internalError": lambda _status: {
        "error": {"code": CODE, "message": "batch"},
        "internalError": [{"id": SERVER, "error_code": CODE, "error_message": WORDS}],
    },
    "text": lambda _status: WORDS.encode(),
    "HTML": lambda _status: f"<html><body><h1>{WORDS}</h1></body></html>".encode(),
    "empty": lambda _status: b"",
}
