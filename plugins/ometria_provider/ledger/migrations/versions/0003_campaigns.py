"""Events that start campaigns: what was collected, and what became of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("cursor") as table:
        # Names hold those of workflow files.
        table.alter_column("name", type_=sa.String(length=250), existing_type=sa.String(length=40))
    op.create_table(
        "event_inbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("event_id", sa.String(length=250), nullable=False),
        sa.Column("action", sa.String(length=250), nullable=False),
        sa.Column("customer_id", sa.String(length=250), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_inbox")),
        sa.UniqueConstraint("event_id", "account", name=op.f("uq_event_inbox_event_id_account")),
    )
    op.create_index(op.f("ix_event_inbox_customer_id"), "event_inbox", ["customer_id"])
    undone = sa.text("done_at IS NULL")
    op.create_index(
        "ix_event_inbox_undone", "event_inbox", ["account", "id"], sqlite_where=undone, postgresql_where=undone
    )
    op.create_table(
        "event_delivery",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("event_id", sa.String(length=250), nullable=False),
        sa.Column("workflow", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("custom_event_id", sa.String(length=250), nullable=True),
        sa.Column("run_id", sa.String(length=250), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_delivery")),
        sa.UniqueConstraint(
            "event_id", "account", "workflow", name=op.f("uq_event_delivery_event_id_account_workflow")
        ),
    )
    op.create_index(op.f("ix_event_delivery_run_id"), "event_delivery", ["run_id"])
    op.create_index(op.f("ix_event_delivery_workflow_state_id"), "event_delivery", ["workflow", "state", "id"])
    undone = sa.text("state IN ('waiting', 'sending')")
    op.create_index(
        "ix_event_delivery_undone", "event_delivery", ["account", "id"], sqlite_where=undone, postgresql_where=undone
    )
    op.create_table(
        "cached_reward",
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("reward_id", sa.String(length=250), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", "reward_id", name=op.f("pk_cached_reward")),
    )
