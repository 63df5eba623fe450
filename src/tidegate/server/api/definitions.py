"""Definitions that are not saved yet: reading them, what they would take, and every check of them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from tidegate.model.document import SIZE_MAX_BYTES
from tidegate.model.permission import TASK_EDIT
from tidegate.model.task import NAME_PATTERN, PATTERN_MAX, TABLES_MAX
from tidegate.server.access import Caller, seen_task
from tidegate.server.api.shapes import Body, Door, Project
from tidegate.server.rehearsal import ReadView, RehearsalView, TakenView

router = APIRouter(prefix="/definitions", tags=["tasks"])

Entry = Annotated[str, Field(max_length=2 * PATTERN_MAX)]
Pattern = Annotated[str, Field(max_length=2 * PATTERN_MAX)]


class Written(Body):
    text: str = Field(max_length=SIZE_MAX_BYTES, description="One YAML document.")


class Naming(Body):
    schema_name: Pattern = Field(default="{schema}", alias="schema", description="As `target.schema`.")
    table: Pattern = Field(default="{table}", description="As `target.table`.")


class Taking(Body):
    data_source: Annotated[str, Field(pattern=NAME_PATTERN, description="The source.")]
    entries: list[Entry] = Field(default=[], max_length=TABLES_MAX, description="As `source.tables`; each may be wrong")
    naming: Naming = Field(default=Naming(), description="The naming patterns of the target.")
    name: str = Field(default="", max_length=200, description="Tell of tables with this part in their names.")
    taken_only: bool = Field(default=False, description="Tell of tables that are taken only.")


class Rehearsal(Body):
    definition: dict[str, Any] = Field(description="As a task is created from.")
    task: str | None = Field(
        default=None, pattern=NAME_PATTERN, description="Id or name of the task that would be edited to it."
    )


@router.post("/read")
def read_definition(control: Door, body: Written) -> ReadView:
    """YAML as data, and what is wrong with which field."""
    return control.read_definition(body.text)


@router.post("/tables")
def match_tables(control: Door, body: Taking, project: Project = "default") -> TakenView:
    """The tables of a source, which of them the entries take, and where those would go."""
    return control.taken(
        body.data_source,
        body.entries,
        naming=body.naming.model_dump(by_alias=True),
        part=body.name,
        taken_only=body.taken_only,
        project=project,
    )


@router.post("/check")
def check_definition(control: Door, who: Caller, body: Rehearsal, project: Project = "default") -> RehearsalView:
    """Every check that submitting it would make, each with its result, and where its tables would go, column by column.
    Nothing is changed; it may take some seconds."""
    definition = {"project": project} | body.definition
    where = definition["project"]
    if isinstance(where, str):  # what is none is told as wrong, before anything is looked at
        who.demand(TASK_EDIT, where)
    task = None if body.task is None else seen_task(control, who, body.task, project)
    if task is not None:
        who.demand(TASK_EDIT, control.project_of_task(task, project))
    return control.rehearse(definition, task=task)
