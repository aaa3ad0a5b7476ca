# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Play many seeds on all cores; show a single one call by call.

`python -m simulation.soak --seeds 2000` plays 0 to 1999, `--seed 7` shows one. `make soak` sets the path for it.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from datetime import datetime
from types import FrameType

from simulation.chaos import Story, draw
from simulation.chaos_history import Fact, Order
from simulation.chaos_play import Attempt, Played, play
from simulation.invariants import violations
from simulation.world import START

CHUNK = 100
"""Seeds that a worker plays. Then another process takes its place: greenlets of controllers that died are never
collected, and to look through ever more of them takes ever longer."""
SHOWN_FAILURES = 20
HANGS_AFTER_SECONDS = 60
"""Of real time: a controller that spins without a call, so that no virtual time passes."""
PROGRESS_SECONDS = 5.0


class Hangs(Exception):
    """A story that does not end in real time."""


@dataclass(frozen=True)
class Failure:
    seed: int
    invariant: str
    text: str

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.invariant}: {self.text}"


@dataclass(frozen=True)
class Chunk:
    """What came of some seeds."""

    seeds: int
    failures: tuple[Failure, ...]
    ends: Counter[str]


def try_seed(seed: int) -> tuple[list[Failure], Counter[str]]:
    """Play one seed. A failure of the program itself counts as one of the story, under the name of its exception."""
    try:
        with _alarm():
            played = play(draw(seed))
            found = violations(played)
    except Exception as bug:  # noqa: BLE001  (whatever it is, it is this seed's failure, and the others go on)
        place = traceback.extract_tb(bug.__traceback__)[-1]
        where = f"{os.path.basename(place.filename)}:{place.lineno}"
        return [Failure(seed, type(bug).__name__, f"{bug} at {where}")], Counter({"broken": 1})
    return [Failure(seed, name, text) for name, texts in found.items() for text in texts], _ends(played)


def _ends(played: Played) -> Counter[str]:
    """How often what happened: to see that the stories are not all the same."""
    last = played.attempts[-1]
    counted = Counter(attempt.ended for attempt in played.attempts)
    counted["well in the end"] += last.well
    return counted


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Hangs(f"no end after {HANGS_AFTER_SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(HANGS_AFTER_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _try_chunk(seeds: range) -> Chunk:
    failures: list[Failure] = []
    ends: Counter[str] = Counter()
    gc.disable()
    for seed in seeds:
        found, counted = try_seed(seed)
        failures += found
        ends += counted
    return Chunk(len(seeds), tuple(failures), ends)


def soak(seeds: range, jobs: int) -> list[Failure]:
    """Play them all, with a line of progress now and then, and every failure at once."""
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    failures: list[Failure] = []
    ends: Counter[str] = Counter()
    done, began, said = 0, time.monotonic(), 0.0
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        for chunk in pool.imap_unordered(_try_chunk, chunks, chunksize=1):
            done += chunk.seeds
            ends += chunk.ends
            failures += chunk.failures
            for failure in chunk.failures[: max(0, SHOWN_FAILURES - len(failures) + len(chunk.failures))]:
                print(f"{failure}\n    make soak SEED={failure.seed}", flush=True)
            passed = time.monotonic() - began
            if passed - said >= PROGRESS_SECONDS or done == len(seeds):
                said = passed
                rate = done / passed
                bad = len({failure.seed for failure in failures})
                left = (len(seeds) - done) / rate
                print(f"{done} of {len(seeds)} seeds, {rate:.0f} a second, {bad} failed, {left:.0f} s left", flush=True)
    print(", ".join(f"{number} {what}" for what, number in sorted(ends.items())))
    return failures


# -- one seed ----------------------------------------------------------------------------------------------------------


def show(seed: int) -> bool:
    """Tell the whole story of a seed. True if nothing is wrong with it."""
    story = draw(seed)
    print("\n".join(_story_lines(story)))
    played = play(story)
    for attempt in played.attempts:
        print("\n".join(_attempt_lines(attempt, played)))
    found = violations(played)
    print("\n".join(f"VIOLATED {name}: {text}" for name, texts in found.items() for text in texts) or "all is well")
    return not found


def _story_lines(story: Story) -> Iterator[str]:
    yield f"seed {story.seed}"
    for field in fields_of(Story):
        value = getattr(story, field.name)
        if field.name not in ("seed", "scenario"):
            yield from _listed(field.name, value)
    for name, value in story.scenario.items():
        yield from _listed(name, value)


def _listed(name: str, value: object) -> Iterator[str]:
    if isinstance(value, list | tuple) and value:
        yield f"  {name}:"
        yield from (f"    {item}" for item in value)
    else:
        yield f"  {name}: {value}"


def _attempt_lines(attempt: Attempt, played: Played) -> Iterator[str]:
    yield f"--- controller {attempt.who}, run {attempt.run_id or '?'}, take_over {attempt.take_over or 'none'}"
    lines = [(float(call.split()[0]), f"  {call}") for call in attempt.calls]
    lines += [(order.at - START, _order_line(order)) for order in played.history.orders if order.who == attempt.who]
    end = attempt.left.at if attempt.left else attempt.started_at
    lines += [(f.at - START, _fact_line(f)) for f in played.history.facts if attempt.started_at <= f.at <= end]
    if attempt.result is not None:
        lines += [(_since_start(line["at"]), f"              | {line['text']}") for line in attempt.result["timeline"]]
    yield from (text for _at, text in sorted(lines, key=lambda line: line[0]))
    yield f"  ended: {attempt.ended} {attempt.error}"
    yield from (f"    {problem.severity} {problem.code}: {problem.message}" for problem in attempt.problems)
    if attempt.result is not None:
        yield from (f"    {target['msg']}" for target in attempt.result["targets"].values())


def _order_line(order: Order) -> str:
    spoiled = "" if order.clean else ", the answer is spoiled"
    return f"  {order.at - START:9.2f}   => {order}{spoiled}"


def _fact_line(fact: Fact) -> str:
    return f"  {fact.at - START:9.2f}   ** {fact.kind} {fact.id[-2:]} {fact.value}"


def _since_start(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() - START


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Recoveries by seed, against the simulator, in virtual time.")
    parser.add_argument("--seeds", type=int, default=2000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="show this one, call by call")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    given = parser.parse_args(arguments)
    if given.seed is not None:
        return 0 if show(given.seed) else 1
    failures = soak(range(given.first, given.first + given.seeds), given.jobs)
    for name, number in Counter(failure.invariant for failure in failures).most_common():
        print(f"{name}: {number} time(s)")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
