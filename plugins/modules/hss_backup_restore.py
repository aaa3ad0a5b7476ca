#!/usr/bin/python
# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: hss_backup_restore
short_description: Restore a server from its HSS ransomware-protection backup
version_added: 0.1.0
description:
  - Restores all disks of one server from a backup that HSS made for ransomware protection, and waits for the end.
  - The cloud stops the server itself and starts it again, see O(power_on).
  - Everything is checked before anything is written, and all that is wrong is reported at once.
author:
  - hwcloud.recovery maintainers (@hwcloud-recovery)
options:
  backup_id:
    description:
      - Id of the HSS backup, 1 to 64 characters. M(hwcloud.recovery.backup_info) lists them.
      - Required unless O(handle) is given.
    type: str
  server_id:
    description:
      - Id of the server that is overwritten, 1 to 128 characters.
      - The default is the server that the backup was made of.
    type: str
  power_on:
    description:
      - Whether the cloud starts the server after the restore.
    type: bool
    default: true
  mappings:
    description:
      - Which backup of a disk goes to which disk of the server.
      - By default they are worked out from the children of the backup, where each names a disk that the server has
        now. Where that is not certain, the module fails and lists the children.
      - Name every child of the backup. The cloud may refuse to restore only some of the disks.
      - For the backup of a single disk, which has no children, the cloud ignores the values; a mapping to another
        disk is refused.
    type: list
    elements: dict
    suboptions:
      backup_id:
        description:
          - Id of a child of the backup, 1 to 128 characters. May be left out where O(mappings[].volume_id) determines
            it.
        type: str
      volume_id:
        description:
          - Id of the disk, up to 128 characters. May be left out where O(mappings[].backup_id) determines it.
        type: str
  asset_region:
    description:
      - Region of the assets, 1 to 128 characters. Sent as the header C(region) of the HSS API.
      - Not sent by default. It is not the O(region) whose hosts are called.
    type: str
  allow_other_target:
    description:
      - Whether server and disks may be others than those which the backup was made of. HSS backups are CBR backups,
        and CBR documents that they go back to their own disks only, so expect the cloud to refuse.
      - Each disk must be attached to the server in any case.
    type: bool
    default: false
  resubmit_unknown:
    description:
      - Submits a restore of this O(run_id) again if an earlier task ended as V(unknown), and the task list of HSS still
        shows nothing of it after 180 seconds.
      - Set it when you have seen in the console that the server was not restored. If it was, it is restored twice.
    type: bool
    default: false
extends_documentation_fragment:
  - hwcloud.recovery.attributes
  - hwcloud.recovery.connection
  - hwcloud.recovery.waiting
attributes:
  check_mode:
    support: full
    details: All reads and checks are made. With O(handle) it looks once and does not wait.
  diff_mode:
    support: full
    details: Shows what the server holds, as far as a mark tells, and which backup it gets.
  idempotent:
    support: partial
    details: With O(run_id) a restore is done once. Without it each task restores again.
notes:
  - A restore overwrites all disks of the server. It cannot be cancelled or undone.
  - Without O(run_id) this module restores each time it runs. A restore that is found running is waited for instead of
    being refused, if the backup itself is being restored and the only open tasks of that server have its name.
  - The HSS API returns no id of a restore, and its task list names neither backup id nor kind of task. So the list is
    read before the restore, and a record that was not there before is taken for it. If there is none for 180 seconds
    and the backup is not being restored either, the task fails with RV(state=unknown).
  - HSS allows one user 5 calls a minute for each API. Many servers at once are better restored with
    M(hwcloud.recovery.recovery_run), which asks once for all of them.
  - The user needs the rights to query HSS backups and their task list and to restore them, to query ECS servers and
    EVS disks, and with O(run_id) to write the metadata of the server (C(ecs:cloudServers:updateMetadata)).
  - The API exists on Huawei Cloud. Open Telekom Cloud and Flexible Engine do not document it; where it is not
    published (C(APIGW.0101)), restore the same backup through CBR on the console.
seealso:
  - module: hwcloud.recovery.restore_job_info
  - module: hwcloud.recovery.backup_info
  - module: hwcloud.recovery.recovery_run
  - name: HSS API reference, Restoring Data Using a Backup
    description: The call that this module makes.
    link: https://support.huaweicloud.com/intl/en-us/api-hss2.0/RestoreDuplicationInfo.html
  - name: HSS API reference, Querying the Backup and Restoration Task List
    description: Where it looks for the restore.
    link: https://support.huaweicloud.com/intl/en-us/api-hss2.0/ListOperationLogsByVaultName.html
"""

EXAMPLES = r"""
---
# The connection comes from HW_* or OS_* environment variables in most of these examples.

