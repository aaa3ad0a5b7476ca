# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cloud with accounts of its own, and a machine on which Ansible tells all that it can be made to tell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration.conftest import Cloud, CloudStarter, Controller, ControllerMaker, Played, new_controller, start_cloud

from .leaks import Secrets, watched
from .ways import ACCOUNTS, SECRETS, no_variables

__all__ = ["machine", "new_controller", "start_cloud"]

PLAY_SECONDS = 180
"""Most playbooks here have many tasks, and four of them run at a time."""


@dataclass(frozen=True)
class Machine:
    """A controller that logs at the highest verbosity, and whose every trace is searched after each playbook."""

    cloud: Cloud
    controller: Controller
    secrets: Secrets

    def play(
        self,
        playbook: str | Path,
        inventory: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        given: Collection[Path] = (),
        variables: Mapping[str, Any] | None = None,
    ) -> Played:
        """Run a playbook. `given` are the files that hold secrets; a secret of `environment` may be inherited."""
        log = self.controller.folder / "ansible.log"
        tell_all = {**no_variables(), **(environment or {}), "ANSIBLE_LOG_PATH": str(log)}
        with watched(self.controller) as seen:
            process = self.controller.start(
                playbook, inventory, "-vvvv", *arguments, variables=variables, environment=tell_all
            )
            text, _nothing = process.communicate(timeout=PLAY_SECONDS)
        print(f"\n$ {process.args!r}\n{text}")
        assert len(seen.commands) > 2, "the processes were not seen"
        assert self.secrets.in_text(text) == set(), "printed"
        assert self.secrets.in_files(self.controller.folder, given) == {}, "left in files"
        assert self.secrets.in_cloud(self.cloud) == set(), "left in the cloud, or sent in a URL"
        assert self.secrets.in_text("\n".join(seen.commands)) == set(), "in the process list"
        inherited = self.secrets.in_text("\n".join((environment or {}).values()))
        assert self.secrets.in_text("\n".join(seen.environments)) <= inherited, "in the environment of a child"
        return Played(process.returncode, text)


@pytest.fixture
def machine(start_cloud: CloudStarter, new_controller: ControllerMaker) -> Callable[..., Machine]:
    """A machine for a cloud with the scenario of that name."""

    def make(scenario: str, secrets: Secrets = SECRETS, **changes: Any) -> Machine:
        cloud = start_cloud(scenario, scale=2000, **ACCOUNTS, **changes)
        return Machine(cloud, new_controller(cloud), secrets)

    return make
