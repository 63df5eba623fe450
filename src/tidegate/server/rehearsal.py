"""The part of `Control` for a definition that is not saved yet: reading it, what it would take and make, and every
check that submitting and running it would make. Nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection

from tidegate.errors import NameTaken, NotFound, TaskInvalid, TidegateError
from tidegate.model.document import load_document
from tidegate.model.mapping import SourceTables, TableFit, TableFits
from tidegate.model.pattern import Patience
from tidegate.model.schema import TableName
from tidegate.model.task import (
    TargetSpec,
    TaskSpec,
    entry_tables,
    field_errors,
    is_plain,
    parse_task,
    target_name,
    wrong_entry,
)
from tidegate.server.catalog import Catalog
from tidegate.server.connectivity import Role, tried
from tidegate.server.definitions import Definitions
from tidegate.server.views import Json, Side
from tidegate.store import catalog, moves, tasks

TABLES_TOLD_MAX = 1000
"""Of a source's tables in one answer."""
FITS_MAX = 50
"""Tables whose columns are compared with the target's."""
NEW_TASK_KEY = "none"
"""Begins the keys of no task's runs: rows that are in a target are others'."""


@dataclass(frozen=True, slots=True)
class ReadView:
    """A definition as data. Without `errors` it is complete, with what was left out filled in; else it is as it was
    written."""

    definition: Json
    errors: list[Json]
    """`{field, problem}` each."""


@dataclass(frozen=True, slots=True)
class EntryView:
    """What one entry of `source.tables` takes; `problem` says why it takes nothing."""

    entry: str
    pattern: bool
    tables: int
    problem: str


@dataclass(frozen=True, slots=True)
class SourceTableView:
    """A table of the source; `target` is where it would go, None for one that is not taken, or has no place."""

    name: str
    taken: bool
    target: str | None


@dataclass(frozen=True, slots=True)
class TakenView:
    """What the entries take. `total` counts the source's tables, `taken` those that are taken, and `found` those that
    were asked for, of which the first are in `tables`. `clashes` are target tables that more than one would go to,
    `problem` what is wrong with the naming patterns."""

    total: int
    taken: int
    found: int
    tables: list[SourceTableView]
    entries: list[EntryView]
    unlogged: list[str]
    """There, and in no log: they cannot be taken."""
    clashes: list[str]
    problem: str


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One check. `of` is what was looked at: `definition`, `references`, `source`, `target` or `tables`; `stops` what a
    failure keeps the task from: `submit`, or only `run`."""

    of: str
    name: str
    ok: bool
    found: str = ""
    advice: str = ""
    code: str = ""
    stops: str = "submit"


@dataclass(frozen=True, slots=True)
class RehearsalView:
    """What would be said of the definition if it were submitted now. `ok`: it could be. `fits` are the first of its
    `tables` with where they would go; none where what comes before them is not in order."""

    ok: bool
    checks: list[CheckLine]
    tables: int | None
    fits: list[TableFit]


class Rehearsals(Catalog, Definitions):
    def read_definition(self, text: str) -> ReadView:
        """A definition written as one YAML document. Raises `TaskInvalid` for what is not well-formed YAML."""
        found = _as_json(load_document(text, of="the text"))
        try:
            return ReadView(parse_task(found).definition(), [])
        except TaskInvalid as error:
            return ReadView(found, list(error.facts["errors"]))

    def taken(
        self,
        data_source: str,
        entries: Sequence[str],
        *,
        naming: Mapping[str, str],
        part: str = "",
        taken_only: bool = False,
        project: str = "default",
    ) -> TakenView:
        """What these entries would take of a data source's tables, and what those would be called by the patterns
        `schema` and `table` of `naming`; each entry for itself, whatever is wrong with another. `part` of the names,
        ignoring case, and `taken_only` say which tables are told of. Raises `NotFound`, and what makes the source
        unusable."""
        there = self.data_plane.source_tables(self.data_source_side(data_source, project=project))
        by_text = {str(name): name for name in there.tables}
        patience = Patience(max(1, len(entries)) * len(by_text))
        told, taken = [], set[TableName]()
        for entry in entries:
            view, found = _entry(entry, by_text, there, patience)
            told.append(view)
            taken |= found
        places, problem = _places(naming, data_source, there.database, taken)
        wanted = [
            text
            for text in sorted(by_text)
            if part.casefold() in text.casefold() and (by_text[text] in taken or not taken_only)
        ]
        return TakenView(
            total=len(by_text),
            taken=len(taken),
            found=len(wanted),
            tables=[
                SourceTableView(text, by_text[text] in taken, places.get(by_text[text]))
                for text in wanted[:TABLES_TOLD_MAX]
            ],
            entries=told,
            unlogged=sorted(map(str, there.unlogged))[:TABLES_TOLD_MAX],
            clashes=_twice(list(places.values())),
            problem=problem,
        )

    def rehearse(self, definition: Mapping[str, Any], *, task: int | None = None) -> RehearsalView:
        """Every check, each with its result; `task` is the one that would be edited to it. Raises nothing for what it
        checks."""
        lines: list[CheckLine] = []
        try:
            spec = parse_task(definition)
        except TaskInvalid as error:
            wrong = error.facts.get("errors") or [{"field": "", "problem": error.detail}]
            lines += [
                CheckLine("definition", one["field"], False, one["problem"], error.advice, error.code) for one in wrong
            ]
            return RehearsalView(False, lines, None, [])
        lines.append(CheckLine("definition", "well_formed", True))
        sides = self._references(spec, task, lines)
        fits = TableFits(0, [])
        if sides is not None and all(line.ok for line in lines if line.of == "references" and line.stops == "submit"):
            for role, side in zip((Role.SOURCE, Role.TARGET), sides, strict=True):
                lines += _connected(role, side)
            if all(line.ok for line in lines if line.of in ("source", "target")):
                fits = self._tables(spec, sides, NEW_TASK_KEY if task is None else self.task_key(task), lines)
        ok = all(line.ok or line.stops != "submit" for line in lines)
        return RehearsalView(ok, lines, fits.total or None, fits.tables)

    # --- the checks ---

    def _references(self, spec: TaskSpec, task: int | None, lines: list[CheckLine]) -> tuple[Side, Side] | None:
        """What the definition names. None: one of the data sources is not there."""
        sides = []
        with self.db.read() as tx, _line(lines, "references", "project", spec.project):
            project_id = catalog.get_project(tx, spec.project).id
            with _line(lines, "references", "name", spec.task):
                _demand_free(tx, spec, task)
            for name, of in ((spec.source.data_source, "source"), (spec.target.data_source, "target")):
                with _line(lines, "references", of, name):
                    side = self.side_of(catalog.get_data_source(tx, project_id, name))
                    self.demand_files(side, spec.project)
                    sides.append(side)
            with _line(lines, "references", "resource_group", spec.resource_group):
                catalog.get_group(tx, spec.resource_group)
                if task is None or moves.get(tx, task).run is None:
                    with _line(lines, "references", "units", f"{spec.units}", stops="run"):
                        self.demand_units(tx, spec)
        return (sides[0], sides[1]) if len(sides) == 2 else None

    def _tables(self, spec: TaskSpec, sides: tuple[Side, Side], task_key: str, lines: list[CheckLine]) -> TableFits:
        against = self.data_plane.check_task(spec, *sides, task_key)
        lines += [CheckLine("tables", error.title, False, error.detail, error.advice, error.code) for error in against]
        try:
            fits = self.data_plane.table_fits(spec, *sides, task_key, FITS_MAX)
        except TidegateError as error:
            if not against:
                lines.append(CheckLine("tables", error.title, False, error.detail, error.advice, error.code))
            return TableFits(0, [])
        if not against:
            lines.append(CheckLine("tables", "fit", True, f"{fits.total}"))
        return fits


@contextmanager
def _line(lines: list[CheckLine], of: str, name: str, found: str, *, stops: str = "submit") -> Iterator[None]:
    """A check that is in order unless it raises an error of the table; `found` is said when it is."""
    place = len(lines)
    try:
        yield
    except TidegateError as error:
        lines.insert(place, CheckLine(of, name, False, error.detail, error.advice, error.code, stops))
    else:
        lines.insert(place, CheckLine(of, name, True, found, stops=stops))


def _demand_free(tx: Connection, spec: TaskSpec, task: int | None) -> None:
    """Raises `NameTaken` if it is another task's name."""
    try:
        other = tasks.find_task(tx, spec.task, spec.project)
    except NotFound:
        return
    if other != task:
        raise NameTaken(f"there is a task {spec.task} already")


