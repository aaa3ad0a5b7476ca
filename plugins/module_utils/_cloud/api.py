# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of the cloud: where it goes, who asks, how often it may be tried, and what its answer proves.

Reads are tried again with back-off. Writes are never sent a second time once they may have arrived. Each try is signed
anew, since a signature is good for 15 minutes only.
"""

from __future__ import annotations

import contextlib
import json
import random as random_module
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from .._restore.model import ErrorInfo, Failure
from .._restore.times import iso
from . import iam
from .auth import (
    KeyLogin,
    KeySession,
    Login,
    PasswordLogin,
    PasswordSession,
    Session,
    Token,
    TokenLogin,
    TokenSession,
    missing_parts,
)
from .endpoints import Endpoints
from .errors import (
    LOOK_FIRST,
    CloudError,
    Redactor,
    fail,
    from_answer,
    header,
    http_date,
    looks_like_no,
    parse_object,
    said_no,
    says_nothing,
    token_refused,
)
from .fields import text
from .pacing import ApiKey, Turns
from .signing import query_text
from .transport import AnswerLost, Headers, Http, HttpRequest, HttpResponse, NotSent

USER_AGENT = "hwcloud.recovery/0.1.0"
PROJECT = "{project_id}"
"""Stands in a path for the project's id, which may have to be looked up first."""
DEFAULT_RATE_LIMITS: Mapping[str, int] = {"hss": 5}

READ_TRIES = 8
TOKEN_TRIES = 3
NOT_SENT_TRIES = 4
UNREADABLE_TRIES = 3
"""A wrong address answers nonsense for ever; a proxy does so in passing."""
LONGEST_RETRIES_SECONDS = 300.0
_FIRST_BACKOFF_SECONDS = 1.0
_LONGEST_BACKOFF_SECONDS = 60.0
_SEGMENT = re.compile(r"[A-Za-z0-9_-]{1,256}|v\d\.\d")

_NO_HSS = (
    " Where HSS has no restore API, restore the same backup with Cloud Backup and Recovery (CBR), on its console or by"
    " its API."
)
_AS_SHOWN = "Give the id as the console shows it: letters, digits, - and _."
_TOKEN_REFUSED = "Get a new token, or log in with user name and password, which renews tokens by itself."
_LOGIN_REFUSED = "Even a new token is refused: check that user, project, region and cloud belong together."


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since 1970."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True)
class Answer:
    """A success. `json` is {} for a body that says nothing, where that is allowed."""

    status: int
    headers: Headers
    json: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Order:
    """One thing to ask for, before it is signed."""

    method: str
    url: str
    key: ApiKey
    what: str
    headers: Mapping[str, str]
    body: bytes | None
    tries: int
    busy_tries: int = 1
    turn_taken: bool = False
    login: bool = True
    empty_ok: bool = False
    job: bool = False

    @property
    def changes(self) -> bool:
        return self.method != "GET" and self.login


@dataclass(frozen=True)
class _Outcome:
    answer: Answer | None
    error: ErrorInfo | None = None
    tries: int = 1


def _session(login: Login, ask_token: Callable[[PasswordLogin], Token]) -> Session:
    if isinstance(login, TokenLogin):
        return TokenSession(login)
    if isinstance(login, PasswordLogin):
        return PasswordSession(login, ask_token)
    return KeySession(login)


