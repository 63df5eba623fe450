"""What the audit log is told of a request of the WeData API: every action that is more than a look, and every refusal
that says who may not do what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate.errors import NotFound
from tidegate.model.permission import ACCOUNT_VIEW, ACTIONS, VIEW
from tidegate.model.principal import Principal
from tidegate.model.task import is_name
from tidegate.server.audit import DONE, FAILED, REFUSED
from tidegate.server.control import Control
from tidegate.server.wedata import codes
from tidegate.server.wedata.codes import Declined
from tidegate.server.wedata.shapes import Shape
from tidegate.store.audit import Entry

_LOOKS = (VIEW, ACCOUNT_VIEW)
_FAILED = (codes.INTERNAL, codes.UNAVAILABLE)
_NAMES = ("TaskId", "TaskName", "Id", "ID", "Name", "ProjectName")


@dataclass(slots=True)
class Told:
    """Filled in as it is found out."""

    who: Principal | None = None
    action: str = ""
    asked: Shape | None = None
    refused: Declined | None = None
    each: Sequence[tuple[str, str]] = ()
    """Of an action on many tasks what became of each, as `Call` has it."""
    projects: Mapping[str, str] = field(default_factory=dict)
    """Of the data sources that are named, by id."""

    @property
    def _matters(self) -> bool:
        """Whether the action is more than a look."""
        need = ACTIONS.get(self.action)
        return need is None or need.permission not in _LOOKS

    def keep(self, control: Control, address: str) -> None:
        """Raises `StoreUnavailable`."""
        denied = self.refused is not None and (self.who is None or self.refused.code in codes.DENIALS)
        if not (self._matters or denied):
            return
        entry = Entry(
            at=control.clock.now(),
            actor=self.who.actor if self.who else "",
            credential=self.who.credential if self.who else "",
            address=address,
            action=self.action or "POST /",
            subject=" ".join(f"{name}={value}" for name, value in _named(self.asked) if is_name(value)),
            project=_project(control, self.asked, self.projects),
            outcome=_outcome(self.refused.code if self.refused else ""),
            code="" if self.refused is None else self.refused.code,
        )
        each = [
            replace(entry, subject=f"TaskId={ref}" if is_name(ref) else "", outcome=_outcome(code), code=code)
            for ref, code in self.each
        ]
        if len(self.projects) > 1:
            each += [replace(entry, subject=f"of={one}", project=project) for one, project in self.projects.items()]
        control.audit([entry, *each], stranger=self.who is None)


def _outcome(code: str) -> str:
    return DONE if not code else FAILED if code in _FAILED else REFUSED


def _project(control: Control, asked: Shape | None, of_sources: Mapping[str, str]) -> str:
    if len(named := set(of_sources.values())) == 1:
        return named.pop()
    ref = getattr(asked, "ProjectId", None) or getattr(asked, "OwnerProjectId", None)
    try:
        return control.project(ref).name if ref else ""
    except NotFound:
        return ""


def _named(asked: Shape | None) -> list[tuple[str, str]]:
    """What it is about. What is no name is not quoted afterwards: it may be anything (I8)."""
    found: list[tuple[str, Any]] = [(name, getattr(asked, name, None)) for name in _NAMES]
    found += [("of", one) for name in ("TaskIds", "Ids") for one in getattr(asked, name, None) or ()]
    inner = getattr(asked, "TaskInfo", None)
    found += [(name, getattr(inner, name, None)) for name in ("TaskId", "TaskName")]
    return [(name, str(value)) for name, value in found if value is not None]
