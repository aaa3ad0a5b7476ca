# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs, as ECS, EVS and VBS show them. Each host knows only its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simulator.messages import Refusal, Response, answer
from simulator.routing import Call, Handler
from simulator.state import Job, World, utc_text


def _common(job: Job) -> dict[str, Any]:
    return {
        "status": job.status,
        "job_id": job.id,
        "job_type": job.type,
        "begin_time": utc_text(job.begin, digits=3, zone="Z"),
        # EVS API reference, Querying Task Status: end_time is "" while a job runs.
        "end_time": "" if job.end is None else utc_text(job.end, digits=3, zone="Z"),
        "error_code": job.error_code,
        "fail_reason": job.fail_reason,
    }


def _ecs_document(world: World, job: Job) -> dict[str, Any]:
    """ECS API reference, Querying Job Execution Status: sub_jobs stand inside entities."""
    entities = dict(job.entities)
    if job.subs:
        entities["sub_jobs_total"] = len(job.subs)
        entities["sub_jobs"] = [_ecs_document(world, sub) for sub in job.subs]
    return {**_common(job), "entities": entities}


def _vbs_document(world: World, job: Job) -> dict[str, Any]:
    """VBS API reference, Querying the Job Status: sub_jobs at the top, "left blank" if there are none."""
    document = {**_common(job), "entities": dict(job.entities)}
    how = world.behaviours.sub_jobs
    blanks: Mapping[str, Any] = {"list": [], "empty_string": "", "null": None}
    if how in blanks:
        document["sub_jobs"] = blanks[how]
    elif how == "entities":
        document["entities"]["sub_jobs"] = []
    return document


def show(service: str, code: str, document: Callable[[World, Job], dict[str, Any]]) -> Handler:
    """The handler of GET /v1/{project_id}/jobs/{job_id} at one host."""

    def handler(world: World, call: Call) -> Response:
        job = world.jobs.get(call.params["job_id"])
        if job is None or job.service != service:
            # EVS API reference, Error Codes: the job id is unknown, or belongs to another service node.
            raise Refusal(code, "Failed to query the task")
        return answer(document(world, job))

    return handler


# The VBS error code table writes a lower-case c, those of ECS and EVS an upper-case one.
show_ecs = show("ecs", "Common.0011", _ecs_document)
show_evs = show("evs", "Common.0011", _ecs_document)
show_vbs = show("vbs", "common.0011", _vbs_document)
