# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options and environment: one way to log in, nothing mixed, and errors that name options and never secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.auth import KeyLogin, PasswordLogin, TokenLogin
from ansible_collections.hwcloud.recovery.plugins.module_utils._cloud.errors import CloudError
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.outcome import Rules
from ansible_collections.hwcloud.recovery.plugins.module_utils._restore.wishes import Terms, Wish
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.options import (
    CONNECTION_SPEC,
    CREDENTIALS,
    ENVIRONMENT,
    OptionError,
    connection,
    identifier,
    journal_directory,
    login,
    moment,
    need_length,
    need_positive,
    run_id,
)
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.recovery import RunOptions
from ansible_collections.hwcloud.recovery.plugins.module_utils._run.targets import (
    PLAN_SPEC,
    RUN_SPEC,
    TARGET_SPEC,
    run_options,
    terms_of,
    wishes_of,
)

SECRETS = ("pa55word-secret", "t0ken-secret", "acce55-secret", "k3y-secret", "s3curity-secret")
PASSWORD = {"username": "ops", "password": SECRETS[0], "domain_name": "OTC1"}
TOKEN = {"token": SECRETS[1]}
KEY = {"access_key": SECRETS[2], "secret_key": SECRETS[3]}
HW_PASSWORD = {"HW_USER_NAME": "ops", "HW_USER_PASSWORD": SECRETS[0], "HW_DOMAIN_NAME": "OTC1"}
OS_PASSWORD = {"OS_USERNAME": "os", "OS_PASSWORD": SECRETS[0], "OS_USER_DOMAIN_NAME": "OTC2"}


def refusal(call: Callable[[], object]) -> str:
    """The text of the refusal, which never holds a secret."""
    with pytest.raises(OptionError) as refused:
        call()
    text = str(refused.value)
    assert [secret for secret in SECRETS if secret in text or secret in repr(refused.value)] == []
    return text


# -- one way to log in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "environ", "expected"),
    [
        (TOKEN, {}, TokenLogin(SECRETS[1])),
        (PASSWORD, {}, PasswordLogin("ops", SECRETS[0], "OTC1")),
        (KEY, {}, KeyLogin(SECRETS[2], SECRETS[3])),
        ({**KEY, "security_token": SECRETS[4]}, {}, KeyLogin(SECRETS[2], SECRETS[3], SECRETS[4])),
        ({}, HW_PASSWORD, PasswordLogin("ops", SECRETS[0], "OTC1")),
        ({}, {"HW_AUTH_TOKEN": SECRETS[1]}, TokenLogin(SECRETS[1])),
        (
            {},
            {"HW_ACCESS_KEY": SECRETS[2], "HW_SECRET_KEY": SECRETS[3], "HW_SECURITY_TOKEN": SECRETS[4]},
            KeyLogin(SECRETS[2], SECRETS[3], SECRETS[4]),
        ),
        ({}, OS_PASSWORD, PasswordLogin("os", SECRETS[0], "OTC2")),
        ({}, {"OS_TOKEN": SECRETS[1]}, TokenLogin(SECRETS[1])),
        ({}, {"OS_ACCESS_KEY": SECRETS[2], "OS_SECRET_KEY": SECRETS[3]}, KeyLogin(SECRETS[2], SECRETS[3])),
        # options win, then all HW_*, then all OS_*
        (TOKEN, {**HW_PASSWORD, **OS_PASSWORD}, TokenLogin(SECRETS[1])),
        ({}, {**HW_PASSWORD, "OS_TOKEN": SECRETS[1]}, PasswordLogin("ops", SECRETS[0], "OTC1")),
        # a domain alone does not say that a password is meant
        ({"domain_name": "OTC9"}, {"HW_AUTH_TOKEN": SECRETS[1]}, TokenLogin(SECRETS[1])),
        ({}, {"HW_DOMAIN_NAME": "OTC9", **OS_PASSWORD}, PasswordLogin("os", SECRETS[0], "OTC2")),
        # empty means not given, as `module_defaults` and CI systems leave it
        ({**TOKEN, "username": "", "password": None}, {}, TokenLogin(SECRETS[1])),
        ({}, {**dict.fromkeys(HW_PASSWORD, ""), **OS_PASSWORD}, PasswordLogin("os", SECRETS[0], "OTC2")),
    ],
)
def test_credentials(params: Mapping[str, Any], environ: Mapping[str, str], expected: object) -> None:
    found = login(params, environ)
    assert found == expected
    assert [secret for secret in SECRETS if secret in repr(found)] == []


