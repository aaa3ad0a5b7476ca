# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doubt means stop, and say what is known: what a fresh pair of eyes found, one test each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import (
    LEASE_KEY,
    OWNER_KEY,
    Owner,
    encode_owner,
    mark_key,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import Rules
from ansible_collections.hwcloud.recovery.plugins.module_utils._run import single
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.recovery import NotReady
from simulation.cases import (
    ARCHIVE,
    DB,
    DEMO,
    ENCRYPTED,
    FILES,
    LATEST,
    Before,
    History,
    backup_id,
    disk_id,
    restores,
    server_id,
    world,
)
from simulation.world import World
from simulator.messages import answer

A_NAP = 600.0
"""Longer than a lease is good for."""
A_SEASON = 90 * 86400.0


def _run(seen: World, *wishes: Any, run_id: str = "r1", **options: Any) -> dict[str, Any]:
    return seen.recover(wishes, terms={"run_id": run_id, "take_over": options.get("take_over", "")}, **options)


def _before_each(seen: World, act: Callable[[Any], Any]) -> Callable[[], None]:
    """`act` sees each request first; what it returns is the answer. Returns what puts an end to that."""
    handle = seen.cloud.handle
    seen.cloud.handle = lambda service, request: act(request) or handle(service, request)  # type: ignore[method-assign]
    return lambda: setattr(seen.cloud, "handle", handle)


def _dies(seen: World, test: Callable[[Any], bool], *wishes: Any) -> None:
    """A run dies when it sends such a request. Then its lease grows old."""
    with seen.dying(test):
        _run(seen, *wishes)
    seen.pass_time(A_NAP)


def _die_before_attach(seen: World) -> None:
    """Both disks are restored and their marks say so; they are detached, and their server is off."""
    _dies(seen, lambda request: request.path.endswith("attachvolume"), DB)


def _errors(refusal: pytest.ExceptionInfo[NotReady]) -> list[str]:
    return [problem.code for problem in refusal.value.problems if problem.severity == "error"]


def _power(seen: World, number: int) -> str:
    return str(seen.cloud.world.servers[server_id(number)].status)


def _stranger(seen: World) -> str:
    return encode_owner(Owner("r2", "elsewhere", "1.1", "ffffffff", f"server:{server_id(1)}", seen.clock.now()))


# -- whose server it is ------------------------------------------------------------------------------------------------


def test_while_it_cannot_be_told_whose_the_server_is_nothing_is_ordered() -> None:
    """The second disk was detached although the look at the owner was answered with an odd error."""
    seen = world()
    metadata, orders = seen.cloud.world.servers[server_id(1)].metadata, []

    def act(request: Any) -> Any:
        if "detachvolume" in request.path:
            orders.append(request.path)
            metadata[OWNER_KEY] = _stranger(seen)
        elif len(orders) == 1 and request.method == "GET" and request.path.endswith(server_id(1)):
            return answer({"error": {"code": "Ecs.9999", "message": "odd"}}, status=400)
        return None

    _before_each(seen, act)
    assert _run(seen, DB)["failed"]
    assert len(orders) == 1


def test_a_run_that_was_superseded_while_it_attached_attaches_and_starts_nothing_more() -> None:
    seen = world()
    metadata, orders = seen.cloud.world.servers[server_id(1)].metadata, []

    def act(request: Any) -> None:
        if request.path.endswith("attachvolume") and not orders:
            metadata[OWNER_KEY] = _stranger(seen)
        if request.path.endswith("attachvolume") or (orders and request.path.endswith("cloudservers/action")):
            orders.append(request.path)

    _before_each(seen, act)
    assert _run(seen, DB)["failed"]
    assert len(orders) == 1


def test_a_restored_disk_that_another_run_keeps_from_going_back_says_so() -> None:
    """The server's target failed, but its disk, restored and detached, was told as restored and nothing else."""
    seen = world()
    metadata = seen.cloud.world.servers[server_id(1)].metadata

    def act(request: Any) -> None:
        if request.path.endswith("/restore"):
            metadata[OWNER_KEY] = _stranger(seen)

    _before_each(seen, act)
    result = _run(seen, DB, max_parallel=1)
    assert sorted(item["state"] for item in result["restores"]) == ["failed", "restored"]
    for item in result["restores"]:
        assert "is worked on by another run now (r2" in item["error"]["message"]
        assert seen.cloud.world.disks[item["volume_id"]].attachments == {}


