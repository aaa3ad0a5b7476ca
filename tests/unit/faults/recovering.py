# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One recovery of the small world with something wrong in it, and what must be true afterwards whatever it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import yaml
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import Rules
from ansible_collections.hwcloud.recovery.plugins.module_utils._run import recovery
from matrix import ABOUT, ADOPTABLE, ADOPTED, ORDERS, RETRIED, UNHURT, Ends, Place, order_of
from simulation.cases import ARCHIVE, DB, FILES, GOOD_DATA, Before, History, disk_id, disks, restores, server_id
from simulation.world import World, scenario_path
from simulator.cloud import Logged

WISHES = (replace(DB, volumes=disks(2)), replace(ARCHIVE, wave=2), FILES)
"""A disk of a running server, and in wave 2 a disk without one and a whole server by HSS."""
DISKS_OF = {"db01": (disk_id(2),), "archive": (disk_id(3),), "files01": (disk_id(4), disk_id(5))}
SERVERS_OF = {"db01": server_id(1), "files01": server_id(2)}
SETTLED = 60.0
"""Seconds in which the cloud ends what was begun last, such as a start."""
LEASE_IS_OLD = 200.0
"""Seconds after which another run may go on, if the first one could not give its lease back."""
IMPATIENT = Rules(wait_timeout_seconds=900.0, step_timeout_seconds=600.0)
"""Ends within simulated minutes what would never end."""


@cache
def _document() -> dict[str, Any]:
    """Read once: parsing the file takes as long as a recovery."""
    found: dict[str, Any] = yaml.safe_load(scenario_path("small").read_text(encoding="utf-8"))
    return found


def small_world(**behaviours: Any) -> World:
    return World({**_document(), "behaviours": behaviours})


# -- letting a fault in ------------------------------------------------------------------------------------------------


def arm(seen: World, place: Place, rule: Mapping[str, Any]) -> None:
    """Let this rule meet the place's call, and nothing before it."""
    calls, handle = [_Wanted(*call.split(" ", 2)) for call in place.calls], seen.cloud.handle
    looked_at = len(seen.cloud.log)

    def watched(*call: Any) -> Any:
        nonlocal looked_at
        for entry in seen.cloud.log[looked_at:]:
            if len(calls) > 1 and calls[0].is_met_by(entry):
                del calls[0]
        looked_at = len(seen.cloud.log)
        if len(calls) == 1:
            wanted = calls.pop()
            where = {"service": wanted.service, "method": wanted.method, "path": f"{wanted.path}$"}
            seen.faults({"name": "row", **where, **rule})
        return handle(*call)

    seen.cloud.handle = watched  # type: ignore[method-assign]


@dataclass(frozen=True)
class _Wanted:
    service: str
    method: str
    path: str

    def is_met_by(self, entry: Logged) -> bool:
        same = (entry.service, entry.method) == (self.service, self.method)
        return same and re.search(f"{self.path}$", entry.path) is not None


def fired(seen: World) -> bool:
    return any(rule["fired"] for rule in seen.cloud.faults.describe() if rule["name"] == "row")


# -- one recovery ------------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """How a recovery ended: with a result, or stopped by an exception before anything was changed."""

    result: dict[str, Any] | None = None
    stopped: recovery.NotReady | CloudError | None = None

    @property
    def targets(self) -> list[str]:
        return list(self.result["targets"]) if self.result else list(DISKS_OF)

    def state(self, target: str) -> str:
        return str(self.result["targets"][target]["state"]) if self.result else "stopped"

    def failed(self, target: str) -> bool:
        return bool(self.result["targets"][target]["failed"]) if self.result else True

    @property
    def text(self) -> str:
        """Everything that an operator gets to see."""
        problems = getattr(self.stopped, "problems", ())
        info = self.stopped.info.as_dict() if isinstance(self.stopped, CloudError) else {}
        shown = [self.result, str(self.stopped or ""), [problem.as_dict() for problem in problems], info]
        return json.dumps(shown, ensure_ascii=False)

    def said(self, target: str) -> str:
        return str(self.result["targets"][target]["msg"]) if self.result and target else self.text


def recover(
    seen: World,
    fault: Callable[[], None] = lambda: None,
    *,
    in_plan: bool = False,
    target: str = "",
    **options: Any,
) -> Outcome:
    """Plan and run as the role does, one target or all. The fault is let in before the plan, or before the run."""
    wishes = [wish for wish in WISHES if target in ("", wish.name)]
    try:
        if in_plan:
            fault()
        plan = seen.plan(wishes)
        if not plan.ready:
            raise recovery.NotReady("the plan is not ready", plan.problems)
        if not in_plan:
            fault()
        chosen = recovery.RunOptions(**{"approved": (plan.id,), "progress_interval_seconds": 0.0, **options})
        return Outcome(recovery.recover(seen.shell(), plan.as_dict(), chosen)[0])
    except (recovery.NotReady, CloudError) as stopped:
        return Outcome(stopped=stopped)
    finally:
        seen.clock.forget()


