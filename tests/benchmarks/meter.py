# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine costs while the simulator runs in the same process: its part is taken off again, or forgotten."""

from __future__ import annotations

import gc
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.transport import HttpRequest, HttpResponse
from ansible_collections.hwcloud.recovery.plugins.module_utils._run import recovery
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.workers import LANE_THREADS
from simulation.world import Network, World
from simulator.cloud import Logged
from simulator.messages import Response

SAMPLE_SECONDS = 0.001
"""What is asked for; the kernel looks as often as its timer ticks, every 4 ms or so."""


class Forgetful(list[Any]):
    """What only tests look at would grow with every call and count as memory of the engine."""

    def append(self, _entry: Any) -> None:
        """Not kept."""


class Tally(list[Logged]):
    """The cloud's log, reduced to numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.by_api: Counter[str] = Counter()
        self.throttled = 0

    def append(self, entry: Logged) -> None:
        self.by_api[entry.api] += 1
        self.throttled += entry.status == 429


class MeteredNetwork(Network):
    """Counts the calls under way, and the CPU seconds that the cloud takes to answer them."""

    cloud_cpu_seconds = 0.0
    in_flight = 0
    most_in_flight = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.calls = Forgetful()

    def send(self, request: HttpRequest, *, timeout_seconds: float) -> HttpResponse:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return super().send(request, timeout_seconds=timeout_seconds)
        finally:
            self.in_flight -= 1

    def ask(self, request: HttpRequest) -> Response:
        started = time.process_time()
        try:
            return super().ask(request)
        finally:
            self.cloud_cpu_seconds += time.process_time() - started


class MeteredWorld(World):
    """Every controller has as many threads for its calls as in production, and a network that measures."""

    network_type = MeteredNetwork
    network: MeteredNetwork

    def shell(self, *, crash_at: tuple[int, str] | None = None, read_only: bool = False) -> recovery.Shell:
        self.tally = Tally()
        self.cloud.log = self.tally
        return replace(super().shell(crash_at=crash_at, read_only=read_only), show=_not_shown)


def _not_shown(_line: str) -> None:
    """Ansible would print it."""


def threads_of(_lane: str) -> int:
    return LANE_THREADS


class Cpu:
    """CPU seconds of the process since it was made, those of the cloud taken off."""

    def __init__(self) -> None:
        self._started = time.process_time()

    def of_engine(self, network: MeteredNetwork) -> float:
        return time.process_time() - self._started - network.cloud_cpu_seconds


class Memory:
    """Resident memory of this process in bytes, as the kernel counts it (proc(5): status, clear_refs)."""

    def __init__(self) -> None:
        self.bare = self._status("VmRSS")
        """With everything imported, before there is a cloud."""

    def start(self) -> None:
        """From here on what is added counts. What exists now is never collected, so the collector is not slowed down
        by objects that a real controller does not have."""
        gc.collect()
        gc.freeze()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        self._before = self._status("VmRSS")

    def of_engine(self) -> float:
        """The bare process and the most that was added; what the cloud adds to its own state meanwhile is in it."""
        return self.bare + self._status("VmHWM") - self._before

    @staticmethod
    def _status(name: str) -> float:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(float(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


class Sampler:
    """Where the CPU time goes, by looking again and again: cProfile loses its way among greenlets."""

    def __init__(self) -> None:
        self._inside: Counter[str] = Counter()
        self._below: Counter[str] = Counter()
        self._samples = 0

    def __enter__(self) -> Sampler:
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS, SAMPLE_SECONDS)
        return self

    def __exit__(self, *_error: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _look(self, _signal: int, frame: FrameType | None) -> None:
        stack = []
        while frame is not None:
            code = frame.f_code
            if code.co_name == "ask" and code.co_filename.endswith("world.py"):
                return  # the cloud's time
            stack.append(f"{'/'.join(Path(code.co_filename).parts[-2:])}:{code.co_qualname}")
            frame = frame.f_back
        self._samples += 1
        self._inside[stack[0]] += 1
        self._below.update(set(stack))

    def report(self, lines: int = 40) -> str:
        parts = [f"{self._samples} samples of the engine"]
        for title, counts in (("in the function itself", self._inside), ("with all that it calls", self._below)):
            parts.append(f"\n{title}:")
            parts += [f"{count / self._samples:6.1%}  {name}" for name, count in counts.most_common(lines)]
        return "\n".join(parts)


def most_at_once(spans: Mapping[str, tuple[float, float]]) -> int:
    """The most of these (begin, end) that overlap."""
    changes = sorted([(end, -1) for _begin, end in spans.values()] + [(begin, 1) for begin, _end in spans.values()])
    now = most = 0
    for _at, change in changes:
        now += change
        most = max(most, now)
    return most
