# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IAM: a token for a password, a project's id for its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._restore.model import Failure
from .auth import PasswordLogin, Token
from .errors import CloudError, fail
from .fields import items, mapping, text

if TYPE_CHECKING:
    from .api import Answer, Api

_CHOICES_SHOWN = 20


def token_request(login: PasswordLogin, *, project_id: str, project_name: str) -> dict[str, Any]:
    """IAM API reference, Obtaining a User Token Through Password Authentication. VBS and HSS need the scope."""
    return {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {
                    "user": {
                        "name": login.username,
                        "password": login.password,
                        "domain": {"name": login.domain_name},
                    }
                },
            },
            "scope": {"project": {"id": project_id} if project_id else {"name": project_name}},
        }
    }


def token(answer: Answer, *, what: str) -> Token:
    """The token stands in a header, not in the body."""
    value = answer.headers.get("X-Subject-Token", "")
    if not value or not value.isascii() or not value.isprintable():
        raise fail(
            Failure.NONSENSE,
            f"{what}: IAM answered without a token",
            remedy="Check auth_url (or endpoints.iam): something else than IAM may have answered.",
        )
    return Token(value=value, project_id=text(mapping(mapping(answer.json.get("token")).get("project")).get("id")))


def project_id(api: Api, name: str) -> str:
    """The id of the project with exactly this name."""
    what = f"looking up project {name}"
    seen = _projects(api, what, query={"name": name}, path=("v3", "projects"), denied_is_empty=True)
    found = [project for project in seen if text(project.get("name")) == name]
    if not found:
        # What the user may enter needs no right to list projects, and names the choices.
        seen = _projects(api, what, query={}, path=("v3", "auth", "projects"))
        found = [project for project in seen if text(project.get("name")) == name]
    ids = sorted({text(project.get("id")) for project in found} - {""})
    if len(ids) == 1:
        return ids[0]
    choices = sorted({f"{text(project.get('name'))} ({text(project.get('id'))})" for project in found or seen})
    shown = ", ".join(choices[:_CHOICES_SHOWN]) or "none"
    raise fail(
        Failure.REFUSED if ids else Failure.MISSING,
        f"{what}: {'several projects have' if ids else 'no project has'} this name; seen: {shown}",
        remedy="Set project_id, or project_name to one of these.",
    )


def _projects(
    api: Api, what: str, *, query: Mapping[str, object], path: tuple[str, ...], denied_is_empty: bool = False
) -> list[dict[str, Any]]:
    try:
        return items(api.get("iam", path, query=query, what=what).json.get("projects"))
    except CloudError as error:
        if denied_is_empty and error.info.kind is Failure.DENIED:
            return []
        raise
