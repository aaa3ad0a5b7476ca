# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values that the whole collection speaks in: what the cloud shows, and what went wrong.

Everything here is immutable and knows neither network nor clock. Times are seconds since 1970 (UTC),
sizes are GB; ids and states keep the cloud's own spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Failure(Enum):
    """What a failed call says about the thing that was asked for. It decides what may be done next."""

    REFUSED = "refused"
    """The cloud said no. Nothing was accepted; asking again will not help."""
    BUSY = "busy"
    """The cloud cannot do it just now (throttled, another operation runs). Nothing was accepted; ask again later."""
    MISSING = "missing"
    """The thing does not exist, or is not visible to this project."""
    DENIED = "denied"
    """Wrong credentials, or not allowed. Never tried again: accounts lock."""
    UNREACHABLE = "unreachable"
    """No connection, so nothing was sent (name, refused connection, certificate)."""
    LOST = "lost"
    """The request may have arrived, its answer did not, or says nothing. Look before asking again."""
    NONSENSE = "nonsense"
    """A success whose content cannot be understood."""
    TAKEN = "taken"
    """Another run works on this server or disk. Nothing of it may be touched."""
    FORBIDDEN_HERE = "forbidden_here"
    """Refused by this program itself: a write in check mode, or an id that does not belong in a URL."""


@dataclass(frozen=True)
class ErrorInfo:
    """One failure in the words that an operator needs: the thing, the cause, the next step. Never holds a secret."""

    kind: Failure
    message: str
    code: str = ""
    http_status: int | None = None
    request_id: str = ""
    remedy: str = ""
    retry_after_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "http_status": self.http_status,
            "message": self.message,
            "request_id": self.request_id,
            "remedy": self.remedy,
        }

    def __str__(self) -> str:
        said = " ".join(part for part in (self.code, self.message) if part).rstrip(".")
        status = f" (HTTP {self.http_status})" if self.http_status else ""
        return f"{said}{status}{'. ' + self.remedy if self.remedy else ''}"


@dataclass(frozen=True)
class Attachment:
    """Where a disk is plugged in, as EVS tells it."""

    server_id: str
    attachment_id: str = ""
    device: str = ""


@dataclass(frozen=True)
class Disk:
    """An EVS disk (EVS API: Querying Details About a Disk)."""

    id: str
    status: str
    size_gb: int
    name: str = ""
    availability_zone: str = ""
    volume_type: str = ""
    attachments: tuple[Attachment, ...] = ()
    shared: bool = False
    bootable: bool = False
    from_image: bool = False
    encrypted: bool = False
    project_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def attached_to(self, server_id: str) -> Attachment | None:
        return next((a for a in self.attachments if a.server_id == server_id), None)

    @property
    def free(self) -> bool:
        """Detached and at rest: the only state in which VBS restores and ECS attaches."""
        return self.status == "available" and not self.attachments


@dataclass(frozen=True)
class ChildBackup:
    """The backup of one disk inside the backup of a server."""

    id: str
    resource_id: str = ""
    resource_type: str = ""
    resource_name: str = ""
    name: str = ""
    status: str = ""
    size_gb: int | None = None


UNKNOWN = "unknown"
"""The status of a backup whose status the cloud does not tell."""


@dataclass(frozen=True)
class Backup:
    """A restore point. `created_at` is None where the cloud did not say or said it unreadably."""

    service: str
    id: str
    status: str
    name: str = ""
    volume_id: str = ""
    server_id: str = ""
    server_name: str = ""
    size_gb: int | None = None
    created_at: float | None = None
    project_id: str = ""
    availability_zone: str = ""
    fail_reason: str = ""
    ransomware_alert: bool | None = None
    children: tuple[ChildBackup, ...] = ()


@dataclass(frozen=True)
class ServerVolume:
    """A disk as its server lists it."""

    volume_id: str
    device: str = ""
    delete_on_termination: bool | None = None


@dataclass(frozen=True)
class Server:
    """An ECS server (ECS API: Querying Details About an ECS)."""

    id: str
    status: str
    name: str = ""
    task_state: str | None = None
    vm_state: str = ""
    availability_zone: str = ""
    locked: bool = False
    root_device: str = ""
    volumes: tuple[ServerVolume, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def stopped(self) -> bool:
        """SHUTOFF alone is not enough: a server that is powering on still shows it (ECS API: ECS Statuses)."""
        return self.status == "SHUTOFF" and not self.task_state

    @property
    def running(self) -> bool:
        """ACTIVE alone is not enough: a server that is powering off still shows it."""
        return self.status == "ACTIVE" and not self.task_state

    def volume(self, volume_id: str) -> ServerVolume | None:
        return next((v for v in self.volumes if v.volume_id == volume_id), None)


class JobState(Enum):
    """How a job of VBS or ECS stands. A status text that is not documented counts as still running, never as done."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Job:
    id: str
    state: JobState
    raw_status: str = ""
    error_code: str = ""
    fail_reason: str = ""
    job_type: str = ""
    seconds: float | None = None
    """How long it took, by the cloud's own times."""
    failed_server_ids: tuple[str, ...] = ()
    """Of a batch stop or start: whose part of the job failed."""


@dataclass(frozen=True)
class LogRecord:
    """One line of the HSS backup and restore task list. It carries no task id and no backup id.

    `started_at` and `ended_at` stay raw text: their format and zone are not documented, so they are never read.
    """

    host_id: str
    backup_name: str
    status: str
    started_at: str = ""
    ended_at: str = ""
    host_name: str = ""
    progress_percent: int | None = None
    error_code: str = ""
    error_message: str = ""

    @property
    def identity(self) -> str:
        """What does not change while the task goes on. Records of one identity are told apart by their number."""
        return "\x1f".join((self.host_id, self.backup_name, self.started_at))


@dataclass(frozen=True)
class Accepted:
    """The cloud took an order. HSS gives no job id; the others should."""

    job_id: str = ""
    shared: bool = False
    """The job does the same for other servers, too: if it failed, that need not mean this one."""
