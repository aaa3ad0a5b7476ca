#!/usr/bin/python
# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: restore_job_info
short_description: Look where a restore stands
version_added: 0.1.0
description:
  - Looks once at a restore that M(hwcloud.recovery.vbs_disk_restore) or M(hwcloud.recovery.hss_backup_restore)
    started.
  - It changes nothing and does not wait. To wait, give the same O(handle) to the module that started the restore.
author:
  - hwcloud.recovery maintainers (@hwcloud-recovery)
options:
  handle:
    description:
      - The C(handle) that the restore returned, as it is.
      - Exactly one of O(handle) and O(job_id) is required.
    type: dict
  job_id:
    description:
      - Id of a VBS job. A bare id does not name the disk, so only the job is looked at, while with O(handle) the
        state of the disk must fit too.
    type: str
extends_documentation_fragment:
  - hwcloud.recovery.attributes
  - hwcloud.recovery.connection
attributes:
  check_mode:
    support: full
    details: It never changes anything.
  diff_mode:
    support: N/A
    details: It never changes anything.
  idempotent:
    support: N/A
    details: It never changes anything.
notes:
  - It fails if the restore cannot be looked at, for example because the cloud does not answer or does not know the
    job. That says nothing about the restore. A restore that failed is no failure of this module, see RV(success).
  - For HSS this costs one call or two of the 5 that HSS allows a user in a minute.
  - VBS does not document how long it knows a job.
seealso:
  - module: hwcloud.recovery.vbs_disk_restore
  - module: hwcloud.recovery.hss_backup_restore
  - name: HSS API reference, Querying the Backup and Restoration Task List
    description: Where restores of HSS are looked for.
    link: https://support.huaweicloud.com/intl/en-us/api-hss2.0/ListOperationLogsByVaultName.html
"""

EXAMPLES = r"""
---
- name: Start a restore
  hwcloud.recovery.vbs_disk_restore:
    backup_id: 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11
    volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
    wait: false
  delegate_to: localhost
  register: started

- name: Look until it has ended
  hwcloud.recovery.restore_job_info:
    handle: "{{ started.handle }}"
  delegate_to: localhost
  register: job
  until: job is succeeded and job.finished
  retries: 120
  delay: 30

- name: Stop if it did not end well
  ansible.builtin.assert:
    that: job.success
    fail_msg: "{{ job.error }}"

- name: Look at a job of which only the id is known
  hwcloud.recovery.restore_job_info:
    job_id: 70a599e0-31e7-49b7-b260-868f441e862b
  delegate_to: localhost
"""

RETURN = r"""
status:
  description: How the restore stands.
  returned: success
  type: str
  choices: [running, restored, failed]
  sample: running
finished:
  description: Whether it has ended.
  returned: success
  type: bool
  sample: false
success:
  description: Whether it ended well. Also false while it runs.
  returned: success
  type: bool
  sample: false
progress_percent:
  description: How much of it is done. Null where the cloud does not tell, which is always so for VBS.
  returned: success
  type: int
  sample: 40
error:
  description: Why the restore failed, or, if this task failed, why it could not be looked at. Null if there is nothing.
  returned: always, except for a wrong option
  type: dict
  contains:
    code:
      description: Code of the cloud, empty if there is none.
      type: str
      returned: success
      sample: VolumeBackup.0200
    http_status:
      description: HTTP status of the answer, null if there was none or the restore itself failed.
      type: int
      returned: success
      sample:
    message:
      description: What happened.
      type: str
      returned: success
      sample: the job failed
    request_id:
      description: For the cloud's support.
      type: str
      returned: success
      sample: ""
    remedy:
      description: What to do next.
      type: str
      returned: success
      sample: Look at the status of disk and backup in the console before asking again.
handle:
  description: The handle that was given, or the one that belongs to O(job_id).
  returned: success
  type: dict
  sample:
    service: vbs
    job_id: 70a599e0-31e7-49b7-b260-868f441e862b
    submitted_at: null
"""

from collections.abc import Mapping
from typing import Any

from ..module_utils._run.module import run
from ..module_utils._run.recovery import Shell
from ..module_utils._run.single import look

SPEC = {"handle": {"type": "dict"}, "job_id": {"type": "str"}}


def work(shell: Shell, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    return look(shell, params["handle"] or {"service": "vbs", "job_id": params["job_id"]})


def main() -> None:
    exactly_one = [("handle", "job_id")]
    run(work, SPEC, read_only=True, required_one_of=exactly_one, mutually_exclusive=exactly_one)


if __name__ == "__main__":
    main()
