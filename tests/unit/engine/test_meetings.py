# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that stand still, meet others, or find marks of long ago: what seeds of the simulation showed, one test each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.commands import Holder
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import (
    LEASE_KEY,
    LEASE_SECONDS,
    LONE_DISK_KEY,
    OWNER_KEY,
    Mark,
    Phase,
    decode_lease,
    encode,
    mark_key,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import Failure
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import Rules
from ansible_collections.hwcloud.recovery.plugins.module_utils._run import single
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.journal import FileJournal, read_files
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.options import OptionError
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.recovery import NotReady
from simulation.cases import ARCHIVE, DB, Before, backup_id, disk_id, not_restored, restores, server_id, world
from simulation.world import START, Crash, World

A_NAP = 400.0
"""Longer than a lease is good for."""


def _after_each(seen: World, act: Callable[[Any], None]) -> None:
    """Call `act` with every request that the cloud has processed, before its answer comes."""
    handle = seen.cloud.handle

    def watched(service: str, request: Any) -> Any:
        response = handle(service, request)
        act(request)
        return response

    seen.cloud.handle = watched  # type: ignore[method-assign]


def _nap_after_the_look(seen: World, path: str, meanwhile: Callable[[], None]) -> None:
    """The controller stands still between its look before the claim and the claim; the lease was looked at twice."""
    looks: list[str] = []

    def nap(request: Any) -> None:
        if request.method == "GET" and request.path.endswith(path):
            looks.append(request.path)
            if len(looks) == 3:
                meanwhile()
                seen.clock.sleep(A_NAP)

    _after_each(seen, nap)


def test_a_server_that_another_run_did_while_we_stood_still_is_left_alone() -> None:
    """It was stopped and restored again over what had been written since, and the marks of that run were lost."""
    seen = world()
    done = encode(Mark(Phase.FINISHED, "b", "t", backup_id(1), at=START + 300))

    def other_run() -> None:
        marks = {mark_key(disk_id(number)): done for number in (1, 2)}
        owner = {OWNER_KEY: "1|b|elsewhere|1.1|ffffffff|server:x|1"}
        seen.act("set_metadata", server_id=server_id(1), metadata={**marks, **owner})

    plan = seen.plan([DB]).as_dict()
    _nap_after_the_look(seen, f"cloudservers/{server_id(1)}", other_run)
    before = Before(seen)
    result = seen.carry_out(plan)
    assert "run b has begun" in result["targets"]["db01"]["msg"]
    assert (before.differences(seen), restores(seen)) == ([], {})
    assert seen.cloud.world.servers[server_id(1)].metadata[mark_key(disk_id(1))] == done


def test_a_disk_that_another_run_did_while_we_stood_still_is_left_alone() -> None:
    seen = world()
    done = encode(Mark(Phase.FINISHED, "b", "t", backup_id(3), at=START + 300))
    plan = seen.plan([ARCHIVE]).as_dict()
    looks: list[str] = []

    def nap(request: Any) -> None:
        if request.method == "GET" and request.path.endswith(f"volumes/{disk_id(3)}"):
            looks.append(request.path)
            if len(looks) == 2:  # the first is the check of the plan
                seen.act("set_metadata", volume_id=disk_id(3), metadata={LONE_DISK_KEY: done})
                seen.clock.sleep(A_NAP)

    _after_each(seen, nap)
    result = seen.carry_out(plan)
    assert "run b has begun" in result["targets"]["archive"]["msg"]
    assert restores(seen) == {}
    assert seen.cloud.world.disks[disk_id(3)].metadata[LONE_DISK_KEY] == done


def test_a_disk_that_another_run_did_while_our_first_mark_was_on_its_way_is_not_called_untouched() -> None:
    """The own restore was refused then, and `returned` denied that of the other run."""
    seen = world()
    plan = seen.plan([ARCHIVE]).as_dict()
    handle = seen.cloud.handle
    seen.faults({"api": "vbs.restore", "nth": 1, "phase": "before", "action": {"status": 400, "json": {"code": "V"}}})

    def slow(service: str, request: Any) -> Any:
        if b'"1|submitting|' in (request.body or b"") and restores(seen) == {}:
            seen.cloud.world.disks[disk_id(3)].restore_count += 1
            seen.clock.sleep(60.0)
        return handle(service, request)

    seen.cloud.handle = slow  # type: ignore[method-assign]
    assert seen.carry_out(plan)["summary"] == {"unknown": 1}
    assert "|submitting|" in seen.cloud.world.disks[disk_id(3)].metadata[LONE_DISK_KEY][:20]


def test_a_claim_that_comes_late_does_not_deny_what_another_run_did_meanwhile() -> None:
    """It was on its way while another run came, restored the disk and went: the disk was restored once more."""
    seen = world()
    plan = seen.plan([DB]).as_dict()
    handle = seen.cloud.handle

    def slow(service: str, request: Any) -> Any:
        if b'"1|begun|' in (request.body or b"") and restores(seen) == {}:
            disk = seen.cloud.world.disks[disk_id(1)]
            device = disk.attachments[server_id(1)].device
            seen.act("detach", volume_id=disk.id)
            disk.restore_count += 1
            seen.act("attach", volume_id=disk.id, server_id=server_id(1), device=device)
            seen.clock.sleep(60.0)
        return handle(service, request)

    seen.cloud.handle = slow  # type: ignore[method-assign]
    result = seen.carry_out(plan)
    assert "was moved while its first mark was on its way" in result["targets"]["db01"]["msg"]
    assert restores(seen) == {disk_id(1): 1}, "by the other run"
    seen.cloud.handle = handle  # type: ignore[method-assign]
    seen.pass_time(A_NAP)
    again = seen.plan([DB], run_id=plan["run_id"])
    assert "used_since" in {problem.code for problem in again.problems}, "a person decides"


def _submitted_before_us(seen: World, asked_for: str) -> None:
    """A process that was taken over from, or a person, has the disk restored right before our order."""
    handle = seen.cloud.handle
    came: list[Any] = []

    def first(service: str, request: Any) -> Any:
        if not came and request.method == "POST" and request.path.endswith(f"{backup_id(1)}/restore"):
            came.append(handle(service, replace(request, path=request.path.replace(backup_id(1), asked_for))))
            assert came[0].status == 200
        return handle(service, request)

    seen.cloud.handle = first  # type: ignore[method-assign]


def test_who_takes_over_gives_the_server_back_as_the_first_run_had_found_it() -> None:
    """A person had attached the disks again. As the new run began anew, it took the server for one that is off."""
    seen = world()
    before = Before(seen)
    _die_while_it_watches(seen, "r1")
    for number, device in ((1, "/dev/vda"), (2, "/dev/vdb")):
        seen.act("attach", volume_id=disk_id(number), server_id=server_id(1), device=device)
    assert "used_since" in {problem.code for problem in seen.plan([DB], run_id="r1").problems}
    result = seen.recover([DB], terms={"run_id": "r2", "take_over": "r1"}, take_over="r1")
    assert (result["failed"], before.differences(seen)) == (False, [])


def test_a_restore_that_was_submitted_under_our_mark_is_adopted() -> None:
    """It was taken for refused and the disk for untouched; so it was put back, and restored again by the next run."""
    seen = world()
    before = Before(seen)
    _submitted_before_us(seen, backup_id(1))
    result = seen.recover([DB], terms={"run_id": "r1"})
    assert (result["summary"], before.differences(seen)) == ({"restored": 2}, [])
    assert restores(seen) == {disk_id(1): 1, disk_id(2): 1}
    adopted = {item["volume_id"]: item["adopted"] for item in result["restores"]}
    assert adopted == {disk_id(1): True, disk_id(2): False}


@pytest.mark.parametrize(("seconds", "first"), [(3, {"restored": 2}), (3000, {"restored": 1, "unknown": 1})])
def test_a_disk_that_somebody_restores_from_another_backup_under_our_mark_is_not_untouched(
    seconds: float, first: dict[str, int]
) -> None:
    """It was put back with the wrong data. Detached all the time, it may be restored as planned when that is over."""
    seen = world(timing={"vbs_restore": seconds})
    before = Before(seen)
    _submitted_before_us(seen, backup_id(1, age=2))
    assert seen.recover([DB], terms={"run_id": "r1"})["summary"] == first
    assert bool(seen.cloud.world.disks[disk_id(1)].attachments) == ("unknown" not in first)
    seen.pass_time(3600.0)
    assert not seen.recover([DB], terms={"run_id": "r1"})["failed"]
    assert (not_restored(seen), before.differences(seen)) == ([disk_id(3), disk_id(4), disk_id(5)], [])


# -- disks that were moved since ---------------------------------------------------------------------------------------


def _die_while_it_watches(seen: World, run_id: str) -> None:
    """Both disks are restored in the end and stay detached, and db01 is off."""
    handle = seen.cloud.handle

    def die(_request: Any) -> None:
        metadata = seen.cloud.world.servers[server_id(1)].metadata
        if all("|accepted|" in metadata.get(mark_key(disk_id(number)), "") for number in (1, 2)):
            raise Crash

    _after_each(seen, die)
    with contextlib.suppress(Crash):
        seen.recover([DB], terms={"run_id": run_id})
    seen.cloud.handle = handle  # type: ignore[method-assign]
    seen.pass_time(1000.0)


def _move(seen: World) -> None:
    """A person attaches the disks of db01 to another server, where they are used."""
    for number, device in ((1, "/dev/vdf"), (2, "/dev/vdg")):
        if seen.cloud.world.disks[disk_id(number)].attachments:
            seen.act("detach", volume_id=disk_id(number))
        seen.act("attach", volume_id=disk_id(number), server_id=server_id(2), device=device)
        seen.act("write_disk", volume_id=disk_id(number), data="new data")


def test_disks_that_were_moved_after_their_restore_are_not_restored_again() -> None:
    """Their marks are at the server that they have left. The approval of the run covered the second restore, too."""
    seen = world()
    plan = seen.plan([DB], run_id="r1")
    assert not seen.carry_out(plan.as_dict())["failed"]
    _move(seen)
    again = seen.carry_out(seen.plan([DB], run_id="r1").as_dict(), approved=(plan.id,))
    assert again["summary"] == {"already_restored": 2}
    assert seen.data()[disk_id(1)] == "new data"


def test_disks_that_were_moved_in_the_middle_of_their_restore_are_left_to_a_person() -> None:
    seen = world()
    _die_while_it_watches(seen, "r1")
    _move(seen)
    assert "used_since" in {problem.code for problem in seen.plan([DB], run_id="r1").problems}
    new = {"run_id": "r2", "take_over": "r1"}
    for _run in range(2):  # the second finds what the first has done, though the old server still bears r1's marks
        seen.recover([DB], terms=new, take_over="r1")
    assert restores(seen) == {disk_id(1): 2, disk_id(2): 2}


def test_what_a_run_left_open_in_the_cloud_is_finished_before_the_next_keeps_a_file(tmp_path: Path) -> None:
    """Nobody looked for marks in the cloud: the disks were restored again and left detached, and that was a success."""
    seen = world()
    before = Before(seen)
    _die_while_it_watches(seen, "r1")
    with pytest.raises(NotReady) as caught:
        seen.recover([DB], terms={"run_id": "r1"}, journal_dir=tmp_path)
    (problem,) = caught.value.problems
    assert (problem.code, "journal: cloud" in problem.remedy) == ("unfinished_in_cloud", True)
    assert not seen.recover([DB], terms={"run_id": "r1"})["failed"]
    again = seen.recover([DB], terms={"run_id": "r1"}, journal_dir=tmp_path)
    assert (again["summary"], before.differences(seen)) == ({"already_restored": 2}, [])


# -- a journal in files ------------------------------------------------------------------------------------------------


class Clock:
    def now(self) -> float:
        return START

    def monotonic(self) -> float:
        return START

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


def _claimed(folder: Path, run: str, phase: Phase = Phase.BEGUN) -> tuple[FileJournal, Any]:
    journal = FileJournal(folder, run, Clock())
    holder = Holder("server", server_id(1))
    assert journal.open(holder) is None
    mark = Mark(phase, run, "t", backup_id(1), server_id=server_id(1))
    return journal, journal.write(holder, [(mark_key(disk_id(1)), mark)], claim=True)


def test_two_runs_of_one_folder_do_not_claim_the_same_disk(tmp_path: Path) -> None:
    """Both planned before either had written anything."""
    first, failure = _claimed(tmp_path, "one")
    assert failure is None
    second, failure = _claimed(tmp_path, "two")
    assert "worked on by another run now (one," in str(failure)
    second.close()
    first.close()
    third, failure = _claimed(tmp_path, "two")
    assert failure is None, "a run that is not at work any more keeps nobody away"
    third.close()


def test_what_another_run_has_finished_is_no_claim(tmp_path: Path) -> None:
    first, _none = _claimed(tmp_path, "one", Phase.FINISHED)
    second, failure = _claimed(tmp_path, "two")
    assert failure is None
    second.close()
    first.close()


def test_what_another_run_has_begun_since_is_no_claim_though_it_has_ended(tmp_path: Path) -> None:
    """It had left the server stopped, with an open mark that says that it ran: the later claim took it as found off."""
    waiting = FileJournal(tmp_path, "two", Clock())
    assert waiting.open(Holder("server", server_id(2))) is None
    first, _none = _claimed(tmp_path, "one")
    first.close()
    holder = Holder("server", server_id(1))
    mark = Mark(Phase.BEGUN, "two", "t", backup_id(1), server_id=server_id(1))
    failure = waiting.write(holder, [(mark_key(disk_id(2)), mark), (mark_key(disk_id(1)), mark)], claim=True)
    assert failure is not None
    assert (failure.kind, "run one has begun with server" in failure.message) == (Failure.TAKEN, True)
    assert waiting.write(holder, [(mark_key(disk_id(2)), mark)], claim=True) is None, "nobody else's"
    assert waiting.write(holder, [(mark_key(disk_id(2)), mark)], claim=True) is None, "its own by now"
    waiting.close()


def test_a_folder_that_is_spoiled_in_the_middle_leaves_no_server_off(tmp_path: Path) -> None:
    """The claim of the next server raised, which ended the run while the disks of the first one were detached."""
    seen = world()
    before = Before(seen)

    def spoil(request: Any) -> None:
        if request.path.endswith("/restore"):
            (tmp_path / "x.jsonl").mkdir(exist_ok=True)

    _after_each(seen, spoil)
    result = seen.recover([DB, replace(ARCHIVE, wave=2)], journal_dir=tmp_path)
    assert {name: target["state"] for name, target in result["targets"].items()} == {
        "db01": "restored",
        "archive": "failed",
    }
    assert "Is a directory" in result["targets"]["archive"]["msg"]
    assert before.differences(seen) == []


@pytest.mark.parametrize("wait_for", ["cloudvolumes/detail", backup_id(2)])
def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, wait_for: str) -> None:
    seen = world()
    plan = seen.plan([DB], journal_dir=tmp_path).as_dict()
    _after_each(seen, lambda r: (tmp_path / "x.jsonl").mkdir(exist_ok=True) if r.path.endswith(wait_for) else None)
    with pytest.raises((NotReady, OptionError), match=r"x\.jsonl"):
        seen.carry_out(plan, journal_dir=tmp_path)
    assert restores(seen) == {}
    (tmp_path / "x.jsonl").rmdir()
    assert not read_files(tmp_path).at_work, "its lock is given back"


