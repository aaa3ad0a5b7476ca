# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two AWX job slices of one recovery: apart, and with one disk each of the same server. Run ids alike and not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.transport import HttpRequest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Terms, Wish
from ansible_collections.hwcloud.recovery.plugins.module_utils._run import recovery
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.recovery import NotReady
from greenlet import getcurrent, greenlet
from simulation.cases import DEMO, Before, History, disk_id, disks, not_restored, restores, server_id, world
from simulation.chaos_play import Crew
from simulation.world import Crash, Network, World
from simulator.messages import Response

LEASE_IS_OLD = 200.0
"""Seconds after which another controller may go on: the lease is 180 s good."""
A_DAY = 86400.0
EVERY = 6
"""Every so-manieth call of a slice is a place to die at."""

ROOT = Wish("db01-root", "vbs", volumes=disks(1))
DATA = Wish("db01-data", "vbs", volumes=disks(2))

ERP, REST = DEMO[:2], DEMO[2:]
APP = server_id(2)
APP_ROOT = (Wish("erp-db01", "vbs", volumes=disks(1, 2, 3)), Wish("app-root", "vbs", volumes=disks(4)))
APP_DATA = (Wish("app-data", "vbs", volumes=disks(5, 6)), Wish("web01", "vbs", volumes=disks(7, 8)))
"""Two slices that share the server `erp-app01`; the lease of the first one lies at another server."""


@dataclass
class Remembering(Network):
    """A network that keeps what the cloud was told to do."""

    orders: list[str] = field(default_factory=list)

    def ask(self, request: HttpRequest) -> Response:
        if request.method != "GET" and "/auth/" not in request.url:
            self.orders.append(f"{request.url} {(request.body or b'').decode()}")
        return super().ask(request)


class Slice:
    """One controller with its own hosts; others work at the same time."""

    def __init__(self, seen: World, wishes: Sequence[Wish], run_id: str = "r", *, after: float = 0.0) -> None:
        self._seen = seen
        self.wishes = wishes
        self.run_id = run_id
        self._crew = Crew(seen.clock, getcurrent())
        self._boss = greenlet(self._recover, getcurrent())
        self.network: Remembering
        self.result: dict[str, Any] = {}
        self.refused: NotReady | None = None
        seen.network_type = Remembering
        seen.clock.wake(self._boss, seen.clock.time + after)

    @property
    def over(self) -> bool:
        return bool(self._boss.dead)

    @property
    def states(self) -> dict[str, str]:
        return {name: target["state"] for name, target in self.result["targets"].items()}

    def says(self, name: str) -> str:
        return str(self.result["targets"][name]["msg"])

    def ordered(self, *about: str) -> list[str]:
        """Its orders in which one of these ids occurs."""
        return [order for order in self.network.orders if any(one in order for one in about)]

    def stand_still(self, seconds: float) -> None:
        """A paused machine: called from within a call of this slice."""
        self._crew.delay(seconds, self._boss, {getcurrent()})
        self._seen.clock.sleep(seconds)

    def _recover(self) -> None:
        seen = self._seen
        shell = replace(seen.shell(), workers=self._crew, show=lambda line: None)
        assert isinstance(seen.network, Remembering)
        self.network = seen.network
        terms = Terms(incident_at=seen.clock.now(), run_id=self.run_id)
        try:
            plan = recovery.resolve(shell.api, self.wishes, terms, clock=seen.clock)
            self.result = recovery.recover(shell, plan.as_dict(), recovery.RunOptions(approved=(plan.id,)))[0]
        except NotReady as refusal:
            self.refused = refusal
        self._crew.forget()


def _let_them_work(seen: World, *slices: Slice) -> None:
    until = seen.clock.time + A_DAY
    while not all(one.over for one in slices) and seen.clock.step(until):
        pass
    assert all(one.over for one in slices)


def _once(*numbers: int) -> dict[str, int]:
    return {disk_id(number): 1 for number in numbers}


