# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rate limits per user and API, as the gateway counts them."""

from __future__ import annotations

from collections import deque

from simulator.messages import Refusal, gateway
from simulator.scenario import Rate


class Throttle:
    """A sliding window per user and API, in simulated time. Refused requests do not count [inferred]."""

    def __init__(self, *, scale: float) -> None:
        self._scale = scale
        self._seen: dict[tuple[str, str], deque[float]] = {}
        self.refused = 0

    def admit(self, key: tuple[str, str], rate: Rate, *, now: float, tell_when: bool) -> None:
        """Raise 429 APIGW.0308 if this user has used up this API.

        HSS API reference, Constraints: 5 requests a minute per user, IP and API.
        """
        seen = self._seen.setdefault(key, deque())
        window = rate.window_seconds / self._scale
        while seen and seen[0] <= now - window:
            seen.popleft()
        if len(seen) >= rate.requests:
            self.refused += 1
            raise self._refusal(rate, wait_seconds=seen[0] + window - now, tell_when=tell_when)
        seen.append(now)

    @staticmethod
    def _refusal(rate: Rate, *, wait_seconds: float, tell_when: bool) -> Refusal:
        # The gateway's wording as users have reported it; those answers carry no Retry-After.
        minutes = max(1, round(rate.window_seconds / 60))
        message = (
            "The throttling threshold has been reached: "
            f"policy user over ratelimit,limit:{rate.requests},time:{minutes} minute"
        )
        headers = {"Retry-After": str(int(wait_seconds) + 1)} if tell_when else {}
        return gateway("APIGW.0308", message, status=429, headers=headers)
