# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts of a recovery in a cloud that answers anything: no false success, no false `changed`, nothing done twice.

Commands are answered by their type, so the order in which a script asks is its own business. Most answers are those of
a sane cloud, so that the scripts come far; the others are anything of the right type, also the impossible.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.hwcloud.recovery.plugins.module_utils._restore import report
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.batch import Batch
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.commands import (
    Attach,
    ConfirmOwner,
    Detach,
    Look,
    RestoreDisk,
    RestoreServer,
    StartServer,
    StopServer,
    Thing,
    WriteMarks,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.hss import digests
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import Phase, Standing
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import (
    Accepted,
    Attachment,
    Disk,
    ErrorInfo,
    Failure,
    Job,
    JobState,
    LogRecord,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import Restore, Rules, Tally
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.planning import Plan
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.units import divide
from builders import (
    DATA,
    LONE,
    NOW,
    ROOT,
    SERVER,
    attachment,
    backup,
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
from odd import oddities

SOURCE = {backup(volume_id).id: volume_id for volume_id in (ROOT, DATA, LONE)}
MOST_TURNS = 20_000
SHORT = Rules(
    wait_interval_seconds=10.0,
    wait_timeout_seconds=400.0,
    step_timeout_seconds=200.0,
    stop_timeout_seconds=100.0,
    hss_silence_seconds=60.0,
)
DISK_STATUSES = ("available", "in-use", "restoring-backup", "error", "error_restoring", "detaching", "attaching", "new")
LOG_STATUSES = ("success", "failed", "skipped", "timeout", "running", "waiting", "SUCCESS", "done", "")


@dataclass
class OddCloud:
    """What it says, and what it has said that a run may believe."""

    dice: random.Random
    oddness: float
    disks: dict[str, Disk]
    ids: int = 0
    running: bool = True
    recording: str = ""
    owner_ok: dict[str, bool] = field(default_factory=dict)
    said_success: set[str] = field(default_factory=set)
    """Disks and servers of which an answer has shown that their restore ended well."""
    taken: set[str] = field(default_factory=set)
    """Disks and servers whose restore was accepted, or may have been."""
    attached: set[str] = field(default_factory=set)
    shown: dict[str, Disk] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def answer(self, command: Any) -> Any:
        handler = _ANSWERS.get(type(command))
        return handler(self, command) if handler else None

    def _odd(self) -> bool:
        return self.dice.random() < self.oddness

    def _failure(self) -> ErrorInfo:
        kind = self.dice.choice(list(Failure))
        later = self.dice.choice([None, 0.0, 7.0, 3600.0])
        return ErrorInfo(kind, "odd", self.dice.choice(["", "Ecs.0111", "Ecs.0057"]), 400, "r", "look", later)

    # looks

    def look(self, command: Look) -> Any:
        if self._odd() and self._odd():
            return self._failure()
        found = _LOOKS[command.thing](self, command.id)
        if command.thing is Thing.DISK:
            self.shown[command.id] = found
        return found

    def _disk(self, volume_id: str) -> Disk:
        found = self.disks[volume_id]
        if found.status == "restoring-backup" and self.dice.random() < 0.5:
            found = self.disks[volume_id] = free(volume_id)
        if self._odd():
            places = self.dice.choice([(), (attachment(volume_id),), (Attachment(SERVER, "at-new", "/dev/vdz"),)])
            found = replace(found, status=self.dice.choice(DISK_STATUSES), attachments=places)
        if found.status == "restoring-backup":
            self.taken.add(volume_id)
        elif found.status in ("available", "in-use") and volume_id in self.taken:
            self.said_success.add(volume_id)  # without a job the states tell
        return found

    def _server(self, _server_id: str) -> Any:
        status = "ACTIVE" if self.running else "SHUTOFF"
        if self._odd():
            status = self.dice.choice(["ACTIVE", "SHUTOFF", "ERROR", "REBOOT", "DELETED"])
        return server(
            status=status, task_state=self.dice.choice([None, None, "powering-off"]), locked=self._odd() and self._odd()
        )

    def _job(self, job_id: str) -> Job:
        state = self.dice.choice([JobState.RUNNING, JobState.SUCCEEDED, JobState.SUCCEEDED])
        if self._odd():
            state = self.dice.choice(list(JobState))
        return Job(job_id, state, error_code="Ecs.0226", fail_reason="odd")

    def _restore_job(self, job_id: str) -> Job:
        volume_id = job_id.removeprefix("job-").partition("#")[0]
        ended = self.disks[volume_id].status != "restoring-backup"
        job = self._job(job_id) if self._odd() else Job(job_id, JobState.SUCCEEDED if ended else JobState.RUNNING)
        if job.state is JobState.SUCCEEDED:
            self.said_success.add(volume_id)
        return job

    def _point(self, point_id: str) -> Any:
        status = "restoring" if self.disks[SOURCE[point_id]].status == "restoring-backup" else "available"
        return backup(
            SOURCE[point_id],
            status=self.dice.choice(["available", "restoring", "error", "x"]) if self._odd() else status,
        )

    def _hss_point(self, _point_id: str) -> Any:
        status = "restoring" if self.recording == "running" else "available"
        return hss_backup(
            status=self.dice.choice(["available", "restoring", "waiting_restore", "error"]) if self._odd() else status
        )

    def _log(self, _nothing: str) -> list[LogRecord]:
        old = LogRecord(SERVER, hss_backup().name, "success", "a while ago")
        found = [old]
        if self.recording:
            self.recording = self.dice.choice(["running", self.recording, "success"])
            found.append(LogRecord(SERVER, hss_backup().name, self.recording, "now"))
        if self._odd():
            name, host = self.dice.choice([hss_backup().name, "x"]), self.dice.choice([SERVER, "other"])
            found.append(LogRecord(host, name, self.dice.choice(LOG_STATUSES), self.dice.choice(["now", "then", ""])))
        if any(r.host_id == SERVER and r.status == "success" for r in found[1:]):
            self.said_success.add(SERVER)
        return found

    # orders

    def order(self, command: Any) -> Accepted | ErrorInfo:
        self._check(command)
        done = not (self._odd() and self._odd())
        if done:
            _EFFECTS[type(command)](self, command)
        self.ids += 1
        volume_id = getattr(command, "volume_id", "x")
        answer: Accepted | ErrorInfo = (
            Accepted(f"job-{volume_id}#{self.ids}") if done and not self._odd() else self._failure()
        )
        if isinstance(command, RestoreDisk | RestoreServer) and (
            isinstance(answer, Accepted) or answer.kind is Failure.LOST
        ):
            self.taken.add(volume_id if isinstance(command, RestoreDisk) else SERVER)
        return answer

    def _check(self, command: Any) -> None:
        """The rules of the house, whatever the cloud says."""
        if isinstance(command, RestoreDisk):
            seen = self.shown.get(command.volume_id)
            if seen is None or not seen.free:
                self.wrong.append(f"submitted while the disk is {seen}")
            if command.volume_id in self.attached:
                self.wrong.append("submitted after it was attached again")
            if SOURCE[command.backup_id] != command.volume_id:
                self.wrong.append("submitted from the backup of another disk")
        if isinstance(command, RestoreDisk | RestoreServer) and not self._owned(command):
            self.wrong.append("submitted although the owner could not be read back as our own")
        if isinstance(command, Attach):
            self.attached.add(command.volume_id)

    def _owned(self, command: RestoreDisk | RestoreServer) -> bool:
        """Disks of one server share their marks: what one of them was told is not what another one knew."""
        if isinstance(command, RestoreDisk) and command.volume_id != LONE:
            return True
        holder = f"disk:{LONE}" if isinstance(command, RestoreDisk) else f"server:{SERVER}"
        return self.owner_ok.get(holder, False)

    def _detach(self, command: Detach) -> None:
        self.disks[command.volume_id] = free(command.volume_id)

    def _attach(self, command: Attach) -> None:
        self.disks[command.volume_id] = disk(
            command.volume_id, attachments=(Attachment(SERVER, "at-new", command.device),)
        )

    def _restore_disk(self, command: RestoreDisk) -> None:
        self.disks[command.volume_id] = free(command.volume_id, status="restoring-backup")

    def _restore_server(self, _command: RestoreServer) -> None:
        self.recording = "waiting"

    def _power(self, command: StopServer | StartServer) -> None:
        self.running = isinstance(command, StartServer)

    # marks

    def write(self, _command: WriteMarks) -> ErrorInfo | None:
        return self._failure() if self._odd() and self._odd() else None

    def confirm(self, command: ConfirmOwner) -> ErrorInfo | None:
        failure = self._failure() if self._odd() and self._odd() else None
        self.owner_ok[str(command.holder)] = failure is None
        return failure


_LOOKS: Mapping[Thing, Callable[[OddCloud, str], Any]] = {
    Thing.DISK: OddCloud._disk,
    Thing.SERVER: OddCloud._server,
    Thing.VBS_BACKUP: OddCloud._point,
    Thing.VBS_JOB: OddCloud._restore_job,
    Thing.ECS_JOB: OddCloud._job,
    Thing.HSS_BACKUP: OddCloud._hss_point,
    Thing.HSS_LOG: OddCloud._log,
}
_EFFECTS: Mapping[type, Callable[[OddCloud, Any], None]] = {
    StopServer: OddCloud._power,
    StartServer: OddCloud._power,
    Detach: OddCloud._detach,
    Attach: OddCloud._attach,
    RestoreDisk: OddCloud._restore_disk,
    RestoreServer: OddCloud._restore_server,
}
_ANSWERS: Mapping[type, Callable[[OddCloud, Any], Any]] = {
    Look: OddCloud.look,
    WriteMarks: OddCloud.write,
    ConfirmOwner: OddCloud.confirm,
    **dict.fromkeys(_EFFECTS, OddCloud.order),
}


def play(cloud: OddCloud, found: Plan, rules: Rules) -> tuple[list[Restore], dict[str, Any]]:
    """Carry a plan out, time passing in pauses only."""
    works = divide(found, (), Tally())
    batch = Batch([work.parts(rules, 2) for work in works], width=2)
    now = NOW
    for _turn in range(MOST_TURNS):
        while asked := batch.next(now):
            for ticket, command in asked:
                batch.apply(ticket, cloud.answer(command))
        if batch.finished:
            restores = [restore for work in works for _target, unit in work.units for restore in unit.restores]
            return restores, report.result(found, works, ())
        wake = batch.wake_at()
        assert wake is not None, "everybody waits for somebody else"
        now = max(now, wake)
    raise AssertionError("it does not come to an end")


# -- what a run may begin with -----------------------------------------------------------------------------------------

PHASES = st.none() | st.sampled_from(Phase)
PLACES = ("as found", "detached", "restoring")


def _at(volume_id: str, place: str) -> Disk:
    shown = {"as found": disk(volume_id), "detached": free(volume_id)}
    return shown.get(place) or free(volume_id, status="restoring-backup")


@st.composite
def beginnings(draw: st.DrawFn) -> tuple[Plan, dict[str, Disk]]:
    """A server's two disks and one without a server, each perhaps begun by an earlier run, or a server for HSS."""
    job = f"job-{LONE}#0"
    phases = {volume_id: draw(PHASES) for volume_id in (ROOT, DATA, LONE)}
    disks = {v: _at(v, draw(st.sampled_from(PLACES))) if phases[v] else disk(v) for v in (ROOT, DATA, LONE)}
    if phases[LONE]:
        item = mark(phases[LONE], LONE, server_id="", device="", attachment_id="", job=draw(st.sampled_from(["", job])))
        disks[LONE] = replace(lone_marked(item), status=disks[LONE].status)
    marks = [(v, mark(phases[v], v, job=draw(st.sampled_from(["", f"job-{v}#0"])))) for v in (ROOT, DATA) if phases[v]]
    shown = survey(marked(*marks), *disks.values())
    return plan(vbs_wish(), vbs_wish("lone", LONE, wave=draw(st.integers(1, 2))), shown=shown), disks


@st.composite
def beginnings_of_a_server(draw: st.DrawFn) -> tuple[Plan, dict[str, Disk]]:
    phase = draw(PHASES)
    before = ".".join(
        digests([LogRecord(SERVER, hss_backup().name, "success", "a while ago")], SERVER, hss_backup().name)
    )
    item = mark(phase or Phase.RETURNED, backup_id=hss_backup().id, job=draw(st.sampled_from([before, "+"])))
    return plan(hss_wish(power_on=draw(st.none() | st.booleans())), shown=survey(hss_marked(item))), {
        v: disk(v) for v in (ROOT, DATA)
    }


ODDNESS = st.sampled_from([0.0, 0.05, 0.2, 0.5, 0.9])
RULES = st.builds(
    replace,
    st.just(SHORT),
    wait=st.booleans(),
    stop_servers=st.sampled_from(["soft", "soft_then_hard", "hard", "refuse"]),
    start_servers=st.booleans(),
    resubmit_unknown=st.sampled_from([frozenset(), frozenset({"db01"})]),
)


def complaints(cloud: OddCloud, restore: Restore, began_as: Standing) -> list[str]:
    """What a result says although nothing that was seen allows it."""
    thing = restore.volume_id or restore.server_id
    begun = began_as is not Standing.FRESH
    state = restore.state.value
    checks = {
        "restored, and no answer said so": state != "restored"
        or thing in cloud.said_success
        or began_as is Standing.ATTACH,
        "changed, and nothing was accepted": not restore.changed or thing in cloud.taken or begun,
        "no reason": state in ("restored", "submitted") or restore.error is not None,
        "no remedy": restore.error is None or bool(restore.error.remedy),
        "no handle": begun or state not in ("unknown", "timed_out", "submitted") or restore.handle is not None,
        "never ended": state != "planned" or not SHORT.wait,
    }
    return [f"{restore.name} ({began_as.name}): {text}: {restore.error}" for text, fine in checks.items() if not fine]


def judged(beginning: tuple[Plan, dict[str, Disk]], rules: Rules, oddness: float, seed: int) -> list[str]:
    found, disks = beginning
    standings = {(r.case.volume_id or r.case.server_id): r.case.standing for r in found.restores}
    cloud = OddCloud(random.Random(seed), oddness, dict(disks))
    restores, result = play(cloud, found, rules)
    ends = [
        text
        for restore in restores
        for text in complaints(cloud, restore, standings[restore.volume_id or restore.server_id])
    ]
    return [*cloud.wrong, *ends, *oddities(result)]


@given(beginnings(), RULES, ODDNESS, st.integers(0, 2**32))
def test_disks_in_a_cloud_that_answers_anything(
    beginning: tuple[Plan, dict[str, Disk]], rules: Rules, oddness: float, seed: int
) -> None:
    assert judged(beginning, rules, oddness, seed) == []


@given(beginnings_of_a_server(), RULES, ODDNESS, st.integers(0, 2**32))
def test_a_server_in_a_cloud_that_answers_anything(
    beginning: tuple[Plan, dict[str, Disk]], rules: Rules, oddness: float, seed: int
) -> None:
    assert judged(beginning, rules, oddness, seed) == []


@given(st.integers(0, 2**32))
def test_a_sane_cloud_brings_everything_back(seed: int) -> None:
    """Else the tests above would judge runs that never come far."""
    found = plan(vbs_wish(), vbs_wish("lone", LONE), shown=survey())
    cloud = OddCloud(random.Random(seed), 0.0, {volume_id: disk(volume_id) for volume_id in (ROOT, DATA, LONE)})
    restores, result = play(cloud, found, SHORT)
    assert [restore.state.value for restore in restores] == ["restored"] * 3
    assert result["changed"]
    assert cloud.running
