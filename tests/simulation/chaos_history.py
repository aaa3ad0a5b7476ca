# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What really happened, written down beside the simulator and without asking the engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from simulator.cloud import is_write
from simulator.messages import Request, Response

from simulation.world import World

WHO = "x-controller"
"""The header that tells the history which controller sent a request."""
PREFIX = "hwcloud_recovery_"
OWNER = "hwcloud_recovery_owner"
RESTORES = ("vbs.restore", "hss.restore")
DISTURBING = ("vbs.restore", "hss.restore", "ecs.detach", "ecs.stop")
"""What cannot be undone, or takes disks and servers out of use."""
CHANGING = (*DISTURBING, "ecs.attach", "ecs.start")
"""What a run must not do to servers and disks of another one."""


NOBODY = (0, 0.0)


@dataclass(frozen=True)
class Mark:
    """A mark as it lies in the journal. `about` is a disk's id, or `hss:` and a server's.

    `was_running` is y, n, or - if nobody asked.
    """

    about: str
    phase: str
    run_id: str
    backup_id: str
    job: str
    at: float = 0.0
    device: str = ""
    was_running: str = "-"


@dataclass
class Order:
    """A write that the cloud got. `clean`: its answer was not spoiled on the way back. `late`: it came long after."""

    tick: int
    at: float
    who: int
    api: str
    server_id: str
    volume_ids: tuple[str, ...]
    backup_id: str
    owner: int
    """The controller that has claimed the holder of these marks last; 0: nobody."""
    owner_since: float
    claim: str = ""
    """The owner that it writes. What lies there may be another's: a restore brings back what its backup holds."""
    accepted: bool = False
    job: str = ""
    marks: tuple[Mark, ...] = ()
    clean: bool = False
    late: bool = False
    running: frozenset[str] = frozenset()
    """What this controller has restores of under way, this one included: disks, and with HSS servers."""

    @property
    def abouts(self) -> tuple[str, ...]:
        """The keys of the marks that announce it: a whole server's for HSS and for power, else its disks'."""
        return (f"hss:{self.server_id}",) if self.api == "hss.restore" else self.volume_ids

    def __str__(self) -> str:
        things = " ".join(volume[-2:] for volume in self.volume_ids) or self.server_id[-2:]
        return f"controller {self.who}: {self.api} of {things} ({'accepted' if self.accepted else 'refused'})"


@dataclass(frozen=True)
class Fact:
    """Something that became of a disk: `restored` with that data, `over` (a restore ended, well or not), `attached`, or
    `used` on a running server."""

    tick: int
    at: float
    kind: str
    id: str
    value: str = ""


@dataclass(frozen=True)
class Snapshot:
    """Where all disks are, whether servers run, and what the journal says, at one moment."""

    at: float
    places: Mapping[str, Mapping[str, str]]
    power: Mapping[str, str]
    marks: tuple[Mark, ...]