# -- what was found ----------------------------------------------------------------------------------------------------


def test_a_server_that_reboots_when_its_turn_comes_was_running() -> None:
    """It was taken for one that was off, and left off."""
    seen = world()
    before, plan = Before(seen), seen.plan([DB]).as_dict()
    server = seen.cloud.world.servers[server_id(1)]

    def reboot() -> None:
        server.status, server.task_state = "REBOOT", "rebooting"
        seen.cloud.world.after(30.0, lambda: vars(server).update(status="ACTIVE", task_state=None))

    looks = _when_its_turn_comes(seen, reboot)
    assert not seen.carry_out(plan)["failed"]
    assert (before.differences(seen), len(looks) > 2) == ([], True)


def _when_its_turn_comes(seen: World, change: Callable[[], None]) -> list[str]:
    """Do that at the look at the first server before it is claimed; the one before that reads the lease back."""
    looks: list[str] = []

    def act(request: Any) -> None:
        if LEASE_KEY.encode() in (request.body or b"") and len(looks) < 2:
            looks.clear()
        elif request.method == "GET" and request.path.endswith(f"cloudservers/{server_id(1)}"):
            looks.append(request.path)
            if len(looks) == 2:
                change()

    _before_each(seen, act)
    return looks


@pytest.mark.parametrize(
    ("status", "said"), [("REBOOT", "does not come to rest"), ("ERROR", f"server {server_id(1)} is ERROR")]
)
def test_a_server_that_does_not_come_to_rest_is_left_alone(status: str, said: str) -> None:
    seen = world()
    plan, server = seen.plan([DB]).as_dict(), seen.cloud.world.servers[server_id(1)]
    _when_its_turn_comes(seen, lambda: vars(server).update(status=status))
    result = seen.carry_out(plan)
    assert result["failed"] and said in result["targets"]["db01"]["msg"]
    assert restores(seen) == {} and len(server.volumes) == 2


def test_what_a_dead_run_took_apart_is_put_back_though_its_wave_is_not_started() -> None:
    """It stayed apart, and the message was to wait for the dead run, as if that was another one at work."""
    seen = world(restore_outcome={disk_id(3): "fail_available"})
    before = Before(seen)
    _die_before_attach(seen)
    result = _run(seen, replace(ARCHIVE, critical=True), replace(DB, wave=2))
    assert before.differences(seen) == []
    assert result["targets"]["db01"]["msg"] == "db01: 2 restored"


# -- marks that do not say all -----------------------------------------------------------------------------------------


def _refuse_last_marks(seen: World) -> Callable[[], None]:
    refusal = answer({"forbidden": {"code": 403, "message": "no"}}, status=403)
    return _before_each(seen, lambda request: refusal if b"finished|" in (request.body or b"") else None)


def _encrypted_again(seen: World) -> None:
    seen.pass_time(A_SEASON)
    for number in (1, 2):
        seen.act("add_backup", volume_id=disk_id(number), data="of last night", age_seconds=7200)
        seen.act("write_disk", volume_id=disk_id(number), data=ENCRYPTED)


def test_a_last_mark_that_is_refused_is_a_failure() -> None:
    """It was a note, and the next incident was taken for the end of this one."""
    seen = world()
    before = Before(seen)
    _refuse_last_marks(seen)
    result = _run(seen, DB)
    assert result["failed"] and "still counts as unfinished" in result["targets"]["db01"]["msg"]
    assert before.differences(seen) == []


def test_another_incident_is_not_taken_for_the_end_of_the_last_one() -> None:
    """The second run said `restored`, and had done nothing."""
    seen = world()
    end = _refuse_last_marks(seen)
    seen.recover([DB])
    end()
    _encrypted_again(seen)
    plan = seen.plan([DB])
    assert [problem.code for problem in plan.problems] == ["unfinished_run"]
    with pytest.raises(NotReady):
        seen.carry_out(plan.as_dict())
    unfinished = plan.run_id
    assert not _run(seen, DB, run_id="r2", take_over=unfinished)["failed"]
    assert {seen.data()[disk_id(number)] for number in (1, 2)} == {"of last night"}


