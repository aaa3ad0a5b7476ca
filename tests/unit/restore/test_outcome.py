# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written down of restores that share a holder: before they are submitted, and when they have ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.commands import (
    Holder,
    Now,
    Pause,
    Script,
    WriteMarks,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import Phase, Standing, encode, mark_key
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import ErrorInfo, Failure
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import (
    MARK_PATIENCE_SECONDS,
    MARK_TRIES,
    Restore,
    State,
    announce,
    overtaken,
    record,
)
from builders import DATA, NOW, PLACES, ROOT, SERVER, backup_id, mark

HERE = Holder("server", SERVER)
REFUSED = ErrorInfo(Failure.REFUSED, "no")
LOST = ErrorInfo(Failure.LOST, "no answer")
BUSY = ErrorInfo(Failure.BUSY, "later", retry_after_seconds=100.0)
TAKEN = ErrorInfo(Failure.TAKEN, "run r2 works on it")


@dataclass
class Cloud:
    """Answers the writes from a list, the last answer again and again; time passes in pauses only."""

    answers: list[ErrorInfo | None] = field(default_factory=lambda: [None])
    writes: list[WriteMarks] = field(default_factory=list)
    now: float = 0.0

    def play(self, script: Script[Any]) -> Any:
        answer: Any = None
        while True:
            try:
                command = script.send(answer)
            except StopIteration as end:
                return end.value
            answer = self._answer(command)

    def _answer(self, command: Any) -> Any:
        if isinstance(command, WriteMarks):
            self.writes.append(command)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(command, Pause):
            self.now += command.seconds
            return None
        assert isinstance(command, Now)
        return self.now

    @property
    def phases(self) -> list[list[Phase]]:
        return [[mark.phase for _key, mark in write.marks] for write in self.writes]


def restore(phase: Phase = Phase.BEGUN, volume_id: str = ROOT, **changes: Any) -> Restore:
    given: dict[str, Any] = {
        "target": "db01",
        "method": "vbs",
        "backup_id": backup_id(volume_id),
        "mark": mark(phase, volume_id),
        "volume_id": volume_id,
        "server_id": SERVER,
        "device": PLACES[volume_id],
        "holder": HERE,
        "key": mark_key(volume_id),
        **changes,
    }
    return Restore(**given)


def both(phase: Phase = Phase.BEGUN, **changes: Any) -> list[Restore]:
    return [restore(phase, volume_id, **changes) for volume_id in (ROOT, DATA)]


# -- another run since the check ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("server_id", "taken"), [(SERVER, True), ("", False)])
def test_an_older_mark_of_another_run_counts_unless_a_backup_can_have_brought_it_back(
    server_id: str, *, taken: bool
) -> None:
    """With wrong clocks the mark that another run had left at a server meanwhile was taken for one out of a backup."""
    seen = encode(mark(Phase.FAILED, run_id="r1", at=NOW))
    now = encode(mark(Phase.FINISHED, run_id="r2", at=NOW - 3600))
    stranger = overtaken(restore(server_id=server_id, seen=seen), {mark_key(ROOT): now})
    assert (stranger is not None) is taken


# -- before the submit -------------------------------------------------------------------------------------------------


def test_restores_of_a_server_are_announced_in_one_write() -> None:
    cloud, restores = Cloud(), both()
    assert cloud.play(announce(restores, job="j", claim=True)) is None
    (write,) = cloud.writes
    assert (write.holder, write.claim) == (HERE, True)
    assert [(key, mark.phase, mark.job) for key, mark in write.marks] == [
        (mark_key(volume_id), Phase.SUBMITTING, "j") for volume_id in (ROOT, DATA)
    ]
    assert [(one.mark.phase, one.unwritten) for one in restores] == [(Phase.SUBMITTING, False)] * 2


def test_what_is_announced_already_is_written_once_more_as_it_was() -> None:
    """After a lost answer it says so in memory, but perhaps not in the cloud."""
    cloud, restores = Cloud(), [restore(Phase.SUBMITTING), restore(Phase.FAILED, DATA)]
    before = restores[0].mark
    assert cloud.play(announce(restores, job="new")) is None
    assert (restores[0].mark, restores[1].mark.job) == (before, "new")
    assert cloud.phases == [[Phase.SUBMITTING] * 2]


