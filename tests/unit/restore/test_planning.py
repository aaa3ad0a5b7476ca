# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: what is wanted, what the cloud shows and what earlier runs left, resolved into what is to be done."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import Mark, Phase, Standing
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import (
    Attachment,
    Backup,
    ChildBackup,
    Disk,
    Server,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.planning import (
    Plan,
    PlannedRestore,
    Survey,
    hss_standing,
    make_plan,
    map_children,
    with_attachments,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.preflight import ERROR, WARNING, Problem
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Terms, Wish
from builders import (
    DATA,
    DAY,
    LONE,
    NOW,
    ROOT,
    SERVER,
    backup,
    backup_id,
    codes,
    disk,
    free,
    hss_backup,
    hss_marked,
    hss_wish,
    lone_marked,
    mark,
    marked,
    plan,
    server,
    survey,
    vbs_wish,
)
from hypothesis import given
from hypothesis import strategies as st

OTHER = "5e000000-0000-4000-8000-000000000009"


def only(found: Plan) -> PlannedRestore:
    (restore,) = found.restores
    return restore


def states(found: Plan) -> list[str]:
    return [restore.state for restore in found.restores]


def chosen(found: Plan) -> list[str]:
    return [restore.case.backup_id for restore in found.restores]


def errors(found: Plan) -> list[str]:
    return [problem.code for problem in found.problems if problem.severity == ERROR]


# -- a plan of untouched things ----------------------------------------------------------------------------------------


def test_disks_of_a_server() -> None:
    found = plan(vbs_wish())
    assert (found.problems, found.ready) == ((), True)
    assert states(found) == ["to_restore", "to_restore"]
    assert chosen(found) == [backup_id(ROOT), backup_id(DATA)]
    assert [restore.device for restore in found.restores] == ["/dev/vda", "/dev/vdb"]
    assert [restore.is_system_disk for restore in found.restores] == [True, False]
    assert {restore.case.server_id for restore in found.restores} == {SERVER}


def test_a_disk_without_a_server() -> None:
    restore = only(plan(vbs_wish("lone", LONE)))
    assert (restore.state, restore.device, restore.case.server_id) == ("to_restore", "", "")


def test_a_whole_server() -> None:
    found = plan(hss_wish())
    restore = only(found)
    assert (found.problems, restore.state, restore.case.volume_id) == ((), "to_restore", "")
    assert restore.mappings == tuple((child.id, child.resource_id) for child in hss_backup().children)
    assert restore.as_dict()["size_gb"] == 80


def test_what_a_plan_shows() -> None:
    shown = plan(vbs_wish(wave=2, critical=True), vbs_wish("lone", LONE), run_id="r9").as_dict()
    assert json.loads(json.dumps(shown)) == shown
    assert shown["run_id"] == shown["asked_run_id"] == "r9"
    assert [wave["wave"] for wave in shown["waves"]] == [1, 2]
    assert shown["totals"] == {
        "waves": 2, "targets": 2, "restores": 3, "size_gb": 120, "to_restore": 3, "begun": 0, "already_restored": 0,
    }  # fmt: skip
    (target,) = shown["waves"][1]["targets"]
    assert (target["name"], target["critical"], target["power_on"]) == ("db01", True, None)
    first = target["restores"][0]
    assert (first["volume_id"], first["device"], first["server_name"]) == (ROOT, "/dev/vda", "db01")
    assert (first["backup_id"], first["backup_age_seconds"], first["clean"]) == (backup_id(ROOT), 86_400, "unknown")
    assert (first["state"], first["run_id"], first["since"]) == ("to_restore", None, None)


@pytest.mark.parametrize(("alert", "clean"), [(True, "no"), (False, "yes"), (None, "unknown")])
def test_whether_a_point_is_clean(alert: bool | None, clean: str) -> None:
    shown = survey(hss_backup(ransomware_alert=alert))
    assert only(plan(hss_wish(backup_id=hss_backup().id), shown=shown)).as_dict()["clean"] == clean


def test_the_name_of_the_run_is_the_plan_unless_one_is_asked_for() -> None:
    found = plan(vbs_wish())
    assert found.run_id == found.id
    assert plan(vbs_wish(), run_id="r9").run_id == "r9"


def test_ages_count_from_the_incident() -> None:
    found = plan(vbs_wish(max_backup_age_seconds=DAY), incident_at=NOW + 3600)
    assert {restore.case.age_seconds for restore in found.restores} == {DAY + 3600}
    assert errors(found) == ["backup_too_old"] * 2


def test_a_target_time_takes_the_point_before_it() -> None:
    assert chosen(plan(vbs_wish(point_in_time=NOW - 1.5 * DAY))) == [backup_id(ROOT, 2), backup_id(DATA, 2)]


def test_clean_only_is_a_matter_of_hss() -> None:
    shown = survey(hss_backup(1, ransomware_alert=True))
    assert chosen(plan(hss_wish(), shown=shown)) == [hss_backup(2).id]
    assert chosen(plan(hss_wish(), shown=shown, clean_only=False)) == [hss_backup(1).id]
    assert chosen(plan(hss_wish(), shown=shown, alerts_since=NOW - DAY / 2)) == [hss_backup(1).id]
    assert chosen(plan(vbs_wish(), shown=shown)) == [backup_id(ROOT), backup_id(DATA)]


def test_a_group_takes_a_common_point() -> None:
    late = survey(backup(LONE, 1, created_at=NOW - 60.0))
    wishes = vbs_wish(group="erp"), vbs_wish("lone", LONE, group="erp")
    found = plan(*wishes, shown=late, max_skew_seconds=3600.0)
    assert (chosen(found), found.problems) == ([backup_id(v, 2) for v in (ROOT, DATA, LONE)], ())
    assert chosen(plan(*wishes, shown=late))[2] == backup_id(LONE, 1)


def test_a_whole_server_may_carry_volumes_of_another_method() -> None:
    """Inventory variables of a group reach hosts of every method; for hss the server alone counts."""
    found = plan(hss_wish(volumes=((LONE, "latest"),)))
    assert (chosen(found), found.problems) == ([hss_backup().id], ())


# -- ids: what is wanted, not what a run changes -----------------------------------------------------------------------


def target_id(wish: Wish, shown: Survey | None = None, **terms: Any) -> str:
    (target,) = plan(wish, shown=shown, **terms).targets
    return target.id


PINNED = vbs_wish(volumes=((ROOT, backup_id(ROOT)), (DATA, backup_id(DATA))))
OTHER_ATTACHMENT = disk(ROOT, attachments=(Attachment(SERVER, "new", "/dev/vdz"),))


@pytest.mark.parametrize(
    "shown",
    [
        survey(free(ROOT), free(DATA)),
        survey(OTHER_ATTACHMENT),
        survey(disk(ROOT, status="error")),
        survey(free(ROOT, status="restoring-backup"), backup(ROOT, status="restoring")),
        survey(server(status="SHUTOFF")),
        survey(marked((ROOT, mark()), (DATA, mark(Phase.FINISHED, DATA)))),
        survey(at=NOW + DAY),
        survey(backups={}),
        survey(disks={}, servers={}),
        survey(disk(ROOT, size_gb=900), backup(ROOT, created_at=None, size_gb=None, name="renamed")),
    ],
)
def test_an_id_does_not_depend_on_what_the_cloud_shows(shown: Survey) -> None:
    assert target_id(PINNED, shown) == target_id(PINNED)


@pytest.mark.parametrize(
    "terms", [{"incident_at": NOW + DAY}, {"run_id": "r9"}, {"take_over": "r8"}, {"allow_encrypted": True}]
)
def test_an_id_does_not_depend_on_time_or_run(terms: dict[str, Any]) -> None:
    assert target_id(PINNED, **terms) == target_id(PINNED)


@pytest.mark.parametrize("change", [{"critical": True}, {"point_in_time": NOW}, {"max_backup_age_seconds": 9 * DAY}])
def test_an_id_does_not_depend_on_how_the_point_was_chosen(change: dict[str, Any]) -> None:
    assert target_id(replace(PINNED, **change)) == target_id(PINNED)


def test_an_id_does_not_depend_on_the_order() -> None:
    turned = replace(PINNED, volumes=PINNED.volumes[::-1])
    lone = vbs_wish("lone", LONE)
    assert target_id(turned) == target_id(PINNED)
    assert plan(turned, lone).id == plan(lone, PINNED).id


def test_latest_and_the_backup_that_it_means_are_one_id() -> None:
    assert target_id(vbs_wish()) == target_id(PINNED)


@pytest.mark.parametrize(
    "change",
    [
        {"wave": 2},
        {"group": "erp"},
        {"power_on": False},
        {"volumes": PINNED.volumes[:1]},
        {"volumes": ((ROOT, backup_id(ROOT, 2)), PINNED.volumes[1])},
        {"volumes": ((LONE, backup_id(ROOT)), PINNED.volumes[1])},
        {"volumes": ((ROOT, backup_id(DATA)), (DATA, backup_id(ROOT)))},
    ],
)
def test_an_id_depends_on_what_is_wanted(change: dict[str, Any]) -> None:
    assert target_id(replace(PINNED, **change)) != target_id(PINNED)


def test_an_id_of_a_server_depends_on_its_backup_mappings_and_power() -> None:
    two = hss_backup(1, children=hss_backup().children[:1])
    ids = {
        target_id(hss_wish()),
        target_id(hss_wish(), survey(two)),
        target_id(hss_wish(backup_id=hss_backup(2).id)),
        target_id(hss_wish(power_on=True)),
        target_id(hss_wish(power_on=False)),
    }
    assert len(ids) == 5


def test_ids_are_short_hexadecimal_and_the_plan_has_one_of_its_own() -> None:
    found = plan(PINNED, vbs_wish("lone", LONE))
    every = [found.id, *(target.id for target in found.targets)]
    assert len(set(every)) == 3
    assert all(len(one) == 12 and set(one) <= set("0123456789abcdef") for one in every)


def test_the_id_of_a_target_is_the_same_for_ever() -> None:
    """A change of this value breaks every approval and every run that is under way."""
    assert (target_id(PINNED), target_id(hss_wish(power_on=True))) == ("642c7029bcae", "042b0b2deee4")


# -- contradictions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "code", "named"),
    [
        ((), "plan_empty", "nothing to restore"),
        ((vbs_wish("a", ROOT), vbs_wish("a", LONE)), "target_twice", "target a is in the plan 2 times"),
        ((vbs_wish("a", LONE), vbs_wish("b", LONE)), "disk_twice", LONE),
        ((vbs_wish("a", LONE, LONE),), "disk_twice", LONE),
        ((vbs_wish("a", LONE), vbs_wish("b", LONE, wave=2)), "disk_twice", LONE),
        ((hss_wish("a"), hss_wish("b")), "server_twice", SERVER),
        ((hss_wish("a"), hss_wish("b", wave=2)), "server_twice", SERVER),
        ((vbs_wish("a", ROOT), vbs_wish("b", DATA)), "server_in_two_targets", f"server {SERVER} is in targets a, b"),
        ((vbs_wish("a", ROOT), vbs_wish("b", DATA, wave=2)), "server_in_two_targets", SERVER),
        ((hss_wish("a"), vbs_wish("b", DATA)), "server_in_two_targets", SERVER),
        ((Wish("a", "vbs"),), "target_incomplete", "volumes"),
        ((Wish("a", "hss"),), "target_incomplete", "server_id"),
        (
            (vbs_wish("a", group="erp"), vbs_wish("b", LONE, group="erp", wave=2)),
            "group_waves",
            "consistency group erp is spread over waves 1, 2",
        ),
    ],
)
def test_a_contradiction_is_an_error_that_names_it(wishes: tuple[Wish, ...], code: str, named: str) -> None:
    found = plan(*wishes)
    (problem,) = [problem for problem in found.problems if problem.code == code]
    assert (problem.severity, found.ready) == (ERROR, False)
    assert named in problem.message
    assert problem.remedy


@pytest.mark.parametrize(
    "wishes",
    [
        (vbs_wish("a"), vbs_wish("b", LONE)),
        (vbs_wish("a", wave=2), vbs_wish("b", LONE, wave=1)),
        (vbs_wish("a", group="erp"), vbs_wish("b", LONE, group="erp")),
        (vbs_wish("a", group="erp"), vbs_wish("b", LONE, group="web", wave=2)),
        (hss_wish("a"), vbs_wish("b", LONE)),
    ],
)
def test_no_contradiction(wishes: tuple[Wish, ...]) -> None:
    assert plan(*wishes).problems == ()


@pytest.mark.parametrize(("members", "cut"), [(("a", "b"), True), (("a",), False), (("a", "b"), False), ((), False)])
def test_a_group_that_the_limit_cuts(members: tuple[str, ...], cut: bool) -> None:
    wishes = [vbs_wish("a", group="erp")] + ([] if cut or "b" not in members else [vbs_wish("b", LONE, group="erp")])
    found = plan(*wishes, group_members={"erp": members, "elsewhere": ("x", "y")})
    assert errors(found) == (["group_cut"] if cut else [])
    assert not cut or "b not in this plan" in found.problems[0].message


def test_power_on_with_vbs_is_only_a_warning() -> None:
    found = plan(vbs_wish(power_on=True))
    assert (codes(found), found.ready) == (["power_on_ignored"], True)


def test_a_problem_of_the_survey_is_one_of_the_plan() -> None:
    unreadable = Problem(ERROR, "unreadable", "db01", "HSS did not answer", "Try again.")
    found = plan(vbs_wish(), shown=survey(problems=(unreadable,)))
    assert (found.problems, found.ready) == ((unreadable,), False)


def test_a_problem_is_told_once() -> None:
    assert errors(plan(vbs_wish("a", LONE, LONE), shown=survey(disks={}))).count("disk_missing") == 1


# -- pairs of child and disk -------------------------------------------------------------------------------------------


def child(name: str, volume_id: str) -> ChildBackup:
    return ChildBackup(name, resource_id=volume_id)


@pytest.mark.parametrize(
    ("children", "certain", "unmapped"),
    [
        ([("c1", ROOT), ("c2", DATA)], [("c1", ROOT), ("c2", DATA)], []),
        ([("c1", ROOT), ("c2", LONE)], [("c1", ROOT)], ["c2"]),  # not a disk of this server now
        ([("c1", SERVER)], [], ["c1"]),  # the resource is the host, as HSS documents it
        ([("c1", "")], [], ["c1"]),
        ([("c1", ROOT), ("c2", ROOT)], [("c1", ROOT), ("c2", ROOT)], ["c1", "c2"]),
        ([], [], []),
    ],
)
def test_children_go_to_their_own_disks(
    children: list[tuple[str, str]], certain: list[tuple[str, str]], unmapped: list[str]
) -> None:
    point = hss_backup(children=tuple(child(*pair) for pair in children))
    pairs, rest = map_children(point, server())
    assert (list(pairs), [one.id for one in rest]) == (certain, unmapped)


def test_without_backup_or_server_nothing_is_certain() -> None:
    assert map_children(None, server()) == ((), ())
    assert map_children(hss_backup(), None) == ((), hss_backup().children)


def test_a_server_that_lists_no_disks_has_those_that_say_so() -> None:
    """ECS need not list them; EVS shows where each disk is attached."""
    bare = replace(server(), volumes=())
    full = with_attachments(bare, {one.id: one for one in (disk(ROOT), disk(DATA), disk(LONE))})
    assert map_children(hss_backup(), full) == (tuple((c.id, c.resource_id) for c in hss_backup().children), ())
    assert with_attachments(bare, {LONE: disk(LONE)}) == bare
    assert with_attachments(server(), {}) == server()
    made = plan(hss_wish(), shown=survey(hss_backup(), bare, disk(ROOT), disk(DATA)))
    assert errors(made) == []
    assert len(next(made.restores).mappings) == len(hss_backup().children)


def test_a_child_that_is_not_certain_is_an_error_of_the_plan() -> None:
    point = hss_backup(children=(child("c1", ROOT), child("c2", "gone")))
    assert errors(plan(hss_wish(), shown=survey(point))) == ["children_unmapped"]


# -- what earlier runs began -------------------------------------------------------------------------------------------


def begun(item: Mark, shown: Disk | None = None) -> Survey:
    """The mark of run r1 on ROOT and where that disk is now; its backup is not the newest any more."""
    return survey(marked((ROOT, item)), shown or disk())


OLD = backup_id(ROOT, 2)


@pytest.mark.parametrize(
    ("phase", "now", "standing"),
    [
        (Phase.BEGUN, disk(), Standing.DETACH),
        (Phase.BEGUN, free(), Standing.SUBMIT),
        (Phase.SUBMITTING, free(), Standing.SUBMIT),
        (Phase.ACCEPTED, free(status="restoring-backup"), Standing.WATCH),
        (Phase.RESTORED, free(), Standing.ATTACH),
        (Phase.RESTORED, disk(), Standing.ATTACH),
    ],
)
def test_what_was_begun_goes_on_with_its_run_backup_server_and_device(
    phase: Phase, now: Disk, standing: Standing
) -> None:
    shown = begun(mark(phase, backup_id=OLD, device="/dev/vdq"), now)
    found = plan(vbs_wish("db01", ROOT), shown=shown)
    restore = only(found)
    assert (restore.case.standing, restore.state, found.run_id) == (standing, "begun", "r1")
    assert (restore.case.backup_id, restore.case.server_id, restore.device) == (OLD, SERVER, "/dev/vdq")
    assert found.problems == ()
    assert (restore.as_dict()["run_id"], restore.as_dict()["since"]) == ("r1", "2026-09-21T14:03:20Z")


@pytest.mark.parametrize("run_id", ["", "r1"])
def test_the_id_of_a_plan_survives_its_own_begin_and_a_newer_backup(run_id: str) -> None:
    before = survey(backups={b.id: b for b in (backup(ROOT, 2), backup(DATA, 2))})
    planned = plan(vbs_wish(), shown=before, run_id=run_id)
    shown = survey(
        marked((ROOT, mark(backup_id=OLD)), (DATA, mark(Phase.FINISHED, DATA, backup_id=backup_id(DATA, 2))))
    )
    assert plan(vbs_wish(), shown=shown, run_id=run_id).id == planned.id


def test_no_gate_blocks_what_was_begun() -> None:
    shown = begun(mark(Phase.SUBMITTING, backup_id=OLD), free())
    found = plan(vbs_wish("db01", ROOT, max_backup_age_seconds=1.0), shown=shown, incident_at=NOW - 9 * DAY)
    assert found.problems == ()


def test_a_group_in_the_middle_keeps_the_points_of_its_run() -> None:
    shown = survey(marked((ROOT, mark(Phase.ACCEPTED, backup_id=OLD))), free(status="restoring-backup"))
    wishes = vbs_wish("a", ROOT, group="erp"), vbs_wish("b", LONE, group="erp")
    found = plan(*wishes, shown=shown, max_skew_seconds=60.0)
    assert (chosen(found)[0], found.problems) == (OLD, ())


def test_a_refused_restore_is_planned_anew() -> None:
    for phase, now in [(Phase.RETURNED, disk()), (Phase.FAILED, disk())]:
        found = plan(vbs_wish("db01", ROOT), shown=begun(mark(phase, backup_id=OLD), now))
        assert (states(found), chosen(found), found.run_id) == (["to_restore"], [backup_id(ROOT)], found.id)


def test_a_failed_restore_of_a_detached_disk_takes_the_point_that_is_wanted_now() -> None:
    found = plan(vbs_wish("db01", ROOT), shown=begun(mark(Phase.FAILED, backup_id=OLD), free()))
    assert (states(found), chosen(found), found.run_id) == (["begun"], [backup_id(ROOT)], "r1")
    assert only(found).case.server_id == SERVER


def test_an_open_mark_counts_before_a_newer_closed_one() -> None:
    other = server(OTHER, metadata=marked((ROOT, mark(Phase.FINISHED, run_id="r2", at=NOW))).metadata, volumes=())
    shown = survey(marked((ROOT, mark(Phase.SUBMITTING, backup_id=OLD))), other, free())
    assert (plan(vbs_wish("a", ROOT), shown=shown).run_id, states(plan(vbs_wish("a", ROOT), shown=shown))) == (
        "r1",
        ["begun"],
    )


def test_of_two_open_marks_the_newer_counts() -> None:
    other = server(OTHER, metadata=marked((ROOT, mark(Phase.SUBMITTING, run_id="r2", at=NOW))).metadata, volumes=())
    shown = survey(marked((ROOT, mark(Phase.SUBMITTING))), other, free())
    restore = only(plan(vbs_wish("a", ROOT), shown=shown))
    assert restore.case.server_id == OTHER
    assert restore.as_dict()["run_id"] == "r2"


@pytest.mark.parametrize("value", ["mine", "1|begun", "1|BEGUN|R1|T|B|||Y|N||1", "2|begun|r1|t|b|||y|n||1"])
def test_a_mark_that_cannot_be_read_is_no_lack_of_a_mark(value: str) -> None:
    """Cut, changed, or of a later version: a finished restore was done again, one in the middle was taken for new."""
    at_server = server(metadata={f"hwcloud_recovery_{ROOT}": value, "hwcloud_recovery_hss": value})
    at_disk = disk(LONE, metadata={"hwcloud_recovery_mark": value})
    found = plan(vbs_wish(), shown=survey(at_server)), plan(hss_wish(), shown=survey(at_server))
    found = *found, plan(vbs_wish("lone", LONE), shown=survey(at_disk))
    unreadable = [[p.message for p in one.problems if p.code == "mark_unreadable"] for one in found]
    assert [len(messages) for messages in unreadable] == [1, 1, 1]
    for (message,), key in zip(unreadable, (ROOT, "hss", "mark"), strict=True):
        assert f"hwcloud_recovery_{key} " in message
    assert not any(one.ready for one in found)


@pytest.mark.parametrize("value", ["", "mine", "2|begun|r1|t|b|||y|n||1"])
def test_metadata_of_others_is_not_looked_at(value: str) -> None:
    metadata = {"hwcloud_recovery_": value, f"hwcloud_recovery_{OTHER}": value, ROOT: value, "owner": value}
    metadata |= {f"hwcloud_recovery_{ROOT}": "", "hwcloud_recovery_hss": ""}
    for wish in (vbs_wish(), hss_wish()):
        found = plan(wish, shown=survey(server(metadata=metadata)))
        assert (found.ready, found.run_id == found.id) == (True, True)


def test_a_mark_without_our_key_is_not_ours() -> None:
    text = marked((ROOT, mark(Phase.ACCEPTED))).metadata[f"hwcloud_recovery_{ROOT}"]
    assert states(plan(vbs_wish("a", ROOT), shown=survey(server(metadata={ROOT: text})))) == ["to_restore"]


def test_marks_of_a_file_journal_count_like_those_in_the_cloud() -> None:
    shown = survey(free(), journal={ROOT: (mark(Phase.SUBMITTING, backup_id=OLD),)})
    found = plan(vbs_wish("a", ROOT), shown=shown)
    assert (states(found), chosen(found), found.run_id) == (["begun"], [OLD], "r1")


# -- used since --------------------------------------------------------------------------------------------------------

USED = survey(marked((ROOT, mark(Phase.ACCEPTED, backup_id=OLD))), OTHER_ATTACHMENT)


@pytest.mark.parametrize("terms", [{}, {"run_id": "r1"}, {"take_over": "r1"}, {"run_id": "r1", "take_over": "r1"}])
def test_a_disk_that_was_used_since_is_reported_and_never_planned(terms: dict[str, str]) -> None:
    found = plan(vbs_wish("a", ROOT), shown=USED, **terms)
    assert (errors(found), states(found)) == (["used_since"], ["begun"])


def test_a_new_run_may_take_over_a_disk_that_was_used_since() -> None:
    found = plan(vbs_wish("a", ROOT), shown=USED, run_id="r2", take_over="r1")
    assert (errors(found), states(found), chosen(found)) == ([], ["to_restore"], [backup_id(ROOT)])
    assert found.run_id == "r2"


def test_taking_over_another_run_does_not_free_the_disk() -> None:
    found = plan(vbs_wish("a", ROOT), shown=USED, run_id="r2", take_over="r7")
    assert sorted(errors(found)) == ["unfinished_run", "used_since"]


# -- which run ---------------------------------------------------------------------------------------------------------

TWO_RUNS = survey(
    marked((ROOT, mark(Phase.SUBMITTING, run_id="r1")), (DATA, mark(Phase.SUBMITTING, DATA, run_id="r2"))),
    free(ROOT),
    free(DATA),
)
ONE_RUN = survey(marked((ROOT, mark(Phase.SUBMITTING))), free(ROOT))


@pytest.mark.parametrize(
    ("shown", "terms", "run_id", "strangers"),
    [
        (ONE_RUN, {}, "r1", []),
        (ONE_RUN, {"run_id": "r1"}, "r1", []),
        (ONE_RUN, {"take_over": "r1"}, "r1", []),
        (ONE_RUN, {"run_id": "r3"}, "r3", ["r1"]),
        (ONE_RUN, {"run_id": "r3", "take_over": "r1"}, "r3", []),
        (ONE_RUN, {"take_over": "r9"}, "r9", ["r1"]),
        (TWO_RUNS, {}, "r1", ["r2"]),
        (TWO_RUNS, {"run_id": "r2"}, "r2", ["r1"]),
        (TWO_RUNS, {"run_id": "r1", "take_over": "r2"}, "r1", []),
        (TWO_RUNS, {"run_id": "r3"}, "r3", ["r1", "r2"]),
        (TWO_RUNS, {"run_id": "r3", "take_over": "r2"}, "r3", ["r1"]),
        (survey(), {"take_over": "r9"}, "r9", []),
    ],
)
def test_which_run_goes_on(shown: Survey, terms: dict[str, str], run_id: str, strangers: list[str]) -> None:
    found = plan(vbs_wish(), shown=shown, **terms)
    assert found.run_id == run_id
    told = [problem for problem in found.problems if problem.code == "unfinished_run"]
    assert [problem.message.split()[1] for problem in told] == strangers
    assert all(problem.severity == ERROR and "take_over" in problem.remedy for problem in told)


@pytest.mark.parametrize("phase", [Phase.FINISHED, Phase.RETURNED])
def test_a_closed_mark_of_another_run_is_no_error(phase: Phase) -> None:
    found = plan(vbs_wish("a", ROOT), shown=begun(mark(phase, backup_id=OLD)), run_id="r2")
    warned = [(problem.severity, problem.code) for problem in found.problems]
    assert warned == ([(WARNING, "restored_before")] if phase is Phase.FINISHED else [])
    assert (states(found), found.run_id) == (["to_restore"], "r2")


def test_an_unfinished_run_on_other_disks_is_no_matter_of_this_plan() -> None:
    assert plan(vbs_wish("lone", LONE), shown=TWO_RUNS).problems == ()


# -- already restored --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_run", "of_backup", "run_id", "state", "picked"),
    [
        # with a run id, that run counts, whatever its backup was
        ("r1", 1, "r1", "already_restored", 1),
        ("r1", 2, "r1", "already_restored", 2),
        ("r1", 1, "r2", "to_restore", 1),
        # without one, the same backup counts, whatever the run was
        ("r1", 1, "", "already_restored", 1),
        ("r1", 2, "", "to_restore", 1),
    ],
)
def test_what_counts_as_already_restored(of_run: str, of_backup: int, run_id: str, state: str, picked: int) -> None:
    item = mark(Phase.FINISHED, run_id=of_run, backup_id=backup_id(ROOT, of_backup))
    found = plan(vbs_wish("a", ROOT), shown=begun(item), run_id=run_id)
    assert (states(found), chosen(found)) == ([state], [backup_id(ROOT, picked)])
    warned = [problem.code for problem in found.problems]
    assert warned == ["already_restored" if state == "already_restored" else "restored_before"]


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.FINISHED])
def test_only_a_successful_end_counts_as_already_restored(phase: Phase) -> None:
    assert states(plan(vbs_wish("a", ROOT), shown=begun(mark(phase)), run_id="r1")) != ["already_restored"]


