# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options that say where a recovery keeps its marks."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  journal:
    description:
      - Where the marks of a run are kept, by which it can be continued.
      - With V(cloud) in the metadata of the servers, and of disks that have no server; keys begin with
        C(hwcloud_recovery_). Any controller can then continue the run.
      - With V(file) in files below O(journal_dir). Nothing is written to metadata, but only who has these files can
        continue.
      - Plan and run must use the same journal. What a run with V(cloud) has left unfinished has to be finished with
        V(cloud), so it keeps a plan with V(file) from being ready.
    type: str
    choices: [cloud, file]
    default: cloud
  journal_dir:
    description:
      - Folder on the controller for O(journal=file), required there. It must outlive the run, so no temporary folder.
    type: path
"""
