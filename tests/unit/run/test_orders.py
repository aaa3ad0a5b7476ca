# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders: which go out together, what a refusal of many means for each, and the order of marks and turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import ecs, hss, vbs
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.pacing import ApiKey
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.commands import (
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
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import LONE_DISK_KEY, Mark, Phase, mark_key
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import Accepted, ErrorInfo, Failure
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.orders import (
    FIRST,
    SERVERS_IN_ONE_CALL,
    TURNS,
    Orders,
    Turnstiles,
    things,
)
from builders import DATA, LONE, ROOT, SERVER, mark
from held import HeldWorkers

HERE = Holder("server", SERVER)
DISK = Holder("disk", LONE)
REFUSED = ErrorInfo(Failure.REFUSED, "no", code="Ecs.0105")
LOST = ErrorInfo(Failure.LOST, "no answer")


@dataclass
class Cloud:
    """Takes writes, or refuses those that name one of the `bad` servers, and gives each its own job."""

    bad: set[str] = field(default_factory=set)
    refusal: ErrorInfo = REFUSED
    calls: list[tuple[str, Any]] = field(default_factory=list)
    turns: dict[ApiKey, int] = field(default_factory=dict)
    sent_at_once: list[ApiKey] = field(default_factory=list)
    """Calls that say that their turn was taken before."""

    def post(self, service: str, path: Iterable[str], *, json: Any = None, **rest: Any) -> SimpleNamespace:
        self._turn(service, **rest)
        return self._written("/".join(path), json)

    def delete(self, service: str, path: Iterable[str], **rest: Any) -> SimpleNamespace:
        self._turn(service, **rest)
        return self._written("/".join(path), None)

    def _turn(self, service: str, *, name: str, turn_taken: bool = False, **_rest: Any) -> None:
        if turn_taken:
            self.sent_at_once.append((service, name))

    def _written(self, path: str, body: Any) -> SimpleNamespace:
        self.calls.append((path.rpartition("}/")[2], body))
        if any(name in str(body) for name in self.bad):
            raise CloudError(self.refusal)
        return SimpleNamespace(status=200, json={"job_id": f"j{len(self.calls)}"})

    @property
    def powered(self) -> list[tuple[str, list[str]]]:
        """What was stopped or started in each call."""
        shown = []
        for _path, body in self.calls:
            ((verb, said),) = body.items()
            shown.append((f"{verb} {said.get('type', '')}".strip(), [server["id"] for server in said["servers"]]))
        return shown

    def turn_in_seconds(self, key: ApiKey) -> float:
        return 0.0 if self.turns.get(key, 0) > 0 else 12.0

    def take_turn(self, key: ApiKey) -> None:
        self.turns[key] -= 1


@dataclass
class Journal:
    """Keeps what is written, in the order of the writes."""

    written: list[tuple[Holder, dict[str, Mark], bool]] = field(default_factory=list)
    failure: ErrorInfo | None = None
    renewals: int = 0

    def write(self, holder: Holder, marks: list[tuple[str, Mark]], *, claim: bool) -> ErrorInfo | None:
        self.written.append((holder, dict(marks), claim))
        return self.failure

    def renew(self) -> ErrorInfo | None:
        self.renewals += 1
        return self.failure


class Desk:
    """Gives orders as the driver does; the ticket is also the rank of who asks, times ten."""

    def __init__(self, *, journal: bool = True) -> None:
        self.cloud = Cloud()
        self.workers = HeldWorkers()
        self.journal = Journal()
        self.answers: dict[int, Any] = {}
        self._tickets = 0
        self.orders = Orders(
            self.cloud,  # type: ignore[arg-type]
            self.workers,
            self.journal if journal else None,  # type: ignore[arg-type]
            answer=self._answer,
            rank=lambda ticket: ticket * 10,
        )

    def _answer(self, ticket: int, _order: Any, answer: Any) -> None:
        assert ticket not in self.answers, "answered twice"
        self.answers[ticket] = answer

    def give(self, *orders: Any) -> list[int]:
        first = self._tickets + 1
        for order in orders:
            self._tickets += 1
            self.orders.give(self._tickets, order)
        return list(range(first, self._tickets + 1))

    def do(self, *orders: Any) -> list[Any]:
        tickets = self.give(*orders)
        self.orders.send()
        while self.workers.waiting:
            self.workers.work()
        return [self.answers[ticket] for ticket in tickets]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def servers(count: int) -> list[str]:
    return [f"s{number:04}" for number in range(count)]


# -- stops and starts --------------------------------------------------------------------------------------------------


def test_stops_of_one_moment_go_out_in_one_call_with_one_job_that_they_share(desk: Desk) -> None:
    answers = desk.do(*map(StopServer, servers(3)))
    assert desk.cloud.powered == [("os-stop SOFT", servers(3))]
    assert answers == [Accepted("j1", shared=True)] * 3


def test_nothing_goes_out_before_all_of_the_moment_have_asked(desk: Desk) -> None:
    desk.give(StopServer("a"))
    desk.give(StopServer("b"))
    assert desk.workers.waiting == []
    desk.orders.send()
    desk.orders.send()
    assert len(desk.workers.waiting) == 1


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (SERVERS_IN_ONE_CALL, [SERVERS_IN_ONE_CALL]),
        (SERVERS_IN_ONE_CALL + 1, [SERVERS_IN_ONE_CALL, 1]),
        (2 * SERVERS_IN_ONE_CALL + 7, [SERVERS_IN_ONE_CALL, SERVERS_IN_ONE_CALL, 7]),
    ],
)
def test_a_call_takes_so_many_servers_and_each_of_them_once(desk: Desk, count: int, sizes: list[int]) -> None:
    answers = desk.do(*map(StopServer, servers(count)))
    assert [len(ids) for _verb, ids in desk.cloud.powered] == sizes
    assert [server for _verb, ids in desk.cloud.powered for server in ids] == servers(count)
    assert [answer.job_id for answer in answers] == [
        f"j{call + 1}" for call, size in enumerate(sizes) for _server in range(size)
    ]


