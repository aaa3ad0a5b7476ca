# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two servers with six attached disks and one HSS server, recovered by a process that dies; and what it left behind."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from integration.conftest import Cloud, Controller, ControllerMaker, Played

RESTORE, PLAN = "hwcloud.recovery.restore", "hwcloud.recovery.plan"
RUN_ID = "killed-run"
SCALE = 100
# Steps end at the next look; restores take a few real seconds, so that the next run still meets some of them.
TIMING = {
    "job_init": 1.0,
    "stop": 5.0,
    "start": 5.0,
    "detach": 5.0,
    "attach": 5.0,
    "vbs_restore": 100.0,
    "hss_restore": 200.0,
    "hss_restore_per_gb": 0.1,
}
WAIT_INTERVAL_SECONDS = 0.3
START_SECONDS = 60
END_SECONDS = 300
"""Where HSS may have been asked, the next run listens for 180 s before it says `unknown`."""

HSS_HOST, HSS_SERVER = "files01", "a0000000-0000-4000-8000-000000000004"
HSS_MARK = "hwcloud_recovery_hss"
VBS_HOSTS = {"erp-db01": (1, 2, 3), "erp-app01": (4, 5, 6)}
NAMED_BACKUPS = {6: "b0000000-0000-4000-8000-000000000061"}
"""The newest one, too; but one that is named is looked up in another way."""
VBS_SERVERS = ("a0000000-0000-4000-8000-000000000001", "a0000000-0000-4000-8000-000000000002")
DISKS = {f"d0000000-0000-4000-8000-{number:012d}" for number in (*range(1, 7), 9, 10)}
CLOSED = {"finished", "returned"}
POINT = "-2-hours-old"


def _disk(number: int) -> str:
    return f"d0000000-0000-4000-8000-{number:012d}"


def _wish(number: int) -> dict[str, str]:
    return {"volume_id": _disk(number), "backup_id": NAMED_BACKUPS.get(number, "latest")}


def _inventory() -> dict[str, Any]:
    hosts: dict[str, Any] = {
        name: {
            "disaster_recovery_method": "vbs",
            "disaster_recovery_volumes": [_wish(number) for number in numbers],
        }
        for name, numbers in VBS_HOSTS.items()
    }
    hosts[HSS_HOST] = {"disaster_recovery_method": "hss", "disaster_recovery_server_id": HSS_SERVER}
    return {"all": {"hosts": hosts}}


@dataclass(frozen=True)
class Call:
    """The `nth` call of an API (of any, if it is not named), before the cloud carries it out or after that."""

    nth: int
    phase: str
    api: str = ""
    path: str = ""
    """Only those with such a path, a regular expression."""

    def __str__(self) -> str:
        return f"{self.api or 'call'}-{self.nth}-{self.phase}"

    @property
    def rule(self) -> dict[str, Any]:
        match = {"api": self.api, "path": self.path, "nth": self.nth, "phase": self.phase}
        return {"name": "kill", **match, "action": {"hold": True}}


@dataclass(frozen=True)
class Scene:
    """What the cloud holds at a moment."""

    state: Mapping[str, Any]

    @cached_property
    def marks(self) -> dict[str, list[str]]:
        """The fields of each mark, by its disk, or for HSS by its server."""
        found = {}
        for server_id, server in self.state["servers"].items():
            for key, value in server["metadata"].items():
                fields = value.split("|")
                if len(fields) == 11:  # a mark, not an owner and not a lease
                    found[server_id if key == HSS_MARK else key.removeprefix("hwcloud_recovery_")] = fields
        return found

    def phase(self, about: str) -> str:
        return self.marks[about][1] if about in self.marks else ""

    @property
    def open_marks(self) -> dict[str, str]:
        return {about: fields[1] for about, fields in self.marks.items() if fields[1] not in CLOSED}

    @property
    def jobs(self) -> dict[str, str]:
        """The disk of each VBS restore that was accepted, by the job's id."""
        jobs = self.state["jobs"].items()
        return {name: job["entities"]["volume_id"] for name, job in jobs if "backup_id" in job["entities"]}

    @property
    def disks(self) -> list[dict[str, Any]]:
        return list(self.state["disks"].values())

    @property
    def restores(self) -> Counter[str]:
        """How often each disk was written from a backup."""
        return Counter({name: disk["restore_count"] for name, disk in self.state["disks"].items()})

    @property
    def hss_restores(self) -> int:
        return len(self.state["hss_log"])

    @property
    def wrong_data(self) -> dict[str, str]:
        disks = {name: self.state["disks"][name] for name in DISKS}
        return {name: disk["data"] for name, disk in disks.items() if disk["data"] != disk["name"] + POINT}

    @property
    def places(self) -> dict[str, tuple[str, list[tuple[str, str]]]]:
        """Power state, and disks with their devices, of each server."""
        return {
            server["name"]: (server["status"], sorted((disk["id"], disk["device"]) for disk in server["volumes"]))
            for server in self.state["servers"].values()
        }


