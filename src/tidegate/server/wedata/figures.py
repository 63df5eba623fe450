"""Actions on what is measured: totals, speeds, nodes and tables of a task's present run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidegate.model.measured import TableStatus
from tidegate.model.schema import TableName
from tidegate.model.task import TaskSpec, parse_task, target_name
from tidegate.server.measurements import PointView, TableView
from tidegate.server.views import RunView
from tidegate.server.wedata import codes
from tidegate.server.wedata.call import Answer, Call, demand_real_time, when
from tidegate.server.wedata.codes import Declined
from tidegate.server.wedata.definition import NODE_IDS, Place
from tidegate.server.wedata.shapes import (
    FilterList,
    Millis,
    OnTask,
    Page,
    Shape,
    Size,
    filtered,
    only,
)
from tidegate.server.wedata.structures import Int, Str

TOTALS: Final[Mapping[str, str]] = {
    "TotalRecordNumOfRead": "rows_read",
    "TotalRecordByteNumOfRead": "bytes_read",
    "TotalRecordNumOfWrite": "rows_written",
    "TotalRecordByteNumOfWrite": "bytes_written",
    "TotalDirtyRecordNum": "dirty_rows",
    "TotalDirtyRecordByte": "dirty_bytes",
}
SPEEDS: Final[Mapping[str, Mapping[str, str]]] = {
    "RecordsSpeedList": {"SOURCE": "rows_read_per_s", "SINK": "rows_written_per_s"},
    "BytesSpeedList": {"SOURCE": "bytes_read_per_s", "SINK": "bytes_written_per_s"},
}
NODE_TYPES: Final[Mapping[str, str]] = {"SOURCE": "SOURCE", "SINK": "SINK", "INPUT": "SOURCE", "OUTPUT": "SINK"}
"""Documents say one and examples the other."""
GRANULARITIES_MIN: Final = (1, 5)
LOOK_BACK_S: Final = 86_400.0
"""How old the newest figures before a moment may be that are taken for those at it."""


# --- totals -----------------------------------------------------------------------------------------------------


class DescribeRealTimeTaskMetricOverview(OnTask):
    StartTime: Millis | None = None
    EndTime: Millis | None = None


def describe_overview(call: Call, asked: DescribeRealTimeTaskMetricOverview) -> Answer:
    task = call.task(asked)
    run = call.control.detail(task).run
    if run is None:
        return dict.fromkeys(TOTALS, 0) | {"TotalDuration": 0}
    now = call.control.clock.now()
    ended = run.ended_at or now
    since = max(run.started_at, (asked.StartTime or 0) / 1000)
    until = min(ended, now if asked.EndTime is None else asked.EndTime / 1000)
    before, after = (_totals(call, task, run, at, ended) for at in (since, max(since, until)))
    return {name: int(max(0.0, after[metric] - before[metric])) for name, metric in TOTALS.items()} | {
        "TotalDuration": int(max(0.0, until - since)),
        "BeginRunTime": when(run.started_at),
        "EndRunTime": when(ended),
    }


def _totals(call: Call, task: int, run: RunView, at: float, newest_at: float) -> dict[str, float]:
    """What the run had counted by then, as its history has it; at the newest moment, as it told itself."""
    if at <= run.started_at:
        return dict.fromkeys(TOTALS.values(), 0.0)
    names = list(TOTALS.values())
    if at >= newest_at:
        return {name: float(run.counters.get(name) or 0.0) for name in names}
    points = call.control.metrics(task, run=run.number, since=at - LOOK_BACK_S, until=at, step_s=60, names=names).points
    last = points[-1].values if points else {}
    return {name: last.get(name) or 0.0 for name in names}


# --- speeds -----------------------------------------------------------------------------------------------------


class DescribeRealTimeTaskSpeed(OnTask):
    StartTime: Millis
    EndTime: Millis
    Granularity: int


def describe_speed(call: Call, asked: DescribeRealTimeTaskSpeed) -> Answer:
    if asked.Granularity not in GRANULARITIES_MIN:
        raise Declined(codes.VALUE, f"Granularity: must be one of {', '.join(map(str, GRANULARITIES_MIN))}")
    task = call.task(asked)
    detail = call.control.detail(task)
    names = {"SOURCE": detail.task.source, "SINK": detail.task.target}
    points: Sequence[PointView] = ()
    if detail.run is not None:
        since, until = asked.StartTime / 1000, asked.EndTime / 1000
        metrics = [metric for of in SPEEDS.values() for metric in of.values()]
        step_s = _step(call, since)
        points = call.control.metrics(task, since=since, until=until, step_s=step_s, names=metrics).points
    found = {
        field: [
            {"NodeType": side, "NodeName": names[side], "Values": _series(points, metric, asked.Granularity)}
            for side, metric in of.items()
        ]
        for field, of in SPEEDS.items()
    }
    return {**found, "Data": found}


def _step(call: Call, since: float) -> int:
    """The finest there still is: a minute's figures come to be only when the minute is over."""
    kept_s = call.control.limits.keep_points_s.get(10, 0.0)
    return 10 if call.control.clock.now() - since <= min(kept_s, 2 * 3600.0) else 60


