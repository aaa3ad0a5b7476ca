# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of every recovery, whatever went wrong: after each run and after each resume.

Each invariant holds what really happened (History) against what was asked for and what the user was told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from simulation.chaos import Story
from simulation.chaos_history import CHANGING, DISTURBING, RESTORES, Fact, Mark, Order, Snapshot, newest
from simulation.chaos_play import Attempt, Played

GOOD = ("restored", "already_restored")
PASSING_SECONDS = 2.0
"""So long may pass, besides two calls, between reading who owns the marks and the order that follows."""
CLOSED = ("finished", "returned")
EVIDENT = ("accepted", "restored", "finished")
"""Phases of a mark after which everybody can see that the restore was accepted."""


# -- restored at most once since last in use ---------------------------------------------------------------------------


def restored_once(played: Played) -> Iterator[str]:
    """In one run no disk is restored again that was in use with restored data. Not even while it is still detached,
    unless nobody could know: the answer was lost, or the controller died before its mark was written.

    Once another run has restored the disk, its marks stand in the place of the first one's.
    """
    for volume, orders in _accepted_restores(played).items():
        for earlier, order in pairwise(orders):
            done = _first(played, "restored", volume, after=earlier.tick, before=order.tick)
            if done is None or _run(played, earlier) != _run(played, order) or _of_another(played, order):
                continue
            used = _first(played, "attached", volume, after=done.tick, before=order.tick) or _first(
                played, "used", volume, after=done.tick, before=order.tick
            )
            if used is not None:
                yield f"disk {volume} was restored at {done.at:.0f}, used at {used.at:.0f}, then {order}"
            elif order.api == "hss.restore" or _known(played, earlier, order, done):
                yield f"disk {volume} was restored at {done.at:.0f}, which was known, then {order}"


def _of_another(played: Played, order: Order) -> bool:
    """A restore that another run had begun, which a person has told this one to take over."""
    attempt = _attempt(played, order.who)
    others = [mark for mark in attempt.marks if mark.about in order.abouts and mark.run_id != attempt.run_id]
    return any(mark.run_id == attempt.take_over for mark in others)


def _known(played: Played, earlier: Order, order: Order, done: Fact) -> bool:
    """Whether the controller of the second order could know of the first, and that it was done."""
    if order.who == earlier.who:
        return earlier.clean
    return not _wiped(played, done, order) and any(
        mark.about in earlier.abouts
        and mark.phase in EVIDENT
        and mark.run_id == _run(played, earlier)
        and not _in_a_backup_since(played, mark)
        and mark.about not in played.history.late_abouts
        for mark in _attempt(played, order.who).marks
    )


def _in_a_backup_since(played: Played, mark: Mark) -> bool:
    """A mark on the disk itself, under which a backup was made: it might have come out of that one."""
    backups = played.seen.cloud.world.vbs_backups.values()
    alone = played.before.places.get(mark.about) == {}
    return alone and any(b.spec.volume_id == mark.about and b.created_at > mark.at for b in backups)


def _wiped(played: Played, done: Fact, order: Order) -> bool:
    """Whether the first restore ended, and took the only mark of its disk along, while the controller of the second one
    planned: a plan is held against what is there when it is carried out."""
    alone = not played.story.file_journal and not played.before.places.get(done.id)
    replaced = played.story.behaviours["restore_metadata"] == "replace"
    return alone and replaced and done.at >= _attempt(played, order.who).started_at


def _accepted_restores(played: Played) -> dict[str, list[Order]]:
    found: dict[str, list[Order]] = {}
    for order in played.history.orders:
        if order.accepted and order.api in RESTORES:
            for volume in order.volume_ids:
                found.setdefault(volume, []).append(order)
    return found


def _first(played: Played, kind: str, thing: str, *, after: int, before: int) -> Fact | None:
    facts = played.history.facts
    return next((f for f in facts if f.kind == kind and f.id == thing and after < f.tick < before), None)


def _attempt(played: Played, who: int) -> Attempt:
    return next(attempt for attempt in played.attempts if attempt.who == who)


def _run(played: Played, order: Order) -> str:
    return _attempt(played, order.who).run_id


# -- everything back, or said so ---------------------------------------------------------------------------------------


