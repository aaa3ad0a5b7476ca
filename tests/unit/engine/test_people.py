# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""People who start servers, take disks elsewhere and make backups while a run is at work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Wish
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.recovery import NotReady
from simulation.cases import (
    ARCHIVE,
    DB,
    FILES,
    Before,
    backup_id,
    disk_id,
    disks,
    not_restored,
    restores,
    server_id,
    world,
)
from simulation.world import Crash, World

LEASE_IS_OLD = 200.0
"""Seconds after which another controller may go on: the lease is 180 s good."""
DATA = Wish("db01-data", "vbs", volumes=disks(2))
"""Of this server the system disk stays where it is, so the cloud lets people start it at any time."""
TWO_OF_THREE = Wish("erp-db01", "vbs", volumes=disks(2, 3))
"""In the demo world."""

Due = Callable[[World, Any], bool]


def _when(seen: World, due: Due, act: Callable[[], None]) -> list[float]:
    """Somebody does that once, right before the first call for which it is due. Returns when."""
    handle = seen.cloud.handle
    done: list[float] = []

    def watched(service: str, request: Any) -> Any:
        if not done and due(seen, request):
            done.append(seen.clock.now())
            act()
        return handle(service, request)

    seen.cloud.handle = watched  # type: ignore[method-assign]
    return done


def _asked_to_detach(number: int) -> Due:
    return lambda seen, request: request.path.endswith(f"detachvolume/{disk_id(number)}")


def _detached(number: int) -> Due:
    return lambda seen, request: not seen.cloud.world.disks[disk_id(number)].attachments


def _restoring(number: int) -> Due:
    return lambda seen, request: seen.cloud.world.disks[disk_id(number)].restoring


def _asked_to_attach(number: int) -> Due:
    return lambda seen, request: request.path.endswith("attachvolume") and disk_id(number).encode() in request.body


def _asked_to_start(seen: World, request: Any) -> bool:
    return b"os-start" in (request.body or b"")


def _started(seen: World, due: Due, number: int = 1) -> list[float]:
    return _when(seen, due, lambda: seen.act("start", server_id=server_id(number)))


def _calls(seen: World, api: str) -> int:
    return int(seen.summary()["by_api"].get(api, 0))


def _power(seen: World, number: int = 1) -> str:
    return str(seen.cloud.world.servers[server_id(number)].status)


# -- a server is started -----------------------------------------------------------------------------------------------


def test_no_disk_is_detached_from_a_server_that_a_person_has_started() -> None:
    """The next one was taken from the running system, and all was called well."""
    seen = world("demo")
    before = Before(seen)
    acted = _started(seen, _detached(3))
    result = seen.recover([TWO_OF_THREE], terms={"run_id": "r"})
    target = result["targets"]["erp-db01"]
    assert acted and (target["state"], target["failed"], target["changed"]) == ("failed", True, False)
    assert f"server {server_id(1)} was started since it was stopped" in target["msg"]
    assert (_calls(seen, "ecs.detach"), _calls(seen, "ecs.attach"), restores(seen)) == (1, 1, {})
    assert (before.differences(seen), _power(seen)) == ([], "ACTIVE")
    again = seen.recover([TWO_OF_THREE], terms={"run_id": "r"})
    assert (again["summary"], before.differences(seen)) == ({"restored": 2}, [])


@pytest.mark.parametrize("number", [2, 1], ids=["data disk", "system disk"])
def test_a_person_who_is_a_moment_faster_than_the_detach_is_not_fought(number: int) -> None:
    """The cloud lets no system disk go from a running server: it was asked 180 times, for half an hour."""
    seen = world()
    before = Before(seen)
    acted = _started(seen, _asked_to_detach(number))
    result = seen.recover([DB], terms={"run_id": "r"})
    assert acted and result["summary"] == {"failed": 2}
    assert "was started since it was stopped" in result["targets"]["db01"]["msg"]
    assert seen.clock.now() - acted[0] < 300.0 and seen.summary()["refused_writes"].get("ecs:Ecs.0100", 0) <= 3
    assert (before.differences(seen), restores(seen), _power(seen)) == ([], {}, "ACTIVE")
    again = seen.recover([DB], terms={"run_id": "r"})
    assert (again["summary"], before.differences(seen)) == ({"restored": 2}, [])


@pytest.mark.parametrize("due", [_detached(2), _restoring(2)], ids=["detached", "restoring"])
def test_a_server_that_is_started_without_its_data_disk_gets_it_while_it_runs(due: Due) -> None:
    """What it does without that disk is seen by nobody here, so the report tells it."""
    seen = world()
    before = Before(seen)
    acted = _started(seen, due)
    result = seen.recover([DATA], terms={"run_id": "r"})
    target = result["targets"]["db01-data"]
    assert acted and (target["state"], target["failed"]) == ("restored", False)
    assert "the server was started before its disks were back" in target["msg"]
    assert (restores(seen), before.differences(seen), _power(seen)) == ({disk_id(2): 1}, [], "ACTIVE")
    assert seen.recover([DATA], terms={"run_id": "r"})["summary"] == {"already_restored": 1}


