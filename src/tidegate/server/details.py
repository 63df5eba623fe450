"""What the audit log says of a command beyond what it is about: roles, permissions, limits, owners.

Only what is listed here is told of what was sent, and only words of the server's own tables, numbers, and what has the
form of a name (I8).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.model.permission import BY_NAME, COMMAND_NEEDS
from tidegate.model.task import is_name

DETAILS: Final[Mapping[str, Mapping[str, str]]] = {
    "put_member": {"role": "", "permissions": ""},
    "create_user": {"kind": "person", "administrator": "no", "subject": ""},
    "edit_user": {"administrator": "", "enabled": "", "subject": ""},
    "create_token": {"account": "", "days": "90", "permissions": "all", "projects": "all"},
    "create_access_key": {"account": ""},
    "change_owner": {"owner": ""},
    "run_batch": {"operation": "", "owner": "", "dry_run": ""},
    "create_data_source": {"kind": ""},
    "create_alert_channel": {"kind": ""},
    "create_group": {"units": ""},
    "edit_group": {"units": ""},
}
"""Fields of what is sent, by the route's name, and what is said of one that is not given; empty: nothing."""
_WORDS = frozenset((*BY_NAME, *COMMAND_NEEDS))


def detail_of(route: str, body: Mapping[str, Any]) -> str:
    """`role=custom permissions=alert.edit,task.operate`."""
    fields = DETAILS.get(route, {})
    told = {name: _said(given) if (given := body.get(name)) is not None else fields[name] for name in fields}
    return " ".join(f"{name}={said}" for name, said in told.items() if said)


def _said(given: object) -> str:
    match given:
        case bool():
            return "yes" if given else "no"
        case int() | float():
            return f"{given:g}"
        case list():
            return ",".join(sorted({_said(one) for one in given})) or "none"
        case str() if given in _WORDS or is_name(given):
            return given
    return "…"
