# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks: what a run leaves behind so that any controller can go on with it, or leave it alone.

A mark is one metadata entry of a server (or of a disk that has no server), at most 255 characters
(ECS API: Updating ECS Metadata; EVS API: disk metadata). It is evidence, not truth: `where` and `standing`
hold it against what the cloud shows now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from urllib.parse import quote, unquote

from .model import Disk, Server

PREFIX = "hwcloud_recovery_"
OWNER_KEY = PREFIX + "owner"
LEASE_KEY = PREFIX + "lease"
LONE_DISK_KEY = PREFIX + "mark"
HSS_KEY = PREFIX + "hss"
VALUE_LIMIT = 255
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,39}")
LEASE_SECONDS = 180.0
LEASE_RENEWED_EVERY_SECONDS = 60.0
_FORMAT = "1"
_TIME_DIGITS = 11  # until the year 5138


REMOVED = "marks_removed"
"""The code of the answer that a holder bears no owner any more, or one of long ago."""


class Phase(Enum):
    """How far one restore has come, as its mark says."""

    BEGUN = "begun"
    SUBMITTING = "submitting"
    ACCEPTED = "accepted"
    RESTORED = "restored"
    FINISHED = "finished"
    FAILED = "failed"
    RETURNED = "returned"
    """Put back untouched: the cloud refused, or the run was stopped before it asked."""


TRANSITIONS: Mapping[Phase, frozenset[Phase]] = {
    Phase.BEGUN: frozenset({Phase.SUBMITTING, Phase.RETURNED}),
    # back to BEGUN: the cloud refused, which proves that nothing was accepted
    Phase.SUBMITTING: frozenset({Phase.BEGUN, Phase.ACCEPTED, Phase.RESTORED, Phase.FAILED}),
    Phase.ACCEPTED: frozenset({Phase.SUBMITTING, Phase.RESTORED, Phase.FAILED}),
    Phase.RESTORED: frozenset({Phase.FINISHED}),
    Phase.FAILED: frozenset({Phase.SUBMITTING}),
    Phase.FINISHED: frozenset(),
    Phase.RETURNED: frozenset(),
}


class Place(Enum):
    """Where a marked disk is now."""

    AS_MARKED = "in use with the attachment that the mark recorded"
    BACK = "in use at the server that the mark names, with another attachment"
    UNTOLD = "in use at the server that the mark names; the mark records no attachment"
    ELSEWHERE = "in use at another server"
    FREE = "detached"
    RESTORING = "being restored"
    BROKEN = "in an error state"
    MOVING = "between two states"


class Standing(Enum):
    """What a mark and the disk's place together mean for this restore."""

    FRESH = "nothing of it was begun, or that is over"
    DETACH = "begun, never detached: go on from the start"
    SUBMIT = "detached, never accepted: look, then submit"
    WATCH = "accepted: see how it ends"
    ATTACH = "restored: put it back"
    USED = "may have been restored and was used since: never submit"
    BROKEN = "the disk is in an error state"
    FINISHED = "restored and back"


OVER = (Standing.FRESH, Standing.FINISHED)
"""Nothing is left to do for such a mark, also if it is open."""

