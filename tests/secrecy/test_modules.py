# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module and the action at -vvvv: what they return, when they succeed and when they fail in any way.

Each test is one playbook of many tasks. What each task returned is written to a file, which is searched like the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from integration.tasks import INVENTORY, UGLY, Result, result_of, task
from simulator.rig import disk_id, hss_id, server_id, vbs_id

from .conftest import Machine
from .leaks import Secrets
from .ways import BROKEN_TOKEN, PASSWORD, SECRETS, TYPO, UNKNOWN_TOKEN, options, variables

BACKUPS = {"service": "vbs", "volume_id": disk_id(3)}
TARGET = {"name": "db01", "method": "vbs", "volumes": [{"volume_id": disk_id(1)}]}
QUOTED = "cannot be verified"
WRONG = {"typo": TYPO, "unknown_token": UNKNOWN_TOKEN, "broken_token": BROKEN_TOKEN, "right_password": PASSWORD}
STATUS_401 = {
    "status": 401,
    "json": {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information"},
}


def perform(
    machine: Machine,
    tasks: Sequence[Result],
    *,
    login: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Run tasks whatever becomes of them, with a copy of what each returned. `login` is a variable for the tasks."""
    registered = [
        {"name": f"Case {number}", "register": result_of(number), "ignore_errors": True, **one}
        for number, one in enumerate(tasks)
    ]
    target = machine.controller.cwd / "results.json"
    results = ", ".join(result_of(number) for number in range(len(tasks)))
    keep = {"ansible.builtin.copy": {"content": f"{{{{ [{results}] | to_json }}}}", "dest": str(target)}}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [*registered, {"name": "Keep the results", **keep}]}
    playbook = machine.controller.write("tasks.yml", [play])
    inventory = machine.controller.write("inventory.ini", INVENTORY)
    # Not in the tasks: ansible-core 2.19 and newer quote the lines of a task that fails.
    variables = machine.controller.write("secrets.yml", {"login": {**(login or {}), **WRONG}})
    played = machine.play(playbook, inventory, "-e", f"@{variables}", environment=environment, given=[variables])
    assert played.code == 0
    found: list[dict[str, Any]] = json.loads(target.read_text(encoding="utf-8"))
    for one in found:
        assert not [words for words in UGLY if words in json.dumps(one)], one
    return found


def secret(name: str) -> str:
    return f"{{{{ login.{name} }}}}"


REFUSED = {"username": "operator", "password": secret("typo"), "domain_name": "demo-account"}


def run(number: int, run_id: str, **login: Any) -> Result:
    """Carry out the plan that the task of that number made."""
    plan = f"{{{{ {result_of(number)}.plan }}}}"
    approved = f"{{{{ {result_of(number)}.plan.id }}}}"
    return task("recovery_run", plan=plan, approved_plan=approved, run_id=run_id, wait_interval=0.2, **login)


def without_faults(machine: Machine) -> Result:
    """A task from which on nothing goes wrong in the cloud any more."""
    return {"ansible.builtin.uri": {"url": f"{machine.cloud.simulator.control}/faults", "method": "DELETE"}}


# What it fails with, and a login that is refused by IAM, by a service, by the client; two ways in one; half a way.
NOT_LET_IN: list[tuple[str, dict[str, Any]]] = [
    ("The username or password is wrong", REFUSED),
    ("decrypt token fail", {"token": secret("unknown_token")}),
    ("malformed header", {"token": secret("broken_token")}),
    ("several ways to log in", {"password": secret("right_password"), "token": secret("broken_token")}),
    ("without domain_name", {"username": "operator", "password": secret("right_password")}),
]
FAULTS: list[dict[str, Any]] = [
    {"api": "vbs.list_backups", "action": {"echo": True}},
    {"api": "vbs.list_backups", "action": {"echo": "text", "status": 403}},
    {"api": "hss.list_backups", "times": None, "action": STATUS_401},
    {"api": "evs.show_volume", "action": {"echo": True}},
    {"api": "vbs.restore", "action": {"echo": True}},
    {"api": "hss.restore", "action": {"echo": True, "status": 500}},
    {"api": "vbs.show_job", "action": {"echo": True}},
    {"api": "ecs.update_metadata", "action": {"echo": True}},
]

# The other way round than in test_playbooks, so that each way is taken from options and from the environment.
SOURCES = [("password", "environment"), ("token", "options"), ("key", "environment"), ("temporary key", "options")]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("way", "source"), SOURCES)
def test_success_and_failures(machine: Callable[..., Machine], way: str, source: str) -> None:
    here = machine("small.yml")
    given = options(here.cloud, way) if source == "options" else {}
    login = {name: secret(name) for name in given}
    environment = variables(here.cloud, way) if source == "environment" else {}
    here.cloud.add_faults(*FAULTS)
    backups = task("backup_info", **BACKUPS, **login)
    plan = task("recovery_plan", targets=[TARGET], **login)
    lone = task("vbs_disk_restore", backup_id=vbs_id(3), volume_id=disk_id(3), wait_interval=0.2, **login)
    whole = {"backup_id": hss_id(2), "server_id": server_id(2), "wait_interval": 0.2}
    # Tasks with what they fail with; "" for those that succeed.
    cases: list[tuple[Result, str]] = [
        (backups, QUOTED),
        (backups, QUOTED),
        (plan, QUOTED),
        (lone, QUOTED),
        (task("restore_job_info", job_id="00000000-0000-4000-8000-000000000000", **login), QUOTED),
        (task("backup_info", service="hss", server_id=server_id(2), **login), "HTTP 401"),
        (task("hss_backup_restore", **whole, wait_timeout=1, **login), QUOTED),
        (backups, ""),
        (plan, ""),
    ]
    planned = len(cases) - 1
    cases += [
        (task("backup_info", **BACKUPS, **REFUSED), NOT_LET_IN[0][0]),
        *((task("recovery_plan", targets=[TARGET], **wrong), words) for words, wrong in NOT_LET_IN),
        (run(planned, "run-1", **login), QUOTED),
        *((run(planned, "run-1", **wrong), words) for words, wrong in NOT_LET_IN),
        (run(planned, "run-1", **login), ""),
        (lone, ""),
    ]
    cases += [
        (task("restore_job_info", job_id=f"{{{{ {result_of(len(cases) - 1)}.job_id }}}}", **login), ""),
        (without_faults(here), ""),
        (task("hss_backup_restore", **whole, **login), ""),
    ]
    results = perform(here, [one for one, _words in cases], login=given, environment=environment)
    for result, (one, words) in zip(results, cases, strict=True):
        assert bool(result.get("failed")) is bool(words) and words in result.get("msg", ""), (one, result)


def test_a_proxy_with_a_password(machine: Callable[..., Machine]) -> None:
    """One that quotes what it was sent, and one that is not there. A proxy's credentials come from the environment."""
    login = "proxyuser:ProxyPass-61c8e0d7b3"
    here = machine("small.yml", Secrets(SECRETS.texts | {"proxy": login}, logins=(login,)))
    plan = _plan(here)
    here.cloud.add_faults({"service": "iam", "times": None, "action": {"echo": True, "status": 403}})
    host, _colon, port = here.cloud.simulator.endpoints["iam"].removeprefix("http://").partition(":")
    for place, words in ((f"{host}:{port}", QUOTED), (f"{host}:1", "no connection through the proxy")):
        proxy = f"http://{login}@{place}"
        environment = {"HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
        results = perform(here, _look_and_run(plan), environment={**variables(here.cloud, "password"), **environment})
        assert all(words in result["msg"] for result in results)


CRASH = """
import http.client, time

def endheaders(self, *unused, **also_unused):
    raise RuntimeError(f"cannot send {self._buffer!r}")

http.client.HTTPConnection.endheaders = endheaders
time.sleep = lambda seconds: None  # reads are tried again for minutes
"""


def test_a_library_that_breaks_and_quotes_the_request(machine: Callable[..., Machine]) -> None:
    here = machine("small.yml")
    plan = _plan(here)
    (here.controller.folder / "sitecustomize.py").write_text(CRASH, encoding="utf-8")
    environment = variables(here.cloud, "temporary key") | {"PYTHONPATH": str(here.controller.folder)}
    results = perform(here, _look_and_run(plan), environment=environment)
    assert all("RuntimeError" in result["msg"] for result in results)


def _plan(here: Machine) -> dict[str, Any]:
    [planned] = perform(here, [task("recovery_plan", targets=[TARGET])], environment=variables(here.cloud, "key"))
    plan: dict[str, Any] = planned["plan"]
    return plan


def _look_and_run(plan: Mapping[str, Any]) -> list[Result]:
    return [
        task("backup_info", **BACKUPS),
        task("recovery_run", plan=plan, approved_plan=[plan["id"]], run_id="run-1"),
    ]
