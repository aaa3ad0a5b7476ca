# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to log in, with secrets that are hard to spell: quotes, backslashes, slashes and letters beyond ASCII."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

from integration.conftest import Cloud

from .leaks import Secrets

PASSWORD = 'Pw"7f3a91c2\\kö4d5e+/= 88b1&<zz>'
TYPO = "Typo-5d9e03aa71bc"
BROKEN_TOKEN = "TokenInTwoLines-4b1d9f\nsecond-line-70ac55e2"
UNKNOWN_TOKEN = "UnknownToken-c07e51d2/+8a44=="
SECRET_KEY = "SecretKey0c44de19aa77BB52ef603d9e1f28a4c6"
TEMPORARY_SECRET_KEY = "SecretKeyTemporary91d0e7c35b8a26f4409bEE"
SECURITY_TOKEN = "SecTok/93ab+77e1c0d4/+==d2f86c5b"
ACCESS_KEY, TEMPORARY_ACCESS_KEY = "AKPERMANENT7Q2M4X9Z", "AKTEMPORARY5T8R1W3K"
UNKNOWN_ACCESS_KEY = "AKNOBODYS3J6V0B8N2C"
ACCOUNTS = {
    "users": [{"name": "operator", "password": PASSWORD, "domain": "demo-account"}],
    "access_keys": [
        {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY},
        {
            "access_key": TEMPORARY_ACCESS_KEY,
            "secret_key": TEMPORARY_SECRET_KEY,
            "security_token": SECURITY_TOKEN,
        },
    ],
}
SECRETS = Secrets(
    {
        "password": PASSWORD,
        "refused password": TYPO,
        "broken token": BROKEN_TOKEN,
        "unknown token": UNKNOWN_TOKEN,
        "secret key": SECRET_KEY,
        "temporary secret key": TEMPORARY_SECRET_KEY,
        "security token": SECURITY_TOKEN,
        "access key": ACCESS_KEY,
        "temporary access key": TEMPORARY_ACCESS_KEY,
        "unknown access key": UNKNOWN_ACCESS_KEY,
    }
)

WAYS: Mapping[str, Mapping[str, str]] = {
    "password": {"username": "operator", "password": PASSWORD, "domain_name": "demo-account"},
    "token": {},  # of the running cloud, see `options`
    "key": {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY},
    "temporary key": {
        "access_key": TEMPORARY_ACCESS_KEY,
        "secret_key": TEMPORARY_SECRET_KEY,
        "security_token": SECURITY_TOKEN,
    },
}
REFUSED: Mapping[str, Mapping[str, Any]] = {
    "mistyped password": {"password": TYPO},
    "unknown token": {"token": UNKNOWN_TOKEN},
    "broken token": {"token": BROKEN_TOKEN},
    "mistyped secret key": {"secret_key": TYPO},
    "mistyped security token": {"security_token": TYPO},
    "unknown access key": {"access_key": UNKNOWN_ACCESS_KEY},
}
"""What makes a login one that the cloud, or already the client, refuses."""
VARIABLES = {
    "username": "HW_USER_NAME",
    "password": "HW_USER_PASSWORD",
    "domain_name": "HW_DOMAIN_NAME",
    "token": "HW_AUTH_TOKEN",
    "access_key": "HW_ACCESS_KEY",
    "secret_key": "HW_SECRET_KEY",
    "security_token": "HW_SECURITY_TOKEN",
}


def options(cloud: Cloud, way: str) -> dict[str, Any]:
    """The credentials of one way as options."""
    return {"token": _token(cloud)} if way == "token" else dict(WAYS[way])


def variables(cloud: Cloud, way: str) -> dict[str, str]:
    """The same as environment of ansible-playbook."""
    return {VARIABLES[name]: value for name, value in options(cloud, way).items()}


def no_variables() -> dict[str, str]:
    """Takes every credential out of the environment."""
    return dict.fromkeys(VARIABLES.values(), "")


def _token(cloud: Cloud) -> str:
    user = {"name": "operator", "password": PASSWORD, "domain": {"name": "demo-account"}}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": {"project": {"name": "eu-de"}}}}
    request = urllib.request.Request(
        f"{cloud.simulator.endpoints['iam']}/v3/auth/tokens",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with without_proxy.open(request, timeout=30) as answer:
        return str(answer.headers["X-Subject-Token"])
