# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the cloud: everything of one kind that is asked for at one moment is read together, in rounds.

What is asked while a round is under way waits for the next one, so the calls do not grow with the number of those that
ask. What was seen is remembered for a moment, for those who are content with that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from .._cloud import ecs, evs, hss, vbs
from .._cloud.api import Api
from .._cloud.errors import CloudError
from .._restore.commands import ConfirmOwner, Thing
from .._restore.model import ErrorInfo, Failure
from .workers import Workers

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
DISKS_IN_ONE_CALL = 60
"""As many ids as one EVS list call takes."""
DISKS_BY_PAGES = 300
"""Beyond so many it may take fewer calls to page through all disks of the project; `evs` finds out."""
SERVERS_ONE_BY_ONE = 25
"""Up to so many servers are read one by one, side by side, unless that has to wait for its rate limit: the list has no
filter for ids, and its pages are large."""
IN_ROUNDS = frozenset({Thing.DISK, Thing.SERVER, Thing.HSS_LOG})
REMEMBERED_SECONDS = 60.0


class Receiver(NamedTuple):
    """Who has asked. `confirm`: what is asked is whether the marks there are this run's."""

    ticket: int
    confirm: ConfirmOwner | None = None


@dataclass(frozen=True)
class Seen:
    asked_at: float
    value: Any


class Looks:
    """`answer` brings what was seen to one who asked for it."""

    def __init__(self, api: Api, workers: Workers, answer: Callable[[Receiver, Any], None]) -> None:
        self._api = api
        self._workers = workers
        self._answer = answer
        self._wanted: dict[Thing, dict[str, list[Receiver]]] = {}
        self._calls_out: Counter[Thing] = Counter()
        self._memory: dict[tuple[Thing, str], Seen] = {}
        self._changed_at: dict[tuple[Thing, str], float] = {}
        self._tidied_at = 0.0

    def want(self, thing: Thing, name: str, receiver: Receiver, *, max_age_seconds: float, now: float) -> None:
        seen = self._memory.get((thing, name)) if max_age_seconds else None
        if seen is not None and now - seen.asked_at <= max_age_seconds:
            self._answer(receiver, seen.value)
        else:
            self._wanted.setdefault(thing, {}).setdefault(name, []).append(receiver)

    def changed(self, thing: Thing, name: str, now: float) -> None:
        """This run has just changed it, or is about to: what was asked before does not count any more."""
        self._memory.pop((thing, name), None)
        self._changed_at[thing, name] = now

    def send(self, now: float, soon: Callable[[int], Sequence[str]]) -> None:
        """Start a round of each kind that is wanted. `soon` names disks that will be asked for next."""
        self._tidy(now)
        for thing in [t for t in self._wanted if not (t in IN_ROUNDS and self._calls_out[t])]:
            wanted = self._wanted.pop(thing)
            free = self._api.turn_in_seconds(ecs.SHOW) <= 0
            for part in _calls(thing, list(wanted), soon, single_calls_are_free=free):
                self._calls_out[thing] += 1
                receivers = {name: wanted.get(name, []) for name in part}
                self._workers.submit(
                    thing.value, partial(self._came, thing, receivers, now), partial(self._read, thing, part)
                )

    def _read(self, thing: Thing, names: Sequence[str]) -> Mapping[str, Any] | ErrorInfo:
        """In a worker."""
        try:
            return LOOKS[thing](self._api, names)
        except CloudError as error:
            return error.info

    def _came(
        self,
        thing: Thing,
        receivers: Mapping[str, Sequence[Receiver]],
        asked_at: float,
        found: Mapping[str, Any] | ErrorInfo,
    ) -> None:
        self._calls_out[thing] -= 1
        for name, those in receivers.items():
            value = found if isinstance(found, ErrorInfo) else found.get(name, _missing(thing, name))
            if asked_at > self._changed_at.get((thing, name), 0.0) and not isinstance(value, ErrorInfo):
                self._memory[thing, name] = Seen(asked_at, value)
            for receiver in those:
                self._answer(receiver, value)

    def _tidy(self, now: float) -> None:
        if now - self._tidied_at < REMEMBERED_SECONDS:
            return
        self._tidied_at = now
        self._memory = {key: s for key, s in self._memory.items() if now - s.asked_at < REMEMBERED_SECONDS}


def _calls(
    thing: Thing, names: list[str], soon: Callable[[int], Sequence[str]], *, single_calls_are_free: bool
) -> Iterator[list[str]]:
    """Divide what is wanted into calls. A list call that has room takes along disks that are asked for next."""
    size = 1
    if thing is Thing.DISK and len(names) > DISKS_BY_PAGES:
        size = len(names)
    elif thing is Thing.DISK:
        size = DISKS_IN_ONE_CALL
        room = min(len(names), -len(names) % size)
        names = list(dict.fromkeys([*names, *soon(room)]))[: len(names) + room]
    elif thing is Thing.SERVER and (len(names) > SERVERS_ONE_BY_ONE or not single_calls_are_free):
        size = len(names)
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _missing(thing: Thing, name: str) -> ErrorInfo:
    return ErrorInfo(
        Failure.MISSING,
        f"{thing.value.replace('_', ' ')} {name} does not exist in this project and region",
        remedy="Check the id, the project and the region.",
    )
