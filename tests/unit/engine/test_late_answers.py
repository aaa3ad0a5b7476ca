# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders and marks that arrive late, and another run that does the same restore meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.commands import Holder
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import (
    HSS_KEY,
    OWNER_KEY,
    Mark,
    Phase,
    decode,
    encode,
    mark_key,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import Rules
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.journal import FileJournal
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.recovery import NotReady
from simulation.cases import ARCHIVE, DB, FILES, LATEST, Before, disk_id, restores, server_id, world
from simulation.world import World
from simulator.messages import Request, Response, answer

HSS_BACKUP = "e0000000-0000-4000-8000-000000000022"
"""The newest clean one of the server `files01`."""
ONCE = {disk_id(4): 1, disk_id(5): 1}
"""Both disks of that server, each restored one time."""
QUICK = {"stop": 5.0, "start": 5.0, "hss_restore": 5.0}
"""With the wait and the 30 GB it takes less than a minute to restore that server."""

Handle = Callable[[str, Request], Response]


def _hss_mark(phase: Phase, run: str, at: float) -> Mark:
    return Mark(phase, run, "t", HSS_BACKUP, server_id=server_id(2), at=at)


def _taken_over(seen: World, phase: Phase) -> dict[str, str]:
    """What another run writes to the server when it makes it its own."""
    now = seen.clock.time
    entries = {
        HSS_KEY: encode(_hss_mark(phase, "b", now)),
        OWNER_KEY: f"1|b|elsewhere|1.1|ffffffff|server:x|{now:.0f}",
    }
    seen.act("set_metadata", server_id=server_id(2), metadata=entries)
    return entries


def _restored_by_another_run(seen: World, handle: Handle, known: Request) -> None:
    """It submits, with the token of a request that was just seen."""
    backup = seen.cloud.world.hss_backups[HSS_BACKUP]
    children = [{"backup_id": child.id, "volume_id": child.volume_id} for child in backup.spec.children]
    body = json.dumps({"power_on": True, "server_id": server_id(2), "mappings": children}).encode()
    path = f"/v5/{seen.cloud.scenario.project.id}/ransomware/duplication/{HSS_BACKUP}/restore"
    assert handle("hss", Request("POST", path, headers=known.headers, body=body)).status == 200


def _hss_phase(seen: World) -> tuple[str, str]:
    mark = decode(seen.cloud.world.servers[server_id(2)].metadata[HSS_KEY])
    assert mark is not None
    return mark.run_id, mark.phase.value


def test_an_order_that_arrives_while_it_is_given_again_is_adopted() -> None:
    """Its answer was lost and no trace of it seen; that the backup is restoring by now was taken for the end of it."""
    seen = world()
    handle = seen.cloud.handle
    orders: list[Request] = []
    answers: list[int] = []

    def late(service: str, request: Request) -> Response:
        if "cloudbackups" not in request.path:
            return handle(service, request)
        orders.append(request)
        if len(orders) == 1:
            return Response(0, drop=True)
        if len(orders) == 2:
            assert handle(service, orders[0]).status == 200
        response = handle(service, request)
        answers.append(response.status)
        return response

    seen.cloud.handle = late  # type: ignore[method-assign]
    result = seen.recover([ARCHIVE])
    assert answers == [400], "the second order was to meet the first"
    assert (result["failed"], result["summary"], restores(seen)) == (False, {"restored": 1}, {disk_id(3): 1})
    assert any("the restore runs, waiting for it" in line for line in seen.said)


def test_a_server_whose_restore_is_that_of_another_run_of_the_folder_is_not_adopted(tmp_path: Path) -> None:
    """Its claim was refused, yet `accepted` and `restored` went into its own file, beside the marks of the other."""
    seen = world()
    plan = seen.plan([FILES], run_id="a", journal_dir=tmp_path).as_dict()
    handle = seen.cloud.handle
    others: list[FileJournal] = []

    def meanwhile(service: str, request: Request) -> Response:
        if not others and (tmp_path / "a.jsonl").exists():  # the plan was checked by then, and the lock is ours
            others.append(FileJournal(tmp_path, "b", seen.clock))
            holder = Holder("server", server_id(2))
            assert others[0].open(holder) is None
            marks = [(HSS_KEY, _hss_mark(Phase.ACCEPTED, "b", 0.0))]
            assert others[0].write(holder, marks, claim=True) is None
            _restored_by_another_run(seen, handle, request)
        return handle(service, request)

    seen.cloud.handle = meanwhile  # type: ignore[method-assign]
    target = seen.carry_out(plan, journal_dir=tmp_path)["targets"]["files01"]
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8").split() == []
    assert (target["state"], target["failed"]) == ("failed", True)
    assert "is worked on by another run now (b," in target["msg"]
    others[0].close()
    seen.pass_time(3600.0)
    assert restores(seen) == ONCE, "by the other run"


def test_a_server_that_another_run_restored_while_our_first_mark_was_on_its_way_is_left_alone() -> None:
    """The late mark stood in the place of the other's `finished`, so the server was taken for ours and restored again.

    The mark must not deny that restore: the next run finds it done.
    """
    seen = world(timing=QUICK)
    plan = seen.plan([FILES]).as_dict()
    handle = seen.cloud.handle
    late: list[Request] = []

    def slow(service: str, request: Request) -> Response:
        if not late and request.method == "POST" and HSS_KEY.encode() in request.body:
            late.append(request)
            _restored_by_another_run(seen, handle, request)
            seen.clock.sleep(60.0)
            seen.cloud.advance()
            assert seen.cloud.world.hss_log[0].status == "success"
            _taken_over(seen, Phase.FINISHED)
        return handle(service, request)

    seen.cloud.handle = slow  # type: ignore[method-assign]
    target = seen.carry_out(plan)["targets"]["files01"]
    assert late
    assert (restores(seen), _hss_phase(seen)) == (ONCE, (plan["run_id"], "submitting"))
    assert (target["state"], target["failed"]) == ("failed", True)
    assert "was worked on while its first mark was on its way" in target["msg"]
    seen.cloud.handle = handle  # type: ignore[method-assign]
    assert not seen.recover([FILES], terms={"run_id": plan["run_id"]})["failed"]
    assert (restores(seen), _hss_phase(seen)) == (ONCE, (plan["run_id"], "finished"))


def _submitted_by_another_run(seen: World, handle: Handle, known: Request) -> None:
    """It has claimed the server before, read its claim back, and submits."""
    _taken_over(seen, Phase.ACCEPTED)
    _restored_by_another_run(seen, handle, known)


@pytest.mark.parametrize("next_run", ["a", "b"])
def test_a_first_mark_that_is_ten_seconds_late_does_not_deny_what_another_run_has_submitted(next_run: str) -> None:
    """Its own restore was refused, and `begun` went over `accepted` of the other: whichever run was started again
    restored the server in use."""
    seen = world()
    plan = seen.plan([FILES], run_id="a").as_dict()
    handle = seen.cloud.handle
    late: list[Request] = []

    def slow(service: str, request: Request) -> Response:
        if not late and request.method == "POST" and HSS_KEY.encode() in request.body:
            late.append(request)
            _submitted_by_another_run(seen, handle, request)
            seen.clock.sleep(10.0)
        return handle(service, request)

    seen.cloud.handle = slow  # type: ignore[method-assign]
    target = seen.carry_out(plan)["targets"]["files01"]
    assert (target["failed"], _hss_phase(seen)) == (True, ("a", "submitting"))
    assert "was worked on while its first mark was on its way" in target["msg"]
    seen.cloud.handle = handle  # type: ignore[method-assign]
    seen.pass_time(3600.0)
    if next_run == "a":
        assert not seen.recover([FILES], terms={"run_id": "a"})["failed"]
    else:
        with pytest.raises(NotReady) as caught:
            seen.recover([FILES], terms={"run_id": "b"})
        assert "unfinished_run" in {problem.code for problem in caught.value.problems}
    assert restores(seen) == ONCE


def test_claims_of_the_same_moment_meet_before_either_submits() -> None:
    """A claim was read back at once: one that had been looked for before it and came right after it was not seen."""
    seen = world()
    plan = seen.plan([FILES], run_id="a").as_dict()
    handle = seen.cloud.handle
    claimed: list[float] = []

    def meeting(service: str, request: Request) -> Response:
        if not claimed and request.method == "POST" and HSS_KEY.encode() in request.body:
            claimed.append(seen.clock.now())
        elif claimed and seen.clock.now() >= claimed[0] + 1.5 and _hss_phase(seen)[0] != "b":
            _taken_over(seen, Phase.SUBMITTING)
        return handle(service, request)

    seen.cloud.handle = meeting  # type: ignore[method-assign]
    target = seen.carry_out(plan)["targets"]["files01"]
    assert "is worked on by another run now (b " in target["msg"]
    assert (restores(seen), _hss_phase(seen)) == ({}, ("b", "submitting"))


@pytest.mark.parametrize("code", ["HSS.0041", "BackupService.2010"])
def test_a_restore_that_was_refused_for_another_ones_is_not_asked_for_again(code: str) -> None:
    """`begun` denied the other one, or it was asked for again when that one had ended, over new data."""
    seen = world(timing=QUICK, hss_log_lag_seconds=30.0)
    plan = seen.plan([FILES]).as_dict()
    handle = seen.cloud.handle
    asked: list[Request] = []

    def refusing(service: str, request: Request) -> Response:
        if not request.path.endswith("/restore"):
            return handle(service, request)
        asked.append(request)
        if len(asked) > 1:
            return handle(service, request)
        _restored_by_another_run(seen, handle, request)
        return answer({"error_code": code, "error_msg": "the server is being restored"}, status=400)

    seen.cloud.handle = refusing  # type: ignore[method-assign]
    result = seen.carry_out(plan, rules=Rules(wait_interval_seconds=600.0))
    assert (result["failed"], len(asked), _hss_phase(seen)) == (True, 1, (plan["run_id"], "submitting"))
    seen.pass_time(3600.0)
    assert restores(seen) == ONCE


def test_a_first_mark_that_may_still_come_is_not_taken_back() -> None:
    """None of its answers came. `begun`, which was written then, stood in the place of the other's `finished`."""
    seen = world(timing=QUICK)
    plan = seen.plan([FILES]).as_dict()
    handle = seen.cloud.handle
    lost: list[Request] = []

    def deaf(service: str, request: Request) -> Response:
        if request.method == "POST" and HSS_KEY.encode() in request.body and b"|submitting|" in request.body:
            if not lost:
                _restored_by_another_run(seen, handle, request)
                seen.clock.sleep(60.0)
                _taken_over(seen, Phase.FINISHED)
            lost.append(request)
            return Response(0, drop=True)
        return handle(service, request)

    seen.cloud.handle = deaf  # type: ignore[method-assign]
    assert seen.carry_out(plan)["failed"]
    assert lost
    assert (restores(seen), _hss_phase(seen)) == (ONCE, ("b", "finished"))


def _superseded_once(seen: World, due: Callable[[], bool]) -> list[dict[str, str]]:
    """Another run makes the server its own as soon as that is due. Returns its entries."""
    handle = seen.cloud.handle
    entries: list[dict[str, str]] = []

    def watched(service: str, request: Request) -> Response:
        response = handle(service, request)
        if not entries and due():
            entries.append(_taken_over(seen, Phase.ACCEPTED))
        return response

    seen.cloud.handle = watched  # type: ignore[method-assign]
    return entries


@pytest.mark.parametrize("outcome", ["ok", "failed"])
def test_a_run_that_was_superseded_while_it_watched_hss_keeps_the_marks_of_the_other(outcome: str) -> None:
    """It wrote `restored` and `finished`, or `failed`, over the marks of the run that had taken the server over."""
    seen = world(hss_outcome={server_id(2): outcome})
    metadata = seen.cloud.world.servers[server_id(2)].metadata
    theirs = _superseded_once(seen, lambda: "|accepted|" in metadata.get(HSS_KEY, ""))
    target = seen.recover([FILES])["targets"]["files01"]
    assert theirs[0].items() <= metadata.items()
    assert (target["state"], target["failed"]) == ("restored" if outcome == "ok" else "failed", True)
    assert "is worked on by another run now (b " in target["msg"]


def test_a_server_that_another_run_took_over_while_its_group_was_restored_keeps_its_marks() -> None:
    """It had long been restored when the last disk of its group was: `finished` went over the marks of the other."""
    seen = world(timing={"vbs_restore": 600.0})
    metadata = seen.cloud.world.servers[server_id(2)].metadata
    theirs = _superseded_once(seen, lambda: "|restored|" in metadata.get(HSS_KEY, ""))
    members = [replace(FILES, wave=1, group="g"), replace(ARCHIVE, group="g")]
    result = seen.recover(members)
    assert "ecs.server_action" not in seen.summary()["by_api"]
    assert theirs[0].items() <= metadata.items()
    assert result["summary"] == {"restored": 2}
    assert "is worked on by another run now (b " in result["targets"]["files01"]["msg"]


def test_a_first_mark_that_arrives_when_all_is_done_restores_nothing_again() -> None:
    """Its answer was lost, so it was written again; an hour later it came over `finished`, and the disks, which were in
    use again, were restored once more."""
    seen = world()
    late = {"status": 504, "late_seconds": 3600}
    seen.faults({"api": "ecs.update_metadata", "path": server_id(1), "nth": 2, "phase": "before", "action": late})
    assert not seen.recover([DB], terms={"run_id": "a"})["failed"]
    seen.pass_time(2 * 3600.0)
    marks = [decode(seen.cloud.world.servers[server_id(1)].metadata[mark_key(disk_id(n))]) for n in (1, 2)]
    assert [mark.phase for mark in marks if mark] == [Phase.BEGUN, Phase.BEGUN]
    with pytest.raises(NotReady) as caught:
        seen.recover([DB], terms={"run_id": "a"})
    assert {problem.code for problem in caught.value.problems} == {"used_since"}
    assert restores(seen) == {disk_id(1): 1, disk_id(2): 1}


@pytest.mark.parametrize("disk", [1, 2])
@pytest.mark.parametrize("late_seconds", range(110, 240, 10))
def test_a_disk_that_a_late_order_takes_away_again_is_missed(disk: int, late_seconds: int) -> None:
    """The order to detach it had got no answer and was given again. It arrived when the disk was restored and back: the
    run ended well without it, and no run after that missed it."""
    seen = world()
    before = Before(seen)
    late = {"api": "ecs.detach", "phase": "before", "nth": [1], "action": {"late_seconds": late_seconds}}
    seen.faults(late)
    wish = replace(DB, volumes=((disk_id(disk), LATEST),))
    result = seen.recover([wish], terms={"run_id": "r1"})
    assert result["failed"] is bool(before.differences(seen))
    seen.pass_time(600)
    if result["failed"]:
        assert "the disk was attached, but server db01 does not show it" in result["targets"]["db01"]["msg"]
        assert not seen.recover([wish], terms={"run_id": "r1"})["failed"]
        assert (before.differences(seen), restores(seen)[disk_id(disk)]) == ([], 1)


def test_a_disk_that_only_looked_attached_is_missed() -> None:
    """The job said that detaching had failed, and its state lagged: the server was started without it, and the next run
    restored it as a disk without a server."""
    seen = world(state_lag_seconds=100.0)
    before, handle = Before(seen), seen.cloud.handle
    jobs: list[str] = []

    def failed(service: str, request: Request) -> Response:
        response = handle(service, request)
        if "detachvolume" in request.path and not jobs:
            jobs.append(response.json()["job_id"])
        if jobs and request.path.endswith(jobs[0]):
            return answer({"job_id": jobs[0], "status": "FAIL", "error_code": "Ecs.0000", "fail_reason": "odd"})
        return response

    seen.cloud.handle = failed  # type: ignore[method-assign]
    assert seen.recover([DB], terms={"run_id": "r1"})["failed"]
    assert jobs
    seen.pass_time(600)
    assert not seen.recover([DB], terms={"run_id": "r1"})["failed"]
    assert (before.differences(seen), {restores(seen)[disk_id(number)] for number in (1, 2)}) == ([], {1})
