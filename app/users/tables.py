"""The tables of users."""

import logging

from sqlalchemy import Boolean, Column, Integer, String, Table

from app.database.metadata import metadata
from app.database.types import UtcDateTime

logger = logging.getLogger(__name__)

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("password_hash", String(200), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("role", String(20), nullable=False, server_default="user"),
    Column("language", String(10)),
    Column("last_login_at", UtcDateTime),
    Column("given_name", String(100)),  # None: of a release that knew only `name`; see app/users/backfills.py
    Column("family_name", String(100)),
)
