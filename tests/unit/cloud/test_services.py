# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each call of each service: what goes out, what comes back as a value, and what odd answers become."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud import (
    ecs,
    evs,
    fields,
    hss,
    iam,
    jobs,
    transport,
    vbs,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.model import (
    Accepted,
    Attachment,
    ChildBackup,
    Failure,
    JobState,
    LogRecord,
    ServerVolume,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import PROJECT, TOKEN, Script, make_api, reply

DISK = "c96e4a94-927a-425c-8795-63f9964cfebd"
BACKUP = "9ae0e7a1-0d1f-4a5f-b2b5-5d9a3f5d2c11"
SERVER = "b1c2d3e4-0000-4000-8000-000000000001"
JOB = "4010b39b5281d3590152874bfa3b1604"

EVS_DISK: dict[str, Any] = {
    "id": DISK, "name": "db01-data", "status": "in-use", "size": 40, "availability_zone": "eu-de-01",
    "volume_type": "SSD", "bootable": "false", "multiattach": False, "volume_image_metadata": None,
    "attachments": [
        {"server_id": SERVER, "attachment_id": "a1", "device": "/dev/vdb", "volume_id": DISK, "id": DISK}
    ],
    "metadata": {"__system__encrypted": "1", "__system__cmkid": "k", "mark": "x"},
    "os-vol-tenant-attr:tenant_id": PROJECT,
}  # fmt: skip
ECS_SERVER: dict[str, Any] = {
    "id": SERVER, "name": "db01", "status": "ACTIVE", "OS-EXT-STS:vm_state": "active", "OS-EXT-STS:task_state": None,
    "OS-EXT-AZ:availability_zone": "eu-de-01", "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda", "locked": False,
    "os-extended-volumes:volumes_attached": [
        {"id": "root", "delete_on_termination": "true", "bootIndex": "0", "device": "/dev/vda"},
        {"id": DISK, "delete_on_termination": "false", "bootIndex": None, "device": "/dev/vdb"},
    ],
    "metadata": {"hwcloud_recovery_a": "1"},
}  # fmt: skip
VBS_BACKUP: dict[str, Any] = {
    "id": BACKUP, "name": None, "volume_id": DISK, "status": "available", "size": 40,
    "created_at": "2026-01-02T03:04:05.000000", "availability_zone": None, "fail_reason": None,
    "os-backup-project-attr:project_id": PROJECT, "links": [{"href": "http://192.0.2.1:8776/v2/x", "rel": "self"}],
}  # fmt: skip
HSS_DETAIL: dict[str, Any] = {
    "id": BACKUP, "name": "hss_1", "status": "available", "created_at": 1_767_323_045_000, "resource_size": 80,
    "resource_id": SERVER, "resource_name": "web-1", "resource_type": "OS::Nova::Server",
    "children": [
        {"id": "child-1", "name": "hss_1_vol", "status": "available", "resource_size": 40, "resource_id": DISK,
         "resource_type": "OS::Cinder::Volume", "resource_name": "web-1-disk"},
        "noise", {"id": None},
    ],
}  # fmt: skip


def failure(call: Any, *args: Any, **more: Any) -> CloudError:
    with pytest.raises(CloudError) as caught:
        call(*args, **more)
    return caught.value


def disk_of(number: int) -> dict[str, Any]:
    return {"id": f"disk-{number}", "status": "available", "size": 1}


# --- EVS ---


def test_a_disk() -> None:
    script = Script(reply({"volume": EVS_DISK}))
    disk = evs.disk(make_api(script), DISK)
    assert script.sent()[:3] == ("GET", f"/v2/{PROJECT}/volumes/{DISK}", {})
    assert (disk.id, disk.status, disk.size_gb, disk.name) == (DISK, "in-use", 40, "db01-data")
    assert disk.attachments == (Attachment(SERVER, "a1", "/dev/vdb"),)
    assert (disk.encrypted, disk.bootable, disk.shared, disk.from_image) == (True, False, False, False)
    assert (disk.project_id, disk.availability_zone, disk.volume_type) == (PROJECT, "eu-de-01", "SSD")
    assert disk.metadata["mark"] == "x"


def test_a_system_disk() -> None:
    document = {
        **EVS_DISK, "bootable": "true", "multiattach": "True", "metadata": None, "attachments": [],
        "volume_image_metadata": {"id": "img"}, "size": "40", "status": "available",
    }  # fmt: skip
    disk = evs.disk(make_api(Script(reply({"volume": document}))), DISK)
    assert (disk.bootable, disk.from_image, disk.shared, disk.encrypted, disk.size_gb) == (True, True, True, False, 40)
    assert disk.free


@pytest.mark.parametrize(
    "change", [{"id": "another"}, {"id": None}, {"status": ""}, {"status": {}}, {"size": None}, {"size": "big"}]
)
def test_a_disk_that_makes_no_sense(change: dict[str, Any]) -> None:
    error = failure(evs.disk, make_api(Script(reply({"volume": {**EVS_DISK, **change}}))), DISK)
    assert error.info.kind is Failure.NONSENSE
    assert DISK in str(error)


@pytest.mark.parametrize(
    ("look", "name", "document"),
    [
        (evs.disk, "volume", EVS_DISK),
        (ecs.server, "server", ECS_SERVER),
        (vbs.backup, "backup", VBS_BACKUP),
        (hss.backup, "", {**HSS_DETAIL, "id": BACKUP}),
    ],
)
def test_an_id_in_capitals_is_the_same_id(look: Callable[..., Any], name: str, document: dict[str, Any]) -> None:
    """The cloud finds it and answers in small letters, which was taken for an answer about another thing."""
    big = document["id"].upper()
    shaped: Callable[[Any], Any] = lambda inner: {name: inner} if name else inner  # noqa: E731
    assert look(make_api(Script(reply(shaped(document)))), big).id == big
    assert look(make_api(Script(reply(shaped({**document, "id": big})))), document["id"]).id == document["id"]


class Disks:
    """The list call of EVS: by ids, or by pages with a marker."""

    def __init__(self, number: int, *, page: int = 1000, count: bool = True) -> None:
        self.all = [disk_of(index) for index in range(number)]
        self._page, self._count = page, count

    def __call__(self, request: transport.HttpRequest) -> transport.HttpResponse:
        query = {key: values[0] for key, values in parse_qs(urlsplit(request.url).query).items()}
        chosen = self.all
        if "ids" in query:
            ids = json.loads(query["ids"].replace("'", '"'))
            assert len(ids) <= 60
            chosen = [disk for disk in chosen if disk["id"] in ids]
        total = len(chosen)
        if "marker" in query:
            chosen = chosen[[disk["id"] for disk in chosen].index(query["marker"]) + 1 :]
        document: dict[str, Any] = {"volumes": chosen[: min(int(query["limit"]), self._page)]}
        return reply(document | ({"count": total} if self._count else {}))


@pytest.mark.parametrize(
    ("number", "wanted", "calls"),
    [(100, 2, 1), (100, 60, 1), (100, 61, 2), (5000, 300, 5), (5000, 301, 5), (5000, 900, 5), (40_000, 301, 7)],
)
@pytest.mark.parametrize("count", [True, False])
def test_many_disks_in_few_calls(number: int, wanted: int, calls: int, count: bool) -> None:
    script = Script(Disks(number, count=count), forever=True)
    ids = [f"disk-{index}" for index in range(number - wanted, number)]
    found = evs.disks(make_api(script), [*ids, "gone"])
    assert list(found) == ids
    extra = 1 + math.ceil((wanted + 1) / 60) if not count else 2  # the id that is gone; a look at the first page
    assert len(script.requests) <= calls + extra


def test_disks_by_ids_use_the_documented_text() -> None:
    script = Script(Disks(3), forever=True)
    evs.disks(make_api(script), ["disk-0", "disk-2"])
    assert script.sent(0)[1:3] == (
        f"/v2/{PROJECT}/cloudvolumes/detail", {"ids": "['disk-0','disk-2']", "limit": "1000"},
    )  # fmt: skip


@pytest.mark.parametrize("page", [1, 7, 60])
@pytest.mark.parametrize("count", [True, False])
def test_disks_of_a_service_with_small_pages(page: int, count: bool) -> None:
    ids = [f"disk-{index}" for index in range(50)]
    assert list(evs.disks(make_api(Script(Disks(50, page=page, count=count), forever=True)), ids)) == ids


@pytest.mark.parametrize("pages", [True, False], ids=["pages", "one page only"])
def test_a_count_that_passes_over_the_filter_makes_no_disk_of_others_missing(pages: bool) -> None:
    """Of two disks one was gone, of 500 in the project: the list counted as one that broke off, for ever."""

    def listing(request: transport.HttpRequest) -> transport.HttpResponse:
        more = "marker" in parse_qs(urlsplit(request.url).query)
        return reply({"count": 500, "volumes": [] if more and pages else [disk_of(1)]})

    script = Script(listing, forever=True)
    assert list(evs.disks(make_api(script), ["disk-1", "gone"])) == ["disk-1"]
    assert [disk.id for disk in evs.disks_in(make_api(script), "available")] == ["disk-1"]
    assert len(script.requests) == 4


def test_a_count_that_fits_the_filter_ends_the_list() -> None:
    script = Script(reply({"count": 1, "volumes": [disk_of(1)]}), forever=True)
    assert list(evs.disks(make_api(script), ["disk-1", "gone"])) == ["disk-1"]
    assert len(script.requests) == 1


def test_a_list_without_a_filter_that_ends_early_is_busy() -> None:
    script = _of_servers((500, [1]), (500, []))
    assert failure(ecs.all_servers, make_api(script)).info.kind is Failure.BUSY


def test_one_disk_is_read_alone_and_may_be_missing() -> None:
    script = Script(
        reply({"volume": EVS_DISK}), reply({"itemNotFound": {"code": 404, "message": "no"}}, 404), reply(None, 403)
    )
    api = make_api(script)
    assert list(evs.disks(api, [DISK, DISK])) == [DISK]
    assert evs.disks(api, [DISK]) == {}
    assert failure(evs.disks, api, [DISK]).info.kind is Failure.DENIED
    assert evs.disks(api, []) == {}


def test_disk_metadata() -> None:
    script = Script(reply({"metadata": {"k": "v"}}))
    evs.write_metadata(make_api(script), DISK, {"k": "v"})
    assert script.sent(0) == ("POST", f"/v2/{PROJECT}/volumes/{DISK}/metadata", {}, {"metadata": {"k": "v"}})


def test_an_empty_id_does_not_become_another_path() -> None:
    assert failure(evs.write_metadata, make_api(Script()), "", {"k": "v"}).info.kind is Failure.FORBIDDEN_HERE


# --- ECS ---


def test_a_server() -> None:
    script = Script(reply({"server": ECS_SERVER}))
    server = ecs.server(make_api(script), SERVER)
    assert script.sent()[:2] == ("GET", f"/v1/{PROJECT}/cloudservers/{SERVER}")
    assert (server.name, server.status, server.task_state, server.vm_state) == ("db01", "ACTIVE", None, "active")
    assert (server.root_device, server.locked, server.availability_zone) == ("/dev/vda", False, "eu-de-01")
    assert server.volumes == (ServerVolume("root", "/dev/vda", True), ServerVolume(DISK, "/dev/vdb", False))
    assert server.metadata == {"hwcloud_recovery_a": "1"}
    assert server.running


@pytest.mark.parametrize(("task", "stopped"), [(None, True), ("", True), ("powering-on", False)])
def test_a_stopped_server_has_no_task(task: object, stopped: bool) -> None:
    document = {**ECS_SERVER, "status": "SHUTOFF", "OS-EXT-STS:task_state": task}
    assert ecs.server(make_api(Script(reply({"server": document}))), SERVER).stopped is stopped


@pytest.mark.parametrize(
    "missing",
    [
        reply({"itemNotFound": {"message": "Instance not found", "code": 404}}, 404),
        reply({"error": {"code": "Ecs.1000", "message": "Nova: itemNotFound"}}, 400),
    ],
)
def test_a_server_that_is_gone(missing: transport.HttpResponse) -> None:
    assert failure(ecs.server, make_api(Script(missing)), SERVER).info.kind is Failure.MISSING
    assert ecs.servers(make_api(Script(missing)), [SERVER]) == {}


def server_of(number: int) -> dict[str, Any]:
    return {"id": f"server-{number}", "status": "ACTIVE"}


@pytest.mark.parametrize("page", [1000, 200, 30])
@pytest.mark.parametrize("count", [True, False])
def test_many_servers(page: int, count: bool) -> None:
    every = [server_of(number) for number in range(450)]

    def listing(request: transport.HttpRequest) -> transport.HttpResponse:
        query = {key: int(values[0]) for key, values in parse_qs(urlsplit(request.url).query).items()}
        size = min(query["limit"], page)
        last = query.get("offset", 1) * size
        document: dict[str, Any] = {"servers": every[last - size : last]}
        return reply(document | ({"count": len(every)} if count else {}))

    script = Script(listing, forever=True)
    ids = ["server-449", "server-0", "gone", "server-7"]
    assert list(ecs.servers(make_api(script), ids)) == ["server-449", "server-0", "server-7"]
    assert len(script.requests) <= math.ceil(450 / page) + 1


def test_a_list_that_does_not_page_ends() -> None:
    script = Script(reply({"servers": [server_of(1)]}), forever=True)
    assert list(ecs.servers(make_api(script), ["server-1", "a", "b", "c"])) == ["server-1"]
    assert len(script.requests) == 2


def _of_servers(*pages: tuple[int, list[int]]) -> Script:
    """One answer a page: the count, and the numbers of the servers on it."""
    return Script(*(reply({"count": count, "servers": [server_of(n) for n in numbers]}) for count, numbers in pages))


SHIFTED = {
    "one has gone": [(4, [0, 1]), (3, [3])],
    "one has come": [(4, [0, 1]), (5, [1, 2])],
    "one has come and one has gone": [(4, [0, 1]), (4, [1, 2])],
    "one has come, and all that is left was read": [(3, [0, 1]), (3, [1])],
}


@pytest.mark.parametrize("first", SHIFTED.values(), ids=SHIFTED.keys())
def test_a_list_that_changes_while_it_is_read_is_read_again(first: list[tuple[int, list[int]]]) -> None:
    """Of a count that shrank it was believed that all had come: the marks of the server that slipped through counted
    as gone."""
    script = _of_servers(*first, (4, [0, 1]), (4, [2, 3]))
    assert list(ecs.all_servers(make_api(script))) == [f"server-{number}" for number in range(4)]
    assert len(script.requests) == 4


def test_a_list_that_changes_is_not_read_again_if_all_that_is_wanted_was_seen() -> None:
    script = _of_servers((5, [0, 1]), (6, [1, 2, 3]))
    assert len(ecs.servers(make_api(script), [f"server-{number}" for number in range(4)])) == 4


def test_disks_that_change_while_they_are_read_are_read_again_from_a_new_first_page() -> None:
    def page(count: int, *numbers: int) -> transport.HttpResponse:
        return reply({"count": count, "volumes": [disk_of(number) for number in range(*numbers)]})

    script = Script(page(500, 300), page(499, 300, 499), page(499, 300), page(499, 300, 499))
    ids = [f"disk-{number}" for number in range(100, 500)]
    assert list(evs.disks(make_api(script), ids)) == ids[:-1]
    assert len(script.requests) == 4


def test_a_list_that_never_rests_is_busy() -> None:
    script = _of_servers(*[(3, [0, 1]), (4, [1, 2])] * 3)
    assert failure(ecs.all_servers, make_api(script)).info.kind is Failure.BUSY


@pytest.mark.parametrize("status", [None, "", {}, "gone"])
def test_a_server_without_a_status_is_neither_on_nor_off(status: object) -> None:
    """One such server, which had nothing to do with the task, made the list of all servers unreadable."""
    odd = {**server_of(1), "status": status, "metadata": {"k": "v"}}
    if status == "gone":
        del odd["status"]
    api = make_api(Script(reply({"servers": [odd, {"status": "ACTIVE"}, server_of(2)]}), forever=True))
    found = ecs.all_servers(api)
    assert list(found) == ["server-1", "server-2"]
    assert (found["server-1"].running, found["server-1"].stopped) == (False, False)
    assert found["server-1"].metadata == {"k": "v"}
    assert failure(ecs.servers, api, ["server-1", "server-2", "a", "b"]).info.kind is Failure.NONSENSE
    assert list(ecs.servers(api, ["server-2", "a", "b", "c"])) == ["server-2"]


def test_an_offset_that_counts_records_loses_no_server() -> None:
    """The first page was asked for with offset=1, which left out the first server, and its marks, in silence."""
    every = [server_of(number) for number in range(3)]

    def listing(request: transport.HttpRequest) -> transport.HttpResponse:
        offset = int(parse_qs(urlsplit(request.url).query).get("offset", ["0"])[0])
        return reply({"servers": every[offset:], "count": len(every)})

    assert list(ecs.all_servers(make_api(Script(listing, forever=True)))) == ["server-0", "server-1", "server-2"]


def test_a_list_without_end_is_an_error() -> None:
    def endless(request: transport.HttpRequest) -> transport.HttpResponse:
        return reply({"servers": [server_of(int(parse_qs(urlsplit(request.url).query).get("offset", ["1"])[0]))]})

    assert failure(ecs.servers, make_api(Script(endless, forever=True)), list("abcd")).info.kind is Failure.NONSENSE


ORDERS: list[tuple[Callable[..., Accepted], tuple[Any, ...], dict[str, Any], tuple[Any, ...]]] = [
    (
        ecs.stop, ([SERVER],), {},
        ("POST", "cloudservers/action", {}, {"os-stop": {"type": "SOFT", "servers": [{"id": SERVER}]}}),
    ),
    (
        ecs.stop, ([SERVER, "s2"],), {"hard": True},
        ("POST", "cloudservers/action", {}, {"os-stop": {"type": "HARD", "servers": [{"id": SERVER}, {"id": "s2"}]}}),
    ),
    (
        ecs.start, ([SERVER],), {},
        ("POST", "cloudservers/action", {}, {"os-start": {"servers": [{"id": SERVER}]}}),
    ),
    (
        ecs.detach, (SERVER, DISK), {},
        ("DELETE", f"cloudservers/{SERVER}/detachvolume/{DISK}", {}, None),
    ),
    (
        ecs.attach, (SERVER, DISK), {},
        ("POST", f"cloudservers/{SERVER}/attachvolume", {}, {"volumeAttachment": {"volumeId": DISK}}),
    ),
    (
        ecs.attach, (SERVER, DISK), {"device": "/dev/vdb"},
        ("POST", f"cloudservers/{SERVER}/attachvolume", {},
         {"volumeAttachment": {"volumeId": DISK, "device": "/dev/vdb"}}),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("order", "args", "options", "sent"), ORDERS)
@pytest.mark.parametrize("status", [200, 202])
def test_orders_to_ecs(
    order: Callable[..., Accepted], args: tuple[Any, ...], options: dict[str, Any], sent: tuple[Any, ...], status: int
) -> None:
    script = Script(reply({"job_id": JOB}, status))
    assert order(make_api(script), *args, **options) == Accepted(JOB)
    method, path, query, body = script.sent()
    assert (method, path.removeprefix(f"/v1/{PROJECT}/"), query, body) == sent


@pytest.mark.parametrize(("order", "args", "options", "_sent"), ORDERS)
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply({}), Failure.LOST),
        (reply({"job_id": None}), Failure.LOST),
        (reply({"job_id": {}}), Failure.LOST),
        (reply(raw=b""), Failure.LOST),
        (reply({"error": {"code": "Common.0024", "message": "busy"}}, 202), Failure.BUSY),
        (reply({"error": {"code": "Ecs.0605", "message": "locked"}}, 400), Failure.REFUSED),
        (reply({"error": {"code": "Ecs.0603", "message": "wait"}}, 501), Failure.BUSY),
        (transport.AnswerLost("cut"), Failure.LOST),
    ],
)
def test_orders_without_a_job(
    order: Callable[..., Accepted],
    args: tuple[Any, ...],
    options: dict[str, Any],
    _sent: object,
    answer: Any,
    kind: Failure,
) -> None:
    script = Script(answer)
    assert failure(order, make_api(script), *args, **options).info.kind is kind
    assert len(script.requests) == 1


