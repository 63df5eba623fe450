"""One call of the API: the services it asks, who asks, and how the things it names are found."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from tidegate.errors import NotFound
from tidegate.model.permission import Need, Where
from tidegate.model.principal import Principal
from tidegate.server.control import Control
from tidegate.server.views import DataSourceView, ProjectView, TaskView
from tidegate.server.wedata import codes
from tidegate.server.wedata.codes import Declined
from tidegate.server.wedata.shapes import REAL_TIME, OnTask, Shape

Answer: TypeAlias = dict[str, Any]

KINDS: Mapping[str, str] = {"postgres": "POSTGRE", "mysql": "MYSQL", "mariadb": "MARIADB", "duckdb": "DUCKDB"}
"""Connectors as data source types are called; another's is its name in capitals."""


@dataclass(frozen=True, slots=True)
class Call:
    control: Control
    who: Principal
    each: list[tuple[str, str]] = field(default_factory=list)
    """Of an action on many tasks: each as it was named, and the code of what it was refused with, empty for none."""

    @property
    def actor(self) -> str:
        return self.who.actor

    def demand(self, need: Need, asked: Shape) -> None:
        """Goes before every action. Raises `Forbidden`, and `Declined` or `NotFound` as if what is asked for were not
        there. What does not say which project it is about is for the action itself to refuse."""
        match need.where:
            case Where.SERVER:
                self.who.demand(need.permission)
            case Where.QUERY:
                ref = getattr(asked, "ProjectId", None) or getattr(asked, "ProjectName", None)
                if ref and not self._all:
                    self.who.demand(need.permission, self.project(ref).name)
            case Where.SOURCE if not self._all:
                for project in self._projects_of_sources(asked):
                    self.who.demand(need.permission, project)

    @property
    def _all(self) -> bool:
        """Whether everything is there for them, and allowed."""
        return self.who.sees_all

    def projects_of(self, asked: Shape) -> dict[str, str]:
        """The projects of the data sources it names, by their ids as they are written; of those that are there for
        whoever asks."""
        one = getattr(asked, "ID", None) or getattr(asked, "Id", None)
        found = {}
        for number in getattr(asked, "Ids", None) or ([] if one is None else [one]):
            with suppress(NotFound, TypeError):
                found[str(number)] = self.data_source(number).project
        return found

    def _projects_of_sources(self, asked: Shape) -> list[str]:
        one = getattr(asked, "ID", None) or getattr(asked, "Id", None)
        ids = getattr(asked, "Ids", None) or ([] if one is None else [one])
        if ids:
            return [self.data_source(number).project for number in ids]
        ref = getattr(asked, "OwnerProjectId", None) or getattr(asked, "ProjectId", None)
        return [self.project(ref).name] if ref else []

    def project(self, ref: str) -> ProjectView:
        """By id or name. Raises `Declined`, also for one that is not there for whoever asks."""
        try:
            found = self.control.project(ref)
        except NotFound as error:
            raise Declined(codes.NO_PROJECT, error.detail) from None
        self.who.demand_reach(found.name)
        if not self.who.sees(found.name):
            raise Declined(codes.NO_PROJECT, f"there is no project {ref}")
        return found

    def projects(self) -> list[ProjectView]:
        """Those that are there for whoever asks."""
        return [one for one in self.control.projects() if self.who.sees(one.name)]

    def data_source(self, number: int) -> DataSourceView:
        """Of any project that is there for whoever asks. Raises `NotFound`."""
        found = self.control.data_source_by_id(number)
        self.who.demand_reach(found.project)
        if not self.who.sees(found.project):
            raise NotFound(f"there is no data source {number}")
        return found

    def task(self, asked: OnTask, task_type: int | None = None) -> int:
        """The id of the task a request names. Raises `Declined`, `NotFound`: also for one of another project."""
        return self.task_of(self.project(asked.ProjectId).name, asked.TaskId, task_type)

    def task_of(self, project: str, ref: str, task_type: int | None = None) -> int:
        demand_real_time(task_type)
        number = self.control.task_id(ref, project=project)
        if self.control.task_view(number).project != project:
            raise NotFound(f"there is no task {ref}")
        return number

    def view(self, task: int) -> TaskView:
        return self.control.task_view(task)

    def sources(self, project: str) -> Mapping[str, DataSourceView]:
        """Data sources by name."""
        return {one.name: one for one in self.control.data_sources(project)}


def demand_real_time(task_type: int | None) -> None:
    """Raises `Declined` for offline tasks and for numbers that mean nothing."""
    if task_type not in (None, REAL_TIME):
        raise Declined(codes.VALUE, f"TaskType: must be {REAL_TIME}; there are real-time tasks only")


def when(at: float | None) -> str | None:
    """Seconds since 1970-01-01 UTC as the API writes times; in UTC."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def moment(text: str | None, of: str) -> float | None:
    """The other way; also a day alone. Raises `Declined`."""
    if not text:
        return None
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise Declined(codes.VALUE, f"{of}: must be written as YYYY-MM-DD hh:mm:ss")


def kind_of(source_type: str) -> str:
    """The connector of a data source type."""
    return {said: kind for kind, said in KINDS.items()}.get(source_type.upper(), source_type.lower())


def type_of(kind: str | None) -> str | None:
    """The data source type of a connector."""
    return None if kind is None else KINDS.get(kind, kind.upper())
