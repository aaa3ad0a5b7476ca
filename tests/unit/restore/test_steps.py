# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders that may be repeated: given when needed, believed when the cloud shows it, given up with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.commands import (
    Await,
    Detach,
    Learn,
    Look,
    Now,
    Pause,
    Script,
    StartServer,
    StopServer,
    TakeTurn,
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
    STOOD_STILL_SECONDS,
    GiveUp,
    Patience,
    attached,
    carry_out,
    detached,
    in_one_go,
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
    learned: list[Learn] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The names of the commands, one after the other, but those of time."""

    def play(self, goal: Any = None, order: Any = ORDER, **options: Any) -> Any:
        looks, orders, jobs = map(_and_again, (self.looks, self.orders, self.jobs))
        script = carry_out(order, goal or detached(ROOT), PATIENCE, **options)
        answers: dict[type, Callable[[Any], Any]] = {
            Now: lambda _command: self.now,
            Pause: self._pause,
            Await: self._await,
            Learn: self.learned.append,
            TakeTurn: lambda _command: None,
            Look: lambda command: next(jobs if command.thing is Thing.ECS_JOB else looks),
            type(order): lambda command: self.ordered.append(command) or next(orders),  # type: ignore[func-returns-value]
        }
        answer: Any = None
        while True:
            try:
                command = script.send(answer)
            except StopIteration as end:
                return end.value
            if not isinstance(command, (Now, Pause, Await, Learn)):
                self.asked.append(type(command).__name__)
            answer = answers[type(command)](command)

    def _pause(self, command: Pause) -> None:
        self.now += command.seconds

    def _await(self, command: Await) -> None:
        self.now = min(self.now + command.interval_seconds, command.until)

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
    assert (cloud.ordered, cloud.now) == ([ORDER], 30.0)


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


# -- orders that are given before the first look -----------------------------------------------------------------------


def test_what_was_seen_not_to_be_so_is_ordered_at_once_and_looked_at_after_that() -> None:
    cloud = Cloud([free()])
    assert cloud.play(at_once=True) == free()
    assert cloud.asked == ["Detach", "Look"]


@pytest.mark.parametrize("refusal", [REFUSED, BUSY, LOST, ErrorInfo(Failure.REFUSED, "already", code="Ecs.0111")])
def test_whatever_was_said_to_an_order_at_once_the_first_look_decides(refusal: ErrorInfo) -> None:
    cloud = Cloud([free()], orders=[refusal])
    assert cloud.play(at_once=True) == free()
    assert len(cloud.ordered) == 1


def test_a_refusal_of_an_order_at_once_is_not_final() -> None:
    """It may have changed since it was seen: with a look between, the same order may be taken."""
    cloud = Cloud([disk(), disk(), free()], orders=[REFUSED, Accepted("j1")])
    assert cloud.play(at_once=True) == free()
    assert cloud.ordered == [ORDER, ORDER]


def test_a_second_refusal_is_final() -> None:
    cloud = Cloud([disk()], orders=[REFUSED])
    reason = cloud.fails(at_once=True)
    assert (reason.error, reason.timed_out, cloud.ordered) == (REFUSED, False, [ORDER, ORDER])


def test_what_is_given_up_by_the_guard_is_not_ordered_at_once_either() -> None:
    cloud = Cloud([disk()])
    assert cloud.fails(at_once=True, guard=_forbidden).error == DENIED
    assert cloud.asked == ["TakeTurn"]


def _forbidden() -> Script[None]:
    yield Now()
    raise GiveUp(DENIED)


def _allowed() -> Script[None]:
    yield Look(Thing.SERVER, SERVER)


def test_the_turn_comes_before_the_guard_so_that_its_look_is_fresh() -> None:
    cloud = Cloud([server(), disk(), free()])
    cloud.play(at_once=True, guard=_allowed)
    assert cloud.asked[:3] == ["TakeTurn", "Look", "Detach"]


def test_the_guard_runs_before_each_order() -> None:
    cloud = Cloud([disk(), server(), disk(), server(), free()], orders=[BUSY, Accepted("j1")])
    cloud.play(guard=_allowed)
    assert cloud.asked == ["Look", *["TakeTurn", "Look", "Detach", "Look"] * 2]


# -- jobs that many servers share --------------------------------------------------------------------------------------


SHARED = Accepted("j1", shared=True)
STOP, START = StopServer(SERVER), StartServer(SERVER)
UP, DOWN = server(), server(status="SHUTOFF")


def failed(job_id: str, *server_ids: str) -> Job:
    return Job(job_id, JobState.FAILED, error_code="Ecs.0999", fail_reason="no host", failed_server_ids=server_ids)


@pytest.mark.parametrize(
    ("order", "goal", "seen", "met"), [(STOP, stopped(SERVER), UP, DOWN), (START, started(SERVER), DOWN, UP)]
)
@pytest.mark.parametrize("named", [(), ("another",)])
def test_a_shared_job_that_failed_is_ordered_once_more_for_this_server_alone(
    order: Any, goal: Any, seen: Any, met: Any, named: tuple[str, ...]
) -> None:
    """Perhaps it was another server's failure. Until its trace can be there nothing is ordered."""
    cloud = Cloud([seen] * 9 + [met], orders=[SHARED, Accepted("j2")], jobs=[failed("j1", *named)])
    assert cloud.play(goal=goal, order=order) == met
    assert cloud.ordered == [order, replace(order, alone=True)]
    assert cloud.now >= PATIENCE.settle_seconds