def test_a_rehearsed_attach_needs_no_job() -> None:
    script = Script(reply(None))
    assert ecs.attach(make_api(script), SERVER, DISK, dry_run=True) == Accepted()
    assert script.sent()[3]["dry_run"] is True


def test_server_metadata() -> None:
    script = Script(reply({"metadata": {"k": "v"}}))
    ecs.write_metadata(make_api(script), SERVER, {"k": "v"})
    assert script.sent(0) == ("POST", f"/v1/{PROJECT}/cloudservers/{SERVER}/metadata", {}, {"metadata": {"k": "v"}})


# --- jobs ---

FAILED_CHILD = {
    "status": "FAIL", "job_id": "c", "error_code": "Ecs.0226", "fail_reason": "no host",
    "entities": {"server_id": "s2"},
}  # fmt: skip
GOOD_CHILD = {"status": "SUCCESS", "job_id": "d", "entities": {"server_id": "s1"}}


@pytest.mark.parametrize(
    "blank",
    [
        {},
        {"sub_jobs": ""},
        {"sub_jobs": None},
        {"sub_jobs": []},
        {"entities": {"sub_jobs": ""}},
        {"entities": None},
        {"entities": {"sub_jobs": None}},
        {"entities": []},
    ],
)
@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("INIT", JobState.RUNNING),
        ("RUNNING", JobState.RUNNING),
        ("SUCCESS", JobState.SUCCEEDED),
        ("FAIL", JobState.FAILED),
        ("success", JobState.SUCCEEDED),
        ("SUCCEEDED?", JobState.RUNNING),
    ],
)
def test_job_states(blank: dict[str, Any], status: str, state: JobState) -> None:
    document = {"status": status, "job_id": JOB, "job_type": "bksRestoreBackup", "error_code": None, **blank}
    script = Script(reply(document))
    job = vbs.job(make_api(script), JOB)
    assert script.sent()[1] == f"/v1/{PROJECT}/jobs/{JOB}"
    assert script.requests[0].url.startswith("https://vbs.")
    assert (job.id, job.state, job.raw_status, job.job_type) == (JOB, state, status, "bksRestoreBackup")


