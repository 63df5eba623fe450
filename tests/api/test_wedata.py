"""The WeData-compatible API over HTTP: who may ask, the envelope of each reply, and actions by the published SDK."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from typer.testing import CliRunner

from api.rig import CANARY, Api
from api.situations import TASK, give, initialize, paused, running, task
from api.wedata import Pair, Sdk, asked, code_of, sent, signed, unpublished
from tidegate.cli.main import app
from tidegate.errors import SourceTableUnknown
from tidegate.model.lifecycle import State
from tidegate.server.guard import BODY_MAX_BYTES
from tidegate.server.wedata import codes
from tidegate.server.wedata.actions import ACTIONS, LATER_VERSION, Standing
from tidegate.store import points
from tidegate.store.points import Point
from tidegate.testing.servers import until
from tidegate.watch.metrics import BY_NAME, Of

PAGE = {"ProjectId": "default", "PageNumber": 1, "PageSize": 20}
ONE = {"ProjectId": "default", "TaskId": TASK}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK asks a proxy for everything if one is named."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


def pair_of(api: Api, name: str = "robot") -> Pair:
    made = api.ask("POST", "/access-keys", expect=201, json={"name": name})
    return Pair(made["secret_id"], made["secret_key"])


@pytest.fixture(scope="module")
def standing(standing_api: Api) -> tuple[Api, Pair]:
    return standing_api, pair_of(standing_api)


@pytest.fixture
def sdk(driven: Api) -> Sdk:
    return Sdk(driven.url, pair_of(driven))


def becomes(sdk: Sdk, status: int, one: dict[str, Any] = ONE) -> None:
    def there() -> bool:
        return bool(sdk("DescribeIntegrationTask", **one)["TaskInfo"]["Status"] == status)

    until(there, f"the status to be {status}", 30)


# --- keys -------------------------------------------------------------------------------------------------------


def test_a_secret_is_shown_once_and_not_kept_in_the_clear(api: Api, tmp_path: Path) -> None:
    pair = pair_of(api, "jobs")
    listed = api.http.get("/api/v1/access-keys")
    assert [one["name"] for one in listed.json()] == ["jobs"]
    assert listed.json()[0]["secret_id"] == pair.secret_id
    stored = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir() if path.is_file())
    assert pair.secret_id.encode() in stored
    assert pair.secret_key not in listed.text
    assert pair.secret_key.encode() not in stored


def test_two_keys_have_two_names_and_two_secrets(api: Api) -> None:
    first, second = pair_of(api, "a"), pair_of(api, "b")
    assert len({first.secret_id, second.secret_id, first.secret_key, second.secret_key}) == 4
    assert api.ask("POST", "/access-keys", expect=409, json={"name": "a"})["code"] == "request.name_taken"
    assert api.ask("POST", "/access-keys", expect=422, json={"name": "a b"})["code"] == "request.invalid"


def test_what_a_revoked_key_signs_is_refused(api: Api) -> None:
    pair, other = pair_of(api, "a"), pair_of(api, "b")
    assert "TaskInfoSet" in asked(api.url, pair, "DescribeIntegrationTasks", PAGE)
    api.ask("DELETE", f"/access-keys/{pair.secret_id}", expect=204)
    assert code_of(asked(api.url, pair, "DescribeIntegrationTasks", PAGE)) == codes.UNKNOWN_SECRET_ID
    assert "TaskInfoSet" in asked(api.url, other, "DescribeIntegrationTasks", PAGE)
    assert api.ask("DELETE", f"/access-keys/{pair.secret_id}", expect=404)["code"] == "request.not_found"


def test_keys_are_made_listed_and_revoked_on_the_command_line(api: Api) -> None:
    environment = {"TIDEGATE_URL": api.url, "TIDEGATE_TOKEN": api.token}

    def said(*words: str) -> str:
        result = CliRunner().invoke(app, ["keys", *words], env=environment, terminal_width=160)
        assert result.exit_code == 0, result.output
        return result.stdout

    made = json.loads(said("create", "jobs", "--json"))
    assert "TaskInfoSet" in asked(
        api.url, Pair(made["secret_id"], made["secret_key"]), "DescribeIntegrationTasks", PAGE
    )
    assert made["secret_id"] in said("list")
    assert made["secret_key"] not in said("list", "--json")
    shown = said("create", "more")
    assert "SecretKey" in shown
    assert "revoked" in said("revoke", made["secret_id"])
    assert [one["name"] for one in json.loads(said("list", "--json"))] == ["more"]


# --- who asks, and for what -------------------------------------------------------------------------------------


def test_the_admin_token_is_no_signature_and_a_signature_no_token(standing: tuple[Api, Pair]) -> None:
    api, pair = standing
    body = json.dumps(PAGE).encode()
    headers = signed("DescribeIntegrationTasks", body, pair, host=api.url.removeprefix("http://"))
    bearer = headers | {"Authorization": f"Bearer {api.token}"}
    assert code_of(sent(api.url, bearer, body)) == codes.NO_AUTHORIZATION
    answer = httpx.get(f"{api.url}/api/v1/ops", headers={"Authorization": headers["Authorization"]}, trust_env=False)
    assert answer.status_code == 401


def test_only_post_at_the_root_is_the_wedata_api(standing: tuple[Api, Pair]) -> None:
    api, _ = standing
    assert httpx.get(f"{api.url}/", trust_env=False).headers["location"] == "/console/"
    assert httpx.put(f"{api.url}/", trust_env=False).status_code in (401, 405)
    assert httpx.post(f"{api.url}/api", trust_env=False).status_code == 401


A_MINUTE_AGO = "a minute ago"


@pytest.mark.parametrize(
    ("changed", "body", "code"),
    [
        ({"Host": "elsewhere:1"}, None, codes.WRONG_SIGNATURE),
        ({"Content-Type": "text/plain"}, None, codes.WRONG_SIGNATURE),
        ({"X-TC-Content-SHA256": "UNSIGNED-PAYLOAD"}, None, codes.WRONG_SIGNATURE),
        ({"X-TC-Timestamp": A_MINUTE_AGO}, None, codes.WRONG_SIGNATURE),
        ({}, b'{"ProjectId": "other", "PageNumber": 1, "PageSize": 20}', codes.WRONG_SIGNATURE),
        ({"X-TC-Timestamp": "1700000000"}, None, codes.EXPIRED),
        ({"X-TC-Token": "temporary"}, None, codes.WRONG_TOKEN),
        ({"X-TC-Action": "DescribeEverything"}, None, codes.UNKNOWN_ACTION),
        ({"X-TC-Action": "ModifyProject"}, None, codes.UNKNOWN_ACTION),
        ({"X-TC-Action": ""}, None, codes.MISSING),
        ({"X-TC-Version": LATER_VERSION}, None, codes.UNKNOWN_ACTION),
        ({"X-TC-Version": "2017-03-12"}, None, codes.UNKNOWN_VERSION),
        ({"Authorization": "SKIP"}, None, codes.NO_AUTHORIZATION),
    ],
)
def test_a_request_that_was_changed_is_refused_in_the_envelope(
    standing: tuple[Api, Pair], changed: dict[str, str], body: bytes | None, code: str
) -> None:
    api, pair = standing
    good = json.dumps(PAGE).encode()
    headers = signed("DescribeIntegrationTasks", good, pair, host=api.url.removeprefix("http://"))
    assert "TaskInfoSet" in sent(api.url, headers, good)
    then = str(int(time.time()) - 60)
    sent_now = {name: then if value == A_MINUTE_AGO else value for name, value in changed.items()}
    assert code_of(sent(api.url, headers | sent_now, body or good)) == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", codes.MALFORMED),
        (b"[]", codes.MALFORMED),
        (b"\xff", codes.MALFORMED),
        (b'{"ProjectId": "a", "ProjectId": "b"}', codes.MALFORMED),
        (b'{"ProjectId": "a\\u0000"}', codes.MALFORMED),
        (b"[" * 60 + b"]" * 60, codes.MALFORMED),
        (b"", codes.MISSING),
        (json.dumps(PAGE | {"PageSize": None}).encode(), codes.MISSING),
        (json.dumps(PAGE | {"PageSize": "20"}).encode(), codes.MALFORMED),
        (json.dumps(PAGE | {"PageSize": 20.5}).encode(), codes.MALFORMED),
        (json.dumps(PAGE | {"PageSize": 0}).encode(), codes.VALUE),
        (json.dumps(PAGE | {"PageSize": 100_000}).encode(), codes.TOO_MANY),
        (json.dumps(PAGE | {"Colour": "red"}).encode(), codes.UNKNOWN),
        (json.dumps(PAGE | {"TaskType": 202}).encode(), codes.VALUE),
        (json.dumps(PAGE | {"ProjectId": "nowhere"}).encode(), codes.NO_PROJECT),
        (json.dumps(PAGE | {"Filters": [{"Name": "Colour", "Values": ["red"]}]}).encode(), codes.FILTER),
        (json.dumps(PAGE | {"Filters": [{"Name": "Status", "Values": ["99"]}]}).encode(), codes.FILTER),
        (json.dumps(PAGE | {"OrderFields": [{"Name": "Colour", "Direction": "ASC"}]}).encode(), codes.FILTER),
        (json.dumps(PAGE | {"StartTime": "2026-01-01"}).encode(), codes.VALUE),
    ],
    ids=lambda one: str(one)[:40],
)
def test_parameters_that_are_wrong_are_refused_by_what_is_wrong(
    standing: tuple[Api, Pair], body: bytes, code: str
) -> None:
    assert code_of(asked(*standing_of(standing), "DescribeIntegrationTasks", body)) == code


def standing_of(standing: tuple[Api, Pair]) -> tuple[str, Pair]:
    return standing[0].url, standing[1]


@pytest.mark.parametrize("action", [one for one in ACTIONS if one.request is None], ids=lambda one: one.name)
def test_what_is_not_provided_says_so(standing: tuple[Api, Pair], action: Any) -> None:
    assert action.standing is Standing.NOT
    reply = asked(*standing_of(standing), action.name, {})
    assert code_of(reply) == codes.UNKNOWN_ACTION
    assert action.differs in reply["Error"]["Message"]


def test_a_failure_nobody_foresaw_is_told_in_the_envelope_and_without_its_text(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = pair_of(api)
    monkeypatch.setattr(api.control, "ops", lambda **_: 1 / 0)
    reply = asked(api.url, pair, "DescribeIntegrationTasks", PAGE)
    assert code_of(reply) == codes.INTERNAL
    assert "zero" not in reply["Error"]["Message"]


def test_a_body_that_is_too_large_is_refused_before_it_is_read(standing: tuple[Api, Pair]) -> None:
    place = urlsplit(standing[0].url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as line:
        line.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_MAX_BYTES + 1}\r\n\r\n".encode())
        head, _, body = line.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert code_of(json.loads(body)["Response"]) == codes.TOO_LARGE


def test_null_is_the_same_as_left_out(standing: tuple[Api, Pair]) -> None:
    assert "TaskInfoSet" in asked(*standing_of(standing), "DescribeIntegrationTasks", PAGE | {"Filters": None})


# --- the life of a task -----------------------------------------------------------------------------------------


def nodes(**more: Any) -> dict[str, Any]:
    """A task as a client of this API writes it."""
    return {
        "TaskName": "orders",
        "TaskType": 201,
        "SyncType": 2,
        "Nodes": [
            {"NodeType": "INPUT", "DatasourceId": "shop", "Config": [{"Name": "TableNames", "Value": "public.orders"}]},
            {"NodeType": "OUTPUT", "DatasourceId": "lake", "Config": [{"Name": "WriteMode", "Value": "append"}]},
        ],
    } | more


def test_a_task_is_created_committed_and_lives_its_whole_life(driven: Api, sdk: Sdk) -> None:
    made = sdk("CreateIntegrationTask", ProjectId="1", TaskInfo=nodes())["TaskId"]
    one = {"ProjectId": "1", "TaskId": made}

    becomes(sdk, 0, one)
    assert sdk("CommitIntegrationTask", **one, VersionDesc="first")["Data"] is True
    becomes(sdk, 1, one)
    for action, event, number in (
        ("StartIntegrationTask", "START ", 3),
        ("SuspendIntegrationTask", "SUSPEND", 4),
        ("ResumeIntegrationTask", "RESUME", 3),
        ("SuspendIntegrationTask", "SUSPEND_WITHOUT_SP", 4),
        ("ResumeIntegrationTask", None, 3),
    ):
        assert sdk(action, **one, Event=event)["Data"] is True
        becomes(sdk, number, one)
    info = sdk("DescribeIntegrationTask", **one)
    assert info["TaskVersion"]["VersionDesc"] == "first"
    assert [run["RunningOrderId"] for run in info["TaskVersionList"]] == [1]
    assert info["TaskInfo"]["LastOperateInfo"]["TaskEvent"] == "RESUME"
    assert info["TaskInfo"]["Incharge"] == "key robot"
    assert sdk("StopIntegrationTask", **one)["Data"] is True
    becomes(sdk, 6, one)
    assert sdk("DeleteIntegrationTask", **one)["DeleteFlag"] == 0
    until(lambda: _gone(sdk, one), "the task to be gone", 20)
    commands = ("created", "run", "pause", "force-pause", "continue", "stop", "remove")
    told = [event for event in driven.ask("GET", "/events") if event["task"] == int(made) and event["name"] in commands]
    assert {event["actor"] for event in told} == {"key robot"}


def _gone(sdk: Sdk, one: dict[str, Any]) -> bool:
    return sdk("DescribeIntegrationTasks", **PAGE)["TotalCount"] == 1 and (
        sdk.code("DescribeIntegrationTask", **one) == codes.NOT_FOUND
    )


def test_what_was_described_may_be_sent_back_changed(driven: Api, sdk: Sdk) -> None:
    info = sdk.raw("DescribeIntegrationTask", **ONE)["TaskInfo"]
    info["Nodes"][0]["Config"][0]["Value"] = "public.orders,public.item"
    assert sdk("ModifyIntegrationTask", ProjectId="default", TaskInfo=info)["TaskId"] == info["TaskId"]
    assert driven.ask("GET", f"/tasks/{TASK}")["definition"]["source"]["tables"] == ["public.orders", "public.item"]
    renamed = info | {"TaskName": "renamed"}
    sdk("ModifyIntegrationTask", ProjectId="default", TaskInfo=renamed)
    assert sdk("DescribeIntegrationTask", ProjectId="default", TaskId="renamed")["TaskInfo"]["TaskName"] == "renamed"


def test_commands_are_refused_as_the_lifecycle_says(driven: Api, sdk: Sdk) -> None:
    commands = ("StartIntegrationTask", "SuspendIntegrationTask", "ResumeIntegrationTask", "StopIntegrationTask")
    assert [sdk.code(action, **ONE) for action in commands] == [codes.NOT_NOW] * 4
    running(driven)
    assert sdk.code("StartIntegrationTask", **ONE) == codes.NOT_NOW
    assert sdk.code("ResumeIntegrationTask", **ONE) == codes.NOT_NOW
    assert sdk.code("DeleteIntegrationTask", **ONE) == codes.IN_USE
    give(driven, "pause")
    becomes(sdk, 4)
    assert sdk.code("SuspendIntegrationTask", **ONE) == codes.NOT_NOW
    assert sdk.code("DeleteIntegrationTask", **ONE) == codes.IN_USE


@pytest.mark.parametrize(
    ("action", "params", "code"),
    [
        ("StartIntegrationTask", {"Event": "SUSPEND"}, codes.VALUE),
        ("StartIntegrationTask", {"Event": "TIMESTAMP"}, codes.VALUE),
        ("StartIntegrationTask", {"ExtConfig": [{"Name": "timestamp", "Value": "1"}]}, codes.VALUE),
        ("StartIntegrationTask", {"ExtConfig": [{"Name": "StartupMode", "Value": "NEVER"}]}, codes.VALUE),
        ("StartIntegrationTask", {"ExtConfig": [{"Name": "Position", "Value": "0/1"}]}, codes.VALUE),
        ("SuspendIntegrationTask", {"Event": "START"}, codes.VALUE),
        ("ResumeIntegrationTask", {"ExtConfig": [{"Name": "timestamp", "Value": "1"}]}, codes.VALUE),
        ("CommitIntegrationTask", {"CommitType": 5}, codes.VALUE),
        ("CommitIntegrationTask", {"CommitType": 3}, codes.NOT_NOW),
        ("CommitIntegrationTask", {"CurrentStatus": 3}, codes.NOT_NOW),
        ("CommitIntegrationTask", {"InstanceVersion": 3}, codes.VALUE),
        ("DescribeIntegrationTask", {"InstanceVersion": 3}, codes.NOT_FOUND),
        ("DescribeIntegrationTask", {"TaskType": 202}, codes.VALUE),
        ("DescribeRealTimeTaskSpeed", {"StartTime": 0, "EndTime": 1, "Granularity": 2}, codes.VALUE),
    ],
)
def test_values_that_mean_nothing_here_are_refused(
    driven: Api, sdk: Sdk, action: str, params: dict[str, Any], code: str
) -> None:
    initialize(driven)
    before = task(driven)["version"]
    assert sdk.code(action, **ONE, **params) == code
    assert task(driven)["version"] == before


def test_a_task_of_another_project_is_absent(driven: Api, sdk: Sdk) -> None:
    sdk("CreateBaseProject", Project={"ProjectName": "other"})
    number = str(task(driven)["id"])
    for ref in (number, TASK):
        assert sdk.code("DescribeIntegrationTask", ProjectId="other", TaskId=ref) == codes.NOT_FOUND
    assert sdk.code("StopIntegrationTask", ProjectId="nowhere", TaskId=TASK) == codes.NO_PROJECT
    assert sdk("DescribeIntegrationTasks", **PAGE | {"ProjectId": "other"})["TotalCount"] == 0


def test_what_is_wrong_at_the_source_fails_the_commit_with_its_reason(driven: Api, sdk: Sdk) -> None:
    driven.plane.wrong = [SourceTableUnknown("public.orders does not exist")]
    assert sdk.code("CommitIntegrationTask", **ONE) == codes.FAILED
    assert task(driven)["state"] == State.DRAFT


def test_a_commit_may_start_and_continue_the_task(driven: Api, sdk: Sdk) -> None:
    assert sdk("CommitIntegrationTask", **ONE, CommitType=1)["Data"] is True
    becomes(sdk, 3)
    assert sdk.code("CommitIntegrationTask", **ONE, CommitType=4) == codes.NOT_NOW
    give(driven, "pause")
    becomes(sdk, 4)
    assert sdk("CommitIntegrationTask", **ONE, CommitType=4, CurrentStatus=4)["Data"] is True
    becomes(sdk, 3)


def test_tasks_are_listed_by_page_filter_and_order(driven: Api, sdk: Sdk) -> None:
    for name in ("b_task", "a_task"):
        sdk("CreateIntegrationTask", ProjectId="default", TaskInfo=nodes(TaskName=name))
    initialize(driven)

    def names(*filters: tuple[str, str], **more: Any) -> list[str]:
        given = [{"Name": name, "Values": [value]} for name, value in filters]
        found = sdk("DescribeIntegrationTasks", **PAGE | {"Filters": given} | more)
        return [one["TaskName"] for one in found["TaskInfoSet"]]

    assert names() == ["a_task", "b_task", TASK]
    assert names(("ProductionState", "true")) == [TASK]
    assert names(("Status", "1")) == [TASK]
    assert names(("TaskName", "TASK")) == ["a_task", "b_task"]
    assert names(("TaskId", str(task(driven)["id"]))) == [TASK]
    assert names(("InputDatasourceType", "POSTGRE")) == [TASK]
    assert names(("Incharge", "key robot")) == ["a_task", "b_task"]
    assert names(OrderFields=[{"Name": "CreateTime", "Direction": "DESC"}]) == ["a_task", "b_task", TASK]
    assert names(PageNumber=2, PageSize=2) == [TASK]
    assert sdk("DescribeIntegrationTasks", **PAGE | {"PageSize": 2})["TotalCount"] == 3


def test_names_are_said_to_be_free_or_where_they_are_taken(driven: Api, sdk: Sdk) -> None:
    def check(name: str, **more: Any) -> tuple[bool, int]:
        said = sdk("CheckIntegrationTaskNameExists", ProjectId="default", TaskName=name, **more)
        return said["Data"], said["ExistsType"]

    assert check("free") == (False, 0)
    assert check(TASK) == (True, 1)
    assert check(TASK, TaskId=str(task(driven)["id"])) == (False, 0)
    initialize(driven)
    assert check(TASK) == (True, 2)
    assert sdk.code("CreateIntegrationTask", ProjectId="default", TaskInfo=nodes(TaskName=TASK)) == codes.TAKEN


def test_many_tasks_are_operated_at_once_and_what_is_refused_is_counted(driven: Api, sdk: Sdk) -> None:
    sdk("CreateIntegrationTask", ProjectId="default", TaskInfo=nodes())
    initialize(driven)
    many = {"ProjectId": "default", "TaskType": 201, "TaskIds": [TASK, "orders", "nobody"]}

    def counted(action: str, **more: Any) -> tuple[int, int, int]:
        said = sdk(action, **many | more)
        return said["SuccessCount"], said["FailedCount"], said["TotalCount"]

    assert counted("BatchStartIntegrationTasks") == (1, 2, 3)
    becomes(sdk, 3)
    assert counted("BatchSuspendIntegrationTasks", Event="SUSPEND_WITHOUT_SP") == (1, 2, 3)
    becomes(sdk, 4)
    assert counted("BatchResumeIntegrationTasks") == (1, 2, 3)
    becomes(sdk, 3)
    assert counted("BatchStopIntegrationTasks") == (1, 2, 3)
    becomes(sdk, 6)
    start = [{"Event": "START", "TaskIds": [TASK]}]
    said = sdk("BatchStartIntegrationTasks", ProjectId="default", TaskType=201, StartTaskInfoSet=start)
    assert (said["SuccessCount"], said["TaskNames"]) == (1, [TASK])
    becomes(sdk, 3)
    assert counted("BatchDeleteIntegrationTasks", DeleteKFFlag=1) == (1, 2, 3)
    assert sdk.code("BatchDeleteIntegrationTasks", **many) == codes.VALUE
    assert sdk.code("BatchStopIntegrationTasks", **many | {"TaskType": 202}) == codes.VALUE


# --- figures ----------------------------------------------------------------------------------------------------


def test_figures_of_a_run_are_told_as_totals_and_tables(driven: Api, sdk: Sdk) -> None:
    initialize(driven)
    assert sdk("DescribeRealTimeTaskMetricOverview", **ONE)["TotalRecordNumOfRead"] == 0
    driven.engine.manners.says = {"counters": {"rows_read": 70, "rows_written": 60, "bytes_read": 7000}}
    give(driven, "run")
    becomes(sdk, 3)

    def totals() -> dict[str, Any]:
        found = sdk("DescribeRealTimeTaskMetricOverview", **ONE)
        return {} if found["TotalRecordNumOfRead"] != 70 else dict(found)

    until(lambda: bool(totals()), "the figures to be told", 20)
    assert totals()["TotalRecordNumOfWrite"] == 60
    nodes = sdk("DescribeRealTimeTaskInstanceNodeInfo", **ONE)["RealTimeTaskInstanceNodeInfo"]
    told = [(one["NodeType"], one["NodeName"]) for one in nodes["InstanceNodeInfoList"]]
    assert told == [("SOURCE", "shop"), ("SINK", "lake")]
    now = int(time.time() * 1000)
    speed = sdk("DescribeRealTimeTaskSpeed", **ONE, StartTime=now - 600_000, EndTime=now, Granularity=1)
    assert [(one["NodeType"], one["NodeName"]) for one in speed["RecordsSpeedList"]] == told
    assert speed["Data"]["BytesSpeedList"] == speed["BytesSpeedList"]
    listed = sdk("DescribeIntegrationTasks", **PAGE)["TaskInfoSet"][0]
    assert (listed["NumRecordsIn"], listed["NumRecordsOut"], listed["NumRestarts"]) == (70, 60, 0)
    tables = sdk("DescribeTaskTableMetricOverview", **ONE, NodeType="SINK", PageNumber=1, PageSize=10)
    assert tables["MetricType"] == "SINK"


def test_the_dashboard_counts_tasks_by_status(driven: Api, sdk: Sdk) -> None:
    sdk("CreateIntegrationTask", ProjectId="default", TaskInfo=nodes())
    paused(driven)
    asked_for = {"ProjectId": "default", "TaskType": 201}
    found = sdk("DescribeIntegrationStatistics", **asked_for)
    assert (found["TotalTask"], found["ProdTask"], found["DevTask"]) == (2, 1, 1)
    statuses = json.loads(sdk("DescribeIntegrationStatisticsTaskStatus", **asked_for)["StatusData"])
    assert {name: count for name, count in statuses.items() if count} == {"paused": 1}


def test_what_tasks_moved_is_told_by_the_hour(driven: Api, sdk: Sdk) -> None:
    running(driven)
    day = (int(time.time()) // 86_400 - 1) * 86_400
    with driven.control.db.write() as tx:
        points.add(tx, [_hour(1, day + hour * 3600, 100 * hour) for hour in (0, 1, 2, 4)])
    asked_for = {"ProjectId": "default", "TaskType": 201, "QueryDate": f"{datetime.fromtimestamp(day, UTC):%Y-%m-%d}"}
    trends = sdk("DescribeIntegrationStatisticsRecordsTrend", **asked_for)["TrendsData"]
    read = next(one for one in trends if one["StatisticType"] == "READ")
    assert dict(zip(read["StatisticName"], read["StatisticValue"], strict=True)) == {"00:00": 100, "01:00": 100}
    assert sdk("DescribeIntegrationStatistics", **asked_for)["IncreaseReadRecords"] == 200
    assert sdk.code("DescribeIntegrationStatistics", **asked_for | {"QueryDate": "soon"}) == codes.VALUE


def _hour(run: int, at: int, rows_read: int) -> Point:
    return Point(run, 3600, at, 360, {BY_NAME[Of.TASK]["rows_read"].number: rows_read})


# --- alarms -----------------------------------------------------------------------------------------------------


def alarm(**more: Any) -> dict[str, Any]:
    return {
        "TaskId": TASK,
        "RegularName": "late",
        "RegularStatus": 1,
        "AlarmLevel": 2,
        "AlarmWay": "6",
        "TaskType": 201,
        "AlarmIndicatorInfos": [
            {
                "AlarmIndicator": 13,
                "Operator": 1,
                "Threshold": 5.0,
                "AlarmIndicatorUnit": "min",
                "MaxTimes": 3,
                "Duration": 1,
                "DurationUnit": "hour",
                "IndicatorTimeRangeValue": 2,
                "IndicatorTimeRangeUnit": "min",
            },
            {"AlarmIndicator": 0, "MaxTimes": 3, "Duration": 1, "DurationUnit": "hour"},
        ],
        "QuietPeriods": [{"DaysOfWeek": [6, 7], "StartTime": "22:00:00", "EndTime": "06:30:00"}],
    } | more


def test_alarm_rules_are_made_read_changed_and_deleted(driven: Api, sdk: Sdk) -> None:
    made = sdk("CreateTaskAlarmRegular", ProjectId="default", TaskAlarmInfo=alarm())["AlarmId"]
    rule = driven.ask("GET", "/alert-rules/late")["definition"]
    assert rule["applies_to"] == {"task": TASK}
    assert rule["conditions"] == [
        {"metric": "task_delay", "operator": "above", "threshold": 5.0, "unit": "min", "window": "120s"},
        {"metric": "task_failed"},
    ]
    assert rule["limit"] == {"most": 3, "per": "3600s"}
    quiet = {"weekdays": ["sat", "sun"], "from": "22:00", "to": "06:30", "time_zone": "UTC"}
    assert (rule["severity"], rule["quiet"]) == ("urgent", [quiet])

    def found(**more: Any) -> list[Any]:
        return list(sdk("DescribeTaskAlarmRegulations", **PAGE | more)["TaskAlarmInfos"])

    told = next(one for one in found() if one["Id"] == str(made))
    sdk("ModifyTaskAlarmRegular", ProjectId="default", Id=str(made), TaskAlarmInfo=told)
    assert driven.ask("GET", "/alert-rules/late")["definition"] == rule
    assert [one["RegularName"] for one in found(TaskId=TASK)] == ["late"]
    named = [one["RegularName"] for one in found(Filters=[{"Name": "RegularName", "Values": ["LAT"]}])]
    assert sorted(named) == ["late", "task_late"]
    assert len(found(Filters=[{"Name": "AlarmIndicator", "Values": ["1001"]}])) == 1
    taken = {"ProjectId": "default", "AlarmRegularName": "late"}
    assert sdk("CheckAlarmRegularNameExist", **taken)["Data"] is True
    assert sdk("CheckAlarmRegularNameExist", **taken, Id=str(made))["Data"] is False
    assert sdk.code("CreateTaskAlarmRegular", ProjectId="default", TaskAlarmInfo=alarm()) == codes.TAKEN
    assert sdk("DeleteTaskAlarmRegular", ProjectId="default", Id=str(made))["Data"] is True
    assert sdk.code("DeleteTaskAlarmRegular", ProjectId="default", Id=str(made)) == codes.NO_RULE


def test_every_rule_there_is_from_the_start_can_be_told_and_sent_back(driven: Api, sdk: Sdk) -> None:
    before = driven.ask("GET", "/alert-rules")
    for one in sdk("DescribeTaskAlarmRegulations", **PAGE)["TaskAlarmInfos"]:
        sdk("ModifyTaskAlarmRegular", ProjectId="default", Id=one["Id"], TaskAlarmInfo=one)
    after = driven.ask("GET", "/alert-rules")
    assert [_meant(one) for one in after] == [_meant(one) for one in before]


def _meant(rule: dict[str, Any]) -> Any:
    """A rule without what is the same said in other words."""
    conditions = [
        {name: value for name, value in one.items() if name not in ("operator", "unit")}
        for one in rule["definition"]["conditions"]
    ]
    return rule["definition"] | {"conditions": conditions}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"AlarmWay": "1"}, codes.VALUE),
        ({"AlarmLevel": 3}, codes.VALUE),
        ({"RegularStatus": 2}, codes.VALUE),
        ({"TaskType": 202}, codes.VALUE),
        ({"TaskId": "nobody"}, codes.NOT_FOUND),
        ({"AlarmRecipientId": "nobody"}, codes.NOT_FOUND),
        ({"MonitorType": 5}, codes.VALUE),
        ({"MonitorObjectIds": ["1", "2"]}, codes.VALUE),
        ({"WeComHook": "https://hook.example"}, codes.VALUE),
        ({"AlarmReceiverGroups": [{"AlarmWay": "1"}]}, codes.VALUE),
        ({"AlarmIndicatorInfos": [{"AlarmIndicator": 50}]}, codes.VALUE),
        ({"AlarmIndicatorInfos": [{"AlarmIndicator": 13}]}, codes.VALUE),
        ({"AlarmIndicatorInfos": [{"AlarmIndicator": 0, "MaxTimes": 1}, {"AlarmIndicator": 2}]}, codes.VALUE),
        ({"AlarmIndicatorInfos": [{"AlarmIndicator": 0, "EstimatedTime": 1}]}, codes.VALUE),
        ({"AlarmIndicatorInfos": None, "AlarmIndicator": 4}, codes.VALUE),
        ({"AlarmIndicatorInfos": None}, codes.MISSING),
        ({"QuietPeriods": [{"StartTime": "22:00:30", "EndTime": "23:00:00"}]}, codes.VALUE),
        ({"QuietPeriods": [{"DaysOfWeek": [8], "StartTime": "22:00:00", "EndTime": "23:00:00"}]}, codes.VALUE),
    ],
)
def test_alarms_that_cannot_be_are_refused(driven: Api, sdk: Sdk, changed: dict[str, Any], code: str) -> None:
    assert sdk.code("CreateTaskAlarmRegular", ProjectId="default", TaskAlarmInfo=alarm(**changed)) == code
    assert "late" not in {one["name"] for one in driven.ask("GET", "/alert-rules")}


def test_a_rule_is_made_for_each_of_many_tasks(driven: Api, sdk: Sdk) -> None:
    made = sdk("CreateIntegrationTask", ProjectId="default", TaskInfo=nodes())["TaskId"]
    said = sdk(
        "BatchCreateIntegrationTaskAlarms", ProjectId="default", TaskIds=[TASK, made, "77"], TaskAlarmInfo=alarm()
    )
    assert (said["SuccessCount"], said["FailedCount"], said["TotalCount"]) == (2, 1, 3)
    assert driven.ask("GET", f"/alert-rules/late_{made}")["definition"]["applies_to"] == {"task": "orders"}


# --- data sources, projects, resource groups --------------------------------------------------------------------


def source(**more: Any) -> dict[str, Any]:
    params = {"url": "jdbc:postgresql://127.0.0.1:1/more", "username": "tidegate", "password": CANARY}
    return {
        "Name": "more",
        "Category": "DB",
        "Type": "POSTGRE",
        "OwnerProjectId": "1",
        "OwnerProjectName": "default",
        "OwnerProjectIdent": "default",
        "Params": json.dumps(params),
    } | more


def test_a_data_source_is_made_shown_masked_changed_and_deleted(driven: Api, sdk: Sdk) -> None:
    made = sdk("CreateDataSource", **source())["Data"]
    config = driven.ask("GET", "/data-sources/more")["config"]
    assert {name: config[name] for name in ("host", "port", "database", "user")} == {
        "host": "127.0.0.1",
        "port": 1,
        "database": "more",
        "user": "tidegate",
    }
    shown = sdk("DescribeDatasource", Id=made)["Data"]
    assert (shown["Name"], shown["Type"], shown["OwnerProjectId"]) == ("more", "POSTGRE", "1")
    assert CANARY not in json.dumps(shown)
    assert sdk("ModifyDataSource", **source(Description="said"), ID=made)["Data"] is True
    assert driven.ask("GET", "/data-sources/more")["description"] == "said"
    listed = sdk("DescribeDataSourceList", Filters=[{"Name": "Name", "Values": ["MORE"]}])["Data"]
    assert ([one["ID"] for one in listed["Rows"]], listed["TotalCount"]) == ([made], 1)
    assert sdk("DeleteDataSources", Ids=[made])["Data"] is True
    assert sdk.code("DescribeDatasource", Id=made) == codes.NOT_FOUND


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"Type": "ORACLE"}, codes.VALUE),
        ({"Category": "FILE"}, codes.VALUE),
        ({"Params": "{"}, codes.VALUE),
        ({"Params": "[]"}, codes.VALUE),
        ({"Params": json.dumps({"url": "jdbc:mysql://h/d"})}, codes.VALUE),
        ({"Params": json.dumps({"url": "jdbc:postgresql://h/d?sslmode=disable"})}, codes.VALUE),
        ({"Params": json.dumps({"host": "h", "colour": "red"})}, codes.VALUE),
        ({"Params": None}, codes.VALUE),
        ({"BizParams": "{}"}, codes.VALUE),
        ({"OwnerProjectId": "77"}, codes.NO_PROJECT),
        ({"Name": "shop"}, codes.TAKEN),
        ({"Name": "a b"}, codes.VALUE),
    ],
)
def test_data_sources_that_cannot_be_are_refused(driven: Api, sdk: Sdk, changed: dict[str, Any], code: str) -> None:
    assert sdk.code("CreateDataSource", **source(**changed)) == code


def test_a_data_source_that_is_used_stays_and_so_do_those_named_with_it(driven: Api, sdk: Sdk) -> None:
    made = sdk("CreateDataSource", **source())["Data"]
    used = driven.ask("GET", "/data-sources/shop")["id"]
    assert sdk.code("DeleteDataSources", Ids=[made, used]) == codes.IN_USE
    assert driven.ask("GET", "/data-sources/more")["id"] == made


def test_projects_and_resource_groups_are_described(driven: Api, sdk: Sdk) -> None:
    sdk("CreateBaseProject", Project={"ProjectName": "second", "Description": "said"})
    assert sdk.code("CreateBaseProject", Project={"ProjectName": "second"}) == codes.PROJECT_TAKEN
    second = sdk("DescribeProject", ProjectName="second")["Data"]
    assert sdk("DescribeProject", ProjectId=second["ProjectId"])["Data"]["Description"] == "said"
    assert sdk.code("DescribeProject", ProjectId="77") == codes.NO_PROJECT
    rows = sdk("DescribeTenantProjects", PageNumber=1, PageSize=10)["Data"]["Rows"]
    assert [one["ProjectName"] for one in rows] == ["default", "second"]
    group = sdk("DescribeExecutorGroupMetric", ExecutorGroupId="default")["Data"]
    assert group["ExecutorGroupName"] == "default"
    assert sdk.code("DescribeExecutorGroupMetric", ExecutorGroupId="nowhere") == codes.NOT_FOUND


# --- every reply ------------------------------------------------------------------------------------------------


def replies(driven: Api, sdk: Sdk) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is answered about a task that runs, has rules, and fired alarms."""
    made = sdk.raw("CreateTaskAlarmRegular", ProjectId="default", TaskAlarmInfo=alarm())["AlarmId"]
    driven.engine.manners.says = {"counters": {"rows_read": 70}}
    running(driven)
    now = int(time.time() * 1000)
    number = driven.ask("GET", "/data-sources/shop")["id"]
    kind = {"ProjectId": "default", "TaskType": 201}
    for action, params in (
        ("DescribeIntegrationTasks", PAGE),
        ("DescribeIntegrationTask", ONE),
        ("DescribeRealTimeTaskMetricOverview", ONE),
        ("DescribeRealTimeTaskSpeed", ONE | {"StartTime": now - 600_000, "EndTime": now, "Granularity": 5}),
        ("DescribeRealTimeTaskInstanceNodeInfo", ONE),
        ("TaskLog", ONE | {"StartTime": now - 600_000, "EndTime": now}),
        ("DescribeStreamTaskLogList", ONE | {"JobId": "", "StartTime": now - 600_000, "EndTime": now}),
        ("DescribeTaskTableMetricOverview", ONE | {"NodeType": "SOURCE", "PageNumber": 1, "PageSize": 9}),
        ("DescribeTaskAlarmRegulations", PAGE),
        ("DescribeAlarmEvents", PAGE),
        ("DescribeIntegrationStatistics", kind),
        ("DescribeIntegrationStatisticsTaskStatus", kind),
        ("DescribeIntegrationStatisticsRecordsTrend", kind),
        ("DescribeDatasource", {"Id": number}),
        ("DescribeDataSourceList", {}),
        ("DescribeProject", {"ProjectId": "1"}),
        ("DescribeTenantProjects", {"PageNumber": 1, "PageSize": 9}),
        ("DescribeExecutorGroupMetric", {"ExecutorGroupId": "default"}),
        ("CheckIntegrationTaskNameExists", {"ProjectId": "1", "TaskName": "x"}),
        ("SuspendIntegrationTask", ONE),
        ("DeleteTaskAlarmRegular", {"ProjectId": "1", "Id": str(made)}),
    ):
        yield action, sdk.raw(action, **params)


def test_replies_hold_only_what_is_published_and_no_secret(driven: Api, sdk: Sdk) -> None:
    wrong = []
    for action, reply in replies(driven, sdk):
        wrong += [f"{action}: {field}" for field in unpublished(f"{action}Response", reply)]
        assert CANARY not in json.dumps(reply)
    assert wrong == []
