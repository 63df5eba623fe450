"""Actions on what tasks refer to: data sources, projects, resource groups."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import Field

from tidegate.errors import InUse, NameTaken, NotFound
from tidegate.server.guard import parse_json
from tidegate.server.views import DataSourceView, GroupView, ProjectView
from tidegate.server.wedata import codes
from tidegate.server.wedata.call import Answer, Call, kind_of, type_of, when
from tidegate.server.wedata.codes import Declined
from tidegate.server.wedata.shapes import (
    LIST_MAX,
    FilterList,
    Orders,
    Page,
    Ref,
    Shape,
    Size,
    Text,
    filtered,
    only,
    ordered,
)
from tidegate.server.wedata.structures import Int, Str

CATEGORY: Final = "DB"
USABLE: Final = 1
JDBC: Final[Mapping[str, str]] = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mariadb"}
"""Which connector a JDBC address is of."""
PAGE_SIZE: Final = 20
ENABLED: Final = 1
RUNNING: Final = 1

Number = Annotated[int, Field(ge=1, le=2**62)]
T = TypeVar("T")


def paged(found: Sequence[T], page: int | None, size: int | None) -> tuple[Sequence[T], dict[str, int]]:
    """A page, and what is said of all."""
    number, rows = page or 1, size or PAGE_SIZE
    pages = -(-len(found) // rows)
    facts = {"PageNumber": number, "PageSize": rows, "TotalCount": len(found), "TotalPageNumber": pages}
    return found[(number - 1) * rows : number * rows], facts


# --- data sources -----------------------------------------------------------------------------------------------

# There is no place for what these would say.
NO_PLACE: Final = (
    "BizParams",
    "Display",
    "DatabaseName",
    "Instance",
    "ClusterId",
    "Collect",
    "COSBucket",
    "COSRegion",
    "ConnectResult",
    "DevelopmentParams",
)


class DataSource(Shape):
    Name: Ref
    Category: Text
    Type: Ref
    BizParams: Str = None
    Params: Str = None
    Description: Str = None
    Display: Str = None
    DatabaseName: Str = None
    Instance: Str = None
    Status: Int = None
    ClusterId: Str = None
    Collect: Str = None
    COSBucket: Str = None
    COSRegion: Str = None
    DevelopmentParams: Str = None
    ProjectId: Str = None


class CreateDataSource(DataSource):
    OwnerProjectId: Ref
    OwnerProjectName: Text
    OwnerProjectIdent: Text
    ConnectResult: Str = None


class ModifyDataSource(DataSource):
    ID: Number | None = None
    OwnerProjectId: Str = None
    OwnerProjectName: Str = None
    OwnerProjectIdent: Str = None


def create_data_source(call: Call, asked: CreateDataSource) -> Answer:
    kind, config = _settings(asked)
    if asked.ProjectId not in (None, "", asked.OwnerProjectId):
        raise Declined(codes.VALUE, "ProjectId: must be OwnerProjectId; a data source belongs to one project")
    project = call.project(asked.OwnerProjectId).name
    made = call.control.create_data_source(
        asked.Name, kind, config or {}, project=project, description=asked.Description or "", who=call.who
    )
    return {"Data": made.id}


def modify_data_source(call: Call, asked: ModifyDataSource) -> Answer:
    kind, config = _settings(asked)
    held = _named(call, asked)
    if held.name != asked.Name or held.kind != kind:
        raise Declined(codes.VALUE, f"Name, Type: of data source {held.id} stay {held.name}, {type_of(held.kind)}")
    call.control.edit_data_source(
        held.name,
        project=held.project,
        config=config,
        description=asked.Description,
        version=held.version,
        who=call.who,
    )
    return {"Data": True}


def _named(call: Call, asked: ModifyDataSource) -> DataSourceView:
    project = asked.OwnerProjectId or asked.ProjectId
    if asked.ID is None:
        if not project:
            raise Declined(codes.MISSING, "ID: is required")
        return call.control.data_source(asked.Name, project=call.project(project).name)
    held = call.data_source(asked.ID)
    if project and call.project(project).name != held.project:
        raise NotFound(f"there is no data source {asked.ID}")
    return held


def _settings(asked: DataSource) -> tuple[str, dict[str, Any] | None]:
    """Connector and settings. `Params` are the connector's own, or an address and a user as JDBC has them."""
    for name in NO_PLACE:
        if getattr(asked, name, None):
            raise Declined(codes.VALUE, f"{name}: there is no place for it; say it in Params, or leave it out")
    if asked.Category != CATEGORY or asked.Status not in (None, USABLE):
        raise Declined(codes.VALUE, f"Category must be {CATEGORY}, and Status {USABLE} or left out")
    kind = kind_of(asked.Type)
    if asked.Params is None:
        return kind, None
    params = parse_json(asked.Params.encode("utf-8", "surrogatepass"))
    if not isinstance(params, dict):
        raise Declined(codes.VALUE, "Params: must be a JSON object")
    if "username" in params and "user" not in params:
        params["user"] = params.pop("username")
    return kind, params | _address(kind, params.pop("url")) if "url" in params else params


