"""What the audit log is told of requests: every command, and every refusal of a look at something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from tidegate.model.permission import ENTRIES, LOOKS
from tidegate.model.principal import Principal
from tidegate.model.task import is_name
from tidegate.server.access import ABOUT, PRINCIPAL
from tidegate.server.audit import DONE, FAILED, REFUSED
from tidegate.server.control import Control
from tidegate.server.reach import address_of
from tidegate.server.session import CREDENTIAL, SAFE_METHODS
from tidegate.store.audit import Entry

_REFUSED_LOOKS = (401, 403)


async def told(control: Control, scope: Scope, status: int, code: str = "") -> None:
    """A request of the REST API was, or is about to be, answered with this status. Raises `StoreUnavailable`."""
    about: Mapping[str, Any] = scope.get(ABOUT, {})
    route = getattr(scope.get("route"), "name", "")
    command = (scope["method"] not in SAFE_METHODS or route in ENTRIES) and route not in LOOKS
    # A browser that is refused is sent on, to a page that says so.
    status = int(about.get("status", status))
    if not (command or status in _REFUSED_LOOKS or about.get("hidden")):
        return
    who: Principal | None = scope.get(PRINCIPAL)
    entry = Entry(
        at=control.clock.now(),
        actor=who.actor if who else str(about.get("actor", "")),
        credential=who.credential if who else about.get("credential", CREDENTIAL) if about.get("actor") else "",
        address=address_of(scope),
        action=route or f"{scope['method']} elsewhere",
        subject=_subject(scope.get("path_params", {}), about),
        project=str(about.get("project", "")) if is_name(about.get("project")) else "",
        outcome=outcome_of(status),
        code=code or str(about.get("code", "")),
        detail=str(about.get("detail", "")),
    )
    each = [
        Entry(entry.at, entry.actor, entry.credential, entry.address, action, f"task={name}", project, outcome, why)
        for action, name, project, outcome, why in about.get("each", ())
    ]
    stranger = who is None and entry.outcome != DONE
    await run_in_threadpool(control.audit, [entry, *each], stranger=stranger)


def outcome_of(status: int) -> str:
    return DONE if status < 400 else REFUSED if status < 500 else FAILED


def _subject(path: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """The names in the request's address, and the name of what is made. What is no name is not quoted: it may be
    anything (I8)."""
    named = dict(path)
    if about.get("name"):
        named.setdefault("named", about["name"])
    return " ".join(f"{key}={value if is_name(str(value)) else '…'}" for key, value in named.items())