@pytest.mark.parametrize(
    ("params", "environ", "named"),
    [
        ({}, {}, ["no credentials", "token: token", "password: username, password, domain_name", "access key", "HW_*"]),
        ({"domain_name": "OTC1"}, {}, ["no credentials"]),
        ({**TOKEN, **PASSWORD}, {}, ["the options give several ways", "token, password"]),
        ({**TOKEN, **KEY}, {}, ["several ways", "token, access key"]),
        ({**KEY, "username": "ops"}, {}, ["several ways", "password, access key"]),
        ({}, {**HW_PASSWORD, "HW_AUTH_TOKEN": SECRETS[1]}, ["HW_* give several ways", "token, password"]),
        ({"username": "ops"}, {}, ["the options give password credentials without password, domain_name"]),
        ({"password": SECRETS[0]}, {}, ["without username, domain_name"]),
        ({"access_key": SECRETS[2]}, {}, ["the options give access key credentials without secret_key"]),
        ({"security_token": SECRETS[4]}, {}, ["without access_key, secret_key"]),
        # never mixed: what is missing is not taken from elsewhere
        ({"username": "ops", "password": SECRETS[0]}, HW_PASSWORD, ["the options", "without domain_name"]),
        ({}, {"HW_USER_NAME": "ops", **OS_PASSWORD}, ["HW_*", "without password, domain_name"]),
        ({}, {"OS_ACCESS_KEY": SECRETS[2], "HW_DOMAIN_NAME": "x"}, ["OS_*", "without secret_key"]),
    ],
)
def test_no_way_several_ways_and_half_a_way(
    params: Mapping[str, Any], environ: Mapping[str, str], named: list[str]
) -> None:
    text = refusal(lambda: login(params, environ))
    assert [part for part in named if part not in text] == []


def test_every_secret_option_is_kept_out_of_logs() -> None:
    secret = {"password", "token", "access_key", "secret_key", "security_token"}
    assert {name for name, spec in CONNECTION_SPEC.items() if spec.get("no_log")} == secret
    assert {name for names in CREDENTIALS.values() for name in names} - secret == {"username", "domain_name"}


# -- connection --------------------------------------------------------------------------------------------------------

BASE = {"region": "eu-de", **TOKEN}


