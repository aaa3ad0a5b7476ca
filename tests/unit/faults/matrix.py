# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table: what goes wrong, at which call, and how a recovery must end then.

One recovery restores `db01` (a disk of a running server), `archive` (a disk without one) and `files01` (a server, by
HSS). PLACES lists its calls in order. FAULTS are sorted by what they prove; a place says for each sort how it ends:

    RETRIED   all restored, each disk once, as what went wrong was asked again; the operator need not even know
    UNHURT    the same, and nothing had to be asked again: the cloud's way is understood
    ADOPTED   the same, and the order that went wrong was not sent again, but found to be done
    STOPPED   ended before anything was changed; what the cloud said is told
    BACK      this target failed, and its disk and server are as they were found
    OFF       its disk is restored or not certain, and stays off, or its server does; reported, never in silence
    UNKNOWN   whether it was done cannot be known; a handle and the next step are told

After each of them the same playbook, run again without a fault, ends everything well, unless `person` is set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import LONE_DISK_KEY, Mark, Phase, encode
from simulation.cases import backup_id, disk_id, server_id
from simulation.world import START, World

SAYS = "the cloud says so"
OURS = "redirects are not followed|does not exist|no usable restore point|make a new plan|does not name the backups"
CAUSES = f"{SAYS}|{OURS}"
"""What a clear no becomes in the result: the cloud's words, or our own where they say more."""
EXPIRED_TOKEN = {"error_msg": "The token must be updated", "error_code": "APIGW.0307"}


def refusal(status: int, code: str = "Test.0001", message: str = SAYS) -> dict[str, Any]:
    return {"action": {"status": status, "json": {"error": {"code": code, "message": message}}}}


# -- what goes wrong, by what it proves (a rule of the simulator each) -------------------------------------------------

FAULTS: dict[str, dict[str, dict[str, Any]]] = {
    # The cloud understood and said no. Nothing was accepted. (The statuses of the two seeds that mean it.)
    "no": {
        "400": refusal(400),
        "403": refusal(403),
        "404": refusal(404),
        "405": refusal(405),
        "406": refusal(406),
        "407": refusal(407),
        "409": refusal(409),
        "501": refusal(501),
        "redirect": {"action": {"redirect": True}},
    },
    # Nothing was accepted, and it may be asked again.
    "later": {
        "429": {"action": {"throttle": True}},
        "429 Retry-After": {"action": {"throttle": {"retry_after": 7}}},
        "202 Common.0024": {"action": {"busy": True}},
        "501 Ecs.0603": refusal(501, "Ecs.0603"),
    },
    # No answer, or none that says anything, and the request never reached the service. The client cannot know that.
    "gone": {
        "dropped": {"action": {"drop": True}},
        "408": refusal(408),
        "500": refusal(500),
        "502 HTML": {"action": {"raw": "html"}},
        "503": refusal(503),
        "504": {"action": {"status": 504, "json": {"error_code": "APIGW.0201", "error_msg": "backend timeout"}}},
        "garbage": {"action": {"raw": "garbage"}},
        "text": {"action": {"body": "ok"}},
    },
    # The same, but it was carried out.
    "done": {
        "dropped": {"phase": "after", "action": {"drop": True}},
        "500": {"phase": "after", **refusal(500)},
        "502 HTML": {"phase": "after", "action": {"raw": "html"}},
        "504": {"phase": "after", "action": {"status": 504, "body": "upstream request timeout"}},
        "garbage": {"phase": "after", "action": {"raw": "garbage"}},
        "truncated": {"phase": "after", "action": {"raw": "truncated"}},
        "list": {"phase": "after", "action": {"json": [{}]}},
    },
    # A success that says nothing: 200 and an empty object.
    "hollow": {"200 {}": {"action": {"json": {}}}},
    # The token's age, in its four disguises (IAM, EVS and VBS API references).
    "expired": {
        "401 APIGW.0307": {"action": {"status": 401, "json": EXPIRED_TOKEN}},
        "400 Common.0013": refusal(400, "Common.0013", "invalid token"),
        "401 AutoBackup.0003": refusal(401, "AutoBackup.0003", "token expired"),
        "401": {"action": {"status": 401, "body": "Unauthorized"}},
    },
}


# -- what is called: service, method, end of the path (a regular expression) ------------------------------------------