# -- apart -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.0, 1.0, 60.0])
def test_slices_with_servers_of_their_own_do_not_disturb_each_other(after: float) -> None:
    seen = world("demo")
    before = Before(seen)
    first, second = Slice(seen, ERP), Slice(seen, REST, after=after)
    _let_them_work(seen, first, second)
    assert first.states == {"erp-db01": "restored", "erp-app01": "restored"}
    assert second.states == {"web01": "restored", "files01": "restored"}
    assert not first.result["failed"] and not second.result["failed"]
    assert first.ordered(*map(server_id, (3, 4)), *map(disk_id, (7, 8, 9, 10))) == []
    assert second.ordered(*map(server_id, (1, 2)), *map(disk_id, range(1, 7))) == []
    assert (restores(seen), not_restored(seen)) == (_once(*range(1, 11)), [])
    assert (before.differences(seen), seen.summary()["violations"]) == ([], [])


def test_a_slice_that_is_launched_again_does_not_wait_for_the_others() -> None:
    """All have one run id; that another slice is at work under it is no `run_in_progress`."""
    seen = world("demo")
    with contextlib.suppress(Crash):
        seen.recover(ERP, terms={"run_id": "r"}, crash_at=(60, "after"))
    seen.pass_time(LEASE_IS_OLD)
    other, again = Slice(seen, REST), Slice(seen, ERP, after=30.0)
    _let_them_work(seen, other, again)
    assert set(again.states.values()) | set(other.states.values()) == {"restored"}
    assert restores(seen) == _once(*range(1, 11))


# -- one server in two slices ------------------------------------------------------------------------------------------

RUN_IDS = pytest.mark.parametrize("run_id", ["r", "s"], ids=["the same run id", "another run id"])


@RUN_IDS
@pytest.mark.parametrize("after", [3.0, 60.0])
def test_a_slice_that_comes_later_is_told_who_works_on_the_shared_server(after: float, run_id: str) -> None:
    """It changes nothing at all, not even at its other servers: a plan is carried out as a whole."""
    seen = world("demo")
    first, second = Slice(seen, APP_ROOT), Slice(seen, APP_DATA, run_id, after=after)
    _let_them_work(seen, first, second)
    assert not first.result["failed"]
    assert second.refused is not None and second.network.orders == []
    (told,) = [problem for problem in second.refused.problems if problem.code == "run_in_progress"]
    assert "run r is working on servers or disks of this plan now" in told.message and "Let it finish" in told.remedy
    assert restores(seen) == _once(1, 2, 3, 4)


@RUN_IDS
@pytest.mark.parametrize("after", [0.0, 0.3, 1.0])
def test_of_slices_that_begin_together_one_leaves_the_shared_server_alone(after: float, run_id: str) -> None:
    """Neither could see the other when it planned. The one that is second there restores all that is its own."""
    seen = world("demo")
    before = Before(seen)
    slices = [Slice(seen, APP_ROOT), Slice(seen, APP_DATA, run_id, after=after)]
    _let_them_work(seen, *slices)
    first, second = sorted(slices, key=lambda one: bool(one.result["failed"]))
    states = {**first.states, **second.states}
    (left,) = [name for name, state in states.items() if state != "restored"]
    assert (left in ("app-root", "app-data"), first.result["failed"], states[left]) == (True, False, "failed")
    assert f"server {APP} is worked on by another run now ({first.run_id} of" in second.says(left)
    assert "Let that run finish" in second.says(left)
    (wish,) = [wish for wish in second.wishes if wish.name == left]
    begun = second.ordered(APP, *dict(wish.volumes))
    assert begun == [] or ["/metadata" in order for order in begun] == [True], "nothing but its claim"
    own = {volume for one in slices for wish in one.wishes if wish.name != left for volume, _backup in wish.volumes}
    assert restores(seen) == dict.fromkeys(sorted(own), 1)
    assert (before.differences(seen), seen.summary()["violations"]) == ([], [])

    again = Slice(seen, second.wishes, second.run_id)
    _let_them_work(seen, again)
    assert [state for state in again.states.values() if state != "already_restored"] == ["restored"]
    assert (restores(seen), before.differences(seen)) == (_once(*range(1, 9)), [])


