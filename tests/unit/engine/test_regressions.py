# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fuzzer and a sceptical reader found: each test failed before its fix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
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
from simulation.cases import (
    ARCHIVE,
    DB,
    FILES,
    Before,
    History,
    backup_id,
    disk_id,
    not_restored,
    restores,
    server_id,
    world,
)
from simulation.world import START, Crash, World

LEASE_IS_OLD = 200.0
A_DAY = 86400.0
FILES_BACKUP = "e0000000-0000-4000-8000-000000000022"
"""The newest clean one of the server `files01`."""
REFUSED: dict[str, Any] = {"status": 403, "json": {"error": {"code": "Ecs.9999", "message": "not now"}}}
"""A read or write that no retry of the client hides."""


def _before_each(seen: World, act: Callable[[Any], None]) -> None:
    """Call `act` with every request, before the cloud gets it."""
    handle = seen.cloud.handle

    def watched(service: str, request: Any) -> Any:
        act(request)
        return handle(service, request)

    seen.cloud.handle = watched  # type: ignore[method-assign]


def _writes_mark(request: Any, phase: str, of: str = "") -> bool:
    return request.path.endswith("/metadata") and f"|{phase}|" in request.body.decode() and of in request.body.decode()


def _die_at_mark(seen: World, phase: str, wishes: Any) -> None:
    """The controller dies when it is about to write this phase."""
    with seen.dying(lambda request: _writes_mark(request, phase)):
        seen.recover(wishes)
    seen.pass_time(LEASE_IS_OLD)


def _fault_when(seen: World, due: Callable[[Any], bool], action: dict[str, Any], *, times: int) -> list[str]:
    """Let the next `times` requests for which `due` holds go wrong. Returns the paths of those that did."""
    hit: list[str] = []

    def faulty(request: Any) -> None:
        if len(hit) < times and due(request):
            hit.append(request.path)
            seen.faults({"path": request.path, "method": request.method, "action": action})

    _before_each(seen, faulty)
    return hit


def test_a_disk_that_lacks_only_its_last_mark_keeps_nobody_waiting() -> None:
    """It took no place among those that are prepared, yet kept the one that it was given for ever."""
    wishes = [ARCHIVE, replace(DB, wave=2)]
    seen = world()
    _die_at_mark(seen, "finished", wishes)

    def in_time(_request: Any) -> None:
        assert seen.clock.time < START + A_DAY, "the run waits for ever"

    _before_each(seen, in_time)
    assert seen.recover(wishes, max_parallel=1)["summary"] == {"restored": 3}


def test_what_failed_once_may_fail_again_before_it_is_submitted() -> None:
    """The mark said `failed` already, and to say it twice was taken for a bug."""
    seen = world(restore_outcome={disk_id(3): ["fail_available", "ok"]})
    assert seen.recover([ARCHIVE])["summary"] == {"failed": 1}
    seen.act("set_backup", backup_id=backup_id(3), status="error")
    named = replace(ARCHIVE, volumes=((disk_id(3), backup_id(3)),))
    again = seen.recover([named])
    assert again["summary"] == {"failed": 1}
    assert "backup status is unavailable" in again["targets"]["archive"]["msg"]
    seen.act("set_backup", backup_id=backup_id(3), status="available")
    assert seen.recover([named])["summary"] == {"restored": 1}


def test_a_disk_is_never_submitted_before_its_mark_says_so() -> None:
    """After a throttled mark the next try went on without it."""
    seen = world()
    phases: list[str] = []

    def note(request: Any) -> None:
        if "cloudbackups" in request.path:
            volume_id = request.body.decode().split('"')[-2]
            mark = decode(seen.cloud.world.servers[server_id(1)].metadata[mark_key(volume_id)])
            phases.append(mark.phase.value if mark else "none")

    _before_each(seen, note)
    throttled = _fault_when(seen, lambda r: _writes_mark(r, "submitting"), {"throttle": {"retry_after": 1}}, times=12)
    assert not seen.recover([DB])["failed"]
    assert len(throttled) == 12
    assert phases == ["submitting", "submitting"]


def test_a_server_is_never_submitted_before_its_mark_says_so() -> None:
    seen = world()
    phases: list[str] = []

    def note(request: Any) -> None:
        if request.path.endswith("/restore"):
            mark = decode(seen.cloud.world.servers[server_id(2)].metadata.get(HSS_KEY))
            phases.append(mark.phase.value if mark else "none")

    _before_each(seen, note)
    throttled = _fault_when(seen, lambda r: _writes_mark(r, "submitting"), {"throttle": {"retry_after": 1}}, times=4)
    assert not seen.recover([FILES])["failed"]
    assert len(throttled) == 4
    assert phases == ["submitting"]


