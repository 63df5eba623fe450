"""The page of the permission table: what there is to be allowed, what each role is, and what each route and action asks
for."""

from __future__ import annotations

from tidegate.docs.page import page, table
from tidegate.model.permission import (
    ACTIONS,
    BY_COMMAND,
    COMMAND_NEEDS,
    PERMISSIONS,
    ROLES,
    ROUTES,
    Need,
    Role,
    Scope,
    Where,
)
from tidegate.server import app

_WHERE = {
    Where.OPEN: "nobody is asked who they are",
    Where.SERVER: "",
    Where.QUERY: "of the project that `project` names",
    Where.TASK: "of the task's project",
    Where.BODY: "of the project in the body",
    Where.PATH: "of the project in the path",
    Where.SOURCE: "of the data source's project",
    Where.EACH: "in each project: what is not allowed in one is left out",
}


def permissions() -> str:
    """Every permission, role, route and action."""
    granted = [role for role in Role if role is not Role.CUSTOM]
    lines = [
        "# Permissions",
        "",
        "Who may do what, from the table that the server itself goes by. Members of a project have a role there; a",
        "member with the role `custom` has a list of permissions instead, and always sees the project. A global",
        "administrator, and whoever has the admin token, may do everything. What somebody may not see is answered as",
        "if it were not there (404); what they may see and not do is refused with `request.forbidden` (403).",
        "How people are let in: [people and programs](../guide/people.md).",
        "",
        "## In a project",
        "",
    ]
    rows = [
        (f"`{one.name}`", *("yes" if one.name in ROLES[role] else "" for role in granted), one.allows)
        for one in PERMISSIONS
        if one.scope is Scope.PROJECT
    ]
    lines += table(("permission", *(role.value.replace("_", " ") for role in granted), "allows"), rows)
    for title, scope in (("On the server, for global administrators", Scope.SERVER), ("For everybody", Scope.ACCOUNT)):
        lines += ["", f"## {title}", ""]
        lines += table(
            ("permission", "allows"), ((f"`{one.name}`", one.allows) for one in PERMISSIONS if one.scope is scope)
        )
    lines += ["", "## Commands", "", "Of the lifecycle, and the other operations of a batch.", ""]
    lines += table(("command", "needs"), ((f"`{name}`", f"`{need}`") for name, need in COMMAND_NEEDS.items()))
    lines += ["", "## Routes of the REST API", ""]
    lines += table(("method", "address", "needs", ""), _routes())
    lines += ["", "## Actions of the WeData API", ""]
    lines += table(("action", "needs", ""), ((f"`{name}`", *_needs(need)) for name, need in ACTIONS.items()))
    return page(lines)


def _routes() -> list[tuple[str, str, str, str]]:
    return [
        (method.upper(), f"`{path}`", *_needs(ROUTES[operation["operationId"]]))
        for path, methods in sorted(app.openapi()["paths"].items())
        for method, operation in methods.items()
    ]


def _needs(need: Need) -> tuple[str, str]:
    if need.where is Where.OPEN:
        return "", _WHERE[need.where]
    said = "what the command needs" if need.permission == BY_COMMAND else f"`{need.permission}`"
    return said, _WHERE[need.where]
