# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets and what the cloud shows, resolved into a plan. Marks come first: what was begun is finished as begun."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from . import points
from .mark import (
    HSS_KEY,
    LONE_DISK_KEY,
    OVER,
    Mark,
    Phase,
    Place,
    Standing,
    decode,
    mark_key,
    marks_at,
    place,
    says_nothing,
    standing,
)
from .model import Backup, Disk, Server, ServerVolume
from .preflight import ERROR, WARNING, Case, Limits, Problem, examine
from .times import iso
from .wishes import Terms, Wish, contradictions

ID_LENGTH = 12


@dataclass(frozen=True)
class Survey:
    """What the cloud showed, at one moment."""

    at: float
    project_id: str
    disks: Mapping[str, Disk] = field(default_factory=dict)
    servers: Mapping[str, Server] = field(default_factory=dict)
    backups: Mapping[str, Backup] = field(default_factory=dict)
    """VBS and HSS backups by id."""
    journal: Mapping[str, tuple[Mark, ...]] = field(default_factory=dict)
    """Marks of a file journal, by key; a cloud journal is read from the metadata."""
    problems: tuple[Problem, ...] = ()
    """What could not be read."""


@dataclass(frozen=True)
class PlannedRestore:
    """One disk, or with HSS one server, and what it comes back from."""

    case: Case
    state: str
    device: str = ""
    mappings: tuple[tuple[str | None, str | None], ...] = ()

    @property
    def is_system_disk(self) -> bool:
        """By the device, as the boot index is known to be wrong (ECS lists 0 for several disks)."""
        server = self.case.server
        return bool(server and server.root_device and self.device == server.root_device)

    def as_dict(self) -> dict[str, Any]:
        case, backup, mark = self.case, self.case.backup, self.case.mark
        sizes = {child.id: child.size_gb for child in backup.children} if backup else {}
        return {
            "volume_id": case.volume_id or None,
            "device": self.device or None,
            "server_id": case.server_id or None,
            "server_name": case.server.name if case.server else None,
            "backup_id": case.backup_id or None,
            "backup_name": backup.name if backup else None,
            "backup_source": (backup.server_id or backup.volume_id or None) if backup else None,
            "backup_created_at": iso(backup.created_at) if backup else None,
            "backup_age_seconds": None if case.age_seconds is None else int(case.age_seconds),
            "backup_size_gb": backup.size_gb if backup else None,
            "size_gb": case.disk.size_gb if case.disk else sum(disk.size_gb for disk in case.disks),
            "clean": _clean(backup),
            "mappings": [{"backup_id": b, "volume_id": v, "size_gb": sizes.get(b or "")} for b, v in self.mappings],
            "unmapped": [{"backup_id": c.id, "volume_id": c.resource_id, "size_gb": c.size_gb} for c in case.unmapped],
            "state": self.state,
            "run_id": mark.run_id if mark and self.state != "to_restore" else None,
            "since": iso(mark.at) if mark and self.state != "to_restore" else None,
        }


def _clean(backup: Backup | None) -> str:
    if backup is None or backup.ransomware_alert is None:
        return "unknown"
    return "no" if backup.ransomware_alert else "yes"


@dataclass(frozen=True)
class PlannedTarget:
    wish: Wish
    id: str
    power_on: bool
    restores: tuple[PlannedRestore, ...]

    def as_dict(self) -> dict[str, Any]:
        wish = self.wish
        return {
            "name": wish.name,
            "id": self.id,
            "method": wish.method,
            "wave": wish.wave,
            "group": wish.group or None,
            "critical": wish.critical,
            "power_on": wish.power_on,
            "point_in_time": iso(wish.point_in_time),
            "max_backup_age": wish.max_backup_age_seconds,
            "restores": [restore.as_dict() for restore in self.restores],
        }