_LOGIN, _LISTS, _POINTS = "iam POST tokens", "evs GET cloudvolumes/detail", "vbs GET backups/detail"
_SERVERS, _SERVER, _MARK = "ecs GET cloudservers/detail", "ecs GET cloudservers/a0.*01", "ecs POST a0.*01/metadata"
_DISK, _POWER, JOB = "evs GET volumes/d0.*02", "ecs POST cloudservers/action", "ecs GET jobs/.*"
_POINT, _RESTORE_JOB = "vbs GET backups/b0.*21", "vbs GET jobs/.*"
_DETACH, _ATTACH, _SUBMIT = "ecs DELETE detachvolume/d0.*02", "ecs POST attachvolume", "vbs POST b0.*21/restore"
_DISK_A, _MARK_A, _SUBMIT_A = "evs GET volumes/d0.*03", "evs POST d0.*03/metadata", "vbs POST b0.*31/restore"
_POINTS_F, _PARTS, _LOG = "hss GET backup/a0.*", "hss GET detail", "hss GET operation-logs"
_SERVER_F, _MARK_F, _SUBMIT_F = "ecs GET cloudservers/a0.*02", "ecs POST a0.*02/metadata", "hss POST restore"

ADOPTABLE = (_SUBMIT, _SUBMIT_A)
"""The result says of these that they were adopted. By HSS each restore is looked for, answered or not."""
ORDERS = (_POWER, _DETACH, _ATTACH, *ADOPTABLE, _SUBMIT_F)


def order_of(calls: tuple[str, ...]) -> str:
    """The order that a fault of the last call is about: the call itself, or what its job was to do."""
    about = calls[-2:] if calls[-1:] == (JOB,) else calls[-1:]
    return about[0] if about and about[0] in ORDERS else ""


ABOUT: dict[str, str] = {
    # how a message names what went wrong, be it the call, or what the call was to bring about
    _LOGIN: "logging in as operator",
    _LISTS: "looking at 2 disks",
    _SERVERS: "listing the servers of the project",
    _POINTS: r"listing the backups of disk d0\S+02",
    _POINT: r"backup b0\S+21",
    _POINTS_F: r"server a0\S+02",
    _PARTS: r"backup e0\S+2[23]",  # where the newest one is missing the next older one is spoken of
    _SERVER: r"server a0\S+01",
    _MARK: r"(metadata|owner) of server a0\S+01",
    _DISK: r"disk d0\S+02",
    _POWER: r"(stopping|starting) server a0\S+01|server a0\S+01 is (stopped|running)",
    _DETACH: r"detaching disk d0\S+02|disk d0\S+02 is detached",
    _ATTACH: r"attaching disk d0\S+02|disk d0\S+02 is attached",
    _SUBMIT: r"restoring disk d0\S+02 from backup b0\S+21",
    _RESTORE_JOB: "looking at job .* of VBS",
    _DISK_A: r"disk d0\S+03",
    _MARK_A: r"(metadata|owner) of disk d0\S+03",
    _SUBMIT_A: r"restoring disk d0\S+03 from backup b0\S+31",
    _LOG: r"task list of HSS|restore of server a0\S+02 did not end",
    _SERVER_F: r"server a0\S+02",
    _MARK_F: r"(metadata|owner) of server a0\S+02",
    _SUBMIT_F: r"restor(ing|e of) server a0\S+02",
}


# -- how it ends -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ends:
    """How the target that the fault meets ends; the others are restored.

    `says`: what the operator is told of the state and the next step (a regular expression). A failure has to say it.
    """

    name: str
    state: str = "restored"
    failed: bool = True
    as_found: bool = False
    says: str = ""
    person: bool = False
    """A person has to decide: the next run of the same playbook does not end well."""
    again: bool = False
    """The next run restores the disk once more. It may: nothing proves that the restore was done, and the disk was out
    of use all the time."""


NEXT = (
    "check|give the user the right|log in|try again|wait a minute|run the same playbook again|look at|make a new plan"
    "|set the right endpoint|put user and password|does not offer this function|explicit mappings"
    "|switch the disaster recovery"
)
"""What to do, in the words of our remedies."""