def disks_back_or_reported(played: Played) -> Iterator[str]:
    """A disk that is not where it was is named, as not restored or with a note, by the run that leaves it so, or by one
    before that left it there."""
    told: set[tuple[str, str]] = set()
    for attempt in _undisturbed(played):
        for volume, before in played.before.places.items():
            now = attempt.left.places[volume] if attempt.left else before
            if now == before or _human(played, volume, before):
                continue
            if _reported(played, attempt, volume, before):
                told.add((volume, str(now)))
            elif not now or (volume, str(now)) not in told:
                yield f"controller {attempt.who} left disk {volume} at {now or 'no server'}, was {before or 'at none'}"


def _reported(played: Played, attempt: Attempt, volume: str, before: Mapping[str, str]) -> bool:
    if attempt.result is None:
        return _named(played, attempt, volume, *before) or volume in _begun(attempt)
    named = [item for item in attempt.result["restores"] if item["volume_id"] == volume]
    return any(item["state"] not in GOOD or item["notes"] or item["error"] for item in named)


def _begun(attempt: Attempt) -> set[str]:
    """What the plan shows as left unfinished."""
    begun = [restore for restore in _planned_restores(attempt) if restore["state"] == "begun"]
    return {restore["volume_id"] or restore["server_id"] for restore in begun}


def _named(played: Played, attempt: Attempt, *things: str) -> bool:
    """A run that did not begin names what it found, or the run that it belongs to. One that the cloud did not let look
    knows of nothing, and has done nothing."""
    if attempt.ended == "error":
        return not any(order.who == attempt.who for order in played.history.orders)
    return any(
        problem.code in ("run_in_progress", "unfinished_run") or any(thing in str(problem) for thing in things)
        for problem in attempt.problems
    )


def _undisturbed(played: Played) -> Iterator[Attempt]:
    """Runs that told how they ended, while no other controller was at work."""
    for attempt in played.runs():
        others = [other for other in played.attempts if other is not attempt]
        end = attempt.left.at if attempt.left else 0.0
        if not any(o.started_at < end and o.left and o.left.at > attempt.started_at for o in others):
            yield attempt


def _human(played: Played, *things: Any) -> bool:
    names = {name for thing in things for name in ([thing] if isinstance(thing, str) else thing)}
    return bool(names & played.history.touched)


def power_as_found_or_reported(played: Played) -> Iterator[str]:
    """A server that does not run as it did belongs to a target that failed, or has a note, in the run that leaves it so
    or in one before that left it so."""
    told: set[tuple[str, str]] = set()
    for attempt in _undisturbed(played):
        for server, before in played.before.power.items():
            now = attempt.left.power[server] if attempt.left else before
            wanted = _wanted_power(played.story, server, before)
            if now in wanted or _human(played, server):
                continue
            if _power_reported(played, attempt, server):
                told.add((server, now))
            elif (server, now) not in told:
                yield f"controller {attempt.who} left server {server} {now}, it was {before}"


def _wanted_power(story: Story, server: str, before: str) -> tuple[str, ...]:
    wish = story.hss_servers.get(server)
    if wish is not None and wish.power_on is not None:
        wanted = "ACTIVE" if wish.power_on else "SHUTOFF"
        return (wanted, before) if story.rules.start_servers else ("SHUTOFF", before)
    return (before,) if story.rules.start_servers else (before, "SHUTOFF")


def _power_reported(played: Played, attempt: Attempt, server: str) -> bool:
    result = attempt.result
    if result is None:
        mine = [volume for volume, places in played.before.places.items() if server in places]
        return _named(played, attempt, server, *mine) or bool(_begun(attempt) & {*mine, server})
    entries = [entry for entry in result["servers"] if entry["server_id"] == server]
    targets = [wish.name for wish in played.story.wishes if server in _servers_of(played, wish)]
    return any(entry["notes"] or entry["error"] for entry in entries) or any(
        result["targets"][name]["failed"] for name in targets
    )


def _servers_of(played: Played, wish: Any) -> set[str]:
    places = played.before.places
    return {wish.server_id} | {server for volume, _backup in wish.volumes for server in places[volume]}


# -- the truth in results ----------------------------------------------------------------------------------------------


