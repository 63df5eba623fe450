"""A task's definition in the WeData API's nodes and settings, both ways onto the task document.

One table names every setting. What the document has no place for is refused, never dropped; whether the values make a
task is for the services to say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tidegate.model.mode import ReadMode
from tidegate.model.task import TaskKind, duration_s
from tidegate.server.views import DataSourceView, ProjectView
from tidegate.server.wedata import codes
from tidegate.server.wedata.call import demand_real_time, kind_of, type_of
from tidegate.server.wedata.codes import Declined
from tidegate.server.wedata.shapes import REAL_TIME, records, texts
from tidegate.server.wedata.structures import IntegrationNodeInfo, IntegrationNodeMapping, IntegrationTaskInfo


class Place(StrEnum):
    """Where a setting stands: in the `Config` of which."""

    INPUT = "INPUT node"
    OUTPUT = "OUTPUT node"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class Setting:
    """`path` is its place in the task document; `told` makes a document's value a text, `read` the other way (raises
    `ValueError`)."""

    place: Place
    name: str
    path: tuple[str, ...]
    told: Callable[[Any], str]
    read: Callable[[str], Any]
    says: str


def _tables_told(tables: Sequence[str]) -> str:
    plain = ",".join(tables)
    return plain if _tables_read(plain) == list(tables) else json.dumps(list(tables), ensure_ascii=False)


def _tables_read(text: str) -> list[str]:
    if text.startswith("["):
        try:
            listed = json.loads(text)
        except ValueError:
            listed = None
        if isinstance(listed, list) and listed and all(isinstance(one, str) for one in listed):
            return listed
    return [part.strip() for part in text.split(",")]


def _flag_read(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


def _flag_told(value: bool) -> str:
    return "true" if value else "false"


def _number_read(text: str) -> int:
    try:
        return int(text[:20])
    except ValueError:
        raise ValueError("must be a whole number") from None


_STARTUP: Final = {"INIT": ReadMode.FULL_INCREMENTAL.value, "LATEST": ReadMode.INCREMENTAL.value}


def startup_read(text: str) -> str:
    """A `StartupMode` as a read mode. Raises `ValueError`."""
    if text.upper() not in _STARTUP:
        raise ValueError(f"must be one of {', '.join(_STARTUP)}")
    return _STARTUP[text.upper()]


def _startup_told(read: str) -> str:
    return next(name for name, mode in _STARTUP.items() if mode == read)


def _text(place: Place, name: str, *path: str, says: str) -> Setting:
    return Setting(place, name, path, str, str, says)


def _optional(name: str, *path: str, says: str) -> Setting:
    says = f"{says} Empty: none."
    return Setting(Place.INPUT, name, path, lambda value: value or "", lambda text: text or None, says)


def _number(place: Place, name: str, *path: str, says: str) -> Setting:
    return Setting(place, name, path, str, _number_read, says)


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        Place.INPUT,
        "TableNames",
        ("source", "tables"),
        _tables_told,
        _tables_read,
        "Tables as schema.table, or regular expressions; separated by commas, or a JSON list where one holds a comma.",
    ),
    Setting(
        Place.INPUT,
        "StartupMode",
        ("source", "read"),
        _startup_told,
        startup_read,
        "INIT: the existing rows and then the log; LATEST: only the log.",
    ),
    _optional("StartPosition", "source", "start", "position", says="With LATEST: where in the log a run begins."),
    _optional("StartTime", "source", "start", "time", says="Likewise by time, such as 2026-11-01T00:00:00Z."),
    _text(Place.OUTPUT, "WriteMode", "target", "write", says="append or upsert."),
    _text(Place.OUTPUT, "SchemaName", "target", "schema", says="Naming pattern, such as ${schema_name_di_src}."),
    _text(Place.OUTPUT, "TableName", "target", "table", says="Naming pattern, such as ods_${table_name_di_src}."),
    Setting(
        Place.OUTPUT,
        "CreateTables",
        ("target", "create_tables"),
        _flag_told,
        _flag_read,
        "true or false: create tables that are not there.",
    ),
    _text(Place.OUTPUT, "ExistingRows", "target", "existing_rows", says="refuse or replace."),
    _text(Place.OUTPUT, "StampOp", "target", "stamp", "op", says="Column append adds; empty: none."),
    _text(Place.OUTPUT, "StampCommittedAt", "target", "stamp", "committed_at", says="Likewise."),
    _text(Place.OUTPUT, "StampPosition", "target", "stamp", "position", says="Likewise."),
    _text(Place.OUTPUT, "StampDetail", "target", "stamp", "detail", says="Likewise."),
    _number(Place.TASK, "Units", "units", says="Units taken from the resource group."),
    _text(
        Place.TASK, "CheckpointingInterval", "snapshots", "every", says="Time between snapshots, in the unit beside it."
    ),
    _number(Place.TASK, "SnapshotsKeep", "snapshots", "keep", says="Snapshots kept per run."),
    _number(
        Place.TASK,
        "RestartStrategyFixedDelayAttempts",
        "restarts",
        "max",
        says="How often a worker may be replaced; -1: without limit.",
    ),
    _text(Place.TASK, "LogWhenShort", "log", "when_short", says="warn or continue."),
    _text(Place.TASK, "LogBelow", "log", "below", says="From how little time left on, such as 1h."),
)
INTERVAL: Final = "CheckpointingInterval"
INTERVAL_UNIT: Final = "CheckpointingIntervalUnit"
INTERVAL_UNITS: Final[Mapping[str, str]] = {"min": "m", "s": "s", "ms": "ms", "h": "h"}
"""As they are written here, and in the document; the first is the default."""

SYNC_TYPES: Final[Mapping[int, str]] = {1: TaskKind.WHOLE_DATABASE.value, 2: TaskKind.SINGLE_TABLE.value}
FORM_MODE: Final = "1"
NODE_IDS: Final[Mapping[Place, str]] = {Place.INPUT: "input", Place.OUTPUT: "output"}
_ROLES: Final = {Place.INPUT: "source", Place.OUTPUT: "target"}

# Fields that must say nothing, for there is no place for what they say, and fields of answers, which may be sent back.
NO_PLACE: Final = (
    "ExtConfig",
    "ExecuteContext",
    "OfflineTaskAddEntity",
    "TaskImportInfo",
    "TagList",
    "TaskAlarmRegularList",
)
NO_PLACE_IN_NODE: Final = ("Description", "ExtConfig", "Schema", "NodeMapping")


# --- what is sent -----------------------------------------------------------------------------------------------


def document(
    info: IntegrationTaskInfo, project: ProjectView, owner: str, sources: Mapping[str, DataSourceView]
) -> dict[str, Any]:
    """The task document, of which only what was sent is there. `sources` are the project's data sources, `owner` whose
    the task is. Raises `Declined`."""
    demand_real_time(info.TaskType)
    _demand_empty(info, NO_PLACE, "TaskInfo")
    _demand(info.ProjectId in (None, "", project.name, str(project.id)), "TaskInfo.ProjectId: is another project's")
    _demand(info.TaskMode in (None, "", FORM_MODE), f"TaskInfo.TaskMode: must be {FORM_MODE}, a form")
    _demand(info.Incharge in (None, "", owner), f"TaskInfo.Incharge: must be {owner}; owners are not handed over here")
    _demand(info.SyncType in (None, *SYNC_TYPES), "TaskInfo.SyncType: must be 1, a whole database, or 2, a table")
    if not info.TaskName:
        raise Declined(codes.MISSING, "TaskInfo.TaskName: is required")
    nodes = _nodes(info)
    _demand_link(info.Mappings or [], nodes)
    found: dict[str, Any] = {
        "task": info.TaskName,
        "project": project.name,
        "kind": SYNC_TYPES[info.SyncType or 1],
        "source": {"data_source": _data_source(nodes[Place.INPUT], sources)},
        "target": {"data_source": _data_source(nodes[Place.OUTPUT], sources)},
    }
    if info.Description:
        found["description"] = info.Description
    if info.ExecutorId:
        found["resource_group"] = info.ExecutorId
    _put(found, Place.TASK, _with_interval(texts(info.Config, "TaskInfo.Config")))
    for place, node in nodes.items():
        _put(found, place, texts(node.Config, f"the Config of the {place}"))
    return found


def _nodes(info: IntegrationTaskInfo) -> dict[Place, IntegrationNodeInfo]:
    if not info.Nodes:
        raise Declined(codes.MISSING, "TaskInfo.Nodes: is required")
    found: dict[Place, IntegrationNodeInfo] = {}
    for node in info.Nodes:
        place = next((one for one in NODE_IDS if node.NodeType == one.name), None)
        if place is None or place in found:
            raise Declined(codes.VALUE, "TaskInfo.Nodes: must be one with NodeType INPUT and one with OUTPUT")
        _demand_empty(node, NO_PLACE_IN_NODE, f"the {place}")
        found[place] = node
    if len(found) != len(NODE_IDS):
        raise Declined(codes.VALUE, "TaskInfo.Nodes: must be one with NodeType INPUT and one with OUTPUT")
    return found


def _demand_link(mappings: Sequence[IntegrationNodeMapping], nodes: Mapping[Place, IntegrationNodeInfo]) -> None:
    """From the one node to the other is all that a mapping may say."""
    for one in mappings:
        link = one.SourceId == nodes[Place.INPUT].Id and one.SinkId == nodes[Place.OUTPUT].Id
        bare = not (one.SourceSchema or one.SchemaMappings or one.ExtConfig)
        _demand(link and bare, "TaskInfo.Mappings: columns keep their names; a mapping only links INPUT to OUTPUT")


def _data_source(node: IntegrationNodeInfo, sources: Mapping[str, DataSourceView]) -> str:
    """The name of the data source that a node names by id or name; one that is not there yet may be named."""
    if not node.DatasourceId:
        raise Declined(codes.MISSING, "TaskInfo.Nodes: DatasourceId is required")
    found = next((one for one in sources.values() if node.DatasourceId in (one.name, str(one.id))), None)
    if found is None and node.DatasourceId.isdigit():
        raise Declined(codes.NOT_FOUND, f"there is no data source {node.DatasourceId}")
    if found is not None:
        fits = not node.DataSourceType or kind_of(node.DataSourceType) == found.kind
        _demand(fits, f"TaskInfo.Nodes: DataSourceType of {found.name} is {type_of(found.kind)}")
    name = found.name if found else node.DatasourceId
    _demand(node.Name in (None, "", name), f"TaskInfo.Nodes: the Name of a node is its data source's, {name}")
    return name


def _with_interval(config: dict[str, str]) -> dict[str, str]:
    """The interval with its unit, as the document has it."""
    unit = config.pop(INTERVAL_UNIT, None)
    if INTERVAL in config:
        given = unit if unit is not None else next(iter(INTERVAL_UNITS))
        _demand(given in INTERVAL_UNITS, f"TaskInfo.Config: {INTERVAL_UNIT} is one of {', '.join(INTERVAL_UNITS)}")
        return config | {INTERVAL: f"{config[INTERVAL]}{INTERVAL_UNITS[given]}"}
    _demand(unit is None, f"TaskInfo.Config: {INTERVAL_UNIT} is of {INTERVAL}, which is not there")
    return config


def _put(document: dict[str, Any], place: Place, config: Mapping[str, str]) -> None:
    known = {one.name: one for one in SETTINGS if one.place is place}
    for name, text in config.items():
        setting = known.get(name)
        if setting is None:
            raise Declined(codes.UNKNOWN, f"the Config of the {place} has no {name}; it may have {', '.join(known)}")
        try:
            value = setting.read(text)
        except ValueError as error:
            raise Declined(codes.VALUE, f"the Config of the {place}: {name} {error}") from None
        if value is None:
            continue
        part = document
        for step in setting.path[:-1]:
            part = part.setdefault(step, {})
        part[setting.path[-1]] = value


def _demand_empty(structure: Any, names: Sequence[str], of: str) -> None:
    for name in names:
        _demand(not getattr(structure, name), f"{of}: there is no place for {name}; leave it out")


def _demand(fits: bool, otherwise: str) -> None:
    if not fits:
        raise Declined(codes.VALUE, otherwise)


# --- what is answered -------------------------------------------------------------------------------------------


def told(
    definition: Mapping[str, Any], project_id: str, task_id: str, sources: Mapping[str, DataSourceView]
) -> dict[str, Any]:
    """The fields of an `IntegrationTaskInfo` that say what a task is, of a complete document."""
    return {
        "TaskName": definition["task"],
        "Description": definition["description"],
        "SyncType": next(number for number, kind in SYNC_TYPES.items() if kind == definition["kind"]),
        "TaskType": REAL_TIME,
        "TaskMode": FORM_MODE,
        "ExecutorId": definition["resource_group"],
        "Config": records(_interval_apart(_config(definition, Place.TASK))),
        "Nodes": [_node(definition, place, project_id, task_id, sources) for place in NODE_IDS],
        "Mappings": [{"SourceId": NODE_IDS[Place.INPUT], "SinkId": NODE_IDS[Place.OUTPUT]}],
    }


def _node(
    definition: Mapping[str, Any], place: Place, project_id: str, task_id: str, sources: Mapping[str, DataSourceView]
) -> dict[str, Any]:
    name = definition[_ROLES[place]]["data_source"]
    source = sources.get(name)
    return {
        "Id": NODE_IDS[place],
        "TaskId": task_id,
        "ProjectId": project_id,
        "Name": name,
        "NodeType": place.name,
        "DatasourceId": str(source.id) if source else name,
        "DataSourceType": type_of(source.kind) if source else None,
        "Config": records(_config(definition, place)),
    }


def _config(definition: Mapping[str, Any], place: Place) -> dict[str, str]:
    found = {}
    for setting in SETTINGS:
        if setting.place is place:
            value: Any = definition
            for step in setting.path:
                value = None if value is None else value[step]
            found[setting.name] = setting.told(value)
    return found


def _interval_apart(config: dict[str, str]) -> dict[str, str]:
    """The interval and its unit: the largest of which it is a whole number."""
    every_s = duration_s(config[INTERVAL])
    for unit, length_s in (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 0.001)):
        amount = every_s / length_s
        if abs(amount - round(amount)) < 1e-6:
            return config | {INTERVAL: str(round(amount)), INTERVAL_UNIT: unit}
    return config | {INTERVAL: f"{every_s:g}", INTERVAL_UNIT: "s"}
