"""Data sources and the connectors they are made of."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from tidegate.model.permission import SOURCE_EDIT
from tidegate.server.access import Caller
from tidegate.server.api.shapes import Body, Door, NameInPath, NewName, Project, Version, VersionField
from tidegate.server.connectivity import ConnectorView, Report, Role, connectors, tried
from tidegate.server.views import DataSourceView

router = APIRouter(tags=["data sources"])

Settings = Annotated[
    dict[str, Any],
    Field(
        description="The connector's settings, as its JSON Schema at /connectors says.",
        examples=[{"host": "db.example", "database": "shop", "user": "tidegate", "password": "…"}],
    ),
]
AsRole = Annotated[Role | None, Query(alias="role", description="Test it as a source or as a target only.")]


class NewDataSource(Body):
    name: NewName
    kind: str = Field(description="The connector.", examples=["postgres"])
    config: Settings
    description: str = Field(default="", max_length=500)


class ChangedDataSource(Body):
    config: Settings | None = Field(
        default=None,
        description="Replaces the settings; a secret left out or sent back masked is kept, unless the address changes.",
    )
    description: str | None = Field(default=None, max_length=500)
    version: VersionField = None


class Trial(Body):
    kind: str = Field(description="The connector.", examples=["postgres"])
    config: Settings


class Edit(Body):
    config: Settings | None = Field(default=None, description="Test as if the settings were edited to these.")


@router.get("/connectors")
def list_connectors() -> list[ConnectorView]:
    """The connectors, what they can do, and the JSON Schema of their settings."""
    return connectors()


@router.get("/data-sources")
def list_data_sources(control: Door, project: Project = "default") -> list[DataSourceView]:
    """All data sources of a project. Stored secrets are shown as a mask."""
    return control.data_sources(project)


@router.post("/data-sources", status_code=201)
def create_data_source(control: Door, who: Caller, body: NewDataSource, project: Project = "default") -> DataSourceView:
    """Save a data source. Its secrets are encrypted and never shown again."""
    return control.create_data_source(
        body.name, body.kind, body.config, project=project, description=body.description, who=who
    )


@router.post("/data-sources/test")
def try_settings(control: Door, who: Caller, body: Trial, project: Project = "default", role: AsRole = None) -> Report:
    """Test settings before saving them. Who may make data sources in the project may test them."""
    return tried(control.unsaved_side(body.kind, body.config, project=project, who=who), role)


@router.get("/data-sources/{name}")
def get_data_source(control: Door, name: NameInPath, project: Project = "default") -> DataSourceView:
    """One data source."""
    return control.data_source(name, project=project)


@router.put("/data-sources/{name}")
def edit_data_source(
    control: Door, who: Caller, name: NameInPath, body: ChangedDataSource, project: Project = "default"
) -> DataSourceView:
    """Change settings or description. Running workers take it when they next start."""
    return control.edit_data_source(
        name,
        project=project,
        config=body.config,
        description=body.description,
        version=body.version,
        who=who,
    )


@router.delete("/data-sources/{name}", status_code=204)
def delete_data_source(
    control: Door, who: Caller, name: NameInPath, project: Project = "default", version: Version = None
) -> None:
    """Delete it; refused while a task uses it."""
    control.delete_data_source(name, project=project, version=version, actor=who.actor)


@router.post("/data-sources/{name}/test")
def check_data_source(
    control: Door,
    who: Caller,
    name: NameInPath,
    project: Project = "default",
    role: AsRole = None,
    body: Edit | None = None,
) -> Report:
    """Connect with the stored settings and report a result per check; or with an edit of them, for who may make it."""
    if body is not None and body.config is not None:
        who.demand(SOURCE_EDIT, project)
        return tried(control.edited_side(name, body.config, project=project, who=who), role)
    return tried(control.data_source_side(name, project=project), role)