RETRIED = Ends("RETRIED", failed=False, as_found=True)
UNHURT = Ends("UNHURT", failed=False, as_found=True)
ADOPTED = Ends("ADOPTED", failed=False, as_found=True)
STOPPED = Ends("STOPPED", "stopped", as_found=True, says=NEXT)
BACK = Ends("BACK", "failed", as_found=True, says=rf"1 failed\. .*({NEXT})")
OFF = Ends("OFF", "restored", says=rf"1 restored\. .*({NEXT}).*(the server stays off: .*could not be attached again: )")
UNSTARTED = Ends("OFF", "restored", says=rf"1 restored\. .*({NEXT}).*the server could not be started: ")
UNSEEN = replace(UNSTARTED, as_found=True)
"""The server runs, but that could not be seen."""
UNWRITTEN = Ends(
    "OFF", "restored", as_found=True, says="that could not be written down, so .*mark .* could not be written"
)
"""It is restored, but who runs the playbook again would restore it once more, or, months later, believe that restore
to be the one that is wanted: so it is told as a failure."""
UNCLOSED = Ends("OFF", "restored", as_found=True, says="still counts as unfinished")
"""All is as it should be, but the next incident would be taken for the end of this one."""
DOUBTFUL = Ends("OFF", "unknown", says=r"1 unknown\. .*the server stays off: .*its data is not certain")
UNKNOWN = Ends("UNKNOWN", "unknown", as_found=True, says=r"1 unknown\. .*wait for it again with the handle")
UNTRACED = replace(UNKNOWN, says=r"1 unknown\. .*show no trace of a restore.*Look at disk and backup")
ASK = Ends("UNKNOWN", "unknown", as_found=True, person=True, says="whether it was done is unknown.*resubmit_unknown")

_BLIND = {"403": UNKNOWN, "407": UNKNOWN}
"""Who may not look any more cannot say how it ends."""
_DENIED = {"403": DOUBTFUL, "407": DOUBTFUL}
"""The same where a disk stays off for it."""
_UNLISTED = {name: Ends("OFF", "unknown", says=rf"1 unknown\. .*({NEXT})") for name in _DENIED}
"""The server is off while HSS restores it."""
_OLD = {"expired": STOPPED}
"""A login has no older login to renew."""
_NEVER = {"gone": ASK}
"""HSS gives no job: an order without an answer is never given again unasked."""


@dataclass(frozen=True)
class Place:
    """A call of a recovery, told by the calls that lead to it: each is the first of its kind after the one before.

    `no` and `hollow` say how these sorts of faults end here. The other sorts are survived almost everywhere (RETRIED,
    or ADOPTED: an order that is `done`); `differs` names the exceptions, by sort or by single fault.
    """

    name: str
    target: str
    calls: tuple[str, ...]
    no: Ends
    hollow: Ends
    differs: Mapping[str, Ends] = field(default_factory=dict)

    def ends(self, sort: str, fault: str) -> Ends:
        done = ADOPTED if self.calls[-1] in ORDERS else RETRIED
        usual = {"no": self.no, "hollow": self.hollow, "done": done, "clear": UNHURT}.get(sort, RETRIED)
        return self.differs.get(fault) or self.differs.get(sort) or usual

    @property
    def in_plan(self) -> bool:
        return self.name.startswith("plan: ")


