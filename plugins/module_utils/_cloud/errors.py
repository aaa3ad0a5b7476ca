# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an answer of the cloud to one failure in words, with what it proves and what to do next.

The services of the Huawei family say "no" in seven shapes, and neither "not found" nor "not allowed" nor "later" can be
told from the HTTP status alone (HSS says 400 for all of them, EVS says 400 for an expired token, ECS says 501 for
"busy"). So the code decides where it is known, and the status where it is not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from .._restore.model import ErrorInfo, Failure

_MASK = "********"
_RAW_CHARACTERS = 200
_MESSAGE_CHARACTERS = 1000
_ENCODED_CHARACTERS = 8192
_LAYERS = 50
JOB_FAILED = "FAIL"
"""The status of a job of VBS, EVS or ECS that failed."""
_JOB_UNDER_WAY = ("INIT", "RUNNING")
_THROTTLED_SECONDS = 60.0
"""First wait after a 429 that names no time, and after Ecs.0603, whose text says "try again in 1 minute"."""
_LONGEST_RETRY_AFTER_SECONDS = 3600.0


class CloudError(Exception):
    """Every failure of this package."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(str(info))
        self.info = info


def fail(kind: Failure, message: str, *, remedy: str = "", code: str = "") -> CloudError:
    """A failure that this program found itself."""
    return CloudError(ErrorInfo(kind=kind, message=message, remedy=remedy, code=code))


# --- secrets ------------------------------------------------------------------------------------------------

_SECRET_PATTERNS = (
    # A refused signature is answered with the canonical request, whose lines are joined with "|"; a signed
    # X-Security-Token stands in it (API Gateway, FAQ on APP and AK/SK signing).
    re.compile(r"(?i)(x-(?:security|auth|subject)-token\\?[\"']?\s*[:=]\s*\\?[\"']?)[^|\s\"',;\\]+"),
    # A proxy that refuses may quote the request with the proxy's own login in it.
    re.compile(r"(?i)(authorization\\?[\"']?\s*[:=]\s*\\?[\"']?\s*(?:basic|bearer)\s+)[\w.~+/=-]+"),
    re.compile(r"(?i)((?<=\W)signature\s*=\s*)[0-9a-f]{16,}"),
    re.compile(r"(://)[^/\s@]+(?=@)"),  # user and password of a proxy
)


class Redactor:
    """Knows the secret texts of the credentials and takes them out of everything that leaves this package."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._spellings: tuple[str, ...] = ()
        self.add(*secrets)

    def __repr__(self) -> str:
        return "Redactor()"

    def add(self, *secrets: str) -> None:
        found = set(self._spellings)
        for secret in secrets:
            if secret:
                found |= {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], secret.strip()} - {""}
        # Longest first: a secret may be a part of another one. Assigned at once, so that threads never see a half.
        self._spellings = tuple(sorted(found, key=lambda spelling: (-len(spelling), spelling)))

    def text(self, text: str) -> str:
        for spelling in self._spellings:
            text = text.replace(spelling, _MASK)
        for pattern in _SECRET_PATTERNS:
            text = pattern.sub(rf"\g<1>{_MASK}", text)
        return text

    def info(self, info: ErrorInfo) -> ErrorInfo:
        return replace(
            info,
            message=self.text(info.message),
            code=self.text(info.code),
            request_id=self.text(info.request_id),
            remedy=self.text(info.remedy),
        )


# --- what a code proves -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Meaning:
    """`kind` None: the code explains the failure, but the HTTP status has to say whether anything was accepted."""

    kind: Failure | None
    remedy: str
    retry_after_seconds: float | None = None


_REFUSED = Failure.REFUSED
_BUSY = Failure.BUSY
_MISSING = Failure.MISSING
_DENIED = Failure.DENIED
_LOST = Failure.LOST

