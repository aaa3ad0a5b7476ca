# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EVS: reading disks, one and many, and their metadata."""

from __future__ import annotations

from typing import Any

import pytest
from simulator.messages import Response
from simulator.rig import Rig, disk_id, server_id, vbs_id
from simulator.scenario import parse

DETAIL = "/v2/{p}/cloudvolumes/detail"


def code(response: Response) -> tuple[int, str]:
    return response.status, response.json()["error"]["code"]


def many(count: int) -> Any:
    disks = [{"id": f"disk-{n:05d}", "name": f"n{n}", "size": 1} for n in range(count)]
    user = {"name": "u", "password": "p"}
    return parse({"project": {"id": "p1", "name": "eu-de"}, "users": [user], "disks": disks})


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_one_disk(version: str) -> None:
    volume = Rig().get("evs", f"/{version}/{{p}}/volumes/{disk_id(1)}")["volume"]
    assert volume["status"] == "in-use"
    assert volume["bootable"] == "true"
    assert volume["volume_image_metadata"] is not None
    attachment = volume["attachments"][0]
    assert (attachment["server_id"], attachment["device"]) == (server_id(1), "/dev/vda")
    assert attachment["id"] == attachment["volume_id"] == disk_id(1)
    assert not volume["created_at"].endswith("Z")
    data = Rig().get("evs", f"/{version}/{{p}}/volumes/{disk_id(2)}")["volume"]
    assert (data["bootable"], data["volume_image_metadata"]) == ("false", None)


def test_an_unknown_disk_is_not_found() -> None:
    response = Rig().call("evs", "GET", "/v2/{p}/volumes/unknown")
    assert (response.status, response.json()["itemNotFound"]["code"]) == (404, 404)


def test_lists_by_server_status_id_and_name() -> None:
    rig = Rig()

    def ids(**query: Any) -> set[str]:
        return {volume["id"] for volume in rig.get("evs", DETAIL, **query)["volumes"]}

    assert ids() == {disk_id(n) for n in range(1, 6)}
    assert ids(server_id=server_id(1)) == {disk_id(1), disk_id(2)}
    assert ids(server_id="unknown") == set()
    assert ids(status="available") == {disk_id(3)}
    assert ids(id=disk_id(2)) == {disk_id(2)}
    assert ids(id="unknown") == set()
    assert ids(name="archive") == {disk_id(3)}
    assert ids(availability_zone="elsewhere") == set()
    assert ids(multiattach="true") == set()


def test_ids_skips_unknown_ones_and_wins_over_id() -> None:
    rig = Rig()
    text = f"['{disk_id(1)}', 'unknown','{disk_id(3)}']"
    found = rig.get("evs", DETAIL, ids=text, id=disk_id(5))
    assert [volume["id"] for volume in found["volumes"]] == [disk_id(1), disk_id(3)]
    assert found["count"] == 2


def test_ids_takes_60_and_one_spelling() -> None:
    rig = Rig()

    def ask(text: str) -> Response:
        return rig.call("evs", "GET", DETAIL, query={"ids": text})

    assert ask(str([f"x{n}" for n in range(60)])).status == 200
    assert code(ask(str([f"x{n}" for n in range(61)]))) == (400, "EVS.5400")
    assert code(ask("a,b")) == (400, "EVS.5400")


def test_pages_by_marker_until_there_is_no_next_link() -> None:
    rig = Rig(many(25))
    seen: list[str] = []
    sizes: list[int] = []
    query: dict[str, Any] = {"limit": 10}
    while True:
        page = rig.get("evs", DETAIL, **query)
        assert page["count"] == 25
        seen += [volume["id"] for volume in page["volumes"]]
        sizes.append(len(page["volumes"]))
        if "volumes_links" not in page:
            break
        query["marker"] = seen[-1]
    assert len(seen) == len(set(seen)) == 25
    assert sizes == [10, 10, 5]


