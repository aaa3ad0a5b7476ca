# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search itself: a search that finds nothing anywhere would make every other test here pass."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest

from .conftest import Machine
from .leaks import Secrets, watched
from .ways import PASSWORD, SECRET_KEY, SECRETS

SPELLINGS = {
    "plain": PASSWORD,
    "in JSON": json.dumps({"msg": PASSWORD}),
    "in JSON in JSON": json.dumps(json.dumps({"msg": PASSWORD})),
    "in JSON with its letters": json.dumps(PASSWORD, ensure_ascii=False),
    "in a URL": quote(PASSWORD, safe=""),
    "its first half": PASSWORD[: len(PASSWORD) // 2 + 4],
    "its second half": PASSWORD[len(PASSWORD) // 2 - 8 :],
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_a_secret_is_found_however_it_is_spelled(text: str) -> None:
    assert SECRETS.in_text(f"before {text} after") == {"password"}


def test_what_else_is_found() -> None:
    login = base64.b64encode(b"proxyuser:long-password").decode()
    assert Secrets({}, logins=("proxyuser:long-password",)).in_text(f"Basic {login}") == {"login 0"}
    assert SECRETS.in_text("X-Auth-Token: MII0123456789abcdef") == {"a token of the simulator"}
    assert SECRETS.in_text("nothing of that kind, not even " + PASSWORD[:6]) == set()


def test_processes_are_seen(machine: Callable[..., Machine]) -> None:
    controller = machine("small.yml").controller
    sleep = [sys.executable, "-c", "import time; time.sleep(60)", SECRET_KEY]
    environment = {**controller.environment, "HW_USER_PASSWORD": PASSWORD}
    with watched(controller) as seen, subprocess.Popen(sleep, env=environment) as process:
        deadline = time.monotonic() + 30
        while not seen.commands and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    assert SECRETS.in_text("".join(seen.commands)) == {"secret key"}
    assert SECRETS.in_text("".join(seen.environments)) == {"password"}
