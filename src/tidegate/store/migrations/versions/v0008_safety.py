"""How often an account's log-ins were ended, and what an entry of the audit log says beyond what it is about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("sessions", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("audit_entry", sa.Column("detail", sa.String(length=500), nullable=False, server_default=""))
