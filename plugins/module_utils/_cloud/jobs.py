# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The job documents of VBS and ECS, and what an order that started a job answers.

They agree but for the place of the sub-jobs: VBS lists them at the top (or leaves the field blank), ECS and EVS inside
`entities` (VBS API reference, Querying the Job Status; ECS API reference, Querying Task Execution Status).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from .._restore import times
from .._restore.model import Accepted, Failure, Job, JobState
from .api import PROJECT, Answer, Api
from .errors import JOB_FAILED, LOOK_FIRST, CloudError, fail
from .fields import items, mapping, needed, text

_STATES = {"SUCCESS": JobState.SUCCEEDED, JOB_FAILED: JobState.FAILED}
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""UUIDs with and without dashes are documented; what fits into a URL and into a mark is accepted."""
_SUB_JOBS_READ = 5000
"""A batch call takes up to 1000 servers, so this is a guard and not a limit."""


def read(api: Api, service: str, job_id: str, *, ends: Collection[str] = ()) -> Job:
    """A job is known only to the service that gave its id.

    `ends`: codes (in lower case) of an error answer that say how the job ended, and not that it cannot be read.
    """
    what = f"looking at job {job_id} of {service.upper()}"
    try:
        answer = api.get(service, ("v1", PROJECT, "jobs", job_id), what=what, name="ShowJob", job=True)
    except CloudError as error:
        if error.info.code.lower() not in ends:
            raise
        reason = error.info.message.removeprefix(f"{what}: ")
        return Job(id=job_id, state=JobState.FAILED, error_code=error.info.code, fail_reason=reason)
    job = parse(answer.json, job_id, what=what)
    return replace(job, error_code=api.words(job.error_code), fail_reason=api.words(job.fail_reason))


def parse(document: Mapping[str, Any], job_id: str, *, what: str) -> Job:
    status = needed(document, "status", what=what)
    failed = [job for job in _sub_jobs(document) if _state(job) is JobState.FAILED]
    state = _state(document)
    if state is JobState.SUCCEEDED and failed:
        state = JobState.FAILED
    if state is not JobState.FAILED:
        return Job(
            id=job_id,
            state=state,
            raw_status=status,
            job_type=text(document.get("job_type")),
            seconds=_seconds(document) if state is JobState.SUCCEEDED else None,
        )
    return Job(
        id=job_id,
        state=state,
        raw_status=status,
        error_code=_first([document, *failed]),
        fail_reason=_reasons([document, *failed]),
        job_type=text(document.get("job_type")),
        failed_server_ids=_distinct(text(mapping(job.get("entities")).get("server_id")) for job in failed),
    )


def _state(job: Mapping[str, Any]) -> JobState:
    return _STATES.get(text(job.get("status")).strip().upper(), JobState.RUNNING)


def _seconds(job: Mapping[str, Any]) -> float | None:
    begin, end = times.from_cloud(job.get("begin_time")), times.from_cloud(job.get("end_time"))
    return end - begin if begin is not None and end is not None and end > begin else None


def _sub_jobs(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    queue: list[Mapping[str, Any]] = [document]
    while queue and len(found) < _SUB_JOBS_READ:
        job = queue.pop()
        children = items(job.get("sub_jobs")) + items(mapping(job.get("entities")).get("sub_jobs"))
        found += children
        queue += children
    return found


def _first(documents: Iterable[Mapping[str, Any]]) -> str:
    return next((code for document in documents if (code := _code(document))), "")


def _code(job: Mapping[str, Any]) -> str:
    """Of the job itself, or of an error that it holds in the shape of an error answer."""
    inner = mapping(job.get("error"))
    places = (job.get("error_code"), inner.get("code"), inner.get("error_code"), job.get("code"))
    return next((code for place in places if (code := text(place).strip())), "")


def _reason(job: Mapping[str, Any]) -> str:
    inner = mapping(job.get("error"))
    places = (
        job.get("fail_reason"),
        mapping(job.get("entities")).get("errorcode_message"),
        inner.get("message"),
        inner.get("error_msg"),
        job.get("error_msg"),
        job.get("message"),
    )
    return next((reason for place in places if (reason := text(place).strip())), "")


def _reasons(documents: Iterable[Mapping[str, Any]]) -> str:
    return "; ".join(_distinct(map(_reason, documents)))


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value.strip() for value in values if value.strip()))


def accepted(answer: Answer, *, what: str) -> Accepted:
    """An order that should have a job. Without one it may still have been taken: nothing in the answer says no."""
    job_id = text(answer.json.get("job_id")).strip()
    if not _JOB_ID.fullmatch(job_id):
        raise fail(Failure.LOST, f"{what}: the cloud answered {answer.status} without a job id", remedy=LOOK_FIRST)
    return Accepted(job_id=job_id)