def test_the_job_of_a_single_server_is_not_shared(desk: Desk) -> None:
    assert desk.do(StopServer("a")) == [Accepted("j1")]
    many = desk.do(*map(StopServer, servers(SERVERS_IN_ONE_CALL + 1)))
    assert [answer.shared for answer in many[-2:]] == [True, False]


def test_soft_and_hard_stops_and_starts_do_not_mix(desk: Desk) -> None:
    orders = [StopServer("a"), StopServer("b", hard=True), StartServer("c"), StopServer("d"), StartServer("e")]
    desk.do(*orders)
    assert sorted(desk.cloud.powered) == [
        ("os-start", ["c", "e"]),
        ("os-stop HARD", ["b"]),
        ("os-stop SOFT", ["a", "d"]),
    ]


@pytest.mark.parametrize("order", [StopServer("a", alone=True), StartServer("a", alone=True)])
def test_one_that_is_to_go_alone_does_and_at_once(desk: Desk, order: Any) -> None:
    (ticket,) = desk.give(order)
    assert len(desk.workers.waiting) == 1
    desk.do(replace(order, server_id="b", alone=False), replace(order, server_id="c", alone=False))
    assert [ids for _verb, ids in desk.cloud.powered] == [["a"], ["b", "c"]]
    assert desk.answers[ticket] == Accepted("j1")


def test_a_refused_batch_is_sent_again_one_by_one_so_that_one_bad_server_harms_no_other(desk: Desk) -> None:
    desk.cloud.bad = {"s0001"}
    answers = desk.do(*map(StopServer, servers(3)))
    assert [ids for _verb, ids in desk.cloud.powered] == [servers(3), ["s0000"], ["s0001"], ["s0002"]]
    assert answers == [Accepted("j2"), REFUSED, Accepted("j4")]


def test_a_hard_stop_that_is_sent_again_stays_hard(desk: Desk) -> None:
    desk.cloud.bad = {"s0001"}
    desk.do(*(StopServer(server, hard=True) for server in servers(2)))
    assert {verb for verb, _ids in desk.cloud.powered} == {"os-stop HARD"}


