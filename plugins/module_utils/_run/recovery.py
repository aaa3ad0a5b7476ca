# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole plan from approval to result: read again, check again, then let the driver carry it out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .._cloud.api import Api
from .._cloud.fields import whole
from .._restore import report
from .._restore.batch import Batch
from .._restore.commands import Holder
from .._restore.disks import broken_before
from .._restore.mark import HSS_KEY, Standing
from .._restore.model import Backup, ChildBackup, ErrorInfo
from .._restore.outcome import Rules, ServerUnit, State, Tally
from .._restore.planning import Plan, PlannedTarget, make_plan
from .._restore.preflight import ERROR, Problem
from .._restore.servers import may_not_stop
from .._restore.times import from_cloud, iso
from .._restore.units import Unit, Work, divide
from .._restore.wishes import Terms, Wish
from .clock import Clock
from .driver import Driver, Line, keep_lease
from .journal import CloudJournal, FileJournal, FileMarks, Journal, read_files
from .options import OptionError
from .survey import survey
from .workers import Workers


class NotReady(Exception):
    """The plan cannot be carried out; nothing was changed. `problems` are all that stand against it."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


@dataclass(frozen=True)
class RunOptions:
    """How a plan is carried out. Times in seconds."""

    approved: tuple[str, ...]
    run_id: str = ""
    waves: tuple[int, ...] = ()
    max_parallel: int = 10
    stop_on_failure: bool = False
    rules: Rules = field(default_factory=Rules)
    allow_encrypted: bool = False
    take_over: str = ""
    journal_dir: Path | None = None
    """Where the marks are, if not in the cloud."""
    progress_interval_seconds: float = 15.0


@dataclass(frozen=True)
class Shell:
    """The world that a run works in."""

    api: Api
    clock: Clock
    workers: Workers
    show: Callable[[str], None]


def resolve(api: Api, wishes: Sequence[Wish], terms: Terms, *, clock: Clock, journal_dir: Path | None = None) -> Plan:
    """Targets to plan. Reads only. Raises CloudError, and OptionError, where nothing can be known."""
    return make_plan(wishes, terms, survey(api, wishes, terms, clock=clock, journal_dir=journal_dir))


def recover(
    shell: Shell, approved_plan: Mapping[str, Any], options: RunOptions, *, dry_run: bool = False
) -> tuple[dict[str, Any], dict[str, str]]:
    """Carry a plan out and return its result and its diff. Raises NotReady, OptionError, CloudError."""
    known = _file_marks(options)
    plan = _check_again(shell, approved_plan, options)
    _approved(plan, options)
    _known(plan, options.waves)
    tally = Tally()
    works = divide(plan, options.waves, tally)
    diff = report.planned_changes(plan, options.waves)
    if dry_run or not any(work.units for work in works):
        _foresee(works, options.rules)
        return report.result(plan, works, ()), diff
    timeline: list[dict[str, Any]] = []
    _carry_out(shell, plan, works, options, known, timeline=timeline, tally=tally)
    return report.result(plan, works, timeline), diff


def _foresee(works: Sequence[Work], rules: Rules) -> None:
    """What check mode says: everything that is not finished yet would change, but for what is certain to fail."""
    for work in works:
        for target, unit in work.units:
            refused = _refused(target, unit, rules)
            for item in unit.restores:
                item.error = broken_before(item) if item.standing is Standing.BROKEN else refused
                item.changed = item.error is None
                item.state = State.PLANNED if item.changed else State.FAILED


def _refused(target: PlannedTarget, unit: Unit, rules: Rules) -> ErrorInfo | None:
    """Why nothing of this server will be begun."""
    if not isinstance(unit, ServerUnit) or rules.stop_servers != "refuse":
        return None
    mine = {item.volume_id for item in unit.restores if item.standing in (Standing.FRESH, Standing.DETACH)}
    servers = [restore.case.server for restore in target.restores if restore.case.volume_id in mine]
    return may_not_stop(unit.server_id) if any(server and server.running for server in servers) else None


def _check_again(shell: Shell, given: Mapping[str, Any], options: RunOptions) -> Plan:
    """The same plan from what the cloud shows now: its ids recomputed, its checks repeated."""
    try:
        wishes, terms, known = read_plan(given)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise NotReady(f"this is not a plan of recovery_plan: {error!r}") from None
    run_id = options.run_id or terms.run_id
    terms = replace(terms, run_id=run_id, take_over=options.take_over, allow_encrypted=options.allow_encrypted)
    found = survey(shell.api, wishes, terms, clock=shell.clock, journal_dir=options.journal_dir, known_hss=known)
    plan = make_plan(wishes, terms, found)
    if plan.id != given.get("id"):
        raise NotReady(
            f"the plan says that its id is {given.get('id')}, but its content has the id {plan.id}: it was changed"
            " after it was made, or a restore began meanwhile from another backup; make a new plan and approve that",
            plan.problems,
        )
    # What an earlier wave left behind does not keep a later one from starting: whether it may is the caller's to say.
    elsewhere = {t.wish.name for t in plan.targets if options.waves and t.wish.wave not in options.waves}
    problems = [problem for problem in (*plan.problems, *_moved(plan, given)) if problem.target not in elsewhere]
    if any(problem.severity == ERROR for problem in problems):
        raise NotReady("the plan cannot be carried out; nothing was changed", problems)
    if given.get("ready") is False:  # it names backups that were chosen although something stood against it
        raise NotReady("the plan was not ready when it was made; nothing was changed; make a new plan")
    return plan


def _moved(plan: Plan, given: Mapping[str, Any]) -> list[Problem]:
    """Disks that are no longer at the server that was approved with them: another server would be stopped."""
    approved = {
        restore["volume_id"]: str(restore["server_id"] or "")
        for wave in given["waves"]
        for target in wave["targets"]
        for restore in target["restores"]
    }
    return [
        Problem(
            ERROR,
            "moved_since_plan",
            case.target,
            f"disk {case.volume_id} was at {approved[case.volume_id] or 'no server'} when the plan was made, and is now"
            f" at {case.server_id or 'no server'}",
            "Find out who moved it, make a new plan and approve that.",
            case.volume_id,
        )
        for case in (restore.case for restore in plan.restores)
        if case.volume_id and case.fresh and case.server_id != approved[case.volume_id]
    ]


def _approved(plan: Plan, options: RunOptions) -> None:
    """Everything that is to be restored must be covered, by the plan's id or by the target's."""
    if plan.id in options.approved:
        return
    uncovered = [t for t in plan.targets if t.id not in options.approved and _has_work(t)]
    if uncovered:
        names = ", ".join(f"{target.wish.name} ({target.id})" for target in uncovered)
        raise NotReady(f"not approved: {names}. Approve the plan with its id {plan.id}, or these targets with theirs")


def _known(plan: Plan, waves: Collection[int]) -> None:
    """A wave that is not there was misspelt: to do nothing about it would look like success."""
    unknown = set(waves) - {target.wish.wave for target in plan.targets}
    if unknown:
        raise NotReady(f"the plan has no wave {', '.join(map(str, sorted(unknown)))}; nothing was changed")


def _has_work(target: PlannedTarget) -> bool:
    return any(restore.case.standing is not Standing.FINISHED for restore in target.restores)


def _carry_out(
    shell: Shell,
    plan: Plan,
    works: Sequence[Work],
    options: RunOptions,
    known: FileMarks,
    *,
    timeline: list[dict[str, Any]],
    tally: Tally,
) -> None:
    def tell(line: Line) -> None:
        timeline.append(
            {
                "at": iso(line.at),
                "event": line.event,
                "target": line.target,
                "volume_id": line.volume_id or None,
                "text": line.text,
            }
        )
        shell.show(f"{line.target}: {line.text}")

    journal = make_journal(
        shell, plan.run_id, options.rules, directory=options.journal_dir, take_over=options.take_over
    )
    if failure := journal.open(_anchor(works)):
        raise NotReady(f"the run could not be announced, so nothing was changed: {failure}")
    try:
        if _moved_on(plan, known, _file_marks(options)):
            raise NotReady("another process has worked on this plan since it was checked; run the same playbook again")
    except (NotReady, OptionError):
        journal.close()
        raise
    driver = Driver(
        shell.api,
        clock=shell.clock,
        workers=shell.workers,
        journal=journal,
        tell=tell,
        show_progress=lambda now: shell.show(report.progress(tally, now)),
        progress_interval_seconds=options.progress_interval_seconds,
    )
    batch = Batch(
        [work.parts(options.rules, options.max_parallel) for work in works],
        width=options.max_parallel,
        stop_on_failure=options.stop_on_failure,
        background=[keep_lease()],
    )
    try:
        driver.run(batch)
        journal.close()
    finally:
        shell.workers.close()


def _file_marks(options: RunOptions) -> FileMarks:
    return read_files(options.journal_dir) if options.journal_dir else FileMarks({}, frozenset())


def _moved_on(plan: Plan, before: FileMarks, now: FileMarks) -> bool:
    """Whether marks of the plan were written between its check and the lock of the journal."""
    about = [restore.case.volume_id or f"{HSS_KEY}:{restore.case.server_id}" for restore in plan.restores]
    return any(before.marks.get(key) != now.marks.get(key) for key in about)


def make_journal(
    shell: Shell, run_id: str, rules: Rules, *, directory: Path | None = None, take_over: str = ""
) -> Journal:
    if directory is not None:
        return FileJournal(directory, run_id, shell.clock)
    return CloudJournal(shell.api, run_id, shell.clock, take_over=take_over, settle_seconds=rules.settle_seconds)


def _anchor(works: Sequence[Work]) -> Holder:
    """Where the lease lies: at a server if there is one, for a restore may wipe the metadata of a disk."""
    holders = [item.holder for work in works for _t, unit in work.units for item in unit.restores if item.holder]
    return min(holders, key=lambda holder: (holder.kind != "server", holder.id))


# -- a plan that comes back --------------------------------------------------------------------------------------------


def read_plan(given: Mapping[str, Any]) -> tuple[list[Wish], Terms, dict[str, Backup]]:
    """The targets and terms of a plan as Ansible hands it back, with what it knows of HSS backups.

    Raises LookupError, TypeError, ValueError or AttributeError for anything that is no plan.
    """
    terms = Terms(
        incident_at=_time(given["incident_at"]) or 0.0,
        run_id=str(given["asked_run_id"] or ""),
        clean_only=bool(given["clean_only"]),
        alerts_since=_time(given["alerts_since"]),
    )
    wishes = []
    known: dict[str, Backup] = {}
    for wave in given["waves"]:
        for target in wave["targets"]:
            wishes.append(_wish(target))
            if target["method"] == "hss":
                known |= {r["backup_id"]: _hss_backup(r) for r in target["restores"] if r["mappings"] or r["unmapped"]}
    return wishes, terms, known


def _wish(target: Mapping[str, Any]) -> Wish:
    restores = target["restores"]
    whole_server = target["method"] == "hss"
    return Wish(
        name=str(target["name"]),
        method=str(target["method"]),
        wave=int(target["wave"]),
        group=str(target["group"] or ""),
        critical=bool(target["critical"]),
        server_id=str(restores[0]["server_id"] or "") if whole_server else "",
        volumes=() if whole_server else tuple((str(r["volume_id"]), str(r["backup_id"] or "")) for r in restores),
        backup_id=str(restores[0]["backup_id"] or "") if whole_server else "",
        power_on=target["power_on"],
        point_in_time=_time(target["point_in_time"]),
        max_backup_age_seconds=None if target["max_backup_age"] is None else float(target["max_backup_age"]),
    )


def _hss_backup(restore: Mapping[str, Any]) -> Backup:
    return Backup(
        service="hss",
        id=str(restore["backup_id"]),
        status="available",  # looked at once more right before the submit
        name=str(restore["backup_name"] or ""),
        server_id=str(restore["backup_source"] or ""),
        created_at=_time(restore["backup_created_at"]),
        children=tuple(
            ChildBackup(
                id=str(pair["backup_id"]), resource_id=str(pair["volume_id"]), size_gb=whole(pair.get("size_gb"))
            )
            for pair in {p["backup_id"]: p for p in (*restore["mappings"], *restore["unmapped"])}.values()
        ),
    )


def _time(value: Any) -> float | None:
    return None if value is None else from_cloud(value)


def problems_first_errors(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    return [p.as_dict() for p in sorted(problems, key=lambda p: (p.severity != ERROR, p.target, p.volume_id))]
