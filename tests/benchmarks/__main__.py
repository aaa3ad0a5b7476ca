# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All benchmarks one after the other (`make bench`): a table on the screen, text and JSON in reports/benchmarks."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import ansible_collections.hwcloud.recovery.plugins.module_utils as collection

from benchmarks import table
from benchmarks.table import Row

PARTS = ("virtual", "realtime", "startup")
REPORTS = Path(__file__).resolve().parents[2] / "reports" / "benchmarks"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--quick", action="store_true", help="small cases only")
    chosen = parser.parse_args()
    about = {**table.machine(), "commit": commit()}
    found = list(shown(chosen.only, quick=chosen.quick))
    text = table.as_text(found, about)
    print(text, end="")
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / f"{name}.txt").write_text(text, encoding="utf-8")
    (REPORTS / f"{name}.json").write_text(table.as_json(found, about), encoding="utf-8")
    print(f"kept as {REPORTS / name}.txt and .json")


def shown(parts: list[str], *, quick: bool) -> Iterator[Row]:
    """The rows of these parts, each told as it comes: all of them take many minutes."""
    for part in parts:
        for row in importlib.import_module(f"benchmarks.{part}").rows(quick=quick):
            print(f"{row.group}: {row.case}: {row.figure} {table.number(row.value)} {row.unit}", file=sys.stderr)
            yield row


def commit() -> str:
    """Of the collection that is measured, which need not be this checkout's."""
    folder = next(iter(collection.__path__))
    asked = subprocess.run(
        ["git", "-C", folder, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