_NEW_TOKEN = "Get a new token, or log in with user name and password, which renews tokens by itself."
_RIGHTS = "Give the user the right for this action in this project, or log in as one who has it."
_LATER = "Another operation on it is under way: wait for its end, then try again."
_THROTTLED = "Too many calls: wait a minute, or lower rate_limits or max_parallel."
_BUG = "An id or value is malformed: compare it with the console; if it is right, report a fault of this collection."
LOOK_FIRST = "The request may have been carried out: look at the state of disk, backup and server before asking again."
_PROJECT = "Token or keys belong to another project than the URL: set project_id or project_name of the right project."
_SUPPORT = "Try again later; if it stays, give the request id to the cloud's support."
_DR = "Switch the disaster recovery protection of the disk off (SDRS, replication), then try again."
_CHOOSE_BACKUP = "Choose a backup whose status is available (module backup_info lists them)."
_SERVER_STATE = "Look at the server's status and task in the console; wait until its task has ended, then try again."
_ORIGINAL_ONLY = "This backup can only go back to the server or disk that it was made of."

_HSS_STATE = "Look at the protection state of the server on the HSS console (agent, backup vault, policy)."

_CODES: dict[str, Meaning] = {
    # Gateway (API Gateway, error codes)
    "APIGW.0101": Meaning(_REFUSED, "This cloud does not publish this API here: check region, cloud and endpoints."),
    "APIGW.0201": Meaning(None, "The gateway found the request too large or waited too long for the service."),
    "APIGW.0301": Meaning(_DENIED, "Check access key and secret key (or the token), and the clock of this machine."),
    "APIGW.0302": Meaning(_DENIED, _RIGHTS),
    "APIGW.0303": Meaning(_DENIED, "Check access key and secret key."),
    "APIGW.0307": Meaning(_DENIED, _NEW_TOKEN),
    "APIGW.0308": Meaning(_BUSY, _THROTTLED, _THROTTLED_SECONDS),
    # IAM (IAM API reference, Error Codes)
    "IAM.0007": Meaning(_REFUSED, "Check user name, domain_name and project: IAM found a parameter malformed."),
    "IAM.0011": Meaning(_REFUSED, "Check user name, domain_name and project: IAM found the request malformed."),
    "IAM.0061": Meaning(
        _DENIED, "The account is locked after wrong passwords: wait 15 minutes, or ask an administrator."
    ),
    "IAM.0066": Meaning(_DENIED, _NEW_TOKEN),
    "IAM.0067": Meaning(_DENIED, "The token is not valid. " + _NEW_TOKEN),
    "IAM.1105": Meaning(_DENIED, "The access key has expired: make a new one."),
    "IAM.1108": Meaning(_DENIED, "The temporary access key has expired: get new keys with their security token."),
    # HSS (HSS API reference, Error Codes): all of them come with HTTP 400
    "HSS.0001": Meaning(_REFUSED, "Check backup_id, server_id and mappings."),
    "HSS.0002": Meaning(_REFUSED, _BUG),
    "HSS.0010": Meaning(_DENIED, _RIGHTS),
    "HSS.0011": Meaning(_MISSING, "Check the id, region and enterprise_project_id (all_granted_eps sees all)."),
    "HSS.0013": Meaning(_DENIED, _RIGHTS),
    "HSS.0014": Meaning(_REFUSED, "A quota is used up: free or buy quota on the HSS console."),
    "HSS.0041": Meaning(None, _SUPPORT),
    **{f"HSS.{number}": Meaning(_REFUSED, _HSS_STATE) for number in range(1001, 1022)},
    # VBS (VBS API reference, Error Codes)
    "VolumeBackup.0013": Meaning(_BUSY, _LATER),
    "VolumeBackup.0014": Meaning(None, _SUPPORT),
    "VolumeBackup.0041": Meaning(_DENIED, _RIGHTS),
    "VolumeBackup.0042": Meaning(_DENIED, _RIGHTS),
    "VolumeBackup.0044": Meaning(_DENIED, _RIGHTS),
    "VolumeBackup.0064": Meaning(_REFUSED, _CHOOSE_BACKUP),
    "VolumeBackup.0089": Meaning(_REFUSED, _CHOOSE_BACKUP),
    "VolumeBackup.0111": Meaning(_MISSING, "Check backup_id and volume_id, region and project."),
    "VolumeBackup.0200": Meaning(None, "Look at the status of disk and backup in the console before asking again."),
    "VolumeBackup.0201": Meaning(_LOST, LOOK_FIRST),
    "VolumeBackup.0202": Meaning(
        _REFUSED, "The disk is in an error state: make a new disk from the backup, or ask the cloud's support."
    ),
    "VolumeBackup.0203": Meaning(_REFUSED, _BUG),
    "VolumeBackup.0204": Meaning(_REFUSED, _BUG),
    "VolumeBackup.0205": Meaning(
        _REFUSED, "Stop the server and detach the disk first, or use recovery_run, which does both and puts it back."
    ),
    "VolumeBackup.0206": Meaning(_BUSY, "A backup of this disk is being made: wait for its end, then try again."),
    "VolumeBackup.0207": Meaning(_MISSING, "Check volume_id, region and project."),
    "VolumeBackup.0208": Meaning(_REFUSED, _BUG),
    "VolumeBackup.0209": Meaning(
        _REFUSED, "The disk must be at least as large as the backup: enlarge it or use another."
    ),
    "VolumeBackup.0210": Meaning(_REFUSED, _BUG),
    "VolumeBackup.0211": Meaning(_REFUSED, _DR),
    "VolumeBackup.0900": Meaning(_LOST, _SUPPORT),
    "AutoBackup.0003": Meaning(_DENIED, _NEW_TOKEN),
    # EVS (EVS API reference, Error Codes)
    "EVS.1044": Meaning(_REFUSED, _CHOOSE_BACKUP),
    "EVS.1046": Meaning(_REFUSED, "The disk's status does not allow this: look at it in the console."),
    "EVS.1049": Meaning(_REFUSED, "Disk and backup must be in the same availability zone."),
    "EVS.2024": Meaning(_REFUSED, "The disk is in an error state: ask the cloud's support."),
    "EVS.2025": Meaning(
        _REFUSED, "A restore of the disk failed; it can only be deleted now: make a new disk from the backup."
    ),
    "EVS.2047": Meaning(_REFUSED, "The cloud keeps this metadata to itself: choose another key."),
    "EVS.2068": Meaning(_REFUSED, "The disk is locked: unlock it (or the service that locks it) first."),
    "EVS.2089": Meaning(_REFUSED, _DR),
    "EVS.5400": Meaning(_REFUSED, _BUG),
    "EVS.5413": Meaning(_REFUSED, "A quota of EVS is used up: free disks, or ask for more."),
    "EVS.5503": Meaning(_LOST, _SUPPORT),
    # ECS, and codes that ECS, EVS and VBS share (ECS API reference, Error Codes)
    "Common.0011": Meaning(
        _MISSING, "The job is unknown here: check job id, project and region, and that this service started the job."
    ),
    "Common.0013": Meaning(_DENIED, _NEW_TOKEN),
    "Common.0018": Meaning(_DENIED, _PROJECT),
    "Common.0021": Meaning(None, _SUPPORT),
    "Common.0022": Meaning(None, _SUPPORT),
    "Common.0024": Meaning(_BUSY, _THROTTLED, _THROTTLED_SECONDS),
    "Common.0025": Meaning(_BUSY, _SUPPORT),
    "Common.1503": Meaning(_BUSY, _THROTTLED, _THROTTLED_SECONDS),
    "Ecs.0005": Meaning(_REFUSED, _BUG),
    "Ecs.0017": Meaning(
        _REFUSED, "The disk belongs to the server in its metadata __system__server_id: attach it there."
    ),
    "Ecs.0023": Meaning(_DENIED, _PROJECT),
    "Ecs.0057": Meaning(
        _REFUSED, "The disk is attached already: look at which server; detach it there if it is another."
    ),
    # A server between two states: the answer differs when its task has ended (ECS API reference, ECS Statuses).
    "Ecs.0100": Meaning(_BUSY, _SERVER_STATE),
    "Ecs.0101": Meaning(_REFUSED, "The system disk does not answer: look at it on the EVS console."),
    "Ecs.0102": Meaning(_REFUSED, "The disk does not answer, or its status forbids it: look at it on the EVS console."),
    "Ecs.0103": Meaning(_BUSY, "The disk is not available yet: wait until it is, then try again."),
    "Ecs.0104": Meaning(_REFUSED, "The server has no free place for a disk: detach one that is not needed."),
    "Ecs.0105": Meaning(_REFUSED, "The server has no system disk now: attach its system disk first."),
    "Ecs.0111": Meaning(_REFUSED, "The disk is not attached to this server: look where it is attached."),
    "Ecs.0118": Meaning(_REFUSED, "Too many servers in one call: take fewer at a time."),
    "Ecs.0121": Meaning(_REFUSED, "Disk and server must be in the same availability zone."),
    "Ecs.0205": Meaning(None, "Look at the disk on the EVS console, then attach it again."),
    "Ecs.0226": Meaning(None, "Look at the server on the console, then start it again."),
    "Ecs.0603": Meaning(_BUSY, "Another command runs on the server: try again after a minute.", _THROTTLED_SECONDS),
    "Ecs.0605": Meaning(_REFUSED, "The server is locked: unlock it (or the service that locked it), then try again."),
    "Ecs.0611": Meaning(None, "Look at each server of the batch; what failed can be asked again."),
    "Ecs.1000": Meaning(_LOST, LOOK_FIRST),
    "Ecs.1002": Meaning(_LOST, LOOK_FIRST),
    # CBR (CBR API reference, Error Codes); HSS quotes them in its task list
    "BackupService.0002": Meaning(_BUSY, _LATER),
    "BackupService.2001": Meaning(_REFUSED, "The disk must be at least as large as the backup: enlarge it."),
    "BackupService.2002": Meaning(_BUSY, _LATER),
    "BackupService.2003": Meaning(_REFUSED, _ORIGINAL_ONLY),
    "BackupService.2005": Meaning(_REFUSED, _CHOOSE_BACKUP),
    "BackupService.2007": Meaning(_REFUSED, "The server is gone: make a new server from the backup."),
    "BackupService.2008": Meaning(_REFUSED, _SERVER_STATE),
    "BackupService.2009": Meaning(_REFUSED, "The type of the disk does not allow this restore."),
    "BackupService.2010": Meaning(_BUSY, "It is being restored already: wait for the end of that restore."),
    "BackupService.2011": Meaning(_REFUSED, "Look at the disk's status on the EVS console."),
    "BackupService.2012": Meaning(_REFUSED, "This backup must be restored with all its disks: give each a mapping."),
    "BackupService.2013": Meaning(_REFUSED, "A data disk's backup cannot go to a system disk: correct the mappings."),
    "BackupService.2014": Meaning(_REFUSED, "A backup of a bare metal server cannot go to a virtual server."),
    "BackupService.2015": Meaning(_REFUSED, "The processor architectures of backup and server differ."),
    "BackupService.6202": Meaning(
        _REFUSED, "The vault must be available: look at it on the CBR console (paid? frozen?)."
    ),
    "BackupService.6216": Meaning(_BUSY, "The backup is in use: wait for the end of that task."),
    "BackupService.6500": Meaning(_MISSING, "The task is unknown: check its id, region and project."),
    "BackupService.7004": Meaning(_REFUSED, "This disk cannot be restored."),
    "BackupService.7008": Meaning(_REFUSED, _DR),
    "BackupService.7009": Meaning(_BUSY, "The backup is still being loaded: wait, then try again."),
    "BackupService.7114": Meaning(_REFUSED, "The server runs another operating system than at the time of the backup."),
    "BackupService.7115": Meaning(_REFUSED, "The types of the servers differ."),
    "BackupService.7117": Meaning(_REFUSED, _DR),
    "BackupService.7201": Meaning(_REFUSED, "The disk is not attached to any server: attach it first."),
    "BackupService.9900": Meaning(_REFUSED, "Check backup_id, server_id, volume_id and mappings."),
    "BackupService.9910": Meaning(None, _SUPPORT),
    "BackupService.9998": Meaning(_DENIED, "Check the credentials and the project."),
}
# Codes are spelled common.0011 in VBS and Common.0011 in EVS and ECS.
CODES: Mapping[str, Meaning] = {code.lower(): meaning for code, meaning in _CODES.items()}

