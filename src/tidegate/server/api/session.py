"""Logging in to the console, and out: the API as browsers use it. Programs send a token with each request instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

import tidegate
from tidegate.errors import Invalid
from tidegate.model.permission import PERMISSIONS, ROLES
from tidegate.model.principal import BUILT_IN, Principal
from tidegate.server.access import Caller, about, commands_for
from tidegate.server.accounts import AccountView
from tidegate.server.api.shapes import Body, Door, NewName
from tidegate.server.control import Control
from tidegate.server.oidc import Provider
from tidegate.server.session import COOKIE, LASTS_S, Sessions, cookie_of, demand_same_origin
from tidegate.server.views import Moment

router = APIRouter(tags=["session"])


@dataclass(frozen=True, slots=True)
class ProjectGrant:
    """What somebody may do in a project. `role` is None for who may do so without being a member; `commands` are those
    that they may give to its tasks."""

    project: str
    role: str | None
    permissions: Sequence[str]
    commands: Sequence[str]


@dataclass(frozen=True, slots=True)
class SessionView:
    """Who asks, and what they may do. `until` is None for a request that carried a token; `account` is None for the
    built-in administrator. `permissions` are those that belong to no project; `projects` has each that they see."""

    actor: str
    until: Moment | None
    server_version: str
    account: str | None
    administrator: bool
    permissions: list[str]
    projects: list[ProjectGrant]


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """`go_to` is where to send the browser to log out at the provider as well."""

    go_to: str


@dataclass(frozen=True, slots=True)
class PermissionView:
    """`scope` is `project`, `server` or `account`."""

    name: str
    scope: str
    allows: str


@dataclass(frozen=True, slots=True)
class PermissionTable:
    permissions: list[PermissionView]
    roles: dict[str, list[str]]


class LogIn(Body):
    token: str | None = Field(default=None, min_length=1, max_length=500, description="The admin token; or instead …")
    name: str | None = Field(default=None, min_length=1, max_length=100, description="… an account's name …")
    password: str | None = Field(default=None, min_length=1, max_length=1000, description="… and password.")


class SetUp(Body):
    code: str = Field(min_length=1, max_length=200, description="As the server printed it at its first start.")
    name: NewName
    password: str = Field(min_length=1, max_length=1000)


def sessions_of(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


def address_of(request: Request) -> str:
    """Where the request comes from; a proxy on the same machine says for whom it asks."""
    return request.client.host if request.client else ""


def provider_of(request: Request) -> Provider | None:
    """None: there is no single sign-on."""
    provider: Provider | None = request.app.state.provider
    return provider


def set_session(response: Response, cookie: str, lasts_s: float, *, secure: bool) -> None:
    """A cookie that no script can read and no other site can use."""
    response.set_cookie(COOKIE, cookie, max_age=int(lasts_s), path="/", httponly=True, samesite="strict", secure=secure)


@router.post("/session", status_code=201)
def log_in(request: Request, response: Response, control: Door, body: LogIn) -> SessionView:
    """Log in, with the admin token or with an account's name and password: the answer sets a cookie that only this
    server's own pages can use, for twelve hours."""
    demand_same_origin(request.scope)
    if body.token is not None and body.name is None and body.password is None:
        about(request.scope)["actor"] = BUILT_IN
        session, cookie = sessions_of(request).open(body.token)
    elif body.token is None and body.name is not None and body.password is not None:
        # A password typed into the wrong field is kept nowhere: only names that there are.
        about(request.scope)["actor"] = body.name if control.has_account(body.name) else ""
        session, cookie = sessions_of(request).log_in(body.name, body.password, address_of(request))
    else:
        raise Invalid("token, name, password: either a token, or a name and a password")
    set_session(response, cookie, LASTS_S, secure=request.url.scheme == "https")
    return _view(control, sessions_of(request).who(cookie), session.until)


@router.get("/session")
def get_session(request: Request, control: Door, who: Caller) -> SessionView:
    """Who asks, and what they may do."""
    cookie = None if "authorization" in request.headers else cookie_of(request.scope)
    return _view(control, who, sessions_of(request).check(cookie).until if cookie else None)


@router.delete("/session", status_code=204, responses={200: {"model": LoggedOut}})
def log_out(request: Request) -> Response:
    """Have the browser forget its session. Who came from the provider is told where to log out there as well."""
    cookie = None if "authorization" in request.headers else cookie_of(request.scope)
    provider = provider_of(request)
    signed_on = cookie is not None and sessions_of(request).check(cookie).signed_on
    go_to = provider.farewell() if provider is not None and signed_on else None
    response = JSONResponse({"go_to": go_to}) if go_to else Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


@router.post("/setup", status_code=201)
def set_up(request: Request, control: Door, body: SetUp) -> AccountView:
    """Make the first administrator's account with the code that the server printed at its first start."""
    made = control.set_up(body.code, body.name, body.password, address=address_of(request))
    about(request.scope)["actor"] = made.name
    return made


@router.get("/permissions")
def list_permissions() -> PermissionTable:
    """The permission table: what there is to be allowed, and what each role is."""
    listed = [PermissionView(one.name, one.scope.value, one.allows) for one in PERMISSIONS]
    return PermissionTable(listed, {role.value: sorted(held) for role, held in ROLES.items()})


def _view(control: Control, who: Principal, until: float | None) -> SessionView:
    projects = []
    for project in control.projects():
        if who.sees(project.name):
            grant = who.grants.get(project.name)
            role, commands = grant.role.value if grant else None, sorted(commands_for(who, project.name))
            projects.append(ProjectGrant(project.name, role, who.held(project.name), commands))
    account = None if who.account is None else who.actor
    return SessionView(who.actor, until, tidegate.__version__, account, who.administrator, who.held(), projects)
