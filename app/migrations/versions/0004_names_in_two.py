"""Given and family name beside the name, and how far backfills have come."""

import logging

import sqlalchemy as sa
from alembic import op

logger = logging.getLogger(__name__)

revision = "0004"
down_revision = "0003"
kind = "expand"


def upgrade() -> None:
    """Add columns that the release before need not fill: the backfill `users.split-names` does."""
    op.add_column("users", sa.Column("given_name", sa.String(100)))
    op.add_column("users", sa.Column("family_name", sa.String(100)))
    op.create_table(
        "backfills",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("filled", sa.Integer, nullable=False),
        sa.Column("queued", sa.Boolean, nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.PrimaryKeyConstraint("name", name="pk_backfills"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("backfills")
    op.drop_column("users", "family_name")
    op.drop_column("users", "given_name")
