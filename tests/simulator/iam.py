# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IAM: logging in with a password, projects, and who a request comes from.

Source: IAM API reference (Obtaining a User Token Through Password Authentication, Querying Project Information).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator import signing
from simulator.messages import Refusal, Request, Response, Shape, answer, gateway
from simulator.routing import Call, Identity, route
from simulator.scenario import AccessKey, Project, User
from simulator.state import Token, World, utc_text

# A token that has ended, as the services put it.
EXPIRED: Mapping[str, Refusal] = {
    "apigw_0307": gateway("APIGW.0307", "The token must be updated", status=401),
    "common_0013": Refusal("Common.0013", "The token has expired. The token must be updated", status=400),
    "autobackup_0003": Refusal("AutoBackup.0003", "token expired", status=401),
    "plain_401": Refusal("", "", status=401, shape=Shape.EMPTY),
}
_TOKEN_TEXT_LENGTH = 800  # real ones have several KB; long enough to find those who cut


def _at(document: Any, *names: str) -> Any:
    for name in names:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def _login_names(call: Call) -> tuple[str, str, str]:
    identity = _at(call.body, "auth", "identity")
    if _at(identity, "methods") != ["password"]:
        raise call.malformed("The request body is invalid: methods must be password")
    user = _at(identity, "password", "user")
    names = (_at(user, "name"), _at(user, "domain", "name"), _at(user, "password"))
    if not all(isinstance(name, str) and name for name in names):
        raise call.malformed("The request body is invalid: user needs name, password and domain.name")
    return names


def _find_user(world: World, call: Call) -> User:
    name, domain, password = _login_names(call)
    key = (domain, name)
    if world.locked_until.get(key, 0.0) > world.now:
        # IAM API reference, Error Codes: IAM.0061 account locked.
        raise Refusal("IAM.0061", "The account is locked", status=401)
    for user in world.scenario.users:
        if (user.domain, user.name, user.password) == (domain, name, password):
            world.login_failures.pop(key, None)
            return user
    _count_failure(world, key)
    raise Refusal(401, "The username or password is wrong.", status=401)


def _count_failure(world: World, key: tuple[str, str]) -> None:
    failures = world.login_failures.get(key, 0) + 1
    world.login_failures[key] = failures
    if failures > 1:
        world.violate("wrong_password_repeated", f"user {key[1]} failed to log in {failures} times in a row")
    if failures >= world.limits.login_failures_before_lock:
        world.locked_until[key] = world.now + world.timing.login_lock / world.scale
        world.login_failures.pop(key)


def _projects(world: World) -> tuple[Project, ...]:
    return (world.project, *world.scenario.other_projects)


def _find_project(world: World, call: Call) -> Project:
    scope = _at(call.body, "auth", "scope", "project")
    wanted_id, wanted_name = _at(scope, "id"), _at(scope, "name")
    if not wanted_id and not wanted_name:
        # Without a project the token is good for global services only, of which there is nothing here.
        raise call.malformed("scope.project needs an id or a name")
    for project in _projects(world):
        if wanted_id == project.id or (not wanted_id and wanted_name == project.name):
            return project
    raise Refusal(403, "You are not authorized to access the project [inferred].", status=403)


def create_token(world: World, call: Call) -> Response:
    user = _find_user(world, call)
    project = _find_project(world, call)
    text = "MII" + world.new_hex(_TOKEN_TEXT_LENGTH)
    # A new token does not end the old ones.
    expires_at = world.now + world.timing.token_life_wall_seconds
    token = Token(user.name, user.domain, project, world.now, expires_at)
    world.tokens[text] = token
    body = {"token": _token_body(world, token, catalog=not call.query.get("nocatalog"))}
    return answer(body, status=201, headers={"X-Subject-Token": text})


def _token_body(world: World, token: Token, *, catalog: bool) -> dict[str, Any]:
    domain = {"id": token.project.domain_id, "name": token.domain}
    body: dict[str, Any] = {
        "methods": ["password"],
        "issued_at": utc_text(token.issued_at, zone="Z"),
        "expires_at": utc_text(token.expires_at, zone="Z"),
        "project": {"id": token.project.id, "name": token.project.name, "domain": domain},
        "roles": [{"id": "0", "name": "te_admin"}],
        "user": {"id": f"id-of-{token.user}", "name": token.user, "domain": domain, "password_expires_at": ""},
    }
    if catalog:
        body["catalog"] = _catalog(world, token.project)
    return body


