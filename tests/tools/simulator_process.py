# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the simulator as a process of its own and stop it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML brings it
TESTS = Path(__file__).resolve().parents[1]
START_SECONDS = 30
STOP_SECONDS = 10
# A rehearsal must not reach a real cloud: what the caller has set for one is taken out of the environment.
CLOUD_VARIABLES = ("HW_", "OS_")


@dataclass(frozen=True)
class Simulator:
    endpoints: dict[str, str]
    control: str
    scenario: dict[str, Any]

    def environment(self) -> dict[str, str]:
        """The caller's environment, with the simulator as the one cloud and the scenario's first user."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(CLOUD_VARIABLES)}
        user = self.scenario["users"][0]
        local = "127.0.0.1,localhost"  # never by way of a proxy
        return inherited | {
            "HW_ENDPOINTS": json.dumps(self.endpoints),
            "HW_AUTH_URL": f"{self.endpoints['iam']}/v3",
            "HW_REGION_NAME": self.scenario["project"]["name"].partition("_")[0],
            "HW_PROJECT_NAME": self.scenario["project"]["name"],
            "HW_USER_NAME": user["name"],
            "HW_USER_PASSWORD": user["password"],
            "HW_DOMAIN_NAME": user.get("domain", "demo-account"),
            "NO_PROXY": local,
            "no_proxy": local,
        }

    def ask(self, path: str) -> Any:
        """What the control port answers: `/state`, `/summary` or `/requests`."""
        without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with without_proxy.open(self.control + path, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def running_simulator(scenario: Path, *, scale: float, options: Sequence[str] = ()) -> Iterator[Simulator]:
    """A simulator in which work takes a `scale`-th of its time; it is stopped at the end, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="simulator-") as folder:
        ready, log = Path(folder, "ready.json"), Path(folder, "log")
        command = [sys.executable, "-m", "simulator", "--scenario", str(scenario), "--scale", str(scale)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, *options, "--ready-file", str(ready)],
                env=os.environ | {"PYTHONPATH": str(TESTS)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_until_ready(process, ready, log)
            told = json.loads(ready.read_text(encoding="utf-8"))
            content = yaml.load(scenario.read_text(encoding="utf-8"), Loader=_LOADER)
            yield Simulator(told["endpoints"], told["control"], content)
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"The simulator did not start within {START_SECONDS} seconds. It said:\n{said}")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