STATUSES: Mapping[int, Meaning] = {
    400: Meaning(_REFUSED, "Check the ids and options of this call."),
    401: Meaning(_DENIED, "Check the credentials; a token may have expired."),
    403: Meaning(_DENIED, _RIGHTS),
    404: Meaning(_MISSING, "Check the id, region, project and endpoint."),
    405: Meaning(_REFUSED, "This endpoint does not know this call: check region, cloud and endpoints."),
    406: Meaning(_REFUSED, "This endpoint does not speak JSON: check region, cloud and endpoints."),
    407: Meaning(_DENIED, "The proxy wants a login: put user and password into HTTPS_PROXY, or the host in NO_PROXY."),
    408: Meaning(_LOST, LOOK_FIRST),
    409: Meaning(_REFUSED, "It conflicts with the present state or another operation: look at it, then try again."),
    413: Meaning(_REFUSED, "A quota is used up, or the request is too large."),
    414: Meaning(_REFUSED, "The request is too long: check the ids."),
    429: Meaning(_BUSY, _THROTTLED, _THROTTLED_SECONDS),
    500: Meaning(_LOST, _SUPPORT),
    501: Meaning(_REFUSED, "This cloud does not offer this function here."),
    502: Meaning(_LOST, _SUPPORT),
    503: Meaning(_LOST, _SUPPORT),
    504: Meaning(_LOST, _SUPPORT),
}