@dataclass(frozen=True)
class Plan:
    id: str
    run_id: str
    terms: Terms
    targets: tuple[PlannedTarget, ...]
    problems: tuple[Problem, ...]

    @property
    def ready(self) -> bool:
        return not any(problem.severity == ERROR for problem in self.problems)

    @property
    def restores(self) -> Iterator[PlannedRestore]:
        return (restore for target in self.targets for restore in target.restores)

    def as_dict(self) -> dict[str, Any]:
        waves = sorted({target.wish.wave for target in self.targets})
        states = Counter(restore.state for restore in self.restores)
        return {
            "id": self.id,
            "run_id": self.run_id,
            "asked_run_id": self.terms.run_id or None,
            "ready": self.ready,
            "incident_at": iso(self.terms.incident_at),
            "clean_only": self.terms.clean_only,
            "alerts_since": iso(self.terms.alerts_since),
            "max_skew": self.terms.max_skew_seconds,
            "waves": [
                {"wave": wave, "targets": [t.as_dict() for t in self.targets if t.wish.wave == wave]} for wave in waves
            ],
            "totals": {
                "waves": len(waves),
                "targets": len(self.targets),
                "restores": sum(states.values()),
                "size_gb": sum(restore.as_dict()["size_gb"] or 0 for restore in self.restores),
                "to_restore": states["to_restore"],
                "begun": states["begun"],
                "already_restored": states["already_restored"],
            },
        }


def make_plan(wishes: Sequence[Wish], terms: Terms, survey: Survey) -> Plan:
    """Resolve every target and find everything that stands against it."""
    problems = [*contradictions(wishes, terms), *survey.problems]
    marks = _Marks(survey)
    others = marks.open_runs(wishes)
    run_id, run_problems = _which_run(others, terms)
    problems += [*run_problems, *marks.doubtful(wishes, terms), *_unreadable(wishes, survey)]
    if not terms.run_id and not terms.take_over and run_id and marks.all_done_long_ago(run_id, wishes):
        problems.append(_done_long_ago(run_id))
    pinned = {source: backup for w in wishes for source, backup in marks.pinned(w, run_id, terms).items()}
    chosen = points.choose([p for w in wishes for p in _point_wishes(w, terms, pinned)], list(survey.backups.values()))
    targets = []
    for wish in wishes:
        restores = tuple(_resolve(wish, terms, survey, marks, chosen, run_id))
        targets.append(_target(wish, restores))
        for restore in restores:
            problems += examine(restore.case)
    problems += [*chosen.problems, *shared_servers(targets), *_done_before(targets), *_restored_by_others(targets)]
    problems += [*marks.left_out(wishes), *_other_backups(targets, pinned)]
    plan_id = _digest(sorted(target.id for target in targets))
    final_run = run_id or plan_id
    return Plan(plan_id, final_run, terms, tuple(targets), tuple(_once(problems)))


# -- marks and runs ----------------------------------------------------------------------------------------------------


FORGOTTEN_SECONDS = 86400.0
"""Whoever means to go on with a run that died does so within a day."""


