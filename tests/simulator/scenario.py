# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenario files: what the cloud holds at the start, how it behaves and how long things take."""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML brings it
# EVS API reference, Disk Status; VBS API reference, filter status; HSS SDK, filter status of a host's backups.
DISK_STATUSES = (
    "available",
    "in-use",
    "attaching",
    "detaching",
    "backing-up",
    "restoring-backup",
    "error",
    "error_restoring",
)
VBS_BACKUP_STATUSES = ("available", "error", "restoring", "creating", "deleting", "error_restoring")
HSS_BACKUP_STATUSES = (
    "available",
    "protecting",
    "deleting",
    "restoring",
    "error",
    "waiting_protect",
    "waiting_delete",
    "waiting_restore",
)
SCENARIO_FOLDER = Path(__file__).parent / "scenarios"


class ScenarioError(ValueError):
    """A scenario file says something that cannot be."""


@dataclass(frozen=True)
class Project:
    id: str
    name: str
    domain_id: str = "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0"
    domain_name: str = "demo-account"


@dataclass(frozen=True)
class User:
    name: str
    password: str = field(repr=False)
    domain: str = "demo-account"


@dataclass(frozen=True)
class AccessKey:
    """``security_token`` makes it a temporary key."""

    access_key: str
    secret_key: str = field(repr=False)
    security_token: str = field(default="", repr=False)
    user: str = "signer"


@dataclass(frozen=True)
class AttachedTo:
    server: str
    device: str
    delete_on_termination: bool = False


@dataclass(frozen=True)
class ServerSpec:
    id: str
    name: str
    status: str = "ACTIVE"
    az: str = "eu-de-01"
    root_device: str = "/dev/vda"
    locked: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DiskSpec:
    """``bootable`` disks carry an image; ``sdrs`` ones are under disaster-recovery protection."""

    id: str
    name: str
    size: int
    az: str = "eu-de-01"
    type: str = "SAS"
    bootable: bool = False
    multiattach: bool = False
    encrypted: bool = False
    sdrs: bool = False
    status: str = ""
    created_at: str = "2026-01-02T03:04:05Z"
    data: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    attached: tuple[AttachedTo, ...] = ()


@dataclass(frozen=True)
class VbsBackupSpec:
    """``metadata`` is the disk's metadata when the backup was made; a foreign ``project_id`` makes it a shared one."""

    id: str
    volume_id: str
    size: int
    name: str = ""
    status: str = "available"
    created_at: str = ""
    age_seconds: int = 0
    project_id: str = ""
    data: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HssChildSpec:
    id: str
    volume_id: str
    size: int
    data: str = ""


@dataclass(frozen=True)
class HssBackupSpec:
    """A server backup has children; one without is a disk backup of ``volume_id``."""

    id: str
    name: str
    server_id: str
    volume_id: str = ""
    created_at: str = ""
    age_seconds: int = 0
    tag: int = 0
    status: str = "available"
    data: str = ""
    children: tuple[HssChildSpec, ...] = ()


@dataclass(frozen=True)
class HssLogSpec:
    """A record that was there before: a backup task, as the log holds backups and restores alike."""

    server_id: str
    backup_name: str
    status: str = "success"
    age_seconds: int = 86400


@dataclass(frozen=True)
class Behaviours:
    """Where no source says what the cloud does, it can be told to do either. The first choice is the default."""

    restore_metadata: str = "keep"
    restore_device: str = "honour"
    sub_jobs: str = "list"
    vbs_job_id: str = "dashed"
    vbs_error_shape: str = "nested"
    vbs_backup_order: str = "created_desc"
    hss_published: bool = True
    hss_time_format: str = "iso"
    hss_log_lag_seconds: float = 0.0
    hss_created_at_unit: str = "ms"
    hss_child_resource_id: str = "volume"
    hss_partial_mappings: str = "refuse"
    state_lag_seconds: float = 0.0
    stop_stopped: str = "fail"
    batch_parent: str = "honest"
    boot_index: str = "normal"
    evs_offset: str = "strict"
    page_limit_cap: int = 0
    delete_on_termination_after_attach: str = "keep"
    retry_after: str = "absent"
    token_expired_answer: str = "apigw_0307"
    restore_outcome: Mapping[str, Any] = field(default_factory=dict)
    hss_outcome: Mapping[str, Any] = field(default_factory=dict)
    soft_stop: Mapping[str, Any] = field(default_factory=dict)
    ecs_job_outcome: Mapping[str, Any] = field(default_factory=dict)


