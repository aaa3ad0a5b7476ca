# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C and SIGTERM in mid-run: nothing new is submitted, and the next run says what was running and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from integration.conftest import Controller, Played
from kill.recovery import (
    HSS_SERVER,
    START_SECONDS,
    Recovery,
    Scene,
    assert_recovered,
    assert_says_what_was_begun,
    ended,
)

PLACES = 2
"""So many restores side by side: the others wait for their turn when the signal comes."""
PRINTED_SECONDS = 1.0
"""What an action says is printed by Ansible's main process, a moment later."""
SENT_BY: dict[signal.Signals, Callable[[int, int], None]] = {
    signal.SIGINT: os.killpg,  # a terminal sends it to all processes in the foreground
    signal.SIGTERM: os.kill,
}


@pytest.mark.parametrize("number", SENT_BY, ids=lambda number: number.name)
def test_nothing_new_is_submitted_after(recovery: Recovery, number: signal.Signals) -> None:
    controller, process = recovery.start(max_parallel=PLACES, progress_interval=1)
    _wait_until("two restores run", lambda: list(recovery.scene().open_marks.values()).count("accepted") == PLACES)
    accepted = recovery.scene().jobs
    time.sleep(PRINTED_SECONDS)
    submitted = _submitted(recovery)
    stopped, left = _stop(recovery, controller, process, number)
    assert _submitted(recovery) == submitted
    for job, disk in accepted.items():
        assert f"disk {disk}: restore accepted, job {job}" in stopped.said
    for job, disk in left.jobs.items():
        assert job in left.marks[disk]
    _go_on(recovery, left)


# What the run says before such a call.
MOMENTS = {
    "ecs.server_action": f"server {HSS_SERVER}: restore from backup files01-2-hours-old accepted",
    "ecs.detach": "server erp-db01: stopped",
    "ecs.attach": ": restored",
}


@pytest.mark.parametrize("api", MOMENTS)
def test_ctrl_c_before_the_answer(recovery: Recovery, api: str) -> None:
    """The cloud has stopped the servers, taken the first disks off or put them back, and nobody will ever read that."""
    late = {"name": "late", "api": api, "phase": "after", "times": None, "action": {"delay_seconds": 60}}
    recovery.cloud.add_faults(late)
    controller, process = recovery.start()
    _wait_until(f"{api} is under way", lambda: bool(recovery.cloud.simulator.ask("/faults")[0]["fired"]))
    time.sleep(PRINTED_SECONDS)
    submitted = _submitted(recovery)
    stopped, left = _stop(recovery, controller, process, signal.SIGINT)
    assert _submitted(recovery) == submitted
    assert MOMENTS[api] in stopped.said
    recovery.cloud.clear_faults()
    _go_on(recovery, left)


def _stop(
    recovery: Recovery, controller: Controller, process: subprocess.Popen[str], number: signal.Signals
) -> tuple[Played, Scene]:
    """Send the signal, and see that nothing is begun after it, not even where there is room for it again."""
    SENT_BY[number](process.pid, number)
    stopped = ended(process)
    assert stopped.code != 0 and "Traceback" not in stopped.text
    _wait_until("its processes have ended", lambda: not controller._pids())
    left, writes = recovery.scene(), recovery.cloud.writes()
    _wait_until("the restores have ended", lambda: not any(disk["restoring"] for disk in recovery.scene().disks))
    time.sleep(2)
    assert recovery.cloud.writes() == writes
    return stopped, left


def _go_on(recovery: Recovery, left: Scene) -> None:
    again = recovery.run()
    assert_says_what_was_begun(again, left)
    assert again.code == 0
    assert_recovered(recovery, left)


def _submitted(recovery: Recovery) -> int:
    by_api: dict[str, int] = recovery.cloud.summary()["by_api"]
    return by_api.get("vbs.restore", 0) + by_api.get("hss.restore", 0)


def _wait_until(what: str, happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not happened():
        assert time.monotonic() < deadline, f"not within {START_SECONDS} s: {what}"
        time.sleep(0.05)