@dataclass
class History:
    """Everything that the cloud was told and that became of it, in the order of `tick`."""

    seen: World
    folder: Path | None = None
    orders: list[Order] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    """Servers, disks and backups that a human had a hand in."""
    before_write: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.tick = count(1)
        self._counts = {disk.id: disk.restore_count for disk in self._world.disks.values()}
        self._restoring: set[str] = set()
        self.runs: dict[int, str] = {}
        """The run that each controller works for, as the marks say that it claims with."""
        self.late: set[Mark] = set()
        """Marks that came to the cloud when their writer had long been told that they did not, over newer ones."""
        self._handling = False
        self._owners: dict[str, tuple[int, float]] = {}
        self._answers: list[tuple[Response, list[Order]]] = []
        self._watch_cloud()
        self._watch_world()

    @property
    def _world(self) -> Any:
        return self.seen.cloud.world

    @property
    def late_abouts(self) -> set[str]:
        """What such marks are about."""
        return {mark.about for mark in self.late}

    def snapshot(self) -> Snapshot:
        """How all is now: what was due by now has happened."""
        self.seen.cloud.advance()
        self._sample()
        world = self._world
        return Snapshot(
            self.seen.clock.time,
            {disk.id: {s: place.device for s, place in disk.attachments.items()} for disk in world.disks.values()},
            {server.id: server.status for server in world.servers.values()},
            tuple(self.marks()),
        )

    # -- watching

    def _watch_cloud(self) -> None:
        cloud = self.seen.cloud
        process, handle = cloud._process, cloud.handle

        def processed(service: str, request: Request, found: Any, request_id: str) -> Response:
            write = found is not None and is_write(service, request, found[0].api)
            if write:
                self.before_write()
            orders = self._orders(found[0].api, found[1], request) if write else []
            response = process(service, request, found, request_id)
            late = write and not self._handling
            if late and found[0].api.endswith("_metadata"):
                self.late.update(_marks_written(found[1], request))
            self._sample()
            for order in orders:
                order.late = late
                self._note_order(order, response)
            self._answers.append((response, orders))
            return response

        def handled(service: str, request: Request) -> Response:
            cloud.advance()  # what comes late comes before it, not as a part of it
            self._handling = True
            response = handle(service, request)
            self._handling = False
            for order in [order for answer, orders in self._answers if answer is response for order in orders]:
                order.clean = True
            self._answers.clear()
            return response

        cloud._process = processed  # type: ignore[method-assign]
        cloud.handle = handled  # type: ignore[method-assign]

    def _watch_world(self) -> None:
        world = self._world
        mark_used, link = world.mark_used, world.link

        def used(disk: Any) -> None:
            self._sample()
            self._add("used", disk.id)
            mark_used(disk)

        def linked(disk: Any, *rest: Any) -> None:
            self._sample()
            self._add("attached", disk.id)
            link(disk, *rest)

        world.mark_used, world.link = used, linked

    def _sample(self) -> None:
        for disk in self._world.disks.values():
            if disk.restore_count != self._counts[disk.id]:
                self._counts[disk.id] = disk.restore_count
                self._add("restored", disk.id, disk.data)
            if disk.id in self._restoring and not disk.restoring:
                self._add("over", disk.id)
        self._restoring = {disk.id for disk in self._world.disks.values() if disk.restoring}

    def _add(self, kind: str, thing: str, value: str = "") -> None:
        self.facts.append(Fact(next(self.tick), self._world.now, kind, thing, value))

    def _orders(self, api: str, params: Mapping[str, str], request: Request) -> list[Order]:
        """What is asked for, and what the journal says about it, before the cloud carries it out."""
        body = json.loads(request.body) if request.body else {}
        who = int(request.header(WHO) or 0)
        claim = body["metadata"].get(OWNER, "") if api.endswith("_metadata") and body else ""
        orders = [self._order(who, params.get("backup_id", ""), *thing) for thing in _things(api, params, body)]
        return [replace(order, claim=claim) for order in orders]

    def _order(self, who: int, backup_id: str, api: str, server_id: str, volume_ids: tuple[str, ...]) -> Order:
        owner, since = self._owner(server_id if api != "vbs.restore" else self._holder(volume_ids))
        order = Order(next(self.tick), self._world.now, who, api, server_id, volume_ids, backup_id, owner, since)
        if api in DISTURBING:
            abouts = set(self._abouts_of(order))
            order.marks = tuple(mark for mark in self.marks() if mark.about in abouts)
        return order

    def _abouts_of(self, order: Order) -> Iterator[str]:
        yield from order.abouts
        if order.api == "ecs.stop":
            yield from self._world.servers[order.server_id].volumes if order.server_id in self._world.servers else ()

    def _note_order(self, order: Order, response: Response) -> None:
        order.accepted = response.status < 300
        if order.accepted and response.body and order.api == "vbs.restore":
            order.job = str(json.loads(response.body)["job_id"])
        if order.accepted and order.claim:
            self._note_owner(order.server_id or order.volume_ids[0], order)
        self.orders.append(order)
        order.running = self._running(order.who)

    # -- whose marks

    def _holder(self, volume_ids: tuple[str, ...]) -> str:
        """The server that holds the mark of a detached disk, or the disk itself."""
        for server in self._world.servers.values():
            if any(PREFIX + volume in server.metadata for volume in volume_ids):
                return str(server.id)
        return volume_ids[0]

    def _note_owner(self, holder: str, order: Order) -> None:
        if self._owner(holder)[0] != order.who:
            self._owners[holder] = (order.who, self._world.now)
        self.runs[order.who] = unquote(order.claim.split("|")[1])

    def _owner(self, holder: str) -> tuple[int, float]:
        return self._owners.get(holder, NOBODY)

    def _running(self, who: int) -> frozenset[str]:
        last = {order.abouts: order for order in self.orders if order.accepted and order.api in RESTORES}
        return frozenset(
            about
            for order in last.values()
            for about in order.abouts
            if order.who == who and any(self._is_restoring(volume) for volume in order.volume_ids)
        )

    def _is_restoring(self, volume: str) -> bool:
        """To be seen: the backup may still be busy when its disk shows that it has failed."""
        disk = self._world.disks[volume]
        return bool(disk.restoring) and not disk.shown.status.startswith("error")

    # -- the journal, read without the engine

    def marks(self) -> Iterator[Mark]:
        yield from _marks_in_files(self.folder) if self.folder else self._marks_in_cloud()

    def _marks_in_cloud(self) -> Iterator[Mark]:
        for server in self._world.servers.values():
            for key, value in server.metadata.items():
                yield from _mark(server.id, key, value)
        for disk in self._world.disks.values():
            for key, value in disk.metadata.items():
                yield from _mark(disk.id, key, value)