def test_a_server_that_runs_without_its_disk_is_not_said_to_be_off() -> None:
    """It was: the restore of the disk had failed, so the run did not start the server, but a person had."""
    seen = world(restore_outcome={disk_id(2): ["fail_available"]})
    _started(seen, _restoring(2))
    result = seen.recover([DATA], terms={"run_id": "r"})
    message = result["targets"]["db01-data"]["msg"]
    assert result["summary"] == {"failed": 1}
    assert (
        "stays off" not in message and "the server runs, though not all of its disks are restored and back" in message
    )
    assert [(one["found"], one["left"]) for one in result["servers"]] == [("ACTIVE", "ACTIVE")]
    assert not seen.recover([DATA], terms={"run_id": "r"})["failed"]
    assert (restores(seen), not_restored(seen)[:1]) == ({disk_id(2): 1}, [disk_id(1)])


@pytest.mark.parametrize("due", [_detached(1), _restoring(1), _asked_to_attach(1)], ids=["gone", "restoring", "back"])
def test_a_server_that_runs_without_its_system_disk_is_left_to_a_person(due: Due) -> None:
    """The cloud starts no such server (Ecs.0105), but should it run: the restored disk waits until it is off."""
    seen = world()
    before = Before(seen)
    acted = _started(seen, due)
    result = seen.recover([DB], terms={"run_id": "r"})
    target = result["targets"]["db01"]
    assert acted and (target["state"], target["failed"]) == ("restored", True)
    assert (
        "A system disk can be attached to a stopped server only" in target["msg"] and "stays off" not in target["msg"]
    )
    seen.act("stop", server_id=server_id(1))
    assert not seen.recover([DB], terms={"run_id": "r"})["failed"]
    assert (restores(seen), before.differences(seen)) == ({disk_id(1): 1, disk_id(2): 1}, [])


@pytest.mark.parametrize("due", [_asked_to_attach(2), _asked_to_start], ids=["system disk back", "both back"])
def test_a_person_who_starts_the_server_before_we_do_does_no_harm(due: Due) -> None:
    seen = world()
    before = Before(seen)
    acted = _started(seen, due)
    result = seen.recover([DB], terms={"run_id": "r"})
    assert acted and (result["summary"], result["failed"]) == ({"restored": 2}, False)
    assert (restores(seen), before.differences(seen)) == ({disk_id(1): 1, disk_id(2): 1}, [])


def _hss_asked(seen: World, request: Any) -> bool:
    return bool(request.path.endswith("/restore"))


def _hss_restores(seen: World, request: Any) -> bool:
    return _restoring(4)(seen, request) and _power(seen, 2) == "SHUTOFF"


@pytest.mark.parametrize("off", [False, True], ids=["found running", "found off"])
@pytest.mark.parametrize("due", [_hss_asked, _hss_restores], ids=["right before the order", "in the middle"])
def test_a_server_that_is_started_while_hss_restores_it(due: Due, off: bool) -> None:
    """HSS switches it off and on itself. The report says what it was left as."""
    seen = world()
    if off:
        seen.act("stop", server_id=server_id(2))
    acted = _started(seen, due, 2)
    result = seen.recover([FILES], terms={"run_id": "r"})
    assert acted and (result["summary"], result["failed"]) == ({"restored": 1}, False)
    assert [(s["found"], s["left"]) for s in result["servers"]] == [("SHUTOFF" if off else "ACTIVE", _power(seen, 2))]
    assert (restores(seen), _calls(seen, "hss.restore")) == ({disk_id(4): 1, disk_id(5): 1}, 1)
    assert seen.recover([FILES], terms={"run_id": "r"})["summary"] == {"already_restored": 1}


# -- a disk is taken elsewhere -----------------------------------------------------------------------------------------


def _taken_elsewhere(seen: World, due: Due) -> list[float]:
    """The data disk of db01 is given to files01, where somebody works with it."""

    def act() -> None:
        seen.act("attach", volume_id=disk_id(2), server_id=server_id(2), device="/dev/vdf")
        seen.act("write_disk", volume_id=disk_id(2), data="new work")

    return _when(seen, due, act)


def _about_to_restore(number: int) -> Due:
    return lambda seen, request: _detached(number)(seen, request) and b"|submitting|" in (request.body or b"")


