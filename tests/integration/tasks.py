# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many cases as the tasks of one playbook: what each task returned comes back as a list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .conftest import Controller, Played

Result = dict[str, Any]
INVENTORY = "localhost ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'\n"
UGLY = ("Traceback", "MODULE FAILURE", "Unexpected failure")


def task(module: str, keywords: Mapping[str, Any] | None = None, **options: Any) -> Result:
    """A task of the collection; `keywords` are those of the task, like check_mode. An option None is left out."""
    given = {name: value for name, value in options.items() if value is not None}
    return {f"hwcloud.recovery.{module}": given, **(keywords or {})}


def result_of(number: int) -> str:
    """The variable with what the task of that place returned."""
    return f"result_{number}"


def perform(controller: Controller, tasks: Sequence[Result], **play: Any) -> list[Result]:
    """Run them in one playbook, one after the other whatever becomes of them."""
    registered = [
        {"name": f"Case {number}", "register": result_of(number), "ignore_errors": True, **one}
        for number, one in enumerate(tasks)
    ]
    results = ", ".join(result_of(number) for number in range(len(tasks)))
    target = controller.cwd / "results.json"
    keep = {
        "name": "Keep the results",
        "ansible.builtin.copy": {"content": f"{{{{ [{results}] | to_json }}}}", "dest": str(target), "mode": "0600"},
        "check_mode": False,
    }
    played = play_tasks(controller, [*registered, keep], **play)
    assert played.code == 0, played.text
    found: list[Result] = json.loads(target.read_text(encoding="utf-8"))
    assert not [secret for secret in controller.secrets if secret in target.read_text(encoding="utf-8")]
    for one in found:
        assert not [words for words in UGLY if words in json.dumps(one)], one
    return found


def play_tasks(controller: Controller, tasks: Sequence[Result], **play: Any) -> Played:
    """Run tasks that have to succeed, or else end the playbook."""
    playbook = controller.write(
        "tasks.yml", [{"hosts": "localhost", "gather_facts": False, "tasks": list(tasks), **play}]
    )
    return controller.play(playbook, controller.write("inventory.ini", INVENTORY))


def assert_refused(result: Result, *words: str) -> None:
    """It failed with one message that says what and what next, and changed nothing."""
    said = result["msg"]
    assert result.get("failed") is True and not result.get("changed"), result
    assert len(said) > 20, said
    for word in words:
        assert word in said, said