@pytest.mark.parametrize(("wish", "server"), [(DB, 1), (FILES, 2)], ids=["vbs", "hss"])
def test_an_owner_that_cannot_be_read_back_does_not_count_as_submitted(wish: Any, server: int) -> None:
    """The mark was left at `submitting` and the disk attached again: no run could go on with it."""
    seen = world()
    before = Before(seen)
    announced: list[bool] = []

    def read_back(request: Any) -> bool:
        if _writes_mark(request, "submitting"):
            announced.append(True)
        return bool(announced) and request.method == "GET" and request.path.endswith(server_id(server))

    assert _fault_when(seen, read_back, REFUSED, times=1) == []
    result = seen.recover([wish])
    assert result["failed"]
    assert result["summary"]["failed"]
    assert "unknown" not in result["summary"]
    assert not seen.recover([wish])["failed"]
    assert before.differences(seen) == []
    assert set(restores(seen).values()) == {1}


def test_a_restored_disk_is_not_attached_under_an_older_mark() -> None:
    """Attached without its mark it counted as used since, and no run could go on."""
    seen = world()
    before = Before(seen)
    lost = _fault_when(seen, lambda r: _writes_mark(r, "restored", of=disk_id(2)), REFUSED, times=2)
    result = seen.recover([DB])
    assert len(lost) == 2
    assert result["failed"]
    assert f"disk {disk_id(2)} is at {{}}" in str(before.differences(seen))
    assert not seen.recover([DB])["failed"]
    assert before.differences(seen) == []
    assert set(restores(seen).values()) == {1}


def test_a_detach_that_was_given_up_may_still_take_effect() -> None:
    """EVS lags: the disk that had just left was taken for attached, and the server started without it."""
    seen = world(state_lag_seconds=15.0)
    before = Before(seen)
    detached: list[bool] = []

    def first_look(request: Any) -> bool:
        if "detachvolume" in request.path:
            detached.append(True)
        gone = not seen.cloud.world.disks[disk_id(2)].attachments
        return bool(detached) and gone and request.method == "GET" and "volumes" in request.path

    hit = _fault_when(seen, first_look, REFUSED, times=1)
    result = seen.recover([DB])
    assert len(hit) == 1
    assert result["summary"] == {"failed": 2}
    assert before.differences(seen) == []


def test_a_server_that_a_failed_restore_left_off_is_started_by_the_next_run() -> None:
    seen = world(hss_outcome={server_id(2): ["timeout", "ok"]})
    before = Before(seen)
    assert seen.recover([FILES])["summary"] == {"failed": 1}
    assert before.differences(seen) == [f"server {server_id(2)} is SHUTOFF"]
    assert seen.recover([FILES])["summary"] == {"restored": 1}
    assert before.differences(seen) == []


def test_a_server_that_was_held_down_for_its_group_is_started_by_a_run_without_it() -> None:
    """Only members of a group were started, so it stayed off: restored and finished, it was said."""
    seen = world(restore_outcome={disk_id(3): "fail_available"})
    alone = replace(FILES, wave=1)
    members = [replace(alone, group="g"), replace(ARCHIVE, group="g")]
    assert seen.recover(members, terms={"run_id": "r1"})["summary"] == {"failed": 1, "restored": 1}
    assert seen.cloud.world.servers[server_id(2)].status == "SHUTOFF"
    result = seen.recover([alone], terms={"run_id": "r1"})
    assert (result["failed"], result["summary"]) == (False, {"restored": 1})
    assert [one["left"] for one in result["servers"]] == ["ACTIVE"]


@pytest.mark.parametrize(("phase", "group"), [("finished", ""), ("restored", "g")])
def test_a_server_whose_last_mark_was_refused_is_an_error(phase: str, group: str) -> None:
    """A run of months later went on with that restore: restored, it said, and left the encrypted data there."""
    seen = world(restore_outcome={disk_id(3): "fail_available"})
    _fault_when(seen, lambda request: _writes_mark(request, phase, of=HSS_KEY), REFUSED, times=9)
    wishes = [replace(FILES, wave=1, group=group), replace(ARCHIVE, group=group)]
    target = seen.recover(wishes if group else wishes[:1])["targets"]["files01"]
    assert (target["state"], target["failed"]) == ("restored", True)
    assert f"server {server_id(2)} is restored, but that could not be written down" in target["msg"]


