# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery script may ask for. A script is a generator: it yields one of these and is sent the answer.

Nothing here does anything. `batch` answers the commands of order and time itself, the driver (`_run`) those that
need the world. A failed call is answered with an `ErrorInfo`, never raised: what it means is the script's to say.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias, TypeVar

from .mark import Mark

T = TypeVar("T")


class Thing(Enum):
    """What can be looked at. Looks at many things of one kind may be answered by one list call."""

    DISK = "disk"
    SERVER = "server"
    VBS_BACKUP = "vbs_backup"
    VBS_JOB = "vbs_job"
    ECS_JOB = "ecs_job"
    HSS_BACKUP = "hss_backup"
    HSS_LOG = "hss_log"


@dataclass(frozen=True)
class Look:
    """Answer: the thing as it is after the question was asked, or ErrorInfo.

    With `max_age_seconds`, what was seen no longer ago than that will do, if this run has not changed it since.
    """

    thing: Thing
    id: str = ""
    max_age_seconds: float = 0.0


@dataclass(frozen=True)
class StopServer:
    """Stops and starts that are ordered at the same moment go out in one call, unless they are to go `alone`."""

    server_id: str
    hard: bool = False
    alone: bool = False


@dataclass(frozen=True)
class StartServer:
    server_id: str
    alone: bool = False


@dataclass(frozen=True)
class Detach:
    server_id: str
    volume_id: str


@dataclass(frozen=True)
class Attach:
    server_id: str
    volume_id: str
    device: str = ""


@dataclass(frozen=True)
class RestoreDisk:
    backup_id: str
    volume_id: str


@dataclass(frozen=True)
class RestoreServer:
    """The HSS call. `mappings` are (child backup id, volume id); None leaves a field out of the body."""

    backup_id: str
    server_id: str | None
    power_on: bool
    mappings: tuple[tuple[str | None, str | None], ...] = ()


Order: TypeAlias = "StopServer | StartServer | Detach | Attach | RestoreDisk | RestoreServer"
"""Writes to the cloud. Answer: Accepted or ErrorInfo."""


@dataclass(frozen=True)
class Holder:
    """The place of a mark: a server, or a disk that has none."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True)
class WriteMarks:
    """Answer: None once they are safely written, else ErrorInfo. `marks` are (metadata key, mark).

    With `claim` the holder becomes this process's own. Only the first write of a run claims: if each did, a process
    that was superseded would take the holder back without noticing.
    """

    holder: Holder
    marks: tuple[tuple[str, Mark], ...]
    claim: bool = False


@dataclass(frozen=True)
class RenewLease:
    """Answer: None or ErrorInfo."""


@dataclass(frozen=True)
class ConfirmOwner:
    """Read back that the holder's marks are still this run's. Answer: None, or ErrorInfo that says whose they are.

    An owner that did not claim after `since` is none.
    """

    holder: Holder
    max_age_seconds: float = 0.0
    since: float = 0.0


@dataclass(frozen=True)
class TakeTurn:
    """Wait until the rate limit of this order's API has a place. Answer: None.

    For orders that are guarded by a look: waiting for the turn comes first, so that the look is fresh.
    """

    order: type


@dataclass(frozen=True)
class Now:
    """Answer: the time, in seconds since 1970."""


@dataclass(frozen=True)
class Pause:
    """Answer: None after so many seconds. Polls fall on a common beat, so that one list serves all that wait."""

    seconds: float
    poll: bool = False


@dataclass(frozen=True)
class Await:
    """Until the next look at work that began at `since` and may be waited for up to `until`. Answer: None.

    `work` names what takes about the same time for disks of the same size; `Learn` tells how long it took.
    """

    work: str
    size_gb: int
    since: float
    until: float
    interval_seconds: float


@dataclass(frozen=True)
class Learn:
    """Answer: None."""

    work: str
    size_gb: int
    seconds: float


@dataclass(frozen=True)
class Together:
    """Run scripts side by side. Answer: the list of what they returned, in order."""

    scripts: tuple[Generator[Any, Any, Any], ...]


@dataclass(frozen=True)
class GoesOn:
    """Answer: False if the run is being stopped: what is not submitted yet shall not be."""


@dataclass(frozen=True)
class Admit:
    """Wait until so many more restores may be prepared. Answer: False if the run is being stopped.

    `running` is for what runs already: it counts, but is neither kept waiting nor turned away.
    """

    weight: int
    running: bool = False


@dataclass(frozen=True)
class Discharge:
    weight: int


@dataclass(frozen=True)
class TakeSlot:
    """Wait for one of the `max_parallel` places for a running restore. Answer: False if the run is being stopped.

    `running` is for a restore that runs already: it counts, but is not kept waiting. `soon` is the disk that is looked
    at as soon as there is a place: a list call that goes out before may bring it along.
    """

    running: bool = False
    soon: str = ""


@dataclass(frozen=True)
class FreeSlot:
    """Give the place back. What was not `good` stops a run that stops on failure before the place is given on."""

    good: bool = True


@dataclass(frozen=True)
class Meet:
    """Wait for all members of a consistency group. Answer: True if every one of them said `good`."""

    group: str
    good: bool


@dataclass(frozen=True)
class Say:
    """One line of the timeline, and of the live progress. `important` lines are always shown."""

    event: str
    target: str
    text: str
    volume_id: str = ""


Command: TypeAlias = (
    "Look | Order | TakeTurn | WriteMarks | RenewLease | ConfirmOwner | Now | Pause | Await | Learn | Together"
    " | GoesOn | Admit | Discharge | TakeSlot | FreeSlot | Meet | Say"
)
Script: TypeAlias = Generator[Command, Any, T]
