"""What customers allow the schedule to do with their instances, and when an instance became what it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scaling",
        sa.Column("instance", sa.String, primary_key=True),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("asked_at", sa.String),
    )
    op.add_column("instances", sa.Column("changed_at", sa.String))


def downgrade() -> None:
    op.drop_column("instances", "changed_at")
    op.drop_table("scaling")
