"""Alert rules, the channels they tell, what fired, and what was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "alert_channel",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("shown", sa.String(length=200), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_alert_channel_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alert_channel"),
        sa.UniqueConstraint("project_id", "name", name="uq_alert_channel_project_id_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "alert_rule",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("last_fired_at", sa.Double()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_alert_rule_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alert_rule"),
        sa.UniqueConstraint("project_id", "name", name="uq_alert_rule_project_id_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "alert",
        sa.Column("id", ID, nullable=False),
        sa.Column("rule_id", ID, nullable=False),
        sa.Column("rule_name", sa.String(length=100), nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("task_name", sa.String(length=100), nullable=False),
        sa.Column("run_number", sa.Integer()),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("metric", sa.String(length=50), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("condition", sa.String(length=200), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("fired_at", sa.Double(), nullable=False),
        sa.Column("told_at", sa.Double()),
        sa.Column("held", sa.String(length=10), nullable=False),
        sa.Column("resolved_at", sa.Double()),
        sa.Column("resolved_told", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alert"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alert_task_id_id", "alert", ["task_id", "id"], unique=False)
    op.create_index("ix_alert_resolved_told", "alert", ["resolved_told"], unique=False)
    op.create_index("ix_alert_rule_id_told_at", "alert", ["rule_id", "told_at"], unique=False)
    op.create_table(
        "alert_message",
        sa.Column("id", ID, nullable=False),
        sa.Column("alert_id", ID, nullable=False),
        sa.Column("channel_id", ID, nullable=False),
        sa.Column("channel_name", sa.String(length=100), nullable=False),
        sa.Column("about", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double()),
        sa.Column("error", sa.JSON(none_as_null=True)),
        sa.PrimaryKeyConstraint("id", name="pk_alert_message"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alert_message_alert_id", "alert_message", ["alert_id"], unique=False)
    op.create_index("ix_alert_message_state_due_at", "alert_message", ["state", "due_at"], unique=False)