# fmt: off
PLACES: tuple[Place, ...] = (
    # what happens, to, call (after which others), ends if `no` for once, ends if `hollow` for once, exceptions
    Place("plan: log in", "", (_LOGIN,), STOPPED, STOPPED, _OLD),
    Place("plan: disks", "", (_LISTS,), STOPPED, STOPPED),
    Place("plan: servers", "", (_SERVERS,), STOPPED, STOPPED),
    Place("plan: points of a disk", "", (_POINTS,), STOPPED, STOPPED),
    Place("plan: points of server", "", (_POINTS_F,), STOPPED, STOPPED),
    Place("plan: parts of a point", "", (_PARTS,), STOPPED, STOPPED),
    Place("check: log in", "", (_LOGIN,), STOPPED, STOPPED, _OLD),
    Place("check: disks", "", (_LISTS,), STOPPED, STOPPED),
    Place("check: servers", "", (_SERVERS,), STOPPED, STOPPED),
    Place("check: a point", "", (_POINT,), STOPPED, STOPPED),
    Place("announce the run", "", (_MARK,), STOPPED, RETRIED),
    Place("see it announced", "", (_MARK, _SERVER), STOPPED, STOPPED, {"404": RETRIED}),

    Place("look at the server", "db01", (_MARK, _SERVER, _SERVER), BACK, BACK),
    Place("look at the disk", "db01", (_MARK, _DISK), BACK, BACK),
    Place("mark it submitting", "db01", (_MARK, _DISK, _MARK), BACK, BACK),
    Place("read the owner back", "db01", (_MARK, _DISK, _MARK, _SERVER), BACK, BACK),
    Place("stop", "db01", (_POWER,), BACK, RETRIED),
    Place("see it stopped", "db01", (_POWER, _SERVER), BACK, BACK),
    Place("detach", "db01", (_DETACH,), RETRIED, RETRIED),
    Place("see it detached", "db01", (_DETACH, _DISK), BACK, BACK),
    Place("read the owner again", "db01", (_DETACH, _DISK, _SERVER), BACK, BACK),
    Place("restore the disk", "db01", (_SUBMIT,), BACK, RETRIED),
    Place("mark it accepted", "db01", (_SUBMIT, _MARK), RETRIED, RETRIED),
    Place("see it restoring", "db01", (_SUBMIT, _MARK, _DISK), RETRIED, RETRIED),
    Place("job of the restore", "db01", (_SUBMIT, _RESTORE_JOB), RETRIED, RETRIED, _DENIED),
    Place("mark it restored", "db01", (_SUBMIT, _RESTORE_JOB, _MARK), RETRIED, RETRIED),
    Place("attach", "db01", (_ATTACH,), RETRIED, RETRIED),
    Place("see it attached", "db01", (_ATTACH, _DISK), OFF, OFF),
    Place("start", "db01", (_ATTACH, _POWER), RETRIED, RETRIED),
    Place("see it running", "db01", (_ATTACH, _POWER, _SERVER), UNSEEN, UNSEEN),
    Place("renew the lease", "db01", (_ATTACH, _POWER, _SERVER, _MARK), RETRIED, RETRIED),
    Place("mark it finished", "db01", (_ATTACH, _POWER, _MARK, _SERVER, _MARK), UNCLOSED, RETRIED),

    Place("look at the lone disk", "archive", (_DISK_A,), BACK, BACK),
    Place("mark it submitting", "archive", (_MARK_A,), BACK, BACK),
    Place("read the owner back", "archive", (_MARK_A, _DISK_A), BACK, BACK),
    Place("restore the lone disk", "archive", (_SUBMIT_A,), BACK, RETRIED),
    Place("mark it accepted", "archive", (_SUBMIT_A, _MARK_A), RETRIED, RETRIED),
    Place("see it restoring", "archive", (_SUBMIT_A, _MARK_A, _DISK_A), RETRIED, RETRIED),
    Place("job of the restore", "archive", (_SUBMIT_A, _RESTORE_JOB), RETRIED, RETRIED, _BLIND),
    Place("mark it finished", "archive", (_SUBMIT_A, _RESTORE_JOB, _MARK_A), UNWRITTEN, RETRIED),

    Place("parts of the point", "files01", (_PARTS,), BACK, BACK),
    Place("the list before", "files01", (_LOG,), BACK, BACK),
    Place("look at the server", "files01", (_LOG, _SERVER_F), BACK, BACK),
    Place("mark it submitting", "files01", (_LOG, _MARK_F), BACK, BACK),
    Place("read the owner back", "files01", (_LOG, _MARK_F, _SERVER_F), BACK, BACK),
    Place("restore the server", "files01", (_SUBMIT_F,), BACK, ASK, _NEVER),
    Place("mark it accepted", "files01", (_SUBMIT_F, _MARK_F), RETRIED, RETRIED),
    Place("the list", "files01", (_SUBMIT_F, _LOG), RETRIED, RETRIED, _UNLISTED),
    Place("mark it restored", "files01", (_SUBMIT_F, _MARK_F, _MARK_F), RETRIED, RETRIED),
    Place("mark it finished", "files01", (_SUBMIT_F, _MARK_F, _MARK_F, _MARK_F), UNWRITTEN, RETRIED),
    Place("see what is left", "files01", (_SUBMIT_F, _SERVER_F), RETRIED, RETRIED),
)
# fmt: on


# -- the same for ever: until the run has given up, the fault stays ----------------------------------------------------

HELD = Ends("OFF", "failed", says=rf"1 failed\. .*({NEXT}).*the server (stays off|could not be started): ")
"""Nothing was submitted, but what was stopped or detached for it could not be brought back either."""
LATE = Ends("OFF", "timed_out", says="it may still run.* Wait again with the handle.*the server stays off: ")
LATE_LONE = Ends("UNKNOWN", "timed_out", as_found=True, says="it may still run.* Wait again with the handle")
UNPROVEN = replace(OFF, again=True)
"""Its job was never written down, so only this run knew that it is restored."""
UNPROVEN_LONE = replace(UNWRITTEN, again=True)

LASTING_FAULTS = {"no": refusal(400), "later": FAULTS["later"]["429"], "gone": refusal(503)} | {
    "done": {"phase": "after", "action": {"drop": True}}
}