def test_a_superseded_run_attaches_nothing_even_if_all_was_restored_before() -> None:
    seen = world()
    with seen.dying(lambda request: "attachvolume" in request.path):
        seen.recover([DB])
    seen.pass_time(LEASE_IS_OLD)
    claimed: list[bool] = []

    def superseding(request: Any) -> None:
        if request.path.endswith("/metadata") and OWNER_KEY in request.body.decode():
            claimed.append(True)
        elif claimed and request.method == "GET":
            seen.act("set_metadata", server_id=server_id(1), metadata={OWNER_KEY: "1|b|host|1.1|ffffffff|server:x|1"})

    _before_each(seen, superseding)
    result = seen.recover([DB])
    assert result["failed"]
    assert "worked on by another run" in result["targets"]["db01"]["msg"]
    assert seen.summary()["by_api"].get("ecs.attach") is None


@pytest.mark.parametrize("wish", [DB, FILES, ARCHIVE], ids=lambda wish: wish.name)
def test_what_another_run_has_done_before_its_turn_came_is_left_alone(wish: Any) -> None:
    """A plan grows old while earlier waves run: of two runs with one plan both restored, the second over new data."""
    first = DB if wish is ARCHIVE else ARCHIVE
    seen = world()
    history = History(seen)
    done: list[bool] = []
    owner = "1|b|elsewhere|1.1|ffffffff|server:x|1"

    def other_run(request: Any) -> None:
        if "cloudbackups" not in request.path or done:
            return
        done.append(True)
        mark = encode(Mark(Phase.FINISHED, "other", "t", "b", at=seen.clock.now()))
        if wish is ARCHIVE:
            seen.act("set_metadata", volume_id=disk_id(3), metadata={"hwcloud_recovery_mark": mark, OWNER_KEY: owner})
            return
        key, holder = (HSS_KEY, server_id(2)) if wish is FILES else (mark_key(disk_id(1)), server_id(1))
        seen.act("set_metadata", server_id=holder, metadata={key: mark, OWNER_KEY: owner})

    _before_each(seen, other_run)
    result = seen.recover([first, replace(wish, wave=2)], rules=Rules())
    assert result["targets"][first.name]["state"] == "restored"
    assert result["targets"][wish.name]["state"] == "failed"
    assert "run other has begun with" in result["targets"][wish.name]["msg"]
    untouched = {ARCHIVE.name: (3,), DB.name: (1, 2), FILES.name: (4, 5)}[wish.name]
    assert {disk_id(number) for number in untouched} <= set(not_restored(seen))
    assert history.restored_after_use() == []


@pytest.mark.parametrize("phase", [Phase.ACCEPTED, Phase.RESTORED])
def test_a_server_that_was_begun_and_that_another_run_has_ended_before_its_turn_is_left_alone(phase: Phase) -> None:
    """The claim of what is begun went out without a look, hours after the plan's check: over the other's `finished`."""
    seen = world()
    ours = Mark(phase, "r1", "t", FILES_BACKUP, server_id=server_id(2), at=START)
    seen.act("set_metadata", server_id=server_id(2), metadata={HSS_KEY: encode(ours)})
    theirs = {
        HSS_KEY: encode(replace(ours, run_id="other", phase=Phase.FINISHED, at=START + 60)),
        OWNER_KEY: "1|other|elsewhere|1.1|ffffffff|server:x|1",
    }

    def other_run(request: Any) -> None:
        if "cloudbackups" in request.path:
            seen.act("set_metadata", server_id=server_id(2), metadata=theirs)

    _before_each(seen, other_run)
    target = seen.recover([ARCHIVE, FILES], terms={"run_id": "r1"})["targets"]["files01"]
    assert (target["failed"], "run other has begun with" in target["msg"]) == (True, True)
    assert theirs.items() <= seen.cloud.world.servers[server_id(2)].metadata.items()


def test_a_server_that_was_restored_before_is_ended_also_when_the_run_is_being_stopped() -> None:
    """It was marked as finished without a claim."""
    seen = world(restore_outcome={disk_id(3): "fail_available"})
    ours = Mark(Phase.RESTORED, "r1", "t", FILES_BACKUP, was_running=True, at=START)
    seen.act("set_metadata", server_id=server_id(2), metadata={HSS_KEY: encode(ours)})
    seen.act("stop", server_id=server_id(2))
    result = seen.recover([replace(ARCHIVE, critical=True), FILES], terms={"run_id": "r1"})
    assert (result["targets"]["files01"]["state"], result["targets"]["files01"]["failed"]) == ("restored", False)
    assert [one["left"] for one in result["servers"]] == ["ACTIVE"]


