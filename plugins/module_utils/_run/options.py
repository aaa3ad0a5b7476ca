# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules and actions, and what they become: one login, one Api, rules.

The environment is looked at here and not by Ansible's `fallback`: credentials come from the options of one way to log
in, else all from HW_*, else all from OS_*, and are never mixed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._cloud.api import Api
from .._cloud.auth import KeyLogin, Login, PasswordLogin, TokenLogin
from .._cloud.endpoints import Endpoints
from .._cloud.transport import RequestsHttp
from .._restore.mark import RUN_ID
from .._restore.times import parse
from .clock import Clock

SERVICES = ("iam", "hss", "vbs", "evs", "ecs", "cbr")
DEFAULT_CLOUD = "myhuaweicloud.com"

CONNECTION_SPEC: dict[str, dict[str, Any]] = {
    "cloud": {"type": "str"},
    "region": {"type": "str"},
    "auth_url": {"type": "str"},
    "project_id": {"type": "str"},
    "project_name": {"type": "str"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "domain_name": {"type": "str"},
    "token": {"type": "str", "no_log": True},
    "access_key": {"type": "str", "no_log": True},
    "secret_key": {"type": "str", "no_log": True},
    "security_token": {"type": "str", "no_log": True},
    "endpoints": {"type": "dict"},
    "enterprise_project_id": {"type": "str"},
    "validate_certs": {"type": "bool"},
    "ca_cert": {"type": "path"},
    "http_timeout": {"type": "float", "default": 60},
    "rate_limits": {"type": "dict"},
}

WAITING_SPEC: dict[str, dict[str, Any]] = {
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "float", "default": 3600},
    "wait_interval": {"type": "float", "default": 10},
    "handle": {"type": "dict"},
    "run_id": {"type": "str"},
}

JOURNAL_SPEC: dict[str, dict[str, Any]] = {
    "journal": {"type": "str", "choices": ["cloud", "file"], "default": "cloud"},
    "journal_dir": {"type": "path"},
}

ENVIRONMENT: Mapping[str, tuple[str, ...]] = {
    "cloud": ("HW_CLOUD",),
    "region": ("HW_REGION_NAME", "OS_REGION_NAME"),
    "auth_url": ("HW_AUTH_URL", "OS_AUTH_URL"),
    "project_id": ("HW_PROJECT_ID", "OS_PROJECT_ID"),
    "project_name": ("HW_PROJECT_NAME", "OS_PROJECT_NAME"),
    "endpoints": ("HW_ENDPOINTS",),
    "enterprise_project_id": ("HW_ENTERPRISE_PROJECT_ID",),
    "ca_cert": ("HW_CACERT",),
    "rate_limits": ("HW_RATE_LIMITS",),
}

CREDENTIALS: Mapping[str, Mapping[str, str]] = {
    "HW_*": {
        "username": "HW_USER_NAME",
        "password": "HW_USER_PASSWORD",
        "domain_name": "HW_DOMAIN_NAME",
        "token": "HW_AUTH_TOKEN",
        "access_key": "HW_ACCESS_KEY",
        "secret_key": "HW_SECRET_KEY",
        "security_token": "HW_SECURITY_TOKEN",
    },
    "OS_*": {
        "username": "OS_USERNAME",
        "password": "OS_PASSWORD",
        "domain_name": "OS_USER_DOMAIN_NAME",
        "token": "OS_TOKEN",
        "access_key": "OS_ACCESS_KEY",
        "secret_key": "OS_SECRET_KEY",
    },
}

WAYS: Mapping[str, tuple[str, ...]] = {
    "token": ("token",),
    "password": ("username", "password", "domain_name"),
    "access key": ("access_key", "secret_key"),
}
TELLTALE: Mapping[str, tuple[str, ...]] = {
    "token": ("token",),
    "password": ("username", "password"),
    "access key": ("access_key", "secret_key", "security_token"),
}
"""Options that say by themselves which way is meant. `domain_name` alone says nothing."""

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}")
_YES = ("1", "true", "yes", "on")


class OptionError(Exception):
    """An option is missing, wrong or contradicts another. Its text names options, never their secret values."""


@dataclass(frozen=True)
class Connection:
    """Where the cloud is and who asks."""

    login: Login
    endpoints: Endpoints
    project_id: str = ""
    project_name: str = ""
    enterprise_project_id: str = ""
    verify: bool | str = True
    http_timeout_seconds: float = 60.0
    rate_limits: Mapping[str, int] = field(default_factory=dict)

    def api(self, *, clock: Clock, read_only: bool) -> Api:
        return Api(
            RequestsHttp(verify=self.verify),
            clock=clock,
            login=self.login,
            endpoints=self.endpoints,
            project_id=self.project_id,
            project_name=self.project_name,
            enterprise_project_id=self.enterprise_project_id,
            rate_limits=self.rate_limits,
            http_timeout_seconds=self.http_timeout_seconds,
            read_only=read_only,
        )


