"""What geocoders have answered."""

import logging

import sqlalchemy as sa
from alembic import op

logger = logging.getLogger(__name__)

revision = "0008"
down_revision = "0007"
kind = "expand"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "geocoder_answers",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_geocoder_answers"),
    )
    op.create_index("ix_geocoder_answers_expires_at", "geocoder_answers", ["expires_at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("geocoder_answers")