def no_success_without_the_clouds(played: Played) -> Iterator[str]:
    """What a result or a plan calls restored holds the data of that very backup, and what is called changed was
    accepted."""
    for attempt in played.attempts:
        results = attempt.result["restores"] if attempt.result else []
        for item in results + _planned_restores(attempt):
            parts = _parts(played, item)
            if item["state"] in GOOD:
                for volume, data in parts.items():
                    last = _last_restored(played, volume, attempt)
                    if last != data:
                        yield f"controller {attempt.who} says {item['state']}: {volume} got {last!r}, not {data!r}"
            if item.get("changed") and not any(_was_accepted(played, volume) for volume in parts):
                yield f"controller {attempt.who} says changed: no restore of {list(parts)} was ever accepted"


def _planned_restores(attempt: Attempt) -> list[Mapping[str, Any]]:
    targets = [target for wave in attempt.plan.get("waves", ()) for target in wave["targets"]]
    return [restore for target in targets for restore in target["restores"] if restore["backup_id"]]


def _parts(played: Played, item: Mapping[str, Any]) -> dict[str, str]:
    """The disks of one entry of a result or plan, each with the data that it should have got."""
    scenario = played.story.scenario
    if not item["volume_id"]:
        backup = next(b for b in scenario["hss_backups"] if b["id"] == item["backup_id"])
        return {child["volume_id"]: child["data"] for child in backup["children"]}
    known = {backup["id"]: backup["data"] for backup in scenario["vbs_backups"]}
    made_since = {backup.id: backup.spec.data for backup in played.seen.cloud.world.vbs_backups.values()}
    return {item["volume_id"]: {**made_since, **known}.get(item["backup_id"], "?")}


def _last_restored(played: Played, volume: str, attempt: Attempt) -> str:
    end = attempt.left.at if attempt.left else 0.0
    values = [f.value for f in played.history.facts if f.kind == "restored" and f.id == volume and f.at <= end]
    return values[-1] if values else ""


def _was_accepted(played: Played, volume: str) -> bool:
    return bool(_accepted_restores(played).get(volume))


# -- others ------------------------------------------------------------------------------------------------------------


def only_its_own(played: Played) -> Iterator[str]:
    """No write to anything outside the plan; none that changes what another controller has claimed."""
    volumes, servers = _planned(played)
    for order in played.history.orders:
        if not order.accepted:
            continue
        if not set(order.volume_ids) <= volumes or (order.server_id and order.server_id not in servers):
            yield f"{order}, which is not in the plan"
        if order.api in CHANGING and order.owner not in (0, order.who) and not order.late:
            awake = _awake_since_claim(played, order)
            if awake > _in_passing(played):
                yield f"{order}, {awake:.1f} s after controller {order.owner} had claimed it"


def _in_passing(played: Played) -> float:
    return PASSING_SECONDS + 4 * played.story.latency_seconds


def _planned(played: Played) -> tuple[set[str], set[str]]:
    story = played.story
    servers = set(story.hss_servers)
    of_servers = {volume for volume, places in played.before.places.items() if servers & places.keys()}
    volumes = set(story.volumes) | of_servers
    return volumes, servers | {server for volume in story.volumes for server in played.before.places[volume]}


def _awake_since_claim(played: Played, order: Order) -> float:
    """How long its controller was not standing still since another one has claimed what it is about."""
    return order.at - order.owner_since - _asleep(_attempt(played, order.who), order.owner_since, order.at)


def _asleep(attempt: Attempt, start: float, end: float) -> float:
    return sum(max(0.0, min(end, until) - max(start, since)) for since, until in attempt.stalls)


# -- the journal -------------------------------------------------------------------------------------------------------


def announced(played: Played) -> Iterator[str]:
    """Before anything is disturbed a mark of this run says so; before a restore it says `submitting`, unless another
    run's first mark has come over it in passing, or an own one late."""
    for order in played.history.orders:
        if not order.accepted or order.api not in DISTURBING:
            continue
        overtaken = order.owner not in (0, order.who)  # whether it might still have come is only_its_own's business
        phases = [mark.phase for mark in order.marks if overtaken or mark.run_id == _run(played, order)]
        written_over = overtaken and _awake_since_claim(played, order) <= _in_passing(played)
        written_over = written_over or not played.history.late.isdisjoint(order.marks)
        if order.api in RESTORES and "submitting" not in phases and not (written_over and phases):
            yield f"{order} under {phases or 'no mark'}"
        elif not phases:
            yield f"{order} without a mark"


