"""Runs the migrations inside the transaction that `Database` holds."""

from __future__ import annotations

from alembic import context

from tidegate.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
