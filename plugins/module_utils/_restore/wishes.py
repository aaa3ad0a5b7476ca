# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted: targets as the operator wrote them, and what is wrong with them whatever the cloud shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .points import LATEST
from .preflight import ERROR, WARNING, Problem


@dataclass(frozen=True)
class Wish:
    """A target as the operator wrote it. `volumes` are (volume id, backup id or "latest")."""

    name: str
    method: str
    wave: int = 1
    group: str = ""
    critical: bool = False
    server_id: str = ""
    volumes: tuple[tuple[str, str], ...] = ()
    backup_id: str = LATEST
    power_on: bool | None = None
    point_in_time: float | None = None
    max_backup_age_seconds: float | None = None


@dataclass(frozen=True)
class Terms:
    """What holds for the whole plan. Times are seconds since 1970, lengths seconds."""

    incident_at: float
    run_id: str = ""
    take_over: str = ""
    clean_only: bool = True
    alerts_since: float | None = None
    max_skew_seconds: float | None = None
    allow_encrypted: bool = False
    allow_other_target: bool = False
    free_disks_only: bool = False
    """For the module that restores one disk and touches no server."""
    group_members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """All members of each group, also those that this plan leaves out."""


def contradictions(wishes: Sequence[Wish], terms: Terms) -> list[Problem]:
    """Everything that is wrong, never only the first."""
    disks = [volume for wish in wishes for volume, _backup in wish.volumes]
    servers = [wish.server_id for wish in wishes if wish.method == "hss"]
    names = [wish.name for wish in wishes]
    found = [] if wishes else [_empty()]
    found += _repeated(names, "target_twice", "target", "Give every target a name of its own.")
    found += _repeated(disks, "disk_twice", "disk", "Name every disk once in the whole plan.")
    found += _repeated(servers, "server_twice", "server", "Name every server once in the whole plan.")
    found += [problem for wish in wishes for problem in _incomplete(wish)]
    found += _cut_groups(wishes, terms)
    found += _spread_groups(wishes)
    return found


def _empty() -> Problem:
    return Problem(
        ERROR,
        "plan_empty",
        "",
        "there is nothing to restore: no host of the play has a disaster_recovery_method",
        "Check the limit, the host pattern and the inventory variables.",
    )


def _cut_groups(wishes: Sequence[Wish], terms: Terms) -> Iterator[Problem]:
    present = {wish.name for wish in wishes}
    groups = {wish.group for wish in wishes}
    for group, members in sorted(terms.group_members.items()):
        missing = sorted(set(members) - present)
        if missing and group in groups:
            yield Problem(
                ERROR,
                "group_cut",
                "",
                f"consistency group {group} is cut: {', '.join(missing)} not in this plan",
                "Restore a group as a whole: widen the limit.",
            )


def _spread_groups(wishes: Sequence[Wish]) -> Iterator[Problem]:
    waves_of: dict[str, set[int]] = {}
    for wish in wishes:
        if wish.group:
            waves_of.setdefault(wish.group, set()).add(wish.wave)
    for group, waves in sorted(waves_of.items()):
        if len(waves) > 1:
            yield Problem(
                ERROR,
                "group_waves",
                "",
                f"consistency group {group} is spread over waves {', '.join(map(str, sorted(waves)))}",
                "Put all members of a group into one wave.",
            )


def _incomplete(wish: Wish) -> Iterator[Problem]:
    missing = {"vbs": "volumes", "hss": "server_id"}.get(wish.method)
    if missing and not getattr(wish, missing):
        yield Problem(
            ERROR,
            "target_incomplete",
            wish.name,
            f"method {wish.method} needs {missing}",
            f"Set {missing} for {wish.name}.",
        )
    if wish.method == "vbs" and wish.power_on is not None:
        yield Problem(
            WARNING,
            "power_on_ignored",
            wish.name,
            "power_on does not apply to method vbs: servers end as they were found",
            "Remove power_on from this target.",
        )


def _repeated(values: Iterable[str], code: str, what: str, remedy: str) -> Iterator[Problem]:
    for value, number in sorted(Counter(value for value in values if value).items()):
        if number > 1:
            yield Problem(ERROR, code, "", f"{what} {value} is in the plan {number} times", remedy)
