# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Break the code on purpose and see that it is noticed.

Two kinds of mutants: each refusal of the simulator taken away (found in its source, so that a new rule is among them
by itself), which its unit tests must notice; and the named ones of mutants_table.py, which an invariant or a test must
notice. Every mutant lives in a copy of its own. `make mutants` runs them all, `ONLY=text` those whose name holds it.
"""

from __future__ import annotations

import ast
import contextlib
import io
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
COLLECTION = Path("ansible_collections/hwcloud/recovery")
RULE_FILES = ("cloud", "ecs", "evs", "hss", "iam", "jobs", "routing", "signing", "throttle", "vbs")
TESTS_OF: dict[str, tuple[str, ...]] = {
    "iam": ("iam", "signing"),
    "jobs": ("evs", "vbs", "ecs"),
    "routing": ("hss", "ecs", "cloud"),
    "throttle": ("cloud",),
}
"""Where the rules of a file are tested, if not in the test file of the same name alone."""


@dataclass(frozen=True)
class Mutant:
    """`check` is an invariant, which must be violated by one of the first SEEDS seeds, or what pytest is to run."""

    name: str
    file: str
    old: str
    new: str
    check: str


class End(Enum):
    NOTICED = "noticed"
    NOT_NOTICED = "not noticed"
    BROKEN = "broken"
    """The check itself could not be made, or the table is out of date."""


@dataclass(frozen=True)
class Verdict:
    name: str
    end: End
    how: str


SEEDS = 1000
"""By then an invariant has to have noticed its mutant."""


# -- the refusals of the simulator -------------------------------------------------------------------------------------


def refusals(folder: Path) -> Iterator[Mutant]:
    """One mutant for each `if ...: raise` of the simulator's services: the rule is not kept any more."""
    for stem in RULE_FILES:
        source = (folder / f"{stem}.py").read_text(encoding="utf-8")
        tests = " ".join(f"tests/unit/simulator/test_{name}.py" for name in TESTS_OF.get(stem, (stem,)))
        for guard in _guards(ast.parse(source)):
            old, new = _without(source, guard)
            name = f"simulator/{stem}: {ast.unparse(guard.test)} (line {guard.lineno})"
            yield Mutant(name, f"tests/simulator/{stem}.py", old, new, tests)


def _guards(tree: ast.Module) -> Iterator[ast.If]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and any(isinstance(statement, ast.Raise) for statement in node.body):
            yield node


def _without(source: str, guard: ast.If) -> tuple[str, str]:
    """The whole function up to the guard makes the text unique."""
    lines = source.splitlines(keepends=True)
    before = "".join(lines[: guard.lineno - 1])
    line = lines[guard.lineno - 1]
    return before + line, before + line[: guard.col_offset] + "if False:\n"


# -- one mutant --------------------------------------------------------------------------------------------------------


def run(mutant: Mutant) -> Verdict:
    """In a process of its own: what is imported here stays changed."""
    with tempfile.TemporaryDirectory() as place:
        root = copy_of_the_checkout(Path(place))
        try:
            change(root, mutant)
        except ValueError as error:
            return Verdict(mutant.name, End.BROKEN, str(error))
        sys.path[:0] = [str(root / ".cache" / "link"), str(root / "tests")]
        os.chdir(root)
        if "/" in mutant.check:
            return _tested(mutant)
        return _played(mutant)


def copy_of_the_checkout(place: Path) -> Path:
    """Tests of this checkout, plugins of the one that PYTHONPATH names: the same, unless LINK says otherwise."""
    plugins = next((Path(p) / COLLECTION / "plugins" for p in sys.path if (Path(p) / COLLECTION).is_dir()), CHECKOUT)
    link = place / ".cache" / "link" / COLLECTION
    link.parent.mkdir(parents=True)
    link.symlink_to(place)
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "integration")
    shutil.copytree(plugins, place / "plugins", ignore=ignored)
    shutil.copytree(CHECKOUT / "tests", place / "tests", ignore=ignored)
    for name in ("pyproject.toml", "galaxy.yml"):
        shutil.copy(CHECKOUT / name, place / name)
    return place


def change(root: Path, mutant: Mutant) -> None:
    """Raises ValueError if the text is not there exactly once: the table is out of date."""
    if not mutant.file:
        return
    path = root / mutant.file
    source = path.read_text(encoding="utf-8")
    if source.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: its text is {source.count(mutant.old)} times in {mutant.file}")
    path.write_text(source.replace(mutant.old, mutant.new), encoding="utf-8")


class _Failures:
    """Remembers which tests failed."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.names.append(report.nodeid.removeprefix("tests/unit/simulator/"))


def _tested(mutant: Mutant) -> Verdict:
    failures = _Failures()
    with contextlib.redirect_stdout(io.StringIO()) as output:
        code = pytest.main(["-q", "-x", *mutant.check.split()], plugins=[failures])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return Verdict(mutant.name, End.BROKEN, f"pytest could not run: {output.getvalue()[-2000:]}")
    if code == pytest.ExitCode.TESTS_FAILED:
        return Verdict(mutant.name, End.NOTICED, failures.names[0])
    return Verdict(mutant.name, End.NOT_NOTICED, f"all of {mutant.check} passed")


def _played(mutant: Mutant) -> Verdict:
    """Any failure counts against an unchanged copy; else the invariant has to be the one that is named."""
    from simulation.soak import try_seed

    for seed in range(SEEDS):
        failures, _ends = try_seed(seed)
        for failure in failures:
            if failure.invariant == mutant.check or not mutant.check:
                return Verdict(mutant.name, End.NOTICED, str(failure)[:160])
    return Verdict(mutant.name, End.NOT_NOTICED, f"{SEEDS} seeds without {mutant.check or 'any failure'}")


# -- all of them -------------------------------------------------------------------------------------------------------


def all_mutants() -> list[Mutant]:
    from simulation.mutants_table import TABLE

    named = [replace(mutant, name=f"engine: {mutant.name}") for mutant in TABLE]
    return [*refusals(CHECKOUT / "tests" / "simulator"), *named]


def controls(mutants: Sequence[Mutant]) -> list[Mutant]:
    """Every check once over unchanged code: one that fails anyway would call everything noticed."""
    checks = dict.fromkeys(mutant.check if "/" in mutant.check else "" for mutant in mutants)
    return [Mutant(f"unchanged: {check or 'seeds'}", "", "", "", check) for check in checks]


def main(arguments: Sequence[str]) -> int:
    mutants = [mutant for mutant in all_mutants() if all(text in mutant.name for text in arguments)]
    began = time.monotonic()
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        wrong = _tell(pool.imap(run, controls(mutants), chunksize=1), wanted=End.NOT_NOTICED)
        wrong += _tell(pool.imap(run, mutants, chunksize=1), wanted=End.NOTICED)
    print(f"{len(mutants)} mutants, {wrong} wrong, {time.monotonic() - began:.0f} s")
    return 1 if wrong or not mutants else 0


def _tell(verdicts: Iterable[Verdict], wanted: End) -> int:
    """One line each; returns how many are not as wanted."""
    wrong = 0
    for verdict in verdicts:
        wrong += verdict.end is not wanted
        mark = "" if verdict.end is wanted else "WRONG: "
        print(f"{mark}{verdict.end.value}: {verdict.name} ({verdict.how})", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
