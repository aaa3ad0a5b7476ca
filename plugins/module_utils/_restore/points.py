# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which restore point: the newest one at or before a time, clean, and for a consistency group at one common time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .model import UNKNOWN, Backup
from .preflight import ERROR, Problem
from .times import iso

LATEST = "latest"


@dataclass(frozen=True)
class PointWish:
    """A restore point that is wanted of one disk or server. Times are seconds since 1970."""

    target: str
    method: str
    source_id: str
    backup_id: str = LATEST
    group: str = ""
    point_in_time: float | None = None
    clean_only: bool = True
    alerts_since: float | None = None
    max_skew_seconds: float | None = None
    pinned: bool = False
    """An unfinished run has chosen it already."""

    @property
    def key(self) -> tuple[str, str]:
        return self.target, self.source_id


@dataclass
class Chosen:
    """The backup ids by (target, disk or server), and what could not be chosen."""

    ids: dict[tuple[str, str], str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def choose(wishes: Sequence[PointWish], backups: Sequence[Backup]) -> Chosen:
    chosen = Chosen()
    by_source: dict[str, list[Backup]] = {}
    for backup in backups:
        by_source.setdefault(backup.server_id if backup.service == "hss" else backup.volume_id, []).append(backup)
    by_id = {backup.id: backup for backup in backups}
    groups: dict[str, list[PointWish]] = {}
    for wish in wishes:
        if wish.group and wish.max_skew_seconds is not None:
            groups.setdefault(wish.group, []).append(wish)
        else:
            newest = _newest(candidates(wish, by_source), wish.point_in_time)
            chosen.ids[wish.key] = wish.backup_id if wish.backup_id != LATEST else (newest.id if newest else "")
    for group, members in sorted(groups.items()):
        _choose_common(group, members, by_source, by_id, chosen)
    return chosen


# Statuses of VBS (Querying Details About VBS Backups) and HSS (Querying the Backups of a Server).
_SERVING = frozenset({"available", "restoring", "waiting_restore", UNKNOWN})


def candidates(wish: PointWish, by_source: Mapping[str, Sequence[Backup]]) -> list[Backup]:
    """Points that may serve: with a known time, and clean where that is demanded and can be known.

    One that is being restored will serve again: an older one is no substitute for it, so preflight says to wait. Nor
    is one for a point of which the cloud does not tell the status.
    """
    usable = [b for b in by_source.get(wish.source_id, ()) if b.status in _SERVING and b.created_at is not None]
    if not wish.clean_only:
        return usable
    alarm = first_alarm(by_source.get(wish.source_id, ()), wish.alerts_since)
    return [b for b in usable if alarm is None or (b.created_at or 0) < alarm]


def first_alarm(backups: Iterable[Backup], since: float | None) -> float | None:
    """When the attack was first seen: HSS makes a tagged backup at that moment. Alerts before `since` are closed."""
    times = [b.created_at for b in backups if b.ransomware_alert and b.created_at is not None]
    return min((t for t in times if since is None or t >= since), default=None)


def _newest(backups: Iterable[Backup], until: float | None) -> Backup | None:
    fitting = [b for b in backups if until is None or (b.created_at or 0) <= until]
    return max(fitting, key=lambda b: (b.created_at or 0, b.id), default=None)


def _choose_common(
    group: str,
    members: Sequence[PointWish],
    by_source: Mapping[str, Sequence[Backup]],
    by_id: Mapping[str, Backup],
    chosen: Chosen,
) -> None:
    """The newest T for which every member has a point in [T - skew, T]."""
    skew = members[0].max_skew_seconds or 0.0
    if any(member.pinned for member in members):  # begun: no gate blocks finishing it
        for member in members:
            newest = _newest(candidates(member, by_source), member.point_in_time)
            chosen.ids[member.key] = member.backup_id if member.backup_id != LATEST else (newest.id if newest else "")
        return
    fixed = {m.key: by_id[m.backup_id] for m in members if m.backup_id != LATEST and m.backup_id in by_id}
    pools = {m.key: [fixed[m.key]] if m.key in fixed else candidates(m, by_source) for m in members}
    limit = min((m.point_in_time for m in members if m.point_in_time is not None), default=None)
    times = sorted({b.created_at for pool in pools.values() for b in pool if b.created_at is not None}, reverse=True)
    for common in times:
        if limit is not None and common > limit:
            continue
        picks = {
            key: _newest([b for b in pool if (b.created_at or 0) >= common - skew], common)
            for key, pool in pools.items()
        }
        if all(picks.values()):
            chosen.ids.update({key: pick.id for key, pick in picks.items() if pick})
            return
    chosen.problems.append(
        Problem(
            ERROR,
            "group_skew",
            "",
            f"consistency group {group} has no common point in time within {skew:.0f} s"
            + (f" at or before {iso(limit)}" if limit is not None else ""),
            "Raise max_skew, choose an earlier point_in_time, or name the backups.",
        )
    )
    for member in members:
        chosen.ids[member.key] = member.backup_id if member.backup_id != LATEST else ""
