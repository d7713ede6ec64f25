"""Bring the schema up to date. Safe to run from several processes at once."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

import app.migrations
from app.database.engine import make_engine
from app.database.revisions import Revision, read_revisions
from app.database.schema import current_revision

logger = logging.getLogger(__name__)

LOCK_SECONDS = 30.0
"""How long to wait for another migrator, or any other writer."""


class CannotMigrate(Exception):
    """The schema can't be brought up to date now; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade found and did. ``newer`` means that the schema is ahead of this release and was left alone."""

    before: str | None
    after: str | None
    applied: tuple[Revision, ...]
    newer: bool = False


def upgrade(database_url: str, lock_seconds: float = LOCK_SECONDS) -> Upgraded:
    """Apply all migrations that are missing, in one transaction.

    The transaction takes SQLite's write lock before it looks which ones are missing, so of several migrators one
    works and the others then find nothing to do. Raises CannotMigrate when the lock is not free in time.
    """
    known = read_revisions()
    with _writing(database_url, lock_seconds) as connection:
        before = current_revision(connection)
        names = [None, *(entry.revision for entry in known)]
        if before not in names:
            return Upgraded(before, before, (), newer=True)
        missing = tuple(known[names.index(before) :])
        if missing:
            _run_alembic(connection)
        return Upgraded(before, current_revision(connection), missing)


@contextmanager
def _writing(database_url: str, lock_seconds: float) -> Iterator[Connection]:
    engine = make_engine(database_url, create=True, busy_seconds=lock_seconds)
    try:
        with engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection, connection.begin():
            yield connection
    except OperationalError as error:
        if "locked" in str(error.orig):
            problem = f"another process has been writing to the database for {lock_seconds:.0f} s"
            raise CannotMigrate(f"{problem}; expected it to finish. Try again: db upgrade") from error
        raise CannotMigrate(f"{database_url}: {error.orig}") from error
    except OSError as error:
        raise CannotMigrate(f"{database_url}: {error.strerror}: {error.filename}") from error
    finally:
        engine.dispose()


def _run_alembic(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    # The configuration expands %(name)s.
    config.set_main_option("script_location", str(Path(app.migrations.__file__).parent).replace("%", "%%"))
    command.upgrade(config, "head")
