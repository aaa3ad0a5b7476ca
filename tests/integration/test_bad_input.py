# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people get wrong, and clouds: each is told in one message that says what to do, and nothing is written."""

from __future__ import annotations

import ipaddress
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from simulator.rig import disk_id, hss_id, server_id, vbs_id
from tools.simulator_process import running_simulator

from .conftest import SCALE, SCENARIOS, Cloud, CloudStarter, ControllerMaker
from .tasks import Result, assert_refused, perform, task
from .test_single_modules import hss_server, lone_disk, vbs_backup

NOWHERE = "00000000-0000-4000-8000-00000000dead"
OTHER_PROJECT = "fedcba9876543210fedcba9876543210"
ATTACHED, BROKEN, SMALL, SHARED, ELSEWHERE, LOCKED, NO_GOOD_BACKUP, LENT, FREE, BUSY = range(1, 11)
WITH_HSS, HSS_LOCKED, HSS_ERROR = 5, 6, 7


def place(server: int, device: str = "/dev/vdc") -> dict[str, Any]:
    return {"server": server_id(server), "device": device}


def everything_wrong() -> dict[str, Any]:
    """One disk or server for each thing that can be wrong with it."""
    numbers = (ATTACHED, BROKEN, SMALL, SHARED, ELSEWHERE, LOCKED, NO_GOOD_BACKUP, LENT, FREE, BUSY)
    changes: dict[int, dict[str, Any]] = {
        ATTACHED: {"attached": place(1)},
        BROKEN: {"status": "error_restoring"},
        SMALL: {"size": 4},
        SHARED: {"multiattach": True, "attached": [place(1, "/dev/vdd"), place(2, "/dev/vdd")]},
        ELSEWHERE: {"az": "eu-de-02"},
        LOCKED: {"attached": place(3)},
        BUSY: {"status": "backing-up"},
    }
    backups: dict[int, dict[str, Any]] = {NO_GOOD_BACKUP: {"status": "error"}, LENT: {"project_id": OTHER_PROJECT}}
    servers: list[dict[str, Any]] = [{"id": server_id(number), "name": f"server{number}"} for number in (1, 2, 3)]
    servers[2]["locked"] = True
    protected = [hss_server(number) for number in (WITH_HSS, HSS_LOCKED, HSS_ERROR)]
    protected[1]["servers"]["locked"] = True
    protected[2]["servers"]["status"] = "ERROR"
    spoilt = {**hss_server(WITH_HSS)["hss_backups"], "id": hss_id(WITH_HSS, 3), "name": "spoilt", "status": "error"}
    children = [{**child, "id": child["id"].replace("c", "f", 1)} for child in spoilt["children"]]
    own_disks = [disk for server in protected for disk in server["disks"]]
    return {
        "other_projects": [{"id": OTHER_PROJECT, "name": "eu-de_other"}],
        "servers": servers + [server["servers"] for server in protected],
        "disks": [{**lone_disk(number), **changes.get(number, {})} for number in numbers] + own_disks,
        "vbs_backups": [{**vbs_backup(number), **backups.get(number, {})} for number in numbers],
        "hss_backups": [server["hss_backups"] for server in protected] + [{**spoilt, "children": children}],
        "hss_log": [],
    }


def disk(number: int, backup: str = "", **options: Any) -> Result:
    return task("vbs_disk_restore", volume_id=disk_id(number), backup_id=backup or vbs_id(number), **options)


def server(backup: str, **options: Any) -> Result:
    return task("hss_backup_restore", backup_id=backup, **options)


