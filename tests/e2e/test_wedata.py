"""The whole life of a real task by the published SDK and by tccli, both as they are, against a real server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from api.wedata import Pair, Sdk
from e2e.conftest import World
from tidegate.testing.site import eventually

RUNNING, PAUSED, STOPPED = 3, 4, 6
TCCLI = shutil.which("tccli", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
PROJECT = {"ProjectId": "default"}


@pytest.fixture
def pair(world: World, monkeypatch: pytest.MonkeyPatch) -> Pair:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = world.site.ask("POST", "/access-keys", {"name": "robot"})
    return Pair(made["secret_id"], made["secret_key"])


def data_source(sdk: Sdk, world: World, name: str, database: str) -> str:
    """Made through the API; its id."""
    config = world.server.config(database)
    made = sdk(
        "CreateDataSource",
        Name=name,
        Category="DB",
        Type="POSTGRE",
        OwnerProjectId="default",
        OwnerProjectName="default",
        OwnerProjectIdent="default",
        Params=json.dumps(config),
    )
    return str(made["Data"])


def test_the_sdk_drives_the_whole_life_of_a_task(world: World, pair: Pair) -> None:
    sdk = Sdk(world.site.url, pair)
    world.source.execute("create table a (id int primary key, name text)")
    world.source.execute("insert into a select i, 'n' || i from generate_series(1, 500) i")
    source = data_source(sdk, world, "shop", world.source_name)
    target = data_source(sdk, world, "lake", world.target_name)
    info = {
        "TaskName": "shop_to_lake",
        "TaskType": 201,
        "SyncType": 1,
        "Nodes": [
            {
                "NodeType": "INPUT",
                "DatasourceId": source,
                "DataSourceType": "POSTGRE",
                "Config": [{"Name": "TableNames", "Value": "public.a"}],
            },
            {
                "NodeType": "OUTPUT",
                "DatasourceId": target,
                "DataSourceType": "POSTGRE",
                "Config": [{"Name": "WriteMode", "Value": "upsert"}, {"Name": "SchemaName", "Value": "public"}],
            },
        ],
        "Config": [
            {"Name": "CheckpointingInterval", "Value": "1"},
            {"Name": "CheckpointingIntervalUnit", "Value": "s"},
        ],
    }
    one = PROJECT | {"TaskId": sdk("CreateIntegrationTask", **PROJECT, TaskInfo=info)["TaskId"]}

    def shown() -> dict[str, Any]:
        return dict(sdk("DescribeIntegrationTask", **one)["TaskInfo"])

    def reaches(status: int) -> None:
        eventually(lambda: shown()["Status"] == status, f"the status is {status}")

    def refused(action: str, **params: Any) -> bool:
        return sdk.code(action, **one, **params) == "UnsupportedOperation"

    assert refused("StartIntegrationTask")
    sdk("CommitIntegrationTask", **one, CommitType=0)
    sdk("StartIntegrationTask", **one, Event="START")
    reaches(RUNNING)
    eventually(lambda: world.equal("a"), "the existing rows arrive")
    assert refused("StartIntegrationTask")

    def totals() -> dict[str, Any]:
        return dict(sdk("DescribeRealTimeTaskMetricOverview", **one))

    eventually(lambda: totals()["TotalRecordNumOfWrite"] >= 500, "the figures say so")
    tables = sdk("DescribeTaskTableMetricOverview", **one, NodeType="SINK", PageNumber=1, PageSize=10)
    assert [table["TargetTableName"] for table in tables["TaskTableMetricInfos"]] == ["a"]

    sdk("SuspendIntegrationTask", **one, Event="SUSPEND")
    reaches(PAUSED)
    assert refused("SuspendIntegrationTask")
    world.source.execute("delete from a where id > 400")
    sdk("ResumeIntegrationTask", **one, Event="RESUME")
    reaches(RUNNING)
    eventually(lambda: world.equal("a"), "what happened meanwhile arrives")

    eventually(lambda: shown()["SavePointId"] is not None, "there is a snapshot to continue from")
    sdk("SuspendIntegrationTask", **one, Event="SUSPEND_WITHOUT_SP")
    reaches(PAUSED)
    assert shown()["LastOperateInfo"]["TaskEvent"] == "SUSPEND_WITHOUT_SP"
    world.source.execute("update a set name = 'changed' where id < 50")
    sdk("ResumeIntegrationTask", **one)
    reaches(RUNNING)
    eventually(lambda: world.equal("a"), "what happened meanwhile arrives")

    alarm = {
        "TaskId": one["TaskId"],
        "RegularName": "stopped",
        "RegularStatus": 1,
        "AlarmLevel": 0,
        "AlarmWay": "6",
        "TaskType": 201,
        "AlarmIndicatorInfos": [{"AlarmIndicator": 2}],
    }
    sdk("CreateTaskAlarmRegular", **PROJECT, TaskAlarmInfo=alarm)
    assert sdk.code("DeleteIntegrationTask", **one) == "ResourceInUse"
    assert sdk.code("DeleteDataSources", Ids=[int(source)]) == "ResourceInUse"
    sdk("StopIntegrationTask", **one)
    reaches(STOPPED)

    def fired() -> list[Any]:
        return list(sdk("DescribeAlarmEvents", **PROJECT, PageNumber=1, PageSize=9)["AlarmEventInfoList"])

    eventually(lambda: "stopped" in [alarm["RegularName"] for alarm in fired()], "the alarm fires")
    now = int(time.time() * 1000)
    speed = sdk("DescribeRealTimeTaskSpeed", **one, StartTime=now - 600_000, EndTime=now, Granularity=1)
    assert {series["NodeType"] for series in speed["RecordsSpeedList"]} == {"SOURCE", "SINK"}
    sdk("DeleteIntegrationTask", **one)
    listed = PROJECT | {"PageNumber": 1, "PageSize": 9}
    eventually(lambda: not sdk("DescribeIntegrationTasks", **listed)["TotalCount"], "the task is gone")
    assert sdk.code("DescribeIntegrationTask", **one) == "ResourceNotFound"
    eventually(lambda: world.slots() == [], "the slot is dropped")


@pytest.mark.slow
@pytest.mark.skipif(TCCLI is None, reason="pip install tccli: its 600 MB are not for everybody's environment")
def test_tccli_drives_the_whole_life_of_a_task(world: World, pair: Pair, tmp_path: Path) -> None:
    world.source.execute("create table a (id int primary key, name text)")
    world.source.execute("insert into a select i, 'n' || i from generate_series(1, 50) i")
    environment = os.environ | {
        "HOME": str(tmp_path),
        "TENCENTCLOUD_SECRET_ID": pair.secret_id,
        "TENCENTCLOUD_SECRET_KEY": pair.secret_key,
        "TENCENTCLOUD_REGION": "ap-nowhere",
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(TCCLI), *words], env=environment, capture_output=True, text=True, timeout=120)

    def tccli(action: str, *words: str, task: str | None = None) -> Any:
        about = ("--ProjectId", "default", *(("--TaskId", task) if task else ()))
        said = run("wedata", action, *about, *words)
        assert said.returncode == 0, said.stdout + said.stderr
        return json.loads(said.stdout)

    configured = run("configure", "set", "wedata.endpoint", world.site.url, "wedata.version", "2021-08-20")
    assert configured.returncode == 0, configured.stderr
    nodes = [
        {"NodeType": "INPUT", "DatasourceId": "src", "Config": [{"Name": "TableNames", "Value": "public.a"}]},
        {
            "NodeType": "OUTPUT",
            "DatasourceId": "dst",
            "Config": [{"Name": "WriteMode", "Value": "upsert"}, {"Name": "SchemaName", "Value": "public"}],
        },
    ]
    info = {"TaskName": "by_hand", "TaskType": 201, "SyncType": 1, "Nodes": nodes}
    task = tccli("CreateIntegrationTask", "--TaskInfo", json.dumps(info))["TaskId"]
    assert tccli("CommitIntegrationTask", "--CommitType", "1", task=task)["Data"] is True

    def reaches(status: int) -> None:
        waiter = f"{{'expr':'TaskInfo.Status','to':{status},'timeout':60,'interval':1}}"
        assert tccli("DescribeIntegrationTask", "--waiter", waiter, task=task)["TaskInfo"]["Status"] == status

    reaches(RUNNING)
    eventually(lambda: world.equal("a"), "the rows arrive")
    assert tccli("SuspendIntegrationTask", "--Event", "SUSPEND_WITHOUT_SP", task=task)["Data"] is True
    reaches(PAUSED)
    refused = run("wedata", "SuspendIntegrationTask", "--ProjectId", "default", "--TaskId", task)
    assert refused.returncode == 255
    assert "code:UnsupportedOperation" in refused.stdout + refused.stderr
    assert tccli("ResumeIntegrationTask", task=task)["Data"] is True
    reaches(RUNNING)
    production = json.dumps([{"Name": "ProductionState", "Values": ["true"]}])
    listed = tccli("DescribeIntegrationTasks", "--PageNumber", "1", "--PageSize", "9", "--Filters", production)
    assert [one["TaskId"] for one in listed["TaskInfoSet"]] == [task]
    assert tccli("StopIntegrationTask", task=task)["Data"] is True
    reaches(STOPPED)
    assert tccli("DeleteIntegrationTask", task=task)["Data"] is True
