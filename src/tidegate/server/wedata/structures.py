"""The structures in which a task is sent and answered, field by field as published."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from tidegate.server.wedata.shapes import Fields, Ref, Refs, Shape, Text

Int = int | None
Str = Text | None
Structure = dict[str, Any]
"""One that belongs to offline tasks, or only to answers: it is not looked into."""


class IntegrationNodeSchema(Shape):
    Id: Text
    Name: Text
    Type: Text
    Value: Str = None
    Properties: Fields | None = None
    Alias: Str = None
    Comment: Str = None
    Category: Str = None


class IntegrationNodeSchemaMapping(Shape):
    SourceSchemaId: Text
    SinkSchemaId: Text


NodeSchema = Annotated[list[IntegrationNodeSchema], Field(max_length=10_000)]


class IntegrationNodeMapping(Shape):
    SourceId: Str = None
    SinkId: Str = None
    SourceSchema: NodeSchema | None = None
    SchemaMappings: Annotated[list[IntegrationNodeSchemaMapping], Field(max_length=10_000)] | None = None
    ExtConfig: Fields | None = None


class IntegrationNodeInfo(Shape):
    Id: Str = None
    TaskId: Str = None
    Name: Str = None
    NodeType: Str = None
    DataSourceType: Str = None
    Description: Str = None
    DatasourceId: Str = None
    Config: Fields | None = None
    ExtConfig: Fields | None = None
    Schema: NodeSchema | None = None
    NodeMapping: IntegrationNodeMapping | None = None
    AppId: Str = None
    ProjectId: Str = None
    CreatorUin: Str = None
    OperatorUin: Str = None
    OwnerUin: Str = None
    CreateTime: Str = None
    UpdateTime: Str = None


class IntegrationTag(Shape):
    Key: Str = None
    Value: Str = None


class IntegrationTaskInfo(Shape):
    TaskName: Str = None
    Description: Str = None
    SyncType: Int = None
    TaskType: Int = None
    WorkflowId: Str = None
    TaskId: Str = None
    ScheduleTaskId: Str = None
    TaskGroupId: Str = None
    ProjectId: Str = None
    CreatorUin: Str = None
    OperatorUin: Str = None
    OwnerUin: Str = None
    AppId: Str = None
    Status: Int = None
    Nodes: Annotated[list[IntegrationNodeInfo], Field(max_length=100)] | None = None
    ExecutorId: Str = None
    Config: Fields | None = None
    ExtConfig: Fields | None = None
    ExecuteContext: Fields | None = None
    Mappings: Annotated[list[IntegrationNodeMapping], Field(max_length=100)] | None = None
    TaskMode: Str = None
    Incharge: Str = None
    OfflineTaskAddEntity: Structure | None = None
    ExecutorGroupName: Str = None
    InLongManagerUrl: Str = None
    InLongStreamId: Str = None
    InLongManagerVersion: Str = None
    DataProxyUrl: list[Text] | None = None
    Submit: bool | None = None
    InputDatasourceType: Str = None
    OutputDatasourceType: Str = None
    NumRecordsIn: Int = None
    NumRecordsOut: Int = None
    ReaderDelay: float | None = None
    NumRestarts: Int = None
    CreateTime: Str = None
    UpdateTime: Str = None
    LastRunTime: Str = None
    StopTime: Str = None
    HasVersion: bool | None = None
    Locked: bool | None = None
    Locker: Str = None
    RunningCu: float | None = None
    TaskAlarmRegularList: list[Text] | None = None
    SwitchResource: Int = None
    ReadPhase: Int = None
    InstanceVersion: Int = None
    ArrangeSpaceTaskId: Str = None
    OfflineTaskStatus: Int = None
    TaskImportInfo: Structure | None = None
    BusinessLatency: Int = None
    CurrentSyncPosition: Int = None
    TagList: list[IntegrationTag] | None = None
    ErrorMessage: Str = None
    TaskSubType: Int = None
    NotExistsCheckPoint: Int = None
    SavePointId: Str = None
    SavePointPath: Str = None
    LastOperateInfo: Structure | None = None


class StartTaskInfo(Shape):
    Event: Str = None
    TaskIds: Refs | None = None
    Config: Fields | None = None
    Description: Str = None


__all__ = [
    "IntegrationNodeInfo",
    "IntegrationNodeMapping",
    "IntegrationTag",
    "IntegrationTaskInfo",
    "Ref",
    "StartTaskInfo",
    "Structure",
]