def connection(params: Mapping[str, Any], environ: Mapping[str, str]) -> Connection:
    """Options and environment to a connection. Raises OptionError, CloudError (a malformed URL)."""
    values = {name: _value(name, params, environ) for name in ENVIRONMENT}
    overrides = _dict("endpoints", values["endpoints"])
    unknown = sorted(str(name) for name in overrides if name not in SERVICES)
    if unknown:
        raise OptionError(f"endpoints: unknown services {', '.join(unknown)}; there are {', '.join(SERVICES)}")
    region = str(values["region"] or "")
    if not region and not overrides:  # with some, a call to any other service says which one is missing
        raise OptionError("region is missing: set it, or HW_REGION_NAME or OS_REGION_NAME")
    endpoints = Endpoints(
        cloud=str(values["cloud"] or DEFAULT_CLOUD),
        region=region,
        overrides={name: str(url) for name, url in overrides.items()},
        auth_url=str(values["auth_url"] or ""),
    )
    if not positive(params.get("http_timeout", 60)):
        raise OptionError("http_timeout must be more than 0 seconds")
    return Connection(
        login=login(params, environ),
        endpoints=endpoints,
        project_id=str(values["project_id"] or ""),
        project_name=str(values["project_name"] or ""),
        enterprise_project_id=str(values["enterprise_project_id"] or ""),
        verify=_verify(params, environ, values["ca_cert"]),
        http_timeout_seconds=float(params.get("http_timeout") or 60),
        rate_limits=_rates(_dict("rate_limits", values["rate_limits"])),
    )


def _value(name: str, params: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    if params.get(name) is not None:
        return params[name]
    return next((environ[variable] for variable in ENVIRONMENT[name] if environ.get(variable)), None)


def _dict(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    try:
        read = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise OptionError(f"{name} in the environment is not JSON: {error}") from None
    if not isinstance(read, Mapping):
        raise OptionError(f"{name} must be a dictionary")
    return dict(read)


def _rates(given: Mapping[str, Any]) -> dict[str, int]:
    try:
        rates = {service: int(rate) for service, rate in given.items()}
    except (TypeError, ValueError, OverflowError):
        raise OptionError("rate_limits: requests a minute must be whole numbers") from None
    if any(service not in SERVICES or rate < 1 for service, rate in rates.items()):
        raise OptionError(f"rate_limits: services are {', '.join(SERVICES)}, requests a minute at least 1")
    return rates


def _verify(params: Mapping[str, Any], environ: Mapping[str, str], ca_cert: Any) -> bool | str:
    check = params.get("validate_certs")
    if check is None:
        check = environ.get("HW_INSECURE", "").lower() not in _YES
    return str(ca_cert) if check and ca_cert else bool(check)


def login(params: Mapping[str, Any], environ: Mapping[str, str]) -> Login:
    """Raises OptionError for no way, several ways, or half a way."""
    sources: list[tuple[str, Mapping[str, Any]]] = [("the options", params)]
    sources += [
        (name, {option: environ.get(variable) for option, variable in variables.items()})
        for name, variables in CREDENTIALS.items()
    ]
    for source, values in sources:
        meant = [way for way, signs in TELLTALE.items() if any(values.get(sign) for sign in signs)]
        if meant:
            return _login_of(source, values, meant)
    ways = "; ".join(f"{way}: {', '.join(options)}" for way, options in WAYS.items())
    raise OptionError(f"no credentials: give the options of one way to log in ({ways}), or set them as HW_* or OS_*")


def _login_of(source: str, values: Mapping[str, Any], meant: list[str]) -> Login:
    if len(meant) > 1:
        raise OptionError(f"{source} give several ways to log in ({', '.join(meant)}); give exactly one")
    missing = [option for option in WAYS[meant[0]] if not values.get(option)]
    if missing:
        raise OptionError(f"{source} give {meant[0]} credentials without {', '.join(missing)}")
    if meant[0] == "token":
        return TokenLogin(str(values["token"]))
    if meant[0] == "password":
        return PasswordLogin(str(values["username"]), str(values["password"]), str(values["domain_name"]))
    return KeyLogin(str(values["access_key"]), str(values["secret_key"]), str(values.get("security_token") or ""))


# -- single values -----------------------------------------------------------------------------------------------------


def identifier(value: Any) -> str:
    """The id of a disk, server or backup, "" for none. A UUID may be written in capitals, the cloud answers in small
    letters (RFC 9562), and ids are compared as texts.
    """
    text = str(value or "")
    return text.lower() if _UUID.fullmatch(text) else text


def positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and value > 0


def need_positive(params: Mapping[str, Any], *names: str) -> None:
    """Raises OptionError."""
    wrong = [name for name in names if params.get(name) is not None and not positive(params[name])]
    if wrong:
        raise OptionError(f"{', '.join(wrong)} must be more than 0")


def need_length(params: Mapping[str, Any], limits: Mapping[str, tuple[int, int]], *, within: str = "") -> None:
    """Raises OptionError that names the option and its range."""
    for name, (least, most) in limits.items():
        value = params.get(name)
        if value is not None and not least <= len(value) <= most:
            option = f"{within}: {name}" if within else name
            raise OptionError(f"{option} must have {least} to {most} characters, it has {len(value)}")


def run_id(params: Mapping[str, Any], name: str = "run_id") -> str:
    """Raises OptionError."""
    value = str(params.get(name) or "")
    if value and not RUN_ID.fullmatch(value):
        raise OptionError(f"{name} must be 1 to 40 letters, digits and . _ : - and begin with a letter or digit")
    return value


def moment(params: Mapping[str, Any], name: str) -> float | None:
    """A time option: None for no value and for "latest". Raises OptionError."""
    value = params.get(name)
    if value is None or value in ("", "latest"):
        return None
    try:
        return parse(str(value))
    except ValueError as error:
        raise OptionError(f"{name}: {error}") from None


def journal_directory(params: Mapping[str, Any]) -> Path | None:
    """Where marks are kept as files; None for marks in the cloud. Raises OptionError."""
    if params.get("journal") != "file":
        return None
    if not params.get("journal_dir"):
        raise OptionError("journal: file needs journal_dir, a folder that outlives the run")
    return Path(str(params["journal_dir"])).expanduser()
