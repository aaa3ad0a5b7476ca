# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controllers that die, answers that get lost, runs that meet, people in the middle. In virtual time, by seed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import Rules
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Wish
from ansible_collections.hwcloud.recovery.plugins.module_utils._run import journal, recovery
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.recovery import NotReady
from simulation.cases import (
    ARCHIVE,
    DB,
    ENCRYPTED,
    FILES,
    SMALL,
    Before,
    History,
    backup_id,
    disk_id,
    not_restored,
    restores,
    server_id,
    world,
    writes,
)
from simulation.world import Crash, World
from simulator.messages import Request, Response, answer

LEASE_IS_OLD = 200.0
"""Seconds after which another controller may go on: the lease is 180 s good."""

EVERY = 9
"""Every so-manieth call of a run is a place to die at; each parametrization begins at another one."""


def _die(seen: World, place: tuple[int, str], wishes: Any = SMALL, **options: Any) -> str:
    """Run until the crash; returns the call that it happened at, "" if the run ended first."""
    with contextlib.suppress(Crash):
        seen.recover(wishes, crash_at=place, **options)
        return ""
    return seen.network.calls[-1]


def _calls(**behaviours: Any) -> int:
    seen = world(**behaviours)
    seen.recover(SMALL)
    return len(seen.network.calls)


@pytest.mark.parametrize(
    ("start", "behaviours"),
    [
        (0, {}),
        (1, {}),
        (2, {"restore_metadata": "replace"}),
        (3, {"state_lag_seconds": 15.0}),
        (0, {"restore_device": "next_free", "page_limit_cap": 1, "sub_jobs": "missing"}),
    ],
    ids=str,
)
def test_whatever_call_it_dies_at_the_next_run_finishes(start: int, behaviours: dict[str, Any]) -> None:
    """The end is right, and no disk is restored again once it was back in use.

    A disk may be restored a second time while it is still detached, if its controller died before it had written down
    the job; and whether HSS was asked at all cannot be known if it died around that call: then `unknown` is right.
    """
    for number in range(start, _calls(**behaviours), EVERY):
        for phase in ("before", "after"):
            seen = world(**behaviours)
            before, history = Before(seen), History(seen)
            call = _die(seen, (number, phase))
            seen.pass_time(LEASE_IS_OLD)
            result = seen.recover(SMALL)
            where = f"{number} {phase} {call}"
            if result["targets"]["files01"]["state"] == "unknown":
                assert seen.data()[disk_id(4)] == ENCRYPTED, where
                result = seen.recover(SMALL, rules=_resubmit("files01"))
            assert not result["failed"], (where, result["targets"])
            assert not_restored(seen) == [], where
            assert before.differences(seen) == [], where
            assert seen.summary()["violations"] == [], where
            assert max(restores(seen)[disk_id(n)] for n in (1, 2, 3)) <= 2, where
            assert max(restores(seen)[disk_id(n)] for n in (4, 5)) == 1, where
            assert history.restored_after_use() == [], where


def _resubmit(*targets: str) -> Any:
    return Rules(resubmit_unknown=frozenset(targets))


