# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of SDK-HMAC-SHA256 signatures, written from the rule and not from any signer of a client.

Source: API signing guide (devg-apisign) and the official SDK's signer.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from simulator.messages import Request, gateway

ALGORITHM = "SDK-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
CLOCK_TOLERANCE_SECONDS = 15 * 60
_AUTHORIZATION = re.compile(r"SDK-HMAC-SHA256 Access=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})")
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Signature:
    access_key: str
    signed_headers: tuple[str, ...]
    value: str


def parse(authorization: str) -> Signature:
    found = _AUTHORIZATION.fullmatch(authorization.strip())
    if found is None:
        raise gateway("APIGW.0301", "Incorrect IAM authentication information: Authorization format error", status=401)
    return Signature(found[1], tuple(found[2].split(";")), found[3])


def _plain(text: str) -> str:
    """Everything but unreserved characters is encoded: blank %20, * %2A, + %2B, / %2F."""
    return quote(text, safe="-_.~")


def canonical_path(path: str) -> str:
    """The whole path is decoded first, then encoded by segment, and always ends in a slash."""
    encoded = "/".join(_plain(segment) for segment in unquote(path).split("/"))
    return encoded if encoded.endswith("/") else f"{encoded}/"


def canonical_query(request: Request) -> str:
    """Sorted by raw key and value, encoded afterwards; an empty value keeps its equals sign."""
    return "&".join(f"{_plain(name)}={_plain(value)}" for name, value in sorted(request.pairs))


def payload_hash(request: Request) -> str:
    """A body that is not JSON goes unsigned: its hash is replaced by the header X-Sdk-Content-Sha256."""
    return request.header("x-sdk-content-sha256") or hashlib.sha256(request.body).hexdigest()


def canonical_request(request: Request, signed_headers: tuple[str, ...]) -> str:
    headers = {name.lower(): value.strip() for name, value in request.headers.items()}
    missing = [name for name in signed_headers if name not in headers]
    if missing:
        # A listed header must arrive unchanged; a proxy that eats one breaks the signature.
        message = f"Incorrect IAM authentication information: signed header {missing[0]} not found"
        raise gateway("APIGW.0301", message, status=401)
    lines = "".join(f"{name}:{headers[name]}\n" for name in signed_headers)
    parts = (
        request.method.upper(),
        canonical_path(request.path),
        canonical_query(request),
        lines,
        ";".join(signed_headers),
        payload_hash(request),
    )
    return "\n".join(parts)


def expected_signature(canonical: str, *, date: str, secret_key: str) -> str:
    """The secret key itself is the key: nothing is derived."""
    # Header bytes that are no UTF-8 reach us as surrogates.
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    text = f"{ALGORITHM}\n{date}\n{digest}"
    return hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()


def _check_date(date: str, *, now: float) -> None:
    try:
        signed_at = datetime.strptime(date, _DATE_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        message = "Incorrect IAM authentication information: X-Sdk-Date format error"
        raise gateway("APIGW.0301", message, status=401) from error
    if abs(now - signed_at) > CLOCK_TOLERANCE_SECONDS:
        server_time = datetime.fromtimestamp(now, UTC).strftime(_DATE_FORMAT)
        message = (
            "Incorrect IAM authentication information: signature expired, "
            f"signature time:{date},server time:{server_time}"
        )
        raise gateway("APIGW.0301", message, status=401)


def verify(request: Request, signature: Signature, *, secret_keys: Mapping[str, str], now: float) -> None:
    """Raise the gateway's refusal unless the signature fits the request as it arrived."""
    date = request.header("x-sdk-date") or ""
    if "x-sdk-date" not in signature.signed_headers:
        message = "Incorrect IAM authentication information: x-sdk-date must be signed"
        raise gateway("APIGW.0301", message, status=401)
    _check_date(date, now=now)
    secret_key = secret_keys.get(signature.access_key)
    if secret_key is None:
        message = "Incorrect IAM authentication information: Get secretKey failed,ak does not exist"
        raise gateway("APIGW.0301", message, status=401)
    claimed = request.header("x-sdk-content-sha256")
    if claimed not in (None, UNSIGNED_PAYLOAD, hashlib.sha256(request.body).hexdigest()):
        message = "Incorrect IAM authentication information: x-sdk-content-sha256 does not fit the body"
        raise gateway("APIGW.0301", message, status=401)
    canonical = canonical_request(request, signature.signed_headers)
    expected = expected_signature(canonical, date=date, secret_key=secret_key)
    if not hmac.compare_digest(expected, signature.value):
        # The real gateway quotes its canonical request with | for newlines (header values included).
        quoted = canonical.replace("\n", "|")
        message = f"Incorrect IAM authentication information: verify aksk signature fail, canonicalRequest:{quoted}"
        raise gateway("APIGW.0301", message, status=401)
