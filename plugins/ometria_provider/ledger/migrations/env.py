"""Run the ledger's migrations on the connection that :func:`ometria_provider.ledger.engine.upgrade` hands in."""

from __future__ import annotations

from alembic import context

from ometria_provider.ledger.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