def _marks_in_files(folder: Path) -> Iterator[Mark]:
    """The last word of each run about each disk and server. Runs have files of their own."""
    for path in sorted(folder.glob("*.jsonl")):
        last: dict[str, Mark] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line) if line else {"key": "", "mark": "", "holder": ""}
            holder = entry["holder"].partition(":")[2]
            last |= {mark.about: mark for mark in _mark(holder, entry["key"], entry["mark"])}
        yield from last.values()


def _mark(holder: str, key: str, value: str) -> Iterator[Mark]:
    parts = [unquote(part) for part in value.split("|")]
    if key.startswith(PREFIX) and len(parts) == 11:
        about = {f"{PREFIX}mark": holder, f"{PREFIX}hss": f"hss:{holder}"}.get(key, key.removeprefix(PREFIX))
        yield Mark(about, parts[1], parts[2], parts[4], parts[9], float(parts[10]), parts[5], parts[7])


def newest(marks: Iterable[Mark], about: str) -> Mark | None:
    """The one that counts for a disk or server: of several files, that of the run that came last."""
    return max((mark for mark in marks if mark.about == about), key=lambda mark: mark.at, default=None)


def _marks_written(params: Mapping[str, str], request: Request) -> Iterator[Mark]:
    holder = params.get("server_id") or params["volume_id"]
    for key, value in json.loads(request.body)["metadata"].items():
        yield from _mark(holder, key, value)


Thing = tuple[str, str, tuple[str, ...]]


def _things(api: str, params: Mapping[str, str], body: Mapping[str, Any]) -> Iterator[Thing]:
    """What a write is about: (api, server, disks). Stops and starts get names of their own, one for each server."""
    server, volume = params.get("server_id", ""), params.get("volume_id", "")
    if api == "ecs.server_action":
        name = "ecs.stop" if "os-stop" in body else "ecs.start"
        (order,) = body.values()
        yield from ((name, entry["id"], ()) for entry in order["servers"])
    elif api == "vbs.restore":
        yield api, "", (body["restore"]["volume_id"],)
    elif api == "hss.restore":
        yield api, body.get("server_id", ""), tuple(pair["volume_id"] for pair in body.get("mappings", ()))
    elif api == "ecs.attach":
        yield api, server, (body["volumeAttachment"]["volumeId"],)
    else:
        yield api, server, (volume,) if volume else ()