class Recovery:
    """The same command, each time on a machine that has never seen it before."""

    def __init__(self, cloud: Cloud, new_controller: ControllerMaker) -> None:
        self.cloud = cloud
        self._new_controller = new_controller
        self.at_first = self.scene()

    def scene(self) -> Scene:
        return Scene(self.cloud.state())

    def start(self, playbook: str = RESTORE, **variables: Any) -> tuple[Controller, subprocess.Popen[str]]:
        controller = self._new_controller(self.cloud)
        path = controller.write("inventory.yml", _inventory())
        given = {
            "disaster_recovery_auto_approve": True,
            "disaster_recovery_run_id": RUN_ID,
            "disaster_recovery_wait_interval": WAIT_INTERVAL_SECONDS,
            **{f"disaster_recovery_{name}": value for name, value in variables.items()},
        }
        return controller, controller.start(playbook, path, variables=given)

    def run(self, **variables: Any) -> Played:
        return ended(self.start(**variables)[1])

    def plan(self) -> Played:
        return ended(self.start(PLAN)[1])

    def killed_at(self, call: Call, **variables: Any) -> Scene | None:
        """Run until that call and kill every process. Returns what they left; None if the run ended before the call."""
        self.cloud.add_faults(call.rule)
        controller, process = self.start(**variables)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_held():
            if process.poll() is not None:
                assert ended(process).code == 0
                return None
            assert time.monotonic() < deadline, f"{call} did not come"
            time.sleep(0.02)
        controller.kill()
        left = self.scene()
        self.cloud.clear_faults()
        return left

    def _is_held(self) -> bool:
        return any(rule["name"] == "kill" and rule["fired"] for rule in self.cloud.simulator.ask("/faults"))


def ended(process: subprocess.Popen[str]) -> Played:
    text, _nothing = process.communicate(timeout=END_SECONDS)
    print(f"\n$ {process.args!r}\n{text}")  # shown where a test fails
    return Played(process.returncode, text)


def assert_recovered(recovery: Recovery, *left: Scene) -> None:
    """Every disk holds its backup and is where it was, every server runs as it did, and nothing was done too often.

    Where a VBS restore was accepted and its process died before it had written down the job, the disk may be restored
    once more, as it was still detached then. `left` is what each process that died has left behind.
    """
    now, summary = recovery.scene(), recovery.cloud.summary()
    unsure = Counter(disk for scene in left for disk in set(scene.jobs.values()) if scene.phase(disk) == "submitting")
    assert now.wrong_data == {}
    assert now.places == recovery.at_first.places
    assert now.open_marks == {}
    assert summary["violations"] == [] and summary["notes"] == []
    assert set(+now.restores) == DISKS
    assert now.restores - Counter(DISKS) - unsure == Counter()
    assert now.hss_restores == recovery.at_first.hss_restores + 1


def assert_says_what_was_begun(played: Played, left: Scene) -> None:
    for about in left.open_marks:
        assert f"begun: {'server' if about == HSS_SERVER else 'disk'} {about}" in played.said


def check_killed_at(recovery: Recovery, call: Call) -> bool:
    """Kill it there, run the same again elsewhere, and see that all is as if nothing had happened.

    False if the run ended before it came to that call; then it has to have ended well.
    """
    left = recovery.killed_at(call)
    if left is None:
        assert_recovered(recovery, recovery.scene())
        return False
    again = recovery.run()
    assert_says_what_was_begun(again, left)
    if left.phase(HSS_SERVER) == "submitting" and left.hss_restores == recovery.at_first.hss_restores:
        assert again.failed_hosts == {HSS_HOST} and "1 unknown" in again.said
        again = recovery.run(resubmit_unknown=[HSS_HOST])
    assert again.code == 0
    assert_recovered(recovery, left)
    return True


def check_killed_at_each(recovery: Recovery, calls: Iterable[tuple[Call, Mapping[str, Any]]]) -> None:
    """Kill the first run at the first of these calls, the run that goes on from there at the second one, and so on.

    With the variables of each run.
    """
    scenes = []
    for call, variables in calls:
        left = recovery.killed_at(call, **variables)
        assert left is not None, f"the run did not come to {call}"
        scenes.append(left)
    again = recovery.run()
    assert_says_what_was_begun(again, scenes[-1])
    assert again.code == 0
    assert_recovered(recovery, *scenes)