def test_nobody_is_answered_before_the_single_answers_are_there(desk: Desk) -> None:
    desk.cloud.bad = {"s0001"}
    desk.give(*map(StopServer, servers(2)))
    desk.orders.send()
    desk.workers.work()
    assert desk.answers == {}


@pytest.mark.parametrize("kind", [Failure.BUSY, Failure.LOST, Failure.UNREACHABLE, Failure.DENIED, Failure.NONSENSE])
def test_a_batch_that_failed_for_no_servers_sake_is_answered_as_it_is(desk: Desk, kind: Failure) -> None:
    """It is no server's fault, and five hundred single calls would only make it worse."""
    desk.cloud.bad, desk.cloud.refusal = {"s0001"}, ErrorInfo(kind, "later")
    assert desk.do(*map(StopServer, servers(3))) == [desk.cloud.refusal] * 3
    assert len(desk.cloud.calls) == 1


def test_a_single_refusal_is_final_here(desk: Desk) -> None:
    desk.cloud.bad = {"a"}
    assert desk.do(StopServer("a")) == [REFUSED]
    assert len(desk.cloud.calls) == 1


# -- other orders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "path", "body"),
    [
        (Detach("s", "v"), "cloudservers/s/detachvolume/v", None),
        (
            Attach("s", "v", "/dev/vdb"),
            "cloudservers/s/attachvolume",
            {"volumeAttachment": {"volumeId": "v", "device": "/dev/vdb"}},
        ),
        (RestoreDisk("b", "v"), "cloudbackups/b/restore", {"restore": {"volume_id": "v"}}),
    ],
)
def test_each_order_becomes_its_call_at_once(desk: Desk, order: Any, path: str, body: Any) -> None:
    (ticket,) = desk.give(order)
    desk.workers.work()
    ((called, said),) = desk.cloud.calls
    assert (called.endswith(path), said) == (True, body)
    assert desk.answers == {ticket: Accepted("j1")}


def test_a_restore_of_a_server_hands_its_parts_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(hss, "restore", lambda _api, *args, **named: given.append((args, named)) or Accepted())
    mappings = (("c", "v"),)
    assert desk.do(RestoreServer("b", "s", power_on=False, mappings=mappings)) == [Accepted()]
    assert given == [(("b",), {"server_id": "s", "power_on": False, "mappings": mappings})]


def test_a_restore_is_never_sent_a_second_time(desk: Desk) -> None:
    desk.cloud.bad, desk.cloud.refusal = {"v"}, LOST
    assert desk.do(RestoreDisk("b", "v")) == [LOST]
    assert len(desk.cloud.calls) == 1


@pytest.mark.parametrize(
    ("order", "changes"),
    [
        (StopServer("s"), [(Thing.SERVER, "s")]),
        (StartServer("s"), [(Thing.SERVER, "s")]),
        (Detach("s", "v"), [(Thing.DISK, "v"), (Thing.SERVER, "s")]),
        (Attach("s", "v"), [(Thing.DISK, "v"), (Thing.SERVER, "s")]),
        (RestoreDisk("b", "v"), [(Thing.DISK, "v")]),
        (RestoreServer("b", "s", power_on=True), [(Thing.SERVER, "s")]),
        (RestoreServer("b", None, power_on=True), []),
        (WriteMarks(HERE, ()), [(Thing.SERVER, SERVER)]),
        (WriteMarks(DISK, ()), [(Thing.DISK, LONE)]),
        (None, []),
    ],
)
def test_what_an_order_changes(order: Any, changes: list[tuple[Thing, str]]) -> None:
    assert things(order) == changes


# -- marks -------------------------------------------------------------------------------------------------------------


def writes(volume_id: str = ROOT, phase: Phase = Phase.BEGUN, *, claim: bool = False) -> WriteMarks:
    return WriteMarks(HERE, ((mark_key(volume_id), mark(phase, volume_id)),), claim)


def test_marks_of_one_holder_that_are_given_together_are_one_write(desk: Desk) -> None:
    assert desk.do(writes(ROOT), writes(DATA)) == [None, None]
    assert desk.journal.written == [(HERE, {mark_key(ROOT): mark(), mark_key(DATA): mark(Phase.BEGUN, DATA)}, False)]


