"""The table of backfills: how far each has come, so that a killed one goes on where it was."""

import logging

from sqlalchemy import Boolean, Column, Integer, String, Table

from app.database.metadata import metadata
from app.database.types import UtcDateTime

logger = logging.getLogger(__name__)

backfills = Table(
    "backfills",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("filled", Integer, nullable=False),
    Column("queued", Boolean, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
)