def settle(seen: World) -> None:
    """The fault is over, and a minute has passed."""
    seen.cloud.faults.clear()
    seen.pass_time(SETTLED)


# -- what must be true afterwards --------------------------------------------------------------------------------------


class Witness:
    """Knows a world from before, and says what is wrong after a recovery, whatever the fault was."""

    def __init__(self, seen: World) -> None:
        self._seen = seen
        self.before = Before(seen)
        self._history = History(seen)
        self._at_first = restores(seen)
        self.look_again()

    def look_again(self) -> None:
        """What a run finds is what it is held against."""
        self._restores = restores(self._seen)
        self._notes = len(self._seen.summary()["notes"])
        self._data = self._seen.data()
        self._calls = len(self._seen.cloud.log)
        self._jobs = set(self._seen.cloud.world.jobs)

    def complaints(self, outcome: Outcome) -> list[str]:
        return [
            *(f"restored again after use: {disk}" for disk in self._history.restored_after_use()),
            *(f"restored again after use: {note['text']}" for note in self._new_notes("restored_after_use")),
            *(f"restored {often} times in one run: {disk}" for disk, often in self._since(self._restores) if often > 1),
            *(f"violation: {violation}" for violation in self._seen.summary()["violations"]),
            *(f"secret in the result: {secret[:4]}…" for secret in self._secrets() if secret in outcome.text),
            *(self._of_result(outcome.result) if outcome.result else self._of_stop(outcome)),
        ]

    def restored_again(self) -> set[str]:
        """Disks that were restored more than once since this witness came."""
        return {disk for disk, often in self._since(self._at_first) if often > 1}

    def _since(self, before: Mapping[str, int]) -> list[tuple[str, int]]:
        return [(disk, often - before.get(disk, 0)) for disk, often in restores(self._seen).items()]

    def _new_notes(self, kind: str) -> list[dict[str, Any]]:
        return [note for note in self._seen.summary()["notes"][self._notes :] if note["kind"] == kind]

    def _secrets(self) -> list[str]:
        said = "".join(self._seen.said)
        secrets = [*self._seen.cloud.world.tokens, *(user.password for user in self._seen.cloud.scenario.users)]
        return [secret for secret in secrets if secret] + [secret for secret in secrets if secret in said]

    def _of_stop(self, outcome: Outcome) -> list[str]:
        told = str(outcome.stopped).strip()
        return [
            *([] if told else ["stopped without a word"]),
            *(f"stopped, but {difference}" for difference in self.before.differences(self._seen)),
            *([] if self._seen.data() == self._data else ["stopped, but data was changed"]),
        ]

    def _of_result(self, result: Mapping[str, Any]) -> list[str]:
        return [
            *(complaint for restore in result["restores"] for complaint in self._of_restore(restore)),
            *(
                complaint
                for difference in self.before.differences(self._seen)
                for complaint in _unreported(difference, result)
            ),
            *(
                f"{name} failed without saying so"
                for name, t in result["targets"].items()
                if t["failed"] and "." not in t["msg"]
            ),
        ]

    def _of_restore(self, restore: Mapping[str, Any]) -> list[str]:
        error = restore["error"]
        touched = [disk for disk in DISKS_OF[restore["target"]] if self._seen.data()[disk] != self._data[disk]]
        accepted = touched or self._was_accepted(restore)
        checks = {
            "restored, but its data is not": restore["state"] != "restored"
            or all(self._seen.data()[disk].endswith(GOOD_DATA) for disk in DISKS_OF[restore["target"]]),
            "changed without an accepted restore": accepted or not restore["changed"],
            "its data changed, and it does not say so": not touched
            or restore["changed"]
            or restore["state"] in ("unknown", "timed_out"),
            "failed without a cause": restore["state"] in ("restored", "already_restored") or error is not None,
            "without words": error is None or bool(error["message"]),
            "without a remedy": error is None or bool(error["remedy"]),
            "no handle to what may run": restore["state"] not in ("unknown", "timed_out") or bool(restore["handle"]),
        }
        return [f"{restore['target']}: {text}" for text, fine in checks.items() if not fine]

    def _was_accepted(self, restore: Mapping[str, Any]) -> bool:
        world = self._seen.cloud.world
        jobs = [job for job in world.jobs.values() if job.type == "bksRestoreBackup"]
        records = [record for record in world.hss_log if record.started_at >= self._seen.cloud.log[0].time]
        vanished = any(entry.api == "hss.restore" and entry.status == 200 for entry in self._seen.cloud.log)
        return bool(records or vanished) if restore["method"] == "hss" else len(jobs) > 0


