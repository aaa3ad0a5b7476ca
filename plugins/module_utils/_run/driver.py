# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only loop: what the scripts ask is done by workers, and brought back to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._cloud.api import Api
from .._restore.batch import Batch
from .._restore.commands import Command, ConfirmOwner, Look, Pause, RenewLease, Say, Script, TakeTurn
from .._restore.mark import LEASE_RENEWED_EVERY_SECONDS
from .._restore.model import ErrorInfo
from .clock import Clock
from .journal import Journal
from .looks import Looks, Receiver
from .orders import HOLDERS, TURNS, Orders, Turnstiles, things
from .workers import Workers


@dataclass(frozen=True)
class Line:
    """One line of the timeline. `at` in seconds since 1970."""

    at: float
    event: str
    target: str
    text: str
    volume_id: str


def keep_lease() -> Script[None]:
    """Beside a run: tell others that it is at work. A renewal that fails is tried again at the next turn; the marks'
    owner is read back before each submit anyway."""
    while True:
        yield Pause(LEASE_RENEWED_EVERY_SECONDS)
        yield RenewLease()


class Driver:
    """Carries a batch out. `tell` gets every line of the timeline, `show_progress` is called now and then."""

    def __init__(
        self,
        api: Api,
        *,
        clock: Clock,
        workers: Workers,
        journal: Journal | None,
        tell: Callable[[Line], None],
        show_progress: Callable[[float], None] | None = None,
        progress_interval_seconds: float = 0,
    ) -> None:
        self._api = api
        self._clock = clock
        self._workers = workers
        self._journal = journal
        self._tell = tell
        self._show_progress = show_progress
        self._progress_interval_seconds = progress_interval_seconds
        self._started = clock.now() - clock.monotonic()
        self._batch = Batch([], width=0)
        self._looks = Looks(api, workers, self._answer_look)
        self._orders = Orders(api, workers, journal, answer=self._answer_order, rank=self._rank)
        self._turnstiles = Turnstiles(api)

    def now(self) -> float:
        """Seconds since 1970, counted from the start so that a clock that is set meanwhile does no harm."""
        return self._started + self._clock.monotonic()

    def run(self, batch: Batch) -> None:
        self._batch = batch
        next_progress = self.now() + self._progress_interval_seconds
        while True:
            now = self.now()
            self._let_through()
            while asked := batch.next(now):
                for ticket, command in asked:
                    self._ask(ticket, command, now)
                self._let_through()
            if batch.finished and not self._orders.renewing:
                return
            self._orders.send()
            self._looks.send(now, batch.soon)
            if self._progress_interval_seconds and self._show_progress and now >= next_progress:
                self._show_progress(now)
                next_progress = now + self._progress_interval_seconds
            for done in self._workers.results(self._patience(now, next_progress)):
                if done.bug is not None:
                    raise done.bug
                done.key(done.value)

    def _patience(self, now: float, next_progress: float) -> float:
        opens = self._turnstiles.opens_in_seconds()
        ends = [
            self._batch.wake_at(),
            None if opens is None else now + opens,
            next_progress if self._progress_interval_seconds else None,
        ]
        return max(0.0, min((end for end in ends if end is not None), default=now + 1.0) - now)

    def _let_through(self) -> None:
        for ticket in self._turnstiles.let_through():
            self._batch.apply(ticket, None)

    def _rank(self, ticket: int) -> int:
        return self._batch.rank(ticket)

    def _ask(self, ticket: int, command: Command, now: float) -> None:
        if isinstance(command, Say):
            self._tell(Line(now, command.event, command.target, command.text, command.volume_id))
            self._batch.apply(ticket, None)
        elif isinstance(command, Look):
            receiver = Receiver(ticket)
            self._looks.want(command.thing, command.id, receiver, max_age_seconds=command.max_age_seconds, now=now)
        elif isinstance(command, ConfirmOwner):
            thing, name = HOLDERS[command.holder.kind], command.holder.id
            receiver = Receiver(ticket, command)
            self._looks.want(thing, name, receiver, max_age_seconds=command.max_age_seconds, now=now)
        elif isinstance(command, TakeTurn) and command.order not in TURNS:
            self._batch.apply(ticket, None)
        elif isinstance(command, TakeTurn):
            self._turnstiles.wait(command.order, self._rank(ticket), ticket)
        elif isinstance(command, RenewLease):
            self._orders.renew(ticket)
        else:
            self._forget(command, now)
            self._orders.give(ticket, command)

    def _forget(self, order: Any, now: float) -> None:
        for thing, name in things(order):
            self._looks.changed(thing, name, now)

    def _answer_order(self, ticket: int, order: Any, answer: Any) -> None:
        self._forget(order, self.now())
        self._batch.apply(ticket, answer)

    def _answer_look(self, receiver: Receiver, seen: Any) -> None:
        confirm = receiver.confirm
        self._batch.apply(receiver.ticket, seen if confirm is None else self._owner(confirm, seen))

    def _owner(self, confirm: ConfirmOwner, seen: Any) -> ErrorInfo | None:
        if isinstance(seen, ErrorInfo):
            return seen
        return self._journal.owner_in(confirm.holder, seen.metadata, confirm.since) if self._journal else None
