# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks: rounds that serve all who ask, as few calls as can be, and a memory that is never older than it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import ecs
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.pacing import ApiKey
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.commands import Thing
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import ErrorInfo, Failure
from ansible_collections.hwcloud.recovery.plugins.module_utils._run import looks
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.looks import REMEMBERED_SECONDS, Looks, Receiver
from held import HeldWorkers

BUSY = ErrorInfo(Failure.BUSY, "try later")


def names(count: int, start: int = 0) -> list[str]:
    return [f"id{number}" for number in range(start, start + count)]


def lists_of_60(count: int) -> list[int]:
    return [60] * (count // 60) + ([count % 60] if count % 60 else [])


@dataclass
class Cloud:
    """Shows of everything that exists how often it has changed, at the moment when it is read."""

    version: dict[str, int] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    refuses: ErrorInfo | None = None
    calls: list[tuple[Thing, list[str]]] = field(default_factory=list)
    next_single_look_in: float = 0.0
    """Seconds until the rate limit lets one server be read."""

    def turn_in_seconds(self, key: ApiKey) -> float:
        assert key == ecs.SHOW
        return self.next_single_look_in

    def look(self, thing: Thing, ids: Sequence[str]) -> Mapping[str, Any]:
        self.calls.append((thing, list(ids)))
        if self.refuses:
            raise CloudError(self.refuses)
        return {name: f"{name} v{self.version.get(name, 0)}" for name in ids if name not in self.missing}

    @property
    def sizes(self) -> list[int]:
        return [len(ids) for _thing, ids in self.calls]


class Desk:
    """Asks as the driver does, one ticket after the other, and keeps the answers by ticket."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cloud = Cloud()
        self.workers = HeldWorkers()
        self.answers: dict[int, Any] = {}
        self.now = 1000.0
        self.soon: list[str] = []
        self.asked_for_soon: list[int] = []
        self._tickets = 0
        for thing in Thing:
            monkeypatch.setitem(
                looks.LOOKS,  # type: ignore[arg-type]
                thing,
                lambda _api, ids, thing=thing: self.cloud.look(thing, ids),
            )
        self.looks = Looks(self.cloud, self.workers, self._answer)  # type: ignore[arg-type]

    def _answer(self, receiver: Receiver, seen: Any) -> None:
        assert receiver.ticket not in self.answers, "answered twice"
        self.answers[receiver.ticket] = seen

    def want(self, *wanted: str, thing: Thing = Thing.DISK, max_age: float = 0.0) -> list[int]:
        first = self._tickets + 1
        for name in wanted:
            self._tickets += 1
            self.looks.want(thing, name, Receiver(self._tickets), max_age_seconds=max_age, now=self.now)
        return list(range(first, self._tickets + 1))

    def send(self) -> None:
        self.looks.send(self.now, self._soon)

    def _soon(self, most: int) -> list[str]:
        self.asked_for_soon.append(most)
        return self.soon[:most]

    def see(self, *wanted: str, **options: Any) -> list[Any]:
        tickets = self.want(*wanted, **options)
        self.send()
        self.workers.work()
        return [self.answers[ticket] for ticket in tickets]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


# -- rounds ------------------------------------------------------------------------------------------------------------


def test_all_who_ask_at_one_moment_are_served_by_one_call(desk: Desk) -> None:
    assert desk.see("a", "b", "a") == ["a v0", "b v0", "a v0"]
    assert desk.cloud.calls == [(Thing.DISK, ["a", "b"])]


def test_nothing_wanted_is_nothing_sent(desk: Desk) -> None:
    desk.send()
    desk.see("a")
    desk.send()
    assert (desk.workers.waiting, desk.cloud.sizes) == ([], [1])


@pytest.mark.parametrize("thing", [Thing.DISK, Thing.SERVER, Thing.HSS_LOG])
def test_what_is_asked_while_a_round_is_under_way_waits_for_the_next_and_sees_what_is_newer(
    desk: Desk, thing: Thing
) -> None:
    before = desk.want("a", thing=thing)
    desk.send()
    for _one in range(20):
        meanwhile = desk.want("a", thing=thing)
        desk.send()
    assert len(desk.workers.waiting) == 1
    desk.workers.work()
    assert list(desk.answers) == before
    desk.cloud.version["a"] = 1
    desk.send()
    assert len(desk.workers.waiting) == 1
    desk.workers.work()
    assert (desk.answers[before[0]], desk.answers[meanwhile[0]]) == ("a v0", "a v1")
    assert len(desk.answers) == 21


def test_a_round_of_many_calls_is_over_with_its_last(desk: Desk) -> None:
    desk.want(*names(61))
    desk.send()
    first, last = desk.workers.waiting
    desk.want("another")
    first.bring(first.call())
    desk.send()
    assert desk.workers.waiting == [first, last]
    last.bring(last.call())
    desk.workers.waiting = []
    desk.send()
    assert len(desk.workers.waiting) == 1


def test_kinds_do_not_wait_for_each_other(desk: Desk) -> None:
    desk.want("a")
    desk.send()
    desk.want("s", thing=Thing.SERVER)
    desk.send()
    assert [one.lane for one in desk.workers.waiting] == ["disk", "server"]


@pytest.mark.parametrize("thing", [Thing.VBS_JOB, Thing.ECS_JOB, Thing.VBS_BACKUP, Thing.HSS_BACKUP])
def test_what_has_no_list_is_read_at_once_and_one_by_one(desk: Desk, thing: Thing) -> None:
    desk.want("a", "b", thing=thing)
    desk.send()
    desk.want("c", thing=thing)
    desk.send()
    desk.workers.work()
    assert desk.cloud.calls == [(thing, ["a"]), (thing, ["b"]), (thing, ["c"])]


# -- how many calls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thing", "count", "sizes"),
    [
        (Thing.DISK, 1, [1]),
        (Thing.DISK, 60, [60]),
        (Thing.DISK, 61, [60, 1]),
        (Thing.DISK, 300, [60] * 5),
        (Thing.DISK, 301, [301]),
        (Thing.SERVER, 25, [1] * 25),
        (Thing.SERVER, 26, [26]),
        (Thing.VBS_JOB, 400, [1] * 400),
    ],
)
def test_what_is_wanted_becomes_as_few_calls_as_can_be(desk: Desk, thing: Thing, count: int, sizes: list[int]) -> None:
    wanted = names(count)
    assert desk.see(*wanted, thing=thing) == [f"{name} v0" for name in wanted]
    assert desk.cloud.sizes == sizes


def test_where_single_looks_at_servers_have_to_wait_few_of_them_are_read_by_a_list(desk: Desk) -> None:
    """A list has a limit of its own, and its one call is there before the second turn of the other."""
    desk.cloud.next_single_look_in = 7.5
    desk.see(*names(2), thing=Thing.SERVER)
    desk.see(*names(2), thing=Thing.ECS_JOB)
    assert desk.cloud.sizes == [2, 1, 1]


@pytest.mark.parametrize(
    ("count", "room"),
    [
        (1, 1),  # a call for one disk becomes a list, but not one of many more than were asked for
        (20, 20),
        (40, 20),
        (59, 1),
        (60, 0),
        (61, 59),
        (300, 0),
    ],
)
def test_disks_that_are_asked_for_next_come_along_into_a_list_that_has_room(desk: Desk, count: int, room: int) -> None:
    desk.soon = names(100, start=1000)
    desk.see(*names(count))
    assert desk.asked_for_soon == [room]
    assert [name for _thing, ids in desk.cloud.calls for name in ids] == names(count) + names(room, start=1000)
    assert desk.cloud.sizes == lists_of_60(count + room)


def test_no_disk_comes_along_where_all_pages_are_read_nor_with_servers(desk: Desk) -> None:
    desk.soon = names(100, start=1000)
    desk.see(*names(301))
    desk.see(*names(26), thing=Thing.SERVER)
    desk.see("j", thing=Thing.VBS_JOB)
    assert (desk.asked_for_soon, desk.cloud.sizes) == ([], [301, 26, 1])


def test_a_disk_that_came_along_need_not_be_asked_for_again(desk: Desk) -> None:
    desk.soon = ["next"]
    desk.see("a")
    (ticket,) = desk.want("next", max_age=5.0)
    assert desk.answers[ticket] == "next v0"
    assert desk.cloud.calls == [(Thing.DISK, ["a", "next"])]


def test_a_disk_that_is_wanted_now_and_next_is_asked_for_once(desk: Desk) -> None:
    desk.soon = ["b", "c"]
    assert desk.see("a", "b") == ["a v0", "b v0"]
    assert desk.cloud.calls == [(Thing.DISK, ["a", "b", "c"])]


def test_a_disk_that_came_along_and_does_not_exist_is_nobodys_trouble(desk: Desk) -> None:
    desk.soon, desk.cloud.missing = ["gone"], {"gone"}
    assert desk.see("a") == ["a v0"]
    assert len(desk.answers) == 1


# -- memory ------------------------------------------------------------------------------------------------------------


def test_what_was_seen_will_do_for_those_who_are_content_with_it(desk: Desk) -> None:
    desk.see("a")
    desk.now += 5.0
    desk.cloud.version["a"] = 1
    (content,) = desk.want("a", max_age=5.0)
    assert desk.answers[content] == "a v0"
    assert desk.see("a", max_age=4.9) == ["a v1"]


def test_who_does_not_say_so_is_never_answered_from_memory(desk: Desk) -> None:
    desk.see("a")
    desk.cloud.version["a"] = 1
    assert desk.see("a") == ["a v1"]


def test_age_counts_from_the_question_not_from_the_answer(desk: Desk) -> None:
    """How old an answer is that took long on its way is not known: it may be as old as its question."""
    desk.want("a")
    desk.send()
    desk.now += 30.0
    desk.workers.work()
    assert desk.want("a", max_age=10.0)[0] not in desk.answers
    assert desk.want("a", max_age=30.0)[0] in desk.answers


def test_kinds_have_memories_of_their_own(desk: Desk) -> None:
    desk.see("a", thing=Thing.SERVER)
    assert desk.want("a", max_age=5.0)[0] not in desk.answers


def test_what_was_changed_is_forgotten_and_nothing_else(desk: Desk) -> None:
    desk.see("a", "b")
    desk.now += 1.0
    desk.looks.changed(Thing.DISK, "a", desk.now)
    desk.looks.changed(Thing.SERVER, "b", desk.now)
    forgotten, kept = desk.want("a", "b", max_age=5.0)
    assert (forgotten in desk.answers, desk.answers[kept]) == (False, "b v0")


@pytest.mark.parametrize("passed", [0.0, 1.0])
def test_an_answer_that_was_asked_for_before_a_change_is_not_remembered(desk: Desk, passed: float) -> None:
    """It goes to those who asked, whose question is as old; the others must not take it for what is so now."""
    (before,) = desk.want("a")
    desk.send()
    desk.now += passed
    desk.looks.changed(Thing.DISK, "a", desk.now)
    desk.workers.work()
    assert desk.answers[before] == "a v0"
    desk.cloud.version["a"] = 1
    assert desk.see("a", max_age=50.0) == ["a v1"]


def test_what_is_asked_for_after_a_change_is_remembered_again(desk: Desk) -> None:
    desk.looks.changed(Thing.DISK, "a", desk.now)
    desk.now += 1.0
    desk.see("a")
    assert desk.want("a", max_age=5.0)[0] in desk.answers


def test_memory_is_for_a_moment_only(desk: Desk) -> None:
    """A run of days over thousands of disks must not keep what nobody asks for any more."""
    desk.see("a")
    desk.now += REMEMBERED_SECONDS
    desk.see("b")
    a, b = desk.want("a", "b", max_age=1e9)
    assert (a in desk.answers, b in desk.answers) == (False, True)


# -- failures ----------------------------------------------------------------------------------------------------------


def test_an_error_answers_everybody_and_is_not_remembered(desk: Desk) -> None:
    desk.cloud.refuses = BUSY
    assert desk.see("a", "b", "a") == [BUSY] * 3
    desk.cloud.refuses = None
    assert desk.see("a", max_age=50.0) == ["a v0"]


def test_after_an_error_the_next_round_starts(desk: Desk) -> None:
    desk.cloud.refuses = BUSY
    desk.want("a")
    desk.send()
    waiting = desk.want("b")
    desk.workers.work()
    desk.cloud.refuses = None
    desk.send()
    desk.workers.work()
    assert desk.answers[waiting[0]] == "b v0"


def test_an_error_of_one_call_is_not_that_of_the_others_in_the_round(desk: Desk) -> None:
    tickets = desk.want(*names(61))
    desk.send()
    first, last = desk.workers.waiting
    first.bring(first.call())
    desk.cloud.refuses = BUSY
    last.bring(last.call())
    assert [desk.answers[ticket] for ticket in tickets] == [f"{name} v0" for name in names(60)] + [BUSY]


def test_what_is_not_in_the_list_does_not_exist(desk: Desk) -> None:
    desk.cloud.missing = {"gone"}
    there, gone = desk.see("a", "gone")
    assert there == "a v0"
    assert (gone.kind, gone.message) == (Failure.MISSING, "disk gone does not exist in this project and region")
    assert "Check the id" in gone.remedy
    desk.cloud.missing = set()
    assert desk.see("gone", max_age=50.0) == ["gone v0"]


def test_a_bug_is_not_taken_for_a_failure_of_the_cloud(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(looks.LOOKS, Thing.DISK, lambda _api, _ids: 1 / 0)  # type: ignore[arg-type]
    desk.want("a")
    desk.send()
    with pytest.raises(ZeroDivisionError):
        desk.workers.work()
