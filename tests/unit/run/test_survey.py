# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read before a plan: in bulk, never twice, and what cannot be read is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.commands import Holder
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import (
    HSS_KEY,
    LEASE_KEY,
    OWNER_KEY,
    Lease,
    Owner,
    Phase,
    encode,
    encode_lease,
    encode_owner,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import (
    Backup,
    Disk,
    ErrorInfo,
    Failure,
    Server,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.planning import Survey
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Terms, Wish
from ansible_collections.hwcloud.recovery.plugins.module_utils._run import survey as module
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.journal import FileJournal
from builders import (
    DATA,
    DAY,
    LONE,
    NOW,
    PROJECT,
    ROOT,
    SERVER,
    backup,
    backup_id,
    free,
    hss_backup,
    hss_wish,
    lone_marked,
    mark,
    marked,
    server,
    vbs_wish,
)
from builders import survey as shown_by

OTHER = "5e000000-0000-4000-8000-000000000009"


class Clock:
    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return NOW

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a survey does not wait")


@dataclass
class Cloud:
    """Answers the calls of the survey and counts them. `broken` makes calls fail, by name."""

    disks_: dict[str, Disk]
    servers_: dict[str, Server]
    backups_: dict[str, Backup]
    broken: dict[str, Failure] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    skew_seconds: float = 0.0

    def project_id(self) -> str:
        return PROJECT

    def call(self, name: str, about: Any = None) -> None:
        self.calls.append((name, about))
        if name in self.broken:
            raise CloudError(ErrorInfo(self.broken[name], f"{name} failed", remedy="Do something."))

    def names(self) -> list[str]:
        return [name for name, _about in self.calls]

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Cloud:
        def disks(_api: Any, ids: Iterable[str]) -> dict[str, Disk]:
            wanted = list(ids)
            self.call("evs.disks", wanted)
            return {one: self.disks_[one] for one in wanted if one in self.disks_}

        def servers(_api: Any, ids: Iterable[str]) -> dict[str, Server]:
            wanted = list(ids)
            self.call("ecs.servers", wanted)
            return {one: self.servers_[one] for one in wanted if one in self.servers_}

        def all_servers(_api: Any) -> dict[str, Server]:
            self.call("ecs.all_servers")
            return dict(self.servers_)

        def vbs_backups(_api: Any, *, volume_ids: Sequence[str] = ()) -> list[Backup]:
            self.call("vbs.backups", list(volume_ids))
            every = [one for one in self.backups_.values() if one.service == "vbs"]
            return [one for one in every if not volume_ids or one.volume_id in volume_ids]

        def one_backup(service: str) -> Any:
            def read(_api: Any, wanted: str) -> Backup:
                self.call(f"{service}.backup", wanted)
                if wanted not in self.backups_:
                    raise CloudError(ErrorInfo(Failure.MISSING, f"no backup {wanted}"))
                return self.backups_[wanted]

            return read

        def hss_backups(_api: Any, host: str) -> list[Backup]:
            """The list of HSS lacks the children; only the list tells of alerts."""
            self.call("hss.backups", host)
            return [
                replace(b, children=()) for b in self.backups_.values() if b.service == "hss" and b.server_id == host
            ]

        monkeypatch.setattr(module.evs, "disks", disks)
        monkeypatch.setattr(module.ecs, "servers", servers)
        monkeypatch.setattr(module.ecs, "all_servers", all_servers)
        monkeypatch.setattr(module.vbs, "backups", vbs_backups)
        monkeypatch.setattr(module.vbs, "backup", one_backup("vbs"))
        monkeypatch.setattr(module.hss, "backups", hss_backups)
        monkeypatch.setattr(module.hss, "backup", one_backup("hss"))
        return self


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    shown = shown_by()
    return Cloud(dict(shown.disks), dict(shown.servers), dict(shown.backups)).install(monkeypatch)


def look(
    cloud: Cloud,
    *wishes: Wish,
    known: dict[str, Backup] | None = None,
    folder: Path | None = None,
    needs_servers: bool = True,
    **terms: Any,
) -> Survey:
    return module.survey(
        cloud,  # type: ignore[arg-type]
        wishes,
        Terms(**{"incident_at": NOW, **terms}),
        clock=Clock(),
        journal_dir=folder,
        known_hss=known,
        needs_servers=needs_servers,
    )


# -- how much is read --------------------------------------------------------------------------------------------------


def test_disks_of_servers_take_three_calls_however_many_there_are(cloud: Cloud) -> None:
    found = look(cloud, vbs_wish())
    assert cloud.names() == ["evs.disks", "ecs.all_servers", "vbs.backups"]
    assert (set(found.disks), set(found.servers), found.problems) == ({ROOT, DATA}, {SERVER}, ())
    assert set(found.backups) == {backup_id(volume, number) for volume in (ROOT, DATA) for number in (1, 2)}
    assert (found.at, found.project_id) == (NOW, PROJECT)


def test_the_time_of_a_survey_is_the_clouds(cloud: Cloud) -> None:
    cloud.skew_seconds = -7.0
    assert look(cloud, vbs_wish()).at == NOW - 7


def test_a_few_named_backups_are_read_one_by_one_and_many_in_a_list(cloud: Cloud) -> None:
    few = Wish("a", "vbs", volumes=((ROOT, backup_id(ROOT, 2)), (DATA, backup_id(DATA, 2))))
    assert set(look(cloud, few).backups) == {backup_id(ROOT, 2), backup_id(DATA, 2)}
    assert cloud.names().count("vbs.backup") == 2
    cloud.calls.clear()
    ids = [f"d{number}" for number in range(module.SINGLE_BACKUP_CALLS + 1)]
    cloud.disks_ |= {one: replace(cloud.disks_[ROOT], id=one) for one in ids}
    cloud.backups_ |= {f"b-{one}": backup(ROOT, volume_id=one) for one in ids}
    cloud.backups_ |= {f"b-{one}": replace(cloud.backups_[f"b-{one}"], id=f"b-{one}") for one in ids}
    many = Wish("a", "vbs", volumes=tuple((one, f"b-{one}") for one in ids))
    assert set(look(cloud, many).backups) >= {f"b-{one}" for one in ids}
    assert [name for name in cloud.names() if name.startswith("vbs")] == ["vbs.backups"]


def test_of_hss_backups_only_the_one_that_will_serve_is_read_in_detail(cloud: Cloud) -> None:
    found = look(cloud, hss_wish())
    assert [call for call in cloud.calls if call[0].startswith("hss")] == [
        ("hss.backups", SERVER),
        ("hss.backup", hss_backup(1).id),
    ]
    assert [len(found.backups[hss_backup(number).id].children) for number in (1, 2)] == [2, 0]
    assert set(found.disks) == {ROOT, DATA}


def test_of_a_server_that_lists_no_disks_those_that_its_backup_was_made_of_are_read(cloud: Cloud) -> None:
    """The plan could not tell which disk gets what."""
    cloud.servers_[SERVER] = replace(cloud.servers_[SERVER], volumes=())
    assert set(look(cloud, hss_wish()).disks) == {ROOT, DATA}


@pytest.mark.parametrize("kind", [Failure.MISSING, Failure.DENIED, Failure.NONSENSE])
def test_one_detached_disk_needs_no_list_of_servers(cloud: Cloud, kind: Failure) -> None:
    """Where something else than ECS answers in its place, too; but not where ECS is only too busy to tell of marks."""
    cloud.broken["ecs.all_servers"] = kind
    with pytest.raises(CloudError):
        look(cloud, vbs_wish())
    assert look(cloud, vbs_wish(), needs_servers=False).servers == {}
    cloud.broken["ecs.all_servers"] = Failure.BUSY
    with pytest.raises(CloudError):
        look(cloud, vbs_wish(), needs_servers=False)


def test_the_detail_is_that_of_the_clean_point_and_keeps_its_alert(cloud: Cloud) -> None:
    cloud.backups_[hss_backup(1).id] = hss_backup(1, ransomware_alert=True)
    look(cloud, hss_wish())
    assert ("hss.backup", hss_backup(2).id) in cloud.calls
    cloud.calls.clear()
    found = look(cloud, hss_wish(), clean_only=False)
    assert ("hss.backup", hss_backup(1).id) in cloud.calls
    assert found.backups[hss_backup(1).id].ransomware_alert is True


def test_what_the_plan_knows_of_a_backup_is_not_read_again(cloud: Cloud) -> None:
    known = {hss_backup(1).id: hss_backup(1)}
    found = look(cloud, hss_wish(backup_id=hss_backup(1).id), known=known)
    assert not [name for name in cloud.names() if name.startswith("hss")]
    assert found.backups == known


def test_a_backup_that_an_unfinished_run_works_with_is_read_too(cloud: Cloud) -> None:
    item = mark(Phase.ACCEPTED, backup_id=hss_backup(2).id)
    cloud.servers_[SERVER] = server(metadata={HSS_KEY: encode(item)})
    look(cloud, hss_wish())
    assert ("hss.backup", hss_backup(2).id) in cloud.calls


def test_backups_that_marks_name_are_read_too(cloud: Cloud) -> None:
    cloud.servers_[SERVER] = marked((ROOT, mark(Phase.ACCEPTED, backup_id=backup_id(LONE))))
    assert backup_id(LONE) in look(cloud, vbs_wish()).backups


# -- where a detached disk belongs -------------------------------------------------------------------------------------


def test_for_a_detached_disk_all_servers_are_searched_for_its_mark(cloud: Cloud) -> None:
    cloud.disks_[ROOT] = free(ROOT)
    cloud.servers_ = {SERVER: marked((ROOT, mark(Phase.SUBMITTING))), OTHER: server(OTHER)}
    assert set(look(cloud, vbs_wish("a", ROOT)).servers) == {SERVER}
    assert cloud.names().count("ecs.all_servers") == 1


def test_a_mark_is_found_at_a_server_that_the_disk_has_left(cloud: Cloud) -> None:
    """All disks were attached, so only the servers where they are now were read: the same run restored them again."""
    cloud.servers_[OTHER] = replace(marked((ROOT, mark(Phase.FINISHED))), id=OTHER)
    assert set(look(cloud, vbs_wish("a", ROOT)).servers) == {SERVER, OTHER}


@pytest.mark.parametrize(("run_id", "seen"), [("r1", True), ("r2", False)])
def test_what_a_run_left_that_was_taken_over_elsewhere_is_over(cloud: Cloud, run_id: str, *, seen: bool) -> None:
    """Else the run that took it over, which finished, would begin once more. Only its own run is reminded of it."""
    cloud.servers_[SERVER] = marked((ROOT, mark(Phase.FINISHED, run_id="r2", at=NOW)))
    cloud.servers_[OTHER] = replace(marked((ROOT, mark(Phase.ACCEPTED, run_id="r1", at=NOW - DAY))), id=OTHER)
    assert (OTHER in look(cloud, vbs_wish("a", ROOT), run_id=run_id).servers) is seen


def test_an_open_mark_of_a_detached_disk_does_not_hide_what_servers_say(cloud: Cloud) -> None:
    """It may have come out of a backup: it was believed, and neither the server's mark nor the lease there was seen."""
    cloud.disks_[LONE] = lone_marked(mark(Phase.SUBMITTING, LONE, server_id=""))
    assert look(cloud, vbs_wish("lone", LONE)).servers == {}
    assert "ecs.all_servers" in cloud.names()


# -- what is not there, or cannot be read ------------------------------------------------------------------------------


def test_what_does_not_exist_is_left_to_the_checks(cloud: Cloud) -> None:
    wishes = Wish("a", "vbs", volumes=(("gone", "gone-too"),)), hss_wish("b", OTHER, backup_id="gone")
    found = look(cloud, *wishes)
    assert (found.disks, found.servers, found.backups, found.problems) == ({}, {}, {}, ())
    named = look(cloud, Wish("a", "vbs", volumes=((ROOT, "gone"),)))
    assert "gone" not in named.backups


def test_hss_backups_that_cannot_be_read_are_a_problem_of_their_target(cloud: Cloud) -> None:
    cloud.broken = {"hss.backups": Failure.REFUSED}
    (problem,) = look(cloud, hss_wish("web01"), vbs_wish("lone", LONE)).problems
    assert (problem.severity, problem.code, problem.target) == ("error", "unreadable", "web01")
    assert (problem.message, problem.remedy) == ("hss.backups failed. Do something.", "Do something.")


@pytest.mark.parametrize("kind", [Failure.DENIED, Failure.UNREACHABLE])
@pytest.mark.parametrize("name", ["evs.disks", "ecs.all_servers", "vbs.backups", "hss.backups"])
def test_without_credentials_or_network_nothing_can_be_known(cloud: Cloud, name: str, kind: Failure) -> None:
    cloud.broken = {name: kind}
    with pytest.raises(CloudError, match=f"{name} failed"):
        look(cloud, vbs_wish(), hss_wish("web01"))


# -- others at work ----------------------------------------------------------------------------------------------------


def working(cloud: Cloud, *, age_seconds: float = 0.0) -> None:
    item = marked((ROOT, mark(Phase.BEGUN)))
    owner = Owner("r1", "elsewhere", "1.1", "n1", str(Holder("server", SERVER)), NOW)
    lease = Lease("r1", "elsewhere", "1.1", "n1", NOW - age_seconds)
    extra = {OWNER_KEY: encode_owner(owner), LEASE_KEY: encode_lease(lease)}
    cloud.servers_[SERVER] = replace(item, metadata={**item.metadata, **extra})


@pytest.mark.parametrize("terms", [{}, {"run_id": "r1"}, {"run_id": "r2"}, {"take_over": "r7"}])
def test_another_process_at_work_is_a_problem_also_under_the_same_run_id(cloud: Cloud, terms: dict[str, str]) -> None:
    working(cloud)
    (problem,) = look(cloud, vbs_wish(), **terms).problems
    assert (problem.severity, problem.code) == ("error", "run_in_progress")
    assert "run r1" in problem.message
    assert "host elsewhere" in problem.message


def test_an_old_lease_or_taking_over_is_no_problem(cloud: Cloud) -> None:
    working(cloud, age_seconds=180)
    assert look(cloud, vbs_wish()).problems == ()
    working(cloud)
    assert look(cloud, vbs_wish(), take_over="r1").problems == ()


def test_a_file_journal_is_read_beside_the_metadata(cloud: Cloud, tmp_path: Path) -> None:
    cloud.disks_[ROOT] = free(ROOT)
    kept = FileJournal(tmp_path, "r1", Clock())
    kept.open(Holder("server", SERVER))
    kept.write(Holder("server", SERVER), [(f"hwcloud_recovery_{ROOT}", mark(Phase.SUBMITTING))], claim=True)
    busy = look(cloud, vbs_wish("a", ROOT), folder=tmp_path)
    kept.close()
    ended = look(cloud, vbs_wish("a", ROOT), folder=tmp_path)
    assert [problem.code for problem in busy.problems] == ["run_in_progress"]
    assert (ended.problems, set(ended.journal), set(ended.servers)) == ((), {ROOT}, {SERVER})


def test_with_a_file_journal_a_process_at_work_in_the_cloud_is_a_problem_too(cloud: Cloud, tmp_path: Path) -> None:
    working(cloud)
    assert "run_in_progress" in {problem.code for problem in look(cloud, vbs_wish(), folder=tmp_path).problems}


@pytest.mark.parametrize(
    ("phase", "codes"),
    [(Phase.SUBMITTING, ["unfinished_in_cloud"]), (Phase.FINISHED, []), (Phase.RETURNED, []), (Phase.FAILED, [])],
)
def test_with_a_file_journal_what_is_open_in_the_cloud_is_a_problem(
    cloud: Cloud, tmp_path: Path, phase: Phase, codes: list[str]
) -> None:
    """A server that HSS restores."""
    cloud.servers_[SERVER] = replace(server(), metadata={HSS_KEY: encode(mark(phase))})
    assert [problem.code for problem in look(cloud, hss_wish(), folder=tmp_path).problems] == codes


@pytest.mark.parametrize(("asked", "codes"), [("latest", ["unfinished_in_cloud"]), (backup_id(LONE), [])])
def test_an_own_mark_that_came_out_of_the_backup_is_not_open(
    cloud: Cloud, tmp_path: Path, asked: str, codes: list[str]
) -> None:
    made = cloud.backups_[backup_id(LONE)].created_at or 0.0
    cloud.disks_[LONE] = lone_marked(mark(Phase.SUBMITTING, LONE, server_id="", at=made - 1))
    found = look(cloud, Wish("lone", "vbs", volumes=((LONE, asked),)), folder=tmp_path)
    assert [problem.code for problem in found.problems] == codes


def test_a_run_that_works_on_other_disks_is_no_problem(cloud: Cloud, tmp_path: Path) -> None:
    kept = FileJournal(tmp_path, "r1", Clock())
    kept.open(Holder("server", SERVER))
    kept.write(Holder("server", SERVER), [(f"hwcloud_recovery_{ROOT}", mark(Phase.SUBMITTING))], claim=True)
    found = look(cloud, vbs_wish("lone", LONE), folder=tmp_path)
    kept.close()
    assert found.problems == ()


def test_a_run_that_works_on_a_whole_server_is_found_in_its_file(cloud: Cloud, tmp_path: Path) -> None:
    kept = FileJournal(tmp_path, "2026-01-31T04:05:06", Clock())
    kept.open(Holder("server", SERVER))
    item = mark(Phase.ACCEPTED, run_id="2026-01-31T04:05:06", backup_id=hss_backup(1).id, at=NOW - DAY)
    kept.write(Holder("server", SERVER), [(HSS_KEY, item)], claim=True)
    busy = look(cloud, hss_wish(), folder=tmp_path)
    kept.close()
    assert [problem.code for problem in busy.problems] == ["run_in_progress"]
    assert look(cloud, hss_wish(), folder=tmp_path).problems == ()


def test_a_backup_that_a_run_in_a_file_works_with_is_read_too(cloud: Cloud, tmp_path: Path) -> None:
    """Without its children the target would have another id than the one that was approved."""
    kept = FileJournal(tmp_path, "r1", Clock())
    kept.open(Holder("server", SERVER))
    kept.write(Holder("server", SERVER), [(HSS_KEY, mark(Phase.ACCEPTED, backup_id=hss_backup(2).id))], claim=True)
    kept.close()
    assert len(look(cloud, hss_wish(), folder=tmp_path).backups[hss_backup(2).id].children) == 2
