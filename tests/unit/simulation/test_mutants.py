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
from simulation.mutants import End, Mutant, Verdict, change, refusals
from simulation.mutants_table import TABLE

SIMULATOR = Path(mutants.CHECKOUT) / "tests" / "simulator"
REFUSALS = list(refusals(SIMULATOR))
RULE = """def handler(world, call):
    if call.wrong:
        raise call.malformed("no")
    if call.fine:
        return None
"""


@pytest.mark.parametrize("mutant", TABLE, ids=lambda mutant: mutant.name)
def test_what_is_to_be_changed_is_there(mutant: Mutant, tmp_path: Path) -> None:
    copy = tmp_path / mutant.file
    copy.parent.mkdir(parents=True)
    copy.write_text((mutants.CHECKOUT / mutant.file).read_text(encoding="utf-8"), encoding="utf-8")
    change(tmp_path, mutant)
    ast.parse(copy.read_text(encoding="utf-8"))


def test_every_invariant_has_a_mutant() -> None:
    assert {mutant.check for mutant in TABLE if "/" not in mutant.check} == set(INVARIANTS)


def test_names_are_used_once() -> None:
    names = [mutant.name for mutant in (*REFUSALS, *TABLE)]
    assert len(set(names)) == len(names)


def test_the_refusals_of_the_simulator_are_found() -> None:
    assert {Path(mutant.file).stem for mutant in REFUSALS} == set(mutants.RULE_FILES)
    assert len(REFUSALS) > 90
    for mutant in REFUSALS:
        source = (mutants.CHECKOUT / mutant.file).read_text(encoding="utf-8")
        assert source.count(mutant.old) == 1, mutant.name
        ast.parse(source.replace(mutant.old, mutant.new))


def test_a_refusal_is_taken_away(tmp_path: Path) -> None:
    for stem in mutants.RULE_FILES:
        (tmp_path / f"{stem}.py").write_text(RULE, encoding="utf-8")
    found = list(refusals(tmp_path))
    assert len(found) == len(mutants.RULE_FILES)
    assert RULE.replace(found[0].old, found[0].new) == RULE.replace("if call.wrong:", "if False:")


def test_a_text_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="0 times"):
        change(tmp_path, Mutant("outdated", "a.py", "y = 1", "y = 2", ""))


def test_only_what_is_as_wanted_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = [Verdict("one", End.NOTICED, ""), Verdict("two", End.NOT_NOTICED, ""), Verdict("three", End.BROKEN, "")]
    assert mutants._tell(verdicts, wanted=End.NOTICED) == 2
    assert mutants._tell(verdicts, wanted=End.NOT_NOTICED) == 2
    assert "WRONG: broken: three" in capsys.readouterr().out
