"""What campaign runs found beside what became of each event, and webhooks that were refused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "campaign_run",
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", "run_id", name=op.f("pk_campaign_run")),
    )
    op.create_index(op.f("ix_campaign_run_ended_at"), "campaign_run", ["ended_at"])
    op.create_table(
        "webhook_refusal",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("event_id", sa.String(length=250), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_refusal")),
    )
    op.create_index(op.f("ix_webhook_refusal_event_id"), "webhook_refusal", ["event_id"])
    # Pages ask for a workflow's latest events, whatever became of them.
    op.create_index(op.f("ix_event_delivery_workflow_id"), "event_delivery", ["workflow", "id"])