def test_things_in_a_state_that_allows_no_restore(start_cloud: CloudStarter, new_controller: ControllerMaker) -> None:
    cloud = start_cloud("small.yml", **everything_wrong())
    cases: list[tuple[Any, ...]] = [
        (disk(FREE, NOWHERE), f"backup {NOWHERE} does not exist", "backup_info lists"),
        (
            task("vbs_disk_restore", volume_id=NOWHERE, backup_id=vbs_id(FREE)),
            f"disk {NOWHERE} does not exist",
            "project",
        ),
        (disk(ATTACHED), "is attached to server", "Stop the server and detach the disk"),
        (disk(BROKEN), "is error_restoring", "make a new one from the backup"),
        (disk(SMALL), "has 4 GB, its backup", "Extend the disk"),
        (disk(SHARED), "is a shared disk in use by 2", "detach all its servers"),
        (disk(ELSEWHERE, vbs_id(FREE), allow_other_target=True), "is in eu-de-02", "in the zone of the backup"),
        (disk(LOCKED), "is locked", "Unlock the server"),
        (disk(BUSY), "is backing-up", "Wait until"),
        (disk(NO_GOOD_BACKUP), "is error instead of available", "take another backup"),
        (disk(LENT), "belongs to another project", "from a backup of this project"),
        (disk(FREE, vbs_id(SMALL)), f"was made of {disk_id(SMALL)}", "allow_other_target"),
        (server(NOWHERE), NOWHERE, "HSS.0011", "enterprise_project_id"),
        (server(hss_id(WITH_HSS), server_id=NOWHERE), f"server {NOWHERE} does not exist", "Check the server's id"),
        (server(hss_id(WITH_HSS), server_id=server_id(1)), f"was made of {server_id(WITH_HSS)}", "allow_other_target"),
        (server(hss_id(HSS_LOCKED)), "is locked", "Unlock the server"),
        (server(hss_id(HSS_ERROR)), "is ERROR", "ACTIVE or SHUTOFF"),
        (server(hss_id(WITH_HSS, 3)), "is error instead of available", "take another backup"),
    ]
    results = perform(new_controller(cloud), [case for case, *_words in cases])
    for result, (_case, *words) in zip(results, cases, strict=True):
        assert_refused(result, *words)
    assert cloud.writes() == 0 and not cloud.summary()["refused_writes"]


def target(name: str, *volumes: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "method": "vbs", "volumes": [{"volume_id": disk_id(number)} for number in volumes], **more}


def test_plans_that_contradict_themselves(start_cloud: CloudStarter, new_controller: ControllerMaker) -> None:
    cloud = start_cloud("small.yml")
    whole = {"name": "files01", "method": "hss", "server_id": server_id(2)}
    bad = {
        "disk_twice": [target("archive", 3), target("again", 3)],
        "server_in_two_targets": [whole, target("files01-data", 5)],
        "plan_empty": [],
        "target_incomplete": [{"name": "db01", "method": "vbs"}],
        "target_twice": [target("archive", 3), target("archive", 1, 2)],
    }
    good: dict[str, Any] = {"targets": [target("archive", 3)]}
    plan = f"{{{{ result_{len(bad)}.plan }}}}"
    plan_id = f"{{{{ result_{len(bad)}.plan.id }}}}"
    changed = f"{{{{ result_{len(bad)}.plan | combine({{'id': '0123456789ab'}}) }}}}"
    cases: list[tuple[Result, tuple[str, ...]]] = [
        (task("recovery_run", plan=plan, approved_plan="0123456789ab"), ("not approved: archive", "Approve the plan")),
        (task("recovery_run", plan={}, approved_plan="x"), ("this is not a plan of recovery_plan",)),
        (task("recovery_run", plan=changed, approved_plan="0123456789ab"), ("it was changed", "make a new plan")),
        (
            task("recovery_run", plan="{{ result_0.plan }}", approved_plan="{{ result_0.plan.id }}"),
            ("Name every disk once",),
        ),
        (task("recovery_run", plan=plan, approved_plan=plan_id, max_parallel=0), ("max_parallel must be more than 0",)),
        (task("recovery_plan", **good, incident_at="yesterday"), ("incident_at", "is not a time like")),
        (task("recovery_plan", **good, journal="file"), ("journal_dir",)),
    ]
    asked = [task("recovery_plan", targets=targets) for targets in bad.values()]
    results = perform(new_controller(cloud), [*asked, task("recovery_plan", **good), *(case for case, _words in cases)])
    for result, code in zip(results, bad, strict=False):
        errors = [problem for problem in result["problems"] if problem["severity"] == "error"]
        assert code in [problem["code"] for problem in errors] and all(problem["remedy"] for problem in errors)
        assert result["ready"] is False and not result.get("failed")
    assert results[len(bad)]["ready"] is True
    for result, (_case, words) in zip(results[len(bad) + 1 :], cases, strict=True):
        assert_refused(result, *words)
    assert cloud.writes() == 0


