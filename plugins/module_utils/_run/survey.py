# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read everything that a plan needs to know, in bulk: calls grow with pages, not with disks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .._cloud import ecs, evs, hss, vbs
from .._cloud.api import Api
from .._cloud.errors import CloudError
from .._restore import points
from .._restore.commands import Holder
from .._restore.mark import (
    HSS_KEY,
    LONE_DISK_KEY,
    OVER,
    Mark,
    Phase,
    decode,
    mark_key,
    marks_at,
    says_nothing,
    standing,
)
from .._restore.model import Backup, Disk, Failure, Server
from .._restore.planning import Survey, hss_standing
from .._restore.preflight import ERROR, Problem
from .._restore.wishes import Terms, Wish
from .clock import Clock
from .journal import FileMarks, find_workers, read_files

NOT_FOR_US = (
    Failure.NONSENSE,
    Failure.DENIED,
    Failure.REFUSED,
    Failure.MISSING,
    Failure.FORBIDDEN_HERE,
    Failure.UNREACHABLE,
)
SINGLE_BACKUP_CALLS = 5
"""More named backups than this are looked up in the list of all of them."""


def survey(
    api: Api,
    wishes: Sequence[Wish],
    terms: Terms,
    *,
    clock: Clock,
    journal_dir: Path | None = None,
    known_hss: Mapping[str, Backup] | None = None,
    needs_servers: bool = True,
) -> Survey:
    """What the cloud and the journal show now. `known_hss` are details of HSS backups that need not be read again.

    Without `needs_servers`, marks that a disk may have left at servers are looked for only if ECS lets us.

    Raises CloudError where nothing can be known: credentials, network, an API that does not exist here; OptionError if
    the journal cannot be read.
    """
    problems: list[Problem] = []
    volume_ids = [volume for wish in wishes for volume, _backup in wish.volumes]
    disks = evs.disks(api, volume_ids) if volume_ids else {}
    files = read_files(journal_dir) if journal_dir else None
    try:
        servers = _servers(api, wishes, terms, disks, files)
    except CloudError as error:
        if needs_servers or error.info.kind not in NOT_FOR_US:
            raise
        servers = {}
    now = clock.now() + api.skew_seconds
    backups = {backup.id: backup for backup in _vbs_backups(api, wishes, disks, servers, files)}
    for wish in wishes:
        if wish.method == "hss" and wish.server_id:
            begun = _begun_backup(wish.server_id, servers.get(wish.server_id), files)
            backups.update(_hss_backups(api, wish, terms, begun, known_hss or {}, problems))
    disks |= _disks_of_hss_servers(api, wishes, servers, disks, backups)
    problems += _at_work(api, wishes, terms, disks, servers, files, now)
    if files is not None:
        problems += _open_in_the_cloud(wishes, disks, servers, files, backups)
    return Survey(
        at=now,
        project_id=api.project_id(),
        disks=disks,
        servers=servers,
        backups=backups,
        journal=files.marks if files else {},
        problems=tuple(problems),
    )


def _servers(
    api: Api, wishes: Sequence[Wish], terms: Terms, disks: Mapping[str, Disk], files: FileMarks | None
) -> dict[str, Server]:
    """The servers of the plan. A disk may have left its mark at any server, for it may have been detached or moved
    since, so all of them are read; a mark on the disk itself proves nothing, for it may have come out of a backup."""
    wanted = {wish.server_id for wish in wishes if wish.server_id}
    wanted |= {attachment.server_id for disk in disks.values() for attachment in disk.attachments}
    if files is not None:
        wanted |= {m.server_id for d in disks for m in files.marks.get(d, ()) if m.server_id}
    if disks:
        every = ecs.all_servers(api)
        wanted |= _bear_marks(every.values(), disks, terms.run_id)
        return {server_id: every[server_id] for server_id in sorted(wanted) if server_id in every}
    return ecs.servers(api, sorted(wanted)) if wanted else {}


