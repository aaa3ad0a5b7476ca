# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the helper module of these tests within reach, and keeps the property tests short and the same every time."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

# The same examples in every run: a red build is reproducible. No database: nothing is written beside the sources.
settings.register_profile("recovery", derandomize=True, database=None, deadline=None, max_examples=60)
settings.load_profile("recovery")
