#!/usr/bin/python
# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: recovery_plan
short_description: Resolve targets into a plan of restores
version_added: 0.1.0
description:
  - Finds the restore point of every disk and server that is to be restored, checks everything that could go wrong,
    and returns a plan with an id. Nothing is changed.
  - The plan is approved by its id, and carried out by M(hwcloud.recovery.recovery_run).
  - Problems do not fail the task. They are all returned in RV(problems), and RV(ready) is false if one of them is an
    error.
author:
  - hwcloud.recovery maintainers (@hwcloud-recovery)
options:
  targets:
    description:
      - What is to be restored. Every disk and every server may be in one target only.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the target, unique in the plan. In the role it is the inventory name of the server.
        type: str
        required: true
      method:
        description:
          - V(vbs) restores the disks in O(targets[].volumes) from VBS backups. V(hss) restores the server
            O(targets[].server_id) with all its disks from an HSS ransomware-protection backup.
        type: str
        choices: [vbs, hss]
        required: true
      wave:
        description:
          - Waves run in ascending order, the targets of one wave together.
        type: int
        default: 1
      group:
        description:
          - Name of a consistency group. All disks of its targets get one common point in time, and none of its
            servers is started if one of its restores fails. All targets of a group must be in one wave. There is no
            default.
        type: str
      critical:
        description:
          - Whether later waves must not start if this target fails. It is passed through to the result for whoever
            runs the waves, as the role does.
        type: bool
        default: false
      server_id:
        description:
          - The server. Required for V(hss). For V(vbs) it is found from the disk's attachment, or from its mark.
        type: str
      volumes:
        description:
          - The disks. Required for V(vbs), not used for V(hss).
        type: list
        elements: dict
        suboptions:
          volume_id:
            description: Id of the disk.
            type: str
            required: true
          backup_id:
            description: Id of its VBS backup, or V(latest) for the newest one at or before the point in time.
            type: str
            default: latest
      backup_id:
        description:
          - For V(hss), id of the backup, or V(latest) for the newest one at or before the point in time. Not used for
            V(vbs).
        type: str
        default: latest
      power_on:
        description:
          - For V(hss), whether the server runs afterwards. The default is V(true). For V(vbs) a server ends as it was
            found, and setting this gives a warning.
        type: bool
      point_in_time:
        description:
          - Restore points made after this time are not used. V(latest), or a time in ISO 8601 like
            V(2026-01-31T04:05:06Z). Without a zone it is UTC.
        type: str
        default: latest
      max_backup_age:
        description:
          - Seconds, more than 0, that the restore point may be older than O(incident_at). An older one is an error.
            There is no limit by default.
        type: float
  incident_at:
    description:
      - When the incident happened, in ISO 8601. Ages of backups, RPO and RTO count from it. The default is now.
    type: str
  clean_only:
    description:
      - Whether HSS backups are passed over that were made at or after the first ransomware alert. VBS does not know
        of alerts, its points have C(clean=unknown).
      - A backup that is named by its id is taken as it is.
    type: bool
    default: true
  alerts_since:
    description:
      - Ransomware alerts before this time, in ISO 8601, are closed and do not count. By default all count.
    type: str
  max_skew:
    description:
      - Seconds by which the restore points of a consistency group may differ. The newest time is taken for which
        every disk has a point at most so much older. The default is 0, so all must be of the same second.
    type: float
  allow_encrypted:
    description:
      - Whether encrypted disks may be detached. If the key of such a disk is disabled it cannot be attached again,
        and the collection cannot look at keys.
    type: bool
    default: false
  group_members:
    description:
      - For each consistency group the names of all its targets. A group of which some are not in O(targets) is an
        error, so that a limited run does not tear a group apart. Not checked by default.
    type: dict
  run_id:
    description:
      - Name of the recovery. 1 to 40 letters, digits, dots, underscores, colons and hyphens, a letter or digit first.
      - What a run of this name has restored is C(already_restored), what it has begun is C(begun) and will be
        finished.
      - By default an unfinished run is continued; if there is none, the id of the plan is the name, and each disk
        that was restored from the same backup before is C(already_restored). To restore again, give a new name.
    type: str
  take_over:
    description:
      - Name of a run that is over and left marks. Without it an unfinished run of another name is an error.
    type: str
extends_documentation_fragment:
  - hwcloud.recovery.attributes
  - hwcloud.recovery.connection
  - hwcloud.recovery.journal
