"""Goods have names, and jobs are done."""

import sqlite3

revision = "0001"
down_revision = None
kind = "expand"


def upgrade(database: sqlite3.Connection) -> None:
    """Make the tables."""
    database.execute("CREATE TABLE IF NOT EXISTS goods (name TEXT PRIMARY KEY)")
    database.execute(
        "CREATE TABLE IF NOT EXISTS jobs "
        "(name TEXT PRIMARY KEY, go INTEGER NOT NULL, taken INTEGER, done INTEGER NOT NULL DEFAULT 0)"
    )
