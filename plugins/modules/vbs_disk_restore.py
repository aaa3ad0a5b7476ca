#!/usr/bin/python
# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vbs_disk_restore
short_description: Restore a detached disk from its VBS backup
version_added: 0.1.0
description:
  - Writes the content of one VBS backup over one EVS disk and waits for the end.
  - The disk must be detached and C(available), the backup C(available) and its own (not shared by another project),
    the disk at least as large as the backup. Everything is checked before anything is written, and all that is wrong
    is reported at once.
  - Stopping the server, detaching, attaching and starting are not done here. M(hwcloud.recovery.recovery_run) does
    all of it.
author:
  - hwcloud.recovery maintainers (@hwcloud-recovery)
options:
  backup_id:
    description:
      - Id of the VBS backup. M(hwcloud.recovery.backup_info) lists them.
      - Required unless O(handle) or O(job_id) is given.
    type: str
  volume_id:
    description:
      - Id of the disk that is overwritten.
      - Required unless O(handle) or O(job_id) is given.
      - Together with O(job_id), the disk's state is looked at too before the restore counts as done.
    type: str
  allow_other_target:
    description:
      - Whether the disk may be another one than that which the backup was made of.
      - Both must be in the same availability zone. The documentation of VBS does not say that every cloud accepts
        this.
    type: bool
    default: false
  job_id:
    description:
      - Id of the VBS job of a restore that was started before. A short form of O(handle). Nothing is started, the
        module only waits for that job.
    type: str
extends_documentation_fragment:
  - hwcloud.recovery.attributes
  - hwcloud.recovery.connection
  - hwcloud.recovery.waiting
attributes:
  check_mode:
    support: full
    details: All reads and checks are made. With O(handle) or O(job_id) it looks once and does not wait.
  diff_mode:
    support: full
    details: Shows what the disk holds, as far as a mark tells, and which backup it gets.
  idempotent:
    support: partial
    details: With O(run_id) and O(wait=true) a restore is done once. Without O(run_id) each task restores again.
notes:
  - A restore overwrites the whole disk. It cannot be cancelled or undone.
  - Without O(run_id) this module restores each time it runs. A restore that is found running is waited for instead of
    being refused, if it is certainly this one, that is if this backup and this disk are the only ones of the project
    that are being restored.
  - With O(run_id) and O(wait=false), nobody writes down that the restore has ended, also not a task that waits with
    O(handle). A cloud that replaces the disk's metadata by that of the backup removes what was written before, and the
    same O(run_id) then restores the disk again, whatever was written to it since. So wait for the end with O(run_id),
    or run the same task again with O(wait=true) and without O(handle) before the disk is attached. It goes on with the
    restore, or does it once more while the disk is detached, and writes down that it has ended.
  - If the cloud's answer to the restore is lost, the module looks at disk and backup. It goes on with the restore if
    that runs. If nothing can be seen of it, it asks again with O(run_id), because its marks prove that nobody used
    the disk meanwhile; without O(run_id) it fails with RV(state=unknown).
  - A disk in C(error_restoring) can only be deleted. Make a new disk from the backup then.
  - The user needs the rights to query and restore VBS backups, to query VBS jobs and to query EVS disks; with
    O(run_id) also to list servers and to write the metadata of disks. Without O(run_id), servers are listed too, to
    see marks of recoveries.
  - Open Telekom Cloud offers VBS only to projects that used it before; other projects keep disk backups in CBR.
seealso:
  - module: hwcloud.recovery.restore_job_info
  - module: hwcloud.recovery.backup_info
  - module: hwcloud.recovery.recovery_run
  - name: VBS API reference, Restoring a Disk Using a VBS Backup (Open Telekom Cloud)
    description: The call that this module makes.
    link: https://docs.otc.t-systems.com/volume-backup-service/api-ref/api_description/vbs_backups/restoring_a_disk_using_a_vbs_backup.html
  - name: VBS API reference, Restoring a Disk Using a VBS Backup (Flexible Engine)
    description: The same call.
    link: https://support.huaweicloud.com/intl/en-us/eu-west-0-api-vbs/en-us_topic_0020237257.html
  - name: EVS API reference, EVS Disk Status
    description: What the states of a disk mean.
    link: https://docs.otc.t-systems.com/elastic-volume-service/api-ref/appendix/evs_disk_status.html
"""

EXAMPLES = r"""
---
# The connection comes from HW_* or OS_* environment variables in most of these examples.

- name: Restore a detached disk and wait for the end
  hwcloud.recovery.vbs_disk_restore:
    region: eu-de
    cloud: otc.t-systems.com
    username: operator
    password: "{{ vault_password }}"
    domain_name: OTC-EU-DE-00000000001000000000
    backup_id: 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11
    volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
    run_id: incident-4711
  delegate_to: localhost

- name: See what would happen
  hwcloud.recovery.vbs_disk_restore:
    backup_id: 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11
    volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
  check_mode: true
  diff: true
  delegate_to: localhost

- name: Start a restore, and do something else meanwhile
  hwcloud.recovery.vbs_disk_restore:
    backup_id: 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11
    volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
    wait: false
  delegate_to: localhost
  register: started

- name: Wait for its end
  hwcloud.recovery.vbs_disk_restore:
    handle: "{{ started.handle }}"
    wait_timeout: 7200
  delegate_to: localhost