# fmt: off
LASTING: tuple[tuple[str, str, Ends, Ends, Ends, Ends], ...] = (
    # to, what happens, ends if `no` for ever, if `later`, if `gone`, if `done`
    ("", "plan: disks", STOPPED, STOPPED, STOPPED, STOPPED),
    ("", "plan: points of a disk", STOPPED, STOPPED, STOPPED, STOPPED),
    ("", "check: log in", STOPPED, STOPPED, STOPPED, STOPPED),
    ("", "check: servers", STOPPED, STOPPED, STOPPED, STOPPED),
    ("", "announce the run", STOPPED, STOPPED, STOPPED, STOPPED),
    ("", "see it announced", STOPPED, STOPPED, STOPPED, STOPPED),
    ("db01", "look at the server", BACK, BACK, BACK, BACK),
    ("db01", "look at the disk", BACK, BACK, BACK, BACK),
    ("db01", "mark it submitting", BACK, BACK, BACK, BACK),
    ("db01", "read the owner back", BACK, BACK, BACK, BACK),
    ("db01", "stop", BACK, BACK, BACK, ADOPTED),
    ("db01", "see it stopped", HELD, HELD, HELD, HELD),
    ("db01", "detach", BACK, BACK, BACK, ADOPTED),
    ("db01", "see it detached", HELD, HELD, HELD, HELD),
    ("db01", "read the owner again", BACK, HELD, BACK, BACK),
    ("db01", "restore the disk", BACK, BACK, DOUBTFUL, ADOPTED),
    ("db01", "mark it accepted", UNPROVEN, UNPROVEN, UNPROVEN, OFF),
    ("db01", "see it restoring", LATE, LATE, LATE, LATE),
    ("db01", "job of the restore", RETRIED, LATE, LATE, LATE),
    ("db01", "mark it restored", OFF, OFF, OFF, OFF),
    ("db01", "attach", OFF, OFF, OFF, ADOPTED),
    ("db01", "see it attached", OFF, OFF, OFF, OFF),
    ("db01", "start", UNSTARTED, UNSTARTED, UNSTARTED, ADOPTED),
    ("db01", "see it running", UNSEEN, UNSEEN, UNSEEN, UNSEEN),
    ("db01", "mark it finished", UNCLOSED, UNCLOSED, UNCLOSED, UNCLOSED),
    ("archive", "mark it submitting", STOPPED, STOPPED, STOPPED, STOPPED),
    ("archive", "restore the lone disk", BACK, BACK, UNTRACED, ADOPTED),
    ("archive", "mark it accepted", UNPROVEN_LONE, UNPROVEN_LONE, UNPROVEN_LONE, UNWRITTEN),
    ("archive", "job of the restore", RETRIED, LATE_LONE, LATE_LONE, LATE_LONE),
    ("archive", "mark it finished", UNWRITTEN, UNWRITTEN, UNWRITTEN, UNWRITTEN),
    ("files01", "parts of the point", BACK, BACK, BACK, BACK),
    ("files01", "the list before", BACK, BACK, BACK, BACK),
    ("files01", "mark it submitting", BACK, BACK, BACK, BACK),
    ("files01", "restore the server", BACK, BACK, ASK, ADOPTED),
    ("files01", "mark it accepted", UNWRITTEN, UNWRITTEN, UNWRITTEN, UNWRITTEN),
    ("files01", "the list", LATE_LONE, LATE_LONE, LATE_LONE, LATE_LONE),
)
# fmt: on


# -- what is not one answer but the cloud's way, or one answer with a meaning of its own -------------------------------


def _as_is(_seen: World) -> None:
    """Nothing has happened before."""


def _at_another_device(seen: World) -> None:
    """/dev/vdb is free, and the disk is at /dev/vdd."""
    seen.act("detach", volume_id=disk_id(2))
    seen.act("attach", volume_id=disk_id(2), server_id=server_id(1), device="/dev/vdd")


def _stale_mark(phase: Phase) -> Callable[[World], None]:
    """The backup holds the disk's metadata of its time, with the mark that an older run had left there."""

    def put(seen: World) -> None:
        mark = Mark(phase, "last-year", "0123456789ab", backup_id(3, 3), job="4010b39b5281d3590152874bfa3b1604")
        text = encode(replace(mark, at=START - 100_000))
        backup = seen.cloud.world.vbs_backups[backup_id(3)]
        backup.spec = replace(backup.spec, metadata={LONE_DISK_KEY: text})

    return put


@dataclass(frozen=True)
class Row:
    """`rule` meets the last of `calls`, as in a Place."""

    name: str
    target: str
    ends: Ends
    behaviours: Mapping[str, Any] = field(default_factory=dict)
    calls: tuple[str, ...] = ()
    rule: Mapping[str, Any] = field(default_factory=dict)
    before: Callable[[World], None] = _as_is


