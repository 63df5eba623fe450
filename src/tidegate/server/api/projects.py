"""Projects and resource groups: what tasks belong to, and where they run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from tidegate.model.network import NETWORKS_MAX
from tidegate.model.principal import Principal
from tidegate.server.access import Caller, group_for
from tidegate.server.api.shapes import Body, Door, NameInPath, NewName, Version, VersionField
from tidegate.server.control import Control
from tidegate.server.reach import address_of
from tidegate.server.views import GroupView, ProjectView

router = APIRouter()

UNITS_MAX = 100_000


class NewProject(Body):
    name: NewName
    description: str = Field(default="", max_length=500)


class ChangedProject(Body):
    description: str = Field(max_length=500)


class AllowList(Body):
    networks: list[Annotated[str, Field(max_length=50)]] = Field(
        max_length=NETWORKS_MAX, description="Such as `10.1.0.0/16`, or single addresses; empty: from everywhere."
    )
    force: bool = Field(default=False, description="Also if it leaves out where you come from.")


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
def list_projects(control: Door, who: Caller) -> list[ProjectView]:
    """All projects that you may see."""
    return [one for one in control.projects() if who.sees(one.name)]


@router.post("/projects", tags=["projects"], status_code=201)
def create_project(control: Door, who: Caller, body: NewProject) -> ProjectView:
    """Make a project."""
    return control.create_project(body.name, body.description, actor=who.actor)


@router.put("/projects/{name}", tags=["projects"])
def edit_project(control: Door, who: Caller, name: NameInPath, body: ChangedProject) -> ProjectView:
    """Change its description."""
    return control.edit_project(name, description=body.description, actor=who.actor)


@router.delete("/projects/{name}", tags=["projects"], status_code=204)
def delete_project(control: Door, who: Caller, name: NameInPath) -> None:
    """Delete it; refused while it has tasks or data sources."""
    control.delete_project(name, actor=who.actor)


@router.put("/projects/{name}/allow-list", tags=["projects"])
def set_allow_list(request: Request, control: Door, name: NameInPath, body: AllowList) -> ProjectView:
    """Say from which networks the project may be reached; a list that leaves out where you come from is refused unless
    it is forced. Global administrators may do so from wherever the server itself takes requests."""
    return control.set_allow_list(name, body.networks, address=address_of(request.scope), force=body.force)


@router.get("/resource-groups", tags=["resource groups"])
def list_groups(control: Door, who: Caller) -> list[GroupView]:
    """All resource groups with their units, total and used; what uses them as far as you may see it."""
    seen = _seen_tasks(control, who)
    return [group_for(one, seen) for one in control.groups()]


@router.post("/resource-groups", tags=["resource groups"], status_code=201)
def create_group(control: Door, who: Caller, body: NewGroup) -> GroupView:
    """Make a resource group."""
    return control.create_group(
        body.name, units=body.units, engine=body.engine, description=body.description, actor=who.actor
    )


@router.get("/resource-groups/{name}", tags=["resource groups"])
def get_group(control: Door, who: Caller, name: NameInPath) -> GroupView:
    """One resource group."""
    return group_for(control.group(name), _seen_tasks(control, who))


@router.put("/resource-groups/{name}", tags=["resource groups"])
def edit_group(control: Door, who: Caller, name: NameInPath, body: ChangedGroup) -> GroupView:
    """Change units or description. Fewer units than used stops nothing; it only lets nothing new start."""
    return control.edit_group(
        name, units=body.units, description=body.description, version=body.version, actor=who.actor
    )


@router.delete("/resource-groups/{name}", tags=["resource groups"], status_code=204)
def delete_group(control: Door, who: Caller, name: NameInPath, version: Version = None) -> None:
    """Delete it; refused while a task names it."""
    control.delete_group(name, version=version, actor=who.actor)


def _seen_tasks(control: Control, who: Principal) -> frozenset[str] | None:
    """The names of the tasks that are there for them; None: all."""
    return None if who.seen is None else frozenset(view.name for view in control.tasks(seen=who.seen))