def journal_is_reality(played: Played) -> Iterator[str]:
    """Whenever a controller has gone, each mark of a run says what really became of its disk or server, but for those
    that came late over newer ones, and what was made of them."""
    late = played.history.late_abouts
    runs = {attempt.run_id for attempt in played.attempts if attempt.run_id}
    for attempt in played.attempts:
        for mark in attempt.left.marks if attempt.left else ():
            if mark.run_id not in runs or mark.about in late:
                continue
            if not _true(played, mark, attempt):
                yield f"after controller {attempt.who}: {mark} is not so"
            yield from _never_so(played, mark)


def _true(played: Played, mark: Mark, attempt: Attempt) -> bool:
    end = attempt.left.at if attempt.left else 0.0
    orders = [
        order
        for order in played.history.orders
        if order.accepted and order.at <= end and order.api in RESTORES and mark.about in order.abouts
    ]
    mine = [order for order in orders if _run(played, order) == mark.run_id]
    if not played.before.places.get(mark.about, True) and played.story.behaviours["restore_metadata"] == "replace":
        mine = []  # the restore has wiped the mark of a disk without a server, so the next controller began anew
    return _TRUE[mark.phase](played, mark, orders, mine, end)


def _never_so(played: Played, mark: Mark) -> Iterator[str]:
    """What a mark remembers of the time before, for a resume to put back: somebody must have found it so."""
    found = [attempt.found for attempt in played.attempts]
    server = mark.about.partition("hss:")[2]
    places = [place for seen in found for place in seen.places.get(mark.about, {}).items()]
    holders = {server} if server else {server for server, _device in places}
    power = {seen.power[holder] for seen in found for holder in holders if holder in seen.power}
    if mark.device and mark.device not in {device for _server, device in places}:
        yield f"{mark} has the device {mark.device}, where its disk never was"
    if mark.was_running in _RAN and not power & _RAN[mark.was_running] and not _human(played, holders):
        yield f"{mark} says was_running {mark.was_running}, its server was {power}"


_RAN: Mapping[str, set[str]] = {"y": {"ACTIVE"}, "n": {"SHUTOFF"}}


def _restored_from(played: Played, mark: Mark, orders: list[Order], end: float) -> bool:
    """Whether one of these orders was one from the mark's backup, and came to a good end."""
    facts = [f for f in played.history.facts if f.kind == "restored" and f.at <= end]
    return any(
        order.backup_id == mark.backup_id
        and all(any(f.id == volume and f.tick > order.tick for f in facts) for volume in order.volume_ids)
        for order in orders
    )


def _last_came_well(played: Played, orders: list[Order], mine: list[Order], end: float) -> bool:
    """Whether the newest of these restored all its disks, before another order came."""
    if not mine:
        return False
    last = mine[-1]
    until = min((order.tick for order in orders if order.tick > last.tick), default=None)
    restored = {
        fact.id
        for fact in played.history.facts
        if fact.kind == "restored" and last.tick < fact.tick and fact.at <= end and (until is None or fact.tick < until)
    }
    return set(last.volume_ids) <= restored


# A run that took another one over may have found its restore done or under way: so all orders count for the good news.
_TRUE: Mapping[str, Callable[[Played, Mark, list[Order], list[Order], float], bool]] = {
    "begun": lambda played, mark, _orders, mine, end: not _restored_from(played, mark, mine, end),
    "submitting": lambda played, mark, orders, mine, end: True,
    "accepted": lambda _played, mark, orders, _mine, _end: any(mark.job == o.job or not o.job for o in orders),
    "restored": lambda played, mark, orders, _mine, end: _restored_from(played, mark, orders, end),
    "finished": lambda played, mark, orders, _mine, end: _restored_from(played, mark, orders, end),
    "failed": lambda played, _mark, orders, mine, end: bool(orders) and not _last_came_well(played, orders, mine, end),
    "returned": lambda played, mark, _orders, mine, end: not _restored_from(played, mark, mine, end),
}


