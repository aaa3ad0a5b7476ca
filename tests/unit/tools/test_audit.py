# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An audit that could not ask anybody must not look like one that found nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tools import audit

CLEAN = {"dependencies": [{"name": name, "version": "1", "vulns": []} for name in audit.pins()]}
SKIPPED = {"dependencies": [{"name": name, "skip_reason": "not found"} for name in audit.pins()]}
ADVISORY = {"id": "PYSEC-1", "fix_versions": ["2"]}
BAD = {"dependencies": [{**CLEAN["dependencies"][0], "vulns": [ADVISORY]}, *CLEAN["dependencies"][1:]]}
HALF = {"dependencies": CLEAN["dependencies"][:1]}


def test_what_is_audited() -> None:
    assert {"requests", "urllib3", "certifi", "idna"} <= set(audit.pins())


@pytest.mark.parametrize(
    ("answer", "strict", "code", "words"),
    [
        (json.dumps(CLEAN), "", 0, "Checked with pypi: requests"),
        (json.dumps(CLEAN), "1", 0, "Checked with pypi: requests"),
        (json.dumps(SKIPPED), "", 0, "NOT CHECKED: requests"),
        (json.dumps(SKIPPED), "1", 1, "NOT CHECKED: requests"),
        (json.dumps(HALF), "1", 1, "NOT CHECKED: "),
        ("Traceback of a service that is out of reach", "", 0, "NOT CHECKED: requests"),
        ("Traceback of a service that is out of reach", "1", 1, "NOT CHECKED: requests"),
        (json.dumps(BAD), "", 1, "VULNERABLE requests 1: PYSEC-1, fixed in 2"),
    ],
)
def test_how_it_ends(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    strict: str,
    code: int,
    words: str,
) -> None:
    (tmp_path / "answer").write_text(answer, encoding="utf-8")
    command = tmp_path / "pip-audit"
    command.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\n", encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STRICT", strict)
    assert audit.main() == code
    said = capsys.readouterr().out
    assert words in said and ("NOT CHECKED" in said) == ("NOT CHECKED" in words)
