# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stories are of all kinds, a seed always tells the same one, and a failure names the seed that shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from simulation import invariants, soak
from simulation.chaos import HUMANS, MARKS, ORDERS, READS, draw
from simulation.chaos_play import play
from simulator import scenario as scenarios

ROOT = Path(__file__).resolve().parents[3]
CALLS = """
import hashlib
from simulation.chaos import draw
from simulation.chaos_play import play
for seed in range(12):
    calls = [call for attempt in play(draw(seed)).attempts for call in attempt.calls]
    print(seed, len(calls), hashlib.sha256("".join(calls).encode()).hexdigest())
"""


def test_a_seed_always_tells_the_same_story() -> None:
    for seed in range(8):
        first, second = play(draw(seed)), play(draw(seed))
        assert [attempt.calls for attempt in first.attempts] == [attempt.calls for attempt in second.attempts]
        assert first.history.facts == second.history.facts


def test_it_is_the_same_in_another_process() -> None:
    """Sets of texts have another order there: what depends on it could not be replayed."""

    def calls(hash_seed: str) -> str:
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": paths}
        done = subprocess.run([sys.executable, "-c", CALLS], env=environment, cwd=ROOT, capture_output=True, check=True)
        return done.stdout.decode()

    assert calls("1") == calls("2") != ""


def test_stories_are_of_all_kinds() -> None:
    found: Counter[str] = Counter()
    for seed in range(600):
        story = draw(seed)
        scenarios.parse(story.scenario)
        found.update(fault["api"] for fault in story.faults)
        found.update(act.action for act in story.acts)
        found.update(f"wave {wish.wave}, {wish.method}, group {wish.group}" for wish in story.wishes)
        found[f"servers {len(story.scenario['servers'])}"] += 1
        found["rival"] += story.rival is not None
        found["file journal"] += story.file_journal
        found["crash"] += bool(story.tries)
        found["several crashes"] += len(story.tries) > 1
    wanted = {*READS, *MARKS, *ORDERS, *HUMANS, "rival", "file journal", "crash", "several crashes"}
    wanted |= {f"wave {wave}, {method}, group " for wave in (1, 2) for method in ("vbs", "hss")}
    wanted |= {"wave 1, vbs, group erp", "wave 1, hss, group erp", "servers 0", "servers 3"}
    assert {kind for kind in wanted if not found[kind]} == set()


def test_crashes_happen_and_are_survived() -> None:
    """A story whose controller always ends before its place to die would try nothing."""
    ends = Counter(attempt.ended for seed in range(60) for attempt in play(draw(seed)).attempts)
    assert ends["crash"] > 20
    assert ends["result"] > 60


def test_a_failure_names_its_seed_and_how_to_replay_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(invariants, "INVARIANTS", {"never": lambda played: iter([f"story {played.story.seed}"])})
    failures = soak.soak(range(7, 9), jobs=1)
    assert [str(failure) for failure in failures] == ["seed 7: never: story 7", "seed 8: never: story 8"]
    said = capfd.readouterr().out
    assert "seed 7: never: story 7\n    make soak SEED=7\n" in said
    assert "2 of 2 seeds" in said


def test_an_exception_is_a_failure_of_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "play", lambda story: 1 // 0)
    ((failure,), _ends) = soak.try_seed(3)
    assert (failure.seed, failure.invariant) == (3, "ZeroDivisionError")


def test_a_single_seed_is_shown_call_by_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.show(1)
    said = capsys.readouterr().out
    assert "POST /v3/auth/tokens" in said
    assert "--- controller 1" in said
    assert said.endswith("all is well\n")
