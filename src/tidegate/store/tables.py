"""The metadata store's tables. Times are seconds since 1970-01-01 UTC; `version` counts the changes of a row, for
compare-and-set. A change here needs a migration beside it; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")
Bytes = BigInteger

setting = Table(
    "setting",
    metadata,
    Column("name", String(50), primary_key=True),
    Column("value", Text, nullable=False),
)

project = Table(
    "project",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("description", String(500), nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("name"),
    sqlite_autoincrement=True,
)

data_source = Table(
    "data_source",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("project.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("kind", String(50), nullable=False),
    Column("description", String(500), nullable=False),
    Column("config", JSON, nullable=False),
    Column("secrets", LargeBinary, nullable=False),  # encrypted, see secrets.py (I8)
    Column("version", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

resource_group = Table(
    "resource_group",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("engine", String(50), nullable=False),
    Column("units", Integer, nullable=False),
    Column("description", String(500), nullable=False),
    Column("version", Integer, nullable=False),
    UniqueConstraint("name"),
    sqlite_autoincrement=True,
)

task = Table(
    "task",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("project.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("description", String(500), nullable=False),
    Column("owner", String(100), nullable=False),
    Column("state", String(30), nullable=False),
    Column("intent", String(30), nullable=False),  # the last command accepted; empty for a draft
    Column("version", Integer, nullable=False),
    Column("state_since", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("definition", JSON, nullable=False),  # as last edited
    Column("changed", Boolean, nullable=False),  # edited since it was submitted
    Column("submitted", Integer),  # number of the newest task_version
    # Of the newest submitted definition (of a draft: of the draft), for lists.
    Column("kind", String(30), nullable=False),
    Column("source_name", String(100), nullable=False),
    Column("source_kind", String(50)),
    Column("target_name", String(100), nullable=False),
    Column("target_kind", String(50)),
    Column("read", String(30), nullable=False),
    Column("write", String(30), nullable=False),
    Column("group_name", String(100), nullable=False),
    Column("units", Integer, nullable=False),
    Column("run_id", Id),  # the newest run; held while that run has not ended
    Column("error", JSON(none_as_null=True)),  # why it is in this state
    Index("ix_task_state", "state"),
    sqlite_autoincrement=True,
)
# A removed task's name is free again.
Index(
    "uq_task_project_id_name",
    task.c.project_id,
    task.c.name,
    unique=True,
    sqlite_where=text("state <> 'removed'"),
    postgresql_where=text("state <> 'removed'"),
)

task_version = Table(
    "task_version",
    metadata,
    Column("task_id", Id, ForeignKey("task.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("definition", JSON, nullable=False),
    Column("submitted_at", Double, nullable=False),
    Column("submitted_by", String(100), nullable=False),
    Column("note", String(500), nullable=False),
)

run = Table(
    "run",
    metadata,
    Column("id", Id, primary_key=True),
    Column("task_id", Id, ForeignKey("task.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("key", String(50), nullable=False),  # its name at the source and target
    # What it was last opened with.
    Column("version", Integer, nullable=False),
    Column("start", JSON, nullable=False),
    Column("group_name", String(100), nullable=False),
    Column("units", Integer, nullable=False),
    Column("restarts_max", Integer, nullable=False),
    Column("snapshots_keep", Integer, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    # Its worker. An epoch never goes back (I5); without a token hash no worker may speak for it.
    Column("epoch", Integer, nullable=False),
    Column("token_hash", String(64)),
    Column("worker_pid", Integer),
    Column("worker_started", String(100)),
    Column("worker_since", Double),
    Column("registered_at", Double),
    Column("opened_at", Double),
    Column("heard_at", Double),
    # Restarts: of the run's whole life, since it was last run or continued, and quick ones in a row.
    Column("restarts", Integer, nullable=False),
    Column("restarts_spent", Integer, nullable=False),
    Column("restarts_quick", Integer, nullable=False),
    Column("restart_at", Double),
    # What it last reported.
    Column("phase", String(30), nullable=False),
    Column("health", String(30), nullable=False),
    Column("position", Text),
    Column("lag_s", Double),
    Column("lag_bytes", Bytes),
    Column("counters", JSON, nullable=False),
    Column("tables", JSON, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("snapshot_request", String(50)),
    # kept, due, done, left: see Cleanup.
    Column("cleanup", String(10), nullable=False),
    Column("cleanup_tries", Integer, nullable=False),
    Column("cleanup_at", Double),
    UniqueConstraint("task_id", "number"),
    UniqueConstraint("key"),
    Index("ix_run_cleanup", "cleanup"),
    Index("ix_run_worker_pid", "worker_pid"),
    sqlite_autoincrement=True,
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("id", Id, primary_key=True),
    Column("run_id", Id, ForeignKey("run.id"), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("at", Double, nullable=False),
    Column("position", Text, nullable=False),
    Column("sortable", Text),
    Column("state", Text, nullable=False),  # JSON, opaque here
    Column("state_bytes", Bytes, nullable=False),
    Column("request", String(50)),
    Index("ix_snapshot_run_id_id", "run_id", "id"),
    sqlite_autoincrement=True,
)

# No foreign keys: what happened stays readable.
key_event = Table(
    "key_event",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Double, nullable=False),
    Column("task_id", Id, nullable=False),
    Column("run_number", Integer),
    Column("name", String(50), nullable=False),
    Column("state_from", String(30)),
    Column("state_to", String(30)),
    Column("task_version", Integer, nullable=False),  # the task row's version once it had happened
    Column("actor", String(100), nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("facts", JSON, nullable=False),
    Index("ix_key_event_task_id_id", "task_id", "id"),
    sqlite_autoincrement=True,
)
