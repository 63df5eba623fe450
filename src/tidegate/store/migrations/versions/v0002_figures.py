"""Figures: their history, and the newest of each table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_index("ix_key_event_at", "key_event", ["at"], unique=False)
    op.create_table(
        "metric_point",
        sa.Column("run_id", ID, autoincrement=False, nullable=False),
        sa.Column("step_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("figures", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "step_s", "at", name="pk_metric_point"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_metric_point_step_s_at", "metric_point", ["step_s", "at"], unique=False)
    op.create_table(
        "table_figure",
        sa.Column("run_id", ID, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("rows_read", sa.BigInteger(), nullable=False),
        sa.Column("bytes_read", sa.BigInteger(), nullable=False),
        sa.Column("rows_written", sa.BigInteger(), nullable=False),
        sa.Column("bytes_written", sa.BigInteger(), nullable=False),
        sa.Column("dirty_rows", sa.BigInteger(), nullable=False),
        sa.Column("dirty_bytes", sa.BigInteger(), nullable=False),
        sa.Column("rows_copied", sa.BigInteger(), nullable=False),
        sa.Column("rows_estimated", sa.BigInteger(), nullable=False),
        sa.Column("chunks_done", sa.Integer(), nullable=False),
        sa.Column("chunks_total", sa.Integer(), nullable=False),
        sa.Column("business_delay_s", sa.Double(), nullable=False),
        sa.Column("rows_read_per_s", sa.Double(), nullable=False),
        sa.Column("rows_written_per_s", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "name", name="pk_table_figure"),
        sqlite_with_rowid=False,
    )
