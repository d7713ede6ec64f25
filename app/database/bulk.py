"""Many rows at once: one transaction at a time, and what each database has to make it fast."""

import itertools
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection, Engine, Table, insert, text
from sqlalchemy.exc import DBAPIError

from app.database.mariadb_lock import only_one
from app.database.sqlite import write_at_once

logger = logging.getLogger(__name__)

Rows = Iterable[Mapping[str, Any]]

BATCH = 20_000
"""Rows per call of the driver: half a million at once would take 300 MB."""

OWNS = text("SELECT true FROM pg_tables WHERE tablename = :name AND tableowner = current_user")
TABLES = text("SELECT table_name FROM information_schema.tables WHERE table_schema = database()")

LOCK_SECONDS = 60
"""How long to wait for somebody else who loads."""


@contextmanager
def loading(engine: Engine, guard: Table) -> Iterator[Connection]:
    """Give a connection in a transaction that writes, and commit it at the end. Readers go on meanwhile.

    Then let the database look at what it has, or its first plans would be those for empty tables.

    Of several loaders one works: on PostgreSQL whoever locks the table ``guard``, on MariaDB whoever has the lock named
    after it; SQLite has one writer at a time in any case.
    """
    with engine.connect() as connection:
        mariadb = connection.dialect.name == "mariadb"
        lock = only_one(connection, guard.name, time.monotonic() + LOCK_SECONDS) if mariadb else nullcontext()
        with lock, connection.begin():
            prepare(connection, guard)
            yield connection
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        look(connection, guard)


def prepare(connection: Connection, guard: Table) -> None:
    """Tell the database that many rows will come."""
    match connection.dialect.name:
        case "postgresql":
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            connection.execute(text(f"LOCK TABLE {guard.name} IN SHARE ROW EXCLUSIVE MODE"))
        case "sqlite":
            write_at_once(connection)
            connection.exec_driver_sql("PRAGMA cache_size = -65536")  # KiB: indexes are filled in random order


def look(connection: Connection, guard: Table) -> None:
    """Let the database look at what it has now."""
    match connection.dialect.name:
        case "sqlite":
            connection.exec_driver_sql("PRAGMA optimize")
        case "mariadb":
            connection.exec_driver_sql(f"ANALYZE TABLE {', '.join(connection.scalars(TABLES))}").close()
        case _ if connection.scalar(OWNS, {"name": guard.name}):  # others may not, and have to wait for autovacuum
            connection.exec_driver_sql("ANALYZE")


def execute_many(connection: Connection, statement: Any, rows: Rows) -> None:
    """Execute a statement for each row, a batch at a time."""
    left = iter(rows)
    while batch := list(itertools.islice(left, BATCH)):
        connection.execute(statement, batch)


def insert_many(connection: Connection, table: Table, columns: Sequence[str], rows: Rows) -> None:
    """Insert rows that have these columns, as the driver takes them: by COPY where there is one."""
    if not is_postgresql(connection):
        execute_many(connection, insert(table), rows)
        return
    copy_rows(connection, table, columns, rows)


def copy_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Rows) -> None:
    """Send rows to PostgreSQL as one stream. Raises DBAPIError, as SQLAlchemy does."""
    import psycopg

    statement = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN"
    driver: Any = connection.connection.dbapi_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row([row[column] for column in columns])
    except psycopg.Error as error:
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
        ) from error


def is_postgresql(connection: Connection) -> bool:
    """Say which database this is a connection to."""
    return connection.dialect.name == "postgresql"
