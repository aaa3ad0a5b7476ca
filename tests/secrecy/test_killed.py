# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that is killed cannot clean up behind itself, so there must be nothing to clean up."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from .conftest import Machine
from .test_playbooks import ARGUMENTS, HOSTS, RESTORE, variables_file
from .ways import no_variables, options

START_SECONDS = 60


@pytest.mark.parametrize("api", ["vbs.list_backups", "vbs.restore"], ids=["while it plans", "while it restores"])
def test_no_secret_is_left_by_a_playbook_that_is_killed(machine: Callable[..., Machine], api: str) -> None:
    here = machine("small.yml")
    _environment, arguments, given = variables_file(here, options(here.cloud, "key"))
    inventory = here.controller.write("inventory.yml", {"all": {"hosts": HOSTS}})
    here.cloud.add_faults({"api": api, "action": {"hold": True}})
    here.controller.start(RESTORE, inventory, *arguments, variables=ARGUMENTS, environment=no_variables())
    deadline = time.monotonic() + START_SECONDS
    while not here.cloud.simulator.ask("/faults")[0]["fired"]:
        assert time.monotonic() < deadline, f"{api} was not asked"
        time.sleep(0.05)
    here.controller.kill()
    assert here.secrets.in_files(here.controller.folder, given) == {}
