"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "key_event",
        sa.Column("id", ID, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("run_number", sa.Integer()),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("state_from", sa.String(length=30)),
        sa.Column("state_to", sa.String(length=30)),
        sa.Column("task_version", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("error", sa.JSON(none_as_null=True)),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_key_event"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_key_event_task_id_id", "key_event", ["task_id", "id"], unique=False)
    op.create_table(
        "project",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_project"),
        sa.UniqueConstraint("name", name="uq_project_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "resource_group",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("engine", sa.String(length=50), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_resource_group"),
        sa.UniqueConstraint("name", name="uq_resource_group_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "setting",
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_setting"),
    )
    op.create_table(
        "data_source",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=50), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_data_source_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_data_source"),
        sa.UniqueConstraint("project_id", "name", name="uq_data_source_project_id_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "task",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=30), nullable=False),
        sa.Column("intent", sa.String(length=30), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state_since", sa.Double(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("changed", sa.Boolean(), nullable=False),
        sa.Column("submitted", sa.Integer()),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("source_name", sa.String(length=100), nullable=False),
        sa.Column("source_kind", sa.String(length=50)),
        sa.Column("target_name", sa.String(length=100), nullable=False),
        sa.Column("target_kind", sa.String(length=50)),
        sa.Column("read", sa.String(length=30), nullable=False),
        sa.Column("write", sa.String(length=30), nullable=False),
        sa.Column("group_name", sa.String(length=100), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("run_id", ID),
        sa.Column("error", sa.JSON(none_as_null=True)),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_task_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_task"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_task_state", "task", ["state"], unique=False)
    op.create_index(
        "uq_task_project_id_name",
        "task",
        ["project_id", "name"],
        unique=True,
        sqlite_where=sa.text("state <> 'removed'"),
        postgresql_where=sa.text("state <> 'removed'"),
    )
    op.create_table(
        "run",
        sa.Column("id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=50), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("start", sa.JSON(), nullable=False),
        sa.Column("group_name", sa.String(length=100), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("restarts_max", sa.Integer(), nullable=False),
        sa.Column("snapshots_keep", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double()),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64)),
        sa.Column("worker_pid", sa.Integer()),
        sa.Column("worker_started", sa.String(length=100)),
        sa.Column("worker_since", sa.Double()),
        sa.Column("registered_at", sa.Double()),
        sa.Column("opened_at", sa.Double()),
        sa.Column("heard_at", sa.Double()),
        sa.Column("restarts", sa.Integer(), nullable=False),
        sa.Column("restarts_spent", sa.Integer(), nullable=False),
        sa.Column("restarts_quick", sa.Integer(), nullable=False),
        sa.Column("restart_at", sa.Double()),
        sa.Column("phase", sa.String(length=30), nullable=False),
        sa.Column("health", sa.String(length=30), nullable=False),
        sa.Column("position", sa.Text()),
        sa.Column("lag_s", sa.Double()),
        sa.Column("lag_bytes", sa.BigInteger()),
        sa.Column("counters", sa.JSON(), nullable=False),
        sa.Column("tables", sa.JSON(), nullable=False),
        sa.Column("error", sa.JSON(none_as_null=True)),
        sa.Column("snapshot_request", sa.String(length=50)),
        sa.Column("cleanup", sa.String(length=10), nullable=False),
        sa.Column("cleanup_tries", sa.Integer(), nullable=False),
        sa.Column("cleanup_at", sa.Double()),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name="fk_run_task_id"),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sa.UniqueConstraint("key", name="uq_run_key"),
        sa.UniqueConstraint("task_id", "number", name="uq_run_task_id_number"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_run_cleanup", "run", ["cleanup"], unique=False)
    op.create_index("ix_run_worker_pid", "run", ["worker_pid"], unique=False)
    op.create_table(
        "task_version",
        sa.Column("task_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("submitted_at", sa.Double(), nullable=False),
        sa.Column("submitted_by", sa.String(length=100), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name="fk_task_version_task_id"),
        sa.PrimaryKeyConstraint("task_id", "number", name="pk_task_version"),
    )
    op.create_table(
        "snapshot",
        sa.Column("id", ID, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("sortable", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_bytes", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.String(length=50)),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_snapshot_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_snapshot"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_snapshot_run_id_id", "snapshot", ["run_id", "id"], unique=False)