attributes:
  check_mode:
    support: full
    details: It never changes anything.
  diff_mode:
    support: N/A
    details: It never changes anything. M(hwcloud.recovery.recovery_run) in check mode shows the diff.
  idempotent:
    support: N/A
    details: It never changes anything. The same targets and the same restore points give the same plan id.
notes:
  - With V(latest) the plan's id changes when a new backup is made. Approve and run soon, or name the backups.
  - Disks, servers and VBS backups are read in lists. HSS gives details of a backup one at a time, at 5 calls a
    minute, so planning many V(hss) targets takes a while. The plan carries what was read.
  - The user needs the rights to query ECS servers (also to list them), EVS disks and VBS or HSS backups.
seealso:
  - module: hwcloud.recovery.recovery_run
  - module: hwcloud.recovery.backup_info
  - name: VBS user guide (Open Telekom Cloud)
    description: What a restore needs.
    link: https://docs.otc.t-systems.com/volume-backup-service/umn/
  - name: HSS API reference, Restoring Data Using a Backup
    description: What a restore needs.
    link: https://support.huaweicloud.com/intl/en-us/api-hss2.0/RestoreDuplicationInfo.html
"""

EXAMPLES = r"""
---
- name: Recover a database server and a file server
  hosts: localhost
  gather_facts: false
  module_defaults:
    group/hwcloud.recovery.all:
      cloud: myhuaweicloud.com
      region: eu-west-101
      access_key: "{{ vault_access_key }}"
      secret_key: "{{ vault_secret_key }}"
  tasks:
    - name: Plan
      hwcloud.recovery.recovery_plan:
        incident_at: "2026-01-02T03:00:00Z"
        run_id: incident-4711
        max_skew: 900
        targets:
          - name: db01
            method: vbs
            wave: 1
            group: erp
            critical: true
            point_in_time: "2026-01-02T02:00:00Z"
            max_backup_age: 86400
            volumes:
              - volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
              - volume_id: 5a4b3c2d-1e0f-4a9b-8c7d-6e5f4a3b2c1d
          - name: files01
            method: hss
            wave: 2
            server_id: 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b
      register: planned

    - name: Show everything that stands against it
      ansible.builtin.debug:
        var: planned.problems

    - name: Ask for approval
      ansible.builtin.pause:
        prompt: "Type the plan's id to approve it ({{ planned.plan.id }}: {{ planned.plan.totals }})"
      register: answer
      when: planned.ready

    - name: Carry it out
      hwcloud.recovery.recovery_run:
        plan: "{{ planned.plan }}"
        approved_plan: "{{ answer.user_input }}"
      when: planned.ready
