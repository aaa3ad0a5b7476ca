# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the next call may go out: a sliding window per API, shared by all threads. Numbers only, nobody sleeps here."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping

ApiKey = tuple[str, str]
"""Service and name of the API. HSS counts 5 calls a minute per user and API (HSS API reference, Constraints)."""

WINDOW_SECONDS = 61.0
"""A minute, and one second for calls that need longer on their way than the next one."""


class Turns:
    """Hands out send times so that no window of a minute holds more than the service's number of calls of one API."""

    def __init__(self, per_minute: Mapping[str, int]) -> None:
        self._per_minute = {service: number for service, number in per_minute.items() if number > 0}
        self._lock = threading.Lock()
        self._sent: dict[ApiKey, deque[float]] = {}

    def wait_seconds(self, key: ApiKey, now: float) -> float:
        """Reserve the next free place for this API, and say how long it is until then."""
        limit = self._per_minute.get(key[0])
        if limit is None:
            return 0.0
        with self._lock:
            sent = self._sent.setdefault(key, deque(maxlen=limit))
            place = max(now, sent[0] + WINDOW_SECONDS) if len(sent) == limit else now
            place = max(place, sent[-1]) if sent else place
            sent.append(place)
        return place - now
