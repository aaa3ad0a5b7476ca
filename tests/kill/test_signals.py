# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C and SIGTERM in mid-run: nothing new is submitted, and the next run says what was running and goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest
from kill.recovery import START_SECONDS, Recovery, assert_recovered, assert_says_what_was_begun, ended

PLACES = 2
"""So many restores side by side: the others wait for their turn when the signal comes."""
PRINTED_SECONDS = 1.0
"""What an action says is printed by Ansible's main process, a moment later."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_nothing_new_is_submitted_after(recovery: Recovery, number: signal.Signals) -> None:
    controller, process = recovery.start(max_parallel=PLACES, progress_interval=1)
    _wait_until("two restores run", lambda: list(recovery.scene().open_marks.values()).count("accepted") == PLACES)
    accepted = recovery.scene().jobs
    time.sleep(PRINTED_SECONDS)
    submitted = _submitted(recovery)
    process.send_signal(number)
    stopped = ended(process)
    assert stopped.code != 0 and "Traceback" not in stopped.text
    _wait_until("its processes have ended", lambda: not controller._pids())
    left, writes = recovery.scene(), recovery.cloud.writes()
    # After these restores there would be room for the next ones.
    _wait_until("the restores have ended", lambda: not any(disk["restoring"] for disk in recovery.scene().disks))
    time.sleep(2)
    assert recovery.cloud.writes() == writes and _submitted(recovery) == submitted
    for job, disk in accepted.items():
        assert f"disk {disk}: restore accepted, job {job}" in stopped.said
    for job, disk in left.jobs.items():
        assert job in left.marks[disk]

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
