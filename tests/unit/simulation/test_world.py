# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests do to a world does happen, and is over when it should be."""

from __future__ import annotations

import pytest
from simulation.cases import ARCHIVE, disk_id, restores, world


def test_who_dies_sends_nothing_more_and_who_comes_next_lives() -> None:
    seen = world()
    with seen.dying(lambda request: request.path.endswith("/restore")):
        seen.recover([ARCHIVE])
    assert not restores(seen).get(disk_id(3))
    seen.pass_time(600)
    assert not seen.recover([ARCHIVE])["failed"]


def test_a_death_that_does_not_come_is_no_test() -> None:
    seen = world()
    with pytest.raises(AssertionError, match="nobody died"), seen.dying(lambda request: "nowhere" in request.path):
        seen.recover([ARCHIVE])