def test_two_crashes_in_a_row() -> None:
    for number in range(20, 100, 9):
        seen = world()
        before = Before(seen)
        _die(seen, (number, "after"))
        seen.pass_time(LEASE_IS_OLD)
        _die(seen, (number // 2, "before"))
        seen.pass_time(LEASE_IS_OLD)
        result = seen.recover(SMALL, rules=_resubmit("files01"))
        assert not result["failed"], (number, result["targets"])
        assert not_restored(seen) == []
        assert before.differences(seen) == []


def test_the_file_journal_carries_a_run_over_a_crash(tmp_path: Path) -> None:
    for number in range(15, 100, 6):
        seen = world()
        before = Before(seen)
        folder = tmp_path / str(number)
        plan = seen.plan(SMALL)
        _die_with_files(seen, (number, "after"), folder)
        result = _with_files(seen, folder)
        assert result["run_id"] == plan.run_id
        assert not result["failed"], (number, result["targets"])
        assert not_restored(seen) == []
        assert before.differences(seen) == []
        assert "hwcloud_recovery" not in str([s.metadata for s in seen.cloud.world.servers.values()])


def _die_with_files(seen: World, place: tuple[int, str], folder: Path) -> None:
    with contextlib.suppress(Crash):
        _with_files(seen, folder, crash_at=place)


def _with_files(seen: World, folder: Path, **options: Any) -> dict[str, Any]:
    return seen.recover(SMALL, journal_dir=folder, rules=_resubmit("files01"), **options)


# -- lost answers ------------------------------------------------------------------------------------------------------

WRITES = ["vbs.restore", "hss.restore", "ecs.detach", "ecs.attach", "ecs.server_action", "ecs.update_metadata"]


@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("api", WRITES)
def test_a_lost_answer(api: str, phase: str) -> None:
    """Nothing is done twice that was done, and nothing is left out."""
    seen = world()
    before = Before(seen)
    seen.faults({"api": api, "phase": phase, "action": {"drop": True}})
    result = seen.recover(SMALL)
    if (api, phase) == ("hss.restore", "before"):
        assert result["targets"]["files01"]["state"] == "unknown"
        assert seen.data()[disk_id(4)] == ENCRYPTED
        return
    assert not result["failed"], result["targets"]
    assert not_restored(seen) == []
    assert before.differences(seen) == []
    assert set(restores(seen).values()) == {1}


@pytest.mark.parametrize(
    "action",
    [
        {"status": 500, "json": {"error": {"code": "VolumeBackup.0900", "message": "later"}}},
        {"status": 502, "raw": "html"},
        {"status": 504, "json": {"error_code": "APIGW.0201", "error_msg": "backend timeout"}},
        {"raw": "garbage"},
        {"throttle": True},
        {"throttle": {"retry_after": 7}},
    ],
    ids=str,
)
@pytest.mark.parametrize("api", ["vbs.restore", "ecs.detach", "ecs.attach", "ecs.server_action", "vbs.show_job"])
def test_an_odd_answer_once(api: str, action: dict[str, Any]) -> None:
    seen = world()
    before = Before(seen)
    seen.faults({"api": api, "action": action})
    result = seen.recover([DB, ARCHIVE])
    assert not result["failed"], result["targets"]
    assert before.differences(seen) == []
    assert set(restores(seen).values()) == {1}


def test_busy_with_202_is_not_taken_for_success() -> None:
    seen = world()
    seen.faults({"api": "ecs.detach", "times": 2, "action": {"busy": True}})
    assert not seen.recover([DB])["failed"]


@pytest.mark.parametrize("disguise", ["apigw_0307", "common_0013", "autobackup_0003", "plain_401"])
def test_the_token_expires_in_the_middle(disguise: str) -> None:
    seen = world()
    handle = seen.cloud.handle

    def expiring(service: str, request: Any) -> Any:
        if len(seen.cloud.log) == 60:
            seen.act("expire_tokens", disguise=disguise)
        return handle(service, request)

    seen.cloud.handle = expiring  # type: ignore[method-assign]
    assert not seen.recover(SMALL)["failed"]
    assert set(restores(seen).values()) == {1}


# -- other runs --------------------------------------------------------------------------------------------------------


def _half_way(seen: World, **options: Any) -> None:
    """A run that dies when the restores of the database server have just been accepted."""
    _die(seen, (_first_call_after("vbs.restore", 2, DB), "after"), [DB], **options)
    assert seen.summary()["by_api"]["vbs.restore"] == 2


@cache
def _first_call_after(api: str, times: int, wish: Wish) -> int:
    """The first poll of a run after it has sent this order so many times."""
    seen = world()
    seen.recover([wish])
    polls = ("evs.show_volume", "evs.list_volumes", "hss.list_operation_logs")
    log = [entry.api for entry in seen.cloud.log]
    run = log.index("iam.create_token", 1)  # before it: the plan
    last = [n for n, name in enumerate(log) if name == api][times - 1]
    return next(n for n in range(last, len(log)) if log[n] in polls) - run


def test_another_process_refuses_while_the_lease_is_young() -> None:
    seen = world()
    _half_way(seen)
    so_far = writes(seen)
    with pytest.raises(NotReady) as caught:
        seen.recover([DB])
    assert [problem.code for problem in caught.value.problems] == ["run_in_progress"]
    assert writes(seen) == so_far


def test_an_owner_on_this_host_that_is_gone_is_taken_over_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = world()
    monkeypatch.setattr(journal, "this_process", lambda: "999999999.12345")
    _half_way(seen)
    monkeypatch.undo()
    assert not seen.recover([DB])["failed"]
    assert set(restores(seen).values()) == {1}


def test_take_over_does_not_wait_for_the_lease() -> None:
    seen = world()
    _half_way(seen)
    run = seen.plan([DB]).run_id
    assert not seen.recover([DB], terms={"take_over": run}, take_over=run)["failed"]
    assert set(restores(seen).values()) == {1}


def test_an_unfinished_run_of_another_name_is_an_error() -> None:
    seen = world()
    _half_way(seen, terms={"run_id": "first"})
    seen.pass_time(LEASE_IS_OLD)
    with pytest.raises(NotReady) as caught:
        seen.recover([DB], terms={"run_id": "second"})
    assert [problem.code for problem in caught.value.problems] == ["unfinished_run"]
    assert "first" in caught.value.problems[0].remedy
    taken = seen.recover([DB], terms={"run_id": "second", "take_over": "first"}, take_over="first")
    assert taken["run_id"] == "second"
    assert not taken["failed"]


def test_without_a_run_id_the_unfinished_run_goes_on() -> None:
    seen = world()
    _half_way(seen, terms={"run_id": "first"})
    seen.pass_time(LEASE_IS_OLD)
    assert seen.recover([DB])["run_id"] == "first"


def test_a_newer_backup_does_not_change_a_run_that_has_begun() -> None:
    seen = world()
    _half_way(seen)
    seen.act("add_backup", volume_id=disk_id(1), data="newer", size=1)
    seen.pass_time(LEASE_IS_OLD)
    assert not seen.recover([DB])["failed"]
    assert not_restored(seen) == [disk_id(n) for n in (3, 4, 5)]


def test_a_superseded_process_touches_nothing_more() -> None:
    seen = world()
    handle = seen.cloud.handle
    done = []

    def superseding(service: str, request: Any) -> Any:
        if not done and "detachvolume" in request.path:
            done.append(True)
            owner = seen.cloud.world.servers[server_id(1)].metadata["hwcloud_recovery_owner"].split("|")
            owner[4] = "ffffffff"  # the nonce of another process
            seen.act("set_metadata", server_id=server_id(1), metadata={"hwcloud_recovery_owner": "|".join(owner)})
        return handle(service, request)

    seen.cloud.handle = superseding  # type: ignore[method-assign]
    result = seen.recover([DB])
    assert result["failed"]
    assert restores(seen) == {}
    assert "worked on by another run" in result["targets"]["db01"]["msg"]
    assert seen.summary()["by_api"].get("ecs.attach") is None


# -- people ------------------------------------------------------------------------------------------------------------


def test_a_disk_that_was_used_since_is_never_restored_again() -> None:
    seen = world()
    _half_way(seen)
    seen.pass_time(LEASE_IS_OLD)
    for number in (1, 2):
        seen.act("attach", volume_id=disk_id(number), server_id=server_id(1), device=f"/dev/vd{'ab'[number - 1]}")
        seen.act("write_disk", volume_id=disk_id(number), data="new work")
    with pytest.raises(NotReady) as caught:
        seen.recover([DB])
    assert {problem.code for problem in caught.value.problems} == {"used_since"}
    assert seen.data()[disk_id(1)] == "new work"
    run = seen.plan([DB]).run_id
    new = {"run_id": "new-incident", "take_over": run}
    assert not seen.recover([DB], terms=new, take_over=run)["failed"]
    assert not_restored(seen) == [disk_id(n) for n in (3, 4, 5)]


def test_a_disk_that_left_between_plan_and_run() -> None:
    seen = world()
    plan = seen.plan([DB]).as_dict()
    seen.act("detach", volume_id=disk_id(2))
    seen.act("attach", volume_id=disk_id(2), server_id=server_id(2), device="/dev/vdz")
    with pytest.raises(NotReady) as caught:
        recovery.recover(seen.shell(), plan, recovery.RunOptions(approved=(plan["id"],)))
    assert writes(seen) == 0
    assert [problem.code for problem in caught.value.problems] == ["moved_since_plan"]


def test_a_backup_that_is_deleted_in_the_middle() -> None:
    seen = world()
    before = Before(seen)
    handle = seen.cloud.handle

    def deleting(service: str, request: Any) -> Any:
        if "detachvolume" in request.path and backup_id(2) in seen.cloud.world.vbs_backups:
            seen.act("delete_backup", backup_id=backup_id(2))
        return handle(service, request)

    seen.cloud.handle = deleting  # type: ignore[method-assign]
    result = seen.recover([DB])
    assert result["summary"] == {"failed": 1, "restored": 1}
    assert "stays off" in result["targets"]["db01"]["msg"]
    places = [text for text in before.differences(seen) if text.startswith("disk")]
    assert places == []


def test_a_backup_that_is_deleted_after_a_crash() -> None:
    """Nothing was submitted, so the next run puts everything back instead of leaving it taken apart."""
    seen = world()
    before = Before(seen)
    _die(seen, (_first_call_after("ecs.detach", 2, DB), "after"), [DB])
    seen.pass_time(LEASE_IS_OLD)
    assert len([text for text in before.differences(seen) if text.startswith("disk")]) == 2
    assert restores(seen) == {}
    for number in (1, 2):
        seen.act("delete_backup", backup_id=backup_id(number))
    result = seen.recover([DB])
    assert result["summary"] == {"failed": 2}
    assert before.differences(seen) == []
    assert seen.recover([DB])["summary"] == {"restored": 2}  # from the next newest


def test_a_broken_disk_does_not_keep_the_others_from_being_finished() -> None:
    seen = world(restore_outcome={disk_id(3): "fail_error_restoring"})
    before = Before(seen)
    _die(seen, (_first_call_after("vbs.restore", 2, DB) + 25, "after"), [DB, ARCHIVE])
    seen.pass_time(7200)
    assert seen.cloud.world.disks[disk_id(3)].status == "error_restoring"
    result = seen.recover([DB, ARCHIVE])
    assert result["summary"] == {"failed": 1, "restored": 2}
    assert before.differences(seen) == []


def test_a_broken_disk_without_a_server_stays_open() -> None:
    """It was begun and is not what it was: its mark must not say that it was put back untouched."""
    seen = world()
    mark = f"1|begun|r1|t|{backup_id(3)}|||-|-||{int(seen.clock.now() - 60)}"
    seen.act("set_metadata", volume_id=disk_id(3), metadata={"hwcloud_recovery_mark": mark})
    seen.act("set_disk", volume_id=disk_id(3), status="error_restoring")
    assert seen.recover([ARCHIVE])["summary"] == {"failed": 1}
    assert seen.cloud.world.disks[disk_id(3)].metadata["hwcloud_recovery_mark"].startswith("1|begun|r1|")


REFUSED = {"status": 400, "json": {"code": "VolumeBackup.0064", "message": "the backup is not available"}}


def _refusing(seen: World) -> None:
    seen.faults({"api": "vbs.restore", "nth": [1, 2], "phase": "before", "action": REFUSED})


def _blind_once_detached(seen: World) -> None:
    """The disk leaves, but nobody may see it: so no step after that is taken."""
    handle = seen.cloud.handle
    asked: list[Request] = []

    def blind(service: str, request: Request) -> Response:
        if asked and request.method == "GET" and "volumes" in request.path:
            asked.clear()
            seen.cloud.handle = handle  # type: ignore[method-assign]
            return answer({"error": {"code": "Ecs.9999", "message": "not now"}}, status=403)
        asked.extend([request] if request.method == "DELETE" else [])
        return handle(service, request)

    seen.cloud.handle = blind  # type: ignore[method-assign]


@pytest.mark.parametrize("trouble", [_refusing, _blind_once_detached])
def test_a_run_that_dies_while_it_puts_untouched_disks_back_goes_on(trouble: Callable[[World], None]) -> None:
    """That they are attached anew does not mean that they were restored and used since."""
    seen = world()
    trouble(seen)
    assert seen.recover([DB])["summary"] == {"failed": 2}
    attach = next(n for n, call in enumerate(seen.network.calls) if call.endswith("attachvolume"))
    for number in range(attach, len(seen.network.calls)):
        for phase in ("before", "after"):
            seen = world()
            before = Before(seen)
            trouble(seen)
            assert _die(seen, (number, phase), [DB])
            seen.pass_time(LEASE_IS_OLD)
            assert not seen.recover([DB])["failed"], (number, phase)
            assert (restores(seen), before.differences(seen)) == ({disk_id(1): 1, disk_id(2): 1}, [])


def test_another_run_does_not_write_over_the_lease() -> None:
    seen = world()
    _die(seen, (_first_call_after("vbs.restore", 1, ARCHIVE) + 6, "after"), [ARCHIVE, replace(DB, wave=2)])
    assert set(restores(seen)) <= {disk_id(3)}
    with pytest.raises(NotReady) as caught:
        seen.recover([DB])
    assert [problem.code for problem in caught.value.problems] == ["run_in_progress"]


def test_as_found_is_what_is_found_when_its_turn_comes() -> None:
    seen = world()
    handle = seen.cloud.handle
    stopped = []

    def stopping(service: str, request: Any) -> Any:
        if not stopped and "cloudbackups" in request.path:  # the first wave is at work
            stopped.append(seen.act("stop", server_id=server_id(1)))
        return handle(service, request)

    seen.cloud.handle = stopping  # type: ignore[method-assign]
    assert not seen.recover([ARCHIVE, replace(DB, wave=2)])["failed"]
    assert seen.cloud.world.servers[server_id(1)].status == "SHUTOFF"


def test_a_whole_server_ends_as_it_is_found_when_its_turn_comes() -> None:
    """It was started after the plan's check, hours before its wave, and left off: as found, it was said."""
    seen = world()
    seen.act("stop", server_id=server_id(2))
    handle = seen.cloud.handle
    started = []

    def starting(service: str, request: Any) -> Any:
        if not started and "cloudbackups" in request.path:  # the first wave is at work
            started.append(seen.act("start", server_id=server_id(2)))
        return handle(service, request)

    seen.cloud.handle = starting  # type: ignore[method-assign]
    result = seen.recover([ARCHIVE, FILES])
    assert not result["failed"]
    assert [(one["found"], one["left"]) for one in result["servers"]] == [("ACTIVE", "ACTIVE")]
    assert seen.cloud.world.servers[server_id(2)].status == "ACTIVE"


def test_a_second_incident_is_not_silently_skipped() -> None:
    seen = world()
    seen.recover([DB])
    seen.act("add_backup", volume_id=disk_id(1), data="after the first incident", size=1)
    plan = seen.plan([DB])
    states = {restore.case.volume_id: restore.state for restore in plan.restores}
    assert states == {disk_id(1): "to_restore", disk_id(2): "already_restored"}


def test_marks_of_an_older_run_in_a_backup_say_nothing() -> None:
    """A restore may bring the metadata of the backup back, with the marks that it held then."""
    seen = world(restore_metadata="replace")
    assert not seen.recover([ARCHIVE], terms={"run_id": "old"})["failed"]
    seen.pass_time(3600)
    seen.act("add_backup", volume_id=disk_id(3), backup_id=backup_id(77), data="later")
    seen.pass_time(3600)
    newest = replace(ARCHIVE, volumes=((disk_id(3), backup_id(77)),))
    assert not seen.recover([newest], terms={"run_id": "new"})["failed"]
    assert seen.data()[disk_id(3)] == "later"
    assert seen.plan([newest], run_id="new").as_dict()["totals"]["already_restored"] == 1


def test_an_open_mark_out_of_an_older_backup_does_not_choose_the_backup() -> None:
    seen = world()
    stale = "1|submitting|r1|t|" + backup_id(3, 2) + f"|||-|-||{int(seen.clock.now() - 5 * 3600)}"
    seen.act("set_metadata", volume_id=disk_id(3), metadata={"hwcloud_recovery_mark": stale})
    named = replace(ARCHIVE, volumes=((disk_id(3), backup_id(3)),))
    (planned,) = seen.plan([named]).restores
    assert (planned.case.backup_id, planned.state) == (backup_id(3), "to_restore")


@pytest.mark.parametrize(("wish", "api"), [(ARCHIVE, "vbs.restore"), (FILES, "hss.restore")], ids=["vbs", "hss"])
@pytest.mark.parametrize(("away", "changed"), [(1.0, True), (7200.0, False)])
def test_changed_is_about_this_task(wish: Wish, api: str, away: float, changed: bool) -> None:
    """A restore that had ended before we came back is not this task's change."""
    seen = world()
    _die(seen, (_first_call_after(api, 1, wish), "after"), [wish])
    seen.pass_time(away)
    run = seen.plan([wish]).run_id
    (restore,) = seen.recover([wish], terms={"take_over": run}, take_over=run)["restores"]
    assert (restore["state"], restore["changed"]) == ("restored", changed)


def test_hss_adopts_its_own_running_restore() -> None:
    seen = world()
    _die(seen, (_first_call_after("hss.restore", 1, FILES), "after"), [FILES])
    assert seen.summary()["by_api"]["hss.restore"] == 1
    result = seen.recover([FILES], terms={"take_over": seen.plan([FILES]).run_id}, take_over=seen.plan([FILES]).run_id)
    assert not result["failed"]
    assert result["restores"][0]["adopted"]
    assert set(restores(seen).values()) == {1}