def test_of_two_marks_of_one_disk_the_later_one_is_written(desk: Desk) -> None:
    desk.do(writes(phase=Phase.BEGUN), writes(phase=Phase.SUBMITTING))
    assert [marks for _holder, marks, _claim in desk.journal.written] == [{mark_key(ROOT): mark(Phase.SUBMITTING)}]


def test_marks_of_one_holder_are_written_one_after_the_other(desk: Desk) -> None:
    """Two writes side by side could arrive in either order, and an older mark would stay."""
    desk.give(writes(phase=Phase.BEGUN))
    desk.orders.send()
    desk.give(writes(phase=Phase.SUBMITTING))
    desk.orders.send()
    desk.give(writes(DATA))
    desk.orders.send()
    assert len(desk.workers.waiting) == 1
    desk.workers.work()
    desk.orders.send()
    assert len(desk.workers.waiting) == 1
    desk.workers.work()
    assert [list(marks.values()) for _holder, marks, _claim in desk.journal.written] == [
        [mark(Phase.BEGUN)],
        [mark(Phase.SUBMITTING), mark(Phase.BEGUN, DATA)],
    ]
    assert desk.answers == {1: None, 2: None, 3: None}


def test_marks_of_other_holders_do_not_wait(desk: Desk) -> None:
    desk.give(writes())
    desk.orders.send()
    desk.give(WriteMarks(DISK, ((LONE_DISK_KEY, mark(Phase.BEGUN, LONE)),)))
    desk.orders.send()
    assert [one.lane for one in desk.workers.waiting] == ["marks:server", "marks:disk"]


def test_a_failed_write_is_told_to_each_and_the_next_one_goes_out(desk: Desk) -> None:
    desk.journal.failure = LOST
    assert desk.do(writes(ROOT), writes(DATA)) == [LOST, LOST]
    desk.journal.failure = None
    assert desk.do(writes(ROOT)) == [None]


def test_a_write_claims_the_holder_if_one_of_its_parts_does(desk: Desk) -> None:
    desk.do(writes(ROOT))
    desk.do(writes(ROOT), writes(DATA, claim=True))
    assert [claim for _holder, _marks, claim in desk.journal.written] == [False, True]


def test_first_marks_go_by_the_rank_of_who_asks_and_all_others_before_them(desk: Desk) -> None:
    """What says how far a restore has come must not stand in line behind the first marks of a thousand servers."""
    desk.give(writes(claim=True))
    desk.give(WriteMarks(DISK, ((LONE_DISK_KEY, mark(Phase.BEGUN, LONE)),)))
    desk.orders.send()
    assert [one.rank for one in desk.workers.waiting] == [10, FIRST]
    assert FIRST < 0


def test_without_a_journal_nothing_is_written_and_all_goes_on() -> None:
    desk = Desk(journal=False)
    assert desk.do(writes(), writes(DATA, claim=True)) == [None, None]
    assert desk.journal.written == []


# -- the lease ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [None, LOST])
def test_a_renewal_is_under_way_until_its_answer_is_there(desk: Desk, failure: ErrorInfo | None) -> None:
    """It must not arrive after the lease was given back, so the driver waits for it."""
    desk.journal.failure = failure
    assert desk.orders.renewing is False
    desk.orders.renew(7)
    assert desk.orders.renewing is True
    desk.workers.work()
    assert (desk.orders.renewing, desk.journal.renewals, desk.answers) == (False, 1, {7: failure})


def test_the_answer_to_another_order_does_not_end_a_renewal(desk: Desk) -> None:
    desk.orders.renew(7)
    renewal = desk.workers.waiting.pop()
    desk.do(StopServer("a"), Detach("s", "v"), writes())
    assert desk.orders.renewing is True
    renewal.bring(renewal.call())
    assert desk.orders.renewing is False


def test_without_a_journal_there_is_no_lease_to_renew() -> None:
    desk = Desk(journal=False)
    desk.orders.renew(7)
    assert (desk.orders.renewing, desk.answers, desk.workers.waiting) == (False, {7: None}, [])


