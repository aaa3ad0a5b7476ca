# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps these tests short and the same every time, and puts the helper modules of their neighbours within reach.

To search longer, with new examples each time: RECOVERY_EXAMPLES=5000 pytest tests/unit/properties
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / name) for name in ("cloud", "faults", "restore"))]

WANTED = os.environ.get("RECOVERY_EXAMPLES", "")
settings.register_profile(
    "properties",
    derandomize=not WANTED,
    max_examples=int(WANTED or 40),
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("properties")