def _unreported(difference: str, result: Mapping[str, Any]) -> list[str]:
    """A disk or server that is not as it was found must be told, and its target be failed (but for a mere device)."""
    kind, thing, _rest = difference.split(" ", 2)
    target = next((name for name in DISKS_OF if thing in (*DISKS_OF[name], SERVERS_OF.get(name))), "")
    if target not in result["targets"]:
        return [f"touched without reason: {difference}"]
    told = result["targets"][target]
    if " instead of /dev/" in told["msg"] or told["state"] in ("unknown", "timed_out"):
        return []  # what may still run moves things, and is told with a handle
    words = (thing, f"the {kind} stays", f"the {kind} could not")
    left = [server["server_id"] for server in result["servers"] if server["left"] not in (None, server["found"])]
    named = thing in left or any(word in told["msg"] for word in words)
    return [] if told["failed"] and named else [f"not reported: {difference}"]


def mismatches(outcome: Outcome, ends: Ends, target: str) -> list[str]:
    """Where a recovery ended otherwise than its row says."""
    found = []
    for name in outcome.targets:
        hit = ends if name == target or not target or outcome.stopped else None
        state, failed = (hit.state, hit.failed) if hit else ("restored", False)
        if (outcome.state(name), outcome.failed(name)) != (state, failed):
            told = outcome.said(name)
            found.append(
                f"{name} is {outcome.state(name)}, failed={outcome.failed(name)}, not {state}, {failed}: {told}"
            )
    if not _is_said(ends.says, outcome.said(target)):
        found.append(f"it does not say {ends.says!r}: {outcome.said(target)}")
    return found


def _is_said(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE | re.DOTALL) is not None


def unnamed(outcome: Outcome, place: Place, ends: Ends) -> list[str]:
    """A failure has to name what the fault has met."""
    about, said = ABOUT[place.calls[-1]], outcome.said(place.target)
    return [f"it does not name {about!r}: {said}"] if ends.failed and not _is_said(about, said) else []


# -- what was ordered --------------------------------------------------------------------------------------------------


def _sent(seen: World, call: str) -> int:
    wanted = _Wanted(*call.split(" ", 2))
    return sum(wanted.is_met_by(entry) for entry in seen.cloud.log)


@cache
def _usual(target: str) -> dict[str, int]:
    """How often each order is sent when all goes well."""
    seen = small_world()
    recover(seen, target=target)
    return {call: _sent(seen, call) for call in ORDERS}


def misordered(seen: World, outcome: Outcome, calls: tuple[str, ...], ends: Ends, target: str) -> list[str]:
    """An order that is RETRIED was sent again, one that is ADOPTED was not. `calls` lead to the fault."""
    order = order_of(calls)
    if ends not in (RETRIED, ADOPTED, UNHURT) or not (order or ends == UNHURT):
        return []
    found = []
    for call in ORDERS if ends == UNHURT else (order,):
        sent, usual = _sent(seen, call), _usual("" if len(outcome.targets) > 1 else target)[call]
        if sent < usual or (sent > usual) is not (ends == RETRIED):
            found.append(f"{call}: sent {sent} times, usually {usual}")
    if order in ADOPTABLE or ends == UNHURT:
        restores = outcome.result["restores"] if outcome.result else []
        adopted = {restore["adopted"] for restore in restores if target in ("", restore["target"])}
        found += [] if adopted == {ends == ADOPTED} else [f"adopted is {adopted}"]
    return found


# -- and once more -----------------------------------------------------------------------------------------------------


def next_run(seen: World, witness: Witness, *, target: str = "", twice: str = "") -> list[str]:
    """The same playbook once more, and all is well: what is wrong then. `twice`: a target that it restores again."""
    seen.pass_time(LEASE_IS_OLD)
    witness.look_again()
    again = recover(seen, target=target)
    wrong = [f"next run: {complaint}" for complaint in witness.complaints(again)]
    if again.result is None:
        return [*wrong, f"the next run was stopped: {again.text}"]
    wrong += [f"next run: {target['msg']}" for target in again.result["targets"].values() if target["failed"]]
    if (found := witness.restored_again()) != set(DISKS_OF.get(twice, ())):
        wrong.append(f"next run: restored once more: {sorted(found) or 'nothing'}")
    wrong += [f"next run: {difference}" for difference in witness.before.differences(seen)]
    restored = [disk for name in again.targets for disk in DISKS_OF[name]]
    return wrong + [
        f"next run: {disk} is not restored" for disk in restored if not seen.data()[disk].endswith(GOOD_DATA)
    ]