def _job(status: str, **more: Any) -> dict[str, Any]:
    return {"action": {"json": {"job_id": "4010b39b5281d3590152874bfa3b1604", "status": status, **more}}}


_D2, _S2 = disk_id(2), server_id(2)
_WAIT = (_SUBMIT, _RESTORE_JOB)
_BAD_PART = {"status": "FAIL", "error_code": "VolumeBackup.0064", "fail_reason": "fsp cinder return backup status"}
_STUCK = replace(LATE, person=True)
_STUCK_SERVER = replace(LATE_LONE, name="OFF", as_found=False, person=True)
_SILENT = replace(ASK, person=False)
_FAILED = Ends("OFF", "failed", says="VolumeBackup.0200 job .* failed: .*restore it again.*the server stays off: ")
_BELIED = replace(_FAILED, again=True)
"""It was restored, but its job says no, and that is what counts."""
_MOVED = replace(RETRIED, as_found=False, says="/dev/vdb instead of /dev/vdd", person=True)


def _after(code: str) -> dict[str, Any]:
    """It was done, and the answer says that it is so already."""
    return {"phase": "after", **refusal(400, code)}


def _task_ends(how: str) -> Ends:
    says = f"reports the restore as {how}: .*run the same playbook again"
    return Ends("OFF", "failed", as_found=how == "skipped", says=says)


def _no_way(says: str) -> Ends:
    return replace(STOPPED, says=says, person=True)


_STOP_JOB, _DETACH_JOB, _ATTACH_JOB, _START_JOB = (_POWER, JOB), (_DETACH, JOB), (_ATTACH, JOB), (_ATTACH, _POWER, JOB)
_GONE = {
    "404": {**refusal(404), "times": None},
    "Common.0011": {**refusal(400, "Common.0011", "failed to query the task"), "times": None},
}


def _undone(order: str, how: str) -> Mapping[str, Any]:
    return {"ecs_job_outcome": {order: [how]}}


def _late(ends: Ends, what: str, **more: Any) -> Ends:
    """`what`: the goal, and the state that it stays in."""
    return replace(ends, says=f"still not so that {what}.*run the same playbook again", **more)


