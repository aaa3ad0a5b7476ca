# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every status in every shape at every call of the client, and successes that say less than they should."""

from __future__ import annotations

from typing import Any

import pytest
import scripted
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import ecs, evs, hss, jobs, vbs
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.api import READ_TRIES
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import LOOK_FIRST, CloudError
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import ErrorInfo, Failure
from answers import BACKUP, CALLS, DISK, JOB, SERVER, SHAPES, STATUSES, WORDS, Call
from recovering import small_world
from wire import wired

RECORD = {"host_id": SERVER, "backup_name": "nightly", "status": "success", "started_at": "2026-01-01 02:00:00"}


def failure(call: Call, *replies: scripted.Reply) -> tuple[ErrorInfo, scripted.Script]:
    script = scripted.Script(*replies, forever=True)
    with pytest.raises(CloudError) as caught:
        call.run(scripted.make_api(script))
    return caught.value.info, script


def as_reply(body: object, status: int) -> scripted.Reply:
    return scripted.reply(raw=body, status=status) if isinstance(body, bytes) else scripted.reply(body, status)


def requests_for(call: Call, kind: Failure) -> range:
    """How many requests a call may send for an answer of this kind."""
    if call.name == "iam.project_id":  # asks in two ways
        return range(1, 2 * READ_TRIES + 1)
    if kind is Failure.BUSY and call.patient:
        return range(2, READ_TRIES + 1)
    if call.changes or kind not in (Failure.LOST, Failure.BUSY):
        return range(1, 2)
    return range(READ_TRIES, READ_TRIES + 1) if kind is Failure.LOST else range(2, READ_TRIES + 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_every_status_in_every_shape(call: Call, shape: str) -> None:
    """One failure in words, with what it proves; reads are tried again where that may help, orders never."""
    for status, kind in STATUSES.items():
        error, script = failure(call, as_reply(SHAPES[shape](status), status))
        check(error, call, shape, status)
        assert scripted.TOKEN not in str(error)
        assert len(script.requests) in requests_for(call, kind), status


def check(error: ErrorInfo, call: Call, shape: str, status: int) -> None:
    kind = STATUSES[status]
    assert (error.kind, error.http_status) == (kind, status)
    assert error.message.split(": ", 1)[1] == "the answer is empty" if shape == "empty" else WORDS in error.message
    assert error.remedy
    if call.changes and kind is Failure.LOST:
        assert error.remedy == LOOK_FIRST


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["evs.disk", "ecs.detach"])
def test_every_status_in_every_shape_over_a_real_socket(name: str, shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One read, one order: what the HTTP library makes of them."""
    call = next(call for call in CALLS if call.name == name)
    seen = small_world()
    with wired(seen, monkeypatch) as wire:
        api = seen.shell().api
        for status, kind in STATUSES.items():
            body = SHAPES[shape](status)
            action = {"body": body.decode()} if isinstance(body, bytes) else {"json": body}
            seen.cloud.faults.clear()
            seen.faults({"path": f"{DISK}$", "times": None, "action": {"status": status, **action}})
            with pytest.raises(CloudError) as caught:
                call.run(api)
            check(caught.value.info, call, shape, status)
            asked = seen.cloud.faults.describe()[0]["fired"]
            assert asked - _asked_again(status) in requests_for(call, kind), status
        assert wire.requests > len(STATUSES)


def _asked_again(status: int) -> int:
    """A token that is refused is renewed, and the call is made once more: the script above renews none."""
    return int(status == 401)


# -- lists that are none -----------------------------------------------------------------------------------------------

LISTS = {
    "evs.disks": ("volumes", "count"),
    "evs.disks_in": ("volumes", "count"),
    "ecs.servers": ("servers", "count"),
    "ecs.all_servers": ("servers", "count"),
    "vbs.backups": ("backups", "count"),
    "vbs.backups_in": ("backups", "count"),
    "hss.backups": ("data_list", "total_num"),
    "hss.log": ("data_list", "total_num"),
}


@pytest.mark.parametrize("call", [call for call in CALLS if call.name in LISTS], ids=lambda call: call.name)
def test_a_success_without_its_list_is_no_empty_list(call: Call) -> None:
    """An empty list of servers says that there are no marks, an empty task list that all of it is new."""
    name, total = LISTS[call.name]
    odd: list[dict[str, Any]] = [{}, {name: None}, {name: {}}, {name: "x"}, {name: ["x"]}, {total: 2, name: None}]
    for document in odd:
        error, _script = failure(call, scripted.reply(document))
        assert (error.kind, name in error.message) == (Failure.NONSENSE, True)
    for empty in ({name: [], total: 0}, {total: 0}, {name: None, total: 0}):
        assert not call.run(scripted.make_api(scripted.Script(scripted.reply(empty), forever=True)))


@pytest.mark.parametrize("second", [[], [RECORD]])
def test_a_task_list_that_is_shorter_than_it_says_is_read_again(second: list[Any]) -> None:
    """What is left out of the list before the restore would look new after it, and that it has ended well."""
    short = scripted.reply({"total_num": 1, "data_list": []})
    whole = scripted.reply({"total_num": len(second), "data_list": second})
    assert len(hss.log(scripted.make_api(scripted.Script(short, whole)))) == len(second)
    with pytest.raises(CloudError) as caught:
        hss.log(scripted.make_api(scripted.Script(short, forever=True)))
    assert caught.value.info.kind is Failure.BUSY


# -- orders without a job ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("job", ["", " ", None, [], {}, True, "../cloudbackups", "a/b", "a b", "4" * 65, "ä"])
@pytest.mark.parametrize("call", [call for call in CALLS if call.name in ("ecs.stop", "ecs.detach", "vbs.restore")])
def test_an_order_without_a_job_that_can_be_asked_for_may_have_been_taken(call: Call, job: object) -> None:
    error, _script = failure(call, scripted.reply({"job_id": job}))
    assert (error.kind, error.remedy) == (Failure.LOST, LOOK_FIRST)


@pytest.mark.parametrize("job", [JOB, "4010b39b5281d3590152874bfa3b1604", 4010, "a" * 64])
def test_any_id_that_fits_is_a_job(job: object) -> None:
    api = scripted.make_api(scripted.Script(scripted.reply({"job_id": job}), forever=True))
    assert vbs.restore(api, BACKUP, DISK).job_id == str(job)
    assert ecs.start(api, [SERVER]).job_id == str(job)
    assert jobs.accepted(api.post("ecs", ("v1",), json={}, what="x"), what="x").job_id == str(job)


def test_half_a_character_comes_out_whole() -> None:
    """Names are hashed, printed and sent back; a lone surrogate would end each of these with an exception."""
    answer = scripted.reply(
        raw=b'{"volume": {"id": "%s", "status": "x", "size": 1, "name": "a\\ud800", ' % DISK.encode()
        + b'"metadata": {"\\ud800": "\\udfff"}}}'
    )
    disk = evs.disk(scripted.make_api(scripted.Script(answer)), DISK)
    assert (disk.name, disk.metadata) == ("a?", {"?": "?"})
