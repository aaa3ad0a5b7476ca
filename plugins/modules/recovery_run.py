#!/usr/bin/python
# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: recovery_run
short_description: Carry a plan of restores out
version_added: 0.1.0
description:
  - Carries out a plan of M(hwcloud.recovery.recovery_plan) and shows its progress while it runs.
  - Before its first write it reads everything again and repeats all checks. It refuses if the plan was changed, is
    not approved, or does not fit any more.
  - For a disk that is attached it stops the server, detaches the disk, restores it, attaches it at the same device,
    and starts the server if it ran. Servers go on side by side; a server is started only when all its disks of the
    plan are restored and back.
  - For V(hss) targets the cloud does this itself.
  - If the cloud refuses a restore, the untouched disk is attached again and the server put back as it was. If a
    restore fails after it was accepted, that disk stays detached and its server stays off, and the result says what
    to do.
author:
  - hwcloud.recovery maintainers (@hwcloud-recovery)
options:
  plan:
    description:
      - The C(plan) that M(hwcloud.recovery.recovery_plan) returned, as it is.
    type: dict
    required: true
  approved_plan:
    description:
      - The id of the plan, or ids of targets, that were approved. Everything that is to be restored must be covered,
        else nothing is started.
    type: list
    elements: str
    required: true
  run_id:
    description:
      - Name of the recovery. 1 to 40 letters, digits, dots, underscores, colons and hyphens, a letter or digit first.
      - The same name continues what was begun, from any machine, and restores nothing twice. If a run of another name
        has restored a disk since, that one counts, and the older name restores it again as a new one would;
        M(hwcloud.recovery.recovery_plan) warns of that (C(restored_before)).
      - The default is the O(run_id) that the plan was made with, else the id of the plan.
    type: str
  waves:
    description:
      - Only these waves of the plan, in ascending order. The default, an empty list, means all.
      - Later waves are started whatever became of the earlier ones; to decide between waves, run one wave per task,
        as the role does.
    type: list
    elements: int
    default: []
  max_parallel:
    description:
      - How many restores run at once, at least 1.
    type: int
    default: 10
  stop_servers:
    description:
      - How a running server is stopped. V(soft) asks its operating system, V(hard) cuts its power, V(soft_then_hard)
        does the one and after O(stop_timeout) the other, V(refuse) stops none, so that restores of disks of running
        servers fail.
    type: str
    choices: [soft, soft_then_hard, hard, refuse]
    default: soft
  stop_timeout:
    description:
      - Seconds, more than 0, to wait until a server is off.
    type: float
    default: 300
  start_servers:
    description:
      - Whether servers that ran before are started at the end.
    type: bool
    default: true
  allow_encrypted:
    description:
      - Whether encrypted disks may be detached. If the key of such a disk is disabled it cannot be attached again,
        and the collection cannot look at keys.
    type: bool
    default: false
  wait_timeout:
    description:
      - Seconds, more than 0, to wait for the end of each restore. After that it is C(timed_out); it goes on in the
        cloud, and running the same playbook again waits for it.
    type: float
    default: 86400
  wait_interval:
    description:
      - Seconds, more than 0, between two looks. One look serves all restores that wait. HSS is asked no more often
        than O(rate_limits) allows.
    type: float
    default: 10
  progress_interval:
    description:
      - Seconds between two lines of progress. V(0) prints none of them; events are printed anyway.
      - Where Ansible writes into a pipe or a file and not to a terminal, it holds lines back. The environment variable
        E(PYTHONUNBUFFERED=1) shows them at once, and keeps the last ones if the playbook is killed. AWX shows them at
        once by itself.
    type: float
    default: 15
  on_failure:
    description:
      - What happens to the rest of a wave if a restore fails. V(finish) goes on with it, V(stop) starts nothing more.
    type: str
    choices: [finish, stop]
    default: finish
  take_over:
    description:
      - Name of a run that is over and left marks, which this run takes over. As in M(hwcloud.recovery.recovery_plan).
    type: str
  resubmit_unknown:
    description:
      - Names of targets whose restore is submitted again if it cannot be told whether it was done. Look at disk and
        backup in the console first, since data that was written since would be lost.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - hwcloud.recovery.attributes
  - hwcloud.recovery.attributes.action
  - hwcloud.recovery.connection
  - hwcloud.recovery.journal
attributes:
  check_mode:
    support: full
    details: All reads and checks are made.
  diff_mode:
    support: full
    details: One line for each disk or server before and after.
  idempotent:
    support: full
    details: What this run has restored is not restored again.