"""

RETURN = r"""
plan:
  description: The plan. Hand it to M(hwcloud.recovery.recovery_run) as it is.
  returned: success
  type: dict
  contains:
    id:
      description: Id of the plan, 12 hexadecimal digits. It follows from what is wanted, never from what a run changes.
      type: str
      returned: success
      sample: 3f9c2ab81d07
    run_id:
      description: Name that the run will have.
      type: str
      returned: success
      sample: incident-4711
    asked_run_id:
      description: The O(run_id) that was given. Null if none was.
      type: str
      returned: success
      sample: incident-4711
    ready:
      description: Whether nothing stood against it when it was made. A plan that was not ready is not carried out.
      type: bool
      returned: success
    incident_at:
      description: As in O(incident_at), in UTC.
      type: str
      returned: success
      sample: "2026-01-02T03:00:00Z"
    clean_only:
      description: As in O(clean_only).
      type: bool
      returned: success
      sample: true
    alerts_since:
      description: As in O(alerts_since), in UTC.
      type: str
      returned: success
      sample:
    max_skew:
      description: As in O(max_skew).
      type: float
      returned: success
      sample: 900.0
    waves:
      description: The waves in their order.
      type: list
      elements: dict
      returned: success
      contains:
        wave:
          description: Number of the wave.
          type: int
          returned: success
          sample: 1
        targets:
          description: Its targets.
          type: list
          elements: dict
          returned: success
          contains:
            name:
              description: Name of the target.
              type: str
              returned: success
              sample: db01
            id:
              description: Id of the target, 12 hexadecimal digits. Single targets can be approved with it.
              type: str
              returned: success
              sample: b0c4d1e2f3a5
            method:
              description: V(vbs) or V(hss).
              type: str
              returned: success
              sample: vbs
            wave:
              description: As in O(targets[].wave).
              type: int
              returned: success
              sample: 1
            group:
              description: As in O(targets[].group).
              type: str
              returned: success
              sample: erp
            critical:
              description: As in O(targets[].critical).
              type: bool
              returned: success
              sample: true
            power_on:
              description: As in O(targets[].power_on).
              type: bool
              returned: success
              sample:
            point_in_time:
              description: As in O(targets[].point_in_time), in UTC. Null for V(latest).
              type: str
              returned: success
              sample: "2026-01-02T02:00:00Z"
            max_backup_age:
              description: As in O(targets[].max_backup_age).
              type: float
              returned: success
              sample: 86400.0
            restores:
              description: One for each disk, or for the server with V(hss).
              type: list
              elements: dict
              returned: success
              sample:
                - volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
                  device: /dev/vdb
                  server_id: 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b
                  server_name: db01
                  backup_id: 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11
                  backup_name: db01-data-2026-01-02
                  backup_source: c96e4a94-927a-425c-8795-63f9964cfebd
                  backup_created_at: "2026-01-02T01:00:00Z"
                  backup_age_seconds: 7200
                  backup_size_gb: 40
                  size_gb: 40
                  clean: unknown
                  mappings: []
                  unmapped: []
                  state: to_restore
                  run_id:
                  since:
              contains:
                volume_id:
                  description: The disk. Null for V(hss).
                  type: str
                  returned: success
                device:
                  description: Where the disk is attached, or was before a run detached it.
                  type: str
                  returned: success
                server_id:
                  description: The server. Null for a disk without one.
                  type: str
                  returned: success
                server_name:
                  description: Name of the server.
                  type: str
                  returned: success
                backup_id:
                  description: The restore point. Null if there is none.
                  type: str
                  returned: success
                backup_name:
                  description: Its name.
                  type: str
                  returned: success
                backup_source:
                  description: The disk or the server that it was made of.
                  type: str
                  returned: success
                backup_created_at:
                  description: When it was made, in UTC.
                  type: str
                  returned: success
                backup_age_seconds:
                  description: Its age at RV(plan.incident_at). Negative if it was made later.
                  type: int
                  returned: success
                backup_size_gb:
                  description: Its size in GB.
                  type: int
                  returned: success
                size_gb:
                  description: Size in GB of the disk, or of all disks of the server.
                  type: int
                  returned: success
                clean:
                  description:
                    - C(no) if HSS made it because of ransomware, C(yes) if HSS made it otherwise, C(unknown) for VBS.
                  type: str
                  returned: success
                mappings:
                  description:
                    - For V(hss), which backup goes to which disk. C(backup_id), C(volume_id) and C(size_gb) of each.
                  type: list
                  elements: dict
                  returned: success
                unmapped:
                  description:
                    - For V(hss), backups for which no disk of the server is certain, with the same keys. Errors.
                  type: list
                  elements: dict
                  returned: success
                state:
                  description: C(to_restore), C(begun) or C(already_restored).
                  type: str
                  returned: success
                run_id:
                  description: Which run began or restored it. Null for C(to_restore).
                  type: str
                  returned: success
                since:
                  description: When, in UTC. Null for C(to_restore).
                  type: str
                  returned: success
    totals:
      description: Counts, and the size in GB of all disks.
      type: dict
      returned: success
      sample:
        waves: 2
        targets: 2
        restores: 3
        size_gb: 90
        to_restore: 3
        begun: 0
        already_restored: 0
problems:
  description: Everything that was found, errors first.
  returned: success
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
ready:
  description: Whether there is no error, so that the plan can be carried out.
  returned: success
  type: bool
  sample: true
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
"""

from collections.abc import Mapping
from typing import Any

from ..module_utils._run.module import run
from ..module_utils._run.options import JOURNAL_SPEC, journal_directory
from ..module_utils._run.recovery import Shell, problems_first_errors, resolve
from ..module_utils._run.targets import PLAN_SPEC, terms_of, wishes_of


def work(shell: Shell, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    wishes = wishes_of(params["targets"])
    terms = terms_of(params, now=shell.clock.now())
    plan = resolve(shell.api, wishes, terms, clock=shell.clock, journal_dir=journal_directory(params))
    return {
        "plan": plan.as_dict(),
        "problems": problems_first_errors(plan.problems),
        "ready": plan.ready,
        "changed": False,
    }


def main() -> None:
    run(work, {**PLAN_SPEC, **JOURNAL_SPEC}, read_only=True)


if __name__ == "__main__":
    main()
