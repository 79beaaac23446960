"""Which remote fields never arrive in Ometria."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply."""
    op.add_column("remote_field", sa.Column("silent", sa.Boolean(), nullable=False, server_default=sa.false()))