def _bear_marks(servers: Iterable[Server], disks: Mapping[str, Disk], run_id: str) -> set[str]:
    """The servers with marks of these disks that still count. What another run left at a server before the disk was
    restored and put back at another one is over: that run was taken over there, where its mark could not be replaced.
    """
    found = [(volume_id, mark) for s in servers for volume_id, mark in marks_at(s) if volume_id in disks]
    over: dict[str, float] = {}
    for volume_id, mark in found:
        if mark.phase is Phase.FINISHED:
            over[volume_id] = max(mark.at, over.get(volume_id, 0.0))
    counting = {m.server_id for volume_id, m in found if m.run_id == run_id or m.at >= over.get(volume_id, 0.0)}
    keys = {mark_key(volume_id) for volume_id in disks}
    return counting | {
        s.id for s in servers if any(says_nothing(key, s.metadata[key]) for key in keys & s.metadata.keys())
    }


# -- restore points ----------------------------------------------------------------------------------------------------


def _vbs_backups(
    api: Api,
    wishes: Sequence[Wish],
    disks: Mapping[str, Disk],
    servers: Mapping[str, Server],
    files: FileMarks | None,
) -> Iterable[Backup]:
    asked = [(volume, backup) for wish in wishes for volume, backup in wish.volumes if volume in disks]
    newest_of = [v for v, backup in asked if backup == points.LATEST or _own_open_mark(disks[v])]
    named = {backup for _volume, backup in asked if backup != points.LATEST}
    named |= {mark.backup_id for mark in _marks_of(disks, servers, files)}
    found = {backup.id: backup for backup in vbs.backups(api, volume_ids=newest_of)} if newest_of else {}
    missing = sorted(named - found.keys())
    if len(missing) > SINGLE_BACKUP_CALLS:
        found |= {backup.id: backup for backup in vbs.backups(api)}
        missing = sorted(named - found.keys())
    for backup_id in missing:
        try:
            found[backup_id] = vbs.backup(api, backup_id)
        except CloudError as error:
            if error.info.kind not in (Failure.MISSING, Failure.FORBIDDEN_HERE):
                raise
    return found.values()


def _own_open_mark(disk: Disk) -> bool:
    """A newer backup of this disk may have been made under its mark, and brought it back."""
    mark = decode(disk.metadata.get(LONE_DISK_KEY))
    return mark is not None and mark.open


def _marks_of(disks: Mapping[str, Disk], servers: Mapping[str, Server], files: FileMarks | None) -> Iterable[Mark]:
    for server in servers.values():
        yield from (mark for volume_id, mark in marks_at(server) if volume_id in disks)
    for volume_id, disk in disks.items():
        own = decode(disk.metadata.get(LONE_DISK_KEY))
        yield from [own] if own else []
        yield from files.marks.get(volume_id, ()) if files else ()


def _hss_backups(
    api: Api,
    wish: Wish,
    terms: Terms,
    begun: str,
    known: Mapping[str, Backup],
    problems: list[Problem],
) -> dict[str, Backup]:
    """The points of one server, with details of those that may be chosen: HSS gives details one at a time only."""
    if wish.backup_id in known:
        return {wish.backup_id: known[wish.backup_id]}
    found: dict[str, Backup] = {}
    try:
        if wish.backup_id == points.LATEST:
            found = {backup.id: backup for backup in hss.backups(api, wish.server_id)}
        for backup_id in _worth_a_detail(wish, terms, begun, found):
            listed = found.pop(backup_id, None)  # without its details it is no point to restore from
            detail = hss.backup(api, backup_id)
            found[backup_id] = (
                replace(
                    detail, ransomware_alert=listed.ransomware_alert, created_at=listed.created_at or detail.created_at
                )
                if listed
                else detail
            )
    except CloudError as error:
        if error.info.kind in (Failure.DENIED, Failure.UNREACHABLE):
            raise
        if error.info.kind not in (Failure.MISSING, Failure.FORBIDDEN_HERE):
            problems.append(Problem(ERROR, "unreadable", wish.name, str(error.info), error.info.remedy))
    return found


def _begun_backup(server_id: str, server: Server | None, files: FileMarks | None) -> str:
    """The backup that an unfinished run restores this server from."""
    marks = [decode(server.metadata.get(HSS_KEY))] if server else []
    marks += files.marks.get(f"{HSS_KEY}:{server_id}", ()) if files else ()
    return next((mark.backup_id for mark in marks if mark and mark.open), "")


def _worth_a_detail(wish: Wish, terms: Terms, begun: str, found: Mapping[str, Backup]) -> list[str]:
    wanted = points.PointWish(
        target=wish.name,
        method=wish.method,
        source_id=wish.server_id,
        backup_id=wish.backup_id,
        group=wish.group,
        point_in_time=wish.point_in_time,
        clean_only=terms.clean_only,
        alerts_since=terms.alerts_since,
        max_skew_seconds=None,
    )
    chosen = points.choose([wanted], list(found.values())).ids.get(wanted.key, "")
    return list(dict.fromkeys(backup_id for backup_id in (begun, chosen) if backup_id))