def _status_meaning(status: int) -> Meaning:
    if status in STATUSES:
        return STATUSES[status]
    if status >= 500:
        return Meaning(_LOST, _SUPPORT)
    if 300 <= status < 400:
        return Meaning(_REFUSED, "Redirects are not followed, since the login would go along: set the right endpoint.")
    return Meaning(_REFUSED, "Check the ids and options of this call.")


def _meaning(status: int, code: str, text: str, *, write: bool) -> Meaning:
    by_status = _status_meaning(status)
    known = CODES.get(code.lower())
    if known is None:
        # Native Nova and Cinder errors carry a status as their code, which may be the truer one:
        # "doesn't match Context's project_id" is code 401 inside HTTP 400. Not so "overLimit", 413 inside HTTP 429.
        inner = int(code) if code.isascii() and code.isdigit() and len(code) == 3 else status
        if write and status < 300 and inner >= 400:
            return _status_meaning(inner)
        refined = 400 <= status < 500 and 400 <= inner < 500 and status != 429
        return _status_meaning(inner) if refined else by_status
    if code.lower() == "ecs.1000" and "itemnotfound" in text.lower():
        return STATUSES[404]  # Ecs.1000 passes on what Nova said
    if known.kind:
        return known
    # A status that says "success" cannot say for an error what has become of a write.
    kind = _LOST if write and status < 300 else by_status.kind
    return Meaning(kind, known.remedy, by_status.retry_after_seconds)