def test_a_mark_at_a_server_that_the_disk_has_left_does_not_hide_the_newer_one() -> None:
    """Else the same run would restore the disk once more, over what was written since."""
    seen = world()
    old = encode(Mark(Phase.FAILED, "old", "t", backup_id(2), server_id=server_id(1), at=START - 7200))
    seen.act("set_metadata", server_id=server_id(1), metadata={mark_key(disk_id(2)): old})
    seen.act("detach", volume_id=disk_id(2))
    seen.act("attach", volume_id=disk_id(2), server_id=server_id(2), device="/dev/vdc")
    wishes = [replace(DB, volumes=DB.volumes[:1]), replace(ARCHIVE, name="moved", volumes=DB.volumes[1:])]
    assert not seen.recover(wishes, terms={"run_id": "new"}, run_id="new")["failed"]
    again = seen.recover(wishes, terms={"run_id": "new"}, run_id="new")
    assert again["summary"] == {"already_restored": 2}
    assert restores(seen)[disk_id(2)] == 1


def test_a_superseded_run_neither_detaches_again_nor_writes_over_marks() -> None:
    """It waited for a busy server, and detached the disk when the run that had taken over had attached it again."""
    seen = world()
    seen.faults({"api": "ecs.detach", "times": 1, "action": {"busy": True}})
    theirs = encode(Mark(Phase.FINISHED, "b", "t", backup_id(2), at=START + 60))

    def superseding(request: Any) -> None:
        if "detachvolume" in request.path:
            owner = "1|b|elsewhere|1.1|ffffffff|server:x|1"
            marks = {mark_key(disk_id(number)): theirs for number in (1, 2)}
            seen.act("set_metadata", server_id=server_id(1), metadata={**marks, OWNER_KEY: owner})

    _before_each(seen, superseding)
    result = seen.recover([DB])
    assert "worked on by another run" in result["targets"]["db01"]["msg"]
    assert seen.summary()["by_api"]["ecs.detach"] == 1
    metadata = seen.cloud.world.servers[server_id(1)].metadata
    assert [metadata[mark_key(disk_id(number))] for number in (1, 2)] == [theirs, theirs]


def test_marks_of_the_run_that_took_over_stay_while_a_place_was_waited_for() -> None:
    seen = world()
    theirs = encode(Mark(Phase.FINISHED, "b", "t", backup_id(1), at=START + 60))

    def superseding(request: Any) -> None:
        if "cloudbackups" in request.path:  # one disk runs, the other waits for its place
            waiting = next(n for n in (1, 2) if disk_id(n) not in request.body.decode())
            entries = {mark_key(disk_id(waiting)): theirs, OWNER_KEY: "1|b|elsewhere|1.1|ffffffff|server:x|1"}
            seen.act("set_metadata", server_id=server_id(1), metadata=entries)

    _before_each(seen, superseding)
    assert seen.recover([DB], max_parallel=1)["failed"]
    assert theirs in seen.cloud.world.servers[server_id(1)].metadata.values()
    assert seen.summary()["by_api"]["vbs.restore"] == 1


def test_hss_out_of_reach_is_not_taken_for_silence() -> None:
    """The list could not be read while the restore ended, and the backup was at rest again: unknown, at once."""
    seen = world()
    accepted: list[float] = []
    out_of_reach = {"service": "hss", "method": "GET", "path": "operation-logs", "action": {"status": 503, "body": "-"}}

    def failing(request: Any) -> None:
        if request.path.endswith("/restore"):
            accepted.append(seen.clock.time)
        elif accepted and seen.clock.time < accepted[0] + 900 and "operation-logs" in request.path:
            seen.faults(out_of_reach)

    _before_each(seen, failing)
    assert seen.recover([FILES])["summary"] == {"restored": 1}


def test_a_server_that_is_submitted_again_remembers_the_list_of_then() -> None:
    """After a crash the record of the first restore, which came late, was held against the second one."""
    seen = world(hss_outcome={server_id(2): ["no_record", "ok"]})
    _die_at_mark(seen, "accepted", [FILES])
    handle, log = seen.cloud.handle, seen.cloud.world.hss_log
    began, late = seen.clock.now(), []

    def dying(request: Any) -> None:
        if not late and request.path.endswith("/detail") and seen.clock.now() > began + 150:  # it has been silent
            name = seen.cloud.world.hss_backups[FILES_BACKUP].spec.name
            late.append(replace(log[0], host_id=server_id(2), backup_name=name, status="failed", started_at=began))
            log.appendleft(late[0])
        if _writes_mark(request, "accepted", of=HSS_KEY) and seen.summary()["by_api"]["hss.restore"] == 2:
            raise Crash

    _before_each(seen, dying)
    with pytest.raises(Crash):
        seen.recover([FILES], rules=Rules(resubmit_unknown=frozenset({"files01"})))
    assert late
    seen.cloud.handle = handle  # type: ignore[method-assign]
    seen.pass_time(A_DAY)
    assert seen.recover([FILES])["summary"] == {"restored": 1}