def _address(kind: str, url: object) -> dict[str, Any]:
    """`jdbc:postgresql://host:5432/shop` as settings."""
    try:
        parts = urlsplit(str(url).removeprefix("jdbc:"))
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or JDBC.get(parts.scheme) != kind or parts.query or parts.fragment or parts.username:
        raise Declined(codes.VALUE, "Params: url must be jdbc:postgresql://host:port/database, with nothing behind it")
    found: dict[str, Any] = {"host": host, "database": parts.path.removeprefix("/")}
    return found if port is None else found | {"port": port}


class DeleteDataSources(Shape):
    Ids: Annotated[list[Number], Field(min_length=1, max_length=LIST_MAX)]
    ProjectId: Str = None


def delete_data_sources(call: Call, asked: DeleteDataSources) -> Answer:
    """All of them are looked at before the first is deleted."""
    held = [call.data_source(number) for number in dict.fromkeys(asked.Ids)]
    project = call.project(asked.ProjectId).name if asked.ProjectId else None
    for one in held:
        if project not in (None, one.project):
            raise NotFound(f"there is no data source {one.id}")
        if one.used_by:
            raise InUse(f"data source {one.name} is used by {', '.join(one.used_by)}")
    for one in held:
        call.control.delete_data_source(one.name, project=one.project, actor=call.actor)
    return {"Data": True}


class DescribeDatasource(Shape):
    Id: Number
    Env: Str = None


def describe_data_source(call: Call, asked: DescribeDatasource) -> Answer:
    if asked.Env not in (None, "", "Prod"):
        raise Declined(codes.VALUE, "Env: there is one environment; leave it out")
    held = call.data_source(asked.Id)
    return {"Data": _source(held, call.project(held.project))}


SOURCE_FILTERS: Final = ("Name", "Type", "ProjectId", "OwnerProjectId")


class DescribeDataSourceList(Shape):
    PageNumber: Page | None = None
    PageSize: Size | None = None
    OrderFields: Orders | None = None
    Filters: FilterList | None = None


def describe_data_sources(call: Call, asked: DescribeDataSourceList) -> Answer:
    wanted = filtered(asked.Filters, SOURCE_FILTERS)
    refs = wanted.get("ProjectId", []) + wanted.get("OwnerProjectId", [])
    projects = [call.project(ref) for ref in refs] if refs else call.projects()
    name, kinds = (only(wanted, "Name") or "").lower(), {kind_of(one) for one in wanted.get("Type", ())}
    found = [
        _source(one, project)
        for project in projects
        for one in call.control.data_sources(project.name)
        if name in one.name.lower() and (not kinds or one.kind in kinds)
    ]
    order = ordered(asked.OrderFields, {"Name": "Name", "CreateTime": "CreateTime"}, "Name")
    found.sort(key=lambda one: one[order.removeprefix("-")], reverse=order.startswith("-"))
    rows, facts = paged(found, asked.PageNumber, asked.PageSize)
    return {"Data": facts | {"Rows": rows}}


def _source(one: DataSourceView, project: ProjectView) -> dict[str, Any]:
    """With its stored secrets masked (I8)."""
    params = json.dumps(dict(one.config), ensure_ascii=False)
    return {
        "ID": one.id,
        "Name": one.name,
        "Type": type_of(one.kind),
        "Category": CATEGORY,
        "Description": one.description,
        "DatabaseName": one.config.get("database"),
        "Params": params,
        "ParamsString": params,
        "Status": USABLE,
        "OwnerProjectId": str(project.id),
        "OwnerProjectName": project.name,
        "OwnerProjectIdent": project.name,
        "CreateTime": int(one.created_at * 1000),
        "ModifiedTime": int(one.changed_at * 1000),
    }


# --- projects ---------------------------------------------------------------------------------------------------


class DescribeProject(Shape):
    ProjectId: Str = None
    DescribeClusters: bool | None = None
    DescribeExecutors: bool | None = None
    DescribeAdminUsers: bool | None = None
    DescribeMemberCount: bool | None = None
    DescribeCreator: bool | None = None
    ProjectName: Str = None


