"""The plan that an active instance is being changed to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instances", sa.Column("target", sa.Text))
    op.add_column("instances", sa.Column("given_up", sa.String))


def downgrade() -> None:
    op.drop_column("instances", "given_up")
    op.drop_column("instances", "target")