def connect(params: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Any:
    return connection({**BASE, **(params or {})}, environ or {})


def test_what_a_connection_is_without_further_options() -> None:
    found = connect()
    assert found.endpoints.base("vbs") == "https://vbs.eu-de.myhuaweicloud.com"
    assert (found.verify, found.http_timeout_seconds, found.rate_limits) == (True, 60.0, {})
    assert (found.project_id, found.project_name, found.enterprise_project_id) == ("", "", "")


OPTIONS_OF_ENVIRONMENT = [(name, variable) for name, variables in ENVIRONMENT.items() for variable in variables]


@pytest.mark.parametrize(("name", "variable"), OPTIONS_OF_ENVIRONMENT)
def test_a_variable_stands_for_an_option_and_the_option_wins(name: str, variable: str) -> None:
    given: dict[str, tuple[Any, str, Any]] = {
        "endpoints": ({"vbs": "https://a.example"}, '{"vbs": "https://b.example"}', {"vbs": "https://b.example"}),
        "rate_limits": ({"hss": 4}, '{"hss": 3}', {"hss": 3}),
    }
    option, text, value = given.get(name, ("https://a.example", "https://b.example", "https://b.example"))
    if name in ("cloud", "region"):
        option, text, value = "one", "two", "two"
    without = {key: item for key, item in BASE.items() if key != name}

    def shown(found: Any) -> Any:
        return {
            "cloud": found.endpoints.cloud,
            "region": found.endpoints.region,
            "auth_url": found.endpoints.auth_url,
            "endpoints": found.endpoints.overrides,
            "ca_cert": found.verify,
        }.get(name, getattr(found, name, None))

    assert shown(connection(without, {variable: text})) == value
    assert shown(connection({**without, name: option}, {variable: text})) == option


def test_of_two_variables_the_hw_one_wins() -> None:
    environ = {"HW_REGION_NAME": "eu-de", "OS_REGION_NAME": "eu-nl"}
    assert connection(TOKEN, environ).endpoints.region == "eu-de"


@pytest.mark.parametrize(
    ("params", "environ", "verify"),
    [
        ({}, {}, True),
        ({"validate_certs": False}, {}, False),
        ({}, {"HW_INSECURE": "true"}, False),
        ({}, {"HW_INSECURE": "True"}, False),
        ({}, {"HW_INSECURE": "1"}, False),
        ({}, {"HW_INSECURE": "yes"}, False),
        ({}, {"HW_INSECURE": "false"}, True),
        ({}, {"HW_INSECURE": "0"}, True),
        ({}, {"HW_INSECURE": ""}, True),
        ({"validate_certs": True}, {"HW_INSECURE": "true"}, True),
        ({"ca_cert": "/ca.pem"}, {}, "/ca.pem"),
        ({}, {"HW_CACERT": "/ca.pem"}, "/ca.pem"),
        ({"validate_certs": False, "ca_cert": "/ca.pem"}, {}, False),
        ({"ca_cert": "/ca.pem"}, {"HW_INSECURE": "true"}, False),
    ],
)
def test_certificates(params: Mapping[str, Any], environ: Mapping[str, str], verify: bool | str) -> None:
    assert connect(params, environ).verify == verify


@pytest.mark.parametrize(
    ("params", "environ", "named"),
    [
        ({"region": None}, {}, "region is missing"),
        ({"endpoints": {"obs": "https://x"}}, {}, "endpoints: unknown services obs"),
        ({"endpoints": {1: "https://x", "obs": "https://x"}}, {}, "unknown services 1, obs"),
        ({"endpoints": ["https://x"]}, {}, "endpoints must be a dictionary"),
        ({}, {"HW_ENDPOINTS": "{not json"}, "endpoints in the environment is not JSON"),
        ({}, {"HW_ENDPOINTS": "[1]"}, "endpoints must be a dictionary"),
        ({}, {"HW_RATE_LIMITS": "five"}, "rate_limits in the environment is not JSON"),
        ({}, {"HW_RATE_LIMITS": '{"hss": Infinity}'}, "whole numbers"),
        ({"rate_limits": {"hss": "many"}}, {}, "whole numbers"),
        ({"rate_limits": {"hss": None}}, {}, "whole numbers"),
        ({"rate_limits": {"hss": 0}}, {}, "at least 1"),
        ({"rate_limits": {"obs": 5}}, {}, "services are"),
        ({"http_timeout": 0}, {}, "http_timeout must be more than 0"),
        ({"http_timeout": -1.0}, {}, "http_timeout"),
        ({"http_timeout": float("nan")}, {}, "http_timeout"),
    ],
)
def test_wrong_options_are_told(params: Mapping[str, Any], environ: Mapping[str, str], named: str) -> None:
    assert named in refusal(lambda: connect(params, environ))


def test_without_a_region_every_service_must_have_its_url() -> None:
    urls = {name: f"https://{name}.example" for name in ("iam", "hss", "vbs", "evs", "ecs")}
    assert connect({"region": None, "endpoints": urls}).endpoints.base("hss") == "https://hss.example"
    some = connect({"region": None, "endpoints": {"vbs": "https://x"}}).endpoints
    assert some.base("vbs") == "https://x"
    with pytest.raises(CloudError, match=r"endpoints\.evs"):
        some.base("evs")


# -- single values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, 0.0, float("nan"), "5"])
def test_numbers_must_be_positive(value: object) -> None:
    params = {"wait_timeout": value, "wait_interval": 5, "stop_timeout": None}
    text = refusal(lambda: need_positive(params, "wait_timeout", "wait_interval", "stop_timeout", "other"))
    assert text == "wait_timeout must be more than 0"


@pytest.mark.parametrize(("length", "right"), [(0, False), (1, True), (64, True), (65, False)])
def test_lengths(length: int, right: bool) -> None:
    def check() -> None:
        need_length({"backup_id": "x" * length}, {"backup_id": (1, 64), "other": (1, 2)}, within="mappings")

    if right:
        check()
    else:
        assert refusal(check) == f"mappings: backup_id must have 1 to 64 characters, it has {length}"


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (None, ""),
        ("latest", "latest"),
        ("C0FFEE00-0000-4000-8000-00000000000A", "c0ffee00-0000-4000-8000-00000000000a"),
        ("C0FFEE0000004000800000000000000A", "c0ffee0000004000800000000000000a"),
        ("Volume-1", "Volume-1"),
        ("C0FFEE00-0000-4000-8000-00000000000A\n", "C0FFEE00-0000-4000-8000-00000000000A\n"),
    ],
)
def test_only_a_uuid_is_the_same_in_capitals(value: str | None, meant: str) -> None:
    assert identifier(value) == meant


