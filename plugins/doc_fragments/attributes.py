# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of what modules and actions support. Each one adds how far it does."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and predict its result without writing anything to the cloud.
  diff_mode:
    description: Returns what is changed, or would be changed in check mode, when in diff mode.
  idempotent:
    description: When run again with the same options, does not change anything that is already as wanted.
  platform:
    description: Where it can run. The servers that are restored may run anything.
    platforms: posix
    support: full
  action_group:
    description: Can take options from C(module_defaults) of the group C(hwcloud.recovery.all).
    membership:
      - hwcloud.recovery.all
    support: full
"""

    # For recovery_run, which is an action.
    ACTION = r"""
attributes:
  action:
    description: Is an action plugin and runs on the controller.
    support: full
  async:
    description: Supports C(async) of a task.
    support: none
  connection:
    description: Uses the connection of the host it runs for.
    support: none
  delegation:
    description: Can be used together with C(delegate_to).
    support: none
    details: It always runs on the controller.
  bypass_host_loop:
    description: Runs once whatever the number of hosts.
    support: none
    details: Set C(run_once) on the task, or use it in a play of one host.
"""