- name: Restore the server that the backup was made of, and leave it off
  hwcloud.recovery.hss_backup_restore:
    region: eu-west-101
    access_key: "{{ vault_access_key }}"
    secret_key: "{{ vault_secret_key }}"
    backup_id: 7d1c3f0e-6a0f-4f6e-9d1c-1b2a3c4d5e6f
    power_on: false
    run_id: incident-4711
  delegate_to: localhost

- name: Say which disk gets which data
  hwcloud.recovery.hss_backup_restore:
    backup_id: 7d1c3f0e-6a0f-4f6e-9d1c-1b2a3c4d5e6f
    server_id: 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b
    mappings:
      - backup_id: 0d9c8b7a-6f5e-4d3c-9b2a-1f0e9d8c7b6a
        volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
      - backup_id: 3c2b1a09-8f7e-4d6c-8b5a-4f3e2d1c0b9a
        volume_id: 5a4b3c2d-1e0f-4a9b-8c7d-6e5f4a3b2c1d
  delegate_to: localhost

- name: Start a restore
  hwcloud.recovery.hss_backup_restore:
    backup_id: 7d1c3f0e-6a0f-4f6e-9d1c-1b2a3c4d5e6f
    enterprise_project_id: all_granted_eps
    wait: false
  delegate_to: localhost
  register: started

- name: Look until it has ended
  hwcloud.recovery.restore_job_info:
    handle: "{{ started.handle }}"
    enterprise_project_id: all_granted_eps
  delegate_to: localhost
  register: job
  until: job is succeeded and job.finished
  retries: 120
  delay: 30
"""

RETURN = r"""
state:
  description:
    - How the restore stands. With one of the last three the task fails.
    - C(restored), it ended well.
    - C(already_restored), this run did it before, and nothing was started.
    - C(submitted), the cloud accepted it and it runs. With O(wait=false), or when a O(handle) is looked at in check
      mode.
    - C(planned), check mode, and nothing was started.
    - C(failed), the cloud refused it, or it ended badly.
    - C(unknown), it cannot be told whether it was done.
    - C(timed_out), it did not end in time and may still run.
  returned: when the restore could be judged, that is unless the options, the login or a check failed
  type: str
  choices: [restored, already_restored, submitted, planned, failed, unknown, timed_out]
  sample: restored
changed:
  description:
    - Whether a restore was accepted, or ended, during this task. Also when the task fails then.
    - Whether it would be, in check mode.
  returned: always
  type: bool
  sample: true
msg:
  description: One line about the outcome, and in a failure the cause and the next step.
  returned: always
  type: str
  sample: "server 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b: restored"
backup_id:
  description: The backup that the data comes from.
  returned: together with RV(state)
  type: str
  sample: 7d1c3f0e-6a0f-4f6e-9d1c-1b2a3c4d5e6f
backup_name:
  description: Its name.
  returned: together with RV(state), where known; not for C(already_restored)
  type: str
  sample: files01-2026-01-02
backup_created_at:
  description: When it was made, in UTC.
  returned: together with RV(state), where known; not for C(already_restored)
  type: str
  sample: "2026-01-02T01:00:00Z"
server_id:
  description: The server.
  returned: together with RV(state)
  type: str
  sample: 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b
volume_id:
  description: Always null, since the whole server is restored.
  returned: together with RV(state); not for C(already_restored)
  type: str
  sample:
job_id:
  description: Always null, since HSS gives none.
  returned: together with RV(state); not for C(already_restored)
  type: str
  sample:
handle:
  description:
    - By this the restore can be waited for later, with O(handle) or M(hwcloud.recovery.restore_job_info).
    - Null if nothing was accepted.
  returned: together with RV(state); not for C(already_restored)
  type: dict
  sample:
    service: hss
    server_id: 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b
    backup_id: 7d1c3f0e-6a0f-4f6e-9d1c-1b2a3c4d5e6f
    backup_name: files01-2026-01-02
    log_before: [9f2c11aa, 0b7d33ee]
    submitted_at: "2026-01-02T03:04:05Z"
adopted:
  description: Whether a restore that was already running was taken over instead of starting one.
  returned: together with RV(state); not for C(already_restored)
  type: bool
  sample: false
started_at:
  description: When this task began with the restore, in UTC.
  returned: together with RV(state), once it began; not for C(already_restored)
  type: str
  sample: "2026-01-02T03:04:05Z"
finished_at:
  description: When this task saw the end, in UTC. Null while it runs.
  returned: together with RV(state), once it ended; not for C(already_restored)
  type: str
  sample: "2026-01-02T03:16:05Z"