@RUN_IDS
def test_of_slices_with_nothing_but_the_shared_server_one_is_not_announced(run_id: str) -> None:
    """Their leases lie at the same place, so they meet before anything is begun."""
    seen = world()
    before = Before(seen)
    slices = [Slice(seen, [ROOT]), Slice(seen, [DATA], run_id)]
    _let_them_work(seen, *slices)
    (refusal,) = [one.refused for one in slices if one.refused]
    assert "the run could not be announced, so nothing was changed" in str(refusal)
    (good,) = [one for one in slices if one.result]
    assert not good.result["failed"]
    assert (len(restores(seen)), before.differences(seen)) == (1, [])


SPLITS = pytest.mark.parametrize(("first", "second"), [(ROOT, DATA), (DATA, ROOT)], ids=["root first", "data first"])


@RUN_IDS
@SPLITS
def test_when_the_first_slice_has_ended_the_second_one_restores_its_disk(
    first: Wish, second: Wish, run_id: str
) -> None:
    seen = world()
    before = Before(seen)
    for wish, run in ((first, "r"), (second, run_id)):
        result = seen.recover([wish], terms={"run_id": run})
        assert (result["summary"], before.differences(seen)) == ({"restored": 1}, [])
    assert seen.recover([first], terms={"run_id": "r"})["summary"] == {"already_restored": 1}
    assert restores(seen) == _once(1, 2)


@pytest.mark.parametrize(
    ("start", "first", "second", "run_id"),
    [(0, ROOT, DATA, "r"), (3, DATA, ROOT, "s")],
    ids=["root first, the same run id", "data first, another run id"],
)
def test_wherever_the_first_slice_died_the_second_one_restores_its_disk(
    start: int, first: Wish, second: Wish, run_id: str
) -> None:
    """It finds the server perhaps off, and leaves it as found; the first slice, launched again, has it as it was."""
    for number in range(start, _calls(first), EVERY):
        for phase in ("before", "after"):
            seen = world()
            before, history = Before(seen), History(seen)
            with contextlib.suppress(Crash):
                seen.recover([first], terms={"run_id": "r"}, crash_at=(number, phase))
            seen.pass_time(LEASE_IS_OLD)
            results = [
                seen.recover([second], terms={"run_id": run_id}),
                seen.recover([first], terms={"run_id": "r"}),
            ]
            where = f"{number} {phase}"
            assert [result["failed"] for result in results] == [False, False], where
            assert before.differences(seen) == [], where
            own, others = (restores(seen)[wish.volumes[0][0]] for wish in (second, first))
            # one that died before it had written down the job may restore its disk again, which is still detached
            assert (own, others <= 2, history.restored_after_use()) == (1, True, []), where
            assert seen.summary()["violations"] == [], where


def _calls(wish: Wish) -> int:
    seen = world()
    seen.recover([wish], terms={"run_id": "r"})
    return len(seen.network.calls)


def _once_seen(seen: World, due: Callable[[Any], bool], act: Callable[[], None]) -> None:
    """Do that after the first call for which it is due, before its answer comes."""
    handle = seen.cloud.handle
    done: list[Any] = []

    def watched(service: str, request: Any) -> Any:
        response = handle(service, request)
        if not done and due(request):
            done.append(request)
            act()
        return response

    seen.cloud.handle = watched  # type: ignore[method-assign]


@RUN_IDS
@SPLITS
def test_a_slice_whose_lease_ran_out_touches_the_shared_server_no_more(first: Wish, second: Wish, run_id: str) -> None:
    """Its machine stood still while the restore of its disk ran; then the server was the other's."""
    seen = world()
    before = Before(seen)
    paused = Slice(seen, [first])
    _once_seen(seen, lambda request: b"|accepted|" in request.body, lambda: paused.stand_still(2 * LEASE_IS_OLD))
    other = Slice(seen, [second], run_id, after=1.5 * LEASE_IS_OLD)
    _let_them_work(seen, paused, other)
    assert other.states == {second.name: "restored"} and not other.result["failed"]
    assert paused.states == {first.name: "restored"} and paused.result["failed"]
    assert "is worked on by another run now" in paused.says(first.name)
    assert before.differences(seen) != [], "the disk of the first slice is still detached"
    again = seen.recover([first], terms={"run_id": "r"})
    assert (again["summary"], again["failed"]) == ({"restored": 1}, False)
    assert (restores(seen), before.differences(seen)) == (_once(1, 2), [])