def test_a_server_that_another_run_of_the_folder_did_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """Hours may pass between the check of a plan and a server's turn: it was restored once more, and stayed off."""
    seen = world()
    plan = seen.plan([DB], journal_dir=tmp_path).as_dict()
    before = Before(seen)
    looks: list[str] = []

    def other_run(request: Any) -> None:
        if request.method == "GET" and request.path.endswith(f"cloudservers/{server_id(1)}"):
            looks.append(request.path)
            if len(looks) == 1:
                _claimed(tmp_path, "b")[0].close()

    _after_each(seen, other_run)
    result = seen.carry_out(plan, journal_dir=tmp_path)
    assert "run b has begun" in result["targets"]["db01"]["msg"]
    assert (before.differences(seen), restores(seen)) == ([], {})


def test_a_plan_that_another_process_carried_out_since_its_check_is_refused(tmp_path: Path) -> None:
    """The same run twice: the second had planned, was slow, and got the lock when the first had ended."""
    seen = world()
    plan = seen.plan([ARCHIVE], journal_dir=tmp_path).as_dict()
    first = seen.cloud.handle
    ran: list[bool] = []

    def meanwhile(service: str, request: Any) -> Any:
        response = first(service, request)
        if not ran and "backups" in request.path:  # the files have been read by then
            ran.append(True)
            mark = Mark(Phase.FINISHED, plan["run_id"], "t", backup_id(3))
            journal = FileJournal(tmp_path, plan["run_id"], Clock())
            assert journal.open(Holder("disk", disk_id(3))) is None
            journal.write(Holder("disk", disk_id(3)), [(LONE_DISK_KEY, mark)], claim=False)
            journal.close()
        return response

    seen.cloud.handle = meanwhile  # type: ignore[method-assign]
    with pytest.raises(NotReady, match="another process has worked on this plan"):
        seen.carry_out(plan, journal_dir=tmp_path)
    assert restores(seen) == {}