class _Marks:
    """All marks of ours that the survey shows, by what they are about."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._newest_backup: dict[str, float] = {}
        """When the newest one was made, by disk or server."""
        for backup in survey.backups.values():
            source = backup.server_id or backup.volume_id
            self._newest_backup[source] = max(self._newest_backup.get(source, 0.0), backup.created_at or 0.0)
        self._by_key: dict[str, list[Mark]] = {key: list(marks) for key, marks in survey.journal.items()}
        for server in survey.servers.values():
            for about, mark in marks_at(server):
                key = f"{HSS_KEY}:{server.id}" if about == HSS_KEY else about
                self._by_key.setdefault(key, []).append(mark)

    def of_disk(self, disk: Disk, backup: Backup | None = None) -> Mark | None:
        """The mark that counts: one that leaves something to do before one that does not, the newer before the older.

        A disk's own mark that came out of a backup with its metadata says nothing.
        """
        marks = list(self._by_key.get(disk.id, []))
        own = decode(disk.metadata.get(LONE_DISK_KEY))
        if own is not None and not self._came_out_of_a_backup(own, marks, backup):
            marks.append(own)
        # an open mark may be over nevertheless: the disk has left for another server since, and may be marked there
        return max(marks, key=lambda mark: (standing(mark, disk) not in OVER, mark.at), default=None)

    @staticmethod
    def _came_out_of_a_backup(own: Mark, at_servers: Sequence[Mark], backup: Backup | None) -> bool:
        """It did if it is older than the backup that was restored, or than what was noted elsewhere about the disk."""
        since = [mark.at for mark in at_servers] + ([backup.created_at] if backup and backup.created_at else [])
        return any(own.at < at for at in since)

    def doubtful(self, wishes: Iterable[Wish], terms: Terms) -> Iterator[Problem]:
        """A disk's own open mark that is older than its newest backup: left by a run that died, or out of that backup.

        Which of the two cannot be told, and the mark would decide what is restored.
        """
        for wish in wishes:
            for volume_id, asked in wish.volumes:
                disk = self._survey.disks.get(volume_id)
                mark = self.of_disk(disk) if disk else None
                if disk is None or mark is None or asked != points.LATEST or not self._in_doubt(mark, disk):
                    continue
                if standing(mark, disk) not in OVER and mark.run_id not in (terms.run_id, terms.take_over):
                    yield _doubt(wish, volume_id, mark)

    def _in_doubt(self, mark: Mark, disk: Disk) -> bool:
        """An open mark on the disk itself, and a backup was made since, which may hold it and have been restored."""
        own = mark.open and mark == decode(disk.metadata.get(LONE_DISK_KEY))
        return own and mark.at < self._newest_backup.get(disk.id, 0.0)

    def standing(self, mark: Mark, disk: Disk) -> Standing:
        """What is left to do. A mark in doubt proves no restore: it is done once more, while the disk is detached."""
        found = standing(mark, disk)
        again = found is Standing.WATCH and place(mark, disk) is Place.FREE and self._in_doubt(mark, disk)
        return Standing.SUBMIT if again else found

    def of_server(self, server_id: str) -> Mark | None:
        return max(self._by_key.get(f"{HSS_KEY}:{server_id}", []), key=lambda mark: mark.at, default=None)

    def _all(self, wishes: Iterable[Wish]) -> Iterator[tuple[Mark, Standing]]:
        for wish in wishes:
            if wish.method == "hss" and (mark := self.of_server(wish.server_id)):
                yield mark, hss_standing(mark)
            for disk, mark in self._of_volumes(wish):
                yield mark, standing(mark, disk)

    def _of_volumes(self, wish: Wish) -> Iterator[tuple[Disk, Mark]]:
        """A mark that is older than the backup asked for came out of a backup; of `latest` that cannot be told yet."""
        for volume_id, asked in wish.volumes:
            disk = self._survey.disks.get(volume_id)
            mark = self.of_disk(disk, self._survey.backups.get(asked)) if disk else None
            if disk is not None and mark is not None:
                yield disk, mark

    def open_runs(self, wishes: Iterable[Wish]) -> list[str]:
        return sorted({mark.run_id for mark, stands in self._all(wishes) if mark.open and stands not in OVER})

    def all_done_long_ago(self, run_id: str, wishes: Iterable[Wish]) -> bool:
        """Whether everything that this run left open is restored and in use again, with newer backups made since, or
        was never taken apart, with backups made more than a day later.

        Then it may be that its last marks are missing, or that nobody ever went on, and that this is another incident.
        """
        left = []
        for wish in wishes:
            if wish.method == "hss" and (mark := self.of_server(wish.server_id)):
                left.append((mark, hss_standing(mark), self.in_use(mark), wish.server_id))
            left += [(m, standing(m, disk), self.in_use(m, disk), disk.id) for disk, m in self._of_volumes(wish)]
        mine = [item for item in left if item[0].run_id == run_id and item[0].open and item[1] not in OVER]
        return all(
            (stands is Standing.ATTACH and in_use and self._newest_backup.get(source, 0.0) > mark.at)
            or (stands is Standing.DETACH and self._newest_backup.get(source, 0.0) > mark.at + FORGOTTEN_SECONDS)
            for mark, stands, in_use, source in mine
        )

    def in_use(self, mark: Mark, disk: Disk | None = None) -> bool:
        """Whether a restored server, or disk with its server, is as it was found: only the last mark may be missing."""
        server = self._survey.servers.get(mark.server_id)
        back = disk is None or bool(disk.attachments)
        return back and server is not None and (server.running or mark.was_running is False)

    def pinned(self, wish: Wish, run_id: str, terms: Terms) -> dict[str, str]:
        """Backups that an unfinished run has chosen, by disk or server: `latest` may have moved on since."""
        found = {}
        if wish.method == "hss":
            mark = self.of_server(wish.server_id)
            if mark and _binds(mark, hss_standing(mark), run_id, terms, in_use=self.in_use(mark)):
                found[wish.server_id] = mark.backup_id
        asked = dict(wish.volumes)
        for disk, mark in self._of_volumes(wish):
            stands = standing(mark, disk)
            if stands is Standing.DETACH and (asked[disk.id] != points.LATEST or _anew(mark, terms)):
                continue  # nothing was done to it yet, so it is free to be restored as is wanted now
            if _binds(mark, stands, run_id, terms, in_use=self.in_use(mark, disk)):
                found[disk.id] = mark.backup_id
        return found

    def left_out(self, wishes: Sequence[Wish]) -> Iterator[Problem]:
        """Disks that a run has taken from a server of this plan and that are not in it: it would start without them."""
        planned = {volume_id for wish in wishes for volume_id, _backup in wish.volumes}
        servers = {wish.server_id for wish in wishes}
        servers |= {place.server_id for disk in self._survey.disks.values() for place in disk.attachments}
        servers |= {mark.server_id for wish in wishes for _disk, mark in self._of_volumes(wish)}
        for server in (self._survey.servers[name] for name in sorted(servers & self._survey.servers.keys())):
            marks = [(about, mark) for about, mark in marks_at(server) if mark.open and about != HSS_KEY]
            ran = server.status == "ACTIVE" or any(mark.was_running for about, mark in marks if about in planned)
            for volume_id, mark in marks:
                if ran and volume_id not in planned and server.volume(volume_id) is None:
                    yield _left_out(volume_id, mark)


def _unreadable(wishes: Iterable[Wish], survey: Survey) -> Iterator[Problem]:
    """Marks that are there and say nothing: cut or changed by other tools, or of a later version of this collection."""
    at_servers = [
        (s, key) for s in survey.servers.values() for key, text in s.metadata.items() if says_nothing(key, text)
    ]
    for wish in wishes:
        keys = {mark_key(volume_id) for volume_id, _backup in wish.volumes}
        for server, key in at_servers:
            if key in keys or (key == HSS_KEY and server.id == wish.server_id):
                yield _cannot_be_read(wish, f"server {server.id}", key)
        for volume_id, _backup in wish.volumes:
            disk = survey.disks.get(volume_id)
            if disk is not None and says_nothing(LONE_DISK_KEY, disk.metadata.get(LONE_DISK_KEY, "")):
                yield _cannot_be_read(wish, f"disk {volume_id}", LONE_DISK_KEY)


def _cannot_be_read(wish: Wish, holder: str, key: str) -> Problem:
    return Problem(
        ERROR,
        "mark_unreadable",
        wish.name,
        f"the mark {key} in the metadata of {holder} cannot be read, so what was done cannot be told",
        "Find out what changed it. When it is certain that no recovery is unfinished there, delete that entry.",
    )


def _doubt(wish: Wish, volume_id: str, own: Mark) -> Problem:
    return Problem(
        ERROR,
        "mark_of_backup",
        wish.name,
        f"disk {volume_id} bears the mark of run {own.run_id}, which is older than the newest backup: the run died, or"
        " its mark came back out of a backup",
        f"If that run is unfinished, finish it with run_id {own.run_id}. If not, give the disk's backup by its id.",
        volume_id,
    )


HSS_STANDINGS: Mapping[Phase, Standing] = {
    Phase.BEGUN: Standing.FRESH,  # refused: nothing was accepted
    Phase.SUBMITTING: Standing.WATCH,
    Phase.ACCEPTED: Standing.WATCH,
    Phase.RESTORED: Standing.ATTACH,
    Phase.FINISHED: Standing.FINISHED,
    Phase.FAILED: Standing.FRESH,
    Phase.RETURNED: Standing.FRESH,
}


def hss_standing(mark: Mark | None) -> Standing:
    return Standing.FRESH if mark is None else HSS_STANDINGS[mark.phase]


def _binds(mark: Mark, stands: Standing, run_id: str, terms: Terms, *, in_use: bool) -> bool:
    """Whether this mark says which backup it has to be."""
    if stands is Standing.FRESH or mark.phase is Phase.FAILED or _given_up(mark, stands, terms, in_use=in_use):
        return False
    return mark.run_id == run_id or stands is not Standing.FINISHED


def _anew(mark: Mark, terms: Terms) -> bool:
    """Whether a new run takes over the one of this mark."""
    return terms.take_over == mark.run_id and terms.run_id not in ("", mark.run_id)


def _given_up(mark: Mark, stands: Standing, terms: Terms, *, in_use: bool) -> bool:
    """A new run that takes over an old one starts anew where that one has, or may have, restored what is in use now."""
    used = stands is Standing.USED or (stands is Standing.ATTACH and in_use)
    return used and _anew(mark, terms)


def _done_long_ago(run_id: str) -> Problem:
    return Problem(
        ERROR,
        "unfinished_run",
        "",
        f"run {run_id} is unfinished, but all that it left open is in use, and newer restore points were made since:"
        " this may be another incident",
        f"To finish that run with the restore points that it had chosen, set run_id to {run_id}; what is restored is"
        f" not restored again. For another incident, set a new run_id, and take_over to {run_id}.",
    )


def _which_run(open_runs: Sequence[str], terms: Terms) -> tuple[str, list[Problem]]:
    """The run that goes on: the one asked for, else the one that was left unfinished. Empty: a new one."""
    strangers = [run for run in open_runs if run not in (terms.run_id, terms.take_over)]
    if terms.run_id:
        run_id = terms.run_id
    elif terms.take_over:
        run_id = terms.take_over
    else:
        run_id, strangers = (open_runs[0], list(open_runs[1:])) if open_runs else ("", [])
    return run_id, [
        Problem(
            ERROR,
            "unfinished_run",
            "",
            f"run {stranger} is unfinished on servers or disks of this plan",
            f"Finish it with run_id {stranger}, or set take_over to {stranger} if it is over.",
        )
        for stranger in strangers
    ]


# -- resolving ---------------------------------------------------------------------------------------------------------


def _point_wishes(wish: Wish, terms: Terms, pinned: Mapping[str, str]) -> Iterator[points.PointWish]:
    asked = {wish.server_id: wish.backup_id} if wish.method == "hss" else dict(wish.volumes)
    for source, backup_id in asked.items():
        yield points.PointWish(
            target=wish.name,
            method=wish.method,
            source_id=source,
            backup_id=pinned.get(source, backup_id),
            group=wish.group,
            point_in_time=wish.point_in_time,
            clean_only=terms.clean_only and wish.method == "hss",
            alerts_since=terms.alerts_since,
            max_skew_seconds=terms.max_skew_seconds,
            pinned=source in pinned,
        )


def _resolve(
    wish: Wish, terms: Terms, survey: Survey, marks: _Marks, chosen: points.Chosen, run_id: str
) -> Iterator[PlannedRestore]:
    limits = Limits(
        terms.incident_at,
        wish.max_backup_age_seconds,
        allow_encrypted=terms.allow_encrypted,
        allow_other_target=terms.allow_other_target,
        must_be_free=terms.free_disks_only,
    )
    base = Case(wish.name, wish.method, survey.project_id, limits)
    if wish.method == "hss":
        yield _server_restore(wish, base, survey, marks, chosen, run_id, terms)
        return
    for volume_id, _asked in wish.volumes:
        yield _disk_restore(wish, volume_id, base, survey, marks, chosen, run_id, terms)


def _disk_restore(
    wish: Wish,
    volume_id: str,
    base: Case,
    survey: Survey,
    marks: _Marks,
    chosen: points.Chosen,
    run_id: str,
    terms: Terms,
) -> PlannedRestore:
    disk = survey.disks.get(volume_id)
    backup_id = chosen.ids.get((wish.name, volume_id), "")
    backup = survey.backups.get(backup_id)
    mark = marks.of_disk(disk, backup) if disk else None
    stands = marks.standing(mark, disk) if mark and disk else Standing.FRESH
    if mark and disk and _given_up(mark, stands, terms, in_use=marks.in_use(mark, disk)):
        stands = Standing.FRESH
    stands = _as_of_run(mark, stands, run_id, backup_id, terms)
    here = disk.attachments[0] if disk and disk.attachments else None
    begun = mark if mark and stands not in OVER else None
    server_id = (begun.server_id if begun else "") or (here.server_id if here else "")
    case = replace(
        base,
        volume_id=volume_id,
        disk=disk,
        backup_id=backup_id,
        backup=backup,
        server_id=server_id,
        server=survey.servers.get(server_id),
        standing=stands,
        mark=mark,
    )
    return PlannedRestore(case, _STATES.get(stands, "begun"), device=_device(begun, disk, case.server))


def _device(begun: Mark | None, disk: Disk | None, server: Server | None) -> str:
    if begun and begun.device:
        return begun.device
    listed = server.volume(disk.id) if server and disk else None
    if listed and listed.device:
        return listed.device
    return disk.attachments[0].device if disk and disk.attachments else ""


def _server_restore(
    wish: Wish, base: Case, survey: Survey, marks: _Marks, chosen: points.Chosen, run_id: str, terms: Terms
) -> PlannedRestore:
    backup_id = chosen.ids.get((wish.name, wish.server_id), "")
    backup = survey.backups.get(backup_id)
    server = survey.servers.get(wish.server_id)
    server = with_attachments(server, survey.disks) if server else None
    mark = marks.of_server(wish.server_id)
    if mark is not None and _given_up(mark, hss_standing(mark), terms, in_use=marks.in_use(mark)):
        mark = None
    stands = _as_of_run(mark, hss_standing(mark), run_id, backup_id, terms)
    mappings, unmapped = map_children(backup, server)
    case = replace(
        base,
        backup_id=backup_id,
        backup=backup,
        server_id=wish.server_id,
        server=server,
        standing=stands,
        mark=mark,
        disks=tuple(survey.disks[v] for _b, v in mappings if v and v in survey.disks),
        unmapped=unmapped,
    )
    return PlannedRestore(case, _STATES.get(stands, "begun"), mappings=mappings)


def with_attachments(server: Server, disks: Mapping[str, Disk]) -> Server:
    """A server that lists no disks, with those of `disks` that say that they are attached to it."""
    if server.volumes:
        return server
    here = ((disk.id, disk.attached_to(server.id)) for disk in disks.values())
    return replace(server, volumes=tuple(ServerVolume(volume_id, a.device) for volume_id, a in here if a))


def map_children(
    backup: Backup | None, server: Server | None
) -> tuple[tuple[tuple[str | None, str | None], ...], tuple[Any, ...]]:
    """Pair each child backup with its own disk; return the pairs and the children for which that is not certain.

    Certain means: the child's resource is a disk that the server has now. (The HSS documentation calls the child's
    resource the host; in CBR, which makes these backups, it is the disk.)
    """
    if backup is None:
        return (), ()
    attached = {volume.volume_id for volume in server.volumes} if server else set()
    certain = [child for child in backup.children if child.resource_id in attached]
    repeated = Counter(child.resource_id for child in certain)
    unmapped = tuple(c for c in backup.children if c.resource_id not in attached or repeated[c.resource_id] > 1)
    return tuple((c.id, c.resource_id) for c in certain), unmapped


_STATES = {Standing.FRESH: "to_restore", Standing.FINISHED: "already_restored"}


def _as_of_run(mark: Mark | None, stands: Standing, run_id: str, backup_id: str, terms: Terms) -> Standing:
    """A finished restore counts for its own run; where no run id was asked for, also for the same backup."""
    if mark is None or stands is not Standing.FINISHED:
        return stands
    done = mark.run_id == run_id or (not terms.run_id and mark.backup_id == backup_id)
    return stands if done else Standing.FRESH


def _left_out(volume_id: str, mark: Mark) -> Problem:
    given_up = mark.phase is Phase.FAILED  # to bring its server up without it may be what is wanted
    return Problem(
        WARNING if given_up else ERROR,
        "disk_left_out",
        "",
        f"run {mark.run_id} has taken disk {volume_id} from server {mark.server_id} ({mark.phase.value}), and it is not"
        " in this plan: the server would be given back without it",
        "Add the disk to its target, let the run that has it finish first, or attach it yourself. If it is gone, or"
        f" belongs elsewhere now, delete the entry {mark_key(volume_id)} from the metadata of the server.",
        volume_id,
    )


def _other_backups(targets: Sequence[PlannedTarget], pinned: Mapping[str, str]) -> Iterator[Problem]:
    """What was asked for and is not done, as the disk is in the middle of a restore from another backup."""
    for target in targets:
        asked = {target.wish.server_id: target.wish.backup_id, **dict(target.wish.volumes)}
        for source, wanted in asked.items():
            if wanted != points.LATEST and pinned.get(source, wanted) != wanted:
                yield Problem(
                    WARNING,
                    "backup_of_run",
                    target.wish.name,
                    f"the unfinished run has begun to restore {source} from backup {pinned[source]}, which is finished"
                    f" instead of backup {wanted}",
                    "Restore the other backup afterwards, with a new run_id.",
                    source,
                )


def _by_run(marks: Sequence[Mark]) -> Iterator[tuple[str, int, str | None]]:
    """How many marks each run has, and when it wrote the last one."""
    for run_id, number in sorted(Counter(mark.run_id for mark in marks).items()):
        yield run_id, number, iso(max(mark.at for mark in marks if mark.run_id == run_id))


def _restored_by_others(targets: Sequence[PlannedTarget]) -> Iterator[Problem]:
    """An older run that is started again does the same as a new one: what another has restored since, it overwrites."""
    cases = [restore.case for target in targets for restore in target.restores]
    marks = [c.mark for c in cases if c.fresh and c.mark is not None and c.mark.phase is Phase.FINISHED]
    for run_id, number, last in _by_run(marks):
        yield Problem(
            WARNING,
            "restored_before",
            "",
            f"{number} restore(s) were done by run {run_id}, last at {last}, and are done again: what was written since"
            " is lost",
            f"If that is not meant, plan with run_id {run_id}.",
        )


def _target(wish: Wish, restores: tuple[PlannedRestore, ...]) -> PlannedTarget:
    wanted = {
        "method": wish.method,
        "server_id": wish.server_id if wish.method == "hss" else None,
        "restores": sorted([r.case.volume_id, r.case.backup_id, sorted(map(str, r.mappings))] for r in restores),
        "power_on": wish.power_on,
        "wave": wish.wave,
        "group": wish.group,
    }
    return PlannedTarget(wish, _digest(wanted), wish.power_on is not False, restores)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def _done_before(targets: Sequence[PlannedTarget]) -> Iterator[Problem]:
    """Never skipped in silence: how many, by which run, when, and how to restore them again."""
    marks = [r.case.mark for t in targets for r in t.restores if r.case.standing is Standing.FINISHED and r.case.mark]
    for run_id, number, last in _by_run(marks):
        yield Problem(
            WARNING,
            "already_restored",
            "",
            f"{number} restore(s) are already restored by run {run_id}, last at {last}, and are left alone",
            "To restore them again, set a new run_id (in the role: disaster_recovery_run_id).",
        )


def shared_servers(targets: Sequence[PlannedTarget]) -> Iterator[Problem]:
    """A server may be in one target only, and a disk not be restored beside its whole server."""
    seen: dict[str, set[str]] = {}
    for target in targets:
        for restore in target.restores:
            if restore.case.server_id:
                seen.setdefault(restore.case.server_id, set()).add(target.wish.name)
    for server_id, names in sorted(seen.items()):
        if len(names) > 1:
            yield Problem(
                ERROR,
                "server_in_two_targets",
                "",
                f"server {server_id} is in targets {', '.join(sorted(names))}",
                "Put all disks of a server into one target, or restore it as a whole, not both.",
            )


def _once(problems: Iterable[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))