def test_what_was_certainly_not_written_stays_unsaid() -> None:
    """The next try has to write it first: a submit without its mark could be given twice."""
    cloud, restores = Cloud([REFUSED]), both()
    before = [one.mark for one in restores]
    assert cloud.play(announce(restores)) == REFUSED
    assert [one.mark for one in restores] == before
    assert [one.unwritten for one in restores] == [False, False]
    assert len(cloud.writes) == 1


def test_what_may_have_been_written_counts_as_said_and_as_unwritten() -> None:
    """Otherwise the end would not be written over it, and the next run would find `submitting`."""
    cloud, restores = Cloud([LOST]), both()
    assert cloud.play(announce(restores)) == LOST
    assert [(one.mark.phase, one.unwritten) for one in restores] == [(Phase.SUBMITTING, True)] * 2
    assert len(cloud.writes) == MARK_TRIES


@pytest.mark.parametrize("then", [REFUSED, ErrorInfo(Failure.UNREACHABLE, "no connection")])
def test_a_no_to_the_second_try_does_not_unsay_the_first_one(then: ErrorInfo) -> None:
    """The first one may have arrived: its mark was taken back in memory, and the cloud kept it."""
    cloud, restores = Cloud([LOST, then]), both()
    failure = cloud.play(announce(restores))
    assert (failure.kind, failure.message) == (Failure.LOST, then.message)
    assert [(one.mark.phase, one.unwritten) for one in restores] == [(Phase.SUBMITTING, True)] * 2


def test_what_was_not_written_before_stays_to_be_written_when_this_write_is_refused() -> None:
    cloud, restores = Cloud([REFUSED]), [restore(unwritten=True), restore(volume_id=DATA)]
    cloud.play(announce(restores))
    assert [one.unwritten for one in restores] == [True, False]


def test_a_write_that_is_lost_once_is_tried_again() -> None:
    cloud, restores = Cloud([LOST, None]), both()
    assert cloud.play(announce(restores)) is None
    assert (len(cloud.writes), [one.unwritten for one in restores]) == (2, [False, False])


def test_a_cloud_that_is_only_busy_is_waited_for_but_not_for_ever() -> None:
    patient = Cloud([BUSY] * 5 + [None])
    assert patient.play(announce(both())) is None
    assert patient.now == 500.0
    never = Cloud([BUSY])
    assert never.play(announce(both())) == BUSY
    assert never.now == MARK_PATIENCE_SECONDS


def test_a_run_without_marks_announces_nothing_and_goes_on() -> None:
    cloud, restores = Cloud(), both(holder=None)
    assert cloud.play(announce(restores)) is None
    assert (cloud.writes, restores[0].mark.phase) == ([], Phase.SUBMITTING)


# -- when it is over ---------------------------------------------------------------------------------------------------


def ended(state: State, phase: Phase, **changes: Any) -> Restore:
    return restore(phase, state=state, **changes)


@pytest.mark.parametrize(
    ("state", "before", "changes", "closing", "after"),
    [
        (State.RESTORED, Phase.ACCEPTED, {"accepted": True}, False, Phase.RESTORED),
        (State.RESTORED, Phase.SUBMITTING, {"accepted": True}, False, Phase.RESTORED),
        (State.RESTORED, Phase.ACCEPTED, {"accepted": True}, True, Phase.FINISHED),
        (State.RESTORED, Phase.RESTORED, {"accepted": True}, True, Phase.FINISHED),
        (State.FAILED, Phase.ACCEPTED, {"accepted": True}, False, Phase.FAILED),
        (State.FAILED, Phase.ACCEPTED, {"accepted": True}, True, Phase.FAILED),
        (State.FAILED, Phase.SUBMITTING, {"doubt": True}, False, Phase.FAILED),
        (State.FAILED, Phase.SUBMITTING, {}, False, Phase.BEGUN),
        (State.FAILED, Phase.SUBMITTING, {}, True, Phase.RETURNED),
        (State.SKIPPED, Phase.BEGUN, {}, True, Phase.RETURNED),
    ],
)
def test_how_it_ended_is_written_down(
    state: State, before: Phase, changes: dict[str, Any], closing: bool, after: Phase
) -> None:
    cloud, one = Cloud(), ended(state, before, **changes)
    cloud.play(record([one], closing=closing))
    assert cloud.phases == [[after]]
    assert (one.mark.phase, one.unwritten, one.notes) == (after, False, [])