@pytest.mark.parametrize("lag_seconds", [0.0, 10.0])
def test_a_restore_of_before_without_its_job_is_not_told_by_the_states_alone(
    tmp_path: Path, lag_seconds: float
) -> None:
    """The controller died between the restore and its job id; the restore failed, and counted as done.

    With a lag the disk still shows as free when the next one plans.
    """
    outcomes = {disk_id(3): ["fail_available", "ok"]}
    seen = world(restore_outcome=outcomes, timing={"vbs_restore": 600.0}, state_lag_seconds=lag_seconds)

    def dying(request: Any) -> None:
        if request.path.endswith("/restore"):
            raise Crash

    handle = seen.cloud.handle
    _after_each(seen, dying)
    with pytest.raises(Crash):
        seen.recover([ARCHIVE], journal_dir=tmp_path)
    seen.cloud.handle = handle  # type: ignore[method-assign]
    assert seen.recover([ARCHIVE], journal_dir=tmp_path)["summary"] == {"restored": 1}
    assert seen.data()[disk_id(3)].endswith("2-hours-old")


# -- marks of long ago -------------------------------------------------------------------------------------------------


def _backup_holds_an_open_mark(seen: World, number: int) -> None:
    backup = seen.cloud.world.vbs_backups[backup_id(number)]
    text = encode(Mark(Phase.SUBMITTING, "long-ago", "t", backup_id(number, 9), at=START - 3 * 3600))
    backup.spec = replace(backup.spec, metadata={LONE_DISK_KEY: text})