CHOICES: Mapping[str, tuple[str, ...]] = {
    "restore_metadata": ("keep", "replace"),
    "restore_device": ("honour", "next_free"),
    "sub_jobs": ("list", "empty_string", "null", "missing", "entities"),
    "vbs_job_id": ("dashed", "hex"),
    "vbs_error_shape": ("nested", "flat"),
    "vbs_backup_order": ("created_desc", "arbitrary"),
    "hss_time_format": ("iso", "epoch_ms", "local_text"),
    "hss_created_at_unit": ("ms", "s"),
    "hss_child_resource_id": ("volume", "host"),
    "hss_partial_mappings": ("refuse", "allow"),
    "stop_stopped": ("fail", "success", "conflict"),
    "batch_parent": ("honest", "success_hides_fail"),
    "boot_index": ("normal", "all_zero"),
    "evs_offset": ("strict", "lenient"),
    "delete_on_termination_after_attach": ("keep", "reset"),
    "retry_after": ("absent", "present"),
    "token_expired_answer": ("apigw_0307", "common_0013", "autobackup_0003", "plain_401"),
}
OUTCOMES: Mapping[str, tuple[str, ...]] = {
    "restore_outcome": ("ok", "fail_available", "fail_error_restoring", "stuck", "slow"),
    "hss_outcome": ("ok", "failed", "skipped", "timeout", "no_record", "stuck", "vanish"),
    "soft_stop": ("ok", "hangs", "falls_back"),
    "ecs_job_outcome": ("ok", "fail", "stuck", "unknown"),
}
ECS_JOBS = ("stop", "detach", "attach", "start")
"""The keys of ``ecs_job_outcome``."""


@dataclass(frozen=True)
class Timing:
    """Simulated seconds, except ``token_life_wall_seconds``: a token's life is told in its own answer.

    A token lives for a day (IAM API reference); no document says how long the rest takes [inferred].

    ``vbs_restore_spread`` is a part from 0 to 1: by so much more or less the restore of a disk takes than that of
    another one of its size, always the same for a disk.
    """

    job_init: float = 1.0
    stop: float = 20.0
    soft_stop_hang: float = 600.0
    start: float = 30.0
    detach: float = 8.0
    attach: float = 8.0
    vbs_restore: float = 30.0
    vbs_restore_per_gb: float = 1.0
    vbs_restore_spread: float = 0.0
    vbs_settle: float = 2.0
    hss_wait: float = 3.0
    hss_restore: float = 60.0
    hss_restore_per_gb: float = 1.0
    login_lock: float = 900.0
    token_life_wall_seconds: float = 86400.0

    def vbs_restore_seconds(self, volume_id: str, size_gb: int) -> float:
        even = self.vbs_restore + self.vbs_restore_per_gb * size_gb
        luck = crc32(volume_id.encode()) / 2**31 - 1  # from -1 to 1
        return even * (1 + self.vbs_restore_spread * luck)


@dataclass(frozen=True)
class Rate:
    requests: int
    window_seconds: float