def nothing_left_open(played: Played) -> Iterator[str]:
    """A run that ended well leaves no mark behind that calls for more.

    In a file a mark stays although another run has done it since, which in the cloud would have written its own mark
    over it. The newer mark counts, so the older one calls for nothing if the newer one is closed.
    """
    last = played.attempts[-1]
    if last.well and last.left is not None:
        for mark in last.left.marks:
            if mark.run_id == last.run_id and mark.phase not in CLOSED and not _done_since(played, last.left, mark):
                yield f"controller {last.who} ended well and left {mark}"


def _done_since(played: Played, left: Snapshot, mark: Mark) -> bool:
    """Whether another run's file says that this was done, or put back, after this mark was written."""
    other = newest(left.marks, mark.about) if played.story.file_journal else None
    return other is not None and other.run_id != mark.run_id and other.phase in CLOSED and other.at > mark.at


# -- order -------------------------------------------------------------------------------------------------------------


def waves_in_order(played: Played) -> Iterator[str]:
    """No server or disk of a wave is disturbed before the last one of the wave before it was."""
    for attempt in played.attempts:
        latest: Order | None = None
        for order in _disturbing(played, attempt):
            if latest is not None and _wave(played, order) < _wave(played, latest):
                yield f"{order} after {latest} of a later wave"
            latest = order


def _disturbing(played: Played, attempt: Attempt) -> Iterator[Order]:
    orders = played.history.orders
    return (o for o in orders if o.accepted and o.who == attempt.who and o.api in DISTURBING)


def _wave(played: Played, order: Order) -> int:
    things = {order.server_id, *order.volume_ids} - {""}
    waves = [
        wish.wave
        for wish in played.story.wishes
        if things & ({volume for volume, _backup in wish.volumes} | _servers_of(played, wish))
    ]
    return min(waves, default=0)


def not_more_than_allowed(played: Played) -> Iterator[str]:
    """A controller never submits beyond `max_parallel` of its own that it still follows.

    What ran when it came has a place beside those, and keeps it if it has to be given again.
    """
    width = played.story.options["max_parallel"]
    for order in played.history.orders:
        if order.api in RESTORES and order.accepted and len(order.running) > width:
            attempt = _attempt(played, order.who)
            followed = order.running - _lost_sight_of(attempt) - _ran_before(played, attempt)
            if len(followed) > width:
                yield f"{order} as number {len(followed)} of {width} at a time"


def _ran_before(played: Played, attempt: Attempt) -> set[str]:
    """What another controller had submitted and was not done, or did not show it yet, when this one came."""
    shown_by = attempt.started_at - played.story.behaviours.get("state_lag_seconds", 0.0)
    return {
        about
        for order in played.history.orders
        if order.api in RESTORES and order.accepted and order.who != attempt.who and order.at < attempt.started_at
        for about in order.abouts
        if not any(
            fact.kind == "over" and fact.id in order.volume_ids and order.at < fact.at <= shown_by
            for fact in played.history.facts
        )
    }


def _lost_sight_of(attempt: Attempt) -> set[str]:
    """What it could not follow to the end, and said so: `disk ID: unknown: why`, or `server ID: timed_out: why`."""
    said = [line.partition(": ")[2].split(": ") for line in attempt.lines]
    lost = [parts[0].split(" ") for parts in said if len(parts) > 1 and parts[1] in ("unknown", "timed_out")]
    return {f"hss:{name}" if kind == "server" else name for kind, name in lost}


def groups_start_together(played: Played) -> Iterator[str]:
    """A server of a consistency group is started only when every disk of the group is restored."""
    for order in played.history.orders:
        if order.api != "ecs.start" or not order.accepted:
            continue
        for volume in _group_of(played, order.server_id):
            if _first(played, "restored", volume, after=0, before=order.tick) is None:
                yield f"{order} before disk {volume} of its group was restored"


def _group_of(played: Played, server: str) -> Iterator[str]:
    wishes = played.story.wishes
    group = next((wish.group for wish in wishes if server in _servers_of(played, wish)), "")
    for wish in wishes:
        if group and wish.group == group:
            yield from (volume for volume, _backup in wish.volumes)


# -- the end -----------------------------------------------------------------------------------------------------------