def test_an_old_mark_from_the_backup_does_not_hide_what_the_server_says() -> None:
    """The disk was taken for one without a server, restored once more, and the server stayed off, unmentioned."""
    seen = world(restore_metadata="replace")
    before = Before(seen)
    _backup_holds_an_open_mark(seen, 1)
    with seen.dying(lambda request: "attachvolume" in request.path):
        seen.recover([DB])
    with pytest.raises(NotReady) as caught:
        seen.recover([DB])
    assert [problem.code for problem in caught.value.problems] == ["run_in_progress"]
    seen.pass_time(A_NAP)
    assert seen.recover([DB])["summary"] == {"restored": 2}
    assert (before.differences(seen), set(restores(seen).values())) == ([], {1})


def test_an_old_mark_from_the_backup_does_not_choose_the_backup() -> None:
    seen = world(restore_metadata="replace")
    _backup_holds_an_open_mark(seen, 3)
    ancient = {"volume_id": disk_id(3), "backup_id": backup_id(3, 9), "data": "ancient", "age_seconds": 90 * 86400}
    seen.act("add_backup", **ancient)
    with seen.dying(lambda request: b"|finished|" in (request.body or b"")):
        seen.recover([ARCHIVE])
    seen.pass_time(A_NAP)
    plan = seen.plan([ARCHIVE])
    assert [problem.code for problem in plan.problems] == ["mark_of_backup"]
    with pytest.raises(NotReady, match="not ready when it was made"):
        seen.carry_out(plan.as_dict())
    named = replace(ARCHIVE, volumes=((disk_id(3), backup_id(3)),))
    assert not seen.recover([named])["failed"]
    assert seen.data()[disk_id(3)].endswith("2-hours-old")


