# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of mutants is up to date and complete. Whether each is noticed takes minutes: `make mutants`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from simulation import mutants
from simulation.invariants import INVARIANTS
from simulation.mutants import End, Mutant, Verdict, change, rules
from simulation.mutants_rules import RULES
from simulation.mutants_table import TABLE

SIMULATOR = Path(mutants.CHECKOUT) / "tests" / "simulator"
FOUND = list(rules(SIMULATOR))
HANDLER = """def handler(world, call):
    if call.wrong:
        raise call.malformed("no")
    if call.odd or (call.few and call.old):
        raise call.malformed("no")
    if call.fine:
        return None
    _check_state(world)
    if call.late:
        world.violate("late", "too late")
    world.carry_out(call)
    raise call.malformed("unknown")
"""
WITHOUT = (
    ("if call.wrong:", "if False:"),
    ("call.odd or", "False or"),
    ("(call.few and call.old)", "(False)"),
    ("_check_state(world)", "pass"),
    ('world.violate("late", "too late")', "pass"),
    ('raise call.malformed("unknown")', "pass"),
)
NO_RULES = {"__init__", "__main__", "control", "rig", "server"}
"""Files of the simulator that are not the cloud, but around it."""


@pytest.mark.parametrize("mutant", [*RULES, *TABLE], ids=lambda mutant: mutant.name)
def test_what_is_to_be_changed_is_there(mutant: Mutant, tmp_path: Path) -> None:
    copy = tmp_path / mutant.file
    copy.parent.mkdir(parents=True)
    copy.write_text((mutants.CHECKOUT / mutant.file).read_text(encoding="utf-8"), encoding="utf-8")
    change(tmp_path, mutant)
    ast.parse(copy.read_text(encoding="utf-8"))


def test_every_invariant_has_a_mutant() -> None:
    assert {mutant.check for mutant in TABLE if "/" not in mutant.check} == set(INVARIANTS)


def test_names_are_used_once() -> None:
    names = [mutant.name for mutant in (*FOUND, *RULES, *TABLE)]
    assert len(set(names)) == len(names)


def test_every_file_of_the_simulator_has_mutants() -> None:
    files = {path.stem for path in SIMULATOR.glob("*.py")}
    assert {Path(mutant.file).stem for mutant in (*FOUND, *RULES)} == files - NO_RULES


def test_the_rules_of_the_simulator_are_found() -> None:
    assert {Path(mutant.file).stem for mutant in FOUND} == set(mutants.RULE_FILES)
    assert len(FOUND) > 200
    for mutant in FOUND:
        source = (mutants.CHECKOUT / mutant.file).read_text(encoding="utf-8")
        assert source.count(mutant.old) == 1, mutant.name
        ast.parse(source.replace(mutant.old, mutant.new))


def test_rules_are_taken_away_one_by_one(tmp_path: Path) -> None:
    for stem in mutants.RULE_FILES:
        (tmp_path / f"{stem}.py").write_text(HANDLER, encoding="utf-8")
    found = list(rules(tmp_path))[: len(WITHOUT)]
    assert len(list(rules(tmp_path))) == len(WITHOUT) * len(mutants.RULE_FILES)
    changed = {HANDLER.replace(mutant.old, mutant.new) for mutant in found}
    assert changed == {HANDLER.replace(old, new) for old, new in WITHOUT}


def test_a_text_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="0 times"):
        change(tmp_path, Mutant("outdated", "a.py", "y = 1", "y = 2", ""))


def test_only_what_is_as_wanted_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = [Verdict("one", End.NOTICED, ""), Verdict("two", End.NOT_NOTICED, ""), Verdict("three", End.BROKEN, "")]
    assert mutants._tell(verdicts, wanted=End.NOTICED) == 2
    assert mutants._tell(verdicts, wanted=End.NOT_NOTICED) == 2
    assert "WRONG: broken: three" in capsys.readouterr().out