def test_nothing_stands_against_what_is_already_restored() -> None:
    shown = survey(marked((ROOT, mark(Phase.FINISHED))), disk(encrypted=True, size_gb=1), backup(ROOT, status="error"))
    (told,) = plan(vbs_wish("a", ROOT, max_backup_age_seconds=1.0), shown=shown, run_id="r1").problems
    assert (told.severity, told.code) == ("warning", "already_restored")
    assert "r1" in told.message


def test_without_a_run_id_a_run_of_this_plan_that_ended_in_part_stays_ended() -> None:
    """One disk is back, another is under way: a newer backup does not start the first one again."""
    shown = survey(
        marked(
            (ROOT, mark(Phase.FINISHED, backup_id=OLD)),
            (DATA, mark(Phase.SUBMITTING, DATA, backup_id=backup_id(DATA, 2))),
        ),
        free(DATA),
    )
    found = plan(vbs_wish(), shown=shown)
    assert (states(found), found.run_id) == (["already_restored", "begun"], "r1")


# -- a disk without a server -------------------------------------------------------------------------------------------


def lone_plan(item: Mark, *, wanted: str = "latest", **terms: Any) -> Plan:
    own = replace(item, server_id="", device="", attachment_id="", backup_id=item.backup_id)
    wish = vbs_wish("lone", volumes=((LONE, wanted),))
    return plan(wish, shown=survey(lone_marked(own)), **terms)


