# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes: which call an order becomes, and which orders go out together."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from .._cloud import ecs, hss, vbs
from .._cloud.api import Api
from .._cloud.errors import CloudError
from .._cloud.pacing import ApiKey
from .._restore.commands import (
    Attach,
    Detach,
    Holder,
    RestoreDisk,
    RestoreServer,
    StartServer,
    StopServer,
    Thing,
    WriteMarks,
)
from .._restore.model import Accepted, ErrorInfo, Failure
from .journal import Journal
from .workers import Workers

CALLS: Mapping[type, Callable[[Api, Any], Accepted]] = {
    Detach: lambda api, order: ecs.detach(api, order.server_id, order.volume_id),
    Attach: lambda api, order: ecs.attach(api, order.server_id, order.volume_id, device=order.device),
    RestoreDisk: lambda api, order: vbs.restore(api, order.backup_id, order.volume_id),
    RestoreServer: lambda api, order: hss.restore(
        api, order.backup_id, server_id=order.server_id, power_on=order.power_on, mappings=order.mappings
    ),
}
TURNS: Mapping[type, ApiKey] = {RestoreDisk: vbs.RESTORE, RestoreServer: hss.RESTORE, Detach: ecs.DETACH}
"""Orders whose turn is taken before the look that guards them."""
POWER: Mapping[tuple[type, bool], Callable[[Api, Sequence[str]], Accepted]] = {
    (StopServer, False): ecs.stop,
    (StopServer, True): partial(ecs.stop, hard=True),
    (StartServer, False): ecs.start,
}
SERVERS_IN_ONE_CALL = 500
"""ECS takes 1,000 a call, or a minute (Stopping ECSs in a Batch); half of that leaves room for others."""
FIRST = -1
HOLDERS: Mapping[str, Thing] = {"server": Thing.SERVER, "disk": Thing.DISK}


def things(order: Any) -> list[tuple[Thing, str]]:
    """What an order changes."""
    if isinstance(order, WriteMarks):
        return [(HOLDERS[order.holder.kind], order.holder.id)]
    ids = ((Thing.DISK, getattr(order, "volume_id", "")), (Thing.SERVER, getattr(order, "server_id", "")))
    return [(thing, name) for thing, name in ids if name]


Bundle = list[tuple[int, Any]]
"""Orders with their tickets that one call carries out."""


class Turnstiles:
    """Who waits for the turn of an API, whose rate limit lets only so many through: the lowest rank goes first."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._waiting: dict[ApiKey, list[tuple[int, int]]] = {}

    def wait(self, order: type, rank: int, ticket: int) -> None:
        heapq.heappush(self._waiting.setdefault(TURNS[order], []), (rank, ticket))

    def let_through(self) -> Iterator[int]:
        """The tickets of those whose turn it is."""
        for key, waiting in self._waiting.items():
            while waiting and self._api.turn_in_seconds(key) <= 0:
                self._api.take_turn(key)
                yield heapq.heappop(waiting)[1]

    def opens_in_seconds(self) -> float | None:
        return min((self._api.turn_in_seconds(key) for key, waiting in self._waiting.items() if waiting), default=None)


class Orders:
    """`answer` brings the answer to the ticket of an order, `rank` tells how early it goes where calls have to wait."""

    def __init__(
        self,
        api: Api,
        workers: Workers,
        journal: Journal | None,
        *,
        answer: Callable[[int, Any, Any], None],
        rank: Callable[[int], int],
    ) -> None:
        self._api = api
        self._workers = workers
        self._journal = journal
        self._answer = answer
        self._rank = rank
        self._power: dict[tuple[type, bool], Bundle] = {}
        self._marks: dict[Holder, Bundle] = {}
        self._in_writing: set[Holder] = set()
        self.renewing = False
        """A renewal of the lease is on its way: it must not arrive after the lease was given back."""

    def give(self, ticket: int, order: Any) -> None:
        if isinstance(order, WriteMarks):
            self._marks.setdefault(order.holder, []).append((ticket, order))
        elif isinstance(order, (StopServer, StartServer)):
            if order.alone:
                self._send_power([(ticket, order)])
            else:
                self._power.setdefault(_power(order), []).append((ticket, order))
        else:
            self._submit(type(order).__name__, [(ticket, order)], partial(CALLS[type(order)], self._api, order))

    def send(self) -> None:
        """Send what has come together. Marks of one holder are written one after the other."""
        power, self._power = self._power, {}
        for bundle in power.values():
            for start in range(0, len(bundle), SERVERS_IN_ONE_CALL):
                self._send_power(bundle[start : start + SERVERS_IN_ONE_CALL])
        for holder in [h for h in self._marks if h not in self._in_writing]:
            self._in_writing.add(holder)
            self._write(holder, self._marks.pop(holder))

    def renew(self, ticket: int) -> None:
        if self._journal is None:
            self._answer(ticket, None, None)
        else:
            self.renewing = True
            self._submit("lease", [(ticket, None)], self._journal.renew)

    def _send_power(self, bundle: Bundle) -> None:
        order = bundle[0][1]
        servers = [each.server_id for _ticket, each in bundle]
        self._submit(type(order).__name__, bundle, partial(POWER[_power(order)], self._api, servers))

    def _write(self, holder: Holder, bundle: Bundle) -> None:
        marks = dict(pair for _ticket, order in bundle for pair in order.marks)
        claim = any(order.claim for _ticket, order in bundle)
        call = partial(self._journal.write, holder, list(marks.items()), claim=claim) if self._journal else _nothing
        # what says how far a restore has come is not kept waiting by the first marks of those whose turn comes later
        self._submit(f"marks:{holder.kind}", bundle, call, rank=self._rank(bundle[0][0]) if claim else FIRST)

    def _submit(self, lane: str, bundle: Bundle, call: Callable[[], Any], *, rank: int = 0) -> None:
        self._workers.submit(lane, partial(self._came, bundle), partial(_carried_out, call), rank=rank)

    def _came(self, bundle: Bundle, answer: Any) -> None:
        order = bundle[0][1]
        self.renewing = self.renewing and order is not None
        if isinstance(order, WriteMarks):
            self._in_writing.discard(order.holder)
        together = len(bundle) > 1 and isinstance(order, (StopServer, StartServer))
        if together and isinstance(answer, ErrorInfo) and answer.kind in (Failure.REFUSED, Failure.MISSING):
            for pair in bundle:  # one of them may be the reason
                self._send_power([pair])
            return
        if together and isinstance(answer, Accepted):
            answer = replace(answer, shared=True)
        for ticket, each in bundle:
            self._answer(ticket, each, answer)


def _power(order: Any) -> tuple[type, bool]:
    return type(order), isinstance(order, StopServer) and order.hard


def _carried_out(call: Callable[[], Any]) -> Any:
    """In a worker."""
    try:
        return call()
    except CloudError as error:
        return error.info


def _nothing() -> None:
    """Without a journal there are no marks to write."""