# --- reading an error answer --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Said:
    code: str = ""
    message: str = ""
    request_id: str = ""
    encoded: str = ""


# The order of the vendor's SDK (huaweicloudsdkcore, exceptions/exception_handler.py).
_PAIRS = (("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message"), ("error_code", "error_message"))


_NO_ERROR = re.compile(r"0|2\d\d|.*\.0000", re.DOTALL)
"""Codes of an "error" that is none: many services say so that all went well."""
_NO_WORDS = frozenset({"", "null", "none", "[]", "true", "ok", "success", "accepted"})
"""Texts that say no more than the status of a success does."""
_BAD_WORDS = frozenset({"false", "fail", "failed", "failure", "error"})
_FAULTS = frozenset(
    {
        "error",
        "errors",
        "badrequest",
        "unauthorized",
        "forbidden",
        "itemnotfound",
        "badmethod",
        "conflictingrequest",
        "overlimit",
        "badmediatype",
        "notimplemented",
        "serviceunavailable",
        "computefault",
        "cinderfault",
    }
)
"""Names, in small letters, under which an answer holds an error (the latter ones: Nova and Cinder)."""
_OWN_NAMES = (("error_code", "errorCode"), ("error_msg", "errorMsg", "error_message"))
"""Names of codes and of texts that only an error has; `code` and `message` are as good as these within a fault."""
_FAULT_NAMES = ((*_OWN_NAMES[0], "code"), (*_OWN_NAMES[1], "message"))