def test_the_end_of_a_run_can_still_be_made_up_for() -> None:
    seen = world()
    end = _refuse_last_marks(seen)
    _run(seen, DB)
    end()
    _encrypted_again(seen)
    assert _run(seen, DB)["summary"] == {"restored": 2}
    assert _run(seen, DB)["summary"] == {"already_restored": 2}
    assert set(restores(seen).values()) == {1}


@pytest.mark.parametrize("mangle", [lambda text: text[:100], str.upper], ids=["cut", "upper"])
def test_a_finished_mark_that_cannot_be_read_is_no_lack_of_a_mark(mangle: Callable[[str], str]) -> None:
    """The disks were restored again, although they were in use."""
    seen = world()
    history = History(seen)
    _run(seen, DB)
    seen.pass_time(A_NAP)
    metadata = seen.cloud.world.servers[server_id(1)].metadata
    metadata[mark_key(disk_id(1))] = mangle(metadata[mark_key(disk_id(1))])
    with pytest.raises(NotReady) as refusal:
        _run(seen, DB)
    assert _errors(refusal) == ["mark_unreadable"]
    assert history.restored_after_use() == []


def test_a_restored_disk_that_somebody_attached_elsewhere_is_a_matter_for_people() -> None:
    """Its own server was started without it, and that was called well."""
    seen = world()
    _die_before_attach(seen)
    seen.act("attach", volume_id=disk_id(2), server_id=server_id(2), device="/dev/vdf")
    with pytest.raises(NotReady) as refusal:
        _run(seen, DB)
    assert _errors(refusal) == ["used_since"]
    assert f"at server {server_id(1)} and is at {server_id(2)}" in str(refusal.value.problems)


# -- what was given ----------------------------------------------------------------------------------------------------


def test_a_job_that_never_was_proves_no_restore() -> None:
    """A wrong job id was called restored, since disk and backup were at rest."""
    seen = world()
    handle = {"service": "vbs", "job_id": "no-such-job", "backup_id": backup_id(3), "volume_id": disk_id(3)}
    result = single.follow(seen.shell(), handle, Rules(), dry_run=False)
    assert (result["state"], result["changed"], result["failed"]) == ("unknown", False, True)
    assert "job no-such-job cannot be read" in result["msg"]


def test_a_plan_that_comes_back_with_numbers_as_texts() -> None:
    seen = world()
    plan = seen.plan([FILES]).as_dict()
    for pair in plan["waves"][0]["targets"][0]["restores"][0]["mappings"]:
        pair["size_gb"] = str(pair["size_gb"])
    assert not seen.carry_out(plan)["failed"]


def test_a_wave_that_does_not_exist_is_no_success() -> None:
    with pytest.raises(NotReady, match="no wave 7"):
        _run(world(), DB, FILES, waves=(2, 7))


# -- jobs and answers --------------------------------------------------------------------------------------------------

GONE = {"error": {"code": "common.0011", "message": "failed to query the task"}}


def test_a_restore_that_nobody_saw_is_not_believed_but_done_again() -> None:
    """Its job could not be read, and its failed disk was available again before the first look: called restored."""
    seen = world(
        restore_outcome={disk_id(2): ["fail_available"]}, timing={"vbs_restore": 1.0, "vbs_restore_per_gb": 0.0}
    )
    seen.faults({"api": "vbs.show_job", "every": 1, "times": 6, "action": {"status": 400, "json": GONE}})
    assert _run(seen, DB)["summary"] == {"restored": 2}
    assert seen.data()[disk_id(2)].endswith("2-hours-old")


def test_the_job_is_asked_although_the_disk_shows_that_it_is_being_restored() -> None:
    """A restore that had failed was waited for until time was up, if its disk went on showing that it runs."""
    seen = world(restore_outcome={disk_id(3): "stuck"})
    job = {"status": "FAIL", "error_code": "VolumeBackup.0200", "fail_reason": "restore failed"}
    seen.faults({"api": "vbs.show_job", "nth": [3], "action": {"json": {**job, "job_id": "j", "entities": {}}}})
    began = seen.clock.now()
    result = _run(seen, ARCHIVE)
    assert (result["summary"], seen.clock.now() - began < 120.0) == ({"failed": 1}, True)
    assert "restore failed" in result["targets"]["archive"]["msg"]