@dataclass(frozen=True)
class Limits:
    """``rates`` by service; Huawei documents 5 requests a minute per user and API for HSS only.

    That wrong passwords lock an account is IAM.0061, after how many is [inferred]. 24 disks are /dev/vda to /dev/vdx
    (ECS API reference, Attaching a Disk to an ECS). 1,000 servers are the most in one call by the SDK, in one minute
    by the text of the Open Telekom Cloud. The number of metadata items is Nova's [inferred].
    """

    rates: Mapping[str, Any] = field(default_factory=lambda: {"hss": {"requests": 5, "window_seconds": 60.0}})
    login_failures_before_lock: int = 5
    server_disk_slots: int = 24
    server_metadata_items: int = 128
    servers_in_one_action: int = 1000

    def rate(self, service: str) -> Rate | None:
        found = self.rates.get(service)
        return None if found is None else Rate(int(found["requests"]), float(found["window_seconds"]))


@dataclass(frozen=True)
class Scenario:
    project: Project
    name: str = "unnamed"
    other_projects: tuple[Project, ...] = ()
    users: tuple[User, ...] = ()
    access_keys: tuple[AccessKey, ...] = ()
    servers: tuple[ServerSpec, ...] = ()
    disks: tuple[DiskSpec, ...] = ()
    vbs_backups: tuple[VbsBackupSpec, ...] = ()
    hss_backups: tuple[HssBackupSpec, ...] = ()
    hss_log: tuple[HssLogSpec, ...] = ()
    behaviours: Behaviours = field(default_factory=Behaviours)
    timing: Timing = field(default_factory=Timing)
    limits: Limits = field(default_factory=Limits)
    faults: tuple[Mapping[str, Any], ...] = ()