@pytest.mark.parametrize("value", [None, "", "r1", "2026-01-31T04:05:06", "r" * 40, 20260131])
def test_a_run_id(value: object) -> None:
    assert run_id({"run_id": value}) == ("" if value is None else str(value))


@pytest.mark.parametrize("value", ["-", "r" * 41, "a b", "../x", "a|b", "a\n", "\u00e4"])
def test_no_run_id(value: str) -> None:
    assert refusal(lambda: run_id({"take_over": value}, "take_over")).startswith("take_over must be 1 to 40 letters")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("", None), ("latest", None), ("1970-01-02", 86_400.0), ("1970-01-01T01:00:00+01:00", 0.0)],
)
def test_a_moment(value: str | None, seconds: float | None) -> None:
    assert moment({"before": value}, "before") == seconds


def test_no_moment() -> None:
    assert refusal(lambda: moment({"before": "yesterday"}, "before")).startswith("before: 'yesterday' is not a time")


def test_where_the_journal_is() -> None:
    assert journal_directory({"journal": "cloud", "journal_dir": "/x"}) is None
    assert journal_directory({"journal": "file", "journal_dir": "/x"}) == Path("/x")
    assert str(journal_directory({"journal": "file", "journal_dir": "~/x"})).startswith("/")
    assert "journal_dir" in refusal(lambda: journal_directory({"journal": "file", "journal_dir": None}))


# -- targets, terms, a run ---------------------------------------------------------------------------------------------


def filled(spec: Mapping[str, Mapping[str, Any]], **given: Any) -> dict[str, Any]:
    """Options as Ansible hands them over: every name is there."""
    assert set(given) <= set(spec)
    return {**{name: one.get("default") for name, one in spec.items()}, **given}


def target(**given: Any) -> dict[str, Any]:
    return filled(TARGET_SPEC, **{"name": "db01", "method": "vbs", **given})


