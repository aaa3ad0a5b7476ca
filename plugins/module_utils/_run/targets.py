# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of recovery_plan and recovery_run, and the values that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._restore.outcome import Rules
from .._restore.points import LATEST
from .._restore.wishes import Terms, Wish
from .options import (
    CONNECTION_SPEC,
    JOURNAL_SPEC,
    OptionError,
    identifier,
    journal_directory,
    moment,
    need_positive,
    run_id,
)
from .recovery import RunOptions

TARGET_SPEC: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "method": {"type": "str", "choices": ["vbs", "hss"], "required": True},
    "wave": {"type": "int", "default": 1},
    "group": {"type": "str"},
    "critical": {"type": "bool", "default": False},
    "server_id": {"type": "str"},
    "volumes": {
        "type": "list",
        "elements": "dict",
        "options": {
            "volume_id": {"type": "str", "required": True},
            "backup_id": {"type": "str", "default": LATEST},
        },
    },
    "backup_id": {"type": "str", "default": LATEST},
    "power_on": {"type": "bool"},
    "point_in_time": {"type": "str", "default": LATEST},
    "max_backup_age": {"type": "float"},
}

PLAN_SPEC: dict[str, dict[str, Any]] = {
    "targets": {"type": "list", "elements": "dict", "required": True, "options": TARGET_SPEC},
    "incident_at": {"type": "str"},
    "clean_only": {"type": "bool", "default": True},
    "alerts_since": {"type": "str"},
    "max_skew": {"type": "float"},
    "allow_encrypted": {"type": "bool", "default": False},
    "group_members": {"type": "dict"},
    "run_id": {"type": "str"},
    "take_over": {"type": "str"},
}

RUN_SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    "plan": {"type": "dict", "required": True},
    "approved_plan": {"type": "list", "elements": "str", "required": True},
    "run_id": {"type": "str"},
    "waves": {"type": "list", "elements": "int", "default": []},
    "max_parallel": {"type": "int", "default": 10},
    "stop_servers": {"type": "str", "choices": ["soft", "soft_then_hard", "hard", "refuse"], "default": "soft"},
    "stop_timeout": {"type": "float", "default": 300},
    "start_servers": {"type": "bool", "default": True},
    "allow_encrypted": {"type": "bool", "default": False},
    "wait_timeout": {"type": "float", "default": 86400},
    "wait_interval": {"type": "float", "default": 10},
    **JOURNAL_SPEC,
    "progress_interval": {"type": "float", "default": 15},
    "on_failure": {"type": "str", "choices": ["finish", "stop"], "default": "finish"},
    "take_over": {"type": "str"},
    "resubmit_unknown": {"type": "list", "elements": "str", "default": []},
}


def wishes_of(targets: Sequence[Mapping[str, Any]]) -> list[Wish]:
    """Raises OptionError."""
    return [_wish(target) for target in targets]


def _wish(target: Mapping[str, Any]) -> Wish:
    name = target["name"]
    try:
        need_positive(target, "max_backup_age")
        point_in_time = moment(target, "point_in_time")
    except OptionError as error:
        raise OptionError(f"target {name}: {error}") from None
    return Wish(
        name=name,
        method=target["method"],
        wave=target["wave"],
        group=target["group"] or "",
        critical=target["critical"],
        server_id=identifier(target["server_id"]),
        volumes=tuple((identifier(v["volume_id"]), identifier(v["backup_id"])) for v in target["volumes"] or []),
        backup_id=identifier(target["backup_id"]),
        power_on=target["power_on"],
        point_in_time=point_in_time,
        max_backup_age_seconds=target["max_backup_age"],
    )


def terms_of(params: Mapping[str, Any], *, now: float) -> Terms:
    """Raises OptionError. `now` in seconds since 1970."""
    members = params["group_members"] or {}
    incident_at = moment(params, "incident_at")
    return Terms(
        incident_at=now if incident_at is None else incident_at,
        run_id=run_id(params),
        take_over=run_id(params, "take_over"),
        clean_only=params["clean_only"],
        alerts_since=moment(params, "alerts_since"),
        max_skew_seconds=params["max_skew"],
        allow_encrypted=params["allow_encrypted"],
        group_members={str(group): tuple(map(str, names)) for group, names in members.items()},
    )


def run_options(params: Mapping[str, Any]) -> RunOptions:
    """Raises OptionError."""
    need_positive(params, "max_parallel", "stop_timeout", "wait_timeout", "wait_interval")
    if params["progress_interval"] < 0:
        raise OptionError("progress_interval must be 0 (silent) or more")
    return RunOptions(
        approved=tuple(params["approved_plan"]),
        run_id=run_id(params),
        waves=tuple(params["waves"]),
        max_parallel=params["max_parallel"],
        stop_on_failure=params["on_failure"] == "stop",
        rules=Rules(
            wait_interval_seconds=params["wait_interval"],
            wait_timeout_seconds=params["wait_timeout"],
            stop_servers=params["stop_servers"],
            stop_timeout_seconds=params["stop_timeout"],
            start_servers=params["start_servers"],
            resubmit_unknown=frozenset(params["resubmit_unknown"]),
        ),
        allow_encrypted=params["allow_encrypted"],
        take_over=run_id(params, "take_over"),
        journal_dir=journal_directory(params),
        progress_interval_seconds=params["progress_interval"],
    )