@pytest.mark.parametrize(
    "place",
    [
        {"sub_jobs": [GOOD_CHILD, FAILED_CHILD]},
        {"entities": {"sub_jobs_total": 2, "sub_jobs": [GOOD_CHILD, FAILED_CHILD]}},
        {"sub_jobs": [{"status": "SUCCESS", "entities": {"sub_jobs": [FAILED_CHILD]}}]},
    ],
)
@pytest.mark.parametrize("parent", ["SUCCESS", "FAIL"])
def test_a_failed_child_fails_its_parent(place: dict[str, Any], parent: str) -> None:
    job = ecs.job(make_api(Script(reply({"status": parent, **place}))), JOB)
    assert (job.state, job.error_code, job.fail_reason) == (JobState.FAILED, "Ecs.0226", "no host")
    assert job.failed_server_ids == ("s2",)


def test_a_running_parent_is_not_failed_yet() -> None:
    document = {"status": "RUNNING", "entities": {"sub_jobs": [FAILED_CHILD]}}
    assert ecs.job(make_api(Script(reply(document))), JOB).state is JobState.RUNNING


def test_a_failed_restore_tells_why() -> None:
    document = {
        "status": "FAIL",
        "error_code": "VolumeBackup.0064",
        "fail_reason": "backup status is error.",
        "sub_jobs": "",
    }
    job = vbs.job(make_api(Script(reply(document))), JOB)
    assert (job.error_code, job.fail_reason) == ("VolumeBackup.0064", "backup status is error.")


