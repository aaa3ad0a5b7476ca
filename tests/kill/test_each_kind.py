# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL at one call of each kind, before and after the cloud carries it out.

The sample of `make test`; `make kill` takes every call.
"""

from __future__ import annotations

import pytest
from kill.recovery import (
    HSS_SERVER,
    VBS_SERVERS,
    Call,
    Recovery,
    assert_says_what_was_begun,
    check_killed_at,
    check_killed_at_each,
)

METADATA = f"{VBS_SERVERS[0]}/metadata"
PHASES = ("before", "after")
WRITES = [
    *(Call(4, phase, "ecs.update_metadata", METADATA) for phase in PHASES),  # around the submits
    *(Call(1, phase, "ecs.server_action") for phase in PHASES),  # a stop
    *(Call(2, phase, "ecs.server_action") for phase in PHASES),  # a start
    *(Call(2, phase, "ecs.detach") for phase in PHASES),
    *(Call(3, phase, "vbs.restore") for phase in PHASES),
    Call(1, "after", "hss.restore"),  # see below for `before`
    *(Call(3, phase, "ecs.attach") for phase in PHASES),
]
PLANNING = [
    "iam.create_token",
    "evs.list_volumes",
    "ecs.list_servers",
    "vbs.list_backups",
    "vbs.show_backup",
    "hss.list_backups",
    "hss.show_backup",
]
# In the order in which a run comes to them, so that each run gets a little further than the one before it.
FOLLOWING: dict[str, tuple[int, dict[str, int]]] = {
    "hss.list_operation_logs": (2, {}),
    "ecs.show_server": (8, {}),
    "evs.show_volume": (1, {"max_parallel": 1}),  # two disks at a time are looked for in a list
    "vbs.show_job": (4, {}),
}


@pytest.mark.timeout(900)  # a server may be stopped at that very moment, and the next run listen for minutes
@pytest.mark.parametrize("call", WRITES, ids=str)
def test_killed_at(recovery: Recovery, call: Call) -> None:
    assert check_killed_at(recovery, call), "the run did not come to this call"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("phase", PHASES)
def test_killed_while_it_plans(recovery: Recovery, phase: str) -> None:
    for api in PLANNING:
        assert recovery.killed_at(Call(1, phase, api)), f"the run did not come to {api}"
    assert recovery.cloud.writes() == 0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("phase", PHASES)
def test_killed_at_each_look_in_turn(recovery: Recovery, phase: str) -> None:
    check_killed_at_each(recovery, [(Call(nth, phase, api), settings) for api, (nth, settings) in FOLLOWING.items()])
    asked = set(recovery.cloud.summary()["by_api"])
    assert asked == {*PLANNING, *FOLLOWING, *(call.api for call in WRITES)}, "some kind of call has no kill, or no call"


def test_killed_before_hss_is_asked(recovery: Recovery) -> None:
    """Nobody can know then. The next run listens for three minutes before it says so, a plan need not."""
    left = recovery.killed_at(Call(1, "before", "hss.restore"))
    assert left is not None
    assert left.phase(HSS_SERVER) == "submitting" and left.hss_restores == recovery.at_first.hss_restores
    writes = recovery.cloud.writes()
    planned = recovery.plan()
    assert planned.code == 0 and f"begun: server {HSS_SERVER}" in planned.said
    assert_says_what_was_begun(planned, left)
    assert recovery.cloud.writes() == writes
