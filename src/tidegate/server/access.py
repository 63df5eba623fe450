"""The one place where it is decided whether a request of the REST API is carried out: what its route needs, as the
permission table says, and what whoever asks may do in the project it is about."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from tidegate.errors import NotFound
from tidegate.model.permission import BY_COMMAND, COMMAND_NEEDS, ROUTES, TASK_EDIT, VIEW, Need, Where
from tidegate.model.principal import Principal
from tidegate.model.task import is_name
from tidegate.server.control import Control
from tidegate.server.details import detail_of
from tidegate.server.views import Accepted, GroupView, OfferView, TaskDetail, TaskView

PRINCIPAL = "tidegate.principal"
"""Where the request's scope has who asks …"""
ABOUT = "tidegate.about"
"""… and what it is about, as far as it is known: `project`, `name` and, of what looks absent, `hidden`."""

_ANY_PROJECT = "default"


def principal_of(scope: MutableMapping[str, Any]) -> Principal:
    """Who asks. It must have been found out before."""
    found: Principal = scope[PRINCIPAL]
    return found


def _caller(request: Request) -> Principal:
    return principal_of(request.scope)


Caller = Annotated[Principal, Depends(_caller)]


def about(scope: Scope) -> dict[str, Any]:
    found: dict[str, Any] = scope.setdefault(ABOUT, {})
    return found


async def permitted(request: Request) -> None:
    """Goes before every route. Raises `Forbidden`, and `NotFound` as if what is asked for were not there."""
    need = ROUTES[request.scope["route"].name]
    if need.where is Where.OPEN:
        return
    told, who = about(request.scope), principal_of(request.scope)
    if need.anywhere and who.administrator:
        who = replace(who, reach=None)
    if request.method in ("GET", "HEAD") and who.sees_all:
        return  # nothing is kept from them, and nothing of a look need be noted
    body = await _sent(request)
    told["name"] = next((body[key] for key in ("name", "task", "alert_rule") if is_name(body.get(key))), "")
    told["detail"] = detail_of(request.scope["route"].name, body)
    try:
        await run_in_threadpool(_decide, request, need, who, body, told)
    except NotFound:
        told["hidden"] = True
        raise


async def _sent(request: Request) -> dict[str, Any]:
    """The body, if it is an object. It passed the guard, and is small."""
    try:
        held = json.loads(await request.body() or b"{}")
    except ValueError:
        return {}
    return held if isinstance(held, dict) else {}


def _decide(request: Request, need: Need, who: Principal, body: dict[str, Any], told: dict[str, Any]) -> None:
    control: Control = request.app.state.control
    path, permission = request.path_params, need.permission
    if permission == BY_COMMAND:
        # Of a command there is not, the route says so itself, to whoever may see the task.
        permission = COMMAND_NEEDS.get(str(path.get("command")), VIEW)
    match need.where:
        case Where.EACH:
            return
        case Where.SERVER:
            who.demand(permission)
        case Where.TASK:
            ref = str(path["task"])
            project = _project_of_task(control, ref, request.query_params.get("project", _ANY_PROJECT))
            if project is not None:
                told["project"] = project
                who.demand_reach(project)
            if project is None or not who.sees(project):
                if who.administrator and who.limit.whole:
                    return  # it is not there, which the route says in its own words
                raise NotFound(f"there is no task {ref}")
            who.demand(permission, project)
        case _:
            project = told["project"] = _named(need.where, request, body)
            who.demand(permission, project)


def _project_of_task(control: Control, ref: str, project: str) -> str | None:
    if not is_name(ref):
        return None
    try:
        return control.project_of_task(ref, project)
    except NotFound:
        return None


def seen_task(control: Control, who: Principal, ref: str, project: str) -> int:
    """The id of a task that a parameter names. Raises `NotFound`, also for one that is not there for them."""
    number = control.task_id(ref, project=project)
    if not who.sees(control.project_of_task(number, project)):
        raise NotFound(f"there is no task {ref}")
    return number


def _named(where: Where, request: Request, body: dict[str, Any]) -> str:
    if where is Where.PATH:
        return str(request.path_params["name"])
    held = body.get("project") if where is Where.BODY else request.query_params.get("project")
    return held if isinstance(held, str) and held else _ANY_PROJECT


# --- answers ------------------------------------------------------------------------------------------------------


def commands_for(who: Principal, project: str) -> frozenset[str]:
    """The commands of the lifecycle that they may give in the project."""
    return frozenset(name for name, permission in COMMAND_NEEDS.items() if who.may(permission, project))


def task_for(who: Principal, view: TaskView) -> TaskView:
    """The task with the commands that are offered to them."""
    may = commands_for(who, view.project)
    return view if may.issuperset(view.commands) else replace(view, commands=[c for c in view.commands if c in may])


def offers_for(who: Principal, project: str, offers: list[OfferView]) -> list[OfferView]:
    """The offers; what they have no permission for is not allowed, and says why."""
    may = commands_for(who, project)
    return [one if one.command in may else _withheld(one) for one in offers]


def _withheld(offer: OfferView) -> OfferView:
    return replace(offer, allowed=False, reason=f"you have no permission {COMMAND_NEEDS[offer.command]}")


def accepted_for(who: Principal, accepted: Accepted) -> Accepted:
    return replace(accepted, task=task_for(who, accepted.task))


def detail_for(who: Principal, detail: TaskDetail) -> TaskDetail:
    project = detail.task.project
    return replace(
        detail,
        task=task_for(who, detail.task),
        offers=offers_for(who, project, detail.offers),
        editable=detail.editable and who.may(TASK_EDIT, project),
    )


def group_for(group: GroupView, tasks: frozenset[str] | None) -> GroupView:
    """The group, naming only these tasks; None: all."""
    return group if tasks is None else replace(group, used_by=[name for name in group.used_by if name in tasks])
