# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real process: ports, ready file, faults on the wire, TLS, and a clean end."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from simulator.rig import disk_id, vbs_id

PROJECT = "0123456789abcdef0123456789abcdef"
TESTS = Path(__file__).parents[2]


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Any]:
    """The process as users start it; yields what it wrote into its ready file."""
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "simulator", "--scenario", "small.yml", "--ready-file", str(ready), *options]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for _attempt in range(200):
            if ready.exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        assert ready.exists(), process.stderr.read() if process.stderr else ""
        document = json.loads(ready.read_text())
        assert document["pid"] == process.pid
        yield document
    finally:
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=10)[1]
    assert process.returncode == 0
    assert errors == ""


def send(
    method: str,
    url: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> tuple[int, Mapping[str, str], bytes]:
    data = None if body is None else json.dumps(body).encode()
    content = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data, content, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10, context=tls) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def login(endpoint: str, tls: ssl.SSLContext | None = None) -> dict[str, str]:
    user = {"name": "operator", "password": "demo-Password-1", "domain": {"name": "demo-account"}}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": {"project": {"name": "eu-de"}}}}
    status, headers, _unused = send("POST", f"{endpoint}/v3/auth/tokens", body, tls=tls)
    assert status == 201
    return {"X-Auth-Token": headers["X-Subject-Token"]}


def test_a_restore_over_http(tmp_path: Path) -> None:
    log = tmp_path / "requests.log"
    with running(tmp_path, "--scale", "600", "--prefix", "/gw", "--log", str(log)) as server:
        endpoints, port = server["endpoints"], server["control"]
        assert set(endpoints) == {"iam", "hss", "vbs", "evs", "ecs"}
        assert all(url.endswith("/gw") for url in endpoints.values())
        token = login(endpoints["iam"])
        volume = f"{endpoints['evs']}/v2/{PROJECT}/volumes/{disk_id(3)}"
        body = {"restore": {"volume_id": disk_id(3)}}
        url = f"{endpoints['vbs']}/v2/{PROJECT}/cloudbackups/{vbs_id(3)}/restore"
        job_id = json.loads(send("POST", url, body, headers=token)[2])["job_id"]
        for _attempt in range(100):
            job = json.loads(send("GET", f"{endpoints['vbs']}/v1/{PROJECT}/jobs/{job_id}", headers=token)[2])
            if job["status"] == "SUCCESS":
                break
            time.sleep(0.02)
        assert json.loads(send("GET", volume, headers=token)[2])["volume"]["status"] == "available"
        state = json.loads(send("GET", f"{port}/state")[2])
        assert state["disks"][disk_id(3)]["data"] == "archive-2-hours-old"
        listed = f"{endpoints['evs']}/v2/{PROJECT}/cloudvolumes/detail?ids=%5B%27{disk_id(3)}%27%5D"
        assert json.loads(send("GET", listed, headers=token)[2])["count"] == 1
        send("POST", f"{port}/faults", [{"action": {"drop": True}}, {"action": {"redirect": True, "status": 302}}])
        with pytest.raises(http.client.RemoteDisconnected):
            send("GET", volume, headers=token)
        send("DELETE", f"{port}/faults")
        send("POST", f"{port}/faults", [{"phase": "after", "action": {"delay_seconds": 0.3}}])
        before = time.monotonic()
        assert send("GET", volume, headers=token)[0] == 200
        assert time.monotonic() - before >= 0.3
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["api"] for line in lines[:2]] == ["iam.create_token", "vbs.restore"]
    assert token["X-Auth-Token"] not in log.read_text()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_tls(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    with running(tmp_path, "--tls-cert", str(cert), "--tls-key", str(key)) as server:
        assert server["endpoints"]["iam"].startswith("https://")
        login(server["endpoints"]["iam"], tls=ssl.create_default_context(cafile=str(cert)))


def test_a_long_line(tmp_path: Path) -> None:
    with running(tmp_path, "--latency", "0.5") as server:
        started = time.monotonic()
        login(server["endpoints"]["iam"])
        assert time.monotonic() - started >= 0.5
        [entry] = json.loads(send("GET", f"{server['control']}/requests")[2])
        assert entry["status"] == 201


@pytest.mark.parametrize(("phase", "status"), [("before", "available"), ("after", "restoring-backup")])
def test_nobody_is_answered_while_a_request_is_held(tmp_path: Path, phase: str, status: str) -> None:
    with running(tmp_path, "--scale", "0.01") as server, ThreadPoolExecutor() as clients:
        endpoints, control = server["endpoints"], server["control"]
        token = login(endpoints["iam"])
        send("POST", f"{control}/faults", {"api": "vbs.restore", "phase": phase, "action": {"hold": True}})
        url = f"{endpoints['vbs']}/v2/{PROJECT}/cloudbackups/{vbs_id(3)}/restore"
        held = clients.submit(send, "POST", url, {"restore": {"volume_id": disk_id(3)}}, headers=token)
        while not json.loads(send("GET", f"{control}/faults")[2])[0]["fired"]:
            time.sleep(0.01)
        seen = len(json.loads(send("GET", f"{control}/requests")[2]))
        later = clients.submit(login, endpoints["iam"])
        wait([held, later], timeout=0.3)
        assert not held.done() and not later.done()
        send("DELETE", f"{control}/faults")
        for call in (held, later):
            assert isinstance(call.exception(timeout=5), http.client.RemoteDisconnected)
        assert len(json.loads(send("GET", f"{control}/requests")[2])) == seen
        assert json.loads(send("GET", f"{control}/state")[2])["disks"][disk_id(3)]["status"] == status
        login(endpoints["iam"])


WRONG = [["--scenario", "unheard-of"], ["--scale", "0"], ["--prefix", "gw"], ["--latency", "-1"], ["--latency", "nan"]]


@pytest.mark.parametrize("options", WRONG)
def test_a_wrong_command_line_is_explained(options: list[str]) -> None:
    command = [sys.executable, "-m", "simulator", *options]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("simulator: ")
