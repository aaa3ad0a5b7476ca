# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan goes to Ansible and comes back: its ids are the same, and so is everything that stood against it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import ChildBackup
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.planning import Plan, Survey, make_plan
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Wish
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.recovery import read_plan
from builders import (
    DATA,
    DAY,
    LONE,
    NOW,
    ROOT,
    backup,
    codes,
    hss_backup,
    hss_wish,
    plan,
    server,
    survey,
    vbs_wish,
)

OTHER = "5e000000-0000-4000-8000-000000000009"
RICH = vbs_wish(
    "a",
    wave=2,
    group="erp",
    critical=True,
    point_in_time=NOW - 1.5 * DAY,
    max_backup_age_seconds=3 * DAY,
)
PLANS: dict[str, tuple[tuple[Wish, ...], Survey]] = {
    "disks": ((vbs_wish(), vbs_wish("lone", LONE)), survey()),
    "waves": ((vbs_wish(wave=3), vbs_wish("lone", LONE, wave=1)), survey()),
    "options": ((RICH,), survey()),
    "server": ((hss_wish(power_on=False),), survey()),
    "no point": ((vbs_wish(), hss_wish("b")), survey(backups={})),
    "no disk": ((vbs_wish(),), survey(disks={}, servers={})),
    "half a server": ((hss_wish(),), survey(hss_backup(children=(*hss_backup().children, ChildBackup("c9", "gone"))))),
    "twice the disk": (
        (hss_wish(),),
        survey(hss_backup(children=(ChildBackup("c1", ROOT, size_gb=1), ChildBackup("c2", ROOT, size_gb=1)))),
    ),
    "another server": (
        (hss_wish(backup_id=hss_backup().id),),
        survey(hss_backup(server_id=OTHER, children=(ChildBackup("c9", "gone"),))),
    ),
    "small disk": ((hss_wish(),), survey(hss_backup(children=(ChildBackup("c1", ROOT, size_gb=900),)))),
    "incomplete": ((Wish("a", "vbs"),), survey()),
}


def there_and_back(found: Plan, shown: Survey) -> Plan:
    """As recovery_run sees it: HSS backups are known from the plan, everything else is read again."""
    wishes, terms, known = read_plan(json.loads(json.dumps(found.as_dict())))
    backups = {key: item for key, item in shown.backups.items() if item.service != "hss"}
    again = Survey(shown.at, shown.project_id, shown.disks, shown.servers, {**backups, **known})
    return make_plan(wishes, terms, again)


@pytest.mark.parametrize("name", PLANS)
def test_ids_and_objections_survive(name: str) -> None:
    """A plan that was not ready must not become ready on its way: these checks are the last before a write."""
    wishes, shown = PLANS[name]
    found = plan(*wishes, shown=shown)
    again = there_and_back(found, shown)
    assert again.id == found.id
    assert {target.wish.name: target.id for target in again.targets} == {t.wish.name: t.id for t in found.targets}
    assert sorted(codes(again)) == sorted(codes(found))


def test_options_and_terms_survive() -> None:
    terms: dict[str, Any] = {
        "incident_at": NOW - 60, "run_id": "r9", "clean_only": False, "alerts_since": NOW - 9 * DAY,
    }  # fmt: skip
    found = plan(RICH, hss_wish("b", OTHER), **terms, shown=survey(server(OTHER)))
    wishes, read, _known = read_plan(found.as_dict())
    first = next(wish for wish in wishes if wish.name == "a")
    assert (first.wave, first.group, first.critical) == (2, "erp", True)
    assert (first.point_in_time, first.max_backup_age_seconds) == (NOW - 1.5 * DAY, 3 * DAY)
    assert {name: getattr(read, name) for name in terms} == terms


def test_latest_has_become_a_certain_backup() -> None:
    wishes, _terms, _known = read_plan(plan(vbs_wish()).as_dict())
    assert wishes[0].volumes == ((ROOT, backup(ROOT).id), (DATA, backup(DATA).id))


def test_what_is_known_of_a_backup_need_not_be_read_again() -> None:
    _wishes, _terms, known = read_plan(plan(hss_wish()).as_dict())
    found = known[hss_backup().id]
    assert (found.name, found.created_at, found.server_id) == ("hss-1", NOW - DAY, hss_backup().server_id)
    assert [(child.id, child.resource_id, child.size_gb) for child in found.children] == [
        (child.id, child.resource_id, child.size_gb) for child in hss_backup().children
    ]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"id": "0123456789ab"},
        {"waves": None},
        {"waves": [1]},
        {"waves": [{"targets": [{}]}]},
        {"waves": [{"targets": [{"name": "a", "method": "hss", "restores": []}]}]},
    ],
)
def test_what_is_no_plan_is_refused(given: dict[str, Any]) -> None:
    whole = {**plan(vbs_wish()).as_dict(), **given} if "waves" in given else given
    with pytest.raises((LookupError, TypeError, ValueError, AttributeError)):
        read_plan(whole)
