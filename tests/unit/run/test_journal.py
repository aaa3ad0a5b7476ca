# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where marks are kept: owners and leases in the cloud, locked and flushed files on this controller."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.commands import Holder
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import (
    HSS_KEY,
    LEASE_KEY,
    LEASE_SECONDS,
    LONE_DISK_KEY,
    OWNER_KEY,
    REMOVED,
    Lease,
    Mark,
    Owner,
    Phase,
    decode,
    decode_lease,
    decode_owner,
    encode,
    encode_lease,
    encode_owner,
    mark_key,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import ErrorInfo, Failure
from ansible_collections.hwcloud.recovery.plugins.module_utils._run import journal
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.journal import (
    CloudJournal,
    FileJournal,
    find_workers,
    has_open_mark,
    is_gone,
    is_young,
    read_files,
    this_host,
    this_process,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.options import OptionError
from builders import DATA, LONE, NOW, ROOT, SERVER, mark

HERE = Holder("server", SERVER)
DISK = Holder("disk", LONE)
OTHER = Holder("server", "5e000000-0000-4000-8000-000000000009")
DENIED = ErrorInfo(Failure.DENIED, "not allowed")


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Cloud:
    """The metadata of servers and disks, behind the two modules that the journal calls."""

    holders: dict[Holder, dict[str, str]] = field(default_factory=dict)
    reads: list[Holder] = field(default_factory=list)
    refuses: ErrorInfo | None = None
    skew_seconds: float = 0.0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Cloud:
        for kind, module, reader in (("server", journal.ecs, "server"), ("disk", journal.evs, "disk")):
            monkeypatch.setattr(module, "write_metadata", self._writer(kind))
            monkeypatch.setattr(module, reader, self._reader(kind))
        return self

    def _writer(self, kind: str) -> Any:
        def write(_api: Any, name: str, values: dict[str, str]) -> None:
            if self.refuses:
                raise CloudError(self.refuses)
            self.holders.setdefault(Holder(kind, name), {}).update(values)

        return write

    def _reader(self, kind: str) -> Any:
        def read(_api: Any, name: str) -> Any:
            self.reads.append(Holder(kind, name))
            if self.refuses:
                raise CloudError(self.refuses)
            if Holder(kind, name) not in self.holders:
                raise CloudError(ErrorInfo(Failure.MISSING, f"{kind} {name} does not exist"))
            return SimpleNamespace(metadata=self.holders[Holder(kind, name)])

        return read


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    return Cloud().install(monkeypatch)


# -- who is there ------------------------------------------------------------------------------------------------------


def owner(**changes: Any) -> Owner:
    return replace(Owner("r1", this_host(), this_process(), "n1", str(HERE), NOW), **changes)


def dead_process() -> str:
    """The name of a process that has certainly ended."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = f"{child.pid}.{Path(f'/proc/{child.pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    assert not is_gone(owner(process=name))
    child.communicate(b"\n")
    return name


def test_a_process_that_runs_is_not_gone() -> None:
    assert not is_gone(owner())
    assert not is_gone(owner(process=f"{os.getppid()}.{journal._started(os.getppid())}"))


def test_a_process_that_has_ended_is_gone() -> None:
    assert is_gone(owner(process=dead_process()))


def test_a_process_number_that_was_given_again_is_not_the_same_process() -> None:
    assert is_gone(owner(process=f"{os.getpid()}.1"))


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "elsewhere-01234567", "process": "999999999.1"},
        {"process": ""},
        {"process": "999999999"},  # when it was started is not known
        {"process": "999999999.-"},
        {"process": "x.1"},
        {"process": "\u00b2.1"},
    ],
)
def test_what_is_not_certain_is_not_gone(changes: dict[str, str]) -> None:
    assert not is_gone(owner(**changes))


def test_the_name_of_this_host_fits_and_stays() -> None:
    assert this_host() == this_host()
    assert len(this_host()) <= 49


def lease(**changes: Any) -> Lease:
    return replace(Lease("r1", "elsewhere", "1.1", "n1", NOW), **changes)


@pytest.mark.parametrize(
    ("given", "young"),
    [
        (lease(), True),
        (lease(renewed_at=NOW - LEASE_SECONDS + 1), True),
        (lease(renewed_at=NOW - LEASE_SECONDS), False),
        (lease(nonce="", renewed_at=0.0), False),  # given back
        (lease(nonce=""), False),
        (None, False),
    ],
)
def test_a_lease_is_good_for_a_while(given: Lease | None, young: bool) -> None:
    assert is_young(given, NOW) is young


def test_a_lease_of_this_host_whose_process_is_gone_is_not_waited_for() -> None:
    mine = lease(host=this_host(), process=this_process())
    assert is_young(mine, NOW)
    assert not is_young(replace(mine, process=f"{os.getpid()}.1"), NOW)
    assert is_young(replace(mine, host="elsewhere", process=f"{os.getpid()}.1"), NOW)


def test_a_process_that_ended_and_was_not_fetched_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = f"{child.pid}.{journal._started(child.pid)}"
    assert not is_gone(owner(process=name))
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    assert is_gone(owner(process=name))
    child.communicate()


# -- in the cloud ------------------------------------------------------------------------------------------------------


def at_work(cloud: Cloud, **changes: Any) -> list[str]:
    return [found.run_id for _holder, found in find_workers(cloud, cloud.holders, changes.get("now", NOW))]  # type: ignore[arg-type]


def hold(cloud: Cloud, holder: Holder, item: Mark, by: Owner, lies_here: Lease | None = None) -> None:
    metadata = {mark_key(ROOT): encode(item), OWNER_KEY: encode_owner(by)}
    if lies_here:
        metadata[LEASE_KEY] = encode_lease(lies_here)
    cloud.holders[holder] = metadata


LEASE = lease()


def test_a_journal_announces_itself_and_gives_back_its_lease(cloud: Cloud) -> None:
    kept = CloudJournal(cloud, "r1", Clock(), settle_seconds=1.0)  # type: ignore[arg-type]
    assert kept.open(HERE) is None
    written = decode_lease(cloud.holders[HERE][LEASE_KEY])
    assert written is not None
    assert (written.run_id, written.renewed_at, bool(written.nonce)) == ("r1", NOW, True)
    assert (written.host, written.process) == (this_host(), this_process())
    kept.close()
    given_back = decode_lease(cloud.holders[HERE][LEASE_KEY])
    assert given_back is not None
    assert (given_back.nonce, given_back.renewed_at) == ("", 0.0)


def test_times_are_the_clouds(cloud: Cloud) -> None:
    cloud.skew_seconds = 500.0
    kept = CloudJournal(cloud, "r1", Clock(), settle_seconds=1.0)  # type: ignore[arg-type]
    kept.open(HERE)
    kept.write(HERE, [(mark_key(ROOT), mark())], claim=False)
    written = decode(cloud.holders[HERE][mark_key(ROOT)])
    announced = decode_lease(cloud.holders[HERE][LEASE_KEY])
    assert written is not None and announced is not None
    assert (announced.renewed_at, written.at) == (NOW + 500, NOW + 501)


def test_marks_are_written_together_and_only_a_claim_takes_the_holder(cloud: Cloud) -> None:
    kept = CloudJournal(cloud, "r1", Clock(), settle_seconds=1.0)  # type: ignore[arg-type]
    kept.open(OTHER)
    marks = [(mark_key(ROOT), mark()), (mark_key(DATA), mark(Phase.BEGUN, DATA))]
    assert kept.write(HERE, marks, claim=False) is None
    assert set(cloud.holders[HERE]) == {mark_key(ROOT), mark_key(DATA)}
    assert kept.owner_in(HERE, cloud.holders[HERE]) is not None
    assert kept.write(HERE, marks[:1], claim=True) is None
    claimed = decode_owner(cloud.holders[HERE][OWNER_KEY])
    assert claimed is not None
    assert (claimed.run_id, claimed.host, claimed.process, claimed.anchor) == (
        "r1", this_host(), this_process(), str(OTHER),
    )  # fmt: skip
    assert kept.owner_in(HERE, cloud.holders[HERE]) is None


def test_a_process_that_was_superseded_notices_also_under_the_same_run_id(cloud: Cloud) -> None:
    first, second = (CloudJournal(cloud, "r1", Clock(), settle_seconds=1.0) for _number in range(2))  # type: ignore[arg-type]
    for kept in (first, second):
        kept.open(HERE)
        kept.write(HERE, [(mark_key(ROOT), mark())], claim=True)
    first.write(HERE, [(mark_key(ROOT), mark())], claim=False)
    stranger = first.owner_in(HERE, cloud.holders[HERE])
    assert stranger is not None
    assert (stranger.kind, SERVER in stranger.message, "r1" in stranger.message) == (Failure.TAKEN, True, True)
    assert second.owner_in(HERE, cloud.holders[HERE]) is None


@pytest.mark.parametrize(("since", "counts"), [(0.0, True), (NOW + 100, True), (NOW + 101, False), (NOW + 200, False)])
def test_an_owner_counts_from_its_claim_not_from_the_start_of_its_run(cloud: Cloud, since: float, counts: bool) -> None:
    clock = Clock()
    first, second = (CloudJournal(cloud, "r1", clock, settle_seconds=1.0) for _number in range(2))  # type: ignore[arg-type]
    first.open(DISK)
    clock.sleep(100)
    first.write(DISK, [(LONE_DISK_KEY, mark())], claim=True)
    clock.sleep(100)
    first.write(DISK, [(LONE_DISK_KEY, mark())], claim=False)
    stranger = second.owner_in(DISK, cloud.holders[DISK], since)
    assert stranger is not None
    assert (stranger.kind, stranger.code) == (Failure.TAKEN, "" if counts else REMOVED)
    assert first.owner_in(DISK, cloud.holders[DISK], NOW + 200) is None, "it knows itself"


@pytest.mark.parametrize("metadata", [{}, {OWNER_KEY: "odd"}])
def test_marks_that_somebody_removed_are_not_ours_any_more(cloud: Cloud, metadata: dict[str, str]) -> None:
    kept = CloudJournal(cloud, "r1", Clock(), settle_seconds=1.0)  # type: ignore[arg-type]
    stranger = kept.owner_in(DISK, metadata)
    assert stranger is not None
    assert (stranger.kind, "removed" in stranger.message) == (Failure.TAKEN, True)


class Meanwhile(Clock):
    """While somebody sleeps, another one acts."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__()
        self._act = act

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._act()


def test_of_those_that_begin_at_the_same_moment_the_last_goes_on(cloud: Cloud) -> None:
    """Both had planned before either had a lease, went on, and stopped, restored and marked the same servers."""
    cloud.holders[HERE] = {}
    second = CloudJournal(cloud, "r2", Clock(), settle_seconds=1.0)  # type: ignore[arg-type]
    second.open(HERE)
    written, cloud.holders[HERE] = cloud.holders[HERE], {}
    meanwhile = Meanwhile(lambda: cloud.holders[HERE].update(written))
    first = CloudJournal(cloud, "r1", meanwhile, settle_seconds=1.0)  # type: ignore[arg-type]
    failure = first.open(HERE)
    assert failure is not None
    assert (failure.kind, "r2" in failure.message) == (Failure.TAKEN, True)
    kept = decode_lease(cloud.holders[HERE][LEASE_KEY])
    assert kept is not None and kept.run_id == "r2", "the lease of the one that goes on is left alone"


@pytest.mark.parametrize(
    ("take_over", "age_seconds", "opens"),
    [("", 0, False), ("r2", 0, True), ("r3", 0, False), ("", LEASE_SECONDS, True)],
)
def test_a_young_lease_that_came_after_the_check_keeps_others_away(
    cloud: Cloud, take_over: str, age_seconds: float, opens: bool
) -> None:
    other = CloudJournal(cloud, "r2", Clock(), settle_seconds=1.0)  # type: ignore[arg-type]
    cloud.holders[HERE] = {}
    other.open(HERE)
    before = dict(cloud.holders[HERE])
    late = Clock(NOW + age_seconds)
    kept = CloudJournal(cloud, "r1", late, take_over=take_over, settle_seconds=1.0)  # type: ignore[arg-type]
    failure = kept.open(HERE)
    assert (failure is None) is opens
    assert (cloud.holders[HERE] == before) is not opens, "what keeps a run away is not written over"


@pytest.mark.parametrize("act", [CloudJournal.renew, CloudJournal.close])
def test_a_run_that_was_superseded_leaves_the_lease_of_the_other(
    cloud: Cloud, act: Callable[[CloudJournal], Any]
) -> None:
    """It wrote over it once a minute and emptied it at its end: a third run was let in beside the second."""
    cloud.holders[HERE] = {}
    first, second = (CloudJournal(cloud, "r1", Clock(now), settle_seconds=1.0) for now in (NOW, NOW + LEASE_SECONDS))  # type: ignore[arg-type]
    assert [first.open(HERE), second.open(HERE)] == [None, None]
    before = dict(cloud.holders[HERE])
    act(first)
    assert cloud.holders[HERE] == before


def test_a_lease_that_a_restore_wiped_is_written_again(cloud: Cloud) -> None:
    kept = CloudJournal(cloud, "r1", Clock(), settle_seconds=1.0)  # type: ignore[arg-type]
    cloud.holders[DISK] = {}
    kept.open(DISK)
    before = dict(cloud.holders[DISK])
    cloud.holders[DISK].clear()
    assert (kept.renew(), cloud.holders[DISK].keys()) == (None, before.keys())


def test_failures_are_returned(cloud: Cloud) -> None:
    cloud.refuses = DENIED
    kept = CloudJournal(cloud, "r1", Clock(), settle_seconds=1.0)  # type: ignore[arg-type]
    assert [kept.open(HERE), kept.write(DISK, [(LONE_DISK_KEY, mark())], claim=True), kept.renew()] == [DENIED] * 3
    kept.close()


def test_another_process_at_work_is_found_by_its_lease(cloud: Cloud) -> None:
    hold(cloud, HERE, mark(Phase.ACCEPTED), owner(host="elsewhere"), LEASE)
    assert at_work(cloud) == ["r1"]
    assert at_work(cloud, now=NOW + LEASE_SECONDS) == []


@pytest.mark.parametrize("phase", [Phase.FINISHED, Phase.RETURNED])
def test_who_has_nothing_open_is_not_at_work_here(cloud: Cloud, phase: Phase) -> None:
    hold(cloud, HERE, mark(phase), owner(host="elsewhere", anchor=str(OTHER)))
    cloud.holders[OTHER] = {LEASE_KEY: encode_lease(LEASE)}
    shown = {HERE: cloud.holders[HERE]}
    assert list(find_workers(cloud, shown, NOW)) == []  # type: ignore[arg-type]


def test_a_run_whose_lease_lies_here_will_come_here(cloud: Cloud) -> None:
    """It has marked nothing here yet; a second run would write over its lease."""
    cloud.holders[HERE] = {LEASE_KEY: encode_lease(LEASE)}
    assert at_work(cloud) == ["r1"]
    assert at_work(cloud, now=NOW + LEASE_SECONDS) == []


def test_a_lease_of_another_process_does_not_speak_for_an_owner(cloud: Cloud) -> None:
    hold(cloud, HERE, mark(Phase.ACCEPTED), owner(host="elsewhere", anchor=str(OTHER)))
    cloud.holders[OTHER] = {LEASE_KEY: encode_lease(replace(LEASE, nonce="another"))}
    shown = {HERE: cloud.holders[HERE]}
    assert list(find_workers(cloud, shown, NOW)) == []  # type: ignore[arg-type]


def test_the_lease_is_read_where_it_lies_and_only_once(cloud: Cloud) -> None:
    elsewhere = owner(host="elsewhere", anchor=str(OTHER))
    hold(cloud, HERE, mark(Phase.ACCEPTED), elsewhere)
    hold(cloud, DISK, mark(Phase.ACCEPTED), elsewhere)
    shown = dict(cloud.holders)
    cloud.holders[OTHER] = {LEASE_KEY: encode_lease(LEASE)}
    found = list(find_workers(cloud, shown, NOW))  # type: ignore[arg-type]
    assert [holder for holder, _owner in found] == [HERE, DISK]
    assert cloud.reads == [OTHER]


def test_a_lease_that_lay_at_a_deleted_server_is_over(cloud: Cloud) -> None:
    hold(cloud, HERE, mark(Phase.ACCEPTED), owner(host="elsewhere", anchor=str(OTHER)))
    assert at_work(cloud) == []


def test_a_lease_that_cannot_be_read_is_not_taken_for_over(cloud: Cloud) -> None:
    hold(cloud, HERE, mark(Phase.ACCEPTED), owner(host="elsewhere", anchor=str(OTHER)))
    cloud.refuses = DENIED
    with pytest.raises(CloudError):
        at_work(cloud)


@pytest.mark.parametrize(
    ("metadata", "is_open"),
    [
        ({}, False),
        ({mark_key(ROOT): encode(mark())}, True),
        ({mark_key(ROOT): encode(mark(Phase.FAILED))}, True),
        ({mark_key(ROOT): encode(mark(Phase.FINISHED))}, False),
        ({mark_key(ROOT): encode(mark(Phase.FINISHED)), HSS_KEY: encode(mark(Phase.ACCEPTED))}, True),
        ({LONE_DISK_KEY: encode(mark())}, True),
        ({"somebody": encode(mark())}, False),
        ({OWNER_KEY: encode_owner(owner()), LEASE_KEY: encode_lease(LEASE), mark_key(ROOT): "odd"}, False),
    ],
)
def test_an_open_mark(metadata: dict[str, str], is_open: bool) -> None:
    assert has_open_mark(metadata) is is_open


# -- in a file ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[FileJournal]:
    opened = FileJournal(tmp_path / "journal", "r1", Clock())
    assert opened.open(HERE) is None
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_what_is_written_is_read_by_anybody(kept: FileJournal, folder: Path) -> None:
    whole = mark(Phase.ACCEPTED, backup_id="h1")
    lone = mark(Phase.BEGUN, LONE, server_id="")
    assert kept.write(HERE, [(mark_key(ROOT), mark()), (HSS_KEY, whole)], claim=True) is None
    assert kept.write(DISK, [(LONE_DISK_KEY, lone)], claim=True) is None
    assert kept.write(HERE, [(mark_key(ROOT), mark(Phase.SUBMITTING))], claim=False) is None
    assert read_files(folder).marks == {
        ROOT: (mark(Phase.SUBMITTING, at=NOW),),
        f"{HSS_KEY}:{SERVER}": (replace(whole, at=NOW),),
        LONE: (replace(lone, at=NOW),),
    }
    assert kept.owner_in(HERE, {}) is None
    assert kept.renew() is None


def test_a_mark_is_on_the_disk_before_the_call_that_it_announces(
    kept: FileJournal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    def fsync(handle: int) -> None:
        seen.append((handle, os.fstat(handle).st_size))

    monkeypatch.setattr(journal.os, "fsync", fsync)
    kept.write(HERE, [(mark_key(ROOT), mark())], claim=True)
    assert seen == [(kept._file, (folder / "r1.jsonl").stat().st_size)]
    assert seen[0][1] > 100


def test_a_write_that_is_cut_short_goes_on(kept: FileJournal, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk or a signal may let only a part through."""
    whole = os.write
    monkeypatch.setattr(journal.os, "write", lambda handle, data: whole(handle, data[:7]))
    assert kept.write(HERE, [(mark_key(ROOT), mark())], claim=True) is None
    assert set(read_files(folder).marks) == {ROOT}


def test_a_line_cut_off_by_a_crash_is_left_out_and_swallows_nothing(folder: Path) -> None:
    path = folder / "r1.jsonl"
    first = FileJournal(folder, "r1", Clock())
    first.open(HERE)
    first.write(HERE, [(mark_key(ROOT), mark()), (mark_key(DATA), mark(Phase.BEGUN, DATA))], claim=True)
    first.close()
    path.write_bytes(path.read_bytes()[:-20])
    assert set(read_files(folder).marks) == {ROOT}
    second = FileJournal(folder, "r1", Clock(NOW + 60))
    second.open(HERE)
    second.write(HERE, [(mark_key(ROOT), mark(Phase.SUBMITTING))], claim=True)
    second.close()
    assert read_files(folder).marks == {ROOT: (mark(Phase.SUBMITTING, at=NOW + 60),)}


@pytest.mark.parametrize(
    "line",
    [b"{}", b"null", b"[1]", b"7", b'{"holder": 1, "key": "k", "mark": "m"}', b"\xff\xfe", b'{"holder": "server:s"}'],
)
def test_odd_lines_are_left_out(kept: FileJournal, folder: Path, line: bytes) -> None:
    (folder / "r0.jsonl").write_bytes(line + b"\n")
    kept.write(HERE, [(mark_key(ROOT), mark())], claim=True)
    assert set(read_files(folder).marks) == {ROOT}


def test_the_file_is_for_nobody_else(kept: FileJournal, folder: Path) -> None:
    assert (folder / "r1.jsonl").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o077 == 0


OTHER_PROCESS = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
input()
"""


def test_a_run_that_another_process_works_on_is_refused_until_that_ends(folder: Path) -> None:
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, str(folder / "r1.jsonl")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    mine = FileJournal(folder, "r1", Clock())
    refused = mine.open(HERE)
    mine.close()
    shown = read_files(folder).at_work
    process.kill()
    process.communicate()
    assert refused is not None
    assert (refused.kind, "r1" in refused.message, shown) == (Failure.TAKEN, True, {"r1"})
    assert read_files(folder).at_work == frozenset()
    assert mine.open(HERE) is None
    mine.close()


@pytest.mark.parametrize("run_id", ["r1", "2026-01-31T04:05:06", "a_b", "a:b.c-d"])
def test_who_is_at_work_is_told_by_run_id(folder: Path, run_id: str) -> None:
    working = FileJournal(folder, run_id, Clock())
    working.open(HERE)
    assert read_files(folder).at_work == {run_id}
    working.close()
    assert read_files(folder).at_work == frozenset()


def test_two_runs_have_two_files(folder: Path) -> None:
    opened = [FileJournal(folder, run_id, Clock()) for run_id in ("a:b", "a_b")]
    assert [one.open(HERE) for one in opened] == [None, None]
    for one in opened:
        one.close()


@pytest.mark.parametrize("order", [("r1", "r2"), ("r2", "r1")])
def test_a_run_that_took_another_over_has_the_last_word(folder: Path, order: tuple[str, str]) -> None:
    """As in the cloud, where both write the same entry: what r1 left open does not stay open for ever."""
    for number, (run_id, phase) in enumerate(zip(order, (Phase.SUBMITTING, Phase.FINISHED), strict=True)):
        run = FileJournal(folder, run_id, Clock(NOW + number * 60))
        run.open(HERE)
        run.write(HERE, [(mark_key(ROOT), mark(phase, run_id=run_id))], claim=True)
        run.close()
    (found,) = read_files(folder).marks[ROOT]
    assert (found.run_id, found.phase) == (order[1], Phase.FINISHED)


def _noted(folder: Path, run_id: str, now: float, *phases: Phase) -> None:
    clock = Clock(now)
    run = FileJournal(folder, run_id, clock)
    run.open(HERE)
    for phase in phases:
        run.write(HERE, [(mark_key(ROOT), mark(phase, run_id=run_id))], claim=phase is Phase.BEGUN)
        clock.time -= 3600
    run.close()


def test_in_one_file_the_last_mark_counts_also_if_the_clock_was_set_back(folder: Path) -> None:
    """The first one was believed: the disk had not been detached, so it was restored once more after its use."""
    _noted(folder, "r1", NOW, Phase.BEGUN, Phase.FINISHED)
    (found,) = read_files(folder).marks[ROOT]
    assert found.phase is Phase.FINISHED


def test_a_run_after_the_clock_was_corrected_has_the_last_word(folder: Path) -> None:
    """What the earlier run had finished hid that this one had died with a disk detached and its server off."""
    _noted(folder, "r1", NOW + 7200, Phase.BEGUN, Phase.FINISHED)
    _noted(folder, "r2", NOW, Phase.BEGUN, Phase.SUBMITTING)
    (found,) = read_files(folder).marks[ROOT]
    assert (found.run_id, found.phase) == ("r2", Phase.SUBMITTING)


def test_no_folder_says_nothing(tmp_path: Path) -> None:
    assert read_files(tmp_path / "nowhere").marks == {}


def test_a_folder_that_cannot_be_written_is_told_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failure = FileJournal(tmp_path / "file", "r1", Clock()).open(HERE)
    assert failure is not None
    assert (failure.kind, "cannot be written" in failure.message) == (Failure.REFUSED, True)
    assert "journal_dir" in failure.remedy


def _directory(folder: Path) -> None:
    (folder / "r0.jsonl").mkdir()


def _gone(folder: Path) -> None:
    (folder / "r1.jsonl").unlink()
    folder.rmdir()


@pytest.mark.parametrize(("spoil", "reason"), [(_directory, "Is a directory"), (_gone, "No such file")])
def test_a_claim_whose_journals_cannot_be_read_is_refused(
    kept: FileJournal, folder: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    """It ended the whole run, with other servers off and their disks detached."""
    spoil(folder)
    failure = kept.write(HERE, [(mark_key(ROOT), mark())], claim=True)
    assert failure is not None
    assert (failure.kind, reason in failure.message) == (Failure.REFUSED, True)


def test_a_mark_in_a_file_that_was_removed_is_not_written(kept: FileJournal, folder: Path) -> None:
    (folder / "r1.jsonl").unlink()
    failure = kept.write(HERE, [(mark_key(ROOT), mark(Phase.SUBMITTING))], claim=False)
    assert failure is not None
    assert "it was removed" in failure.message


def test_a_file_that_vanishes_says_nothing(kept: FileJournal, folder: Path) -> None:
    """Between the list of the folder and a look at the file; a link to nowhere looks the same."""
    (folder / "r0.jsonl").symlink_to("nowhere")
    assert kept.write(HERE, [(mark_key(ROOT), mark())], claim=True) is None
    assert set(read_files(folder).marks) == {ROOT}
    other = FileJournal(folder, "r2", Clock())
    assert other.open(DISK) is None
    other.close()


def test_journals_that_cannot_be_read_are_refused_before_anything_is_done(kept: FileJournal, folder: Path) -> None:
    _directory(folder)
    with pytest.raises(OptionError, match=r"journal_dir: .*r0\.jsonl cannot be read: Is a directory"):
        read_files(folder)
    kept.close()
    assert kept.open(HERE) is not None


def test_a_failed_write_is_told(kept: FileJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal.os, "write", full)
    failure = kept.write(HERE, [(mark_key(ROOT), mark())], claim=True)
    assert failure is not None
    assert "No space left on device" in failure.message
