# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the wire over a real socket, and a fault at every single call of a recovery."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.api import Api
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.auth import KeyLogin
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.endpoints import Endpoints
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.times import iso
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Terms
from ansible_collections.hwcloud.recovery.plugins.module_utils._run import recovery
from matrix import ELSEWHERE, FAULTS, PLACES, WIRE, WIRE_PLACES, Place
from recovering import (
    WISHES,
    Witness,
    arm,
    fired,
    mismatches,
    misordered,
    next_run,
    recover,
    settle,
    small_world,
    unnamed,
)
from simulation.world import SERVICES, Network, VirtualClock, World
from wire import wired

# -- over a real socket ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", WIRE)
@pytest.mark.parametrize("place", [p for p in PLACES if (p.target, p.name) in WIRE_PLACES], ids=lambda p: p.name)
def test_a_fault_of_the_wire(place: Place, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sort, rule = WIRE[what]
    ends = place.ends(sort, what)
    seen = small_world()
    witness = Witness(seen)
    with wired(seen, monkeypatch, slow="slower" in what) as wire:
        outcome = recover(seen, lambda: arm(seen, place, rule), in_plan=place.in_plan)
        assert (fired(seen), wire.requests >= len(seen.cloud.log)) == (True, True)
        settle(seen)
        assert mismatches(outcome, ends, place.target) == []
        assert unnamed(outcome, place, ends) == []
        assert misordered(seen, outcome, place.calls, ends, place.target) == []
        assert witness.complaints(outcome) == []
        if not ends.person:
            assert next_run(seen, witness) == []


# -- at every call -----------------------------------------------------------------------------------------------------

EVERY = [(f"{sort} {name}", rule) for sort, faults in FAULTS.items() for name, rule in faults.items()]
GROUPS = 8
"""The calls of a recovery are dealt out to so many tests."""


def _calls() -> int:
    seen = small_world()
    recover(seen)
    return len(seen.cloud.log)


@pytest.mark.parametrize("group", range(GROUPS))
def test_a_fault_at_any_call(group: int) -> None:
    """Each call meets one of the faults, in turn. However the run ends: the rules hold, and the next one ends well."""
    for number in range(1 + group, _calls() + 1, GROUPS):
        name, rule = EVERY[number % len(EVERY)]
        seen = small_world()
        witness = Witness(seen)
        outcome = recover(seen, lambda: seen.faults({**rule, "nth": number}), in_plan=True)  # noqa: B023
        settle(seen)
        where = f"call {number}: {name}: {outcome.text[:2000]}"
        assert witness.complaints(outcome) == [], where
        if outcome.state("files01") != "unknown":
            assert next_run(seen, witness) == [], where


# -- clocks ------------------------------------------------------------------------------------------------------------


class WrongClock:
    """The controller's, ahead of the cloud's or behind it by so many seconds."""

    def __init__(self, clock: VirtualClock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds

    def now(self) -> float:
        return self._clock.now() + self._seconds

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)


def _signing(seen: World, seconds: float) -> Api:
    key = seen.cloud.scenario.access_keys[0]
    return Api(
        Network(seen.cloud, seen.clock),
        clock=WrongClock(seen.clock, seconds),
        login=KeyLogin(key.access_key, key.secret_key),
        endpoints=Endpoints(region="eu-de", overrides={name: f"http://{name}.localhost" for name in SERVICES}),
        project_id=seen.cloud.scenario.project.id,
    )


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_is_20_minutes_wrong_is_told_with_both_times(minutes: int) -> None:
    """The gateway accepts a signature for 15 minutes. What the operator needs to see is his own clock."""
    seen = small_world()
    clock = WrongClock(seen.clock, minutes * 60.0)
    with pytest.raises(CloudError) as caught:
        recovery.resolve(_signing(seen, minutes * 60.0), WISHES, Terms(incident_at=clock.now()), clock=clock)
    said = str(caught.value)
    assert "APIGW.0301" in said
    assert "clock" in said
    times = (str(iso(moment)) for moment in (clock.now(), seen.clock.now()))
    digits = "".join(filter(str.isdigit, said))
    assert [time for time in times if "".join(filter(str.isdigit, time))[:12] not in digits] == []
    assert not any(secret in said for secret in (seen.cloud.scenario.access_keys[0].secret_key,))


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_clock_that_is_14_minutes_wrong_does_no_harm(minutes: int) -> None:
    seen = small_world()
    clock = WrongClock(seen.clock, minutes * 60.0)
    api = _signing(seen, minutes * 60.0)
    plan = recovery.resolve(api, WISHES, Terms(incident_at=seen.clock.now()), clock=clock)
    shell = replace(seen.shell(), api=api, clock=clock)
    options = recovery.RunOptions(approved=(plan.id,), progress_interval_seconds=0.0)
    result = recovery.recover(shell, plan.as_dict(), options)[0]
    assert result["summary"] == {"restored": 3}
    witness = Witness(seen)
    assert next_run(seen, witness) == []


# -- the rest of the table ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "file", "name"), ELSEWHERE, ids=[what for what, *_where in ELSEWHERE])
def test_what_is_told_elsewhere_is_there(what: str, file: str, name: str) -> None:
    tree = ast.parse((Path(__file__).parents[1] / f"{file}.py").read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, what