@pytest.mark.parametrize(
    "inside",
    [
        {"error": {"code": "VolumeBackup.0200", "message": "restore failed"}},
        {"error": {"error_code": "VolumeBackup.0200", "error_msg": "restore failed"}},
        {"error_code": "VolumeBackup.0200", "error_msg": "restore failed"},
        {"code": "VolumeBackup.0200", "message": "restore failed"},
        {"error_code": "VolumeBackup.0200", "fail_reason": "restore failed"},
    ],
)
@pytest.mark.parametrize("status", ["FAIL", "fail"])
def test_a_job_that_failed_is_no_query_that_failed(inside: dict[str, Any], status: str) -> None:
    """A failed job that tells of its error in the shape of an error answer was taken for one that cannot be read, and
    the restore that it had failed for one that succeeded.
    """
    job = vbs.job(make_api(Script(reply({"status": status, **inside}))), JOB)
    assert (job.state, job.error_code, job.fail_reason) == (JobState.FAILED, "VolumeBackup.0200", "restore failed")


@pytest.mark.parametrize("code", ["VolumeBackup.0064", "VolumeBackup.0200", "volumebackup.0201", "VOLUMEBACKUP.0202"])
@pytest.mark.parametrize("status", [200, 400])
def test_a_query_that_says_that_the_restore_failed(code: str, status: int) -> None:
    """These codes speak of the restore and not of the query (VBS API reference, Error Codes)."""
    script = Script(reply({"error": {"code": code, "message": "restore failed"}}, status), forever=True)
    job = vbs.job(make_api(script), JOB)
    assert (job.state, job.error_code, job.fail_reason) == (JobState.FAILED, code, "restore failed")


@pytest.mark.parametrize("status", ["SUCCESS", "RUNNING", "INIT", "", None, 200])
def test_only_a_failed_job_may_tell_of_an_error(status: object) -> None:
    document = {"status": status, "error": {"code": "Common.0021", "message": "no"}}
    assert failure(vbs.job, make_api(Script(reply(document), forever=True)), JOB).info.code == "Common.0021"