# A disk that is restoring before our mark says that we asked for it: somebody else's restore. Fresh; preflight objects.
# A mark whose answer was lost may arrive minutes later, over all that was written since. So `begun` is not believed of
# a disk that was attached anew: before a run puts an untouched disk back, it makes the mark forget the attachment.
STANDINGS: Mapping[Phase, Mapping[Place, Standing]] = {
    Phase.BEGUN: {
        Place.AS_MARKED: Standing.DETACH,
        Place.BACK: Standing.USED,
        Place.UNTOLD: Standing.DETACH,
        Place.ELSEWHERE: Standing.FRESH,
        Place.FREE: Standing.SUBMIT,
        Place.RESTORING: Standing.FRESH,
        Place.MOVING: Standing.DETACH,
        Place.BROKEN: Standing.BROKEN,
    },
    Phase.SUBMITTING: {
        Place.AS_MARKED: Standing.DETACH,
        Place.BACK: Standing.USED,
        Place.UNTOLD: Standing.USED,
        Place.ELSEWHERE: Standing.USED,
        Place.FREE: Standing.SUBMIT,
        Place.RESTORING: Standing.WATCH,
        Place.MOVING: Standing.WATCH,
        Place.BROKEN: Standing.BROKEN,
    },
    Phase.ACCEPTED: {
        Place.AS_MARKED: Standing.USED,
        Place.BACK: Standing.USED,
        Place.UNTOLD: Standing.USED,
        Place.ELSEWHERE: Standing.USED,
        Place.FREE: Standing.WATCH,
        Place.RESTORING: Standing.WATCH,
        Place.MOVING: Standing.WATCH,
        Place.BROKEN: Standing.BROKEN,
    },
    Phase.RESTORED: {
        Place.AS_MARKED: Standing.ATTACH,
        Place.BACK: Standing.ATTACH,
        Place.UNTOLD: Standing.ATTACH,
        Place.ELSEWHERE: Standing.USED,
        Place.FREE: Standing.ATTACH,
        Place.RESTORING: Standing.ATTACH,
        Place.MOVING: Standing.ATTACH,
        Place.BROKEN: Standing.BROKEN,
    },
    Phase.FAILED: {
        Place.AS_MARKED: Standing.FRESH,
        Place.BACK: Standing.FRESH,
        Place.UNTOLD: Standing.FRESH,
        Place.ELSEWHERE: Standing.FRESH,
        Place.FREE: Standing.SUBMIT,
        Place.RESTORING: Standing.FRESH,
        Place.MOVING: Standing.FRESH,
        Place.BROKEN: Standing.BROKEN,
    },
    Phase.FINISHED: dict.fromkeys(Place, Standing.FINISHED),
    Phase.RETURNED: dict.fromkeys(Place, Standing.FRESH),
}


@dataclass(frozen=True)
class Mark:
    """One restore of one run. `server_id` is where the disk belongs; empty for a disk without a server.

    `job` is the cloud's job id; for HSS, which gives none, it is the digest of the task list before the submit.
    """

    phase: Phase
    run_id: str
    target_id: str
    backup_id: str
    server_id: str = ""
    device: str = ""
    attachment_id: str = ""
    was_running: bool | None = None
    delete_on_termination: bool | None = None
    job: str = ""
    at: float = 0.0

    @property
    def open(self) -> bool:
        """Somebody still has to do something about it."""
        return self.phase not in (Phase.FINISHED, Phase.RETURNED)

    def moved(self, phase: Phase, *, job: str | None = None) -> Mark:
        """The same restore one step on. Raises ValueError for a step that is not in the table: a bug."""
        if phase not in TRANSITIONS[self.phase]:
            raise ValueError(f"a restore cannot go from {self.phase.value} to {phase.value}")
        return replace(self, phase=phase, job=self.job if job is None else job)


@dataclass(frozen=True)
class Owner:
    """Which process works on the marks beside it, and when it claimed them.

    `host` names a process namespace, in which `process` is unique.
    """

    run_id: str
    host: str
    process: str
    nonce: str
    anchor: str
    at: float = 0.0


@dataclass(frozen=True)
class Lease:
    """That a process is at work. It lies at one server of its plan, so a young one is found there by others, too."""

    run_id: str
    host: str
    process: str
    nonce: str
    renewed_at: float


def mark_key(volume_id: str) -> str:
    """The entry of a disk in its server's metadata (keys there are letters, digits, `-`, `_`, `:` and `.`)."""
    return PREFIX + volume_id


def _join(*fields: str) -> str:
    text = "|".join((_FORMAT, *(quote(f, safe="/:.,+-_ ") for f in fields)))
    if len(text) > VALUE_LIMIT:
        raise ValueError(f"a mark of {len(text)} characters does not fit into {VALUE_LIMIT}; use a shorter run_id")
    return text


