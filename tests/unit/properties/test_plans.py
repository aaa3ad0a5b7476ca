# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of whatever was wished and whatever the cloud shows: the same input, the same plan, also through Ansible.

That any wish and any cloud make a plan whose id does not depend on their order is told by restore/test_planning.py.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ansible_collections.hwcloud.recovery.plugins.module_utils._restore import report
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import Tally
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.planning import Plan, Survey, make_plan
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.units import divide
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Terms, Wish
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.recovery import read_plan
from builders import NOW, PROJECT, SERVER, server
from clouds import HSS_POINTS, SURVEYS, TERMS, WISHES
from hypothesis import example, given
from hypothesis import strategies as st
from odd import oddities


def there_and_back(found: Plan, shown: Survey) -> Plan:
    """As recovery_run sees it: HSS backups are known from the plan, everything else is read again."""
    wishes, terms, known = read_plan(json.loads(json.dumps(found.as_dict())))
    kept = {key: point for key, point in shown.backups.items() if point.service == "vbs"}
    return make_plan(wishes, terms, replace(shown, backups={**kept, **known}))


@given(WISHES, TERMS, SURVEYS)
def test_the_same_input_makes_the_same_plan(wishes: list[Wish], terms: Terms, shown: Survey) -> None:
    found = make_plan(wishes, terms, shown)
    assert make_plan(list(wishes), terms, shown) == found
    assert oddities(found.as_dict()) == []


@given(WISHES, TERMS, SURVEYS)
def test_ids_survive_the_way_through_ansible(wishes: list[Wish], terms: Terms, shown: Survey) -> None:
    found = make_plan(wishes, terms, shown)
    again = there_and_back(found, shown)
    assert again.id == found.id
    assert {target.wish.name: target.id for target in again.targets} == {t.wish.name: t.id for t in found.targets}


@given(WISHES, TERMS, SURVEYS)
@example(
    [Wish("a", "hss", server_id=SERVER, backup_id=HSS_POINTS[0])],
    Terms(NOW),
    Survey(NOW, PROJECT, servers={SERVER: server()}),
)
def test_a_plan_that_was_not_ready_does_not_become_ready(wishes: list[Wish], terms: Terms, shown: Survey) -> None:
    """The checks of a plan that comes back are the last before a write."""
    found = make_plan(wishes, terms, shown)
    assert there_and_back(found, shown).ready <= found.ready


@given(WISHES, TERMS, SURVEYS, st.permutations(range(3)))
def test_the_order_of_disks_and_backups_in_the_cloud_does_not_matter(
    wishes: list[Wish], terms: Terms, shown: Survey, order: list[int]
) -> None:
    def turned(things: Any) -> dict[str, Any]:
        items = list(things.items())
        return dict(sorted(items, key=lambda item: order[items.index(item) % 3]))

    other = replace(shown, disks=turned(shown.disks), servers=turned(shown.servers), backups=turned(shown.backups))
    found, again = make_plan(wishes, terms, shown), make_plan(wishes, terms, other)
    assert again.as_dict() == found.as_dict()
    assert set(again.problems) == set(found.problems)


@given(WISHES, TERMS, SURVEYS)
def test_a_plan_that_is_not_carried_out_has_changed_nothing(wishes: list[Wish], terms: Terms, shown: Survey) -> None:
    """What check mode would say, and the result of work that was never begun."""
    found = make_plan(wishes, terms, shown)
    works = divide(found, (), Tally())
    result = report.result(found, works, ())
    assert not result["changed"]
    assert not any(restore["changed"] for restore in result["restores"])
    assert "restored" not in result["summary"]
    assert oddities([result, report.planned_changes(found)]) == []
