"""The size class of places."""

import logging

import sqlalchemy as sa
from alembic import op

logger = logging.getLogger(__name__)

revision = "0005"
down_revision = "0004"
kind = "expand"


def upgrade() -> None:
    """Add the column; places are of the last class until they are loaded anew."""
    op.add_column("places", sa.Column("tier", sa.Integer, nullable=False, server_default="4"))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("places", "tier")
