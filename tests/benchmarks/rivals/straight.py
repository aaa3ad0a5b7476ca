# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The best straight script: ``straight.py GROUPS.json THREADS INTERVAL``. Environment as for the collection.

A group is a disk without a server, or a server with its disks. One thread per group, one connection per thread and
host, kept open; nothing is looked up twice, neither proxies nor .netrc are looked for. It does what a careful person
would write in an evening: no marks, no second try, no check before the first change. A job is asked for at a fixed
rate, so that the time of the calls is not added to the interval.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import requests

TIMEOUT_SECONDS = 60
ENDED = ("SUCCESS", "FAIL")


class Cloud:
    def __init__(self) -> None:
        self._endpoints: dict[str, str] = json.loads(os.environ["HW_ENDPOINTS"])
        self._own = threading.local()
        self._token = ""
        self.project_id = ""
        self._log_in()

    def _log_in(self) -> None:
        user = {
            "name": os.environ["HW_USER_NAME"],
            "password": os.environ["HW_USER_PASSWORD"],
            "domain": {"name": os.environ["HW_DOMAIN_NAME"]},
        }
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": os.environ["HW_PROJECT_NAME"]}}
        answer = requests.post(
            f"{os.environ['HW_AUTH_URL']}/auth/tokens?nocatalog=1",
            json={"auth": {"identity": identity, "scope": scope}},
            timeout=TIMEOUT_SECONDS,
        )
        answer.raise_for_status()
        self._token = answer.headers["X-Subject-Token"]
        self.project_id = answer.json()["token"]["project"]["id"]

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = requests.Session()
            session.trust_env = False
            session.headers["X-Auth-Token"] = self._token
        return session

    def ask(self, method: str, service: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self._session().request(
            method, f"{self._endpoints[service]}{path}", json=body, timeout=TIMEOUT_SECONDS, allow_redirects=False
        )
        answer.raise_for_status()
        return cast(dict[str, Any], json.loads(answer.content))

    def wait(self, service: str, job_id: str, interval_seconds: float) -> None:
        look_at = time.monotonic()
        status = "INIT"
        while status not in ENDED:
            look_at += interval_seconds
            time.sleep(max(0.0, look_at - time.monotonic()))
            status = self.ask("GET", service, f"/v1/{self.project_id}/jobs/{job_id}")["status"]
        if status != "SUCCESS":
            raise RuntimeError(f"job {job_id} ended as {status}")


Disk = dict[str, str]


def restore(cloud: Cloud, interval_seconds: float, disks: list[Disk]) -> None:
    """All at once, then wait for each."""
    jobs = []
    for disk in disks:
        path = f"/v2/{cloud.project_id}/cloudbackups/{disk['backup_id']}/restore"
        jobs.append(cloud.ask("POST", "vbs", path, {"restore": {"volume_id": disk["volume_id"]}})["job_id"])
    for job_id in jobs:
        cloud.wait("vbs", job_id, interval_seconds)


def restore_with_server(cloud: Cloud, interval_seconds: float, server_id: str, disks: list[Disk]) -> None:
    def order(method: str, path: str, body: dict[str, Any] | None = None) -> None:
        answer = cloud.ask(method, "ecs", f"/v1/{cloud.project_id}/cloudservers/{path}", body)
        cloud.wait("ecs", answer["job_id"], interval_seconds)

    order("POST", "action", {"os-stop": {"type": "SOFT", "servers": [{"id": server_id}]}})
    for disk in disks:
        order("DELETE", f"{server_id}/detachvolume/{disk['volume_id']}")
    restore(cloud, interval_seconds, disks)
    for disk in disks:
        attachment = {"volumeId": disk["volume_id"], "device": disk["device"]}
        order("POST", f"{server_id}/attachvolume", {"volumeAttachment": attachment})
    order("POST", "action", {"os-start": {"servers": [{"id": server_id}]}})


def recover(cloud: Cloud, interval_seconds: float, group: dict[str, Any]) -> int:
    """Bring a group back and return how many of its disks are as they should be."""
    if group["server_id"]:
        restore_with_server(cloud, interval_seconds, group["server_id"], group["disks"])
    else:
        restore(cloud, interval_seconds, group["disks"])
    wanted = "in-use" if group["server_id"] else "available"
    looks = (cloud.ask("GET", "evs", f"/v2/{cloud.project_id}/volumes/{disk['volume_id']}") for disk in group["disks"])
    return sum(look["volume"]["status"] == wanted for look in looks)


def main(groups_file: str, threads: str, interval: str) -> int:
    groups = json.loads(Path(groups_file).read_text(encoding="utf-8"))["groups"]
    cloud = Cloud()
    with ThreadPoolExecutor(int(threads)) as pool:
        restored = sum(pool.map(partial(recover, cloud, float(interval)), groups))
    wanted = sum(len(group["disks"]) for group in groups)
    print(f"{restored} of {wanted} restored")
    return 0 if restored == wanted else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