def parse_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object of an answer, or None for anything else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _plain(value: object) -> str:
    return str(value).strip() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def _pair(document: Mapping[str, Any], *, whole: bool) -> tuple[str, str] | None:
    for code_name, message_name in _PAIRS:
        present = [name in document for name in (code_name, message_name)]
        code, message = _plain(document.get(code_name)), _plain(document.get(message_name))
        if (all(present) if whole else any(present)) and (code or message):
            return code, message
    return None


def _message(document: Mapping[str, Any]) -> str:
    """Some answers tell more of the cause in `details`, batch calls one line per server in `internalError`."""
    return (_pair(document, whole=True) or _pair(document, whole=False) or ("", ""))[1]


def _layers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The document and the objects in it, the outer ones first."""
    found = [document]
    for layer in found:
        found += [inner for value in layer.values() for inner in _dicts(value)][: _LAYERS - len(found)]
    return found


def _said(document: dict[str, Any]) -> _Said:
    layers = _layers(document)
    # Whole pairs first, then halves, so that an odd answer still tells what it can; a "success" beside an error last.
    pairs = [pair for whole in (True, False) for layer in layers if (pair := _pair(layer, whole=whole))]
    found = min(pairs, key=lambda pair: bool(pair[0]) and _no_error(pair[0]), default=("", ""))
    details = [
        _message(item) for layer in layers for key in ("details", "internalError") for item in _dicts(layer.get(key))
    ]
    message = "; ".join(dict.fromkeys(part for part in (found[1], *details) if part))
    return _Said(
        code=found[0],
        message=message,
        request_id=next((text for layer in layers if (text := _plain(layer.get("request_id")))), ""),
        encoded=next((text for layer in layers if (text := _plain(layer.get("encoded_authorization_message")))), ""),
    )


def header(headers: Mapping[str, str], name: str) -> str:
    """A header's value, whatever the spelling of its name; empty if there is none."""
    return next((value for key, value in headers.items() if key.lower() == name.lower()), "")


def _printable(text: str, limit: int) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:limit]