def _series(points: Sequence[PointView], metric: str, granularity_min: int) -> list[dict[str, Any]]:
    """The mean of what is known in each step, which is named by its beginning."""
    width_s = granularity_min * 60
    steps: dict[int, list[float]] = {}
    for point in points:
        value = point.values[metric]
        if value is not None:
            # A point is named by its end, which still belongs to the step it ends.
            steps.setdefault((int(point.at) - 1) // width_s * width_s, []).append(value)
    return [{"Time": at * 1000, "Speed": round(sum(of) / len(of), 4)} for at, of in sorted(steps.items())]


# --- nodes ------------------------------------------------------------------------------------------------------


class DescribeRealTimeTaskInstanceNodeInfo(OnTask):
    pass


def describe_nodes(call: Call, asked: DescribeRealTimeTaskInstanceNodeInfo) -> Answer:
    view = call.view(call.task(asked))
    nodes = [
        {"NodeType": side, "NodeId": NODE_IDS[place], "NodeName": name}
        for side, place, name in (("SOURCE", Place.INPUT, view.source), ("SINK", Place.OUTPUT, view.target))
    ]
    info = {"TaskName": view.name, "TaskId": str(view.id), "InstanceNodeInfoList": nodes}
    return {"RealTimeTaskInstanceNodeInfo": info}


# --- tables -----------------------------------------------------------------------------------------------------


class OrderFields(Shape):
    Name: Str = None
    Direction: Str = None


TableOrders = list[OrderFields]


class DescribeTaskTableMetricOverview(OnTask):
    NodeType: str
    PageNumber: Page
    PageSize: Size
    TaskType: Int = None
    Filters: FilterList | None = None
    OrderFields: TableOrders | None = None


TABLE_ORDERS: Final[Mapping[str, str]] = {
    "TableName": "name",
    "TotalRecordNum": "rows_read",
    "TotalRecordByteNum": "bytes_read",
    "WriteTotalRecordNum": "rows_written",
    "WriteTotalRecordByteNum": "bytes_written",
    "TotalDirtyRecordNum": "dirty_rows",
    "TotalRecordSpeed": "rows_read_per_s",
    "WriteTotalRecordSpeed": "rows_written_per_s",
}
SYNC_STATUS: Final[Mapping[str, int]] = {
    TableStatus.UNKNOWN.value: 0,
    TableStatus.NORMAL.value: 1,
    TableStatus.ABNORMAL.value: 2,
}


def describe_tables(call: Call, asked: DescribeTaskTableMetricOverview) -> Answer:
    demand_real_time(asked.TaskType)
    if asked.NodeType not in NODE_TYPES:
        raise Declined(codes.VALUE, f"NodeType: must be one of {', '.join(NODE_TYPES)}")
    project = call.project(asked.ProjectId)
    task = call.task_of(project.name, asked.TaskId)
    wanted = filtered(asked.Filters, ("TableName",))
    kind = {"MetricType": NODE_TYPES[asked.NodeType]}
    detail = call.control.detail(task)
    if detail.run is None:
        return {"TaskTableMetricInfos": [], "TotalCount": 0} | kind
    page = call.control.tables(
        task,
        name=only(wanted, "TableName"),
        sort=_sort(asked.OrderFields),
        page=asked.PageNumber,
        page_size=asked.PageSize,
    )
    number = detail.run.version
    version = next(one for one in call.control.versions(task) if one.number == number)
    spec = parse_task(version.definition)
    source = call.sources(project.name).get(spec.source.data_source)
    database = str((source.config if source else {}).get("database") or "")
    return {
        "TaskTableMetricInfos": [_table(one, spec, database) for one in page.items],
        "TotalCount": page.total,
    } | kind


def _sort(orders: TableOrders | None) -> str:
    if not orders:
        return "name"
    name, direction = orders[0].Name or "", (orders[0].Direction or "asc").lower()
    if len(orders) > 1 or name not in TABLE_ORDERS or direction not in ("asc", "desc"):
        raise Declined(codes.FILTER, f"OrderFields: one of {', '.join(TABLE_ORDERS)}, asc or desc")
    return ("-" if direction == "desc" else "") + TABLE_ORDERS[name]


def _table(one: TableView, spec: TaskSpec, database: str) -> dict[str, Any]:
    schema, _, name = one.name.partition(".")
    target_schema, target_table = target_name(spec.target, spec.source.data_source, database, TableName(schema, name))
    return {
        "DatabaseName": database or None,
        "SchemaName": schema,
        "TableName": name,
        "DataSourceName": spec.source.data_source,
        "NodeId": NODE_IDS[Place.INPUT],
        "TargetSchemaName": target_schema,
        "TargetTableName": target_table,
        "TargetDataSourceName": spec.target.data_source,
        "TargetNodeId": NODE_IDS[Place.OUTPUT],
        "TotalRecordNum": one.rows_read,
        "TotalRecordByteNum": one.bytes_read,
        "WriteTotalRecordNum": one.rows_written,
        "WriteTotalRecordByteNum": str(one.bytes_written),
        "TotalDirtyRecordNum": one.dirty_rows,
        "TotalRecordSpeed": one.rows_read_per_s,
        "WriteTotalRecordSpeed": one.rows_written_per_s,
        "SyncStatus": SYNC_STATUS[one.status],
        "ExceptionReason": one.reason or None,
    }
