# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL at one call of each kind that changes something, and at a read, before and after it is carried out.

The sample of `make test`; `make kill` takes every call. Not in it is the moment before HSS carries out its restore: the
next run has to listen for three minutes there before it may say that nobody knows. A server may be stopped at that very
moment, so a test may take so long.
"""

from __future__ import annotations

import pytest
from kill.recovery import VBS_SERVERS, Call, Recovery, check_killed_at

METADATA = f"{VBS_SERVERS[0]}/metadata"
CALLS = [
    *(Call(4, phase, "ecs.update_metadata", METADATA) for phase in ("before", "after")),  # around the submits
    Call(1, "before", "ecs.server_action"),  # a stop
    Call(2, "after", "ecs.server_action"),  # a start
    *(Call(2, phase, "ecs.detach") for phase in ("before", "after")),
    *(Call(3, phase, "vbs.restore") for phase in ("before", "after")),
    Call(1, "after", "hss.restore"),
    *(Call(3, phase, "ecs.attach") for phase in ("before", "after")),
    *(Call(4, phase, "vbs.show_job") for phase in ("before", "after")),
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_killed_at(recovery: Recovery, call: Call) -> None:
    assert check_killed_at(recovery, call), "the run did not come to this call"
