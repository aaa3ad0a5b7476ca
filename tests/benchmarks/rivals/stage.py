# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stage for all rivals: a cloud over loopback, the same disks, and a controller to start them on."""

from __future__ import annotations

import json
import os
import random
import string
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.simulator_process import TESTS, Simulator, running_simulator

from benchmarks.rivals.measured import children

RIVALS = Path(__file__).parent
LATENCY_SECONDS = 0.05
WIDTH = 50
INTERVAL_SECONDS = 1
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

Group = dict[str, Any]
"""`server_id` ("" for none) and `disks`, each with `volume_id`, `backup_id` and `device`."""


class RivalFailed(Exception):
    """A rival did not do its work; figures of it would say nothing."""


@dataclass(frozen=True)
class Measured:
    """What one rival took, with all that it started. `peak_bytes`: the most memory of all at one sample (PSS)."""

    started_at: float
    """Seconds since 1970."""
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    calls: Mapping[str, int]
    """By API."""
    cloud_cpu_seconds: float
    """Of the simulator meanwhile, which is not counted above but works on the same machine."""


def an_id(kind: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind} {number}"))


def groups(number: int, *, disks_per_server: int = 0) -> list[Group]:
    """So many disks, each with its newest backup; alone, or together with those of its server."""
    size = disks_per_server or 1
    return [
        {
            "server_id": an_id("server", place) if disks_per_server else "",
            "disks": [
                {
                    "volume_id": an_id("disk", n),
                    "backup_id": an_id("backup 0", n),
                    "device": "/dev/vd" + string.ascii_lowercase[n % size],
                }
                for n in range(place * size, min((place + 1) * size, number))
            ],
        }
        for place in range(-(-number // size))
    ]


def scenario(found: Sequence[Group], *, backups_per_disk: int = 3) -> dict[str, Any]:
    """Restores take 3 to 7 seconds, in steps of 10 ms: whole seconds would be in step with the polls.

    No rate limits, since they would hide what the rivals take.
    """
    sizes = random.Random(1)
    disks: list[dict[str, Any]] = []
    for group in found:
        for disk in group["disks"]:
            spec = {"id": disk["volume_id"], "name": f"disk-{len(disks)}", "size": sizes.randint(300, 700)}
            if group["server_id"]:
                spec["attached"] = {"server": group["server_id"], "device": disk["device"]}
                spec["bootable"] = disk["device"] == "/dev/vda"
            disks.append(spec)
    backups = [
        {
            "id": an_id(f"backup {age}", n),
            "name": f"{spec['name']}-{age}-days-old",
            "volume_id": spec["id"],
            "size": spec["size"],
            "age_seconds": 3600 + 86400 * age,
        }
        for n, spec in enumerate(disks)
        for age in range(backups_per_disk)
    ]
    return {
        "name": "benchmark",
        "project": {"id": "0123456789abcdef0123456789abcdef", "name": "eu-de"},
        "users": [{"name": "operator", "password": "demo-Password-1", "domain": "demo-account"}],
        "servers": [{"id": g["server_id"], "name": f"server-{n}"} for n, g in enumerate(found) if g["server_id"]],
        "disks": disks,
        "vbs_backups": backups,
        "timing": {
            "vbs_restore": 0,
            "vbs_restore_per_gb": 0.01,
            "vbs_settle": 0,
            "stop": 2,
            "start": 3,
            "detach": 1,
            "attach": 1,
        },
        "limits": {"rates": {}},
    }


@dataclass(frozen=True)
class Stage:
    """A running cloud and an empty folder."""

    simulator: Simulator
    simulator_pid: int
    folder: Path

    def write(self, name: str, document: Any) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    def environment(self) -> dict[str, str]:
        collections = os.environ.get("ANSIBLE_COLLECTIONS_PATH", str(TESTS.parent / ".cache" / "link"))
        return self.simulator.environment() | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "ANSIBLE_COLLECTIONS_PATH": collections,
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_ASYNC_DIR": str(self.folder / "async"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        }

    def measure(self, command: Sequence[str]) -> Measured:
        """Run a rival to its end."""
        before = self._cloud_cpu_seconds()
        report, output = self.folder / "measured.json", self.folder / "output.txt"
        with output.open("wb") as said:
            subprocess.run(
                [sys.executable, str(RIVALS / "measured.py"), str(report), *command],
                env=self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                check=True,
            )
        found = json.loads(report.read_text(encoding="utf-8"))
        if found["code"]:
            raise RivalFailed(f"{command} ended with {found['code']}:\n{output.read_text(encoding='utf-8')[-3000:]}")
        return Measured(
            found["started_at"],
            found["wall_seconds"],
            found["cpu_seconds"],
            found["peak_bytes"],
            self.simulator.ask("/summary")["by_api"],
            self._cloud_cpu_seconds() - before,
        )

    def check_restored(self, number: int) -> None:
        """Every disk once, and nothing that the cloud found strange."""
        summary = self.simulator.ask("/summary")
        counts = summary["restores_per_disk"].values()
        if len(counts) != number or set(counts) != {1} or summary["violations"]:
            raise RivalFailed(f"{len(counts)} of {number} disks restored; violations: {summary['violations']}")

    def _cloud_cpu_seconds(self) -> float:
        """proc(5), stat: the fields after the name in brackets begin with the third; 14 and 15 are utime and stime."""
        fields = Path(f"/proc/{self.simulator_pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


@contextmanager
def stage(
    content: Mapping[str, Any], *, latency_seconds: float = LATENCY_SECONDS, ansible_cfg: str = ""
) -> Iterator[Stage]:
    """In real time: a second of the cloud's work takes a second."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        (folder / "ansible.cfg").write_text(ansible_cfg, encoding="utf-8")  # so that nobody's own is read
        path = folder / "scenario.yml"
        path.write_text(json.dumps(content), encoding="utf-8")
        others = set(children(os.getpid()))
        with running_simulator(path, scale=1, options=["--latency", str(latency_seconds)]) as simulator:
            [pid] = set(children(os.getpid())) - others
            yield Stage(simulator, pid, folder)
