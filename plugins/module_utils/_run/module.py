# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a module's options to its exit. The one place where failures become `fail_json`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from .._cloud.errors import CloudError
from .._cloud.transport import REQUESTS_ERROR
from .clock import SystemClock
from .options import CONNECTION_SPEC, OptionError, connection
from .recovery import NotReady, Shell, problems_first_errors
from .workers import ThreadWorkers

Work = Callable[[Shell, Mapping[str, Any], bool], dict[str, Any]]
"""Shell, options and whether this is check mode, to the result. A result with `failed` true ends as a failure."""


def run(work: Work, spec: Mapping[str, Any], *, read_only: bool = False, **constraints: Any) -> None:
    """Build the module, do its work, exit. A module that is `read_only` never writes, in check mode or not."""
    module = AnsibleModule(argument_spec={**CONNECTION_SPEC, **spec}, supports_check_mode=True, **constraints)
    if REQUESTS_ERROR:
        module.fail_json(msg=missing_required_lib("requests"), exception=REQUESTS_ERROR)
    try:
        result = work(_shell(module, read_only or module.check_mode), module.params, module.check_mode)
    except (OptionError, NotReady, CloudError) as error:
        module.fail_json(**failure(error))
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


def _shell(module: AnsibleModule, read_only: bool) -> Shell:
    clock = SystemClock()
    api = connection(module.params, os.environ).api(clock=clock, read_only=read_only)
    return Shell(api, clock, ThreadWorkers(), show=module.debug)


def failure(error: OptionError | NotReady | CloudError) -> dict[str, Any]:
    """What a task returns when nothing was changed."""
    if isinstance(error, CloudError):
        return {"msg": str(error), "changed": False, "error": error.info.as_dict()}
    if isinstance(error, NotReady):
        problems = problems_first_errors(error.problems)
        listed = "".join(
            f"\n- {p['target'] + ': ' if p['target'] else ''}{p['message']}. {p['remedy']}" for p in problems
        )
        return {"msg": f"{error}{listed}", "changed": False, "problems": problems}
    return {"msg": str(error), "changed": False}
