"""Actions on the log of a task: the lines of its workers and of the server, as the log search finds them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import Field

from tidegate.model.logline import Container
from tidegate.server.logsearch import LINES_MAX, LogLineView, Search
from tidegate.server.wedata import codes
from tidegate.server.wedata.call import Answer, Call
from tidegate.server.wedata.codes import Declined
from tidegate.server.wedata.shapes import Millis, OnTask
from tidegate.server.wedata.structures import Int, Str

Lines = Annotated[int, Field(ge=1, le=LINES_MAX)]
INTEGRATION: Final = "INTEGRATION"


class TaskLog(OnTask):
    StartTime: Millis
    EndTime: Millis
    Limit: Lines | None = None
    OrderType: Str = None
    TaskType: Int = None


def describe_log(call: Call, asked: TaskLog) -> Answer:
    task = call.task(asked, asked.TaskType)
    page = call.control.log(task, _search(asked), limit=asked.Limit or 100)
    return {"LogContentList": [_content(task, one) for one in page.items]}


class DescribeStreamTaskLogList(OnTask):
    JobId: str
    StartTime: Millis
    EndTime: Millis
    Container: Str = None
    Limit: Lines | None = None
    OrderType: Str = None
    RunningOrderId: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    Keyword: Str = None
    JobType: Str = None
    Context: Str = None


def describe_log_pages(call: Call, asked: DescribeStreamTaskLogList) -> Answer:
    """`JobId` says nothing beside `TaskId`, and is not looked at."""
    if asked.JobType not in (None, INTEGRATION):
        raise Declined(codes.VALUE, f"JobType: must be {INTEGRATION}; a comparison's log is the task's")
    task = call.task(asked)
    search = _search(asked, run=asked.RunningOrderId, container=asked.Container, keyword=asked.Keyword)
    page = call.control.log(task, search, cursor=asked.Context or None, limit=asked.Limit or 100)
    lines = [
        _content(task, one) | {"PkgLogId": str(one.id), "ContainerName": one.container.value} for one in page.items
    ]
    return {"LogContentList": lines, "ListOver": page.cursor is None, "Context": page.cursor or ""}


def _search(
    asked: TaskLog | DescribeStreamTaskLogList,
    *,
    run: int | None = None,
    container: str | None = None,
    keyword: str | None = None,
) -> Search:
    """Both ends of the time belong to it. Raises `Declined`."""
    if asked.StartTime > asked.EndTime:
        raise Declined(codes.VALUE, "EndTime: must not be before StartTime")
    order = (asked.OrderType or "desc").strip().lower()
    if order not in ("asc", "desc"):
        raise Declined(codes.VALUE, "OrderType: must be asc or desc")
    if container and container not in list(Container):
        raise Declined(codes.VALUE, f"Container: must be one of {', '.join(Container)}")
    return Search(
        run=run,
        container=Container(container) if container else None,
        since=_time(asked.StartTime),
        until=_time(asked.EndTime + 1),
        keywords=_quoted(keyword) if keyword else None,
        oldest_first=order == "asc",
    )


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _quoted(keyword: str) -> str:
    """A part of a line as it is, whatever it would mean to the search's own language."""
    return '"' + keyword.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _content(task: int, one: LogLineView) -> dict[str, Any]:
    return {
        # To the nearest: a thousandth is not exact as a fraction.
        "Time": round(one.at * 1000),
        "PkgId": f"{task}-{one.run or 0}",
        "Log": f"{one.level.upper()} {one.text}",
    }
