"""The hall, who holds what, instances, leases, evidence, files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _documents(table: str, *more: sa.Column[str]) -> None:
    op.create_table(
        table, sa.Column("name", sa.String, primary_key=True), sa.Column("document", sa.Text, nullable=False), *more
    )


def upgrade() -> None:
    op.create_table(
        "hall",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("management", sa.String, nullable=False),
    )
    for table in ("sites", "racks", "cables", "customers"):
        _documents(table)
    _documents(
        "devices",
        sa.Column("site", sa.String, nullable=False, index=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("host_key", sa.String, nullable=False),
        sa.Column("credential", sa.String, nullable=False),
    )
    op.create_table(
        "holds",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("instance", sa.String, nullable=False, index=True),
    )
    op.create_table(
        "instances",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("active_at", sa.String),
    )
    op.create_table(
        "leases",
        sa.Column("instance", sa.String, primary_key=True),
        sa.Column("procedure", sa.String, nullable=False),
        sa.Column("workflow_id", sa.String, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("since", sa.String, nullable=False),
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("instance", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("ix_evidence_instance_at", "evidence", ["instance", "at"])
    op.create_table(
        "files",
        sa.Column("instance", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    for table in (
        "files",
        "evidence",
        "leases",
        "instances",
        "holds",
        "customers",
        "cables",
        "devices",
        "racks",
        "sites",
        "hall",
    ):
        op.drop_table(table)
