# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command and say what it and everything that it started have cost: ``measured.py REPORT COMMAND…``.

A process of its own, because the kernel adds up the CPU of children that were waited for, and because only as a "child
subreaper" (prctl(2)) one gets to wait for daemons as well, such as those of Ansible's ``async``.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

SAMPLE_SECONDS = 0.25
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def children(pid: int) -> list[int]:
    """Of all threads of the process; none if it has ended meanwhile."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, listed.read_text(encoding="ascii").split())
        except OSError:
            continue  # the thread has ended
    return found


def descendants(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from descendants(child)


def _pss_bytes(pid: int) -> int:
    """Its share of memory: what n processes have in common counts 1/n for each (proc(5), smaps_rollup)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0  # it has ended
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


class MemorySampler(threading.Thread):
    """Remembers the most memory that all descendants had together at one of the samples."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0

    def run(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, sum(map(_pss_bytes, descendants(os.getpid()))))
            time.sleep(SAMPLE_SECONDS)


def _wait_for_all(first: int, started: float) -> tuple[int, float]:
    """Exit code of the first process and the seconds until it ended; returns once nothing of it is left."""
    code, wall_seconds = 1, 0.0
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            return code, wall_seconds
        if pid == first:
            code, wall_seconds = os.waitstatus_to_exitcode(status), time.monotonic() - started


def main(report: str, command: list[str]) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    sampler = MemorySampler()
    sampler.start()
    started_at, started = time.time(), time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ)
    code, wall_seconds = _wait_for_all(pid, started)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    document = {
        "code": code,
        "started_at": started_at,
        "wall_seconds": wall_seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": sampler.peak_bytes,
    }
    Path(report).write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