def test_a_server_may_give_fewer_than_asked() -> None:
    rig = Rig(many(25), page_limit_cap=7)
    assert len(rig.get("evs", DETAIL, limit=10)["volumes"]) == 7


def test_offset_is_greater_than_zero_unless_the_cloud_is_lenient() -> None:
    strict, lenient = Rig(many(5)), Rig(many(5), evs_offset="lenient")
    assert len(strict.get("evs", DETAIL, offset=2)["volumes"]) == 3
    for offset in (0, 5, -1):
        assert code(strict.call("evs", "GET", DETAIL, query={"offset": str(offset)})) == (400, "EVS.5400")
    assert len(lenient.get("evs", DETAIL, offset=0)["volumes"]) == 5
    assert len(strict.get("evs", "/v3/{p}/volumes/detail", offset=0)["volumes"]) == 5


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "x"},
        {"marker": "unknown"},
        {"sort_key": "color"},
        {"sort_dir": "up"},
    ],
)
def test_bad_paging_is_refused(query: dict[str, str]) -> None:
    assert code(Rig().call("evs", "GET", DETAIL, query=query)) == (400, "EVS.5400")


@pytest.mark.parametrize(("key", "first"), [("id", 5), ("size", 5), ("status", 5), ("created_at", 5)])
def test_sorting(key: str, first: int) -> None:
    rig = Rig()
    down = [volume["id"] for volume in rig.get("evs", DETAIL, sort_key=key)["volumes"]]
    up = [volume["id"] for volume in rig.get("evs", DETAIL, sort_key=key, sort_dir="asc")["volumes"]]
    assert down == up[::-1]
    assert down[0] == disk_id(first)


def test_sorting_by_state_follows_the_state() -> None:
    rig = Rig()
    assert rig.get("evs", DETAIL, sort_key="status", sort_dir="asc")["volumes"][0]["id"] == disk_id(3)
    rig.job("ecs", rig.call("ecs", "DELETE", f"/v1/{{p}}/cloudservers/{server_id(1)}/detachvolume/{disk_id(2)}"))
    assert rig.get("evs", DETAIL, sort_key="status", sort_dir="asc")["volumes"][0]["id"] == disk_id(2)


def test_a_query_that_means_nothing_is_noted() -> None:
    rig = Rig()
    rig.get("evs", DETAIL, metadata="{}")
    assert rig.cloud.summary()["notes"][0]["kind"] == "query_ignored"


METADATA = f"/v2/{{p}}/volumes/{disk_id(3)}/metadata"


def test_post_merges_and_put_replaces() -> None:
    rig = Rig()
    assert rig.call("evs", "POST", METADATA, {"metadata": {"a": "1"}}).json() == {"metadata": {"a": "1"}}
    assert rig.call("evs", "POST", METADATA, {"metadata": {"b": "2"}}).json() == {"metadata": {"a": "1", "b": "2"}}
    assert rig.call("evs", "PUT", METADATA, {"metadata": {"c": "3"}}).json() == {"metadata": {"c": "3"}}
    assert rig.get("evs", METADATA) == {"metadata": {"c": "3"}}
    assert rig.get("evs", f"/v2/{{p}}/volumes/{disk_id(3)}")["volume"]["metadata"] == {"c": "3"}


def test_single_entries() -> None:
    rig = Rig()
    assert rig.call("evs", "PUT", f"{METADATA}/k", {"meta": {"k": "v"}}).status == 200
    assert rig.get("evs", f"{METADATA}/k") == {"meta": {"k": "v"}}
    for meta in ({"other": "v"}, {}, ["k"]):
        assert code(rig.call("evs", "PUT", f"{METADATA}/k", {"meta": meta})) == (400, "EVS.5400")
    assert rig.call("evs", "DELETE", f"{METADATA}/k").status == 200
    assert rig.call("evs", "DELETE", f"{METADATA}/k").status == 404
    assert rig.call("evs", "GET", f"{METADATA}/k").status == 404


