# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutants with names: what is broken in the engine, and the invariant, or the test, that notices it.

`old` has to stand exactly once in its file, so that a changed engine makes an outdated row an error.
"""

from __future__ import annotations

from simulation.mutants import Mutant

RESTORE = "plugins/module_utils/_restore"
RUN = "plugins/module_utils/_run"
CLOUD = "plugins/module_utils/_cloud"

TABLE: tuple[Mutant, ...] = (
    Mutant(
        "a finished restore is begun again",
        f"{RESTORE}/mark.py",
        "Phase.FINISHED: dict.fromkeys(Place, Standing.FINISHED)",
        "Phase.FINISHED: dict.fromkeys(Place, Standing.FRESH)",
        "restored_once",
    ),
    Mutant(
        "an accepted restore is submitted again after a crash",
        f"{RESTORE}/mark.py",
        "        Place.FREE: Standing.WATCH,\n",
        "        Place.FREE: Standing.SUBMIT,\n",
        "restored_once",
    ),
    Mutant(
        "a server that HSS has restored is restored once more",
        f"{RESTORE}/planning.py",
        "    Phase.FINISHED: Standing.FINISHED,\n",
        "    Phase.FINISHED: Standing.FRESH,\n",
        "restored_once",
    ),
    Mutant(
        "only the first disk is attached again",
        f"{RESTORE}/servers.py",
        "for restore in unit.restores:\n        if restore.state is not State.RESTORED and not",
        "for restore in unit.restores[:1]:\n        if restore.state is not State.RESTORED and not",
        "disks_back_or_reported",
    ),
    Mutant(
        "a server is never started again",
        f"{RESTORE}/servers.py",
        "    if not (unit.was_running and rules.start_servers):\n",
        "    if True:\n",
        "power_as_found_or_reported",
    ),
    Mutant(
        "a job that failed counts as well ended",
        f"{RESTORE}/disks.py",
        "if isinstance(job, Job) and job.state is JobState.SUCCEEDED:",
        "if isinstance(job, Job) and job.state is not JobState.RUNNING:",
        "no_success_without_the_clouds",
    ),
    Mutant(
        "a failed task of HSS counts as well ended",
        f"{RESTORE}/hss.py",
        '"failed": False, "timeout": False',
        '"failed": True, "timeout": True',
        "no_success_without_the_clouds",
    ),
    Mutant(
        "everybody's marks are ours",
        f"{RUN}/journal.py",
        "if owner is not None and owner.nonce == self._owner.nonce:",
        "if owner is not None:",
        "only_its_own",
    ),
    Mutant(
        "a restore is submitted under an older mark",
        f"{RESTORE}/outcome.py",
        "    failure = yield from write_marks(restores, claim=claim)\n",
        "    failure = yield from write_marks([], claim=claim)\n",
        "announced",
    ),
    Mutant(
        "whatever ended is written down as restored",
        f"{RESTORE}/outcome.py",
        "(_RUNS, Phase.RESTORED, restore.state is State.RESTORED),",
        "(_RUNS, Phase.RESTORED, restore.state is not State.PLANNED),",
        "journal_is_reality",
    ),
    Mutant(
        "the last marks are not written",
        f"{RESTORE}/servers.py",
        "if restore.back and restore.mark.phase in _CLOSING] if finished else []",
        "if restore.back and restore.mark.phase in _CLOSING] if not finished else []",
        "nothing_left_open",
    ),
    Mutant(
        "no wave waits for the one before it",
        f"{RESTORE}/batch.py",
        "            if self._parts_left or not self._waves:\n",
        "            if not self._waves:\n",
        "waves_in_order",
    ),
    Mutant(
        "two more restores than allowed",
        f"{RESTORE}/batch.py",
        "self._running < self._width and",
        "self._running < self._width + 2 and",
        "not_more_than_allowed",
    ),
    Mutant(
        "a server does not wait for its group",
        f"{RESTORE}/servers.py",
        "group_restored = (yield Meet(unit.group, restored)) if unit.group else True",
        "group_restored = True",
        "groups_start_together",
    ),
    Mutant(
        "a step has no end",
        f"{RESTORE}/steps.py",
        "        if now >= deadline or (move is",
        "        if (move is",
        "ends",
    ),
    Mutant(
        "a disk that a dead controller has detached is forgotten",
        f"{RESTORE}/mark.py",
        "SUBMIT,\n        Place.RESTORING: Standing.FRESH,\n        Place.MOVING: Standing.DETACH,",
        "FRESH,\n        Place.RESTORING: Standing.FRESH,\n        Place.MOVING: Standing.DETACH,",
        "recovers_in_the_end",
    ),
    Mutant(
        "the path of a restore lacks its last word",
        f"{CLOUD}/vbs.py",
        '"cloudbackups", backup_id, "restore"),',
        '"cloudbackups", backup_id),',
        "careful",
    ),
    Mutant(
        "a lease is not looked for right before the own one is written",
        f"{RUN}/journal.py",
        "self._see_lease(written=False) or self._write_lease(self._owner.nonce, self._cloud_time())",
        "self._write_lease(self._owner.nonce, self._cloud_time())",
        "tests/unit/run/test_journal.py",
    ),
    Mutant(
        "a lease is not read back",
        f"{RUN}/journal.py",
        "            failure = self._see_lease(written=True)\n",
        "            failure = None\n",
        "tests/unit/run/test_journal.py",
    ),
    Mutant(
        "what a file says since the start does not count",
        f"{RUN}/journal.py",
        "            if wanted & _last_marks(path, self._read_up_to.get(path, 0)).keys():\n",
        "            if False:\n",
        "tests/unit/engine/test_meetings.py",
    ),
    Mutant(
        "an owner out of a backup is another run",
        f"{RUN}/journal.py",
        "owner is None or owner.at <= since",
        "owner is None",
        "tests/unit/engine/test_meetings.py",
    ),
    Mutant(
        "a first mark that comes late is as good as any",
        f"{RESTORE}/servers.py",
        "    if (yield Now()) - began > CONFIRMED_SECONDS:\n",
        "    if False:\n",
        "tests/unit/engine/test_meetings.py",
    ),
    Mutant(
        "the first mark of an HSS restore that comes late is as good as any",
        f"{RESTORE}/hss.py",
        "    if (yield Now()) - looked_at <= CONFIRMED_SECONDS:\n",
        "    if True:\n",
        "tests/unit/engine/test_late_answers.py",
    ),
    Mutant(
        "a mark that a newer backup may have brought back proves a restore",
        f"{RESTORE}/planning.py",
        "return Standing.SUBMIT if again else found",
        "return found",
        "tests/unit/engine/test_meetings.py",
    ),
    Mutant(
        "marks are looked for only where the disks are now",
        f"{RUN}/survey.py",
        "        wanted |= _bear_marks(every.values(), disks, terms.run_id)\n",
        "",
        "tests/unit/engine/test_meetings.py",
    ),
    Mutant(
        "what a run left that was taken over elsewhere stays open",
        f"{RUN}/survey.py",
        "if m.run_id == run_id or m.at >= over.get(volume_id, 0.0)}",
        "}",
        "tests/unit/engine/test_meetings.py",
    ),
    Mutant(
        "what is open in the cloud is nothing to a journal in files",
        f"{RUN}/survey.py",
        "        problems += _open_in_the_cloud(wishes, disks, servers, files, backups)\n",
        "        pass\n",
        "tests/unit/engine/test_meetings.py",
    ),
    Mutant(
        "marks in files are as late as the clock says",
        f"{RUN}/journal.py",
        "at = max(now, self._not_before.get(_about(holder, key), now))",
        "at = now",
        "tests/unit/run/test_journal.py",
    ),
    Mutant(
        "a mark in a file that was removed is as good as any",
        f"{RUN}/journal.py",
        "        if not os.fstat(self._file).st_nlink:\n",
        "        if False:\n",
        "tests/unit/run/test_journal.py",
    ),
    Mutant(
        "a module for one disk does not renew its lease",
        f"{RUN}/single.py",
        ", background=[keep_lease()]",
        "",
        "tests/unit/engine/test_meetings.py",
    ),
    Mutant(
        "the lease of another run is given back",
        f"{RUN}/journal.py",
        "if self._owner.anchor and self._see_lease(written=True) is None:",
        "if self._owner.anchor:",
        "tests/unit/run/test_journal.py",
    ),
    Mutant(
        "a list may shrink while it is read",
        f"{CLOUD}/paging.py",
        "        if number and (moved or again):\n",
        "        if number and again:\n",
        "tests/unit/cloud/test_services.py",
    ),
    Mutant(
        "a list may bring an item twice",
        f"{CLOUD}/paging.py",
        "        if number and (moved or again):\n",
        "        if number and moved:\n",
        "tests/unit/cloud/test_services.py",
    ),
    Mutant(
        "a record on two pages of the task list is two records",
        f"{CLOUD}/hss.py",
        "        return records if before == last or not _on_two_pages(pages) else None\n",
        "        return records\n",
        "tests/unit/cloud/test_services.py",
    ),
    Mutant(
        "a server that HSS restores ends as the plan found it",
        f"{RESTORE}/hss.py",
        "    unit.found(server)\n",
        "",
        "tests/unit/engine/test_interrupted.py",
    ),
)