def test_an_order_that_says_that_it_failed_is_refused() -> None:
    """A failed job is an answer only where a job was asked for."""
    document = {"status": "FAIL", "error": {"code": "HSS.0001", "message": "no"}}
    assert failure(hss.restore, make_api(Script(reply(document))), BACKUP).info.kind is Failure.REFUSED


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply({"error": {"code": "common.0011", "message": "failed to query the task"}}, 400), Failure.MISSING),
        (reply({"code": "common.0011", "message": "failed to query the task"}), Failure.MISSING),
        (reply({"job_id": JOB}), Failure.NONSENSE),
        (reply({"status": None}), Failure.NONSENSE),
        (reply({"status": 7.5}), None),
    ],
)
def test_a_job_that_cannot_be_read(answer: transport.HttpResponse, kind: Failure | None) -> None:
    api = make_api(Script(answer))
    if kind is None:
        assert vbs.job(api, JOB).state is JobState.RUNNING
    else:
        assert failure(vbs.job, api, JOB).info.kind is kind


QUOTED = f"refused: X-Auth-Token: OfSomebodyElse, {TOKEN}"


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        (lambda api: vbs.job(api, JOB), {"status": "FAIL", "error_code": QUOTED, "fail_reason": QUOTED}),
        (lambda api: ecs.job(api, JOB), {"status": "FAIL", "entities": {"errorcode_message": QUOTED}}),
        (lambda api: ecs.job(api, JOB), {"status": "FAIL", "sub_jobs": [{"status": "FAIL", "fail_reason": QUOTED}]}),
        (lambda api: vbs.backup(api, BACKUP), {"backup": {**VBS_BACKUP, "fail_reason": QUOTED}}),
        (vbs.backups, {"backups": [{**VBS_BACKUP, "fail_reason": QUOTED}], "count": 1}),
        (
            hss.log,
            {"total_num": 1, "data_list": [{"host_id": "h", "error_info": {"code": QUOTED, "message": QUOTED}}]},
        ),
    ],
)
def test_no_secret_in_what_a_success_tells(read: Callable[[Any], object], answer: dict[str, Any]) -> None:
    """Why a job failed went into reports as it came, while the same words in an error answer were cleaned."""
    shown = repr(read(make_api(Script(reply(answer)))))
    assert "refused: " in shown
    assert TOKEN not in shown
    assert "OfSomebodyElse" not in shown


# --- VBS ---


def test_restore_a_disk() -> None:
    script = Script(reply({"job_id": "70a599e0-31e7-49b7-b260-868f441e862b"}))
    assert vbs.restore(make_api(script), BACKUP, DISK) == Accepted("70a599e0-31e7-49b7-b260-868f441e862b")
    assert script.sent() == (
        "POST", f"/v2/{PROJECT}/cloudbackups/{BACKUP}/restore", {}, {"restore": {"volume_id": DISK}},
    )  # fmt: skip


@pytest.mark.parametrize("backup_id", ["", "/", "..", "a/../b"])
def test_no_backup_id_can_delete_a_backup(backup_id: str) -> None:
    script = Script()
    info = failure(vbs.restore, make_api(script), backup_id, DISK).info
    assert info.kind is Failure.FORBIDDEN_HERE
    assert "as the console shows it" in info.remedy
    assert script.requests == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 406, 407, 408, 409, 500, 501, 502, 503, 504])
@pytest.mark.parametrize(
    "document", [{"error": {"message": "XXXX", "code": "XXX"}}, {"message": "XXXX", "code": "XXX"}]
)
def test_every_status_of_the_restore(status: int, document: dict[str, Any]) -> None:
    script = Script(reply(document, status))
    error = failure(vbs.restore, make_api(script), BACKUP, DISK)
    assert (error.info.code, error.info.http_status) == ("XXX", status)
    for words in (BACKUP, DISK, "XXXX", str(status), error.info.remedy):
        assert words in str(error)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply({}), Failure.LOST),
        (reply({"job_id": ""}), Failure.LOST),
        (reply({"error": {"code": "VolumeBackup.0205", "message": "disk in use"}}), Failure.REFUSED),
        (reply({"code": "VolumeBackup.0206", "message": "backup runs"}), Failure.BUSY),
        (reply({"error": {"code": "New.1", "message": "no"}}), Failure.REFUSED),
        (reply(raw=b"<html>welcome</html>"), Failure.LOST),
    ],
)
def test_a_restore_without_a_job(answer: transport.HttpResponse, kind: Failure) -> None:
    assert failure(vbs.restore, make_api(Script(answer)), BACKUP, DISK).info.kind is kind


@pytest.mark.parametrize(
    "field",
    ["os-backup-project-attr:project_id", "os-backup-project-attr:tenant_id", "os-bak-tenant-attr:tenant_id"],
)
def test_a_backup(field: str) -> None:
    document = {key: value for key, value in VBS_BACKUP.items() if not key.startswith("os-")} | {field: PROJECT}
    script = Script(reply({"backup": document}))
    backup = vbs.backup(make_api(script), BACKUP)
    assert script.sent()[1] == f"/v3/{PROJECT}/backups/{BACKUP}"
    assert (backup.service, backup.id, backup.status, backup.name) == ("vbs", BACKUP, "available", "")
    assert (backup.volume_id, backup.size_gb, backup.created_at) == (DISK, 40, 1_767_323_045.0)
    assert backup.project_id == PROJECT
    assert backup.ransomware_alert is None


class Backups:
    """The list call of VBS, with a link to an internal host as the real one has."""

    def __init__(self, number: int, *, page: int = 1000) -> None:
        self.all = [{**VBS_BACKUP, "id": f"b{index}", "volume_id": f"d{index % 10}"} for index in range(number)]
        self._page = page

    def __call__(self, request: transport.HttpRequest) -> transport.HttpResponse:
        query = {key: values[0] for key, values in parse_qs(urlsplit(request.url).query).items()}
        chosen = [one for one in self.all if query.get("volume_id", one["volume_id"]) == one["volume_id"]]
        offset, size = int(query.get("offset", 0)), min(int(query["limit"]), self._page)
        links = [{"href": "http://192.0.2.1:8776/v3/x/backups?marker=y", "rel": "next"}]
        return reply({"backups": chosen[offset : offset + size], "backups_links": links})


@pytest.mark.parametrize("page", [1000, 40])
def test_all_backups(page: int) -> None:
    script = Script(Backups(230, page=page), forever=True)
    assert len(vbs.backups(make_api(script))) == 230
    assert {urlsplit(one.url).hostname for one in script.requests} == {"vbs.eu-de.otc.example.com"}
    assert "offset" not in script.sent(0)[2]


