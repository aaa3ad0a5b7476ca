# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's playbooks at -vvvv with each way to log in: they succeed, they fail, they are not let in."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from integration.conftest import Played
from simulator.rig import disk_id, server_id

from .conftest import Machine
from .ways import REFUSED, VARIABLES, options

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
QUOTED = "cannot be verified"
ECHO = {"times": None, "action": {"echo": True}}


def quoting(*apis: str) -> list[dict[str, Any]]:
    return [{"api": api, **ECHO} for api in apis]


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
# With two ways not to be let in, one for each playbook.
CASES: list[tuple[str, Source, tuple[str, str], dict[str, Any]]] = [
    ("password", vault, ("mistyped password", "mistyped password"), {}),
    ("token", environment, ("unknown token", "broken token"), {}),
    (
        "key",
        variables_file,
        ("mistyped secret key", "unknown access key"),
        {"disaster_recovery_journal": "file", "disaster_recovery_journal_dir": "journal"},
    ),
    ("temporary key", environment, ("mistyped security token", "mistyped secret key"), {}),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("way", "source", "refused", "more"), CASES, ids=[f"{case[0]} in {case[1].__name__}" for case in CASES]
)
def test_no_secret_is_left_anywhere(
    machine: Callable[..., Machine], way: str, source: Source, refused: tuple[str, str], more: dict[str, Any]
) -> None:
    here = machine("small.yml")
    inventory = here.controller.write("inventory.yml", {"all": {"hosts": HOSTS}})
    right = options(here.cloud, way)

    def play(playbook: str, wrong: str = "") -> Played:
        login = right | REFUSED[wrong] if wrong else right
        given = {VARIABLES[name]: value for name, value in login.items()} if source is environment else login
        from_outside, arguments, files = source(here, given)
        return here.play(
            playbook,
            inventory,
            *arguments,
            environment=from_outside,
            given=files,
            variables={**ARGUMENTS, **more},
        )

    assert play(PLAN).code == 0
    played = play(PLAN, refused[0])
    assert played.failed_hosts == set(HOSTS) and "HTTP 401" in played.said
    here.cloud.add_faults(*quoting("iam.create_token"))  # the one that is sent a password
    assert play(RESTORE, refused[1]).failed_hosts == set(HOSTS)
    here.cloud.clear_faults()
    here.cloud.add_faults(*quoting("evs.list_volumes"))
    played = play(PLAN)
    assert played.failed_hosts == set(HOSTS) and QUOTED in played.said
    here.cloud.clear_faults()
    assert here.cloud.writes() == 0

    here.cloud.add_faults(*quoting("vbs.restore", "hss.restore"))
    played = play(RESTORE)
    assert played.failed_hosts == set(HOSTS) and QUOTED in played.said
    here.cloud.clear_faults()
    assert play(RESTORE).code == 0
    assert here.cloud.summary()["restores_per_disk"] == {disk_id(number): 1 for number in (1, 2, 4, 5)}
    written = [path.name for path in here.controller.cwd.rglob("*") if path.is_file()]
    assert {"report.json", "report.md"} <= set(written) and (("run-1.jsonl" in written) is bool(more))