def test_a_bug_is_not_taken_for_a_failure_of_the_cloud(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any, **_named: Any) -> Accepted:
        raise ZeroDivisionError

    monkeypatch.setattr(vbs, "restore", broken)
    with pytest.raises(ZeroDivisionError):
        desk.do(RestoreDisk("b", "v"))


# -- turns -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def queue() -> tuple[Cloud, Turnstiles]:
    cloud = Cloud()
    return cloud, Turnstiles(cloud)  # type: ignore[arg-type]


def test_the_lowest_rank_goes_first_and_only_as_many_as_there_are_places(queue: tuple[Cloud, Turnstiles]) -> None:
    cloud, turnstiles = queue
    for rank, ticket in ((5, 1), (2, 2), (9, 3), (2, 4)):
        turnstiles.wait(RestoreDisk, rank, ticket)
    cloud.turns = {vbs.RESTORE: 3}
    assert list(turnstiles.let_through()) == [2, 4, 1]
    assert cloud.turns == {vbs.RESTORE: 0}
    turnstiles.wait(RestoreDisk, 1, 5)
    cloud.turns = {vbs.RESTORE: 2}
    assert list(turnstiles.let_through()) == [5, 3]


def test_places_are_taken_only_for_those_who_wait(queue: tuple[Cloud, Turnstiles]) -> None:
    cloud, turnstiles = queue
    cloud.turns = {vbs.RESTORE: 3}
    turnstiles.wait(RestoreDisk, 0, 1)
    assert list(turnstiles.let_through()) == [1]
    assert list(turnstiles.let_through()) == []
    assert cloud.turns == {vbs.RESTORE: 2}


@pytest.mark.parametrize(
    ("order", "key"), [(RestoreDisk, vbs.RESTORE), (RestoreServer, hss.RESTORE), (Detach, ecs.DETACH)]
)
def test_each_api_has_a_turnstile_of_its_own(queue: tuple[Cloud, Turnstiles], order: type, key: ApiKey) -> None:
    cloud, turnstiles = queue
    for ticket, waiting in enumerate((RestoreDisk, RestoreServer, Detach)):
        turnstiles.wait(waiting, 0, ticket)
    cloud.turns = {key: 10}
    assert list(turnstiles.let_through()) == [(RestoreDisk, RestoreServer, Detach).index(order)]


def test_a_call_is_sent_without_a_turn_exactly_where_a_turnstile_gave_one(desk: Desk) -> None:
    """A call that took its turn before must not wait for a second one; one that took none must not go without."""
    restore = RestoreServer("b", "s", power_on=True)
    desk.cloud.enterprise_project_id = desk.cloud.asset_region = ""  # type: ignore[attr-defined]
    desk.do(Detach("s", "v"), Attach("s", "v"), RestoreDisk("b", "v"), restore, StopServer("s"), StartServer("s"))
    assert len(desk.cloud.calls) == 6
    assert sorted(desk.cloud.sent_at_once) == sorted(TURNS.values())


def test_when_the_next_turnstile_opens(queue: tuple[Cloud, Turnstiles], monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, turnstiles = queue
    assert turnstiles.opens_in_seconds() is None
    opens: dict[ApiKey, float] = {vbs.RESTORE: 40.0, hss.RESTORE: 20.0, ecs.DETACH: 5.0}
    look: Callable[[ApiKey], float] = opens.__getitem__
    monkeypatch.setattr(cloud, "turn_in_seconds", look)
    turnstiles.wait(RestoreDisk, 0, 1)
    turnstiles.wait(RestoreServer, 0, 2)
    assert turnstiles.opens_in_seconds() == 20.0
    opens[hss.RESTORE], cloud.turns = 0.0, {hss.RESTORE: 1}
    waiting = turnstiles.let_through()
    assert next(waiting) == 2
    opens[hss.RESTORE] = 1.0  # but nobody waits there any more
    assert list(waiting) == []
    assert turnstiles.opens_in_seconds() == 40.0
