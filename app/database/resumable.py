"""Migrations on MariaDB, where each statement that changes the schema ends a transaction.

What a revision has done is written down, statement by statement, in a table that is there only meanwhile. A migrator
that was killed is followed by one that goes on where the first has stopped.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from alembic.ddl.mysql import MariaDBImpl
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.database.failures import number, sqlstate
from app.database.mariadb import COLLATION, make_mariadb_engine
from app.database.mariadb_lock import only_one
from app.database.target import Target

logger = logging.getLogger(__name__)

MIGRATOR_SESSION = {
    "lock_wait_timeout": "1",  # seconds that a migration queues for a table, and whoever comes after it, too
    "innodb_lock_wait_timeout": "1",
    "idle_transaction_timeout": "0",
}
TABLE = "migration_progress"
ALREADY = {1050, 1051, 1054, 1060, 1061, 1091, 1146}
"""MariaDB's numbers for what is there already, or gone already: table, column, index, constraint."""

DEFAULT_COLLATION = text(
    "SELECT default_collation_name FROM information_schema.schemata WHERE schema_name = DATABASE()"
)
WRITES = ("insert", "update", "delete", "replace")


class Changed(Exception):
    """A revision was interrupted, and is another one now."""


@contextmanager
def migrating(target: Target, lock_seconds: float) -> Iterator[Connection]:
    """Give the connection of the one migrator of a database. Raises Held."""
    deadline = time.monotonic() + lock_seconds
    engine = make_mariadb_engine(replace(target, statement_timeout=0), MIGRATOR_SESSION)
    try:
        with engine.connect() as connection, only_one(connection, "migrations", deadline):
            yield connection
    finally:
        engine.dispose()


def order_by_code_point(connection: Connection) -> None:
    """Let tables that are made from now on compare text as the other databases do."""
    if connection.scalar(DEFAULT_COLLATION) != COLLATION:
        connection.exec_driver_sql(f"ALTER DATABASE CHARACTER SET utf8mb4 COLLATE {COLLATION}")


class Journal:
    """Which statements of the revision at hand are done. ``position`` is the number of the last one."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.position = 0
        self.run(
            f"CREATE TABLE IF NOT EXISTS {TABLE}"
            " (position INTEGER PRIMARY KEY, digest CHAR(64) NOT NULL, done BOOLEAN NOT NULL)"
        )

    def run(self, statement: str, *parameters: object) -> Any:
        """Execute a statement of the journal's own."""
        return self.connection.exec_driver_sql(statement, parameters)

    def once(self, statement: str, work: Callable[[], Any]) -> Any:
        """Do ``work``, which executes ``statement``, unless that is done. Raises Changed if another one was."""
        self.position += 1
        digest = hashlib.sha256(statement.encode()).hexdigest()
        found = self.run(f"SELECT digest, done FROM {TABLE} WHERE position = %s", self.position).one_or_none()  # noqa: S608
        if found and found.digest != digest:
            raise Changed(self.position)
        if found and found.done:
            logger.info("statement %d of this revision is done already", self.position)
            return None
        if statement.lstrip().partition(" ")[0].lower() in WRITES:
            return self._together(work, digest)
        return self._alone(work, digest, again=found is not None)

    def _together(self, work: Callable[[], Any], digest: str) -> Any:
        """Change rows and write that down in one transaction."""
        self.run("START TRANSACTION")
        result = work()
        self.run(f"INSERT INTO {TABLE} VALUES (%s, %s, true)", self.position, digest)  # noqa: S608
        self.run("COMMIT")
        return result

    def _alone(self, work: Callable[[], Any], digest: str, *, again: bool) -> Any:
        """Change the schema: write down that it is tried, do it, write down that it is done.

        MariaDB does such a statement whole or not at all. Only one that was tried when its migrator died may find that
        it is done.
        """
        self.run(f"REPLACE INTO {TABLE} VALUES (%s, %s, false)", self.position, digest)  # noqa: S608
        self.run("COMMIT")
        result = None
        try:
            result = work()
        except DBAPIError as error:
            if not (again and number(error) in ALREADY):
                self._forget(error)
                raise
            logger.info("statement %d of this revision was done when its migrator died", self.position)
        self.run(f"UPDATE {TABLE} SET done = true WHERE position = %s", self.position)  # noqa: S608
        self.run("COMMIT")
        return result

    def _forget(self, error: DBAPIError) -> None:
        """Forget a statement that the server refused; what became of one that it lost is not known."""
        if sqlstate(error) and not error.connection_invalidated:
            self.run(f"DELETE FROM {TABLE} WHERE position = %s", self.position)  # noqa: S608
            self.run("COMMIT")

    def finish(self, work: Callable[[], Any]) -> Any:
        """Write down which revision the schema is at, and that none is at hand, in one transaction."""
        self.run("START TRANSACTION")
        result = work()
        self.run(f"DELETE FROM {TABLE}")  # noqa: S608
        self.run("COMMIT")
        self.position = 0
        return result


class ResumableImpl(MariaDBImpl):
    """Alembic's way to MariaDB, with a journal. Naming the dialect is what makes Alembic take it."""

    __dialect__ = "mariadb"

    def start_migrations(self) -> None:
        """Open the journal."""
        assert self.connection is not None
        self.journal = Journal(self.connection)

    def _exec(self, construct: Any, *arguments: Any, **named: Any) -> Any:
        work = partial(super()._exec, construct, *arguments, **named)
        if getattr(getattr(construct, "table", None), "name", None) == "alembic_version":
            return self.journal.finish(work)
        statement = construct if isinstance(construct, str) else str(construct.compile(dialect=self.dialect))
        return self.journal.once(statement, work)


def tidy(connection: Connection) -> None:
    """Remove the journal when no revision is at hand."""
    connection.rollback()
    if (
        connection.dialect.has_table(connection, TABLE)
        and not connection.exec_driver_sql(
            f"SELECT count(*) FROM {TABLE}"  # noqa: S608
        ).scalar()
    ):
        connection.exec_driver_sql(f"DROP TABLE {TABLE}")
