"""Accounts of people who log in at a provider, memberships that come from its groups, and networks that projects may be
reached from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("issuer", sa.String(length=500)))
    op.add_column("account", sa.Column("subject", sa.String(length=255)))
    op.add_column("account", sa.Column("administrator_by", sa.String(length=300)))
    op.create_index("uq_account_issuer_subject", "account", ["issuer", "subject"], unique=True)
    op.add_column("member", sa.Column("by_group", sa.String(length=300)))
    op.add_column("project", sa.Column("allow_from", sa.JSON(none_as_null=True)))
