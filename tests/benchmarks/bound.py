# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a recovery takes at the least, whoever does it.

It counts only what no client can avoid: per disk one restore and, if the disk is attached, one detach and one attach;
per server its share of one stop and one start that serve many servers with one call. Nothing that this collection does
for its own sake (marks, leases, looks) makes the bound longer, and what a cleverer client might overlap is not added:
detaching the disks of one server one after the other, for example.

With r = restore seconds of a disk, b = seconds that must have passed before its restore (stop, detach), a = seconds
that must follow (attach, start), the bound is the largest of

    places   min(b) + sum(r) / width + min(a)            no more than `width` restores at a time
    chain    max(b + r + a)                              every disk goes through all of its steps
    an API   min(head) + max over k of (k * window + tail[k * n])
                                                         n calls in any window: at least N - k * n of the N calls go out
                                                         k windows after the first one could; of the tails, which are
                                                         the seconds that follow a call, from the longest to the
                                                         shortest, the best order leaves tail[k * n] to one of them

Stop and start have no term of their own: a call serves up to a thousand servers, so their seconds count, not the calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Need:
    """What happens to one disk (for HSS: to one server), in seconds. `attached` ones are detached and attached."""

    restore: float
    attached: bool = False
    stop: float = 0.0
    detach: float = 0.0
    attach: float = 0.0
    start: float = 0.0

    @property
    def before(self) -> float:
        return self.stop + self.detach

    @property
    def after(self) -> float:
        return self.attach + self.start

    @property
    def all(self) -> float:
        return self.before + self.restore + self.after


@dataclass(frozen=True)
class Rate:
    """At most so many calls of one API in any window of that many seconds."""

    calls: int
    window: float


@dataclass(frozen=True)
class Bound:
    """`parts` are all terms by name; the longest of them is the bound, in seconds."""

    parts: Mapping[str, float]

    @property
    def seconds(self) -> float:
        return max(self.parts.values())

    @property
    def by(self) -> str:
        return max(self.parts, key=lambda name: self.parts[name])


def lower_bound(needs: Sequence[Need], *, width: int, rates: Mapping[str, Rate] | None = None) -> Bound:
    """`rates` by the name of the call: restore, detach, attach; what is not named is not limited."""
    parts = {"places": _places(needs, width), "chain": max(need.all for need in needs)}
    heads_and_tails = _calls(needs)
    for call, rate in (rates or {}).items():
        if heads_and_tails[call]:
            parts[call] = _turns(heads_and_tails[call], rate)
    return Bound(parts)


def _places(needs: Sequence[Need], width: int) -> float:
    work = sum(need.restore for need in needs) / width
    return min(need.before for need in needs) + work + min(need.after for need in needs)


def _calls(needs: Sequence[Need]) -> dict[str, list[tuple[float, float]]]:
    """For each call that is needed: the seconds that go before it and those that follow it, with its own."""
    moved = [need for need in needs if need.attached]
    return {
        "restore": [(need.before, need.restore + need.after) for need in needs],
        "detach": [(need.stop, need.all - need.stop) for need in moved],
        "attach": [(need.before + need.restore, need.after) for need in moved],
    }


def _turns(calls: Iterable[tuple[float, float]], rate: Rate) -> float:
    heads, tails = zip(*calls, strict=True)
    longest_first = sorted(tails, reverse=True)
    turns = longest_first[:: rate.calls]
    return float(min(heads) + max(turn * rate.window + tail for turn, tail in enumerate(turns)))