- name: Wait for a job that somebody else started
  hwcloud.recovery.vbs_disk_restore:
    job_id: 70a599e0-31e7-49b7-b260-868f441e862b
    volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
  delegate_to: localhost

- name: Restore with signed requests instead of a password
  hwcloud.recovery.vbs_disk_restore:
    backup_id: 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11
    volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
  delegate_to: localhost
  environment:
    HW_CLOUD: prod-cloud-ocb.orange-business.com
    HW_REGION_NAME: eu-west-0
    HW_ACCESS_KEY: "{{ vault_access_key }}"
    HW_SECRET_KEY: "{{ vault_secret_key }}"
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
  sample: "disk c96e4a94-927a-425c-8795-63f9964cfebd: restored"
backup_id:
  description: The backup that the data comes from.
  returned: together with RV(state)
  type: str
  sample: 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11
backup_name:
  description: Its name.
  returned: together with RV(state), where known; not for C(already_restored)
  type: str
  sample: db01-data-2026-01-02
backup_created_at:
  description: When it was made, in UTC.
  returned: together with RV(state), where known; not for C(already_restored)
  type: str
  sample: "2026-01-02T01:00:00Z"
volume_id:
  description: The disk.
  returned: together with RV(state); null for a bare O(job_id)
  type: str
  sample: c96e4a94-927a-425c-8795-63f9964cfebd
server_id:
  description: Always null, since the disk is detached.
  returned: together with RV(state); not for C(already_restored)
  type: str
  sample:
job_id:
  description: Id of the VBS job.
  returned: once the cloud has accepted the restore; null for an adopted restore, whose job is not known
  type: str
  sample: 70a599e0-31e7-49b7-b260-868f441e862b
handle:
  description:
    - By this the restore can be waited for later, with O(handle) or M(hwcloud.recovery.restore_job_info).
    - Null if nothing was accepted.
  returned: together with RV(state); not for C(already_restored)
  type: dict
  sample:
    service: vbs
    job_id: 70a599e0-31e7-49b7-b260-868f441e862b
    backup_id: 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11
    volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
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
      sample: VolumeBackup.0205
    http_status:
      description: HTTP status of the answer, null if there was none.
      type: int
      returned: success
      sample: 400
    message:
      description: What was asked, and what the cloud said.
      type: str
      returned: success
      sample: "restoring disk c96e4a94-927a-425c-8795-63f9964cfebd: the disk is not available"
    request_id:
      description: For the cloud's support.
      type: str
      returned: success
      sample: 6fbe0e4a5d2f4d6c8f0a1b2c3d4e5f60
    remedy:
      description: What to do next.
      type: str
      returned: success
      sample: Stop the server and detach the disk first.
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
      sample: disk_attached
    target:
      description: The disk or server.
      type: str
      returned: success
      sample: c96e4a94-927a-425c-8795-63f9964cfebd
    volume_id:
      description: The disk, empty if it is not about one.
      type: str
      returned: success
      sample: c96e4a94-927a-425c-8795-63f9964cfebd
    message:
      description: What is wrong.
      type: str
      returned: success
      sample: disk c96e4a94-927a-425c-8795-63f9964cfebd is attached to server 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b
    remedy:
      description: What to do about it.
      type: str
      returned: success
      sample: Stop the server and detach the disk first, or let recovery_run do all of it.
diff:
  description: What the disk or server holds before and after.
  returned: when a restore was, or would be, started by this task
  type: dict
  sample:
    before: "disk c96e4a94-927a-425c-8795-63f9964cfebd: its present data, detached\n"
    after: >-
      disk c96e4a94-927a-425c-8795-63f9964cfebd: backup 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11 of 2026-01-02T01:00:00Z,
      detached
"""

from collections.abc import Mapping
from typing import Any

from ..module_utils._run.module import run
from ..module_utils._run.options import WAITING_SPEC, OptionError, identifier, need_positive, run_id
from ..module_utils._run.recovery import Shell
from ..module_utils._run.single import DiskWish, follow, restore_disk, rules_of

SPEC = {
    "backup_id": {"type": "str"},
    "volume_id": {"type": "str"},
    "allow_other_target": {"type": "bool", "default": False},
    "job_id": {"type": "str"},
    **WAITING_SPEC,
}


def work(shell: Shell, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    need_positive(params, "wait_timeout", "wait_interval")
    if params["handle"] or params["job_id"]:
        return follow(shell, params["handle"] or handle_of_job(params), rules_of(params), dry_run=check_mode)
    if not params["backup_id"] or not params["volume_id"]:
        raise OptionError("backup_id and volume_id are required, unless handle or job_id says what to wait for")
    backup_id, volume_id = identifier(params["backup_id"]), identifier(params["volume_id"])
    wish = DiskWish(backup_id, volume_id, run_id(params), params["allow_other_target"])
    return restore_disk(shell, wish, rules_of(params), dry_run=check_mode)


def handle_of_job(params: Mapping[str, Any]) -> dict[str, Any]:
    ids = {name: identifier(params[name]) or None for name in ("backup_id", "volume_id")}
    return {"service": "vbs", "job_id": params["job_id"], **ids}


def main() -> None:
    run(work, SPEC, mutually_exclusive=[("handle", "job_id")])


if __name__ == "__main__":
    main()
