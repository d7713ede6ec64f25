"""Answers that are kept for whoever asks the same again."""

import logging

import sqlalchemy as sa
from alembic import op

logger = logging.getLogger(__name__)

revision = "0007"
down_revision = "0006"
kind = "expand"

long_text = sa.Text().with_variant(sa.Text(1_000_000), "mariadb", "mysql")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "kept_answers",
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("key_digest", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("answer", long_text),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "key_digest", name="pk_kept_answers"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_kept_answers_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_kept_answers_created_at", "kept_answers", ["created_at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("kept_answers")