def test_what_came_instead_of_the_answer_is_told() -> None:
    seen = world()
    said = {"error": {"code": "VolumeBackup.0014", "message": "the task could not be submitted"}}
    seen.faults({"api": "vbs.restore", "every": 1, "action": {"status": 500, "json": said}})
    wish = single.DiskWish(backup_id(3), disk_id(3), "")
    error = single.restore_disk(seen.shell(), wish, Rules(), dry_run=False)["error"]
    assert (error["code"], error["http_status"]) == ("VolumeBackup.0014", 500)
    assert "the task could not be submitted" in error["message"] and "no trace of a restore" in error["message"]


def test_a_module_fails_whose_restore_could_not_be_written_down() -> None:
    seen = world()
    _refuse_last_marks(seen)
    wish = single.DiskWish(backup_id(3), disk_id(3), "r1")
    result = single.restore_disk(seen.shell(), wish, Rules(), dry_run=False)
    assert (result["state"], result["changed"], result.get("failed")) == ("restored", True, True)


HSS_BACKUP = "e0000000-0000-4000-8000-000000000022"


def test_a_server_restore_whose_answer_was_lost_and_that_was_seen_is_a_change() -> None:
    seen = world(hss_outcome={server_id(2): "stuck"})
    seen.faults({"api": "hss.restore", "phase": "after", "action": {"drop": True}})
    result = _run(seen, FILES, rules=Rules(wait_timeout_seconds=600.0))["restores"][0]
    assert (result["state"], result["changed"]) == ("timed_out", True)


def test_a_server_restore_without_a_trace_tells_what_came_instead_of_the_answer() -> None:
    seen = world()
    seen.faults(
        {"api": "hss.restore", "action": {"status": 500, "json": {"error_code": "HSS.0041", "error_msg": "odd"}}}
    )
    error = _run(seen, FILES)["restores"][0]["error"]
    assert (error["code"], error["http_status"]) == ("HSS.0041", 500)
    assert "odd" in error["message"] and "whether it was done is unknown" in error["message"]


def test_the_module_submits_again_what_is_unknown_if_it_is_told_to() -> None:
    """Each further task with that run_id ended as unknown, and each with another was refused."""
    seen = world()
    seen.faults({"api": "hss.restore", "action": {"drop": True}})

    def restore(**wish: Any) -> dict[str, Any]:
        return single.restore_server(
            seen.shell(), single.ServerWish(HSS_BACKUP, run_id="r1", **wish), Rules(), dry_run=False
        )

    states = [restore()["state"], restore()["state"], restore(resubmit_unknown=True)["state"]]
    assert states == ["unknown", "unknown", "restored"]
    assert set(restores(seen).values()) == {1}


def test_a_time_out_says_why_the_last_look_failed() -> None:
    seen = world(timing={"vbs_restore": 9000.0})
    seen.faults({"api": "vbs.show_job", "every": 1, "action": {"json": {"foo": 1}}})
    result = _run(seen, ARCHIVE, rules=Rules(wait_timeout_seconds=600.0))
    assert result["summary"] == {"timed_out": 1}
    assert "the last look at it failed: looking at job" in result["targets"]["archive"]["msg"]


def test_who_waits_for_a_short_time_is_not_kept_waiting_by_looks_that_fail() -> None:
    """Each look was tried again for five minutes, whatever `wait_timeout` said."""
    seen = world(timing={"vbs_restore": 9000.0})
    odd = answer({"error": {"code": "x", "message": "odd"}}, status=500)

    def act(request: Any) -> Any:
        accepted = "vbs.restore" in seen.summary()["by_api"]
        return odd if accepted and request.method == "GET" else None

    _before_each(seen, act)
    began = seen.clock.now()
    wish = single.DiskWish(backup_id(3), disk_id(3), "")
    rules = Rules(wait_interval_seconds=1.0, wait_timeout_seconds=10.0)
    result = single.restore_disk(seen.shell(), wish, rules, dry_run=False)
    assert (result["state"], result["changed"], bool(result["handle"])) == ("timed_out", True, True)
    assert seen.clock.now() - began < 60.0


