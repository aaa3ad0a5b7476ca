# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries a plan out from the controller and shows progress as it happens, which a module could not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils._cloud.errors import CloudError
from ..module_utils._cloud.transport import REQUESTS_ERROR
from ..module_utils._restore import report
from ..module_utils._run.clock import SystemClock
from ..module_utils._run.module import failure
from ..module_utils._run.options import OptionError, connection
from ..module_utils._run.recovery import NotReady, Shell, recover
from ..module_utils._run.targets import RUN_SPEC, run_options
from ..module_utils._run.workers import ThreadWorkers

display = Display()


class ActionModule(ActionBase):
    """See plugins/modules/recovery_run.py for options and results."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec=RUN_SPEC)
        if REQUESTS_ERROR:
            return {**result, "failed": True, "msg": "the Python library requests is missing on the controller"}
        try:
            return {**result, **self._recover(options)}
        except (OptionError, NotReady, CloudError) as error:
            return {**result, "failed": True, **failure(error)}

    def _recover(self, options: Mapping[str, Any]) -> dict[str, Any]:
        dry_run = bool(self._task.check_mode)
        clock = SystemClock()
        api = connection(options, self._environment()).api(clock=clock, read_only=dry_run)
        shell = Shell(api, clock, ThreadWorkers(), show=lambda text: display.display(f"[recovery] {text}"))
        result, diff = recover(shell, options["plan"], run_options(options), dry_run=dry_run)
        msg = report.headline(result)
        display.display(f"[recovery] {msg}")
        shown = {"diff": diff} if self._task.diff else {}
        return {**result, **shown, "msg": msg}

    def _environment(self) -> dict[str, str]:
        """The controller's environment with the task's `environment` over it, as a module would see it."""
        merged = dict(os.environ)
        for layer in self._task.environment or []:
            values = self._templar.template(layer) if layer else {}
            merged.update({str(name): str(value) for name, value in dict(values).items()})
        return merged
