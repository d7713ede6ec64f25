"""The table of kept answers."""

import logging

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from app.database.metadata import metadata
from app.database.types import UtcDateTime

logger = logging.getLogger(__name__)

kept_answers = Table(
    "kept_answers",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("key_digest", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("answer", Text().with_variant(Text(1_000_000), "mariadb", "mysql")),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_kept_answers_created_at", "created_at"),
)
