# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real playbooks against the real simulator. Each test has its own cloud, home and current folder."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from tools.simulator_process import TESTS, Simulator, running_simulator

CHECKOUT = TESTS.parent
SCENARIOS = TESTS / "simulator" / "scenarios"
SCALE = 300  # five minutes of the cloud's work in a second
PLAY_SECONDS = 90
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
SECRETS = ("demo-Password-1", "DemoSecretKeyForTheSimulatorOnly00000001", "DemoTemporaryKeyForTheSimulatorOnly00001")


@dataclass(frozen=True)
class HostEnd:
    """A line of the recap."""

    ok: int
    changed: int
    unreachable: int
    failed: int


@dataclass(frozen=True)
class Played:
    """How a playbook ended, and all that it said."""

    code: int
    text: str

    @property
    def hosts(self) -> dict[str, HostEnd]:
        return {name: HostEnd(*map(int, counts)) for name, *counts in RECAP.findall(self.text)}

    @property
    def failed_hosts(self) -> set[str]:
        return {name for name, end in self.hosts.items() if end.failed or end.unreachable}

    @property
    def changed_hosts(self) -> set[str]:
        return {name for name, end in self.hosts.items() if end.changed}

    @property
    def said(self) -> str:
        """In one line: Ansible wraps and indents."""
        return " ".join(self.text.split())


@dataclass(frozen=True)
class Cloud:
    """A running simulator, and its control port."""

    simulator: Simulator
    scale: float

    @property
    def rate_limits(self) -> dict[str, int]:
        """For the client: the simulator counts HSS requests in its own, faster minutes."""
        return {"hss": int(5 * self.scale)}

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.simulator.ask("/state")
        return found

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = self.simulator.ask("/summary")
        return found

    def writes(self) -> int:
        return int(self.summary()["writes"])

    def disks(self) -> dict[str, dict[str, Any]]:
        """By name."""
        return {disk["name"]: disk for disk in self.state()["disks"].values()}

    def servers(self) -> dict[str, dict[str, Any]]:
        """By name."""
        return {server["name"]: server for server in self.state()["servers"].values()}

    def act(self, action: str, **details: Any) -> None:
        """A human in the middle."""
        self._post("/act", {"action": action, **details})

    def add_faults(self, *rules: Mapping[str, Any]) -> None:
        self._post("/faults", list(rules))

    def clear_faults(self) -> None:
        """Nothing goes wrong any more, and what is held is let go."""
        self._post("/faults", None, method="DELETE")

    def clear_log(self) -> None:
        self._post("/clear-log", None)

    def _post(self, path: str, body: Any, method: str = "POST") -> None:
        request = urllib.request.Request(self.simulator.control + path, data=json.dumps(body).encode(), method=method)
        without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with without_proxy.open(request, timeout=30) as answer:
            assert answer.status == 200


CloudStarter = Callable[..., Cloud]


@pytest.fixture
def start_cloud(tmp_path: Path) -> Iterator[CloudStarter]:
    """Start a simulator with a scenario of the folder; keywords replace its top-level entries."""
    with ExitStack() as stack:

        def start(scenario: str = "demo.yml", *, scale: float = SCALE, **changes: Any) -> Cloud:
            content = yaml.safe_load((SCENARIOS / scenario).read_text(encoding="utf-8"))
            path = tmp_path / f"scenario-{uuid.uuid4().hex}.yml"
            path.write_text(yaml.safe_dump({**content, **changes}), encoding="utf-8")
            return Cloud(stack.enter_context(running_simulator(path, scale=scale)), scale)

        yield start


@pytest.fixture
def cloud(start_cloud: CloudStarter) -> Cloud:
    return start_cloud()


@dataclass(frozen=True)
class Controller:
    """A machine to run playbooks on: a home and a current folder, both empty at first."""

    folder: Path
    environment: Mapping[str, str]
    secrets: tuple[str, ...] = SECRETS
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def cwd(self) -> Path:
        return self.folder / "cwd"

    def write(self, name: str, content: Any) -> Path:
        """A YAML file in the current folder; text is written as it is."""
        path = self.cwd / name
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        path.write_text(text, encoding="utf-8")
        return path

    def start(
        self,
        playbook: str | Path,
        inventory: Path,
        *arguments: str,
        variables: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        command = ["ansible-playbook", "-i", str(inventory), str(playbook), *arguments]
        if variables:
            command += ["-e", json.dumps(variables)]
        process = subprocess.Popen(
            command,
            cwd=self.cwd,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a process group of its own, as in a terminal, so that Ctrl-C can be sent to it
        )
        self.processes.append(process)
        return process

    def play(
        self,
        playbook: str | Path,
        inventory: Path,
        *arguments: str,
        variables: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Played:
        """Run a playbook to its end."""
        return self.finish(self.start(playbook, inventory, *arguments, variables=variables, environment=environment))

    def finish(self, process: subprocess.Popen[str]) -> Played:
        """Wait for a playbook's end. Whatever it said, no secret may be in it."""
        text, _nothing = process.communicate(timeout=PLAY_SECONDS)
        assert not [secret for secret in self.secrets if secret in text], "a secret was printed"
        print(f"\n$ {process.args!r}\n{text}")  # shown where a test fails
        return Played(process.returncode, text)

    def report(self, run_id: str, name: str = "report.json") -> Any:
        text = (self.cwd / "reports" / run_id / name).read_text(encoding="utf-8")
        return json.loads(text) if name.endswith(".json") else text

    def kill(self) -> None:
        """End every process of this controller at once. Ansible's workers have sessions of their own."""
        killed = self._pids()
        for pid in killed:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for process in self.processes:
            process.communicate(timeout=10)
        # A dead worker is there as a zombie until init has taken note of it.
        deadline = time.monotonic() + 10
        while self._pids() or any(Path("/proc", str(pid)).exists() for pid in killed):
            assert time.monotonic() < deadline, "processes survived SIGKILL"
            time.sleep(0.05)

    def _pids(self) -> list[int]:
        """Known by the home that only this controller has."""
        home = f"HOME={self.environment['HOME']}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if home in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found


ControllerMaker = Callable[[Cloud], Controller]


@pytest.fixture
def new_controller(tmp_path: Path) -> Iterator[ControllerMaker]:
    """Make controllers for a cloud. What still runs of them at the end is killed."""
    made: list[Controller] = []

    def make(cloud: Cloud) -> Controller:
        folder = tmp_path / f"controller-{len(made) + 1}"
        for name in ("cwd", "home"):
            (folder / name).mkdir(parents=True)
        (folder / "ansible.cfg").touch()  # so that nobody's own is read
        environment = cloud.simulator.environment() | {
            "HW_RATE_LIMITS": json.dumps(cloud.rate_limits),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".cache" / "link"),
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(folder / "home" / "ansible"),
            "ANSIBLE_REMOTE_TEMP": str(folder / "home" / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "0",
            "COLUMNS": "200",
            # Ansible leaves flushing to Python, which holds back what goes to a pipe.
            "PYTHONUNBUFFERED": "1",
        }
        controller = Controller(folder, environment)
        made.append(controller)
        return controller

    yield make
    for controller in made:
        controller.kill()


@pytest.fixture
def controller(cloud: Cloud, new_controller: ControllerMaker) -> Controller:
    return new_controller(cloud)