def test_logins_and_ways_that_do_not_work(start_cloud: CloudStarter, new_controller: ControllerMaker) -> None:
    cloud = start_cloud("small.yml")
    page = {"status": 200, "body": "<html><body>Please log in to the network</body></html>"}
    cloud.add_faults({"api": "evs.show_volume", "every": 1, "action": page})
    no_login = {"HW_USER_NAME": "", "HW_USER_PASSWORD": "", "HW_DOMAIN_NAME": ""}
    no_place = {"HW_ENDPOINTS": "", "HW_AUTH_URL": ""}
    operator = {"username": "operator", "domain_name": "demo-account"}
    cases: list[tuple[Result, tuple[str, ...]]] = [
        (
            disk(3, username="operator", password="not-the-password", domain_name="demo-account"),
            ("401", "Check the credentials"),
        ),
        (disk(3, **operator), ("without password",)),
        (
            disk(3, **operator, password="not-the-password", token="made-up-token"),
            ("several ways to log in", "exactly one"),
        ),
        (
            disk(3, access_key="DEMOACCESSKEY0000001", secret_key="not-the-secret-key"),
            ("APIGW.0301", "Check access key"),
        ),
        (disk(3, token="made-up-token"), ("token",)),
        (task("vbs_disk_restore", {"environment": no_login}, volume_id="x", backup_id="y"), ("no credentials", "HW_*")),
        (
            task(
                "vbs_disk_restore",
                {"environment": no_place},
                volume_id="x",
                backup_id="y",
                region="eu-de",
                cloud="cloud.invalid",
            ),
            ("iam.eu-de.cloud.invalid", "region"),
        ),
        (
            task("vbs_disk_restore", {"environment": no_place}, volume_id="x", backup_id="y", region="no region"),
            ("'no region' is not the name of a region", "Set region"),
        ),
        (disk(3, endpoints={"s3": "https://s3.example.com"}), ("unknown services s3",)),
        (disk(3, project_name="eu-de_nothing"), ("project", "right")),
        (disk(3, http_timeout=0), ("http_timeout must be more than 0",)),
        (disk(3, rate_limits={"hss": 0}), ("rate_limits",)),
        (disk(3), ("looking at disk", "Please log in to the network")),
    ]
    results = perform(new_controller(cloud), [case for case, _words in cases])
    for result, (_case, words) in zip(results, cases, strict=True):
        assert_refused(result, *words)
    assert cloud.writes() == 0 and not cloud.summary()["violations"]  # a wrong password tried again would be one


def test_a_wrong_password_is_tried_once(start_cloud: CloudStarter, new_controller: ControllerMaker) -> None:
    cloud = start_cloud("small.yml")
    wrong = {"username": "operator", "password": "not-the-password", "domain_name": "demo-account"}
    assert_refused(perform(new_controller(cloud), [disk(3, **wrong)])[0], "401", "Check the credentials")
    assert [request["api"] for request in cloud.simulator.ask("/requests")] == ["iam.create_token"]


def make_certificate(folder: Path) -> list[str]:
    """A certificate of an authority that nobody knows, as options of the simulator."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return ["--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")]


def test_certificates_are_checked(tmp_path: Path, new_controller: ControllerMaker) -> None:
    options = make_certificate(tmp_path)
    with running_simulator(SCENARIOS / "small.yml", scale=SCALE, options=options) as simulator:
        cloud = Cloud(simulator, SCALE)
        assert simulator.endpoints["iam"].startswith("https://")
        controller = new_controller(cloud)
        refused, trusted, unchecked, told_by_environment = perform(
            controller,
            [
                disk(3),
                disk(3, ca_cert=str(tmp_path / "cert.pem"), wait_interval=0.2),
                task("backup_info", service="vbs", volume_id=disk_id(3), validate_certs=False),
                task("backup_info", {"environment": {"HW_INSECURE": "true"}}, service="vbs", volume_id=disk_id(3)),
            ],
        )
        assert_refused(refused, "ertificate", "ca_cert")
        assert trusted["state"] == "restored"
        assert len(unchecked["backups"]) == len(told_by_environment["backups"]) == 3
        text = json.dumps([refused, trusted, unchecked, told_by_environment])
        assert "PRIVATE KEY" not in text and cloud.writes() == 1