def test_a_new_run_that_takes_over_does_not_leave_off_what_the_old_one_held_down_for_a_group() -> None:
    """The disk was restored and back: so it was begun anew, and its server, found off, stayed off."""
    seen = world(restore_outcome={disk_id(3): ["fail_available"]})
    before = Before(seen)
    group = [replace(DB, group="erp"), replace(ARCHIVE, group="erp")]
    assert _run(seen, *group)["failed"] and _power(seen, 1) == "SHUTOFF"
    seen.pass_time(A_NAP)
    assert not _run(seen, *group, run_id="r2", take_over="r1")["failed"]
    assert before.differences(seen) == []


# -- what a run is for -------------------------------------------------------------------------------------------------

NEW_POINTS = {number: f"b9000000-0000-4000-8000-{number:012d}" for number in (1, 2)}
NAMED = replace(DB, volumes=tuple((disk_id(n), point) for n, point in NEW_POINTS.items()), max_backup_age_seconds=86400)


def _begun_and_forgotten(seen: World) -> None:
    """A run died right after its first marks. Life went on, and there is another incident."""
    _dies(seen, lambda request: request.path.endswith("cloudservers/action"), DB)
    seen.pass_time(A_SEASON)
    for number, point in NEW_POINTS.items():
        seen.act("add_backup", volume_id=disk_id(number), backup_id=point, data="of last night", age_seconds=7200)
        seen.act("write_disk", volume_id=disk_id(number), data=ENCRYPTED)


def test_a_run_that_was_only_begun_is_not_gone_on_with_after_a_season() -> None:
    """Its backups of then were restored over live disks, with no word and against `max_backup_age`."""
    seen = world()
    _begun_and_forgotten(seen)
    for wish in (DB, NAMED):
        assert "unfinished_run" in {
            problem.code for problem in seen.plan([wish]).problems if problem.severity == "error"
        }


@pytest.mark.parametrize("terms", [{"run_id": "r1"}, {"run_id": "r2", "take_over": "r1"}])
def test_a_named_backup_is_restored_though_a_run_had_begun_with_another(terms: dict[str, str]) -> None:
    seen = world()
    _begun_and_forgotten(seen)
    result = seen.recover([NAMED], terms=terms, take_over=terms.get("take_over", ""))
    assert result["summary"] == {"restored": 2}
    assert {seen.data()[disk_id(number)] for number in (1, 2)} == {"of last night"}


def test_a_backup_too_old_is_refused_though_a_run_had_begun_with_another() -> None:
    seen = world()
    _begun_and_forgotten(seen)
    old = replace(DB, volumes=((disk_id(1), backup_id(1, 2)),), max_backup_age_seconds=86400)
    assert "backup_too_old" in {p.code for p in seen.plan([old], run_id="r2", take_over="r1").problems}


def _dies_detached(seen: World) -> None:
    _dies(seen, lambda request: "cloudbackups" in request.path, DB)


def test_the_middle_of_a_restore_is_finished_from_its_own_backup_and_that_is_said() -> None:
    seen = world()
    _dies_detached(seen)
    older = replace(DB, volumes=((disk_id(1), LATEST), (disk_id(2), backup_id(2, 2))))
    plan = seen.plan([older], run_id="r1")
    assert [(p.code, p.volume_id) for p in plan.problems] == [("backup_of_run", disk_id(2))]
    assert [restore.case.backup_id for restore in plan.restores] == [backup_id(1), backup_id(2)]


@pytest.mark.parametrize("terms", [{}, {"run_id": "r1"}, {"run_id": "r2", "take_over": "r1"}])
def test_a_server_is_not_given_back_without_a_disk_that_the_plan_has_lost(terms: dict[str, str]) -> None:
    """Somebody edited the inventory after a crash. The server was started without its second disk, and nothing said."""
    seen = world()
    _dies_detached(seen)
    without = replace(DB, volumes=DB.volumes[:1])
    with pytest.raises(NotReady) as refused:
        seen.recover([without], terms=terms, take_over=terms.get("take_over", ""))
    assert "disk_left_out" in {problem.code for problem in refused.value.problems}
    before = seen.summary()["writes"]
    seen.act("attach", volume_id=disk_id(2), server_id=server_id(1), device="/dev/vdb")
    assert seen.plan([without], **terms).ready and seen.summary()["writes"] == before


