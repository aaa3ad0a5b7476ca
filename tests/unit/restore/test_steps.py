# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders that may be repeated: given when needed, believed when the cloud shows it, given up with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.commands import (
    Detach,
    Look,
    Now,
    Pause,
    StopServer,
    Thing,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import (
    Accepted,
    Attachment,
    ErrorInfo,
    Failure,
    Job,
    JobState,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.steps import (
    GiveUp,
    Patience,
    attached,
    carry_out,
    detached,
    job_error,
    started,
    stopped,
)
from builders import ROOT, SERVER, disk, free, server

PATIENCE = Patience(interval_seconds=10.0, limit_seconds=300.0, settle_seconds=60.0)
ORDER = Detach(SERVER, ROOT)
BUSY = ErrorInfo(Failure.BUSY, "try later", retry_after_seconds=25.0)
REFUSED = ErrorInfo(Failure.REFUSED, "no", code="Ecs.0105")
LOST = ErrorInfo(Failure.LOST, "no answer")
DENIED = ErrorInfo(Failure.DENIED, "not allowed")


@dataclass
class Cloud:
    """Answers looks, orders and jobs from lists, the last one again and again; time passes in pauses only."""

    looks: list[Any]
    orders: list[Any] = field(default_factory=lambda: [Accepted("j1")])
    jobs: list[Any] = field(default_factory=lambda: [Job("j1", JobState.SUCCEEDED)])
    now: float = 0.0
    ordered: list[Any] = field(default_factory=list)

    def play(self, goal: Any = None, order: Any = ORDER, **options: Any) -> Any:
        looks, orders, jobs = map(_and_again, (self.looks, self.orders, self.jobs))
        script = carry_out(order, goal or detached(ROOT), PATIENCE, **options)
        answers: dict[type, Callable[[Any], Any]] = {
            Now: lambda _command: self.now,
            Pause: self._pause,
            Look: lambda command: next(jobs if command.thing is Thing.ECS_JOB else looks),
            type(order): lambda command: self.ordered.append(command) or next(orders),  # type: ignore[func-returns-value]
        }
        answer: Any = None
        while True:
            try:
                command = script.send(answer)
            except StopIteration as end:
                return end.value
            answer = answers[type(command)](command)

    def _pause(self, command: Pause) -> None:
        self.now += command.seconds

    def fails(self, **options: Any) -> GiveUp:
        with pytest.raises(GiveUp) as reason:
            self.play(**options)
        return reason.value


def _and_again(items: list[Any]) -> Iterator[Any]:
    yield from items
    while True:
        yield items[-1]


def test_what_is_so_already_is_not_ordered() -> None:
    cloud = Cloud([free()])
    assert cloud.play() == free()
    assert cloud.ordered == []


def test_an_order_and_its_job_and_its_trace() -> None:
    cloud = Cloud(
        [disk(), disk(status="detaching"), free()], jobs=[Job("j1", JobState.RUNNING), Job("j1", JobState.SUCCEEDED)]
    )
    assert cloud.play() == free()
    assert cloud.ordered == [ORDER]


def test_success_of_the_job_is_not_believed_until_the_disk_shows_it() -> None:
    """The state of a disk may lag behind the job, and meanwhile the order is not given again."""
    cloud = Cloud([disk(), disk(), disk(), disk(), free()])
    assert cloud.play() == free()
    assert (cloud.ordered, cloud.now) == ([ORDER], 40.0)


def test_an_order_without_any_trace_is_given_again() -> None:
    cloud = Cloud([disk()] * 9 + [free()])
    cloud.play()
    assert len(cloud.ordered) == 2


def test_what_is_moving_is_waited_for() -> None:
    cloud = Cloud([disk(status="detaching"), disk(status="detaching"), free()])
    cloud.play()
    assert cloud.ordered == []


def test_even_what_is_moving_can_be_ordered_once() -> None:
    order = StopServer(SERVER, hard=True)
    cloud = Cloud([server(task_state="powering-off"), server(task_state="powering-off"), server(status="SHUTOFF")])
    cloud.play(goal=stopped(SERVER), order=order, even_if_moving=True)
    assert cloud.ordered == [order]


def test_busy_is_tried_again_after_the_time_that_the_cloud_names() -> None:
    cloud = Cloud([disk(), disk(), free()], orders=[BUSY, Accepted("j1")])
    cloud.play()
    assert len(cloud.ordered) == 2
    assert cloud.now == 25.0 + 10.0


def test_a_lost_answer_is_looked_after_before_the_order_is_given_again() -> None:
    cloud = Cloud([disk(), disk(), free()], orders=[LOST])
    cloud.play()
    assert len(cloud.ordered) == 1
    never = Cloud([disk()], orders=[LOST])
    assert never.fails().timed_out
    assert 2 <= len(never.ordered) <= 300 / 60


def test_a_refusal_is_the_reason_unless_the_wish_came_true() -> None:
    assert Cloud([disk()], orders=[REFUSED]).fails().error == REFUSED
    assert Cloud([disk(), free()], orders=[REFUSED]).play() == free()


@pytest.mark.parametrize("code", ["Ecs.0111", "ecs.0057"])
def test_a_refusal_because_it_is_so_already_is_waited_for(code: str) -> None:
    already = ErrorInfo(Failure.REFUSED, "already", code=code)
    assert Cloud([disk(), disk(), disk(), free()], orders=[already]).play() == free()
    assert Cloud([disk()], orders=[already]).fails().error == already


def test_a_job_that_failed_gives_its_reason() -> None:
    failed = Job("j1", JobState.FAILED, error_code="Ecs.0999", fail_reason="no host")
    error = Cloud([disk()], jobs=[failed]).fails().error
    assert (error.code, "no host" in error.message) == ("Ecs.0999", True)
    assert "gave no reason" in job_error(Job("j1", JobState.FAILED)).message


def test_a_job_that_failed_because_the_wish_was_fulfilled_is_no_failure() -> None:
    assert Cloud([disk(), free()], jobs=[Job("j1", JobState.FAILED)]).play() == free()


@pytest.mark.parametrize("kind", [Failure.MISSING, Failure.REFUSED, Failure.DENIED])
def test_a_job_that_cannot_be_read_leaves_the_word_to_the_disk(kind: Failure) -> None:
    assert Cloud([disk(), disk(), free()], jobs=[ErrorInfo(kind, "?")]).play() == free()


@pytest.mark.parametrize("seen", [disk(status="error_attaching"), free(status="error")])
def test_a_disk_in_an_error_state_is_given_up(seen: Any) -> None:
    reason = Cloud([seen]).fails()
    assert (reason.timed_out, ROOT in reason.error.message, seen.status in reason.error.message) == (False, True, True)


@pytest.mark.parametrize("changes", [{"status": "ERROR"}, {"status": "DELETED"}, {"locked": True}])
def test_a_server_that_cannot_be_stopped_is_given_up(changes: dict[str, Any]) -> None:
    cloud = Cloud([server(**changes)])
    reason = cloud.fails(goal=stopped(SERVER), order=StopServer(SERVER))
    assert (reason.timed_out, cloud.ordered) == (False, [])


def test_passing_failures_of_a_look_are_waited_out_others_are_not() -> None:
    assert Cloud([LOST, BUSY, ErrorInfo(Failure.UNREACHABLE, "?"), free()]).play() == free()
    assert Cloud([DENIED]).fails().error == DENIED


def test_patience_ends_with_what_was_seen() -> None:
    cloud = Cloud([disk(status="detaching")])
    reason = cloud.fails()
    assert (reason.timed_out, cloud.now, cloud.ordered) == (True, 300.0, [])
    assert f"after 300 s it is still not so that disk {ROOT} is detached" in reason.error.message
    assert "run the same playbook again" in reason.error.remedy


def test_a_job_that_never_ends_does_not_hold_up_for_ever() -> None:
    cloud = Cloud([disk()], jobs=[Job("j1", JobState.RUNNING)])
    assert cloud.fails().timed_out
    assert cloud.now <= 300.0 + 2 * PATIENCE.interval_seconds + PATIENCE.settle_seconds


@pytest.mark.parametrize(
    ("goal", "seen", "met"),
    [
        (detached(ROOT), free(), True),
        (detached(ROOT), disk(), False),
        (detached(ROOT), free(status="restoring-backup"), False),
        (detached(ROOT), disk(status="available"), False),
        (attached(ROOT, SERVER), disk(), True),
        (attached(ROOT, SERVER), disk(status="attaching"), False),
        (attached(ROOT, SERVER), disk(attachments=(Attachment("another"),)), False),
        (stopped(SERVER), server(status="SHUTOFF"), True),
        (stopped(SERVER), server(status="SHUTOFF", task_state="powering-on"), False),
        (stopped(SERVER), server(), False),
        (started(SERVER), server(), True),
        (started(SERVER), server(task_state="powering-off"), False),
        (started(SERVER), server(status="SHUTOFF"), False),
    ],
)
def test_goals(goal: Any, seen: Any, met: bool) -> None:
    assert goal.met(seen) is met