def _catalog(world: World, project: Project) -> list[dict[str, Any]]:
    """ECS and EVS only: clients report that the entries of VBS differ and that HSS is missing."""
    types = {"ecs": ("ecs", "v1"), "volumev2": ("evs", "v2"), "volumev3": ("evs", "v3")}
    return [
        {
            "type": kind,
            "id": f"catalog-{kind}",
            "name": kind,
            "endpoints": [
                {
                    "id": f"endpoint-{kind}",
                    "interface": "public",
                    "region": project.name.split("_")[0],
                    "region_id": project.name.split("_")[0],
                    "url": f"{world.endpoints[service]}/{version}/{project.id}",
                }
            ],
        }
        for kind, (service, version) in types.items()
        if service in world.endpoints
    ]


def show_token(world: World, call: Call) -> Response:
    subject = call.request.header("x-subject-token") or ""
    token = world.tokens.get(subject)
    if token is None or _has_ended(world, token):
        raise Refusal(404, "Could not find token", status=404)
    return answer({"token": _token_body(world, token, catalog=False)}, headers={"X-Subject-Token": subject})


def list_projects(world: World, call: Call) -> Response:
    wanted = call.query.get("name")
    found = [project for project in _projects(world) if wanted in (None, project.name)]
    return answer({"projects": [_project_body(project) for project in found], "links": {"next": None}})


def _project_body(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "domain_id": project.domain_id,
        "parent_id": project.domain_id,
        "enabled": True,
        "is_domain": False,
        "description": "",
        "links": {},
    }


# Who a request comes from


def _has_ended(world: World, token: Token) -> bool:
    return token.expired or world.now >= token.expires_at


def _by_token(world: World, text: str) -> Identity:
    token = world.tokens.get(text)
    if token is None:
        message = "Incorrect IAM authentication information: decrypt token fail"
        raise gateway("APIGW.0301", message, status=401)
    if _has_ended(world, token):
        raise EXPIRED[token.disguise or world.behaviours.token_expired_answer]
    return Identity(token.user, token.project.id)


def _check_security_token(key: AccessKey, request: Request) -> None:
    """IAM API reference, Obtaining a Temporary AK/SK: requests must carry X-Security-Token.

    The community's signers send it unsigned and this works too. One with a permanent key is refused [inferred].
    """
    if (request.header("x-security-token") or "") != key.security_token:
        message = "Incorrect IAM authentication information: security token does not fit the access key"
        raise gateway("APIGW.0301", message, status=401)


def _by_signature(world: World, request: Request, authorization: str) -> Identity:
    signature = signing.parse(authorization)
    keys = {key.access_key: key for key in world.scenario.access_keys}
    secrets = {name: key.secret_key for name, key in keys.items()}
    signing.verify(request, signature, secret_keys=secrets, now=world.now)
    key = keys[signature.access_key]
    _check_security_token(key, request)
    return Identity(key.user, request.header("x-project-id"), by_key=True)


def identify(world: World, request: Request) -> Identity:
    """Token or signature; neither is APIGW.0301."""
    text = request.header("x-auth-token")
    if text:
        return _by_token(world, text)
    authorization = request.header("authorization")
    if authorization:
        return _by_signature(world, request, authorization)
    raise gateway("APIGW.0301", "Incorrect IAM authentication information: no token, no signature", status=401)


def check_project(world: World, identity: Identity, path_project: str) -> None:
    """The project in the path must be the caller's."""
    if identity.by_key and identity.project_id != path_project:
        # As reported for signed requests without X-Project-Id (Go SDK of the Open Telekom Cloud, issue 597).
        context = identity.project_id or "null"
        message = (
            f"Malformed request URL: URL's project_id '{path_project}' doesn't match Context's project_id '{context}'"
        )
        raise Refusal("401", message, status=400, shape=Shape.BAD_REQUEST)
    if identity.project_id != path_project or path_project not in {item.id for item in _projects(world)}:
        # EVS and ECS API references, Error Codes: Common.0018.
        raise Refusal("Common.0018", "The project id of the URL and that of the token differ", status=400)


ROUTES = (
    route("POST", "/v3/auth/tokens", "iam.create_token", create_token, query="nocatalog", needs_identity=False),
    route("GET", "/v3/auth/tokens", "iam.show_token", show_token),
    route("GET", "/v3/auth/projects", "iam.list_auth_projects", list_projects),
    route(
        "GET",
        "/v3/projects",
        "iam.list_projects",
        list_projects,
        query="name",
    ),
)