def ends(played: Played) -> Iterator[str]:
    """Every controller comes to an end."""
    for attempt in played.attempts:
        if attempt.ended == "endless":
            yield f"controller {attempt.who} was still at work after {len(attempt.calls)} calls"


def recovers_in_the_end(played: Played) -> Iterator[str]:
    """When all works again, the same playbook brings everything back, unless a person has to mend something."""
    last = played.attempts[-1]
    if not last.well and not needs_a_person(played):
        yield f"controller {last.who} ended as {last.ended}: {_why(last)}"
    if last.well and not played.story.acts:
        yield from _not_as_it_was(played, last)


HOPELESS: Mapping[str, tuple[str, ...]] = {
    "restore_outcome": ("fail_available", "fail_error_restoring", "stuck"),
    "hss_outcome": ("timeout", "no_record", "vanish", "stuck"),
}
"""Outcomes that stay as they are however often the playbook is run."""


def needs_a_person(played: Played) -> bool:
    story = played.story
    hopeless = any(
        outcome in outcomes
        for name, outcomes in HOPELESS.items()
        for outcome in story.behaviours.get(name, {}).values()
    )
    stops = story.behaviours.get("soft_stop", {}).values()
    may_not_stop = story.rules.stop_servers == "refuse"
    never_stops = story.rules.stop_servers == "soft" and any(stop in ("hangs", "falls_back") for stop in stops)
    elsewhere = story.behaviours["restore_device"] == "next_free" and "is in use (HTTP 400)" in played.attempts[-1].said
    # a mark that was long on its way, or while its controller stood still, has come over those of the run that did it
    late = any(attempt.stalls for attempt in played.attempts) or bool(played.history.late)
    errors = {problem.code for problem in played.attempts[-1].problems if problem.severity == "error"}
    asks = (late or _hasty(played)) and bool(errors) and errors <= {"used_since", "restore_running", "backup_status"}
    return bool(story.acts) or hopeless or may_not_stop or never_stops or elsewhere or asks


def _hasty(played: Played) -> bool:
    """Whether a controller came while the cloud still showed what was before the last orders of a dead one, or was told
    to take over a run that is at work."""
    lag = played.story.behaviours.get("state_lag_seconds", 0.0)
    pairs = pairwise(played.attempts)
    soon = any(earlier.left and 0.0 <= later.started_at - earlier.left.at < lag for earlier, later in pairs)
    return soon or bool(played.story.rival and played.story.rival.take_over)


def _why(attempt: Attempt) -> str:
    if attempt.result is not None:
        return "; ".join(target["msg"] for target in attempt.result["targets"].values() if target["failed"])
    return attempt.error + "".join(f"; {p.code}: {p.message}" for p in attempt.problems if p.severity == "error")


def _not_as_it_was(played: Played, last: Attempt) -> Iterator[str]:
    left = last.left or played.before
    exact = played.story.behaviours["restore_device"] == "honour"
    for volume, before in played.before.places.items():
        now = left.places[volume]
        if (now if exact else now.keys()) != (before if exact else before.keys()):
            yield f"all is well, but disk {volume} is at {now}, was {before}"
    for server, status in played.before.power.items():
        if left.power[server] not in _wanted_power(played.story, server, status):
            yield f"all is well, but server {server} is {left.power[server]}, was {status}"


def careful(played: Played) -> Iterator[str]:
    """Nothing that a careful client never does: deleting a backup, following a redirect, guessing passwords."""
    yield from (f"{violation['rule']}: {violation['text']}" for violation in played.seen.cloud.world.violations)


INVARIANTS: Mapping[str, Callable[[Played], Iterator[str]]] = {
    check.__name__: check
    for check in (
        restored_once,
        disks_back_or_reported,
        power_as_found_or_reported,
        no_success_without_the_clouds,
        only_its_own,
        announced,
        journal_is_reality,
        nothing_left_open,
        waves_in_order,
        not_more_than_allowed,
        groups_start_together,
        ends,
        recovers_in_the_end,
        careful,
    )
}


def violations(played: Played) -> dict[str, list[str]]:
    """What is not as it must be, by the name of the invariant."""
    found = {name: list(check(played)) for name, check in INVARIANTS.items()}
    return {name: texts for name, texts in found.items() if texts}