@pytest.mark.parametrize(
    ("wanted", "filtered"), [(["d1"], True), (["d1", "d2", "d1"], True), ([f"d{n}" for n in range(6)], False)]
)
def test_backups_of_some_disks(wanted: list[str], filtered: bool) -> None:
    script = Script(Backups(100), forever=True)
    found = vbs.backups(make_api(script), volume_ids=wanted)
    assert {one.volume_id for one in found} == set(wanted)
    assert len(found) == 10 * len(set(wanted))
    assert all(("volume_id" in script.sent(number)[2]) is filtered for number in range(len(script.requests)))


def test_a_filter_that_the_cloud_ignores_does_no_harm() -> None:
    script = Script(reply({"backups": [VBS_BACKUP, {**VBS_BACKUP, "id": "b2", "volume_id": "other"}]}), forever=True)
    assert [one.id for one in vbs.backups(make_api(script), volume_ids=[DISK])] == [BACKUP]


def test_a_backup_without_a_status_spoils_no_list() -> None:
    odd = {**VBS_BACKUP, "id": "b2", "status": None}
    api = make_api(Script(reply({"backups": [VBS_BACKUP, odd]}), forever=True))
    assert [(one.id, one.status) for one in vbs.backups(api)] == [(BACKUP, "available"), ("b2", "unknown")]
    assert [one.id for one in vbs.backups_in(api, "restoring")] == ["b2"], "it may be one that is being restored"


def test_only_disks_in_the_state_asked_for_are_judged() -> None:
    busy = {"id": DISK, "status": "restoring-backup", "size": 1}
    api = make_api(Script(reply({"volumes": [busy, {"id": "d2", "status": "error"}]}), forever=True))
    assert [one.id for one in evs.disks_in(api, "restoring-backup")] == [DISK]


# --- HSS ---


def test_restore_a_server() -> None:
    script = Script(reply(None))
    api = make_api(script, enterprise_project_id="all_granted_eps")
    api.asset_region = "cn-north-4"
    mappings = [("child-1", DISK)]
    accepted = hss.restore(api, BACKUP, server_id=SERVER, power_on=False, mappings=mappings)
    assert accepted == Accepted()
    assert script.sent() == (
        "POST",
        f"/v5/{PROJECT}/ransomware/duplication/{BACKUP}/restore",
        {"enterprise_project_id": "all_granted_eps"},
        {"server_id": SERVER, "power_on": False, "mappings": [{"backup_id": "child-1", "volume_id": DISK}]},
    )
    assert script.requests[0].headers["region"] == "cn-north-4"


@pytest.mark.parametrize("document", [{"code": 0, "message": "success"}, {"error_code": "0", "error_msg": "success"}])
def test_a_success_that_bears_a_code_is_a_success(document: dict[str, Any]) -> None:
    """It was reported as refused while HSS restored the server: the next run restored it once more."""
    assert hss.restore(make_api(Script(reply(document))), BACKUP, server_id=SERVER) == Accepted()


def test_restore_with_defaults_sends_little() -> None:
    script = Script(reply({}))
    assert hss.restore(make_api(script), BACKUP) == Accepted()
    assert script.sent()[2:] == ({}, {"power_on": True})
    assert "region" not in script.requests[0].headers


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (reply({"error_code": "HSS.0011", "error_msg": "no"}, 400), Failure.MISSING, "HSS.0011"),
        (reply({"error_code": "HSS.0013", "error_msg": "no"}, 400), Failure.DENIED, "HSS.0013"),
        (
            reply({"error_code": "APIGW.0101", "error_msg": "The API does not exist"}, 404),
            Failure.REFUSED,
            "Cloud Backup and Recovery",
        ),
        (reply({"error_code": "HSS.1021", "error_msg": "BackupService.2010"}, 400), Failure.REFUSED, "2010"),
        (reply({"error_code": "HSS.0001", "error_msg": "bad"}), Failure.REFUSED, "HSS.0001"),
        (reply(raw=b"<html>portal</html>"), Failure.LOST, "portal"),
        (transport.AnswerLost("cut"), Failure.LOST, "look at the state"),
    ],
)
def test_a_server_restore_that_was_not_taken(answer: Any, kind: Failure, words: str) -> None:
    script = Script(answer)
    error = failure(hss.restore, make_api(script), BACKUP, server_id=SERVER)
    assert error.info.kind is kind
    assert words in str(error)
    assert len(script.requests) == 1


SAID_NO = [
    ({"error_code": "HSS.1021", "error_msg": ""}, Failure.REFUSED, "HSS.1021"),
    ({"error_code": "HSS.0011"}, Failure.MISSING, "HSS.0011"),
    ({"error_code": "HSS.0041", "error_msg": "internal"}, Failure.LOST, "internal"),
    ({"error_msg": "denied"}, Failure.REFUSED, "denied"),
    ({"error": {"message": "boom"}}, Failure.REFUSED, "boom"),
    ({"error": "boom"}, Failure.REFUSED, "boom"),
    ({"badRequest": {"code": 400, "message": "bad"}}, Failure.REFUSED, "bad"),
    ({"errorCode": "X.1", "message": "no way"}, Failure.REFUSED, "no way"),
    ({"message": "no way"}, Failure.LOST, "no way"),
    ({"success": False, "why": "no way"}, Failure.LOST, "no way"),
]


@pytest.mark.parametrize(("document", "kind", "words"), SAID_NO)
@pytest.mark.parametrize(
    "order",
    [lambda api: hss.restore(api, BACKUP, server_id=SERVER), lambda api: vbs.restore(api, BACKUP, DISK)],
    ids=["hss", "vbs"],
)
def test_a_no_within_a_success(
    order: Callable[[Any], Accepted], document: dict[str, Any], kind: Failure, words: str
) -> None:
    """The success of an HSS restore has no body, so whatever was not an error of the usual shape counted as one; VBS'
    words were not told.
    """
    script = Script(reply(document))
    info = failure(order, make_api(script)).info
    assert info.kind is kind
    assert words in info.message + info.code
    assert len(script.requests) == 1


@pytest.mark.parametrize("document", [{"task_id": "t"}, {"result": "success"}, {"code": "Common.0000", "message": "m"}])
def test_a_success_may_say_more_than_it_must(document: dict[str, Any]) -> None:
    assert hss.restore(make_api(Script(reply(document))), BACKUP, server_id=SERVER) == Accepted()