def test_an_older_run_that_is_started_again_is_told_what_it_overwrites() -> None:
    seen = world()
    for run_id in ("r1", "r2"):
        _run(seen, DB, run_id=run_id)
        seen.pass_time(A_NAP)
    [problem] = seen.plan([DB], run_id="r1").problems
    assert (problem.severity, problem.code) == ("warning", "restored_before")
    assert "2 restore(s) were done by run r2" in problem.message and "r2" in problem.remedy


def test_a_no_to_the_second_order_does_not_make_the_first_one_a_failure() -> None:
    """The job could not be read, and the order that followed was refused. The person saw good data and used it, and the
    next run restored over it."""
    seen = world(timing={"vbs_restore": 1.0, "vbs_restore_per_gb": 0.0})
    orders: list[Any] = []

    def act(request: Any) -> Any:
        if "/jobs/" in request.path and "cloudservers" not in request.path and "/v1/" in request.path and orders:
            return answer({"error": {"code": "common.0011", "message": "failed to query the task"}}, status=400)
        if request.path.endswith("/restore"):
            orders.append(request)
            if len(orders) > 1:
                return answer({"error": {"code": "VolumeBackup.0089", "message": "not now"}}, status=400)
        return None

    end = _before_each(seen, act)
    one = replace(DB, volumes=DB.volumes[1:])
    result = _run(seen, one)
    assert (result["summary"], len(orders)) == ({"unknown": 1}, 2)
    end()
    seen.pass_time(A_NAP)
    seen.act("attach", volume_id=disk_id(2), server_id=server_id(1), device="/dev/vdb")
    with pytest.raises(NotReady) as refused:
        _run(seen, one)
    assert "used_since" in {problem.code for problem in refused.value.problems}


# -- what counts as well, and as changed -------------------------------------------------------------------------------


def test_a_critical_server_that_its_group_keeps_off_stops_what_waits_for_it() -> None:
    """It was restored, so the next wave was started against a database that was off."""
    seen = world("demo", restore_outcome={disk_id(4): "fail_available"})
    result = _run(seen, *DEMO)
    held = result["targets"]["erp-db01"]
    assert (held["state"], held["failed"]) == ("restored", True)
    assert "stays off: not every member of consistency group erp is restored" in held["msg"]
    assert {result["targets"][name]["state"] for name in ("web01", "files01")} == {"skipped"}


def test_starting_a_server_again_is_a_change() -> None:
    seen = world()
    _dies(seen, lambda request: b"finished|" in (request.body or b""), FILES)
    seen.act("stop", server_id=server_id(2))
    result = _run(seen, FILES)
    assert (result["failed"], result["changed"], result["servers"][0]["left"]) == (False, True, "ACTIVE")


def test_a_server_that_is_left_off_is_a_change() -> None:
    seen = world()
    stops: list[Any] = []

    def act(request: Any) -> Any:
        if request.path.endswith("cloudservers/action"):
            stops.append(request)
        refused = "detachvolume" in request.path or (len(stops) > 1 and request is stops[-1])
        return answer({"error": {"code": "Ecs.0605", "message": "locked"}}, status=400) if refused else None

    _before_each(seen, act)
    result = _run(seen, DB)
    assert (result["failed"], result["changed"], result["servers"][0]["left"]) == (True, True, "SHUTOFF")


def test_check_mode_fails_where_the_run_will() -> None:
    seen = world()
    rules = Rules(stop_servers="refuse")
    foreseen, done = (_run(seen, DB, rules=rules, dry_run=dry_run) for dry_run in (True, False))
    for result in (foreseen, done):
        assert (result["failed"], result["changed"], result["summary"]) == (True, False, {"failed": 2})
        assert "stop_servers is 'refuse'" in result["targets"]["db01"]["msg"]