@pytest.mark.parametrize("named", [True, False], ids=["the backup is named", "the run is named"])
def test_an_accepted_mark_from_a_newer_backup_is_no_proof(named: bool) -> None:
    """That backup was made under it, and restored since: to be seen is the mark of a restore that was done before.

    It was believed, so the disk held the newer backup's data and was called restored from the older one.
    """
    seen = world(restore_metadata="replace")
    with seen.dying(lambda request: request.method == "GET" and _accepted(seen)):
        seen.recover([ARCHIVE])
    mark = seen.cloud.world.disks[disk_id(3)].metadata[LONE_DISK_KEY]
    seen.act("add_backup", volume_id=disk_id(3), data="made since")
    seen.pass_time(A_NAP)
    with seen.dying(lambda request: b"|finished|" in (request.body or b"")):
        seen.recover([ARCHIVE])
    seen.pass_time(A_NAP)
    assert seen.cloud.world.disks[disk_id(3)].metadata[LONE_DISK_KEY] == mark
    assert (restores(seen), seen.data()[disk_id(3)]) == ({disk_id(3): 2}, "made since")
    wish = replace(ARCHIVE, volumes=((disk_id(3), backup_id(3)),)) if named else ARCHIVE
    result = seen.recover([wish], terms={} if named else {"run_id": mark.split("|")[2]})
    assert result["summary"] == {"restored": 1}
    assert seen.data()[disk_id(3)].endswith("2-hours-old")
    seen.pass_time(A_NAP)
    assert seen.recover([wish], terms={"run_id": mark.split("|")[2]})["summary"] == {"already_restored": 1}