class DescribeTenantProjects(Shape):
    PageNumber: Page
    PageSize: Size
    DescribeExecutors: bool | None = None
    DescribeAdminUsers: bool | None = None
    DescribeMemberCount: bool | None = None
    Filters: FilterList | None = None
    OrderFields: Orders | None = None
    DescribeCreator: bool | None = None
    DescribeResourcePools: bool | None = None


class BaseProject(Shape):
    ProjectName: Ref
    DisplayName: Str = None
    Region: Str = None
    TenantId: Str = None
    ProjectId: Str = None
    Description: Str = None
    CreateTime: Str = None
    Status: Int = None
    Model: Str = None
    ScheduleMode: Str = None


class CreateBaseProject(Shape):
    Project: BaseProject


def describe_project(call: Call, asked: DescribeProject) -> Answer:
    ref = asked.ProjectId or asked.ProjectName
    if not ref:
        raise Declined(codes.MISSING, "ProjectId or ProjectName is required")
    found = call.project(ref)
    if asked.ProjectName not in (None, "", found.name):
        raise Declined(codes.NO_PROJECT, f"project {found.id} is not called {asked.ProjectName}")
    return {"Data": _project(found)}


def describe_projects(call: Call, asked: DescribeTenantProjects) -> Answer:
    wanted = filtered(asked.Filters, ("ProjectName", "ProjectId"))
    name, ids = (only(wanted, "ProjectName") or "").lower(), wanted.get("ProjectId")
    order = ordered(asked.OrderFields, {"ProjectName": "name", "CreateTime": "created_at"}, "name")
    found = [
        one
        for one in call.projects()
        if name in one.name.lower() and (ids is None or str(one.id) in ids or one.name in ids)
    ]
    found.sort(key=lambda one: getattr(one, order.removeprefix("-")), reverse=order.startswith("-"))
    rows, facts = paged(found, asked.PageNumber, asked.PageSize)
    return {"Data": facts | {"Rows": [_project(one) for one in rows]}}


def create_project(call: Call, asked: CreateBaseProject) -> Answer:
    given = asked.Project
    for name in ("DisplayName", "TenantId", "ProjectId", "Model", "ScheduleMode"):
        if getattr(given, name) not in (None, "", given.ProjectName if name == "DisplayName" else None):
            raise Declined(codes.VALUE, f"Project.{name}: there is no place for it; leave it out")
    if given.Status not in (None, ENABLED):
        raise Declined(codes.VALUE, f"Project.Status: must be {ENABLED}; projects are not disabled")
    try:
        call.control.create_project(given.ProjectName, given.Description or "", actor=call.actor)
    except NameTaken as error:
        raise Declined(codes.PROJECT_TAKEN, error.detail) from None
    return {}


def _project(one: ProjectView) -> dict[str, Any]:
    return {
        "ProjectId": str(one.id),
        "ProjectName": one.name,
        "DisplayName": one.name,
        "Description": one.description,
        "CreateTime": when(one.created_at),
        "CreateTimestamp": int(one.created_at * 1000),
        "Status": ENABLED,
    }


# --- resource groups --------------------------------------------------------------------------------------------


class DescribeExecutorGroupMetric(Shape):
    ExecutorGroupId: Ref
    TrendStartTime: Int = None
    TrendEndTime: Int = None
    ExecutorGroupType: Str = None
    ExecutorResourceType: Str = None
    LoaderId: Str = None
    MetricType: Str = None
    Granularity: Int = None


def describe_group(call: Call, asked: DescribeExecutorGroupMetric) -> Answer:
    given = asked.model_dump(exclude={"ExecutorGroupId"}, exclude_none=True)
    if given:
        raise Declined(codes.VALUE, f"{', '.join(given)}: there is no history of a resource group; leave it out")
    return {"Data": _group(call.control.group(asked.ExecutorGroupId), call.control.clock.now())}


def _group(one: GroupView, now: float) -> dict[str, Any]:
    usage = {"Timestamp": int(now * 1000), "ConcurrencyUsage": round(100 * one.units_used / one.units, 2)}
    return {
        "ExecutorGroupId": one.name,
        "ExecutorGroupName": one.name,
        "ExecutorGroupDesc": one.description,
        "BasicResourcePackage": {
            "ResourcePackageNum": one.units,
            "Status": RUNNING,
            "ResourcePackageUsage": {"Status": RUNNING, "UsageTrendList": [usage]},
        },
        "IsLocked": False,
    }
