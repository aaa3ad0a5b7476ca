# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of faults (matrix.py), carried out: each row is a whole recovery in virtual time, and one more after it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from matrix import CAUSES, FAULTS, LASTING, LASTING_FAULTS, PLACES, ROWS, Ends, Place, Row
from recovering import (
    IMPATIENT,
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

ALWAYS = ("400", "403", "404", "200 {}")
"""Faults that every place is tried with; of the others of a sort each place gets one, in turn."""
EVERY_FAULT = ("detach", "attach", "restore the disk", "restore the lone disk", "restore the server")
"""Places that get all of them: what must not be done twice."""


def _cells() -> Iterator[Any]:
    for number, place in enumerate(PLACES):
        for sort, faults in FAULTS.items():
            others = [name for name in faults if name not in ALWAYS]
            turn = others[number % len(others)] if others else ""
            for name, rule in faults.items():
                if name in (*ALWAYS, turn) or place.name in EVERY_FAULT:
                    yield pytest.param(place, sort, name, rule, id=f"{place.target}-{place.name}-{sort}-{name}")


@pytest.mark.parametrize(("place", "sort", "name", "rule"), list(_cells()))
def test_a_fault_once(place: Place, sort: str, name: str, rule: dict[str, Any]) -> None:
    seen = small_world()
    witness = Witness(seen)
    outcome = recover(seen, lambda: arm(seen, place, rule), in_plan=place.in_plan)
    ends = place.ends(sort, name)
    assert fired(seen), "the recovery does not come by here any more: mend the row's calls"
    settle(seen)
    assert mismatches(outcome, ends, place.target) == []
    assert unnamed(outcome, place, ends) == []
    assert misordered(seen, outcome, place.calls, ends, place.target) == []
    assert witness.complaints(outcome) == []
    assert bool(witness.before.differences(seen)) is not ends.as_found
    if sort == "no" and ends.failed:
        assert re.search(CAUSES, outcome.said(place.target))
    if not ends.person:
        assert next_run(seen, witness, twice=place.target if ends.again else "") == []


def _lasting() -> Iterator[Any]:
    places = {(place.target, place.name): place for place in PLACES}
    for target, name, *ends in LASTING:
        for sort, end in zip(LASTING_FAULTS, ends, strict=True):
            yield pytest.param(places[target, name], sort, end, id=f"{target}-{name}-{sort}")


@pytest.mark.parametrize(("place", "sort", "ends"), list(_lasting()))
def test_a_fault_that_lasts(place: Place, sort: str, ends: Ends) -> None:
    """The run ends in bounded time, and the next one, without the fault, ends everything well."""
    seen = small_world()
    witness = Witness(seen)
    rule = {**LASTING_FAULTS[sort], "times": None}
    outcome = recover(seen, lambda: arm(seen, place, rule), in_plan=place.in_plan, target=place.target, rules=IMPATIENT)
    assert fired(seen), "the recovery does not come by here any more: mend the row's calls"
    settle(seen)
    assert mismatches(outcome, ends, place.target) == []
    assert unnamed(outcome, place, ends) == []
    assert misordered(seen, outcome, place.calls, ends, place.target) == []
    assert witness.complaints(outcome) == []
    assert bool(witness.before.differences(seen)) is not ends.as_found
    if not ends.person:
        assert next_run(seen, witness, target=place.target, twice=place.target if ends.again else "") == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_way_of_the_cloud(row: Row) -> None:
    seen = small_world(**row.behaviours)
    row.before(seen)
    witness = Witness(seen)
    place = Place(row.name, row.target, row.calls, row.ends, row.ends)
    outcome = recover(
        seen, (lambda: arm(seen, place, row.rule)) if row.calls else (lambda: None), target=row.target, rules=IMPATIENT
    )
    assert fired(seen) is bool(row.calls)
    settle(seen)
    assert mismatches(outcome, row.ends, row.target) == []
    assert misordered(seen, outcome, row.calls, row.ends, row.target) == []
    assert witness.complaints(outcome) == []
    assert bool(witness.before.differences(seen)) is not row.ends.as_found
    if not row.ends.person:
        assert next_run(seen, witness, target=row.target, twice=row.target if row.ends.again else "") == []


def test_no_failure_is_without_words() -> None:
    """An empty expression is found in every text."""
    once = [place.ends(sort, name) for place in PLACES for sort, faults in FAULTS.items() for name in faults]
    lasting = [ends for _target, _name, *row in LASTING for ends in row if isinstance(ends, Ends)]
    told = [ends for ends in (*once, *lasting, *(row.ends for row in ROWS)) if ends.failed]
    assert [ends for ends in told if not ends.says] == []
    assert len(told) > len(PLACES)
