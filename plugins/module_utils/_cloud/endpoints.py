# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each service lives. Built from cloud and region, never from the catalog of a token.

The catalog names VBS differently from client to client, may lack HSS, and does not exist for a login with keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from .._restore.model import Failure
from .errors import CloudError, fail

SERVICES = ("iam", "hss", "vbs", "evs", "ecs", "cbr")
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")
_CLOUD = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
# The Swiss cloud of T-Systems gives IAM a name of its own (openstacksdk, vendor file otc-swiss).
_IAM_NAMES = {"sc.otc.t-systems.com": "iam-pub"}


def _wrong(message: str, remedy: str) -> CloudError:
    return fail(Failure.FORBIDDEN_HERE, message, remedy=remedy)


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Endpoints:
    cloud: str = "myhuaweicloud.com"
    region: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict)
    auth_url: str = ""

    def base(self, service: str) -> str:
        """The URL before `/v…`, without a slash at its end."""
        if self.overrides.get(service):
            return _checked(self.overrides[service], option=f"endpoints.{service}", plain=True)
        if service == "iam" and self.auth_url:
            return _auth_base(self.auth_url)
        return self._built(service)

    def _built(self, service: str) -> str:
        if not _REGION.fullmatch(self.region):
            raise _wrong(
                f"region {self.region!r} is not the name of a region, so the host of {service} is unknown",
                f"Set region (like eu-de), or endpoints.{service}.",
            )
        if not _CLOUD.fullmatch(self.cloud):
            raise _wrong(f"cloud {self.cloud!r} is not a domain", "Set cloud to a domain like otc.t-systems.com.")
        name = _IAM_NAMES.get(self.cloud, "iam") if service == "iam" else service
        return f"https://{name}.{self.region}.{self.cloud}"


def _auth_base(auth_url: str) -> str:
    """IAM's URL is usually given with its version, and in some vendor files without a scheme."""
    text = auth_url if "://" in auth_url else f"https://{auth_url}"
    return re.sub(r"/v3$", "", _checked(text, option="auth_url", plain=False))


@lru_cache(maxsize=32)
def _checked(url: str, *, option: str, plain: bool) -> str:
    remedy = f"Set {option} to a URL like https://service.region.example.com."
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
        port = parts.port
    except ValueError:
        raise _wrong(f"{option} is not a URL", remedy) from None
    if parts.username is not None or parts.password is not None:
        raise _wrong(f"{option} holds a user name or password", "Take them out of the URL: they would end up in logs.")
    if parts.scheme not in ("http", "https") or not host or port == 0 or parts.query or parts.fragment:
        raise _wrong(f"{option} is not an http or https URL without query", remedy)
    if re.search(r"[\s\\%]|[^\x21-\x7e]", url.strip()):
        raise _wrong(f"{option} has characters that do not belong into it", remedy)
    if parts.scheme == "http" and not plain and not _loopback(host):
        raise _wrong(f"{option} would send the password unencrypted", "Use https, or endpoints.iam if it is meant.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