def lone_mark(phase: Phase, number: int = 1, **changes: Any) -> Mark:
    return mark(phase, LONE, **{"backup_id": backup_id(LONE, number), **changes})


def test_a_disk_without_a_server_carries_its_own_mark() -> None:
    found = lone_plan(lone_mark(Phase.SUBMITTING, 2))
    assert (states(found), chosen(found), found.run_id) == (["begun"], [backup_id(LONE, 2)], "r1")
    assert only(found).case.server_id == ""


def test_its_finished_mark_counts() -> None:
    assert states(lone_plan(lone_mark(Phase.FINISHED))) == ["already_restored"]
    assert states(lone_plan(lone_mark(Phase.FINISHED), run_id="r1")) == ["already_restored"]
    assert states(lone_plan(lone_mark(Phase.FINISHED), run_id="r2")) == ["to_restore"]


def test_a_mark_older_than_the_backup_came_out_of_it_and_is_ignored() -> None:
    """A restore may bring the metadata of the disk back as it was when the backup was made."""
    stale = lone_mark(Phase.FAILED, 2, at=NOW - 1.5 * DAY)
    found = lone_plan(stale)
    assert (states(found), only(found).case.mark) == (["to_restore"], None)
    assert (states(lone_plan(replace(stale, at=NOW - 0.5 * DAY)))) == ["begun"]


