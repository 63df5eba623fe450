"""Lines of the log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "log_line",
        sa.Column("id", ID, nullable=False),
        sa.Column("task_id", ID),
        sa.Column("run_number", sa.Integer()),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("container", sa.String(length=10), nullable=False),
        sa.Column("epoch", sa.Integer()),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("logger", sa.String(length=100), nullable=False),
        sa.Column("message", sa.String(length=200), nullable=False),
        sa.Column("exception", sa.Text()),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_log_line"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_log_line_task_id_at_id", "log_line", ["task_id", "at", "id"], unique=False)
    op.create_index("ix_log_line_task_id_id", "log_line", ["task_id", "id", "size_bytes"], unique=False)
    op.create_index("ix_log_line_at", "log_line", ["at"], unique=False)
