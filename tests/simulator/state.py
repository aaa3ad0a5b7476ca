# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cloud is made of, and its time: a heap of things that will happen."""

from __future__ import annotations

import heapq
import itertools
import random
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from simulator.scenario import (
    AttachedTo,
    Behaviours,
    DiskSpec,
    HssBackupSpec,
    HssChildSpec,
    HssLogSpec,
    Limits,
    Project,
    Scenario,
    ServerSpec,
    Timing,
    VbsBackupSpec,
    parse_time,
)


@dataclass(frozen=True, slots=True)
class Attachment:
    server_id: str
    device: str
    attachment_id: str
    attached_at: float
    delete_on_termination: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """What EVS tells about a disk; it can be older than the truth."""

    status: str
    attachments: tuple[Attachment, ...]


@dataclass
class Disk:
    spec: DiskSpec
    status: str
    data: str
    metadata: dict[str, str]
    created_at: float
    updated_at: float
    attachments: dict[str, Attachment] = field(default_factory=dict)
    shown: Shown = Shown("creating", ())
    # A restore is more than the disk's state: it lasts until its job has ended.
    restoring: bool = False
    restore_count: int = 0
    last_used_at: float | None = None
    used_since_restore: bool = False
    delete_on_termination: bool = False

    @property
    def id(self) -> str:
        return self.spec.id


@dataclass
class Server:
    spec: ServerSpec
    status: str
    locked: bool
    metadata: dict[str, str]
    task_state: str | None = None
    # What else keeps it busy: attach, detach, restore.
    busy: str = ""
    # The power operation under way: a newer one makes the end of an older one void.
    power_ticket: int = 0
    volumes: dict[str, Attachment] = field(default_factory=dict)
    shown_volumes: dict[str, None] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def vm_state(self) -> str:
        return {"ACTIVE": "active", "SHUTOFF": "stopped", "ERROR": "error", "PAUSED": "paused"}.get(
            self.status, self.status.lower()
        )


@dataclass
class VbsBackup:
    spec: VbsBackupSpec
    status: str
    created_at: float
    project_id: str

    @property
    def id(self) -> str:
        return self.spec.id


@dataclass
class HssBackup:
    spec: HssBackupSpec
    status: str
    created_at: float

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def parts(self) -> tuple[HssChildSpec, ...]:
        """One per disk; a disk backup is its own part."""
        spec = self.spec
        return spec.children or (HssChildSpec(spec.id, spec.volume_id, 0, spec.data),)


@dataclass
class HssRecord:
    """A record of the operation log; ``ends_at`` is when its percent would reach 100."""

    host_id: str
    host_name: str
    backup_name: str
    status: str
    started_at: float
    ends_at: float
    ended_at: float | None = None
    error_code: str = ""
    error_message: str = ""


@dataclass(slots=True)
class Job:
    id: str
    service: str
    type: str
    begin: float
    entities: dict[str, Any]
    status: str = "INIT"
    end: float | None = None
    error_code: str | None = None
    fail_reason: str | None = None
    subs: list[Job] = field(default_factory=list)


@dataclass
class Token:
    user: str
    domain: str
    project: Project
    issued_at: float
    expires_at: float
    # How its end is told; None = the scenario's way.
    disguise: str | None = None
    expired: bool = False


@lru_cache(1024)
def utc_text(moment: float, *, digits: int = 6, zone: str = "") -> str:
    """``2016-02-03T02:19:29.895237``, as Cinder writes it; digits and zone as the service does."""
    stamp = datetime.fromtimestamp(moment, UTC)
    fraction = f".{stamp.microsecond:06d}"[: digits + 1] if digits else ""
    return f"{stamp:%Y-%m-%dT%H:%M:%S}{fraction}{zone}"