def test_a_mark_of_a_server_is_not_ignored_for_its_age() -> None:
    """Backups of disks do not hold metadata of servers."""
    old = mark(Phase.SUBMITTING, at=NOW - 9 * DAY)
    assert states(plan(vbs_wish("a", ROOT), shown=begun(old, free()))) == ["begun"]


# -- whole servers -----------------------------------------------------------------------------------------------------

HSS_MEANINGS = {
    Phase.BEGUN: Standing.FRESH,
    Phase.SUBMITTING: Standing.WATCH,
    Phase.ACCEPTED: Standing.WATCH,
    Phase.RESTORED: Standing.ATTACH,
    Phase.FINISHED: Standing.FINISHED,
    Phase.FAILED: Standing.FRESH,
    Phase.RETURNED: Standing.FRESH,
}


@pytest.mark.parametrize("phase", Phase)
def test_what_a_mark_of_a_whole_server_means(phase: Phase) -> None:
    """Never SUBMIT: a server is always in use, so asking twice is never harmless."""
    assert hss_standing(mark(phase)) is HSS_MEANINGS[phase]


def test_a_whole_server_without_a_mark_is_fresh() -> None:
    assert hss_standing(None) is Standing.FRESH


@pytest.mark.parametrize("phase", [Phase.SUBMITTING, Phase.ACCEPTED, Phase.RESTORED])
def test_a_server_that_was_begun_goes_on_with_its_backup(phase: Phase) -> None:
    shown = survey(hss_marked(mark(phase, backup_id=hss_backup(2).id)), hss_backup(2, status="restoring"))
    found = plan(hss_wish(), shown=shown)
    assert (states(found), chosen(found), found.run_id) == (["begun"], [hss_backup(2).id], "r1")
    assert found.problems == ()