def _connected(role: Role, side: Side) -> list[CheckLine]:
    try:
        report = tried(side, role)
    except TidegateError as error:
        return [CheckLine(str(role), error.title, False, error.detail, error.advice, error.code)]
    return [
        CheckLine(str(role), check.name, check.ok, check.found, check.advice, check.code) for check in report.checks
    ]


# --- what is taken ---


def _entry(
    entry: str, by_text: Mapping[str, TableName], there: SourceTables, patience: Patience
) -> tuple[EntryView, set[TableName]]:
    problem, found = wrong_entry(entry), set[TableName]()
    if not problem:
        try:
            found = entry_tables(entry, by_text, patience)
        except TaskInvalid as error:
            problem = error.detail
        else:
            problem = "" if found else _nothing(entry, there)
    return EntryView(entry, not is_plain(entry), len(found), problem), found


def _nothing(entry: str, there: SourceTables) -> str:
    if entry in map(str, there.unlogged):
        return "is unlogged: its rows are in no log"
    return "is no table of the source" if is_plain(entry) else "matches no table of the source"


def _places(
    naming: Mapping[str, str], data_source: str, database: str, taken: set[TableName]
) -> tuple[dict[TableName, str], str]:
    """Where each goes, or why none has a place."""
    try:
        target = TargetSpec.model_validate({"data_source": data_source, "write": "append", **naming})
        places = {name: ".".join(filter(None, target_name(target, data_source, database, name))) for name in taken}
    except ValidationError as error:
        wrong = field_errors(error.errors(include_url=False, include_input=False))
        return {}, "; ".join(f"{one['field']}: {one['problem']}" for one in wrong)
    except TaskInvalid as error:
        return {}, error.detail
    return places, ""


def _twice(places: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    return sorted({place for place in places if place in seen or seen.add(place)})  # type: ignore[func-returns-value]


def _as_json(found: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON can say it: YAML has dates, and numbers that are none."""
    held: dict[str, Any] = json.loads(json.dumps(found, default=str), parse_constant=str)
    return held
