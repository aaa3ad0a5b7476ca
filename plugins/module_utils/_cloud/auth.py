# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three ways to log in: what the user gave (frozen values), and what becomes of it in a process (sessions)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from .._restore.model import Failure
from .errors import CloudError, fail
from .signing import sign
from .transport import HttpRequest

_TOKEN_HEADER = "X-Auth-Token"
_USELESS_RENEWALS = 3
"""New tokens in a row that were refused without one success between: it is not their age then."""


@dataclass(frozen=True)
class TokenLogin:
    """A ready token."""

    token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.token,)


@dataclass(frozen=True)
class PasswordLogin:
    username: str
    password: str = field(repr=False)
    domain_name: str

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.password,)


@dataclass(frozen=True)
class KeyLogin:
    """Signed requests; with a security token the keys are temporary ones."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    security_token: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.access_key, self.secret_key, self.security_token)


Login: TypeAlias = "TokenLogin | PasswordLogin | KeyLogin"


@dataclass(frozen=True)
class Token:
    """What IAM gives for a password."""

    value: str = field(repr=False)
    project_id: str = ""


class Session(Protocol):
    """A login in use, shared by all threads."""

    def prepare(self, request: HttpRequest, *, now: float) -> HttpRequest:
        """The request with its proof of identity. May log in."""

    def renew(self, refused: HttpRequest) -> bool:
        """After an answer that refuses the login of this request: is there another proof to try?"""

    def worked(self) -> None:
        """An answer showed that the login is good."""


def _with_token(request: HttpRequest, token: str) -> HttpRequest:
    return replace(request, headers={**request.headers, _TOKEN_HEADER: token})


class TokenSession:
    def __init__(self, login: TokenLogin) -> None:
        self._token = login.token.strip()  # of a file or variable, often with its line end

    def prepare(self, request: HttpRequest, *, now: float) -> HttpRequest:
        return _with_token(request, self._token)

    def renew(self, refused: HttpRequest) -> bool:
        return False

    def worked(self) -> None:
        """Nothing to learn: there is only this token."""


class KeySession:
    """Signs. A signature may be refused in passing (it came late, a gateway stumbled), which a new one mends; keys that
    have not worked yet are taken for wrong the second time.
    """

    def __init__(self, login: KeyLogin) -> None:
        self._login = login
        self._worked = False
        self._signed_anew = False

    def prepare(self, request: HttpRequest, *, now: float) -> HttpRequest:
        headers = sign(
            request.method,
            request.url,
            request.headers,
            request.body,
            access_key=self._login.access_key,
            secret_key=self._login.secret_key,
            security_token=self._login.security_token,
            now=now,
        )
        return replace(request, headers=headers)

    def renew(self, refused: HttpRequest) -> bool:
        first, self._signed_anew = not self._signed_anew, True
        return first or self._worked

    def worked(self) -> None:
        self._worked = True


class PasswordSession:
    """Logs in at the first request, once for all threads, and again when the token has expired.

    Credentials that were refused are never tried a second time in this process: IAM locks accounts (IAM.0061).
    """

    def __init__(self, login: PasswordLogin, ask_token: Callable[[PasswordLogin], Token]) -> None:
        self._login = login
        self._ask_token = ask_token
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._refusal: CloudError | None = None
        self._useless_renewals = 0

    def token(self) -> Token:
        with self._lock:
            return self._token or self._new_token()

    def prepare(self, request: HttpRequest, *, now: float) -> HttpRequest:
        return _with_token(request, self.token().value)

    def renew(self, refused: HttpRequest) -> bool:
        with self._lock:
            if self._token and self._token.value != refused.headers.get(_TOKEN_HEADER):
                return True  # another thread was faster
            if self._useless_renewals >= _USELESS_RENEWALS:
                return False
            self._useless_renewals += 1
            self._token = None
            self._new_token()
            return True

    def worked(self) -> None:
        self._useless_renewals = 0

    def _new_token(self) -> Token:
        if self._refusal:
            raise CloudError(self._refusal.info)
        try:
            self._token = self._ask_token(self._login)
        except CloudError as error:
            if error.info.kind in (Failure.DENIED, Failure.REFUSED, Failure.MISSING):
                self._refusal = error
            raise
        return self._token


def missing_parts(login: Login) -> CloudError | None:
    """A login that cannot work, as an error that names what is missing."""
    wanted: dict[str, str]
    if isinstance(login, TokenLogin):
        wanted = {"token": login.token}
    elif isinstance(login, PasswordLogin):
        wanted = {"username": login.username, "password": login.password, "domain_name": login.domain_name}
    else:
        wanted = {"access_key": login.access_key, "secret_key": login.secret_key}
    missing = [name for name, value in wanted.items() if not value]
    if not missing:
        return None
    message = f"the login lacks {' and '.join(missing)}"
    return fail(Failure.DENIED, message, remedy="Set it as option or in the environment.")
