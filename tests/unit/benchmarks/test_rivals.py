# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rivals are measured with and work on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.rivals import measured
from benchmarks.rivals.stage import groups, scenario
from simulator.scenario import parse

BUSY = "import time\nwhile time.process_time() < 0.5: pass"
# As Ansible's async does: a grandchild in a session of its own, which its parent does not wait for.
DAEMON = f"""
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.execv(sys.executable, [sys.executable, "-c", {BUSY!r}])
"""


def measure(folder: Path, *command: str) -> dict[str, Any]:
    report = folder / "report.json"
    subprocess.run([sys.executable, measured.__file__, str(report), *command], check=True, timeout=60)
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("program", [BUSY, DAEMON], ids=["itself", "daemon"])
def test_cpu_of_everything_that_was_started(program: str, tmp_path: Path) -> None:
    found = measure(tmp_path, sys.executable, "-c", program)
    assert found["code"] == 0
    assert found["cpu_seconds"] >= 0.5


def test_memory_and_exit_code(tmp_path: Path) -> None:
    held = "import time\nheld = b'x' * 100_000_000\ntime.sleep(1)\nraise SystemExit(3)"
    found = measure(tmp_path, sys.executable, "-c", held)
    assert found["code"] == 3
    assert found["wall_seconds"] >= 1
    assert found["peak_bytes"] > 100_000_000


@pytest.mark.parametrize("disks_per_server", [0, 2])
def test_the_simulator_takes_the_scenario(disks_per_server: int) -> None:
    wanted = groups(5, disks_per_server=disks_per_server)
    found = parse(scenario(wanted, backups_per_disk=2))
    assert len(found.disks) == sum(len(group["disks"]) for group in wanted) == 5
    assert len(found.vbs_backups) == 10
    assert [server.id for server in found.servers] == [group["server_id"] for group in wanted if group["server_id"]]
    newest = {backup.volume_id: backup.id for backup in found.vbs_backups if backup.age_seconds == 3600}
    assert newest == {disk["volume_id"]: disk["backup_id"] for group in wanted for disk in group["disks"]}
