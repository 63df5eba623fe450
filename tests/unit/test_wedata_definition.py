"""A task's definition in nodes and settings, both ways; and what there is no place for."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tidegate.model.task import TaskSpec, parse_task
from tidegate.server.views import DataSourceView, ProjectView
from tidegate.server.wedata import codes
from tidegate.server.wedata.codes import Declined
from tidegate.server.wedata.definition import SETTINGS, Place, document, told
from tidegate.server.wedata.shapes import parse
from tidegate.server.wedata.structures import IntegrationTaskInfo

SEED = 817
PROJECT = ProjectView(1, "default", "", 0.0, 0)
SOURCES = {
    name: DataSourceView(number, "default", name, kind, "", {}, 0.0, 0.0, 1, [])
    for number, (name, kind) in enumerate((("shop", "mysql"), ("lake", "postgres")), 7)
}


def info(**changed: Any) -> dict[str, Any]:
    """A task as a client writes it."""
    return {
        "TaskName": "shop_to_lake",
        "SyncType": 1,
        "TaskType": 201,
        "ExecutorId": "default",
        "Nodes": [
            {
                "Id": "1",
                "NodeType": "INPUT",
                "DatasourceId": "7",
                "DataSourceType": "MYSQL",
                "Config": [{"Name": "TableNames", "Value": "shop.orders, shop.item"}],
            },
            {
                "Id": "2",
                "NodeType": "OUTPUT",
                "DatasourceId": "lake",
                "Config": [
                    {"Name": "WriteMode", "Value": "upsert"},
                    {"Name": "TableName", "Value": "ods_${table_name_di_src}"},
                ],
            },
        ],
        "Mappings": [{"SourceId": "1", "SinkId": "2"}],
        "Config": [
            {"Name": "CheckpointingInterval", "Value": "2"},
            {"Name": "CheckpointingIntervalUnit", "Value": "min"},
            {"Name": "RestartStrategyFixedDelayAttempts", "Value": "-1"},
        ],
    } | changed


def understood(sent: dict[str, Any], owner: str = "admin") -> TaskSpec:
    return parse_task(document(parse(IntegrationTaskInfo, sent), PROJECT, owner, SOURCES))


def code_of(sent: dict[str, Any]) -> str:
    with pytest.raises(Declined) as caught:
        understood(sent)
    return caught.value.code


def node(place: int, **changed: Any) -> dict[str, Any]:
    """The task with one node changed."""
    sent = info()
    sent["Nodes"][place] |= changed
    return sent


def test_a_task_is_understood_from_nodes_and_settings() -> None:
    spec = understood(info())
    assert (spec.source.data_source, spec.target.data_source) == ("shop", "lake")
    assert spec.source.tables == ("shop.orders", "shop.item")
    assert (spec.target.write, spec.target.table) == ("upsert", "ods_${table_name_di_src}")
    assert (spec.snapshots.every_s, spec.restarts.max) == (120, -1)


TABLES = (
    ["public.a"],
    ["public.a", "public.b"],
    ["public.[ab]", r"s\.t{1,2}"],
    ["[ab].c"],
    ['["x.y"]'],
    ["ä.ö", "a.b c"],
    ["[1].2", "x.y"],
)


def random_definition(r: random.Random) -> dict[str, Any]:
    tables = r.choice(TABLES)
    kind = r.choice(["whole_database", "single_table"])
    read = r.choice(["full+incremental", "incremental"])
    starts = [None, {"position": "log.000007:4711"}, {"time": "2026-11-01T02:00:00+02:00"}]
    return {
        "task": r.choice(["a", "任务_1"]),
        "description": r.choice(["", "two\nlines"]),
        "kind": kind,
        "source": {
            "data_source": r.choice(["shop", "elsewhere"]),
            "tables": tables[:1] if kind == "single_table" else tables,
            "read": read,
            "start": r.choice(starts) if read == "incremental" else None,
        },
        "target": {
            "data_source": "lake",
            "schema": r.choice(["{schema}", "ods"]),
            "table": r.choice(["{table}", "t_${table_name_di_src}"]),
            "write": r.choice(["append", "upsert"]),
            "create_tables": r.random() < 0.5,
            "existing_rows": r.choice(["refuse", "replace"]),
            "stamp": r.choice([False, {"op": "op", "detail": None}, {}]),
        },
        "resource_group": r.choice(["default", "nightly"]),
        "units": r.randint(1, 9),
        "snapshots": {"every": r.choice(["60s", "1.5s", "2h", "90m", "1500ms"]), "keep": r.randint(1, 99)},
        "restarts": {"max": r.randint(-1, 100)},
        "log": {"when_short": r.choice(["warn", "continue"]), "below": r.choice(["1h", "90s"])},
    }


def test_whatever_was_told_is_understood_as_the_same_task() -> None:
    r = random.Random(SEED)
    for _ in range(500):
        spec = parse_task(random_definition(r))
        sent = told(spec.definition(), "1", "5", SOURCES)
        assert understood(sent) == spec, f"seed {SEED}: {spec.definition()}"


def test_every_field_of_the_document_has_a_place() -> None:
    def leaves(part: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        if not isinstance(part, dict):
            return {path}
        return {leaf for name, value in part.items() for leaf in leaves(value, (*path, name))}

    spec = parse_task(random_definition(random.Random(SEED)))
    fields = {("task",), ("project",), ("description",), ("kind",), ("resource_group",)}
    nodes = {("source", "data_source"), ("target", "data_source")}
    assert leaves(spec.definition()) == fields | nodes | {one.path for one in SETTINGS}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (info(TagList=[{"Key": "team", "Value": "a"}]), codes.VALUE),
        (info(ExtConfig=[{"Name": "x", "Value": "1"}]), codes.VALUE),
        (info(ExecuteContext=[{"Name": "x", "Value": "1"}]), codes.VALUE),
        (info(TaskAlarmRegularList=["1"]), codes.VALUE),
        (info(OfflineTaskAddEntity={"WorkflowName": "w"}), codes.VALUE),
        (info(TaskMode="0"), codes.VALUE),
        (info(TaskType=202), codes.VALUE),
        (info(SyncType=3), codes.VALUE),
        (info(Incharge="somebody"), codes.VALUE),
        (info(ProjectId="2"), codes.VALUE),
        (info(Config=[{"Name": "JobManager", "Value": "1"}]), codes.UNKNOWN),
        (info(Config=[{"Name": "Units", "Value": "1"}, {"Name": "Units", "Value": "2"}]), codes.MALFORMED),
        (info(Config=[{"Name": "Units", "Value": "many"}]), codes.VALUE),
        (info(Config=[{"Name": "CheckpointingIntervalUnit", "Value": "min"}]), codes.VALUE),
        (info(Nodes=[]), codes.MISSING),
        (info(Nodes=info()["Nodes"][:1]), codes.VALUE),
        (info(Nodes=info()["Nodes"] + [{"NodeType": "FILTER"}]), codes.VALUE),
        (info(Mappings=[{"SourceId": "2", "SinkId": "1"}]), codes.VALUE),
        (
            info(
                Mappings=[
                    {
                        "SourceId": "1",
                        "SinkId": "2",
                        "SchemaMappings": [{"SourceSchemaId": "a", "SinkSchemaId": "b"}],
                    }
                ]
            ),
            codes.VALUE,
        ),
        (info(TaskName=""), codes.MISSING),
        (node(0, DatasourceId=""), codes.MISSING),
        (node(0, DatasourceId="9"), codes.NOT_FOUND),
        (node(0, DataSourceType="ORACLE"), codes.VALUE),
        (node(0, Name="reader"), codes.VALUE),
        (node(0, Description="reads"), codes.VALUE),
        (node(0, Schema=[{"Id": "1", "Name": "id", "Type": "int"}]), codes.VALUE),
        (node(0, Config=[{"Name": "StartupMode", "Value": "EARLIEST"}]), codes.VALUE),
        (node(0, Config=[{"Name": "splitPk", "Value": "id"}]), codes.UNKNOWN),
        (node(1, Config=[{"Name": "CreateTables", "Value": "yes"}]), codes.VALUE),
        (info(Colour="red"), codes.UNKNOWN),
        (info(SyncType="1"), codes.MALFORMED),
    ],
)
def test_what_there_is_no_place_for_is_refused_and_not_dropped(sent: dict[str, Any], code: str) -> None:
    assert code_of(sent) == code


def test_what_is_null_is_not_there() -> None:
    assert understood(info(TagList=None, Description=None)) == understood(info())


def test_settings_have_one_meaning_each() -> None:
    names = [(one.place, one.name) for one in SETTINGS]
    assert len(set(names)) == len(names)
    assert {one.place for one in SETTINGS} == set(Place)