@pytest.mark.parametrize(
    ("number", "run_id", "state"),
    [(1, "", "already_restored"), (2, "", "to_restore"), (2, "r1", "already_restored"), (1, "r2", "to_restore")],
)
def test_a_server_that_is_already_restored(number: int, run_id: str, state: str) -> None:
    shown = survey(hss_marked(mark(Phase.FINISHED, backup_id=hss_backup(number).id)))
    assert states(plan(hss_wish(), shown=shown, run_id=run_id)) == [state]


# -- anything at all ---------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["", ROOT, DATA, LONE, SERVER, OTHER, backup_id(ROOT), hss_backup().id, "latest", "\u00e4|%"])
AGES = st.none() | st.sampled_from([0.0, -1.0, NOW, NOW - DAY, NOW - 2 * DAY, NOW + DAY])
WISHES = st.builds(
    Wish,
    name=NAMES,
    method=st.sampled_from(["vbs", "hss", "cbr"]),
    wave=st.integers(-1, 3),
    group=st.sampled_from(["", "g", "h"]),
    critical=st.booleans(),
    server_id=NAMES,
    volumes=st.lists(st.tuples(NAMES, NAMES), max_size=3).map(tuple),
    backup_id=NAMES,
    power_on=st.none() | st.booleans(),
    point_in_time=AGES,
    max_backup_age_seconds=st.none() | st.floats(0, 1e7),
)
ANY_MARK = st.builds(
    mark,
    st.sampled_from(Phase),
    NAMES.filter(bool),
    run_id=st.sampled_from(["r1", "r2", ""]),
    backup_id=NAMES,
    server_id=NAMES,
    at=AGES.filter(bool).map(float),
)
ATTACHMENTS = st.lists(st.builds(Attachment, NAMES, NAMES, NAMES), max_size=2).map(tuple)
STATUSES = st.sampled_from(["available", "in-use", "restoring-backup", "error", "detaching", "ACTIVE", "SHUTOFF", ""])


