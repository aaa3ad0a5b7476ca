# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A strict cloud to rehearse on: IAM, EVS, ECS, VBS and HSS as far as a disk recovery needs them.

It imports nothing of the collection, so that it can disagree with it.
Every rule names its public source; ``[inferred]`` marks what no source states.
"""

from __future__ import annotations