# fmt: off
ROWS: tuple[Row, ...] = (
    # the job of a disk's restore (VBS)
    Row("job fails, the disk is available", "db01", _FAILED, {"restore_outcome": {_D2: ["fail_available"]}}),
    Row("job fails, the disk is broken", "db01", replace(_FAILED, says="delete", person=True),
        {"restore_outcome": {_D2: "fail_error_restoring"}}),
    Row("job is stuck", "db01", _STUCK, {"restore_outcome": {_D2: "stuck"}}),
    Row("job is slow", "db01", UNHURT, {"restore_outcome": {_D2: "slow"}}),
    Row("job with a status nobody knows, thrice", "db01", RETRIED, {}, _WAIT, {**_job("SUSPENDED"), "times": 3}),
    Row("job with that status for ever", "db01", LATE, {}, _WAIT, {**_job("SUSPENDED"), "times": None}),
    Row("job without a status", "db01", RETRIED, {}, _WAIT, {**_job(""), "times": 3}),
    Row("job is unknown (Common.0011)", "db01", RETRIED, {}, _WAIT,
        {**refusal(400, "common.0011", "failed to query the task"), "times": None}),
    Row("job succeeds, its part fails", "db01", replace(_BELIED, says="VolumeBackup.0064"), {}, _WAIT,
        _job("SUCCESS", sub_jobs=[_BAD_PART])),
    Row("job succeeds, its part in entities fails", "db01", replace(_BELIED, says="fsp cinder"), {}, _WAIT,
        _job("SUCCESS", entities={"sub_jobs": [_BAD_PART]})),
    *(Row(f"sub_jobs: {how}", "db01", UNHURT, {"sub_jobs": how})
      for how in ("list", "empty_string", "null", "missing", "entities")),
    Row("restore answered without a job id", "db01", ADOPTED, {}, (_SUBMIT,),
        {"phase": "after", "action": {"json": {"job_id": ""}}}),
    Row("restore answered with half an id", "db01", ADOPTED, {}, (_SUBMIT,),
        {"phase": "after", "action": {"json": {"job_id": "../cloudbackups"}}}),
    Row("restore answered with a long id", "db01", ADOPTED, {}, (_SUBMIT,),
        {"phase": "after", "action": {"json": {"job_id": "4" * 300}}}),
    Row("restore: 200 and an error", "db01", BACK, {}, (_SUBMIT,),
        {"action": {"json": {"error": {"code": "VolumeBackup.0211", "message": "DR"}}}}),
    Row("restore: 200 and an error, flat", "db01", BACK, {}, (_SUBMIT,),
        {"action": {"json": {"code": "VolumeBackup.0211", "message": "DR"}}}),
    Row("restore: the backup is busy a while", "db01", RETRIED, {}, (_SUBMIT,),
        {**refusal(400, "VolumeBackup.0206"), "times": 3}),
    # stop, detach, attach, start (ECS), and their jobs
    Row("job of the stop fails", "db01", replace(BACK, says="job .* failed: .*Request error"), _undone("stop", "fail")),
    Row("job of the detach fails", "db01", replace(BACK, says=r"Ecs\.0000 job .* failed: "), _undone("detach", "fail")),
    Row("job of the attach fails", "db01", replace(OFF, says=r"could not be attached again: Ecs\.0205 job .* failed: "),
        _undone("attach", "fail")),
    Row("job of the start fails", "db01", replace(UNSTARTED, says="could not be started: .* Failed to start the ECS"),
        _undone("start", "fail")),
    Row("job of the stop is stuck", "db01",
        _late(BACK, r"server \S+ is stopped: it is ACTIVE \(powering-off\)", person=True),
        _undone("stop", "stuck")),
    Row("job of the detach is stuck", "db01", _late(HELD, r"disk \S+ is detached: it is detaching", person=True),
        _undone("detach", "stuck")),
    Row("job of the attach is stuck", "db01", _late(OFF, r"disk \S+ is attached to .*: it is attaching", person=True),
        _undone("attach", "stuck")),
    Row("job of the start is stuck", "db01",
        _late(UNSTARTED, r"server \S+ is running: it is SHUTOFF \(powering-on\)", person=True),
        _undone("start", "stuck")),
    Row("job of the stop: unknown status", "db01", _late(BACK, r"server \S+ is stopped: it is ACTIVE\."),
        _undone("stop", "unknown")),
    Row("job of the detach: unknown status", "db01", _late(BACK, r"disk \S+ is detached: it is in-use at"),
        _undone("detach", "unknown")),
    Row("job of the attach: unknown status", "db01", _late(OFF, r"disk \S+ is attached to .*: it is available"),
        _undone("attach", "unknown")),
    Row("job of the start: unknown status", "db01", _late(UNSTARTED, r"server \S+ is running: it is SHUTOFF\."),
        _undone("start", "unknown")),
    # without a job that can be read, what the server or disk shows is what counts
    *(Row(f"job of the {order} fails, and is gone: {name}", "db01", RETRIED, _undone(order, "fail"), calls, rule)
      for order, calls in {"stop": _STOP_JOB, "detach": _DETACH_JOB, "attach": _ATTACH_JOB, "start": _START_JOB}.items()
      for name, rule in _GONE.items()),
    *(Row(f"job of the {order} succeeds, EVS lags: {name}", "db01", ADOPTED, {"state_lag_seconds": 25.0}, calls, rule)
      for order, calls in {"detach": _DETACH_JOB, "attach": _ATTACH_JOB}.items()
      for name, rule in {**_GONE, "unknown status": {**_job("SUSPENDED"), "times": None}}.items()),
    Row("detach: not attached any more", "db01", ADOPTED, {}, (_DETACH,), _after("Ecs.0111")),
    Row("attach: attached already", "db01", ADOPTED, {}, (_ATTACH,), _after("Ecs.0057")),
    Row("EVS lags 25 s", "db01", UNHURT, {"state_lag_seconds": 25.0}),
    Row("EVS lags longer than the grace", "db01", RETRIED, {"state_lag_seconds": 100.0}),
    Row("another device at the attach", "db01", _MOVED,
        {"restore_device": "next_free"}, before=_at_another_device),
    Row("delete_on_termination is reset", "db01", UNHURT, {"delete_on_termination_after_attach": "reset"}),
    # the metadata of a disk
    Row("metadata of the backup's time", "archive", UNHURT, {"restore_metadata": "replace"}),
    *(Row(f"metadata with a stale mark: {phase.value}", "archive", UNHURT, {"restore_metadata": "replace"},
          before=_stale_mark(phase))
      for phase in (Phase.BEGUN, Phase.SUBMITTING, Phase.ACCEPTED, Phase.RESTORED, Phase.FINISHED, Phase.FAILED)),
    # the task list (HSS)
    *(Row(f"record {late:.0f} s late", "files01", UNHURT, {"hss_log_lag_seconds": late})
      for late in (30.0, 170.0)),
    Row("record later than 180 s of silence", "files01", _SILENT, {"hss_log_lag_seconds": 450.0}),
    *(Row(f"task ends as {how}", "files01", _task_ends(how),
          {"hss_outcome": {_S2: [how]}})
      for how in ("failed", "skipped", "timeout")),
    Row("no record at all", "files01", ASK, {"hss_outcome": {_S2: "no_record"}}),
    Row("accepted, then nothing", "files01", ASK, {"hss_outcome": {_S2: "vanish"}}),
    Row("task is stuck", "files01", _STUCK_SERVER, {"hss_outcome": {_S2: "stuck"}}),
    *(Row(f"times as {how}", "files01", UNHURT, {"hss_time_format": how})
      for how in ("iso", "epoch_ms", "local_text")),
    Row("no API of that name", "", _no_way("CBR"), {"hss_published": False}),
    Row("parts that name the host", "", _no_way("mapping"), {"hss_child_resource_id": "host"}),
)
# fmt: on


