"""What later errors, departures, consent, details, incremental reading and retries need to remember."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("sync_run") as table:
        table.add_column(sa.Column("retry_of", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("unverified", sa.BigInteger(), nullable=False, server_default="0"))
    for column in (
        sa.Column("consent_digest", sa.LargeBinary(), nullable=True),
        sa.Column("opted_out_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sms_opted_out_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held", sa.String(length=250), nullable=True),
        sa.Column("details_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("absent_run_id", sa.BigInteger(), nullable=True),
        sa.Column("list_id", sa.BigInteger(), nullable=True),
        sa.Column("suspect", sa.String(length=250), nullable=True),
    ):
        op.add_column("contact_state", column)
    op.add_column("push_batch", sa.Column("kind", sa.String(length=20), nullable=False, server_default="contacts"))
    op.create_table(
        "cursor",
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("collection", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sync_run_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "collection", "name", name=op.f("pk_cursor")),
    )
    op.create_table(
        "error_look",
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entries", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_error_look")),
    )
    op.create_table(
        "late_error",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("path", sa.String(length=250), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("overflow", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_late_error")),
    )
    op.create_index(op.f("ix_late_error_account_until"), "late_error", ["account", "until"])
    op.create_table(
        "unsubscribe",
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("who", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", "who", name=op.f("pk_unsubscribe")),
    )
