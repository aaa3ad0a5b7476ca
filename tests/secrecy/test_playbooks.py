# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's playbooks at -vvvv with each way to log in: a plan, a restore that fails, one that succeeds."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from simulator.rig import disk_id, server_id

from .conftest import Machine
from .ways import options, variables

PLAN, RESTORE = "hwcloud.recovery.plan", "hwcloud.recovery.restore"
HOSTS = {
    "db01": {
        "disaster_recovery_method": "vbs",
        "disaster_recovery_volumes": [{"volume_id": disk_id(1)}, {"volume_id": disk_id(2)}],
    },
    "files01": {"disaster_recovery_method": "hss", "disaster_recovery_server_id": server_id(2)},
}
ARGUMENTS = {
    "disaster_recovery_auto_approve": True,
    "disaster_recovery_run_id": "run-1",
    "disaster_recovery_wait_interval": 0.2,
}
QUOTED = [{"api": api, "action": {"echo": True}} for api in ("vbs.restore", "hss.restore")]


def environment(machine: Machine, login: Mapping[str, Any]) -> tuple[dict[str, str], list[str], list[Path]]:
    return {name: str(value) for name, value in login.items()}, [], []


def variables_file(machine: Machine, login: Mapping[str, Any]) -> tuple[dict[str, str], list[str], list[Path]]:
    path = machine.controller.write("login.yml", {"disaster_recovery_connection": dict(login)})
    return {}, ["-e", f"@{path}"], [path]


def vault(machine: Machine, login: Mapping[str, Any]) -> tuple[dict[str, str], list[str], list[Path]]:
    """The same file, encrypted: then not even the file tells."""
    environment, arguments, [path] = variables_file(machine, login)
    key = machine.controller.write("vault-key", "a key of the vault, made for this test")
    subprocess.run(
        ["ansible-vault", "encrypt", "--vault-password-file", str(key), str(path)],
        env=dict(machine.controller.environment),
        capture_output=True,
        check=True,
    )
    return environment, [*arguments, "--vault-password-file", str(key)], []


Source = Callable[[Machine, Mapping[str, Any]], tuple[dict[str, str], list[str], list[Path]]]
CASES: list[tuple[str, Source, dict[str, Any]]] = [
    ("password", vault, {}),
    ("token", environment, {}),
    ("key", variables_file, {"disaster_recovery_journal": "file", "disaster_recovery_journal_dir": "journal"}),
    ("temporary key", environment, {}),
]


@pytest.mark.parametrize(("way", "source", "more"), CASES, ids=[f"{case[0]} in {case[1].__name__}" for case in CASES])
def test_no_secret_is_left_anywhere(
    machine: Callable[..., Machine], way: str, source: Source, more: dict[str, Any]
) -> None:
    here = machine("small.yml")
    login = variables(here.cloud, way) if source is environment else options(here.cloud, way)
    from_outside, arguments, given = source(here, login)
    inventory = here.controller.write("inventory.yml", {"all": {"hosts": HOSTS}})

    def play(playbook: str) -> Any:
        return here.play(
            playbook,
            inventory,
            *arguments,
            environment=from_outside,
            given=given,
            variables={**ARGUMENTS, **more},
        )

    assert play(PLAN).code == 0
    here.cloud.add_faults(*QUOTED)
    failed = play(RESTORE)
    assert failed.failed_hosts == set(HOSTS) and "cannot be verified" in failed.said
    assert play(RESTORE).code == 0
    assert here.cloud.summary()["restores_per_disk"] == {disk_id(number): 1 for number in (1, 2, 4, 5)}
    written = [path.name for path in here.controller.cwd.rglob("*") if path.is_file()]
    assert {"report.json", "report.md"} <= set(written) and (("run-1.jsonl" in written) is bool(more))