notes:
  - A restore overwrites whole disks. It cannot be cancelled or undone.
  - It runs on the controller for all targets at once, so use it with C(run_once) or in a play for C(localhost).
  - If the controller dies, run the same playbook again, from anywhere. The marks of the journal tell what was begun.
    For three minutes another controller refuses to take part, unless O(take_over) names the run.
  - A task's C(timeout) would cut it off in the middle. Use O(wait_timeout).
  - Devices may be called differently in the guest after a disk was attached again. Mount by UUID or label.
  - The user needs the rights to query, stop and start ECS servers, to attach and detach disks, to write the metadata
    of servers (C(ecs:cloudServers:updateMetadata)) and disks, to query EVS disks, and to query and restore VBS or HSS
    backups.
seealso:
  - module: hwcloud.recovery.recovery_plan
  - module: hwcloud.recovery.restore_job_info
  - name: VBS API reference, Restoring a Disk Using a VBS Backup (Open Telekom Cloud)
    description: How a disk is restored.
    link: https://docs.otc.t-systems.com/volume-backup-service/api-ref/api_description/vbs_backups/restoring_a_disk_using_a_vbs_backup.html
  - name: HSS API reference, Restoring Data Using a Backup
    description: How a server is restored with V(hss).
    link: https://support.huaweicloud.com/intl/en-us/api-hss2.0/RestoreDuplicationInfo.html
  - name: ECS API reference (Open Telekom Cloud)
    description: How servers are stopped and disks are detached and attached.
    link: https://docs.otc.t-systems.com/elastic-cloud-server/api-ref/
"""

EXAMPLES = r"""
---
# planned is the registered result of recovery_plan, see there for a whole play.

- name: Carry out a plan that was approved by its id
  hwcloud.recovery.recovery_run:
    plan: "{{ planned.plan }}"
    approved_plan: "{{ approved_by_the_change_manager }}"
    stop_servers: soft_then_hard
  run_once: true
  register: recovery

- name: See what would happen
  hwcloud.recovery.recovery_run:
    plan: "{{ planned.plan }}"
    approved_plan: "{{ planned.plan.id }}"
  run_once: true
  check_mode: true
  diff: true

- name: Only the first wave, at most three restores at once, on another cloud
  hwcloud.recovery.recovery_run:
    plan: "{{ planned.plan }}"
    approved_plan: "{{ planned.plan.id }}"
    waves: [1]
    max_parallel: 3
  run_once: true
  environment:
    HW_CLOUD: otc.t-systems.com
    HW_REGION_NAME: eu-de
    HW_USER_NAME: operator
    HW_USER_PASSWORD: "{{ vault_password }}"
    HW_DOMAIN_NAME: OTC-EU-DE-00000000001000000000
"""

RETURN = r"""
run_id:
  description: Name of the run.
  returned: when the plan was ready and approved
  type: str
  sample: incident-4711
plan_id:
  description: Id of the plan.
  returned: when the plan was ready and approved
  type: str
  sample: 3f9c2ab81d07
changed:
  description: Whether something was done, or would be in check mode. Also when the task fails.
  returned: always
  type: bool
  sample: true
msg:
  description: One line, or why nothing was started.
  returned: always
  type: str
  sample: "run incident-4711: 3 restored"
restores:
  description: One for each disk, or for the server with V(hss).
  returned: when the plan was ready and approved
  type: list
  elements: dict
  sample:
    - target: db01
      method: vbs
      volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
      server_id: 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b
      device: /dev/vdb
      backup_id: 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11
      backup_name: db01-data-2026-01-02
      backup_created_at: "2026-01-02T01:00:00Z"
      state: restored
      changed: true
      adopted: false
      handle:
        service: vbs
        job_id: 70a599e0-31e7-49b7-b260-868f441e862b
        backup_id: 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11
        volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
        submitted_at: "2026-01-02T03:04:05Z"
      started_at: "2026-01-02T03:04:04Z"
      finished_at: "2026-01-02T03:16:05Z"
      seconds: 720.4
      error:
      notes: []
  contains:
    target:
      description: Name of the target.
      type: str
      returned: success
    method:
      description: V(vbs) or V(hss).
      type: str
      returned: success
    volume_id:
      description: The disk. Null for V(hss).
      type: str
      returned: success
    server_id:
      description: The server. Null for a disk without one.
      type: str
      returned: success
    device:
      description: Where the disk was attached.
      type: str
      returned: success
    backup_id:
      description: The restore point.
      type: str
      returned: success
    backup_name:
      description: Its name.
      type: str
      returned: success
    backup_created_at:
      description: When it was made, in UTC.
      type: str
      returned: success
    state:
      description:
        - C(restored), C(already_restored), C(submitted), C(failed), C(unknown), C(timed_out), C(skipped), or
          C(planned) in check mode.
      type: str
      returned: success
    changed:
      description: Whether it was accepted, or ended, during this task.
      type: bool
      returned: success
    adopted:
      description: Whether it was running already.
      type: bool
      returned: success
    handle:
      description: For M(hwcloud.recovery.restore_job_info). Null if nothing was accepted.
      type: dict
      returned: success
    started_at:
      description: When this task began with it, in UTC.
      type: str
      returned: success
    finished_at:
      description: When its end was seen, in UTC.
      type: str
      returned: success
    seconds:
      description: Seconds between the two.
      type: float
      returned: success
    error:
      description:
        - What went wrong, with C(code), C(http_status), C(message), C(request_id) and C(remedy). Null if nothing did.
      type: dict
      returned: success
    notes:
      description: What is worth knowing and is no failure.
      type: list
      elements: str
      returned: success
