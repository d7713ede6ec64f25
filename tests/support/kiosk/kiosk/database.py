"""The goods, in SQLite."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from kiosk import migrations
from kiosk.settings import SQLITE

SCRATCH = "_rehearsal"
FIND = "SELECT name FROM goods WHERE instr(name, ?) ORDER BY name"
GOODS = ("apple", "banana", "newspaper", "pineapple")


@contextmanager
def connected(mode: str = "rw", ending: str = "") -> Iterator[sqlite3.Connection]:
    """Open the database that DATABASE_URL names; only mode `rwc` makes one that is not there."""
    path = os.environ["DATABASE_URL"].removeprefix(SQLITE) + ending
    with closing(sqlite3.connect(f"file:{path}?mode={mode}", uri=True, timeout=10)) as database, database:
        yield database


def migrate(to: str, ending: str = "") -> None:
    """Apply the migrations that are missing, up to revision `to`."""
    with connected("rwc", ending) as database:
        database.execute("CREATE TABLE IF NOT EXISTS revision (name TEXT PRIMARY KEY)")
        there = {row[0] for row in database.execute("SELECT name FROM revision")}
        for module in sorted(iter_modules(migrations.__path__), key=lambda module: module.name):
            migration = import_module(f"kiosk.migrations.{module.name}")
            if migration.revision not in there:
                migration.upgrade(database)
                database.execute("INSERT INTO revision VALUES (?)", (migration.revision,))
            if migration.revision == to:
                return


def rehearse(to: str) -> None:
    """Bring a scratch copy to a revision; `base` removes it."""
    if to == "base":
        Path(os.environ["DATABASE_URL"].removeprefix(SQLITE) + SCRATCH).unlink(missing_ok=True)
    else:
        migrate(to, SCRATCH)


def replay() -> dict[str, object]:
    """Try on the scratch copy what requests ask for; tell what fails."""
    failed = []
    with connected(ending=SCRATCH) as database:
        try:
            database.execute(FIND, ("apple",))
        except sqlite3.Error as error:
            failed.append({"sql": FIND, "error": str(error), "runs": [0]})
    return {"replayed": 1, "failed": failed}


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
        found = database.execute(FIND, (text,))
        return [row[0] for row in found]
