# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SDK-HMAC-SHA256: requests signed with access key and secret key. Pure: the time is an argument.

The rule is that of the vendor's SDK (huaweicloudsdkcore, signer/signer.py); Huawei Cloud, Open Telekom Cloud and
Flexible Engine all take it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from urllib.parse import quote, unquote, urlsplit

ALGORITHM = "SDK-HMAC-SHA256"
_UNSIGNED = "UNSIGNED-PAYLOAD"
_SIGNED_TYPES = ("application/json", "application/bson")


def _encode(text: str) -> str:
    return quote(text, safe="~")  # letters, digits and -_. are always left plain


def _texts(value: object) -> list[str]:
    if isinstance(value, (list, tuple)):
        return sorted(str(item) for item in value)
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def query_text(pairs: Iterable[tuple[str, object]]) -> str:
    """The query as it is both signed and sent: sorted before it is encoded, lists as repeated keys."""
    plain = sorted((key, text) for key, value in pairs for text in _texts(value))
    return "&".join(f"{_encode(key)}={_encode(text)}" for key, text in plain)


def _pairs(query: str) -> list[tuple[str, object]]:
    """A "+" stays a plus: only %20 is a blank in what is signed."""
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(unquote(key), unquote(value)) for key, _equals, value in parts]


def canonical_path(path: str) -> str:
    """Decoded, cut at each slash, encoded anew, and always with a slash at the end (only here, not in the URL)."""
    text = "/".join(_encode(segment) for segment in unquote(path or "/").split("/"))
    return text if text.endswith("/") else text + "/"


def canonical_request(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> tuple[str, str]:
    """The text whose hash is signed, and the names of the headers in it."""
    parts = urlsplit(url)
    # Names with "_" are left out: proxies drop or rename them.
    signed = sorted((name.lower(), value.strip()) for name, value in headers.items() if "_" not in name)
    names = ";".join(name for name, _value in signed)
    lower = dict(signed)
    body_hash = (body and lower.get("x-sdk-content-sha256")) or hashlib.sha256(body or b"").hexdigest()
    text = "\n".join(
        (
            method.upper(),
            canonical_path(parts.path),
            query_text(_pairs(parts.query)),
            "".join(f"{name}:{value}\n" for name, value in signed),
            names,
            body_hash,
        )
    )
    return text, names


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    *,
    access_key: str,
    secret_key: str,
    now: float,
    security_token: str = "",
) -> dict[str, str]:
    """The headers to send: those given, Host, X-Sdk-Date, X-Security-Token (temporary keys) and Authorization."""
    ready = dict(headers)
    present = {name.lower(): value for name, value in headers.items()}
    if "host" not in present:
        ready["Host"] = urlsplit(url).netloc.rpartition("@")[2]
    if "x-sdk-date" not in present:
        ready["X-Sdk-Date"] = datetime.fromtimestamp(int(now), tz=timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    if security_token:
        ready["X-Security-Token"] = security_token
    content_type = present.get("content-type", "")
    if content_type and not content_type.startswith(_SIGNED_TYPES):
        ready["X-Sdk-Content-Sha256"] = _UNSIGNED
    date = next(value for name, value in ready.items() if name.lower() == "x-sdk-date")
    text, names = canonical_request(method, url, ready, body)
    to_sign = "\n".join((ALGORITHM, date, hashlib.sha256(text.encode("utf-8")).hexdigest()))
    signature = hmac.new(secret_key.encode("utf-8"), to_sign.encode("utf-8"), hashlib.sha256).hexdigest()
    ready["Authorization"] = f"{ALGORITHM} Access={access_key}, SignedHeaders={names}, Signature={signature}"
    return ready