@pytest.mark.parametrize("answer", [BUSY, LOST])
def test_what_is_to_go_alone_stays_alone_until_the_cloud_has_taken_it(answer: ErrorInfo) -> None:
    orders = [SHARED, answer, Accepted("j2")]
    cloud = Cloud([UP] * 20 + [DOWN], orders=orders, jobs=[failed("j1"), Job("j2", JobState.RUNNING)])
    assert cloud.play(goal=stopped(SERVER), order=STOP) == DOWN
    assert cloud.ordered == [STOP, *[replace(STOP, alone=True)] * 2]


def test_a_shared_job_that_failed_for_others_only_is_none_if_this_server_got_there() -> None:
    cloud = Cloud([UP, UP, DOWN], orders=[SHARED], jobs=[failed("j1", "another")])
    assert cloud.play(goal=stopped(SERVER), order=STOP) == DOWN
    assert cloud.ordered == [STOP]


def test_a_shared_job_that_failed_for_this_server_is_its_refusal() -> None:
    cloud = Cloud([UP], orders=[SHARED], jobs=[failed("j1", "another", SERVER)])
    reason = cloud.fails(goal=stopped(SERVER), order=STOP)
    assert (reason.error.kind, reason.error.code, reason.timed_out) == (Failure.REFUSED, "Ecs.0999", False)
    assert cloud.ordered == [STOP]
    assert cloud.now < PATIENCE.settle_seconds


def test_a_job_of_its_own_that_fails_after_a_shared_one_is_the_reason() -> None:
    cloud = Cloud([UP], orders=[SHARED, Accepted("j2")], jobs=[failed("j1"), failed("j2")])
    reason = cloud.fails(goal=stopped(SERVER), order=STOP)
    assert ("job j2 failed" in reason.error.message, reason.timed_out) == (True, False)
    assert cloud.ordered == [STOP, replace(STOP, alone=True)]


# -- in one go ---------------------------------------------------------------------------------------------------------


def go(*seconds: float) -> tuple[int, str]:
    """How many checks it took where they take these times, and what came of the last one."""
    now, checks = 0.0, 0

    def check() -> Script[str]:
        nonlocal checks
        checks += 1
        yield Pause(seconds[checks - 1])
        return f"check {checks}"

    script = in_one_go(check)
    answer: Any = None
    while True:
        try:
            command = script.send(answer)
        except StopIteration as end:
            return checks, end.value
        now += command.seconds if isinstance(command, Pause) else 0.0
        answer = now if isinstance(command, Now) else None


def test_what_was_checked_in_one_go_is_believed() -> None:
    assert go(STOOD_STILL_SECONDS) == (1, "check 1")


@pytest.mark.parametrize("stood_still", [STOOD_STILL_SECONDS + 0.1, 3600.0])
def test_what_was_checked_while_the_process_stood_still_is_checked_once_more(stood_still: float) -> None:
    assert go(stood_still, 1.0) == (2, "check 2")
    assert go(*[stood_still] * 4, 1.0) == (5, "check 5")


def test_a_check_that_never_is_quick_enough_is_given_up() -> None:
    with pytest.raises(GiveUp) as reason:
        go(*[STOOD_STILL_SECONDS + 1.0] * 5)
    assert (reason.value.error.kind, reason.value.timed_out) == (Failure.BUSY, False)
    assert "longer than 120 s" in reason.value.error.message
    assert "Run the same playbook again" in reason.value.error.remedy


# -- goals -------------------------------------------------------------------------------------------------------------


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