def test_the_systems_own_metadata_may_not_be_changed() -> None:
    rig = Rig()
    rig.cloud.world.disks[disk_id(3)].metadata["__system__server_id"] = "s"
    body = {"metadata": {"__system__server_id": "x"}}
    for method in ("POST", "PUT"):
        assert code(rig.call("evs", method, METADATA, body)) == (400, "EVS.2047")
    assert code(rig.call("evs", "DELETE", f"{METADATA}/__system__server_id")) == (400, "EVS.2047")
    single = rig.call("evs", "PUT", f"{METADATA}/__system__server_id", {"meta": {"__system__server_id": "x"}})
    assert code(single) == (400, "EVS.2047")
    assert rig.call("evs", "PUT", METADATA, {"metadata": {"a": "1"}}).json()["metadata"]["__system__server_id"] == "s"


@pytest.mark.parametrize("entries", [{"k": "x" * 256}, {"k" * 256: "x"}, {"k": 1}, {"": "x"}, {"k": "ä" * 128}, ["k"]])
def test_keys_and_values_have_limits(entries: Any) -> None:
    assert code(Rig().call("evs", "POST", METADATA, {"metadata": entries})) == (400, "EVS.5400")


def test_an_encrypted_disk_says_so() -> None:
    scenario = parse(
        {
            "project": {"id": "p1", "name": "eu-de"},
            "users": [{"name": "u", "password": "p"}],
            "disks": [{"id": "d", "name": "d", "size": 1, "encrypted": True}],
        }
    )
    assert Rig(scenario).get("evs", "/v2/{p}/volumes/d")["volume"]["metadata"]["__system__encrypted"] == "1"


def test_evs_knows_no_job_of_another_host() -> None:
    rig = Rig()
    body = {"restore": {"volume_id": disk_id(3)}}
    job_id = rig.call("vbs", "POST", f"/v2/{{p}}/cloudbackups/{vbs_id(3)}/restore", body).json()["job_id"]
    assert code(rig.call("evs", "GET", f"/v1/{{p}}/jobs/{job_id}")) == (400, "Common.0011")


def test_the_state_of_a_disk_lags_behind() -> None:
    rig = Rig(state_lag_seconds=5.0)
    path = f"/v2/{{p}}/volumes/{disk_id(3)}"

    def status() -> str:
        return str(rig.get("evs", path)["volume"]["status"])

    rig.call("vbs", "POST", f"/v2/{{p}}/cloudbackups/{vbs_id(3)}/restore", {"restore": {"volume_id": disk_id(3)}})
    assert status() == "available"
    rig.wait(5)
    assert status() == "restoring-backup"
    rig.wait(31)
    assert rig.cloud.world.disks[disk_id(3)].status == "available"
    assert status() == "restoring-backup"
    rig.settle()
    assert status() == "available"


def test_the_list_of_a_server_lags_as_well() -> None:
    rig = Rig(state_lag_seconds=5.0)
    rig.call("ecs", "DELETE", f"/v1/{{p}}/cloudservers/{server_id(1)}/detachvolume/{disk_id(2)}")
    rig.wait(8)
    assert rig.cloud.world.disks[disk_id(2)].attachments == {}
    assert len(rig.get("evs", DETAIL, server_id=server_id(1))["volumes"]) == 2
    rig.wait(5)
    assert len(rig.get("evs", DETAIL, server_id=server_id(1))["volumes"]) == 1


def test_ten_thousand_disks() -> None:
    rig = Rig(many(10_000))
    page = rig.get("evs", DETAIL, limit=1000)
    assert (page["count"], len(page["volumes"])) == (10_000, 1000)
    for n in range(2000):
        assert rig.get("evs", f"/v2/{{p}}/volumes/disk-{n:05d}")["volume"]["id"] == f"disk-{n:05d}"