@pytest.mark.parametrize(
    ("state", "phase", "changes", "closing"),
    [
        (State.SKIPPED, Phase.BEGUN, {}, False),
        (State.RESTORED, Phase.RESTORED, {"accepted": True}, False),
        (State.RESTORED, Phase.FINISHED, {"accepted": True}, True),
        (State.UNKNOWN, Phase.SUBMITTING, {"doubt": True}, True),
        (State.UNKNOWN, Phase.BEGUN, {"doubt": True}, True),
        (State.TIMED_OUT, Phase.ACCEPTED, {"accepted": True}, True),
        (State.FAILED, Phase.SUBMITTING, {"error": TAKEN}, True),
        (State.RESTORED, Phase.ACCEPTED, {"accepted": True, "error": TAKEN}, True),
        (State.FAILED, Phase.SUBMITTING, {"error": TAKEN, "unwritten": True}, True),
        (State.FAILED, Phase.ACCEPTED, {"standing": Standing.BROKEN}, True),
    ],
)
def test_what_stays_open_or_is_somebody_elses_is_not_written(
    state: State, phase: Phase, changes: dict[str, Any], closing: bool
) -> None:
    cloud, one = Cloud(), ended(state, phase, **changes)
    cloud.play(record([one], closing=closing))
    assert (cloud.writes, one.mark.phase) == ([], phase)


def test_only_those_that_moved_on_are_written_and_in_one_call() -> None:
    cloud = Cloud()
    done = restore(Phase.ACCEPTED, state=State.RESTORED, accepted=True)
    open_still = restore(Phase.ACCEPTED, DATA, state=State.TIMED_OUT, accepted=True)
    cloud.play(record([open_still, done]))
    assert [[key for key, _mark in write.marks] for write in cloud.writes] == [[mark_key(ROOT)]]
    cloud.play(record(both(Phase.ACCEPTED, state=State.RESTORED, accepted=True)))
    assert cloud.phases[1:] == [[Phase.RESTORED] * 2]


def test_a_mark_that_was_not_written_before_is_written_now() -> None:
    cloud, one = Cloud(), ended(State.RESTORED, Phase.RESTORED, accepted=True, unwritten=True)
    cloud.play(record([one]))
    assert (cloud.phases, one.unwritten) == ([[Phase.RESTORED]], False)
    cloud.play(record([one]))
    assert len(cloud.writes) == 1


def test_a_mark_that_cannot_be_written_is_noted_and_stays_to_be_written() -> None:
    cloud, one = Cloud([REFUSED]), ended(State.RESTORED, Phase.ACCEPTED, accepted=True)
    cloud.play(record([one]))
    assert (one.unwritten, one.error, one.state) == (True, None, State.RESTORED)
    assert one.notes == ["the mark 'restored' could not be written: no"]


def test_a_disk_without_a_server_whose_end_cannot_be_written_tells_what_that_means() -> None:
    """Nothing comes after it that could write the mark, so the operator has to know."""
    cloud, one = Cloud([REFUSED]), ended(State.RESTORED, Phase.ACCEPTED, accepted=True)
    cloud.play(record([one], closing=True))
    assert one.error is not None
    assert (one.error.kind, one.state) == (Failure.REFUSED, State.RESTORED)
    assert f"disk {ROOT} is restored" in one.error.message
    assert "the next run would restore it again: no" in one.error.message
    failed = Cloud([REFUSED]), ended(State.FAILED, Phase.ACCEPTED, accepted=True, error=LOST)
    failed[0].play(record([failed[1]], closing=True))
    assert failed[1].error == LOST
