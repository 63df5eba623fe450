"""Projects and resource groups: what tasks belong to, and where they run."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from tidegate.server.api.shapes import ACTOR, Body, Door, NameInPath, NewName, Version, VersionField
from tidegate.server.views import GroupView, ProjectView

router = APIRouter()

UNITS_MAX = 100_000


class NewProject(Body):
    name: NewName
    description: str = Field(default="", max_length=500)


class ChangedProject(Body):
    description: str = Field(max_length=500)


class NewGroup(Body):
    name: NewName
    units: int = Field(ge=1, le=UNITS_MAX, description="How many units its tasks may take together.")
    engine: str = Field(default="local", description="Where workers run.")
    description: str = Field(default="", max_length=500)


class ChangedGroup(Body):
    units: int | None = Field(default=None, ge=1, le=UNITS_MAX)
    description: str | None = Field(default=None, max_length=500)
    version: VersionField = None


@router.get("/projects", tags=["projects"])
def list_projects(control: Door) -> list[ProjectView]:
    """All projects."""
    return control.projects()


@router.post("/projects", tags=["projects"], status_code=201)
def create_project(control: Door, body: NewProject) -> ProjectView:
    """Make a project."""
    return control.create_project(body.name, body.description, actor=ACTOR)


@router.put("/projects/{name}", tags=["projects"])
def edit_project(control: Door, name: NameInPath, body: ChangedProject) -> ProjectView:
    """Change its description."""
    return control.edit_project(name, description=body.description, actor=ACTOR)


@router.delete("/projects/{name}", tags=["projects"], status_code=204)
def delete_project(control: Door, name: NameInPath) -> None:
    """Delete it; refused while it has tasks or data sources."""
    control.delete_project(name, actor=ACTOR)


@router.get("/resource-groups", tags=["resource groups"])
def list_groups(control: Door) -> list[GroupView]:
    """All resource groups with their units, total and used."""
    return control.groups()


@router.post("/resource-groups", tags=["resource groups"], status_code=201)
def create_group(control: Door, body: NewGroup) -> GroupView:
    """Make a resource group."""
    return control.create_group(
        body.name, units=body.units, engine=body.engine, description=body.description, actor=ACTOR
    )


@router.get("/resource-groups/{name}", tags=["resource groups"])
def get_group(control: Door, name: NameInPath) -> GroupView:
    """One resource group."""
    return control.group(name)


@router.put("/resource-groups/{name}", tags=["resource groups"])
def edit_group(control: Door, name: NameInPath, body: ChangedGroup) -> GroupView:
    """Change units or description. Fewer units than used stops nothing; it only lets nothing new start."""
    return control.edit_group(name, units=body.units, description=body.description, version=body.version, actor=ACTOR)


@router.delete("/resource-groups/{name}", tags=["resource groups"], status_code=204)
def delete_group(control: Door, name: NameInPath, version: Version = None) -> None:
    """Delete it; refused while a task names it."""
    control.delete_group(name, version=version, actor=ACTOR)
