# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Break the code on purpose and see that it is noticed.

Three kinds of mutants: each refusal, check, violation and note of the simulator taken away (found in its source, so
that a new one is among them by itself) and the rules of mutants_rules.py, which its source does not mark as such, both
of which its unit tests must notice; and the named ones of mutants_table.py, which an invariant or a test must notice.
Every mutant lives in a copy of its own. `make mutants` runs them all, `ONLY=text` those whose name holds it.
"""

from __future__ import annotations

import ast
import contextlib
import io
import multiprocessing
import os
import re
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
RULE_FILES = (
    "cloud",
    "ecs",
    "evs",
    "faults",
    "hss",
    "iam",
    "jobs",
    "routing",
    "scenario",
    "signing",
    "throttle",
    "vbs",
)
TESTS_OF: dict[str, tuple[str, ...]] = {
    "cloud": ("iam", "faults", "evs", "cloud"),
    "iam": ("iam", "signing"),
    "jobs": ("evs", "vbs", "ecs"),
    "routing": ("hss", "ecs", "cloud"),
    "throttle": ("cloud",),
}
"""Where the rules of a file are tested, if not in the test file of the same name alone."""
_CHECKS = re.compile(r"_?(check|require)\w*|verify|admit|violate|note")


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


# -- the rules of the simulator ----------------------------------------------------------------------------------------


def rules(folder: Path) -> Iterator[Mutant]:
    """One mutant for each refusal, check, violation and note of the simulator: the rule is not kept any more."""
    for stem in RULE_FILES:
        source = (folder / f"{stem}.py").read_text(encoding="utf-8")
        tests = " ".join(f"tests/unit/simulator/test_{name}.py" for name in TESTS_OF.get(stem, (stem,)))
        for node, new in _rules(ast.parse(source)):
            begin, end = _place(source, node)
            name = f"simulator/{stem}: {ast.unparse(node)[:80]} (line {node.lineno})"
            # The whole file up to there makes the text unique.
            yield Mutant(name, f"tests/simulator/{stem}.py", source[:end], source[:begin] + new, tests)


def _rules(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """What is taken away, and what stands there instead."""
    guarded: set[ast.stmt] = set()
    for node in ast.walk(tree):  # from the outside to the inside: a guard comes before its `raise`
        if isinstance(node, ast.If):
            raises = {statement for statement in node.body if isinstance(statement, ast.Raise)}
            guarded |= raises
            yield from ((part, "False") for part in _alternatives(node.test) if raises)
        elif isinstance(node, ast.stmt) and (_is_check(node) or (isinstance(node, ast.Raise) and node not in guarded)):
            yield node, "pass"


def _alternatives(test: ast.expr) -> list[ast.expr]:
    """Each part of an `or` is a rule of its own."""
    return test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or) else [test]


def _is_check(node: ast.stmt) -> bool:
    """A call for its own sake of something that refuses or takes note."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    called = node.value.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return _CHECKS.fullmatch(name) is not None


def _place(source: str, node: ast.expr | ast.stmt) -> tuple[int, int]:
    """Where it begins and ends in the text."""
    lines = source.splitlines(keepends=True)
    begin, end = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    return len("".join(lines[:begin])) + node.col_offset, len("".join(lines[:end])) + (node.end_col_offset or 0)


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


def warm_up() -> None:
    """Importing pytest's plugins takes longer than most tests: once is enough for all that is forked from here."""
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()):
        Path(place, "test_nothing.py").write_text("def test_nothing() -> None: ...\n", encoding="utf-8")
        # Nothing of this checkout: what is imported here would be in place of the changed copy.
        pytest.main(["-q", "-c", os.devnull, "--rootdir", place, "-p", "no:cacheprovider", place])


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
    from simulation.mutants_rules import RULES
    from simulation.mutants_table import TABLE

    named = [replace(mutant, name=f"rule: {mutant.name}") for mutant in RULES]
    named += [replace(mutant, name=f"engine: {mutant.name}") for mutant in TABLE]
    return [*rules(CHECKOUT / "tests" / "simulator"), *named]


def controls(mutants: Sequence[Mutant]) -> list[Mutant]:
    """Every check once over unchanged code: one that fails anyway would call everything noticed."""
    checks = dict.fromkeys(mutant.check if "/" in mutant.check else "" for mutant in mutants)
    return [Mutant(f"unchanged: {check or 'seeds'}", "", "", "", check) for check in checks]


def main(arguments: Sequence[str]) -> int:
    mutants = [mutant for mutant in all_mutants() if all(text in mutant.name for text in arguments)]
    began = time.monotonic()
    warm_up()
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
