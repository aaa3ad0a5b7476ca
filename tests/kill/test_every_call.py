# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL at every single call of a recovery. `make kill`; it takes half an hour on two idle cores."""

from __future__ import annotations

import pytest
from kill.recovery import Call, Recovery, check_killed_at

MOST_CALLS = 170
"""How often a run asks depends on how its looks fall; a run that ends before its call has to end well itself."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, MOST_CALLS + 1))
def test_killed_at(recovery: Recovery, nth: int, phase: str) -> None:
    check_killed_at(recovery, Call(nth, phase))


def test_there_are_no_more_calls(recovery: Recovery) -> None:
    assert recovery.run().code == 0
    requests = recovery.cloud.summary()["requests"]
    print(f"{requests} calls")
    assert requests <= MOST_CALLS, "raise MOST_CALLS"
