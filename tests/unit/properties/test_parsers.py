# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the cloud answers, a call gives a value of the model or a CloudError: never a traceback, never a half."""

from __future__ import annotations

import json
from typing import Any

import pytest
import scripted
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import iam, jobs
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.api import Answer
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError, from_answer, said_no
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.transport import Headers
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore import times
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.mark import (
    LONE_DISK_KEY,
    decode,
    decode_lease,
    decode_owner,
    encode,
    standing,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import Disk, Failure, JobState
from answers import BACKUP, CALLS, CODE, DISK, JOB, OTHER_DISK, SERVER, SERVERS, WORDS, Call
from hypothesis import given
from hypothesis import strategies as st
from odd import TEXTS, TIMES, VALUES, bodies, mutated, oddities

VOLUME = {
    "id": DISK, "name": "data", "status": "in-use", "size": 40, "bootable": "true", "multiattach": False,
    "availability_zone": "eu-de-01", "volume_type": "SSD", "os-vol-tenant-attr:tenant_id": scripted.PROJECT,
    "attachments": [{"server_id": SERVER, "attachment_id": "at-1", "device": "/dev/vda", "attached_at": TIMES[0]}],
    "metadata": {"__system__encrypted": "0", LONE_DISK_KEY: "1|begun|r|t|b|/dev/vda|a|y|n|j|1767323045"},
    "volume_image_metadata": {"image_name": "x"}, "created_at": TIMES[0], "links": [{"href": "http://x"}],
}  # fmt: skip
ECS = {
    "id": SERVER, "name": "db01", "status": "ACTIVE", "OS-EXT-STS:task_state": None, "OS-EXT-STS:vm_state": "active",
    "OS-EXT-AZ:availability_zone": "eu-de-01", "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda", "locked": False,
    "os-extended-volumes:volumes_attached": [{"id": DISK, "device": "/dev/vda", "delete_on_termination": "false"}],
    "metadata": {"hwcloud_recovery_hss": "1|submitting|r|t|b||||n|abc|1"},
}  # fmt: skip
POINT = {
    "id": BACKUP, "status": "available", "volume_id": DISK, "name": None, "size": 40, "created_at": TIMES[0],
    "os-backup-project-attr:project_id": scripted.PROJECT, "availability_zone": None, "fail_reason": None,
}  # fmt: skip
CHILD = {
    "id": "c1", "name": "x", "status": "available", "resource_id": DISK, "resource_type": "OS::Cinder::Volume",
    "resource_size": 40, "resource_name": "data",
}  # fmt: skip
HSS_POINT = {
    "id": BACKUP, "name": "nightly", "status": "available", "created_at": 1_767_323_045_678, "resource_id": SERVER,
    "resource_name": "db01", "resource_type": "OS::Nova::Server", "resource_size": 40, "children": [CHILD, CHILD],
}  # fmt: skip
LISTED = {
    "backup_id": BACKUP,
    "backup_name": "n",
    "backup_status": "available",
    "create_time": 1_767_323_045,
    "backup_tag": 0,
}
RECORD = {
    "host_id": SERVER, "host_name": "db01", "backup_name": "nightly", "process": 40, "status": "running",
    "started_at": TIMES[1], "ended_at": "", "error_info": {"code": "", "message": ""},
}  # fmt: skip
PART = {
    "status": "FAIL",
    "job_id": JOB,
    "error_code": "Ecs.0226",
    "fail_reason": "x",
    "entities": {"server_id": SERVER},
}
SHOWN_JOB = {
    "status": "RUNNING", "job_id": JOB, "job_type": "bksRestoreBackup", "begin_time": TIMES[0], "end_time": TIMES[1],
    "error_code": None, "fail_reason": None, "entities": {"sub_jobs": [PART]}, "sub_jobs": [PART],
}  # fmt: skip
PROJECTS = {"projects": [{"id": scripted.PROJECT, "name": "eu-de", "enabled": True}], "links": {}}
REFUSAL = {"error": {"code": CODE, "message": WORDS, "details": [{"code": CODE, "message": WORDS}]}}

GOOD: dict[str, dict[str, Any]] = {
    "evs.disk": {"volume": VOLUME},
    "evs.disks": {"count": 2, "volumes": [VOLUME, {**VOLUME, "id": OTHER_DISK}]},
    "evs.disks_in": {"count": 1, "volumes": [{**VOLUME, "status": "restoring-backup"}]},
    "ecs.server": {"server": ECS},
    "ecs.servers": {"count": 2, "servers": [{**ECS, "id": SERVERS[0]}, {**ECS, "id": SERVERS[1]}]},
    "ecs.all_servers": {"count": 1, "servers": [ECS]},
    "ecs.job": SHOWN_JOB,
    "vbs.backup": {"backup": POINT},
    "vbs.backups": {"backups": [POINT], "count": 1},
    "vbs.backups_in": {"backups": [{**POINT, "status": "restoring"}]},
    "vbs.job": SHOWN_JOB,
    "hss.backup": HSS_POINT,
    "hss.backups": {"total_num": 1, "data_list": [LISTED]},
    "hss.log": {"total_num": 2, "data_list": [RECORD, {**RECORD, "status": "success"}]},
    "iam.project_id": PROJECTS,
}
ORDERED = {"job_id": JOB}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
@given(data=st.data())
def test_any_answer_gives_a_value_or_a_cloud_error(call: Call, data: st.DataObject) -> None:
    """The first answers are odd, and so may their status be; what follows is an empty page."""
    good = GOOD.get(call.name, ORDERED)
    first = data.draw(st.lists(bodies(good, good, good, REFUSAL), min_size=1, max_size=3))
    status = data.draw(st.sampled_from([200] * 6 + [201, 202, 204, 400, 404, 500]))
    answers = iter([scripted.reply(raw=body, status=status) for body in first])
    empty = {"projects": [], "volumes": [], "servers": [], "backups": [], "data_list": [], "count": 0, "total_num": 0}
    script = scripted.Script(lambda _request: next(answers, scripted.reply(empty)), forever=True)
    try:
        value = call.run(scripted.make_api(script))
    except CloudError as error:
        assert error.info.message
        assert oddities(error.info) == []
        assert scripted.TOKEN not in str(error)
    else:
        assert oddities(value) == []
        assert not call.changes or status < 300


@given(mutated(SHOWN_JOB))
def test_a_job_never_succeeds_without_saying_so(document: dict[str, Any]) -> None:
    try:
        job = jobs.parse(document, JOB, what="looking")
    except CloudError as error:
        assert error.info.kind is Failure.NONSENSE
    else:
        assert oddities(job) == []
        assert job.state is not JobState.SUCCEEDED or str(document["status"]).strip().upper() == "SUCCESS"


@given(mutated(ORDERED), st.sampled_from([200, 202]))
def test_no_order_is_accepted_without_a_job_id(document: dict[str, Any], status: int) -> None:
    try:
        accepted = jobs.accepted(Answer(status, Headers({}), document), what="ordering")
    except CloudError as error:
        assert error.info.kind is Failure.LOST
    else:
        assert accepted.job_id == str(document["job_id"]).strip()


@given(st.dictionaries(st.sampled_from(["X-Subject-Token", "x-subject-token", "Date"]), st.sampled_from(TEXTS)), VALUES)
def test_a_token_is_one_or_none(headers: dict[str, str], body: Any) -> None:
    document = body if isinstance(body, dict) else {"token": body}
    try:
        token = iam.token(Answer(201, Headers(headers), document), what="logging in")
    except CloudError as error:
        assert error.info.kind is Failure.NONSENSE
    else:
        assert token.value.isprintable()
        assert oddities(token.project_id) == []


@given(
    bodies(REFUSAL, {"error_code": CODE, "error_msg": WORDS}, {"badRequest": {"code": 400, "message": WORDS}}),
    st.data(),
)
def test_any_refusal_is_one_failure_in_words(body: bytes, data: st.DataObject) -> None:
    header = st.sampled_from((*TIMES, "Wed, 21 Oct 2026 07:28:00 GMT", "7", "-1", "1e9", "\u0661"))
    headers = {"Retry-After": data.draw(header), "Date": data.draw(header), "X-Request-Id": data.draw(header)}
    status = data.draw(st.sampled_from([100, 204, 302, 400, 401, 404, 429, 500, 501, 599, 999]))
    error = from_answer(status, headers, body, what="asking", may_have_arrived=data.draw(st.booleans()))
    assert oddities(error) == []
    assert error.message.startswith("asking: ")
    assert error.retry_after_seconds is None or 0 <= error.retry_after_seconds <= 3600


@given(mutated({**REFUSAL, "job_id": JOB}))
def test_who_has_a_job_id_was_not_refused(document: dict[str, Any]) -> None:
    if isinstance(document.get("job_id"), str) and document["job_id"].strip():
        assert not said_no(document)


# -- times and marks: texts that the cloud, and people, may have changed -----------------------------------------------


@given(VALUES | st.sampled_from(TIMES) | st.text(alphabet="0123456789-:TZ+. ", max_size=30))
def test_any_time_of_an_answer_is_one_that_can_be_written_or_none(value: Any) -> None:
    found = times.from_cloud(value)
    assert found is None or times.parse(str(times.iso(found))) == int(found)


_WRITABLE = [text for text in TEXTS if not oddities(text)]
_FIELDS = st.lists(
    st.sampled_from(("1", "begun", "finished", "y", "", "%", "%FF", *_WRITABLE)) | st.text(max_size=5), max_size=13
)


@given(_FIELDS.map("|".join) | st.text())
def test_any_metadata_is_a_mark_or_none(text: str) -> None:
    mark = decode(text)
    if mark is not None:
        assert oddities(mark) == []
        assert decode(encode(mark)) == mark or len(text) > 100
        standing(mark, Disk("d", "available", 1))
    assert oddities((decode_lease(text), decode_owner(text))) == []


@given(mutated(VOLUME))
def test_metadata_of_any_kind_is_texts(volume: dict[str, Any]) -> None:
    script = scripted.Script(scripted.reply({"volume": volume}), forever=True)
    call = next(call for call in CALLS if call.name == "evs.disk")
    try:
        disk = call.run(scripted.make_api(script))
    except CloudError:
        return
    assert isinstance(disk, Disk)
    assert all(isinstance(text, str) for pair in disk.metadata.items() for text in pair)
    json.dumps(dict(disk.metadata), ensure_ascii=False).encode()