def _split(text: str, count: int) -> list[str] | None:
    parts = text.split("|")
    if len(parts) != count + 1 or parts[0] != _FORMAT:
        return None
    return [unquote(part) for part in parts[1:]]


_FLAGS: Mapping[bool | None, str] = {True: "y", False: "n", None: "-"}
_FLAGS_BACK = {text: flag for flag, text in _FLAGS.items()}


def _number(text: str) -> float:
    return float(text) if text.isdecimal() and len(text) <= _TIME_DIGITS else 0.0


def encode(mark: Mark) -> str:
    """Raises ValueError if it does not fit."""
    return _join(
        mark.phase.value,
        mark.run_id,
        mark.target_id,
        mark.backup_id,
        mark.device,
        mark.attachment_id,
        _FLAGS[mark.was_running],
        _FLAGS[mark.delete_on_termination],
        mark.job,
        str(int(mark.at)),
    )


def decode(text: object, *, server_id: str = "") -> Mark | None:
    """Read a mark; None for anything that is not one of ours (people and other tools write metadata too)."""
    parts = _split(text, 10) if isinstance(text, str) else None
    if parts is None or parts[0] not in {phase.value for phase in Phase}:
        return None
    return Mark(
        phase=Phase(parts[0]),
        run_id=parts[1],
        target_id=parts[2],
        backup_id=parts[3],
        server_id=server_id,
        device=parts[4],
        attachment_id=parts[5],
        was_running=_FLAGS_BACK.get(parts[6]),
        delete_on_termination=_FLAGS_BACK.get(parts[7]),
        job=parts[8],
        at=_number(parts[9]),
    )


def encode_owner(owner: Owner) -> str:
    return _join(owner.run_id, owner.host, owner.process, owner.nonce, owner.anchor, str(int(owner.at)))


def decode_owner(text: object) -> Owner | None:
    parts = _split(text, 6) if isinstance(text, str) else None
    if parts is None:
        return None
    run_id, host, process, nonce, anchor, at = parts
    return Owner(run_id, host, process, nonce, anchor, _number(at))


def encode_lease(lease: Lease) -> str:
    return _join(lease.run_id, lease.host, lease.process, lease.nonce, str(int(lease.renewed_at)))


def decode_lease(text: object) -> Lease | None:
    parts = _split(text, 5) if isinstance(text, str) else None
    if parts is None:
        return None
    run_id, host, process, nonce, renewed_at = parts
    return Lease(run_id, host, process, nonce, _number(renewed_at))


def marks_at(server: Server) -> Iterator[tuple[str, Mark]]:
    """The marks in a server's metadata, each with what it is about: a disk's id, or HSS_KEY."""
    for key, value in server.metadata.items():
        mark = decode(value, server_id=server.id) if key.startswith(PREFIX) else None
        if mark is not None:
            yield (key if key == HSS_KEY else key.removeprefix(PREFIX)), mark


def says_nothing(key: str, text: str) -> bool:
    """Whether a mark is there and cannot be read: cut or changed by other tools, or of a later version."""
    is_mark = key.startswith(PREFIX) and key not in (PREFIX, OWNER_KEY, LEASE_KEY)
    return is_mark and bool(text) and decode(text) is None


def place(mark: Mark, disk: Disk) -> Place:
    """Where the disk is, seen from its mark."""
    if disk.status == "restoring-backup":
        return Place.RESTORING
    if disk.status.startswith("error"):
        return Place.BROKEN
    if disk.attachments:
        here = disk.attached_to(mark.server_id) if mark.server_id else None
        if here is None:
            return Place.ELSEWHERE
        if not mark.attachment_id:
            return Place.UNTOLD
        return Place.AS_MARKED if here.attachment_id == mark.attachment_id else Place.BACK
    return Place.FREE if disk.status == "available" else Place.MOVING


def standing(mark: Mark | None, disk: Disk) -> Standing:
    """What is left to do for a disk with this mark. Without a mark it is fresh; whether that may be is preflight's."""
    return Standing.FRESH if mark is None else STANDINGS[mark.phase][place(mark, disk)]