class World:
    """All state, one clock. ``after`` counts simulated seconds, ``now`` is in seconds of the clock."""

    def __init__(self, scenario: Scenario, *, now: float, scale: float, seed: str) -> None:
        self.scenario = scenario
        self.project: Project = scenario.project
        self.behaviours: Behaviours = scenario.behaviours
        self.timing: Timing = scenario.timing
        self.limits: Limits = scenario.limits
        self.scale = scale
        self.now = now
        self.endpoints: dict[str, str] = {}
        self._random = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count(1)
        self.tokens: dict[str, Token] = {}
        self.login_failures: dict[tuple[str, str], int] = {}
        self.locked_until: dict[tuple[str, str], float] = {}
        self.jobs: dict[str, Job] = {}
        self.hss_log: deque[HssRecord] = deque()
        self.violations: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self._outcomes_used: dict[tuple[str, str], int] = {}
        self.servers = {spec.id: self._new_server(spec) for spec in scenario.servers}
        self.disks: dict[str, Disk] = {}
        # Creation times never change: EVS keeps its sorted lists here.
        self.sorted_disks: dict[tuple[str, str], list[Disk]] = {}
        for spec in scenario.disks:
            self._add_disk(spec)
        self.vbs_backups: dict[str, VbsBackup] = {}
        # The project's own in the order of the list, None until it is asked for.
        self.listed_vbs_backups: list[VbsBackup] | None = None
        self.vbs_by_volume: dict[str, dict[str, VbsBackup]] = {}
        for backup in scenario.vbs_backups:
            self.add_vbs_backup(backup)
        self.hss_backups: dict[str, HssBackup] = {}
        self.hss_by_server: dict[str, dict[str, HssBackup]] = {}
        for hss_backup in scenario.hss_backups:
            self.add_hss_backup(hss_backup)
        for record in sorted(scenario.hss_log, key=lambda item: -item.age_seconds):
            self._add_old_record(record)

    # Time

    def after(self, simulated_seconds: float, action: Callable[[], None]) -> float:
        """Let something happen later; returns when, in seconds of the clock."""
        due = self.now + simulated_seconds / self.scale
        heapq.heappush(self._events, (due, next(self._sequence), action))
        return due

    def advance(self, now: float) -> None:
        """Everything due happens, each at its own time, in order."""
        while self._events and self._events[0][0] <= now:
            due, _unused, action = heapq.heappop(self._events)
            self.now = max(self.now, due)
            action()
        self.now = max(self.now, now)

    def next_event_at(self) -> float | None:
        """When the next thing will happen by itself, for those who drive a virtual clock."""
        return self._events[0][0] if self._events else None

    # Names

    def new_uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def new_hex(self, length: int = 32) -> str:
        return f"{self._random.getrandbits(length * 4):0{length}x}"

    # Making things

    def _new_server(self, spec: ServerSpec) -> Server:
        return Server(spec, spec.status, spec.locked, dict(spec.metadata))

    def _add_disk(self, spec: DiskSpec) -> None:
        created_at = parse_time(spec.created_at)
        status = spec.status or ("in-use" if spec.attached else "available")
        disk = Disk(spec, status, spec.data, dict(spec.metadata), created_at, created_at)
        self.disks[spec.id] = disk
        for place in spec.attached:
            self._place(disk, place)
            disk.delete_on_termination = place.delete_on_termination
        disk.status = status  # attaching has made it in-use; the scenario may know better
        self.show(disk)

    def _place(self, disk: Disk, place: AttachedTo) -> None:
        self.link(disk, self.servers[place.server], place.device, place.delete_on_termination)

    def add_vbs_backup(self, spec: VbsBackupSpec) -> None:
        created_at = parse_time(spec.created_at) if spec.created_at else self.now - spec.age_seconds
        backup = VbsBackup(spec, spec.status, created_at, spec.project_id or self.project.id)
        self.vbs_backups[spec.id] = backup
        self.listed_vbs_backups = None
        self.vbs_by_volume.setdefault(spec.volume_id, {})[spec.id] = backup

    def remove_vbs_backup(self, backup_id: str) -> None:
        backup = self.vbs_backups.pop(backup_id)
        self.listed_vbs_backups = None
        del self.vbs_by_volume[backup.spec.volume_id][backup_id]

    def add_hss_backup(self, spec: HssBackupSpec) -> None:
        created_at = parse_time(spec.created_at) if spec.created_at else self.now - spec.age_seconds
        backup = HssBackup(spec, spec.status, created_at)
        self.hss_backups[spec.id] = backup
        self.hss_by_server.setdefault(spec.server_id, {})[spec.id] = backup

    def remove_hss_backup(self, backup_id: str) -> None:
        backup = self.hss_backups.pop(backup_id)
        del self.hss_by_server[backup.spec.server_id][backup_id]

    def _add_old_record(self, spec: HssLogSpec) -> None:
        server = self.servers[spec.server_id]
        started = self.now - spec.age_seconds
        record = HssRecord(
            server.id, server.spec.name, spec.backup_name, spec.status, started, started + 300.0, started + 300.0
        )
        self.hss_log.appendleft(record)

    # Disks and servers

    def link(self, disk: Disk, server: Server, device: str, delete_on_termination: bool) -> None:
        attachment = Attachment(server.id, device, self.new_uuid(), self.now, delete_on_termination)
        disk.attachments[server.id] = attachment
        server.volumes[disk.id] = attachment
        disk.status = "in-use"
        if server.status == "ACTIVE":
            self.mark_used(disk)

    def unlink(self, disk: Disk, server: Server) -> None:
        attachment = disk.attachments.pop(server.id)
        disk.delete_on_termination = attachment.delete_on_termination
        del server.volumes[disk.id]
        self.set_idle(disk)

    @staticmethod
    def set_idle(disk: Disk) -> None:
        """No operation runs on the disk any more: whether it is in use is a matter of its attachments."""
        disk.status = "in-use" if disk.attachments else "available"

    def mark_used(self, disk: Disk) -> None:
        """A disk on a running server is written to: from here on it holds new data."""
        disk.last_used_at = self.now
        disk.used_since_restore = True

    def show(self, disk: Disk, *, at_once: bool = True) -> None:
        """Let EVS tell the truth about a disk, now or after the lag."""
        shown = Shown(disk.status, tuple(disk.attachments.values()))
        lag = self.behaviours.state_lag_seconds
        if at_once or lag <= 0:
            self._set_shown(disk, shown)
        else:
            self.after(lag, lambda: self._set_shown(disk, shown))

    def _set_shown(self, disk: Disk, shown: Shown) -> None:
        for attachment in disk.shown.attachments:
            self.servers[attachment.server_id].shown_volumes.pop(disk.id, None)
        disk.shown = shown
        disk.updated_at = self.now
        for attachment in shown.attachments:
            self.servers[attachment.server_id].shown_volumes[disk.id] = None

    def set_disk_status(self, disk: Disk, status: str) -> None:
        disk.status = status
        self.show(disk, at_once=False)

    def set_power(self, server: Server, status: str) -> None:
        server.status = status
        server.task_state = None
        if status == "ACTIVE":
            for volume_id in server.volumes:
                self.mark_used(self.disks[volume_id])

    # Jobs

    def new_job(self, service: str, kind: str, entities: Mapping[str, Any], *, job_id: str = "") -> Job:
        job = Job(job_id or self.new_hex(), service, kind, self.now, dict(entities))
        self.jobs[job.id] = job
        self.after(self.timing.job_init, lambda: self._start_job(job))
        return job

    @staticmethod
    def _start_job(job: Job) -> None:
        if job.status == "INIT":
            job.status = "RUNNING"

    def end_job(self, job: Job, *, error_code: str | None = None, fail_reason: str | None = None) -> None:
        job.status = "SUCCESS" if error_code is None else "FAIL"
        job.end, job.error_code, job.fail_reason = self.now, error_code, fail_reason

    # What is told to the control port

    def outcome(self, behaviour: str, key: str) -> str:
        """What shall happen this time: a text means always, a list means one after the other, then ok."""
        wanted = getattr(self.behaviours, behaviour).get(key, "ok")
        if isinstance(wanted, str):
            return wanted
        used = self._outcomes_used.get((behaviour, key), 0)
        self._outcomes_used[behaviour, key] = used + 1
        return str(wanted[used]) if used < len(wanted) else "ok"

    def violate(self, rule: str, text: str) -> None:
        """Something that a careful client never does."""
        self.violations.append({"rule": rule, "text": text, "time": self.now})

    def note(self, kind: str, text: str) -> None:
        """Worth knowing, not wrong in itself."""
        self.notes.append({"kind": kind, "text": text, "time": self.now})