def parse_time(text: str) -> float:
    """Epoch seconds of an ISO time; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _scalar(kind: type, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is str and isinstance(value, datetime):
        return value.isoformat()
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ScenarioError(f"{where}: expected {kind.__name__}, not {value!r}")
    return value


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        if isinstance(value, Mapping) and inner is AttachedTo:
            value = [value]
        if not isinstance(value, list | tuple):
            raise ScenarioError(f"{where}: expected a list")
        return tuple(_value(inner, item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is not None and not isinstance(hint, types.UnionType):
        if not isinstance(value, Mapping):
            raise ScenarioError(f"{where}: expected a mapping")
        return dict(value)
    if hasattr(hint, "__dataclass_fields__"):
        return _build(hint, value, where)
    return _scalar(hint, value, where)


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _build(kind: Any, raw: Any, where: str) -> Any:
    if not isinstance(raw, Mapping):
        raise ScenarioError(f"{where}: expected a mapping")
    hints = _hints(kind)
    known = {item.name: item for item in fields(kind)}
    unknown = sorted(set(raw) - set(known))
    if unknown:
        raise ScenarioError(f"{where}: unknown key {unknown[0]!r}, known are {', '.join(known)}")
    missing = [
        name
        for name, item in known.items()
        if name not in raw and item.default is MISSING and item.default_factory is MISSING
    ]
    if missing:
        raise ScenarioError(f"{where}: {missing[0]!r} is missing")
    return kind(**{name: _value(hints[name], value, f"{where}.{name}") for name, value in raw.items()})


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ScenarioError(message)


def _unique(values: Iterable[str], what: str) -> set[str]:
    seen: set[str] = set()
    for value in values:
        _require(value not in seen, f"{what} {value!r} appears twice")
        _require(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value) is not None, f"{what} {value!r} is no id")
        seen.add(value)
    return seen


def _check_choices(behaviours: Behaviours) -> None:
    for name, choices in CHOICES.items():
        value = getattr(behaviours, name)
        _require(value in choices, f"behaviours.{name}: {value!r} is none of {', '.join(choices)}")
    for name, choices in OUTCOMES.items():
        for key, value in getattr(behaviours, name).items():
            for outcome in value if isinstance(value, list) else [value]:
                _require(outcome in choices, f"behaviours.{name}.{key}: {outcome!r} is none of {', '.join(choices)}")
    for key in behaviours.ecs_job_outcome:
        _require(key in ECS_JOBS, f"behaviours.ecs_job_outcome: {key!r} is none of {', '.join(ECS_JOBS)}")


def _check_numbers(scenario: Scenario) -> None:
    for part in (scenario.behaviours, scenario.timing, scenario.limits):
        for item in fields(part):
            value = getattr(part, item.name)
            _require(not isinstance(value, int | float) or value >= 0, f"{item.name} must not be negative")
    _require(scenario.timing.vbs_restore_spread <= 1, "vbs_restore_spread must not be greater than 1")
    for service, rate in scenario.limits.rates.items():
        fits = isinstance(rate, Mapping) and set(rate) == {"requests", "window_seconds"} and min(rate.values()) > 0
        _require(fits, f"limits.rates.{service}: needs requests and window_seconds, both greater than 0")


def _check_disk(disk: DiskSpec, servers: Mapping[str, ServerSpec], taken: set[tuple[str, str]]) -> None:
    _require(disk.multiattach or len(disk.attached) <= 1, f"disk {disk.id}: only a multiattach disk has two servers")
    _require(disk.status in ("", *DISK_STATUSES), f"disk {disk.id}: status {disk.status!r} is unknown")
    fits = not disk.attached or disk.status not in ("available", "restoring-backup")
    _require(fits, f"disk {disk.id}: attached and {disk.status}")
    for place in disk.attached:
        server = servers.get(place.server)
        if server is None:
            raise ScenarioError(f"disk {disk.id}: no server {place.server!r}")
        _require(server.az == disk.az, f"disk {disk.id}: server {server.id} is in another AZ")
        _require((place.server, place.device) not in taken, f"disk {disk.id}: {place.device} is taken")
        taken.add((place.server, place.device))


def _check(scenario: Scenario) -> None:
    servers = {server.id: server for server in scenario.servers}
    _unique((server.id for server in scenario.servers), "server")
    disk_ids = _unique((disk.id for disk in scenario.disks), "disk")
    _unique((backup.id for backup in scenario.vbs_backups), "vbs backup")
    children = [child for backup in scenario.hss_backups for child in backup.children]
    _unique([backup.id for backup in scenario.hss_backups] + [child.id for child in children], "hss backup")
    _require(bool(scenario.users or scenario.access_keys), "nobody can log in: no users, no access_keys")
    for server in scenario.servers:
        _require(server.status in ("ACTIVE", "SHUTOFF", "ERROR", "PAUSED"), f"server {server.id}: {server.status!r}")
    taken: set[tuple[str, str]] = set()
    for disk in scenario.disks:
        _check_disk(disk, servers, taken)
    for vbs_backup in scenario.vbs_backups:
        status = vbs_backup.status
        _require(status in VBS_BACKUP_STATUSES, f"vbs backup {vbs_backup.id}: status {status!r} is unknown")
    for backup in scenario.hss_backups:
        _require(backup.status in HSS_BACKUP_STATUSES, f"hss backup {backup.id}: status {backup.status!r} is unknown")
        _require(backup.tag in (0, 1), f"hss backup {backup.id}: tag must be 0 or 1")
        _require(backup.server_id in servers, f"hss backup {backup.id}: no server {backup.server_id!r}")
        _require(bool(backup.children or backup.volume_id), f"hss backup {backup.id}: neither children nor volume_id")
    for child in children:
        _require(child.volume_id in disk_ids, f"hss child {child.id}: no disk {child.volume_id!r}")
    _check_choices(scenario.behaviours)
    _check_numbers(scenario)


def parse(document: Any) -> Scenario:
    """A checked scenario from the parsed content of a file."""
    scenario: Scenario = _build(Scenario, document, "scenario")
    _check(scenario)
    return scenario


def load(name: str) -> Scenario:
    """A scenario by path, or by its name in the folder ``scenarios``."""
    path = Path(name)
    if not path.is_file():
        path = SCENARIO_FOLDER / (name if name.endswith(".yml") else f"{name}.yml")
    if not path.is_file():
        raise ScenarioError(f"no scenario file {name!r}, neither here nor in {SCENARIO_FOLDER}")
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)
    except yaml.YAMLError as error:
        raise ScenarioError(f"{path}: not YAML: {error}") from error
    return parse(document)