def test_a_job_under_way_may_bear_a_code() -> None:
    document = {"status": "RUNNING", "code": "Common.0000", "message": "processing", "job_id": None}
    assert vbs.job(make_api(Script(reply(document))), JOB).state is JobState.RUNNING


@pytest.mark.parametrize("call", [evs.disk, ecs.server, vbs.backup])
def test_only_hss_is_told_of_hss(call: Callable[..., Any]) -> None:
    """A disk that could not be looked at was answered with advice about HSS."""
    answer = reply({"error_code": "APIGW.0101", "error_msg": "The API does not exist"}, 404)
    error = failure(call, make_api(Script(answer)), DISK)
    assert "check region" in error.info.remedy
    assert "HSS" not in error.info.remedy


def test_a_server_backup() -> None:
    script = Script(reply(HSS_DETAIL))
    api = make_api(script)
    api.asset_region = "cn-north-4"
    backup = hss.backup(api, BACKUP)
    assert script.sent()[1] == f"/v5/{PROJECT}/ransomware/backup/{BACKUP}/detail"
    assert script.requests[0].headers["region"] == "cn-north-4"
    assert (backup.service, backup.server_id, backup.server_name, backup.volume_id) == ("hss", SERVER, "web-1", "")
    assert (backup.created_at, backup.size_gb) == (1_767_323_045.0, 80)
    assert backup.children == (
        ChildBackup("child-1", DISK, "OS::Cinder::Volume", "web-1-disk", "hss_1_vol", "available", 40),
    )


def test_a_disk_backup_of_hss() -> None:
    document = {**HSS_DETAIL, "resource_type": "OS::Cinder::Volume", "resource_id": DISK, "children": None}
    backup = hss.backup(make_api(Script(reply(document))), BACKUP)
    assert (backup.server_id, backup.volume_id, backup.children) == ("", DISK, ())


@pytest.mark.parametrize(("tag", "alert"), [(0, False), (1, True), ("1", True), (None, None), ("?", None), (7, None)])
def test_backups_of_a_server(tag: object, alert: bool | None) -> None:
    item = {
        "backup_id": BACKUP,
        "backup_name": "n",
        "backup_status": "available",
        "create_time": 1_767_323_045,
        "backup_tag": tag,
    }
    script = Script(reply({"total_num": 1, "data_list": [item]}))
    found = hss.backups(make_api(script), SERVER, status="available")
    assert script.sent()[1:3] == (
        f"/v5/{PROJECT}/ransomware/backup/{SERVER}", {"status": "available", "offset": "0", "limit": "200"},
    )  # fmt: skip
    assert [(one.id, one.server_id, one.created_at, one.ransomware_alert) for one in found] == [
        (BACKUP, SERVER, 1_767_323_045.0, alert)
    ]


def record(number: int, **more: Any) -> dict[str, Any]:
    return {
        "host_id": f"h{number}",
        "backup_name": "hss_1",
        "status": "running",
        "process": 40,
        "started_at": "2026-01-02 03:04:05",
        "ended_at": "",
        "error_info": {"code": "", "message": ""},
        **more,
    }


def test_the_task_list() -> None:
    items = [
        record(1),
        record(1),
        record(2, status="failed", error_info={"code": "BackupService.2010", "message": "m"}),
    ]
    script = Script(reply({"total_num": 3, "data_list": items}))
    found = hss.log(make_api(script))
    assert script.sent()[1:3] == (
        f"/v5/{PROJECT}/ransomware/backup/operation-logs", {"offset": "0", "limit": "200"},
    )  # fmt: skip
    assert found[0] == found[1], "equal records stay two: they are told apart by their number"
    assert found[2] == LogRecord(
        "h2", "hss_1", "failed", "2026-01-02 03:04:05", "", "", 40, "BackupService.2010", "m"
    )  # fmt: skip


def _pages(*lists: tuple[int, int, int]) -> list[transport.HttpResponse]:
    return [
        reply({"total_num": total, "data_list": [record(n) for n in range(first, last)]})
        for total, first, last in lists
    ]


def test_a_long_task_list() -> None:
    script = Script(*_pages((450, 0, 200), (450, 200, 400), (450, 400, 450)))
    assert [one.host_id for one in hss.log(make_api(script))] == [f"h{n}" for n in range(450)]
    assert script.sent()[2]["offset"] == "400"


def test_a_task_list_that_changes_while_it_is_read_is_read_again() -> None:
    script = Script(*_pages((300, 0, 200), (301, 199, 300), (301, 0, 200), (301, 200, 301)))
    assert [one.host_id for one in hss.log(make_api(script))] == [f"h{n}" for n in range(301)]


@pytest.mark.parametrize("progress", [40, 41])
def test_a_task_list_that_turns_over_while_it_is_read_is_read_again(progress: int) -> None:
    """One came and the oldest went, so the total stayed: what stood on both pages counted as new, and as the end of a
    restore that hung."""
    shifted = [record(199, process=progress), *(record(n) for n in range(200, 299))]
    script = Script(
        *_pages((300, 0, 200)), reply({"total_num": 300, "data_list": shifted}), *_pages((300, 0, 200), (300, 200, 300))
    )
    assert [one.host_id for one in hss.log(make_api(script))] == [f"h{n}" for n in range(300)]


def test_two_records_that_are_alike_do_not_keep_the_task_list_from_being_read() -> None:
    script = Script(*_pages((300, 0, 200), (300, 199, 299)) * 2)
    assert len(hss.log(make_api(script))) == 300


def test_a_task_list_that_does_not_page_has_an_end() -> None:
    """Without a total it was read for ever."""
    script = Script(reply({"data_list": [record(1), record(2)]}), forever=True)
    assert [one.host_id for one in hss.log(make_api(script))] == ["h1", "h2"]
    assert len(script.requests) <= 3


def test_the_status_of_a_task_may_be_in_capitals() -> None:
    script = Script(reply({"total_num": 1, "data_list": [record(1, status="SUCCESS")]}))
    assert hss.log(make_api(script))[0].status == "success"


def test_a_task_list_that_never_rests_is_busy() -> None:
    script = Script(*_pages((300, 0, 200), (301, 0, 200)) * 3)
    assert failure(hss.log, make_api(script)).info.kind is Failure.BUSY


def test_hss_reads_keep_the_limit_of_five() -> None:
    script = Script(reply({"total_num": 0, "data_list": []}), forever=True)
    api = make_api(script)
    for _unused in range(6):
        hss.log(api)
    assert api.requests_sent == {("hss", "ListOperationLogs"): 6}
    assert api._clock.slept[0] > 60  # type: ignore[attr-defined]


