# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the public advisory services about the libraries that the collection brings to its users' controllers.

pip-audit ends with success where it could not ask, so its answer is read here: fails for a known vulnerability; says
NOT CHECKED where no service can be reached, which fails only with STRICT=1, since a fork may have no way out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).parents[2] / "requirements.txt"
SERVICES = ("pypi", "osv")
SECONDS = 120
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Advisories that do not concern this collection, each with the reason.
ACCEPTED: Mapping[str, str] = {}


@dataclass(frozen=True)
class Audit:
    """What a service said: the names that it knew about, and a line for each advisory."""

    checked: tuple[str, ...] = ()
    vulnerable: tuple[str, ...] = ()


def read(answer: Mapping[str, Any]) -> Audit:
    """pip-audit's JSON."""
    found = answer["dependencies"]
    return Audit(
        tuple(_normal(entry["name"]) for entry in found if "skip_reason" not in entry),
        tuple(
            f"{entry['name']} {entry['version']}: {advisory['id']}, fixed in {', '.join(advisory['fix_versions'])}"
            for entry in found
            for advisory in entry.get("vulns", ())
            if advisory["id"] not in ACCEPTED
        ),
    )


def pins() -> dict[str, str]:
    """The run-time dependencies with theirs, as they are installed here."""
    names = [NAME.match(line) for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines()]
    found: dict[str, str] = {}
    waiting = [_normal(name.group()) for name in names if name]
    for name in waiting:
        if name not in found:
            found[name] = version(name)
            waiting += _needed_by(name)
    return found


def _needed_by(name: str) -> Iterator[str]:
    for line in requires(name) or ():
        wanted, _semicolon, condition = line.partition(";")
        match = NAME.match(wanted)
        if match and "extra" not in condition and _installed(match.group()):
            yield _normal(match.group())


def _normal(name: str) -> str:
    """One spelling for each package (packaging.python.org, name normalization)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def ask(service: str, wanted: Mapping[str, str]) -> Audit:
    """One service about these; where it does not answer, nothing is checked."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pins.txt")
        path.write_text("".join(f"{name}=={number}\n" for name, number in wanted.items()), encoding="utf-8")
        command = ["pip-audit", "--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off"]
        command += ["--vulnerability-service", service, "--requirement", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
            return read(json.loads(done.stdout))
        except (subprocess.TimeoutExpired, ValueError):
            return Audit()


def main() -> int:
    wanted = pins()
    unchecked = list(wanted)
    vulnerable: list[str] = []
    for service in SERVICES:
        told = ask(service, {name: wanted[name] for name in unchecked}) if unchecked else Audit()
        unchecked = [name for name in unchecked if name not in told.checked]
        vulnerable += told.vulnerable
        if told.checked:
            print(f"Checked with {service}: {', '.join(f'{name} {wanted[name]}' for name in told.checked)}")
    for line in vulnerable:
        print(f"VULNERABLE {line}")
    if unchecked:
        print(f"NOT CHECKED: {', '.join(unchecked)}: no advisory service ({', '.join(SERVICES)}) could be asked.")
    strict = os.environ.get("STRICT", "") not in ("", "0")
    return 1 if vulnerable or (unchecked and strict) else 0


if __name__ == "__main__":
    sys.exit(main())
