# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the simulator that are no refusals: what it remembers, how long, and how it says so.

As in mutants_table.py, `old` has to stand exactly once in its file.
"""

from __future__ import annotations

from simulation.mutants import Mutant


def _rule(name: str, stem: str, old: str, new: str, *tests: str) -> Mutant:
    """`tests` are named where it is not those of the same file that notice."""
    check = " ".join(f"tests/unit/simulator/test_{test}.py" for test in tests or (stem,))
    return Mutant(name, f"tests/simulator/{stem}.py", old, new, check)


_GATEWAY = (
    _rule(
        "a late request never arrives",
        "cloud",
        "lambda: _ignore(late()))",
        "lambda: None)",
        "faults",
    ),
    _rule("users share a rate", "cloud", "(identity.user, found.api)", '("", found.api)'),
    _rule("APIs share a rate", "cloud", "(identity.user, found.api)", '(identity.user, "")'),
    _rule(
        "a refused read is a refused write",
        "cloud",
        'if is_write(service, request, found[0].api if found else ""):',
        "if True:",
    ),
    _rule("a prefix is not part of the path", "cloud", "return path[len(self._prefix) :]", "return path"),
    _rule(
        "the window of a rate has no end", "throttle", "while seen and seen[0] <= now - window:", "while False:", "hss"
    ),
    _rule("the window of a rate does not scale", "throttle", " / self._scale", "", "hss"),
    _rule(
        "a refused request counts",
        "throttle",
        "            self.refused += 1\n",
        "            seen.append(now)\n",
        "cloud",
    ),
    _rule("the time to wait is always told", "throttle", " if tell_when else {}", "", "hss"),
    _rule(
        "the name of a header has a case", "messages", "if key.lower() == wanted", "if key == name", "iam", "signing"
    ),
    _rule("HSS nests its errors", "messages", 'service == "hss" or ', "", "hss"),
    _rule("IAM nests its own codes", "messages", ' or str(refusal.code).startswith("IAM.")', "", "iam"),
    _rule("errors of IAM have no title", "messages", '    if service == "iam":\n', "    if False:\n", "iam"),
    _rule("errors of VBS are always nested", "messages", 'if service == "vbs" and flat_vbs:', "if False:", "vbs"),
    _rule("all errors may be flat", "messages", 'if service == "vbs" and flat_vbs:', "if flat_vbs:", "vbs"),
    _rule("errors of ECS have no details", "messages", '    if service == "ecs":\n', "    if False:\n", "ecs"),
    _rule("an empty refusal has a body", "messages", "if refusal.shape is Shape.EMPTY:", "if False:", "iam"),
    _rule(
        "the gateway words errors as the service",
        "messages",
        "    if refusal.shape is Shape.GATEWAY:\n",
        "    if False:\n",
        "iam",
    ),
    _rule("the gateway does not name itself", "messages", '        headers["Server"] = "api-gateway"\n', "", "cloud"),
    _rule("native errors have no name", "messages", "{refusal.shape.value: {", '{"error": {', "ecs"),
    _rule(
        "not found is an error of the service",
        "messages",
        "status=404, shape=Shape.ITEM_NOT_FOUND)",
        "status=404)",
        "ecs",
    ),
    _rule("an error has no headers of its own", "messages", ", **refusal.headers}", "}", "hss"),
    _rule("errors have no request id", "messages", '            "request_id": request_id,\n', "", "cloud"),
    _rule("a fault never gets tired", "faults", "self.times is not None and self.fired >= self.times", "False"),
    _rule("a fault fires at every match", "faults", "self.seen in self.nth if self.nth else", ""),
    _rule("a fault knows no pause", "faults", "self.seen % self.every == 0", "True"),
    _rule("a held request holds no other", "faults", "self.holding or bool(rule.action.get(", "bool(rule.action.get("),
    _rule(
        "a hold has no end",
        "faults",
        "        self._rules.clear()\n        self.holding = False\n",
        "        self._rules.clear()\n",
    ),
    _rule("a fault spoils the answer before the deed", "faults", "rule.phase == phase and ", ""),
    _rule("a redirect leaves no trace", "faults", "?{REDIRECT_MARK}=1", ""),
)

_IAM = (
    _rule(
        "any password will do",
        "iam",
        "(user.domain, user.name, user.password) == (domain, name, password)",
        "(user.domain, user.name) == (domain, name)",
    ),
    _rule(
        "any project will do",
        "iam",
        "if wanted_id == project.id or (not wanted_id and wanted_name == project.name):",
        "if True:",
    ),
    _rule("an account is never locked", "iam", "if failures >= world.limits.login_failures_before_lock:", "if False:"),
    _rule("a lock has no end", "iam", "world.timing.login_lock / world.scale", "1e9"),
    _rule("the count goes on after a lock", "iam", "        world.login_failures.pop(key)\n", ""),
    _rule("a good login forgives nothing", "iam", "            world.login_failures.pop(key, None)\n", ""),
    _rule("a token that somebody ended lives on", "iam", "return token.expired or ", "return "),
    _rule("a token lives for ever", "iam", " or world.now >= token.expires_at", ""),
    _rule(
        "a new token ends the old ones", "iam", "    world.tokens[text] = token\n", "    world.tokens = {text: token}\n"
    ),
    _rule("there is always a catalog", "iam", "    if catalog:\n", "    if True:\n"),
    _rule("projects have no names", "iam", "if wanted in (None, project.name)]", "]"),
    _rule(
        "a key needs no project", "iam", "identity.by_key and identity.project_id != path_project", "False", "signing"
    ),
    _rule(
        "a token reaches into every project",
        "iam",
        "identity.project_id != path_project or path_project",
        "path_project",
    ),
)

_EVS = (
    _rule("EVS tells every state at once", "state", "if at_once or lag <= 0:", "if True:", "evs"),
    _rule("the lag does not scale", "state", "simulated_seconds / self.scale", "simulated_seconds", "cloud"),
    _rule(
        "a server's list does not lag",
        "evs",
        "for volume_id in server.shown_volumes]",
        "for volume_id in server.volumes]",
    ),
    _rule(
        "a list forgets the disks that came",
        "state",
        "shown_volumes[disk.id] = None",
        "shown_volumes.pop(disk.id, None)",
        "evs",
    ),
    _rule("an offset of zero is fine", "evs", 'world.behaviours.evs_offset == "lenient" or ', "True or "),
    _rule("a marker is part of its page", "evs", "return places[0] + 1", "return places[0]"),
    _rule("there is a next page for ever", "evs", "    if start + limit < len(found):\n", "    if page:\n"),
    _rule("a page is as long as asked for", "evs", "    limit = min(limit, cap) if cap else limit\n", ""),
    _rule("unknown ids are found", "evs", " if volume_id in world.disks]", "]"),
    _rule("the order by state is kept", "evs", '    if key != "status":\n', "    if True:\n"),
    _rule("POST replaces metadata", "evs", "disk.metadata.update(_entries(call))", "disk.metadata = _entries(call)"),
    _rule(
        "PUT merges metadata",
        "evs",
        "disk.metadata = {**system, **_entries(call)}",
        "disk.metadata.update(_entries(call))",
    ),
    _rule("PUT takes the system's metadata away", "evs", "{**system, **_entries(call)}", "_entries(call)"),
    _rule("an encrypted disk does not say so", "evs", " if disk.spec.encrypted else {}", " if False else {}"),
)

_JOBS = (
    _rule(
        "a host knows the jobs of all", "jobs", "if job is None or job.service != service:", "if job is None:", "ecs"
    ),
    _rule(
        "a job that runs has an end",
        "jobs",
        '"" if job.end is None else utc_text(job.end,',
        "utc_text(job.end or 0.0,",
        "ecs",
    ),
    _rule("a job has no parts", "jobs", "    if job.subs:\n", "    if False:\n", "ecs"),
    _rule("parts of a VBS job never stand in entities", "jobs", 'how == "entities"', "False", "vbs"),
    _rule(
        "a VBS job always says that it has no parts",
        "jobs",
        '    if how in blanks:\n        document["sub_jobs"] = blanks[how]\n',
        '    if True:\n        document["sub_jobs"] = blanks.get(how)\n',
        "vbs",
    ),
    _rule("a job never runs", "state", '            job.status = "RUNNING"\n', "            pass\n", "ecs"),
    _rule("a job that ended runs again", "state", '        if job.status == "INIT":\n', "        if True:\n", "cloud"),
    _rule("no job fails", "state", '"SUCCESS" if error_code is None else "FAIL"', '"SUCCESS"', "ecs"),
    _rule(
        "what is late happens at the wrong time", "state", "            self.now = max(self.now, due)\n", "", "cloud"
    ),
    _rule(
        "a list of outcomes stays at its first",
        "state",
        "[behaviour, key] = used + 1",
        "[behaviour, key] = used",
        "vbs",
    ),
    _rule(
        "a list of outcomes ends with its last",
        "state",
        'if used < len(wanted) else "ok"',
        "if used < len(wanted) else wanted[-1]",
        "vbs",
    ),
)

_POWER = (
    _rule("a stop is not to be seen", "ecs", '    server.task_state = "powering-off"\n', ""),
    _rule("a start is not to be seen", "ecs", '    server.task_state = "powering-on"\n', ""),
    _rule(
        "a stop or start has no end to be seen",
        "state",
        "        server.status = status\n        server.task_state = None\n",
        "        server.status = status\n",
        "ecs",
    ),
    _rule(
        "a soft stop goes on after a hard one",
        "ecs",
        'if server.power_ticket != ticket:\n            _end_sub(world, parent, sub, code="Ecs.0100", '
        'reason="overtaken by a hard',
        'if False:\n            _end_sub(world, parent, sub, code="Ecs.0100", reason="overtaken by a hard',
    ),
    _rule(
        "a start goes on after a stop",
        "ecs",
        'if server.power_ticket != ticket:\n            _end_sub(world, parent, sub, code="Ecs.0100", '
        'reason="overtaken by another',
        'if False:\n            _end_sub(world, parent, sub, code="Ecs.0100", reason="overtaken by another',
    ),
    _rule(
        "a hard stop waits for a soft one",
        "ecs",
        'if hard and server.task_state == "powering-off" and not server.locked:',
        "if False:",
    ),
    _rule("a soft stop ends another one", "ecs", "if hard and server.task_state ==", "if server.task_state =="),
    _rule(
        "a hard stop ends a start",
        "ecs",
        'hard and server.task_state == "powering-off" and',
        "hard and server.task_state and",
    ),
    _rule("a lock does not keep a hard stop off", "ecs", '"powering-off" and not server.locked:', '"powering-off":'),
    _rule(
        "a hard stop asks the guest",
        "ecs",
        '"ok" if hard or outcome != "ok" else world.outcome(',
        '"ok" if outcome != "ok" else world.outcome(',
    ),
    _rule("no guest hangs", "ecs", 'elif how == "hangs":', "elif False:"),
    _rule(
        "a guest that hangs gives up at once",
        "ecs",
        'world.timing.stop if how == "ok" else world.timing.soft_stop_hang',
        "world.timing.stop",
    ),
    _rule("a stopped server is stopped once more", "ecs", '    if server.status != "ACTIVE":\n', "    if False:\n"),
    _rule("a running server is started once more", "ecs", '    if server.status != "SHUTOFF":\n', "    if False:\n"),
    _rule(
        "stopping a stopped server never fails",
        "ecs",
        'if world.behaviours.stop_stopped == "success" else',
        "if True else",
    ),
    _rule(
        "stopping a stopped server always fails",
        "ecs",
        'if world.behaviours.stop_stopped == "success" else',
        "if False else",
    ),
    _rule(
        "a batch ends with its first part", "ecs", "if any(child.end is None for child in parent.subs):", "if False:"
    ),
    _rule("a batch never fails", "ecs", 'if failed and world.behaviours.batch_parent == "honest":', "if False:"),
    _rule(
        "a batch always tells of its failed parts",
        "ecs",
        'if failed and world.behaviours.batch_parent == "honest":',
        "if failed:",
    ),
)

_SERVERS = (
    _rule(
        "a list of servers counts entries",
        "ecs",
        "found[(page - 1) * limit : page * limit]",
        "found[page - 1 : page - 1 + limit]",
    ),
    _rule(
        "page 0 of the servers is not page 1",
        "ecs",
        'max(1, call.number("offset", 1, 0, 2**31 - 1))',
        'call.number("offset", 1, 0, 2**31 - 1)',
    ),
    _rule("a name has to fit wholly", "ecs", "re.search(re.escape(name)", "re.fullmatch(re.escape(name)"),
    _rule("a page of servers is as long as asked for", "ecs", "    limit = min(limit, cap) if cap else limit\n", ""),
    _rule("only the system disk boots first", "ecs", 'world.behaviours.boot_index == "all_zero" or ', ""),
    _rule(
        "metadata of a server is replaced", "ecs", "server.metadata.update(entries)", "server.metadata = dict(entries)"
    ),
    _rule("metadata of a server stays", "ecs", '    del server.metadata[call.params["key"]]\n', ""),
    _rule(
        "a key that is there counts twice",
        "ecs",
        "len({**server.metadata, **entries})",
        "len([*server.metadata, *entries])",
    ),
)

_DISKS = (
    _rule("attaching leaves a server free", "ecs", '    server.busy = "attach"\n', ""),
    _rule("detaching leaves a server free", "ecs", '    server.busy = "detach"\n', ""),
    _rule(
        "a server stays busy after attaching or detaching",
        "ecs",
        '        server.busy = ""\n        if outcome == "ok":',
        '        if outcome == "ok":',
    ),
    _rule("a disk is free while it is being attached", "ecs", '    world.set_disk_status(disk, "attaching")\n', ""),
    _rule("a disk is in use while it is being detached", "ecs", '    world.set_disk_status(disk, "detaching")\n', ""),
    _rule("sd stays sd on KVM", "ecs", "return f\"/dev/vd{device.removeprefix('/dev/sd')}\"", "return device"),
    _rule("sd becomes vd on SCSI, too", "ecs", 'server.spec.root_device.startswith("/dev/vd") and ', ""),
    _rule("the next free device may be taken", "ecs", 'if f"{stem}{letter}" not in taken)', ")"),
    _rule(
        "a device asked for is always honoured",
        "ecs",
        'world.behaviours.restore_device == "next_free" and',
        "False and",
    ),
    _rule(
        "a device asked for is never honoured", "ecs", 'world.behaviours.restore_device == "next_free" and', "True and"
    ),
    _rule("the system disk gets any device", "ecs", '"next_free" and not _on_root(server, device))', '"next_free")'),
    _rule("a dry run attaches", "ecs", "    if dry_run:\n", "    if False:\n"),
    _rule(
        "delete_on_termination is always kept",
        "ecs",
        "disk.delete_on_termination and keep)",
        "disk.delete_on_termination)",
    ),
    _rule("delete_on_termination is never kept", "ecs", "disk.delete_on_termination and keep)", "False)"),
    _rule(
        "a detached disk forgets delete_on_termination",
        "state",
        "        disk.delete_on_termination = attachment.delete_on_termination\n",
        "",
        "ecs",
    ),
    _rule("no disk is shared", "ecs", 'shared = disk.spec.multiattach and disk.status == "in-use"', "shared = False"),
    _rule("every disk is shared", "ecs", "shared = disk.spec.multiattach and disk.status", "shared = disk.status"),
    _rule(
        "a shared disk is free when one server leaves it",
        "state",
        '"in-use" if disk.attachments else "available"',
        '"available"',
        "ecs",
    ),
    _rule(
        "a disk that comes to a running server is not used",
        "state",
        '        if server.status == "ACTIVE":\n            self.mark_used(disk)\n',
        "",
        "ecs",
    ),
    _rule(
        "a disk of a server that starts is not used",
        "state",
        "            for volume_id in server.volumes:\n                self.mark_used(",
        "            for volume_id in ():\n                self.mark_used(",
        "ecs",
    ),
    _rule("use leaves no trace", "state", "        disk.used_since_restore = True\n", "", "hss"),
)

_VBS = (
    _rule("a disk whose restore has written is free", "vbs", "    disk.restoring = True\n", ""),
    _rule("a disk is never free after a restore", "vbs", "    disk.restoring = False\n", ""),
    _rule("a backup that is being restored is available", "vbs", '    backup.status = "restoring"\n', ""),
    _rule("a backup that was restored is not available", "vbs", '    backup.status = "available"\n', ""),
    _rule(
        "a disk that is being restored is available", "vbs", '    world.set_disk_status(disk, "restoring-backup")\n', ""
    ),
    _rule("a job ends with the writing", "vbs", "seconds + timing.vbs_settle, ", "seconds, "),
    _rule("a restore writes nothing", "vbs", "    disk.data = backup.spec.data\n", ""),
    _rule("a restore is not counted", "vbs", "    disk.restore_count += 1\n", ""),
    _rule("a restore does not end the time of use", "vbs", "    disk.used_since_restore = False\n", ""),
    _rule("a restore always keeps metadata", "vbs", 'if world.behaviours.restore_metadata == "replace":', "if False:"),
    _rule(
        "a restore always replaces metadata", "vbs", 'if world.behaviours.restore_metadata == "replace":', "if True:"
    ),
    _rule(
        "a restore replaces the system's metadata",
        "vbs",
        "{**backup.spec.metadata, **system}",
        "dict(backup.spec.metadata)",
    ),
    _rule(
        "a failed restore leaves a disk available",
        "vbs",
        '"available" if outcome == "fail_available" else "error_restoring"',
        '"available"',
    ),
    _rule(
        "a failed restore always leaves an error",
        "vbs",
        '"available" if outcome == "fail_available" else "error_restoring"',
        '"error_restoring"',
    ),
    _rule(
        "a failed restore leaves the data alone",
        "vbs",
        '    disk.data = f"undefined after a failed restore of {backup.id}"\n',
        "",
    ),
    _rule(
        "a failed restore writes",
        "vbs",
        "data_written = partial(_fail_disk, world, disk, backup, outcome)",
        "data_written = partial(_write_disk, world, disk, backup)",
    ),
    _rule(
        "the job of a failed restore succeeds",
        "vbs",
        '    if outcome in ("ok", "slow"):\n        world.end_job(job)',
        "    if True:\n        world.end_job(job)",
    ),
    _rule("no restore is slow", "vbs", '(10 if outcome == "slow" else 1)', "1"),
    _rule("no restore gets stuck", "vbs", '    if outcome == "stuck":\n', "    if False:\n"),
    _rule("VBS has one kind of job id", "vbs", 'if world.behaviours.vbs_job_id == "dashed" else', "if True else"),
    _rule("a list holds shared backups", "vbs", " if _is_own(world, backup)]", "]"),
    _rule(
        "backups are always listed newest first",
        "vbs",
        'if world.behaviours.vbs_backup_order == "created_desc":',
        "if True:",
    ),
    _rule(
        "backups are never listed newest first",
        "vbs",
        'if world.behaviours.vbs_backup_order == "created_desc":',
        "if False:",
    ),
    _rule("a list of backups ends too early", "vbs", "if start + limit < len(found) else", "if False else"),
    _rule("a list of backups has no end", "vbs", "if start + limit < len(found) else", "if page else"),
    _rule(
        "a page of backups is as long as asked for", "vbs", ", world.behaviours.page_limit_cap or _MOST_PER_PAGE)", ")"
    ),
    _rule(
        "the count of backups needs no version", "vbs", "if wants_count and _has_microversion(call):", "if wants_count:"
    ),
    _rule(
        "the count of backups needs any version",
        "vbs",
        "found is not None and int(found[1]) >= 45",
        "found is not None",
    ),
    _rule(
        "a deleted backup stays",
        "state",
        "backup = self.vbs_backups.pop(backup_id)",
        "backup = self.vbs_backups[backup_id]",
        "vbs",
    ),
    _rule(
        "a list keeps the backups it had",
        "state",
        "        backup = self.vbs_backups.pop(backup_id)\n        self.listed_vbs_backups = None\n",
        "        backup = self.vbs_backups.pop(backup_id)\n",
        "vbs",
    ),
    _rule(
        "a list does not learn of new backups",
        "state",
        "        self.vbs_backups[spec.id] = backup\n        self.listed_vbs_backups = None\n",
        "        self.vbs_backups[spec.id] = backup\n",
        "vbs",
    ),
)

_HSS = (
    _rule(
        "a server that HSS restores is free", "hss", '            self.server.busy = "restore"\n', "            pass\n"
    ),
    _rule(
        "a server that HSS has restored stays busy", "hss", '            self.server.busy = ""\n', "            pass\n"
    ),
    _rule("a disk that HSS restores is free", "hss", "            disk.restoring = True\n", ""),
    _rule(
        "a disk that HSS has restored is not free", "hss", "            disk.restoring = False\n", "            pass\n"
    ),
    _rule("a backup does not wait", "hss", '        self.backup.status = "waiting_restore"\n', ""),
    _rule("a backup is not being restored", "hss", '        self.backup.status = "restoring"\n', ""),
    _rule("a backup is not available after its restore", "hss", '        self.backup.status = "available"\n', ""),
    _rule(
        "a running server is not stopped",
        "hss",
        '            self.world.set_power(self.server, "SHUTOFF")\n',
        "            pass\n",
    ),
    _rule(
        "a server is always started", "hss", "if self.server is None or not self.power_on:", "if self.server is None:"
    ),
    _rule("a server is never started", "hss", "if self.server is None or not self.power_on:", "if True:"),
    _rule(
        "a server is started only on demand",
        "hss",
        'call.body.get("power_on", True)',
        'call.body.get("power_on", False)',
    ),
    _rule(
        "a record is there at once",
        "hss",
        "self.world.after(self.world.behaviours.hss_log_lag_seconds, ",
        "self.world.after(0.0, ",
    ),
    _rule("there is always a record", "hss", 'if self.outcome != "no_record":', "if True:"),
    _rule("no restore of HSS vanishes", "hss", 'if self.outcome == "vanish":', "if False:"),
    _rule("no restore of HSS gets stuck", "hss", 'if self.outcome != "stuck":', "if True:"),
    _rule("no restore of HSS is skipped", "hss", 'if self.outcome == "skipped":', "if False:"),
    _rule("no restore of HSS fails", "hss", "if self.outcome in _FAILED:", "if False:"),
    _rule(
        "a failed restore of HSS leaves the data alone",
        "hss",
        '                disk.data = f"undefined after a failed restore of {self.backup.id}"\n',
        "                pass\n",
    ),
    _rule("HSS writes nothing", "hss", "            disk.data = child.data\n", ""),
    _rule("a restore of HSS is not counted", "hss", "            disk.restore_count += 1\n", ""),
    _rule("a restore of HSS does not end the time of use", "hss", "            disk.used_since_restore = False\n", ""),
    _rule("a record tells of no error", "hss", '_FAILED.get(status, ("", ""))', '("", "")'),
    _rule("a restore is at 100 percent before its end", "hss", "max(0, min(99, ", "max(0, min(100, "),
    _rule(
        "the newest record is the last",
        "hss",
        "partial(log.appendleft, self.record)",
        "partial(log.append, self.record)",
    ),
    _rule("the log knows no days", "hss", " and record.started_at >= since", ""),
    _rule("the list of a host knows no days", "hss", " and backup.created_at >= since", ""),
    _rule("the log knows no names", "hss", ' and query.get("resource_name") in (None, record.host_name)', ""),
    _rule("the log knows no states", "hss", 'if query.get("status") in (None, record.status)', "if True"),
    _rule(
        "the list of a host is not sorted",
        "hss",
        "    found.sort(key=lambda backup: (-backup.created_at, backup.id))\n",
        "",
    ),
    _rule("a page of HSS is as long as asked for", "hss", "min(limit, cap) if cap else limit", "limit"),
    _rule("times are always ISO", "hss", 'if how == "epoch_ms":', "if False:"),
    _rule("local times are in UTC", "hss", ".astimezone(_LOCAL_ZONE)", ""),
    _rule(
        "created_at always counts milliseconds",
        "hss",
        '1000 if world.behaviours.hss_created_at_unit == "ms" else 1',
        "1000",
    ),
    _rule("a part always names its disk", "hss", 'world.behaviours.hss_child_resource_id == "host"', "False"),
)

RULES: tuple[Mutant, ...] = (*_GATEWAY, *_IAM, *_EVS, *_JOBS, *_POWER, *_SERVERS, *_DISKS, *_VBS, *_HSS)