class Api:
    """The cloud as seen by one login in one project. Safe for many threads."""

    def __init__(
        self,
        http: Http,
        *,
        clock: Clock,
        login: Login,
        endpoints: Endpoints,
        project_id: str = "",
        project_name: str = "",
        enterprise_project_id: str = "",
        rate_limits: Mapping[str, int] | None = None,
        http_timeout_seconds: float = 60,
        read_only: bool = False,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._http = http
        self._clock = clock
        self._login = login
        self._endpoints = endpoints
        self._project_id = project_id
        # The default project of a region bears the region's name (IAM API reference, Querying Project Information).
        self._project_name = project_name or endpoints.region
        self._http_timeout_seconds = http_timeout_seconds
        self._read_only = read_only
        self._random = random
        self._turns = Turns(DEFAULT_RATE_LIMITS if rate_limits is None else {**DEFAULT_RATE_LIMITS, **rate_limits})
        self._redactor = Redactor(login.secrets)
        self._session = _session(login, self._ask_token)
        self._project_lock = threading.Lock()
        self._count_lock = threading.Lock()
        self._skew_seconds = 0.0
        self.enterprise_project_id = enterprise_project_id
        self.patience_seconds = LONGEST_RETRIES_SECONDS
        """How long one call may be tried again, pauses and silence together: as long as its result is waited for."""
        self.asset_region = ""
        """The `region` header of HSS calls that take one; not sent while empty."""
        self.requests_sent: Counter[ApiKey] = Counter()

    def __repr__(self) -> str:
        return f"Api({self._endpoints.cloud}, {self._endpoints.region})"

    @property
    def skew_seconds(self) -> float:
        """The cloud's time minus ours, by the Date of the newest answer."""
        return self._skew_seconds

    @property
    def redactor(self) -> Redactor:
        return self._redactor

    def words(self, value: object) -> str:
        """A text of an answer that people will read. A service that failed may quote the request, as its errors do."""
        return self._redactor.text(text(value))

    def project_id(self) -> str:
        """The project's id, looked up once if only its name is known."""
        with self._project_lock:
            if not self._project_id:
                self._project_id = self._found_project_id()
            return self._project_id

    def get(
        self,
        service: str,
        path: Sequence[str],
        *,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        what: str,
        name: str = "",
        job: bool = False,
    ) -> Answer:
        """`job`: a job is asked for, which may tell of an error of its own."""
        return self._call(
            "GET", service, path, query=query, headers=headers, what=what, name=name, tries=READ_TRIES, job=job
        )

    def post(
        self,
        service: str,
        path: Sequence[str],
        *,
        json: Mapping[str, Any],
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        what: str,
        name: str = "",
        empty_ok: bool = False,
        patient: bool = False,
        turn_taken: bool = False,
    ) -> Answer:
        """`patient`: while the cloud is too busy to take it, it is tried again here, as a read would be.

        `turn_taken`: its place under the rate limit was reserved by `take_turn`, so it is sent at once.
        """
        return self._call(
            "POST",
            service,
            path,
            query=query,
            headers=headers,
            what=what,
            name=name,
            json_body=json,
            empty_ok=empty_ok,
            busy_tries=READ_TRIES if patient else 1,
            turn_taken=turn_taken,
        )

    def delete(
        self,
        service: str,
        path: Sequence[str],
        *,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        what: str,
        name: str = "",
        empty_ok: bool = False,
        turn_taken: bool = False,
    ) -> Answer:
        return self._call(
            "DELETE",
            service,
            path,
            query=query,
            headers=headers,
            what=what,
            name=name,
            empty_ok=empty_ok,
            turn_taken=turn_taken,
        )

    def turn_in_seconds(self, key: ApiKey) -> float:
        """How long it is until the rate limit allows the next call of this API."""
        return self._turns.free_in_seconds(key, self._clock.monotonic())

    def take_turn(self, key: ApiKey) -> None:
        """Reserve that place for a call that is made at once."""
        self._turns.reserve(key, self._clock.monotonic())

    # --- from a call to an order ---

    def _call(
        self,
        method: str,
        service: str,
        path: Sequence[str],
        *,
        query: Mapping[str, object] | None,
        headers: Mapping[str, str] | None,
        what: str,
        name: str,
        json_body: Mapping[str, Any] | None = None,
        empty_ok: bool = False,
        tries: int = 1,
        busy_tries: int = 1,
        turn_taken: bool = False,
        job: bool = False,
    ) -> Answer:
        if self._read_only and method != "GET":
            message = f"{what}: not done, since nothing may be changed in check mode"
            raise self._forbidden(message, "Run it without check mode.")
        if incomplete := missing_parts(self._login):
            raise incomplete
        with _nothing_sent(what if method != "GET" else ""):  # the project may have to be looked up
            url, project = self._url(service, path, query or {}, what), self._project_header(service, what)
        order = _Order(
            method=method,
            url=url,
            key=(service, name or _pattern(method, path)),
            what=what,
            headers={"Content-Type": "application/json", **(headers or {}), **project},
            body=None if json_body is None else json.dumps(json_body).encode("utf-8"),
            tries=tries,
            busy_tries=busy_tries,
            turn_taken=turn_taken,
            empty_ok=empty_ok,
            job=job,
        )
        return self._deliver(order)

    def _url(self, service: str, path: Sequence[str], query: Mapping[str, object], what: str) -> str:
        # A wrong or empty segment would ask for something else: "cloudbackups/{id}" without "restore" deletes a backup.
        for segment in path:
            if segment != PROJECT and not _SEGMENT.fullmatch(segment):
                raise self._forbidden(f"{what}: {segment[:80]!r} is not an id that belongs in a URL", _AS_SHOWN)
        base = self._endpoints.base(service)
        segments = [self._checked_project_id(what) if segment == PROJECT else segment for segment in path]
        asked = query_text((key, value) for key, value in query.items() if value is not None)
        return f"{base}/{'/'.join(segments)}" + (f"?{asked}" if asked else "")

    def _checked_project_id(self, what: str) -> str:
        found = self.project_id()
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", found):
            raise self._forbidden(f"{what}: project_id {found[:80]!r} is not an id that belongs in a URL", _AS_SHOWN)
        return found

    def _project_header(self, service: str, what: str) -> dict[str, str]:
        """Signed requests carry no project, so the services ask for it by name (API Usage Guide, AK/SK signing)."""
        if service == "iam" or not isinstance(self._login, KeyLogin):
            return {}
        return {"X-Project-Id": self._checked_project_id(what)}

    def _forbidden(self, message: str, remedy: str) -> CloudError:
        return fail(Failure.FORBIDDEN_HERE, self._redactor.text(message), remedy=remedy)

    # --- sending ---

    def _deliver(self, order: _Order) -> Answer:
        renewed = False
        tried = 0
        spent_seconds = 0.0
        write = order.what if order.changes else ""
        while True:
            tried += 1
            with _nothing_sent(write):
                request = self._ready(order, turn_taken=order.turn_taken and tried == 1)
            began = self._clock.monotonic()
            outcome = self._once(order, request)
            spent_seconds += self._clock.monotonic() - began  # but not what the rate limit took
            if outcome.answer is not None:
                return outcome.answer
            error = outcome.error or ErrorInfo(kind=Failure.LOST, message=f"{order.what}: no answer")
            if order.login and token_refused(error):
                # A refused login proves that nothing was accepted, so a write may be sent again as well; but only once.
                with _nothing_sent(write):
                    again = not renewed and self._session.renew(request)
                if again:
                    renewed = True
                    continue
                raise self._error(self._logged_out(error))
            pause_seconds = self._pause_seconds(error, tried)
            # A longer Retry-After than that is left to the caller, who may have more time: the error carries it.
            if tried >= outcome.tries or spent_seconds + pause_seconds > self.patience_seconds:
                raise self._error(error)
            spent_seconds += pause_seconds
            self._clock.sleep(pause_seconds)

    def _ready(self, order: _Order, *, turn_taken: bool) -> HttpRequest:
        request = HttpRequest(order.method, order.url, order.headers, order.body)
        # Waiting for the turn comes before signing: the signature must be fresh.
        wait_seconds = 0.0 if turn_taken else self._turns.wait_seconds(order.key, self._clock.monotonic())
        if wait_seconds > 0:
            self._clock.sleep(wait_seconds)
        if order.login:
            request = self._session.prepare(request, now=self._clock.now())
        # Not signed, since proxies change it.
        return replace(request, headers={**request.headers, "User-Agent": USER_AGENT})

    def _once(self, order: _Order, request: HttpRequest) -> _Outcome:
        with self._count_lock:
            self.requests_sent[order.key] += 1
        host = urlsplit(order.url).hostname or ""
        try:
            response = self._http.send(request, timeout_seconds=self._http_timeout_seconds)
        except NotSent as error:
            tries = 1 if error.certificate else NOT_SENT_TRIES
            return _Outcome(None, self._unreachable(order, error), tries=tries)
        except AnswerLost as error:
            return _Outcome(None, self._lost(order, f"no answer from {host}: {error}"), tries=order.tries)
        self._note_time(response)
        return self._judged(order, response)

    def _judged(self, order: _Order, response: HttpResponse) -> _Outcome:
        document = parse_object(response.body)
        no = document is not None and said_no(document, job=order.job, order=order.changes)
        if 200 <= response.status < 300 and not no:
            if order.login:
                self._session.worked()
            if order.changes and document and looks_like_no(document):
                return self._unreadable(order, response, "a success that does not look like one")
            # Where a document says that an answer has no body, a service may write just that.
            if document is not None or (order.empty_ok and says_nothing(response.body.decode("utf-8", "replace"))):
                return _Outcome(Answer(response.status, response.headers, document or {}))
            return self._unreadable(order, response, "a success without a JSON object")
        error = from_answer(
            response.status,
            response.headers,
            response.body,
            what=order.what,
            may_have_arrived=order.changes,
            redactor=self._redactor,
        )
        if 300 <= response.status < 400:
            error = replace(error, message=f"{order.what}: {self._redirect(order, response)}")
        if error.code.lower() == "apigw.0101" and order.key[0] == "hss":
            error = replace(error, remedy=error.remedy + _NO_HSS)
        if error.code.lower() == "apigw.0301":
            error = self._with_times(error, response)
        if response.status == 429:
            self._turns.learn(order.key, error.message, self._clock.monotonic())
        tries = {Failure.LOST: order.tries, Failure.BUSY: max(order.tries, order.busy_tries)}
        return _Outcome(None, error, tries=tries.get(error.kind, 1))

    def _unreadable(self, order: _Order, response: HttpResponse, why: str) -> _Outcome:
        kind = Failure.LOST if order.changes else Failure.NONSENSE
        said = from_answer(
            response.status,
            response.headers,
            response.body,
            what=f"{order.what}: {why}",
            may_have_arrived=order.changes,
            redactor=self._redactor,
        )
        tries = 1 if order.changes else min(order.tries, UNREADABLE_TRIES)
        return _Outcome(None, replace(said, kind=kind, code="", remedy=_UNREADABLE_REMEDIES[kind]), tries=tries)

    def _pause_seconds(self, error: ErrorInfo, tried: int) -> float:
        if error.kind is Failure.BUSY and error.retry_after_seconds is not None:
            return max(error.retry_after_seconds, _FIRST_BACKOFF_SECONDS) * (1 + 0.1 * self._random())
        # Full jitter: many that failed together should not come back together.
        longest = min(_LONGEST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0**tried)
        return longest * self._random()

    # --- words ---

    def _error(self, info: ErrorInfo) -> CloudError:
        return CloudError(self._redactor.info(info))

    def _unreachable(self, order: _Order, error: NotSent) -> ErrorInfo:
        remedy = (
            "Give the right ca_cert; validate_certs=false only for a test."
            if error.certificate
            else "Check region, cloud, endpoints, proxy and the network of this machine."
        )
        return ErrorInfo(kind=Failure.UNREACHABLE, message=f"{order.what}: {error}", remedy=remedy)

    def _lost(self, order: _Order, message: str) -> ErrorInfo:
        remedy = LOOK_FIRST if order.changes else "Try again; if it stays, check proxy, network and http_timeout."
        return ErrorInfo(kind=Failure.LOST, message=f"{order.what}: {message}", remedy=remedy)

    def _redirect(self, order: _Order, response: HttpResponse) -> str:
        try:
            target = urlsplit(header(response.headers, "Location")).hostname or "another path of the same host"
        except ValueError:
            target = "a malformed address"
        return f"{urlsplit(order.url).hostname} redirects to {target}, and redirects are not followed"

    def _logged_out(self, error: ErrorInfo) -> ErrorInfo:
        if isinstance(self._login, KeyLogin):
            return error
        remedy = _TOKEN_REFUSED if isinstance(self._login, TokenLogin) else _LOGIN_REFUSED
        return replace(error, kind=Failure.DENIED, remedy=remedy)

    def _with_times(self, error: ErrorInfo, response: HttpResponse) -> ErrorInfo:
        """A wrong clock shows as a refused signature: name both times, as the gateway itself does in most texts."""
        theirs = http_date(header(response.headers, "Date"))
        if "server time" in error.message.lower() or theirs is None:
            return error
        times = f"time here: {iso(self._clock.now())}, in the cloud: {iso(theirs)}"
        return replace(error, message=f"{error.message} ({times})")

    def _note_time(self, response: HttpResponse) -> None:
        theirs = http_date(header(response.headers, "Date"))
        if theirs is not None:
            self._skew_seconds = theirs - self._clock.now()

    # --- IAM ---

    def _ask_token(self, login: PasswordLogin) -> Token:
        """A read in effect, so check mode allows it; tried again only when no answer judged the password."""
        what = f"logging in as {login.username}"
        if not (self._project_id or self._project_name):
            raise fail(Failure.DENIED, f"{what}: no project is given", remedy="Set project_id, project_name or region.")
        body = iam.token_request(login, project_id=self._project_id, project_name=self._project_name)
        answer = self._deliver(
            _Order(
                method="POST",
                url=f"{self._endpoints.base('iam')}/v3/auth/tokens?nocatalog=1",
                key=("iam", "CreateToken"),
                what=what,
                headers={"Content-Type": "application/json"},
                body=json.dumps(body).encode("utf-8"),
                tries=TOKEN_TRIES,
                login=False,
                empty_ok=True,
            )
        )
        token = iam.token(answer, what=what)
        self._redactor.add(token.value)
        return token

    def _found_project_id(self) -> str:
        if isinstance(self._session, PasswordSession) and (scope := self._session.token().project_id):
            return scope
        if not self._project_name:
            raise fail(Failure.FORBIDDEN_HERE, "no project is given", remedy="Set project_id, project_name or region.")
        return iam.project_id(self, self._project_name)


_UNREADABLE_REMEDIES = {
    Failure.LOST: LOOK_FIRST,
    Failure.NONSENSE: "Check region, cloud and endpoints: something else than the service may have answered.",
}


@contextlib.contextmanager
def _nothing_sent(write: str) -> Iterator[None]:
    """Around a call of IAM that a write needs first: whatever becomes of it, the write itself is not in doubt."""
    try:
        yield
    except CloudError as error:
        if not write or error.info.kind not in (Failure.LOST, Failure.NONSENSE, Failure.UNREACHABLE):
            raise
        message = f"{write}: not done: {error.info.message}"
        raise CloudError(replace(error.info, kind=Failure.UNREACHABLE, message=message)) from None


def _pattern(method: str, path: Sequence[str]) -> str:
    """A name for an API that was not named: the path without what looks like an id."""
    words = (word if re.fullmatch(r"[a-z-]+|v[\d.]+", word) else "*" for word in path)
    return f"{method} /{'/'.join(words)}"