# --- answers about something else, and lists by state ---


@pytest.mark.parametrize(
    ("read", "asked", "answer"),
    [
        (ecs.server, SERVER, {"server": {**ECS_SERVER, "id": "other-1"}}),
        (vbs.backup, BACKUP, {"backup": {**VBS_BACKUP, "id": "other-1"}}),
        (hss.backup, BACKUP, {**HSS_DETAIL, "id": "other-1"}),
    ],
)
def test_an_answer_about_another_thing(read: Callable[..., object], asked: str, answer: dict[str, Any]) -> None:
    error = failure(read, make_api(Script(reply(answer))), asked)
    assert error.info.kind is Failure.NONSENSE
    assert "other-1" in str(error)


def test_one_denied_server_is_no_missing_server() -> None:
    assert failure(ecs.servers, make_api(Script(reply(None, 403))), [SERVER]).info.kind is Failure.DENIED


def test_disks_and_backups_in_one_state() -> None:
    """The filter is checked here again: a cloud that passes over it must not make other disks look restoring."""
    restoring = {**EVS_DISK, "id": "d2", "status": "restoring-backup"}
    script = Script(reply({"count": 2, "volumes": [EVS_DISK, restoring]}))
    assert [disk.id for disk in evs.disks_in(make_api(script), "restoring-backup")] == ["d2"]
    assert script.sent()[2]["status"] == "restoring-backup"
    script = Script(reply({"backups": [VBS_BACKUP, {**VBS_BACKUP, "id": "b2", "status": "restoring"}]}), forever=True)
    assert [backup.id for backup in vbs.backups_in(make_api(script), "restoring")] == ["b2"]
    assert script.sent()[2]["status"] == "restoring"


# --- nothing but CloudError, whatever comes ---

_WRAPPERS = {
    "volume", "volumes", "server", "servers", "backup", "backups", "data_list", "total_num", "count", "sub_jobs",
    "entities", "job_id", "projects", "token", "error", "code", "message", "backup_id", "backup_status", "create_time",
}  # fmt: skip
_SAMPLES = (EVS_DISK, ECS_SERVER, VBS_BACKUP, HSS_DETAIL, record(1), FAILED_CHILD)
_NAMES = sorted({name for document in _SAMPLES for name in document} | _WRAPPERS)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([DISK, BACKUP, "SUCCESS"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=5),
    max_leaves=15,
)
_DOCUMENTS = st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=6)
_GOOD: list[dict[str, Any]] = [
    {"volume": EVS_DISK},
    {"count": 1, "volumes": [EVS_DISK]},
    {"server": ECS_SERVER},
    {"count": 1, "servers": [{**ECS_SERVER, "id": "a"}]},
    {"status": "SUCCESS", "job_id": JOB, "entities": {"sub_jobs": [FAILED_CHILD]}, "sub_jobs": [GOOD_CHILD]},
    {"backup": VBS_BACKUP},
    {"backups": [VBS_BACKUP], "count": 1},
    HSS_DETAIL,
    {"total_num": 1, "data_list": [{"backup_id": BACKUP, "backup_status": "available", "create_time": 1}]},
    {"total_num": 2, "data_list": [record(1), record(2)]},
    {"projects": [{"id": PROJECT, "name": "eu-de"}]},
]


def _places(document: object) -> list[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(document, (dict, list)):
        for key in list(document) if isinstance(document, dict) else range(len(document)):
            pairs += [(document, key), *_places(document[key])]
    return pairs


@st.composite
def _mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A good answer with something else in one or two places."""
    document: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(_GOOD)))
    for _unused in range(draw(st.integers(1, 2))):
        container, key = draw(st.sampled_from(_places(document) or [({}, "nothing")]))
        container[key] = draw(_VALUES)
    return document


_CALLS: dict[str, Callable[[Any], object]] = {
    "evs.disk": lambda api: evs.disk(api, DISK),
    "evs.disks": lambda api: evs.disks(api, [DISK, "d2"]),
    "evs.disks_in": lambda api: evs.disks_in(api, "available"),
    "evs.write_metadata": lambda api: evs.write_metadata(api, DISK, {"a": "b"}),
    "ecs.server": lambda api: ecs.server(api, SERVER),
    "ecs.servers": lambda api: ecs.servers(api, ["a", "b", "c", "d"]),
    "ecs.stop": lambda api: ecs.stop(api, [SERVER]),
    "ecs.attach": lambda api: ecs.attach(api, SERVER, DISK),
    "ecs.job": lambda api: ecs.job(api, JOB),
    "vbs.restore": lambda api: vbs.restore(api, BACKUP, DISK),
    "vbs.job": lambda api: vbs.job(api, JOB),
    "vbs.backup": lambda api: vbs.backup(api, BACKUP),
    "vbs.backups": vbs.backups,
    "vbs.backups_in": lambda api: vbs.backups_in(api, "available"),
    "hss.restore": lambda api: hss.restore(api, BACKUP),
    "hss.backup": lambda api: hss.backup(api, BACKUP),
    "hss.backups": lambda api: hss.backups(api, SERVER),
    "hss.log": hss.log,
    "iam.project_id": lambda api: iam.project_id(api, "eu-de"),
}


@pytest.mark.parametrize("call", _CALLS.values(), ids=_CALLS.keys())
@given(document=_DOCUMENTS | _mutated())
@settings(max_examples=60, deadline=None)
def test_any_document_gives_a_value_or_a_cloud_error(call: Callable[[Any], object], document: dict[str, Any]) -> None:
    answers = iter([reply(document)] * 3)
    script = Script(lambda _request: next(answers, reply({})), forever=True)
    try:
        call(make_api(script))
    except CloudError as error:
        assert error.info.message


@pytest.mark.parametrize(
    ("read", "good"),
    [
        (fields.text, {"a": "a", 7: "7", None: "", True: ""}),
        (
            fields.whole,
            {7: 7, "7": 7, " 7 ": 7, "x": None, True: None, 7.9: 7, math.inf: None, math.nan: None, "9" * 21: None},
        ),
        (fields.flag, {True: True, "TRUE": True, "0": False, 2: None, "yes": None, None: None}),
    ],
)
def test_fields(read: Callable[[object], object], good: dict[object, object]) -> None:
    assert {value: read(value) for value in good} == good


def test_a_deep_job_does_not_exhaust_the_stack() -> None:
    document: dict[str, Any] = {"status": "FAIL"}
    for _unused in range(3000):
        document = {"status": "SUCCESS", "sub_jobs": [document]}
    assert jobs.parse(document, JOB, what="looking").state is JobState.FAILED
