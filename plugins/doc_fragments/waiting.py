# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options that say how a module waits for the restore that it started."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  wait:
    description:
      - Whether to wait for the end of the restore.
      - With V(false) the task ends as soon as the cloud has accepted the restore, with RV(state=submitted) and a
        RV(handle).
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds to wait for the end of the restore, more than 0.
      - After that the task fails with RV(state=timed_out) and a RV(handle). The restore goes on in the cloud, since
        it cannot be cancelled. Wait again with O(handle).
    type: float
    default: 3600
  wait_interval:
    description:
      - Seconds between two looks, more than 0. HSS is asked no more often than O(rate_limits) allows.
    type: float
    default: 10
  handle:
    description:
      - The RV(handle) of an earlier task. Then nothing is started, the module only waits for that restore.
      - Pass it on as it is. Its content is not meant to be written by hand.
    type: dict
  run_id:
    description:
      - Name of the recovery that this restore belongs to. 1 to 40 letters, digits, dots, underscores, colons and
        hyphens, a letter or digit first.
      - With it the module leaves marks in the metadata of the cloud. The same task with the same O(run_id) then goes
        on with what it began and finds what it finished (RV(state=already_restored), not changed), from any machine.
      - Without it nothing is remembered, and each task restores again. There is no default.
    type: str
"""