def test_a_target_becomes_a_wish() -> None:
    volumes = [{"volume_id": "d1", "backup_id": "latest"}, {"volume_id": "d2", "backup_id": "b2"}]
    assert wishes_of([target(volumes=volumes)]) == [
        Wish("db01", "vbs", volumes=(("d1", "latest"), ("d2", "b2")), backup_id="latest")
    ]
    given = target(
        method="hss",
        wave=2,
        group="erp",
        critical=True,
        server_id="s1",
        backup_id="b1",
        power_on=False,
        point_in_time="1970-01-02",
        max_backup_age=3600.0,
    )
    assert wishes_of([given]) == [
        Wish("db01", "hss", 2, "erp", True, "s1", (), "b1", False, 86_400.0, 3600.0),
    ]


def test_ids_of_a_target_may_be_written_in_capitals() -> None:
    one = "c0ffee00-0000-4000-8000-00000000000a"
    big = one.upper()
    volumes = [{"volume_id": big, "backup_id": big}]
    found = wishes_of([target(server_id=big, backup_id=big, volumes=volumes)])
    assert found == [Wish("db01", "vbs", server_id=one, volumes=((one, one),), backup_id=one)]


@pytest.mark.parametrize("given", [{"point_in_time": "soon"}, {"max_backup_age": 0}, {"max_backup_age": -5.0}])
def test_a_wrong_target_is_named(given: dict[str, Any]) -> None:
    assert refusal(lambda: wishes_of([target(), target(name="web01", **given)])).startswith("target web01: ")


def test_terms() -> None:
    assert terms_of(filled(PLAN_SPEC), now=7.0) == Terms(7.0)
    given = filled(
        PLAN_SPEC,
        incident_at="1970-01-02",
        clean_only=False,
        alerts_since="1970-01-01T00:00:05Z",
        max_skew=60.0,
        allow_encrypted=True,
        group_members={"erp": ["a", "b"]},
        run_id="r1",
        take_over="r0",
    )
    assert terms_of(given, now=7.0) == Terms(
        86_400.0, "r1", "r0", False, 5.0, 60.0, allow_encrypted=True, group_members={"erp": ("a", "b")}
    )


def test_an_incident_at_the_beginning_of_time_is_not_now() -> None:
    assert terms_of(filled(PLAN_SPEC, incident_at="1970-01-01"), now=7.0).incident_at == 0.0


def test_a_run() -> None:
    assert run_options(filled(RUN_SPEC, plan={}, approved_plan=["p1"])) == RunOptions(("p1",))
    found = run_options(
        filled(
            RUN_SPEC,
            plan={},
            approved_plan=[],
            run_id="r1",
            waves=[2],
            max_parallel=3,
            stop_servers="soft_then_hard",
            stop_timeout=9.0,
            start_servers=False,
            wait_timeout=8.0,
            wait_interval=2.0,
            journal="file",
            journal_dir="/j",
            progress_interval=0.0,
            on_failure="stop",
            take_over="r0",
            resubmit_unknown=["a"],
        )
    )
    assert (found.run_id, found.waves, found.max_parallel, found.stop_on_failure) == ("r1", (2,), 3, True)
    assert (found.take_over, found.journal_dir, found.progress_interval_seconds) == ("r0", Path("/j"), 0.0)
    assert found.rules == Rules(
        wait_interval_seconds=2.0,
        wait_timeout_seconds=8.0,
        stop_servers="soft_then_hard",
        stop_timeout_seconds=9.0,
        start_servers=False,
        resubmit_unknown=frozenset({"a"}),
    )


@pytest.mark.parametrize(
    "given",
    [
        {"max_parallel": 0},
        {"wait_interval": 0.0},
        {"wait_timeout": -1.0},
        {"stop_timeout": 0.0},
        {"progress_interval": -1.0},
        {"run_id": "a b"},
        {"take_over": "a b"},
        {"journal": "file"},
    ],
)
def test_a_wrong_run_is_refused(given: dict[str, Any]) -> None:
    name = "journal_dir" if "journal" in given else next(iter(given))
    assert name in refusal(lambda: run_options(filled(RUN_SPEC, plan={}, approved_plan=[], **given)))