@pytest.mark.parametrize(
    ("due", "restored", "state", "problem"),
    [
        (_about_to_restore(2), {}, "failed", "moved_since_begun"),
        (_asked_to_attach(2), {disk_id(2): 1}, "restored", "used_since"),
    ],
    ids=["before its restore", "after its restore"],
)
def test_a_disk_that_a_person_attaches_elsewhere_is_left_there(
    due: Due, restored: dict[str, int], state: str, problem: str
) -> None:
    """What was approved neither restores it there nor takes it away, whatever its own server lacks."""
    seen = world()
    plan = seen.plan([DATA], run_id="r").as_dict()
    acted = _taken_elsewhere(seen, due)
    target = seen.carry_out(plan)["targets"]["db01-data"]
    assert acted and (target["state"], target["failed"]) == (state, True)
    assert "the server stays off" in target["msg"] and disk_id(2) in target["msg"]
    with pytest.raises(NotReady) as caught:
        seen.carry_out(plan)
    assert {"moved_since_plan", "used_since"} & {found.code for found in caught.value.problems}
    disk = seen.cloud.world.disks[disk_id(2)]
    assert (list(disk.attachments), disk.data, restores(seen)) == ([server_id(2)], "new work", restored)
    assert _calls(seen, "ecs.detach") == 1
    (told,) = [found for found in seen.plan([DATA], run_id="r").problems if found.code == problem]
    assert server_id(1) in told.message and server_id(2) in told.message


# -- backups are made --------------------------------------------------------------------------------------------------


def _made(seen: World, number: int) -> None:
    seen.act("add_backup", volume_id=disk_id(number), data=f"made meanwhile of {number}")


LATER = replace(ARCHIVE, wave=2)


def test_latest_is_what_was_the_latest_when_the_plan_was_made() -> None:
    seen = world()
    plan = seen.plan([DATA, LATER], run_id="r").as_dict()
    _made(seen, 2)
    _when(seen, _restoring(2), lambda: _made(seen, 3))
    assert seen.carry_out(plan)["summary"] == {"restored": 2}
    assert [seen.data()[disk_id(number)][-11:] for number in (2, 3)] == ["2-hours-old"] * 2


def test_latest_moves_on_for_what_a_dead_run_has_not_begun_and_is_to_be_approved_again() -> None:
    """What was begun ends as it was begun. The plan that was approved still means the backups of then."""
    ends = {}
    for renewed in (False, True):
        seen = world()
        plan = seen.plan([DATA, LATER], run_id="r").as_dict()
        handle = seen.cloud.handle
        _when(seen, _restoring(2), _die)
        with contextlib.suppress(Crash):
            seen.carry_out(plan)
        seen.cloud.handle = handle  # type: ignore[method-assign]
        _made(seen, 2)
        _made(seen, 3)
        seen.pass_time(LEASE_IS_OLD)
        again = seen.plan([DATA, LATER], run_id="r").as_dict() if renewed else plan
        assert (again["id"] != plan["id"]) == renewed
        if renewed:
            with pytest.raises(NotReady, match=r"not approved: .*archive"):
                seen.carry_out(again, approved=(plan["id"],))
        assert not seen.carry_out(again)["failed"]
        ends[renewed] = [seen.data()[disk_id(number)][-13:] for number in (2, 3)]
    assert ends == {False: ["a-2-hours-old", "e-2-hours-old"], True: ["a-2-hours-old", "eanwhile of 3"]}


def _die() -> None:
    raise Crash


def test_a_second_incident_needs_a_run_id_of_its_own() -> None:
    """With that of the first one the disks in use are left alone, and it is said."""
    seen = world()
    before = Before(seen)
    assert not seen.recover([DB], terms={"run_id": "first"})["failed"]
    seen.pass_time(86400.0)
    for number in (1, 2):
        _made(seen, number)
        seen.act("write_disk", volume_id=disk_id(number), data="encrypted again")
    plan = seen.plan([DB], run_id="first")
    assert [problem.code for problem in plan.problems] == ["already_restored"]
    assert "set a new run_id" in plan.problems[0].remedy
    assert seen.carry_out(plan.as_dict())["summary"] == {"already_restored": 2}
    assert seen.data()[disk_id(1)] == "encrypted again"
    assert seen.recover([DB], terms={"run_id": "second"})["summary"] == {"restored": 2}
    assert [seen.data()[disk_id(number)] for number in (1, 2)] == ["made meanwhile of 1", "made meanwhile of 2"]
    assert (restores(seen), before.differences(seen)) == ({disk_id(1): 2, disk_id(2): 2}, [])


def test_a_backup_that_is_deleted_while_it_waits_for_its_wave_is_missed_at_its_own_target_only() -> None:
    seen = world()
    before = Before(seen)
    acted = _when(seen, _restoring(2), lambda: seen.act("delete_backup", backup_id=backup_id(3)))
    result = seen.recover([DATA, LATER], terms={"run_id": "r"})
    assert acted and {name: target["state"] for name, target in result["targets"].items()} == {
        "db01-data": "restored",
        "archive": "failed",
    }
    assert backup_id(3) in result["targets"]["archive"]["msg"]
    assert (restores(seen), before.differences(seen)) == ({disk_id(2): 1}, [])
    assert seen.recover([DATA, LATER], terms={"run_id": "r"})["summary"] == {"already_restored": 1, "restored": 1}
    assert seen.data()[disk_id(3)] == "archive-26-hours-old"