seconds:
  description: Seconds between the two.
  returned: together with RV(state), once it ended; not for C(already_restored)
  type: float
  sample: 720.4
notes:
  description: What is worth knowing and is no failure.
  returned: together with RV(state); not for C(already_restored)
  type: list
  elements: str
  sample: []
error:
  description: What went wrong. Null if nothing did.
  returned: when the cloud was asked
  type: dict
  contains:
    code:
      description: Code of the cloud, empty if there is none.
      type: str
      returned: success
      sample: HSS.0010
    http_status:
      description: HTTP status of the answer, null if there was none.
      type: int
      returned: success
      sample: 400
    message:
      description: What was asked, and what the cloud said.
      type: str
      returned: success
      sample: >-
        restoring server 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b from backup 7d1c3f0e-6a0f-4f6e-9d1c-1b2a3c4d5e6f: access
        denied
    request_id:
      description: For the cloud's support.
      type: str
      returned: success
      sample: 6fbe0e4a5d2f4d6c8f0a1b2c3d4e5f60
    remedy:
      description: What to do next.
      type: str
      returned: success
      sample: Give the user the right for this action in this project, or log in as one who has it.
problems:
  description: Everything that stands against the restore. Nothing was started.
  returned: when a check failed
  type: list
  elements: dict
  contains:
    severity:
      description: Always C(error) here.
      type: str
      returned: success
      sample: error
    code:
      description: Short name of the problem, stable between versions.
      type: str
      returned: success
      sample: server_locked
    target:
      description: The disk or server.
      type: str
      returned: success
      sample: 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b
    volume_id:
      description: The disk, empty if it is not about one.
      type: str
      returned: success
      sample: ""
    message:
      description: What is wrong.
      type: str
      returned: success
      sample: >-
        server 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b is locked: the cloud refuses to stop it or to detach its disks
    remedy:
      description: What to do about it.
      type: str
      returned: success
      sample: Unlock the server, then plan again.
diff:
  description: What the disk or server holds before and after.
  returned: when a restore was, or would be, started by this task
  type: dict
  sample:
    before: "server 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b: its present data, ACTIVE\n"
    after: >-
      server 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b: backup 7d1c3f0e-6a0f-4f6e-9d1c-1b2a3c4d5e6f of
      2026-01-02T01:00:00Z, ACTIVE
"""

from collections.abc import Mapping
from typing import Any

from ..module_utils._run.module import run
from ..module_utils._run.options import WAITING_SPEC, OptionError, identifier, need_length, need_positive, run_id
from ..module_utils._run.recovery import Shell
from ..module_utils._run.single import ServerWish, follow, restore_server, rules_of

SPEC = {
    "backup_id": {"type": "str"},
    "server_id": {"type": "str"},
    "power_on": {"type": "bool", "default": True},
    "mappings": {
        "type": "list",
        "elements": "dict",
        "options": {"backup_id": {"type": "str"}, "volume_id": {"type": "str"}},
    },
    "asset_region": {"type": "str"},
    "allow_other_target": {"type": "bool", "default": False},
    "resubmit_unknown": {"type": "bool", "default": False},
    **WAITING_SPEC,
}

# HSS API, Restoring Data Using a Backup: ranges of the parameters. An empty backup id cannot stand in a path.
LENGTHS = {
    "backup_id": (1, 64),
    "server_id": (1, 128),
    "asset_region": (1, 128),
    "enterprise_project_id": (1, 256),
    "project_id": (1, 256),
    "token": (1, 32768),
}
PAIR_LENGTHS = {"backup_id": (1, 128), "volume_id": (0, 128)}


def work(shell: Shell, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    need_positive(params, "wait_timeout", "wait_interval")
    need_length(params, LENGTHS)
    for pair in params["mappings"] or []:
        need_length(pair, PAIR_LENGTHS, within="mappings")
    shell.api.asset_region = params["asset_region"] or ""
    if params["handle"]:
        return follow(shell, params["handle"], rules_of(params), dry_run=check_mode)
    if not params["backup_id"]:
        raise OptionError("backup_id is required, unless handle says what to wait for")
    wish = ServerWish(
        backup_id=identifier(params["backup_id"]),
        server_id=identifier(params["server_id"]),
        power_on=params["power_on"],
        mappings=tuple(
            (identifier(pair["backup_id"]) or None, identifier(pair["volume_id"]) or None)
            for pair in params["mappings"] or []
        ),
        run_id=run_id(params),
        allow_other_target=params["allow_other_target"],
        resubmit_unknown=params["resubmit_unknown"],
    )
    return restore_server(shell, wish, rules_of(params), dry_run=check_mode)


def main() -> None:
    run(work, SPEC)


if __name__ == "__main__":
    main()
