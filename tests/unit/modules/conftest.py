# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules without Ansible round them: their options go through their own spec, their cloud is the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.options import CONNECTION_SPEC
from simulation.cases import world
from simulation.world import World
from simulator.messages import Request, Response


@dataclass
class Stage:
    """One cloud, and every request that it has seen."""

    world: World
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        handle = self.world.cloud.handle

        def seen(service: str, request: Request) -> Response:
            self.requests.append(request)
            return handle(service, request)

        self.world.cloud.handle = seen  # type: ignore[method-assign]

    def run(self, module: ModuleType, *, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        """What the module returns. Raises what `run()` of the modules makes a failure of."""
        spec: Mapping[str, Any] = {**CONNECTION_SPEC, **module.SPEC}
        checked = ArgumentSpecValidator(spec).validate(options)
        assert not checked.error_messages
        shell = self.world.shell(read_only=check_mode)
        try:
            result: dict[str, Any] = module.work(shell, checked.validated_parameters, check_mode)
            return result
        finally:
            self.world.clock.forget()

    def dies(self, module: ModuleType, where: str, **options: Any) -> None:
        """A task dies when it sends this. Its lease grows old."""
        with self.world.dying(lambda request: where.encode() in request.path.encode() + (request.body or b"")):
            self.run(module, **options)
        self.world.pass_time(600)

    def restores(self) -> int:
        return sum(disk.restore_count for disk in self.world.cloud.world.disks.values())

    @property
    def writes(self) -> int:
        return int(self.world.summary()["writes"])


@pytest.fixture
def stage() -> Stage:
    return Stage(world())
