# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backup_info: which restore points are listed, and what is told of them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.options import OptionError
from ansible_collections.hwcloud.recovery.plugins.modules import backup_info
from simulation.cases import backup_id, disk_id, server_id
from simulator.rig import child_id, hss_id

from .conftest import Stage

FILES: dict[str, Any] = {"service": "hss", "server_id": server_id(2)}
DB_DISK: dict[str, Any] = {"service": "vbs", "volume_id": disk_id(1)}


def ids(stage: Stage, **options: Any) -> list[str]:
    result = stage.run(backup_info, **options)
    assert result["changed"] is False
    return [backup["id"] for backup in result["backups"]]


def hours_ago(stage: Stage, hours: float) -> str:
    return datetime.fromtimestamp(stage.world.clock.now() - hours * 3600, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_backups_of_a_disk_newest_first(stage: Stage) -> None:
    assert ids(stage, **DB_DISK) == [backup_id(1, n) for n in (1, 2, 3)]
    assert len(ids(stage, service="vbs")) == 9
    [one] = stage.run(backup_info, service="vbs", backup_id=backup_id(1, 2))["backups"]
    assert (one["volume_id"], one["size"], one["status"]) == (disk_id(1), 10, "available")
    assert abs(one["age_seconds"] - 93600) < 5 and one["ransomware_alert"] is None and one["children"] == []


def test_backups_of_a_server_and_what_is_in_one(stage: Stage) -> None:
    assert ids(stage, **FILES) == [hss_id(2, n) for n in (1, 2, 3)]
    alerts = [backup["ransomware_alert"] for backup in stage.run(backup_info, **FILES)["backups"]]
    assert alerts == [True, False, False]
    [one] = stage.run(backup_info, service="hss", backup_id=hss_id(2, 2))["backups"]
    assert [(c["id"], c["resource_id"]) for c in one["children"]] == [
        (child_id(4), disk_id(4)),
        (child_id(5), disk_id(5)),
    ]


def test_times_and_status_filter(stage: Stage) -> None:
    assert ids(stage, **FILES, before=hours_ago(stage, 1)) == [hss_id(2, 2), hss_id(2, 3)]
    assert ids(stage, **FILES, after=hours_ago(stage, 24)) == [hss_id(2, 1), hss_id(2, 2)]
    assert ids(stage, **FILES, before=hours_ago(stage, 1), after=hours_ago(stage, 24)) == [hss_id(2, 2)]
    stage.world.act("set_backup", backup_id=backup_id(3, 1), status="error")
    archive: dict[str, Any] = {"service": "vbs", "volume_id": disk_id(3)}
    assert ids(stage, **archive) == [backup_id(3, 2), backup_id(3, 3)]
    assert ids(stage, **archive, status="error") == [backup_id(3, 1)]
    assert len(ids(stage, **archive, status="")) == 3
    assert ids(stage, service="vbs", backup_id=backup_id(3, 1)) == [backup_id(3, 1)]


def test_clean_only_ends_at_the_first_alert(stage: Stage) -> None:
    assert ids(stage, **FILES, clean_only=True) == [hss_id(2, 2), hss_id(2, 3)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"service": "vbs", "server_id": server_id(1)}, "give volume_id"),
        ({"service": "hss", "volume_id": disk_id(1)}, "give server_id"),
        ({"service": "hss"}, "needs server_id or backup_id"),
        ({"service": "hss", "backup_id": hss_id(2, 1), "clean_only": True}, "clean_only needs server_id"),
        ({**DB_DISK, "before": "yesterday"}, "before: 'yesterday' is not a time like"),
    ],
)
def test_what_cannot_be_listed(stage: Stage, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        stage.run(backup_info, **options)
    assert not stage.requests