def _accepted(seen: World) -> bool:
    return "|accepted|" in seen.cloud.world.disks[disk_id(3)].metadata.get(LONE_DISK_KEY, "")


def test_a_mark_under_which_no_backup_was_made_is_believed() -> None:
    seen = world(restore_metadata="keep")
    with seen.dying(lambda request: request.method == "GET" and _accepted(seen)):
        seen.recover([ARCHIVE])
    seen.pass_time(A_NAP)
    assert seen.recover([ARCHIVE])["summary"] == {"restored": 1}
    assert restores(seen) == {disk_id(3): 1}


def test_an_owner_from_the_backup_is_no_other_run() -> None:
    """The backup was made during the recovery, under the marks of its first run, whose restore was refused.

    The next one was restored, but for its last mark: so the disk was restored again and again.
    """
    seen = world(restore_metadata="replace")
    seen.faults({"api": "vbs.restore", "nth": [1], "action": {"status": 400, "json": {"message": "not that one"}}})
    assert seen.recover([ARCHIVE])["failed"]
    seen.pass_time(A_NAP)
    seen.act("add_backup", volume_id=disk_id(3), data="made since")
    seen.pass_time(A_NAP)
    target = seen.recover([ARCHIVE])["targets"]["archive"]
    assert (target["state"], target["failed"], target["msg"]) == ("restored", False, "archive: 1 restored")
    assert "|finished|" in seen.cloud.world.disks[disk_id(3)].metadata[LONE_DISK_KEY]
    seen.pass_time(A_NAP)
    assert seen.recover([ARCHIVE])["summary"] == {"already_restored": 1}
    assert (restores(seen), seen.data()[disk_id(3)]) == ({disk_id(3): 1}, "made since")


def test_a_run_that_took_a_disk_over_during_its_restore_keeps_its_marks() -> None:
    seen = world(timing={"vbs_restore": 100.0})
    theirs = encode(Mark(Phase.SUBMITTING, "b", "t", backup_id(3), at=START + 30))
    metadata = seen.cloud.world.disks[disk_id(3)].metadata
    entries = {LONE_DISK_KEY: theirs, OWNER_KEY: f"1|b|elsewhere|1.1|ffffffff|server:x|{START + 30:.0f}"}

    def taking_over(_request: Any) -> None:
        if seen.clock.time > START + 30 and metadata[LONE_DISK_KEY].startswith("1|accepted|"):
            seen.act("set_metadata", volume_id=disk_id(3), metadata=entries)

    _after_each(seen, taking_over)
    assert "worked on by another run" in seen.recover([ARCHIVE])["targets"]["archive"]["msg"]
    assert {key: metadata[key] for key in entries} == entries


# -- the end of a run --------------------------------------------------------------------------------------------------