def _disks_of_hss_servers(
    api: Api,
    wishes: Sequence[Wish],
    servers: Mapping[str, Server],
    known: Mapping[str, Disk],
    backups: Mapping[str, Backup],
) -> dict[str, Disk]:
    """Those that the servers list; of a server that lists none, those that its backups were made of."""
    of_hss = {wish.server_id for wish in wishes if wish.method == "hss"} & servers.keys()
    wanted = {volume.volume_id for server_id in of_hss for volume in servers[server_id].volumes}
    silent = {server_id for server_id in of_hss if not servers[server_id].volumes}
    wanted |= {child.resource_id for b in backups.values() if b.server_id in silent for child in b.children}
    missing = sorted(wanted - known.keys() - {""})
    return evs.disks(api, missing) if missing else {}


# -- other runs --------------------------------------------------------------------------------------------------------


def _at_work(
    api: Api,
    wishes: Sequence[Wish],
    terms: Terms,
    disks: Mapping[str, Disk],
    servers: Mapping[str, Server],
    files: FileMarks | None,
    now: float,
) -> list[Problem]:
    """One problem for each other process that may be working on the same servers or disks."""
    holders: dict[Holder, Mapping[str, str]] = {Holder("server", s.id): s.metadata for s in servers.values()}
    wished = {volume for wish in wishes for volume, _backup in wish.volumes}
    holders |= {Holder("disk", d.id): d.metadata for d in disks.values() if d.id in wished and not d.attachments}
    found = {owner.run_id: owner.host for _holder, owner in find_workers(api, holders, now)}
    found.pop(terms.take_over, None)
    problems = [_in_progress(run, f"host {host}") for run, host in sorted(found.items())]
    if files is not None:
        about = [*disks, *(f"{HSS_KEY}:{server_id}" for server_id in servers)]
        mine = {mark.run_id for key in about for mark in files.marks.get(key, ()) if mark.open}
        problems += [_in_progress(run, "another process of this controller") for run in sorted(mine & files.at_work)]
    return problems


def _open_in_the_cloud(
    wishes: Sequence[Wish],
    disks: Mapping[str, Disk],
    servers: Mapping[str, Server],
    files: FileMarks,
    backups: Mapping[str, Backup],
) -> list[Problem]:
    """What a run with `journal: cloud` left unfinished. With files it could be finished, but its marks in the cloud
    would stay open, and the next run would believe them."""
    at_servers = (decode(servers[w.server_id].metadata.get(HSS_KEY)) for w in wishes if w.server_id in servers)
    found = {mark.run_id for mark in at_servers if mark is not None and hss_standing(mark) not in OVER}
    for volume_id, asked in (pair for wish in wishes for pair in wish.volumes if pair[0] in disks):
        disk = disks[volume_id]
        marks = [mark for s in servers.values() for about, mark in marks_at(s) if about == volume_id]
        # the disk's own mark may have come out of a backup: then it is older than that, or than what is known since
        since = [mark.at for mark in (*marks, *files.marks.get(volume_id, ()))]
        since += [backups[asked].created_at or 0.0] if asked in backups else []
        own = decode(disk.metadata.get(LONE_DISK_KEY))
        marks += [own] if own is not None and own.at >= max(since, default=0.0) else []
        found |= {mark.run_id for mark in marks if standing(mark, disk) not in OVER}
    return [_unfinished_in_the_cloud(run_id) for run_id in sorted(found)]


def _unfinished_in_the_cloud(run_id: str) -> Problem:
    return Problem(
        ERROR,
        "unfinished_in_cloud",
        "",
        f"run {run_id} is unfinished on servers or disks of this plan, as its marks in the cloud say, and the journal"
        " of this plan is in files",
        f"Finish it with journal: cloud and run_id {run_id}, then plan again.",
    )


def _in_progress(run_id: str, where: str) -> Problem:
    return Problem(
        ERROR,
        "run_in_progress",
        "",
        f"run {run_id} is working on servers or disks of this plan now, from {where}",
        f"Let it finish. If its process is certainly dead, wait three minutes, or set take_over to {run_id}.",
    )
