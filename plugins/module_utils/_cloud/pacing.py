# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the next call may go out: a sliding window per API, shared by all threads. Numbers only, nobody sleeps here.

HSS says how many calls it takes: 5 a minute per user and API (HSS API reference, Constraints). Of the others it is
learned from the answer 429, in which the gateway names its limit: "policy user over ratelimit,limit:200,time:5 minute".
"""

from __future__ import annotations

import math
import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

ApiKey = tuple[str, str]
"""Service and name of the API."""

SPARE_SECONDS = 1.0
"""A window is taken to be longer by so much: a call may need longer on its way than the next one."""
LARGE = 40
PORTIONS = 8
"""A large limit is handed out in portions: who may go first does not wait a whole window for the next step."""
REMEMBERED_CALLS = 5000
WITHOUT_NUMBERS_SECONDS = 300.0
"""How long a limit holds that had to be guessed; after that it is tried whether the service takes more again."""
WITHOUT_NUMBERS_SHARE = 0.8
TOO_FEW_TO_GUESS = 10
"""Calls in the last minute from which a refusal may be our own doing; below, others use the limit up."""

_TOLD = re.compile(r"limit:\s*(\d{1,9})\s*,\s*time:\s*(\d{1,6})\s*(second|minute|hour|day)", re.IGNORECASE)
_UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}


@dataclass(frozen=True)
class Limit:
    calls: int
    window_seconds: float


def told_limit(text: str) -> Limit | None:
    """The limit that the gateway names when it refuses a call."""
    found = _TOLD.search(text)
    if found is None or not int(found[1]) or not int(found[2]):
        return None
    return Limit(int(found[1]), int(found[2]) * _UNITS[found[3].lower()])


class Turns:
    """Hands out send times so that no window holds more calls of one API than its limit."""

    def __init__(self, per_minute: Mapping[str, int]) -> None:
        self._known = {service: Limit(calls, 60.0) for service, calls in per_minute.items() if calls > 0}
        self._learned: dict[ApiKey, tuple[Limit, float]] = {}
        self._lock = threading.Lock()
        self._sent: dict[ApiKey, deque[float]] = {}

    def free_in_seconds(self, key: ApiKey, now: float) -> float:
        """How long it is until the next place, without taking it."""
        with self._lock:
            return self._next_place(key, now) - now

    def reserve(self, key: ApiKey, now: float) -> None:
        """Take the next place for a call that is sent after the looks that guard it.

        It counts from now: were it to count from when it is sent, each window would begin by those looks later. So
        calls may come closer than the limit allows; a 429 then proves that nothing was accepted.
        """
        with self._lock:
            place = self._next_place(key, now)
            self._sent[key].append(place)

    def wait_seconds(self, key: ApiKey, now: float) -> float:
        """Take the next place, and say how many seconds it is until then."""
        with self._lock:
            place = self._next_place(key, now)
            self._sent[key].append(place)
            return place - now

    def learn(self, key: ApiKey, refusal: str, now: float) -> None:
        """A call was refused as one too many. Without numbers, a little less than what was sent in the last minute."""
        limit = told_limit(refusal)
        with self._lock:
            lately = sum(now - 60.0 < sent <= now for sent in self._sent.get(key, ()))
            if limit is not None:
                self._learned[key] = limit, math.inf
            elif lately >= TOO_FEW_TO_GUESS and self._learned.get(key, (None, 0.0))[1] != math.inf:
                self._learned[key] = Limit(int(lately * WITHOUT_NUMBERS_SHARE), 60.0), now + WITHOUT_NUMBERS_SECONDS

    def _next_place(self, key: ApiKey, now: float) -> float:
        sent = self._sent.setdefault(key, deque(maxlen=REMEMBERED_CALLS))
        place = max(now, sent[-1]) if sent else now
        learned, until = self._learned.get(key, (None, 0.0))
        for limit in (self._known.get(key[0]), learned if now < until else None):
            if limit is not None and len(sent) >= limit.calls:
                place = max(place, sent[-limit.calls] + limit.window_seconds + SPARE_SECONDS)
            if limit is not None and limit.calls >= LARGE and len(sent) >= (few := -(-limit.calls // PORTIONS)):
                place = max(place, sent[-few] + limit.window_seconds / PORTIONS)
        return place