@lru_cache(maxsize=16)
def http_date(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date, None if it is none. Many answers a second bear the same one."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After as seconds or as a date; a date is measured against the answer's own Date, never our clock."""
    wanted = header(headers, "Retry-After").strip()
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 10:
        return min(float(wanted), _LONGEST_RETRY_AFTER_SECONDS)
    until, date = http_date(wanted), http_date(header(headers, "Date"))
    if until is None or date is None:
        return None
    return min(max(until - date, 0.0), _LONGEST_RETRY_AFTER_SECONDS)


def says_nothing(text: str) -> bool:
    return text.strip().strip('".').strip().lower() in _NO_WORDS


def _no_error(code: str) -> bool:
    return not code or bool(_NO_ERROR.fullmatch(code))


def _half_error(document: Mapping[str, Any], names: tuple[tuple[str, ...], tuple[str, ...]]) -> bool:
    """Whether it holds the code of an error, or else a text."""
    codes, texts = ([_plain(document.get(name)) for name in group] for group in names)
    return not all(map(_no_error, codes)) if any(codes) else not all(map(says_nothing, texts))


def said_no(document: Mapping[str, Any], *, job: bool = False, order: bool = False) -> bool:
    """Whether a 2xx answer is in truth an error.

    VBS documents 200 for `{"error": ...}` as well, ECS answers 202 with Common.0024 and no job when it is too busy. A
    job's own error_code is not meant here: it stands without an error_msg. Nor is any error in a `job` that was asked
    for and says of itself that it failed, nor what it says beside its status while it is under way. To an `order`,
    half an error is one: its success has a job, or says nothing.
    """
    status = _plain(document.get("status")).upper()
    if _plain(document.get("job_id")) or (job and status == JOB_FAILED):
        return False
    faults = [value for name, value in document.items() if name.lower() in _FAULTS]
    inner = [layer for fault in faults for layer in _dicts(fault)]
    layers = inner if job and status in _JOB_UNDER_WAY else [document, *inner]
    pairs = ((_plain(layer.get(code)), _plain(layer.get(text))) for layer in layers for code, text in _PAIRS)
    if any(text and not _no_error(code) for code, text in pairs):
        return True
    return order and (
        _half_error(document, _OWN_NAMES)
        or any(_half_error(layer, _FAULT_NAMES) for layer in inner)
        or not all(says_nothing(fault) for fault in faults if isinstance(fault, str))
    )


def looks_like_no(document: Mapping[str, Any]) -> bool:
    """Whether the answer to an order, though no error, rather speaks against its success."""
    if _plain(document.get("job_id")):
        return False
    code, message, status = (_plain(document.get(name)) for name in ("code", "message", "status"))
    error = document.get("error")
    return (
        not _no_error(code)
        or not (code or says_nothing(message))
        or re.fullmatch("[45][0-9][0-9]", status) is not None
        or (isinstance(error, (bool, int, float)) and bool(error))
        or any(str(document.get(name)).lower() in _BAD_WORDS for name in ("success", "result", "status", "state"))
    )


def from_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    what: str,
    may_have_arrived: bool,
    redactor: Redactor | None = None,
) -> ErrorInfo:
    """Read an error answer of any shape. `may_have_arrived`: the request changes something and was sent."""
    clean = redactor or Redactor()
    document = parse_object(body)
    said = _said(document) if document is not None else _Said()
    raw = body.decode("utf-8", "replace")
    meaning = _meaning(status, said.code, said.message or raw, write=may_have_arrived)
    retry_after_seconds = _retry_after_seconds(headers)
    if meaning is STATUSES[413] and retry_after_seconds:  # at quotas Cinder names a time, too: 0
        meaning = STATUSES[429]
    kind = meaning.kind or Failure.LOST
    # Secrets go before the text is cut: a cut secret would not be recognized.
    message = _printable(clean.text(said.message), _MESSAGE_CHARACTERS)
    message = message or _printable(clean.text(raw), _RAW_CHARACTERS) or "the answer is empty"
    remedy = LOOK_FIRST if kind is Failure.LOST and may_have_arrived else meaning.remedy
    if said.encoded:
        remedy += " What exactly is not allowed, for the administrator to decode: " + said.encoded[:_ENCODED_CHARACTERS]
    return ErrorInfo(
        kind=kind,
        message=clean.text(what) + ": " + message,
        code=_printable(clean.text(said.code), _RAW_CHARACTERS),
        http_status=status,
        request_id=_printable(clean.text(said.request_id or header(headers, "X-Request-Id")), _RAW_CHARACTERS),
        remedy=clean.text(remedy),
        retry_after_seconds=meaning.retry_after_seconds if retry_after_seconds is None else retry_after_seconds,
    )


# The same fact in four disguises (IAM, EVS and VBS API references): the token is no longer good.
_EXPIRED_CODES = frozenset({"apigw.0307", "common.0013", "autobackup.0003", "iam.0066"})


def token_refused(info: ErrorInfo) -> bool:
    """Whether a new token may help. Such an answer also proves that nothing was accepted."""
    return (
        info.http_status == 401
        or info.code.lower() in _EXPIRED_CODES
        or (info.kind is not Failure.LOST and "token must be updated" in info.message.lower())
    )