# -- the wire itself, over a real socket (wire.py) ---------------------------------------------------------------------


def _spoiled(how: str) -> dict[str, Any]:
    return {"phase": "after", "action": {"headers": {"X-Wire": how}}}


# fmt: off
WIRE: dict[str, tuple[str, dict[str, Any]]] = {
    # what, sort, rule
    "closed before it arrived": ("gone", {"action": {"drop": True}}),
    "closed after it was done": ("done", {"phase": "after", "action": {"drop": True}}),
    "cut short": ("done", _spoiled("short")),
    "slower than http_timeout": ("done", _spoiled("slow")),
    "larger than is read": ("done", {"phase": "after", "action": {"raw": "huge", "huge_bytes": 300_000}}),
    "garbage": ("done", {"phase": "after", "action": {"raw": "garbage"}}),
    "a page of a proxy, as 200": ("done", {"phase": "after", "action": {"raw": "html", "status": 200}}),
    "JSON that calls itself HTML": ("clear", {"phase": "after", "action": {"headers": {"Content-Type": "text/html"}}}),
    "a redirect": ("no", {"action": {"redirect": True}}),
    "a redirect, permanent": ("no", {"action": {"redirect": True, "status": 301}}),
}
# fmt: on
WIRE_PLACES = (
    ("", "plan: disks"),
    ("", "check: log in"),
    ("db01", "mark it submitting"),
    ("db01", "stop"),
    ("db01", "detach"),
    ("db01", "restore the disk"),
    ("db01", "mark it accepted"),
    ("db01", "job of the restore"),
    ("db01", "attach"),
    ("db01", "start"),
    ("archive", "restore the lone disk"),
    ("files01", "restore the server"),
    ("files01", "the list"),
)


# -- told by other tests -----------------------------------------------------------------------------------------------

# fmt: off
ELSEWHERE: tuple[tuple[str, str, str], ...] = (
    ("cut in the head, in a chunk, broken gzip, no HTTP", "cloud/test_transport", "test_a_broken_answer_is_lost"),
    ("a server that drips for ever", "cloud/test_transport", "test_a_dripping_answer_ends_at_the_deadline"),
    ("an answer without end", "cloud/test_transport", "test_an_endless_answer_is_cut"),
    ("a redirect to another host", "cloud/test_transport", "test_redirects_do_not_carry_the_token_away"),
    ("a kept connection that is dead", "cloud/test_transport", "test_a_dead_kept_connection_does_not_repeat_a_post"),
    ("an untrusted certificate", "cloud/test_transport", "test_an_untrusted_certificate"),
    ("a token that really expires in mid-run", "engine/test_interrupted", "test_the_token_expires_in_the_middle"),
    ("new tokens that never work", "cloud/test_api", "test_new_tokens_that_never_work_are_not_asked_for_without_end"),
    ("wrong credentials", "cloud/test_api", "test_wrong_credentials_are_tried_once_per_process"),
    (
        "a controller that dies at any call",
        "engine/test_interrupted",
        "test_whatever_call_it_dies_at_the_next_run_finishes",
    ),
    ("HSS refuses a sixth call in a minute", "engine/test_recovery", "test_hss_polls_within_five_requests_a_minute"),
    ("a server that ignores a soft stop", "engine/test_recovery", "test_a_server_that_does_not_stop"),
    (
        "a disk that somebody used meanwhile",
        "engine/test_interrupted",
        "test_a_disk_that_was_used_since_is_never_restored_again",
    ),
)
# fmt: on