@st.composite
def things(draw: st.DrawFn) -> list[Disk | Server | Backup]:
    items = draw(st.lists(ANY_MARK, max_size=3))
    on_server = marked(*[(draw(NAMES), item) for item in items]).metadata
    whole = hss_marked(draw(ANY_MARK)).metadata
    return [
        draw(
            st.sampled_from([disk(ROOT), free(ROOT), disk(ROOT, status=draw(STATUSES), attachments=draw(ATTACHMENTS))])
        ),
        draw(st.sampled_from([disk(LONE), lone_marked(draw(ANY_MARK)), disk(LONE, status=draw(STATUSES))])),
        draw(st.sampled_from([server(), server(status=draw(STATUSES), metadata={**on_server, **whole})])),
        backup(ROOT, 1, created_at=draw(AGES), status=draw(STATUSES), volume_id=draw(NAMES)),
        hss_backup(1, created_at=draw(AGES), server_id=draw(NAMES), ransomware_alert=draw(st.booleans())),
    ]


SURVEYS = st.builds(lambda found: survey(*found), things()) | st.just(Survey(NOW, ""))
TERMS = st.builds(
    Terms,
    incident_at=st.just(NOW),
    run_id=st.sampled_from(["", "r1", "r3"]),
    take_over=st.sampled_from(["", "r1", "r2"]),
    clean_only=st.booleans(),
    alerts_since=AGES,
    max_skew_seconds=st.none() | st.floats(0, 1e6),
    free_disks_only=st.booleans(),
    group_members=st.sampled_from([{}, {"g": ("x",)}]),
)


@given(st.lists(WISHES, max_size=4), TERMS, SURVEYS, st.randoms(use_true_random=False))
def test_any_wish_and_any_cloud_make_a_plan_whose_id_does_not_depend_on_their_order(
    wishes: list[Wish], terms: Terms, shown: Survey, random: Any
) -> None:
    found = make_plan(wishes, terms, shown)
    assert json.dumps(found.as_dict())
    assert len(found.targets) == len(wishes)
    shuffled = [replace(wish, volumes=tuple(random.sample(wish.volumes, len(wish.volumes)))) for wish in wishes]
    random.shuffle(shuffled)
    sources = [(wish.name, volume_id) for wish in wishes for volume_id, _backup in wish.volumes or [("", "")]]
    if len(set(sources)) == len(sources):
        assert make_plan(shuffled, terms, shown).id == found.id


@given(st.lists(WISHES, max_size=3), TERMS, SURVEYS)
def test_what_was_used_since_is_never_ready(wishes: list[Wish], terms: Terms, shown: Survey) -> None:
    found = make_plan(wishes, terms, shown)
    if any(restore.case.standing is Standing.USED for restore in found.restores):
        assert not found.ready
