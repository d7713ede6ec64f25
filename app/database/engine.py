"""Engines: how a process talks to the database, whichever it is."""

import logging

from sqlalchemy import Engine, make_url

from app.database.mariadb import make_mariadb_engine
from app.database.postgresql import make_postgresql_engine
from app.database.sqlite import make_sqlite_engine
from app.database.target import Target

logger = logging.getLogger(__name__)

BUSY_SECONDS = 5.0
"""How long a statement on SQLite waits for another process's transaction before it fails."""


def make_engine(target: Target, *, create: bool = False, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """Return an engine; nothing is opened yet.

    Only ``create`` may make an SQLite database that does not exist: a server that was given a wrong path says so
    instead of serving an empty database. A database of a server is made by whoever makes its roles.
    """
    match target.kind:
        case "postgresql":
            return make_postgresql_engine(target)
        case "mariadb":
            return make_mariadb_engine(target)
        case "sqlite":
            return make_sqlite_engine(target, create=create, busy_seconds=busy_seconds)
        case other:
            raise ValueError(f"no engine for {other!r}")


def load_driver(target: Target) -> None:
    """Import what an engine will need: before workers are forked, it is read once for all of them."""
    if target.kind != "sqlite":
        make_url(target.url).get_dialect().import_dbapi()