targets:
  description: The same by target, with the worst of the states of its restores. The keys are the names of the targets.
  returned: when the plan was ready and approved
  type: dict
  sample:
    db01:
      id: b0c4d1e2f3a5
      wave: 1
      group: erp
      critical: true
      state: restored
      changed: true
      failed: false
      msg: "db01: 2 restored"
servers:
  description: State in which each server was found and left, what happened to it, and what is different now.
  returned: when the plan was ready and approved
  type: list
  elements: dict
  sample:
    - target: db01
      server_id: 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b
      name: db01
      found: ACTIVE
      left: ACTIVE
      notes: []
      error:
summary:
  description: How many restores are in each state.
  returned: when the plan was ready and approved
  type: dict
  sample:
    restored: 3
rto_seconds:
  description: Seconds from the incident to the end of the last restore. Null if none ended.
  returned: when the plan was ready and approved
  type: float
  sample: 965.2
rpo_seconds:
  description: Age of the oldest restore point at the incident, in seconds.
  returned: when the plan was ready and approved
  type: float
  sample: 7200.0
timeline:
  description: What happened when.
  returned: when the plan was ready and approved
  type: list
  elements: dict
  sample:
    - at: "2026-01-02T03:04:05Z"
      event: accepted
      target: db01
      volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
      text: "disk c96e4a94-927a-425c-8795-63f9964cfebd: restore accepted, job 70a599e0-31e7-49b7-b260-868f441e862b"
problems:
  description: Everything that stands against the plan. Nothing was started.
  returned: when the plan is not ready or not approved
  type: list
  elements: dict
  contains:
    severity:
      description: C(error) keeps the plan from being carried out, C(warning) does not.
      type: str
      returned: success
      choices: [error, warning]
      sample: error
    code:
      description: Short name of the problem, stable between versions.
      type: str
      returned: success
      sample: disk_too_small
    target:
      description: Name of the target, empty if it is about the whole plan.
      type: str
      returned: success
      sample: db01
    volume_id:
      description: The disk, empty if it is not about one.
      type: str
      returned: success
      sample: c96e4a94-927a-425c-8795-63f9964cfebd
    message:
      description: What is wrong.
      type: str
      returned: success
      sample: >-
        disk c96e4a94-927a-425c-8795-63f9964cfebd has 10 GB, its backup 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11 needs 20
        GB
    remedy:
      description: What to do about it.
      type: str
      returned: success
      sample: Extend the disk to at least the backup's size, or take another backup.
error:
  description: Why the cloud could not be asked. With C(code), C(http_status), C(message), C(request_id) and C(remedy).
  returned: when the cloud could not be asked
  type: dict
  sample:
    code: APIGW.0301
    http_status: 401
    message: "looking at disks: Incorrect IAM authentication information"
    request_id: 6fbe0e4a5d2f4d6c8f0a1b2c3d4e5f60
    remedy: Check access key and secret key (or the token), and the clock of this machine.
diff:
  description: What each disk or server holds before and after.
  returned: in diff mode
  type: dict
  sample:
    before: "db01: disk c96e4a94-927a-425c-8795-63f9964cfebd: its present data, at db01 /dev/vdb (ACTIVE)\n"
    after: >-
      db01: disk c96e4a94-927a-425c-8795-63f9964cfebd: backup 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11 of
      2026-01-02T01:00:00Z, at db01 /dev/vdb (ACTIVE)
"""