def test_a_disk_whose_last_mark_is_missing_fails_its_target() -> None:
    """The next run of the same playbook would restore it again."""
    seen = world()
    refused = {"status": 403, "json": {"error": {"code": "EVS.9999", "message": "not now"}}}
    rule = {"api": "evs.merge_metadata", "times": 20, "action": refused}
    _after_each(seen, lambda request: seen.faults(rule) if "cloudbackups" in request.path else None)
    target = seen.recover([ARCHIVE])["targets"]["archive"]
    assert (target["state"], target["failed"]) == ("restored", True)
    assert "could not be written down" in target["msg"]


def test_the_lease_is_returned_after_its_last_renewal() -> None:
    """A renewal that was on its way when the run ended made it look alive for three minutes more."""
    seen = world(timing={"vbs_restore": 55.0})
    late: list[float] = []

    def slow(request: Any) -> None:
        body = (request.body or b"").decode()
        if "hwcloud_recovery_lease" in body and '|0"' not in body and seen.clock.time > START + 30 and not late:
            late.append(seen.clock.time)
            seen.clock.sleep(A_NAP)

    handle = seen.cloud.handle

    def held_up(service: str, request: Any) -> Any:
        slow(request)
        return handle(service, request)

    seen.cloud.handle = held_up  # type: ignore[method-assign]
    assert not seen.recover([ARCHIVE])["failed"]
    assert late, "no renewal was under way"
    lease = seen.cloud.world.disks[disk_id(3)].metadata["hwcloud_recovery_lease"]
    assert lease.endswith("||0")


def test_a_module_that_restores_one_disk_renews_its_lease() -> None:
    """It was good for three minutes; after that a second process with the same run_id was let in."""
    seen = world(timing={"vbs_restore": 2000.0})
    ages: list[float] = []

    def look(_request: Any) -> None:
        lease = decode_lease(seen.cloud.world.disks[disk_id(3)].metadata.get(LEASE_KEY))
        ages.append(seen.clock.now() - lease.renewed_at if lease and lease.nonce else 0.0)

    _after_each(seen, look)
    wish = single.DiskWish(backup_id(3), disk_id(3), "r1")
    assert single.restore_disk(seen.shell(), wish, Rules(), dry_run=False)["state"] == "restored"
    assert max(ages) < LEASE_SECONDS / 2


def test_a_run_that_was_superseded_does_not_write_over_the_marks_of_the_other() -> None:
    """It stood still with a detached disk; when it woke, the disk was in use, and it wrote `begun` over `finished`."""
    seen = world()
    done = encode(Mark(Phase.FINISHED, "b", "t", backup_id(1), at=START + 300))

    def other_run(request: Any) -> None:
        if "|submitting|" in (request.body or b"").decode() and mark_key(disk_id(1)) in request.body.decode():
            owner = {OWNER_KEY: "1|b|elsewhere|1.1|ffffffff|server:x|1"}
            marks = {mark_key(disk_id(number)): done for number in (1, 2)}
            seen.act("set_metadata", server_id=server_id(1), metadata={**marks, **owner})
            for number, device in ((1, "/dev/vda"), (2, "/dev/vdb")):
                seen.act("attach", volume_id=disk_id(number), server_id=server_id(1), device=device)

    _after_each(seen, other_run)
    result = seen.recover([DB])
    assert result["failed"]
    assert "worked on by another run" in result["targets"]["db01"]["msg"]
    metadata = seen.cloud.world.servers[server_id(1)].metadata
    assert [metadata[mark_key(disk_id(number))] for number in (1, 2)] == [done, done]
    assert restores(seen) == {}


def test_the_marks_of_a_run_that_came_while_the_server_started_are_kept() -> None:
    """`finished` was written over its `begun`, and it went on to detach a disk without a mark of its own."""
    seen = world()
    begun = encode(Mark(Phase.BEGUN, "b", "t", backup_id(1), at=START + 300))
    marks = {mark_key(disk_id(number)): begun for number in (1, 2)}

    def other_run(request: Any) -> None:
        if b"os-start" in (request.body or b""):
            owner = {OWNER_KEY: "1|b|elsewhere|1.1|ffffffff|server:x|1"}
            seen.act("set_metadata", server_id=server_id(1), metadata={**marks, **owner})

    _after_each(seen, other_run)
    target = seen.recover([DB])["targets"]["db01"]
    assert target["state"] == "restored"
    assert "worked on by another run" in target["msg"]
    assert marks.items() <= seen.cloud.world.servers[server_id(1)].metadata.items()
