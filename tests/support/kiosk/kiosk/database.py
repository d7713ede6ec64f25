"""The goods, in SQLite."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from kiosk.settings import SQLITE

GOODS = ("apple", "banana", "newspaper", "pineapple")


@contextmanager
def connected(mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """Open the database that DATABASE_URL names; only mode `rwc` makes one that is not there."""
    path = os.environ["DATABASE_URL"].removeprefix(SQLITE)
    with closing(sqlite3.connect(f"file:{path}?mode={mode}", uri=True, timeout=10)) as database, database:
        yield database


def migrate() -> None:
    """Bring the schema to what this release knows."""
    with connected("rwc") as database:
        database.execute("CREATE TABLE IF NOT EXISTS goods (name TEXT PRIMARY KEY)")
        database.execute(
            "CREATE TABLE IF NOT EXISTS jobs "
            "(name TEXT PRIMARY KEY, go INTEGER NOT NULL, taken INTEGER, done INTEGER NOT NULL DEFAULT 0)"
        )
        database.execute("CREATE TABLE IF NOT EXISTS revision (name TEXT PRIMARY KEY)")
        database.execute("INSERT OR IGNORE INTO revision VALUES ('0001')")


def seed() -> None:
    """Load the goods, unless they are there."""
    with connected() as database:
        database.executemany("INSERT OR IGNORE INTO goods VALUES (?)", [(name,) for name in GOODS])


def revision() -> str:
    """Tell which revision the schema has."""
    with connected() as database:
        return str(database.execute("SELECT max(name) FROM revision").fetchone()[0])


def find(text: str) -> list[str]:
    """Find goods by a part of their name."""
    with connected() as database:
        found = database.execute("SELECT name FROM goods WHERE instr(name, ?) ORDER BY name", (text,))
        return [row[0] for row in found]
