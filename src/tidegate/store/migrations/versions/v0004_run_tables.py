"""What is known of a run's tables has been in `table_figure` since 0002; nothing reads the run's own column."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not as a batch: making the table anew would, on SQLite, take the snapshots that refer to it along.
    op.drop_column("run", "tables")
