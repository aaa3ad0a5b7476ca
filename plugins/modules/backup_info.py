#!/usr/bin/python
# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: backup_info
short_description: List restore points of disks and servers
version_added: 0.1.0
description:
  - Lists VBS backups of disks or HSS backups of servers, newest first.
author:
  - hwcloud.recovery maintainers (@hwcloud-recovery)
options:
  service:
    description:
      - Which backups. V(vbs) has backups of single disks, V(hss) has ransomware-protection backups of whole servers.
    type: str
    choices: [vbs, hss]
    required: true
  volume_id:
    description:
      - Only backups of this disk. For O(service=vbs) only. By default those of all disks of the project.
      - At most one of O(volume_id), O(server_id) and O(backup_id) can be given.
    type: str
  server_id:
    description:
      - Only backups of this server. For O(service=hss) only, and required there unless O(backup_id) is given.
    type: str
  backup_id:
    description:
      - Only this backup, whatever its status. For O(service=hss) this is the way to see its children.
    type: str
  status:
    description:
      - Only backups with this status. V("") lists them with any status.
      - VBS knows C(available), C(creating), C(restoring), C(deleting), C(error) and C(error_restoring); HSS knows
        C(available), C(protecting), C(restoring), C(deleting), C(error), C(waiting_protect), C(waiting_restore) and
        C(waiting_delete).
    type: str
    default: available
  before:
    description:
      - Only backups made at or before this time, in ISO 8601 like V(2026-01-31T04:05:06Z). Without a zone it is UTC.
        Without a time of day it is the beginning of that day. There is no default.
    type: str
  after:
    description:
      - Only backups made at or after this time, written like O(before). There is no default.
    type: str
  clean_only:
    description:
      - Leave out backups that were made at or after the first one that HSS made because of a ransomware alert, of
        those that HSS still lists.
      - Has no effect with O(service=vbs), which does not know of alerts.
    type: bool
    default: false
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
  - The user needs the rights to query VBS backups or HSS backups.
  - Backups that another project shares can only make new disks, no restore accepts them. They are not listed here.
seealso:
  - module: hwcloud.recovery.vbs_disk_restore
  - module: hwcloud.recovery.hss_backup_restore
  - module: hwcloud.recovery.recovery_plan
  - name: VBS API reference (Open Telekom Cloud)
    description: Querying VBS backups.
    link: https://docs.otc.t-systems.com/volume-backup-service/api-ref/
  - name: HSS API reference
    description: Querying the backups of a server.
    link: https://support.huaweicloud.com/intl/en-us/api-hss2.0/
"""

EXAMPLES = r"""
---
- name: Restore points of a disk from before the incident
  hwcloud.recovery.backup_info:
    service: vbs
    volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
    before: "2026-01-02T03:00:00Z"
  delegate_to: localhost
  register: points

- name: Restore the newest of them
  hwcloud.recovery.vbs_disk_restore:
    volume_id: c96e4a94-927a-425c-8795-63f9964cfebd
    backup_id: "{{ points.backups[0].id }}"
    run_id: incident-4711
  delegate_to: localhost

- name: Clean restore points of a server
  hwcloud.recovery.backup_info:
    service: hss
    server_id: 1e2f3a4b-5c6d-4e7f-8a9b-0c1d2e3f4a5b
    clean_only: true
  delegate_to: localhost

- name: One backup with the backups of the server's disks in it
  hwcloud.recovery.backup_info:
    service: hss
    backup_id: 7d1c3f0e-6a0f-4f6e-9d1c-1b2a3c4d5e6f
  delegate_to: localhost
"""

RETURN = r"""
backups:
  description: The backups, newest first. Those whose time the cloud does not tell are last.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Id of the backup.
      type: str
      returned: success
      sample: 9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11
    name:
      description: Its name, empty if it has none.
      type: str
      returned: success
      sample: db01-data-2026-01-02
    service:
      description: Where it is from, C(vbs) or C(hss).
      type: str
      returned: success
      sample: vbs
    volume_id:
      description: The disk that it was made of. Null if it was made of a server.
      type: str
      returned: success
      sample: c96e4a94-927a-425c-8795-63f9964cfebd
    server_id:
      description: The server that it was made of. Null if it was made of a disk.
      type: str
      returned: success
      sample:
    created_at:
      description: When it was made, in UTC. Null if the cloud does not tell.
      type: str
      returned: success
      sample: "2026-01-02T01:00:00Z"
    age_seconds:
      description: Its age by the cloud's clock. Null if the cloud does not tell.
      type: int
      returned: success
      sample: 7200
    size:
      description: Size in GB. Null in lists of HSS.
      type: int
      returned: success
      sample: 40
    status:
      description: Status as the cloud names it.
      type: str
      returned: success
      sample: available
    ransomware_alert:
      description:
        - Whether HSS made it because it saw ransomware, so that it is probably not clean.
        - Null where that is not known, which is always so for VBS and for a single HSS backup.
      type: bool
      returned: success
      sample: false
    fail_reason:
      description: Why it failed. Null if it did not.
      type: str
      returned: success
      sample:
    children:
      description: The backups of the server's disks in it. Empty for VBS and in lists of HSS.
      type: list
      elements: dict
      returned: success
      sample:
        - id: 0d9c8b7a-6f5e-4d3c-9b2a-1f0e9d8c7b6a
          name: files01-2026-01-02-0
          resource_id: c96e4a94-927a-425c-8795-63f9964cfebd
          resource_type: OS::Cinder::Volume
          size: 40
          status: available
error:
  description: Why the cloud could not be asked. With C(code), C(http_status), C(message), C(request_id) and C(remedy).
  returned: when the cloud could not be asked
  type: dict
  sample:
    code: APIGW.0301
    http_status: 401
    message: "listing the backups of the project: Incorrect IAM authentication information"
    request_id: 6fbe0e4a5d2f4d6c8f0a1b2c3d4e5f60
    remedy: Check access key and secret key (or the token), and the clock of this machine.
"""

from collections.abc import Mapping
from typing import Any

from ..module_utils._run.inventory import PointFilter, list_points
from ..module_utils._run.module import run
from ..module_utils._run.options import identifier, moment
from ..module_utils._run.recovery import Shell

SPEC = {
    "service": {"type": "str", "choices": ["vbs", "hss"], "required": True},
    "volume_id": {"type": "str"},
    "server_id": {"type": "str"},
    "backup_id": {"type": "str"},
    "status": {"type": "str", "default": "available"},
    "before": {"type": "str"},
    "after": {"type": "str"},
    "clean_only": {"type": "bool", "default": False},
}


def work(shell: Shell, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    wanted = PointFilter(
        service=params["service"],
        volume_id=identifier(params["volume_id"]),
        server_id=identifier(params["server_id"]),
        backup_id=identifier(params["backup_id"]),
        status=params["status"],
        before=moment(params, "before"),
        after=moment(params, "after"),
        clean_only=params["clean_only"],
    )
    return {"backups": list_points(shell, wanted), "changed": False}


def main() -> None:
    run(work, SPEC, read_only=True, mutually_exclusive=[("volume_id", "server_id", "backup_id")])


if __name__ == "__main__":
    main()
