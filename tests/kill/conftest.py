# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery that can be killed at any call, with machines to run it on."""

from __future__ import annotations

import pytest
from integration.conftest import CloudStarter, ControllerMaker, new_controller, start_cloud

pytest.register_assert_rewrite("kill.recovery")  # so that its assertions tell what they saw

from kill.recovery import SCALE, TIMING, Recovery  # noqa: E402  (only what is imported after that is rewritten)

__all__ = ["new_controller", "recovery", "start_cloud"]


@pytest.fixture
def recovery(start_cloud: CloudStarter, new_controller: ControllerMaker) -> Recovery:
    return Recovery(start_cloud(scale=SCALE, timing=TIMING), new_controller)
