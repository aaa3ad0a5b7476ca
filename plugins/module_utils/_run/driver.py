# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only loop: what the scripts ask is done by workers, and brought back to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .._cloud import ecs, evs, hss, vbs
from .._cloud.api import Api
from .._cloud.errors import CloudError
from .._restore.batch import Batch
from .._restore.commands import (
    Attach,
    Command,
    ConfirmOwner,
    Detach,
    Holder,
    Look,
    Pause,
    RenewLease,
    RestoreDisk,
    RestoreServer,
    Say,
    Script,
    StartServer,
    StopServer,
    Thing,
    WriteMarks,
)
from .._restore.mark import LEASE_RENEWED_EVERY_SECONDS
from .._restore.model import ErrorInfo, Failure
from .clock import Clock
from .journal import Journal
from .workers import Workers

DISKS_IN_ONE_LOOK = 60
"""As many ids as one EVS list call takes."""

Orders = Mapping[type, Callable[[Api, Any], Any]]

ORDERS: Orders = {
    StopServer: lambda api, order: ecs.stop(api, [order.server_id], hard=order.hard),
    StartServer: lambda api, order: ecs.start(api, [order.server_id]),
    Detach: lambda api, order: ecs.detach(api, order.server_id, order.volume_id),
    Attach: lambda api, order: ecs.attach(api, order.server_id, order.volume_id, device=order.device),
    RestoreDisk: lambda api, order: vbs.restore(api, order.backup_id, order.volume_id),
    RestoreServer: lambda api, order: hss.restore(
        api, order.backup_id, server_id=order.server_id, power_on=order.power_on, mappings=order.mappings
    ),
}

Looker = Callable[[Api, Sequence[str]], Mapping[str, Any]]

LOOKS: Mapping[Thing, Looker] = {
    Thing.DISK: evs.disks,
    Thing.SERVER: ecs.servers,
    Thing.VBS_BACKUP: lambda api, ids: {ids[0]: vbs.backup(api, ids[0])},
    Thing.VBS_JOB: lambda api, ids: {ids[0]: vbs.job(api, ids[0])},
    Thing.ECS_JOB: lambda api, ids: {ids[0]: ecs.job(api, ids[0])},
    Thing.HSS_BACKUP: lambda api, ids: {ids[0]: hss.backup(api, ids[0])},
    Thing.HSS_LOG: lambda api, ids: {"": hss.log(api)},
}
TOGETHER: Mapping[Thing, int] = {Thing.DISK: DISKS_IN_ONE_LOOK, Thing.SERVER: 1000, Thing.HSS_LOG: 1}
"""How many of one kind are looked at with one call; 1 where it is not named."""
HSS_LANE = frozenset({Thing.HSS_BACKUP, Thing.HSS_LOG})
HOLDERS: Mapping[str, Thing] = {"server": Thing.SERVER, "disk": Thing.DISK}


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
        self._looks: dict[Thing, dict[str, list[tuple[int, ConfirmOwner | None]]]] = {}
        self._log_is_read = False

    def now(self) -> float:
        """Seconds since 1970, counted from the start so that a clock that is set meanwhile does no harm."""
        return self._started + self._clock.monotonic()

    def run(self, batch: Batch) -> None:
        next_progress = self.now() + self._progress_interval_seconds
        while True:
            now = self.now()
            while asked := batch.next(now):
                for ticket, command in asked:
                    self._ask(batch, ticket, command)
            if batch.finished:
                return
            self._look()
            if self._progress_interval_seconds and self._show_progress and now >= next_progress:
                self._show_progress(now)
                next_progress = now + self._progress_interval_seconds
            for done in self._workers.results(self._patience(batch, now, next_progress)):
                if done.bug is not None:
                    raise done.bug
                done.key(done.value, batch)

    def _patience(self, batch: Batch, now: float, next_progress: float) -> float:
        ends = [batch.wake_at(), next_progress if self._progress_interval_seconds else None]
        return max(0.0, min((end for end in ends if end is not None), default=now + 1.0) - now)

    def _ask(self, batch: Batch, ticket: int, command: Command) -> None:
        if isinstance(command, Say):
            self._tell(Line(self.now(), command.event, command.target, command.text, command.volume_id))
            batch.apply(ticket, None)
        elif isinstance(command, Look):
            self._looks.setdefault(command.thing, {}).setdefault(command.id, []).append((ticket, None))
        elif isinstance(command, ConfirmOwner):
            thing = HOLDERS[command.holder.kind]
            self._looks.setdefault(thing, {}).setdefault(command.holder.id, []).append((ticket, command))
        else:
            lane = "hss" if isinstance(command, RestoreServer) else ""
            self._workers.submit(lane, partial(_answer_one, ticket), partial(self._do, command))

    def _do(self, command: Any) -> Any:
        """One write, in a worker."""
        if isinstance(command, WriteMarks):
            return self._journal.write(command.holder, command.marks, claim=command.claim) if self._journal else None
        if isinstance(command, RenewLease):
            return self._journal.renew() if self._journal else None
        try:
            return ORDERS[type(command)](self._api, command)
        except CloudError as error:
            return error.info

    # -- looks: everything of one kind that is asked for at one moment is read together

    def _look(self) -> None:
        for thing, wanted in list(self._looks.items()):
            if thing is Thing.HSS_LOG and self._log_is_read:
                continue  # one at a time: what is asked meanwhile is answered by the next one
            del self._looks[thing]
            ids = list(wanted)
            size = TOGETHER.get(thing, 1)
            for start in range(0, len(ids), size):
                part = {name: wanted[name] for name in ids[start : start + size]}
                self._log_is_read = self._log_is_read or thing is Thing.HSS_LOG
                lane = "hss" if thing in HSS_LANE else ""
                self._workers.submit(
                    lane, partial(self._answer_looks, thing, part), partial(self._read, thing, list(part))
                )

    def _read(self, thing: Thing, ids: list[str]) -> Mapping[str, Any] | ErrorInfo:
        try:
            return LOOKS[thing](self._api, ids)
        except CloudError as error:
            return error.info

    def _answer_looks(
        self,
        thing: Thing,
        wanted: Mapping[str, list[tuple[int, ConfirmOwner | None]]],
        found: Mapping[str, Any] | ErrorInfo,
        batch: Batch,
    ) -> None:
        if thing is Thing.HSS_LOG:
            self._log_is_read = False
        for name, tickets in wanted.items():
            seen = found if isinstance(found, ErrorInfo) else found.get(name, _missing(thing, name))
            for ticket, confirmation in tickets:
                batch.apply(ticket, self._owner(confirmation.holder, seen) if confirmation else seen)

    def _owner(self, holder: Holder, seen: Any) -> ErrorInfo | None:
        if isinstance(seen, ErrorInfo):
            return seen
        return self._journal.owner_in(holder, seen.metadata) if self._journal else None


def _answer_one(ticket: int, value: Any, batch: Batch) -> None:
    batch.apply(ticket, value)


def _missing(thing: Thing, name: str) -> ErrorInfo:
    return ErrorInfo(
        Failure.MISSING,
        f"{thing.value.replace('_', ' ')} {name} does not exist in this project and region",
        remedy="Check the id, the project and the region.",
    )
