"""SQLite: the embedded database, in one file that every process opens itself."""

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from app.database.target import Target

logger = logging.getLogger(__name__)

READS = "reads"


def make_sqlite_engine(target: Target, *, create: bool, busy_seconds: float) -> Engine:
    """Return an engine for a file; nothing is opened yet."""
    engine = create_engine(
        "sqlite://",
        creator=sqlite_connector(Path(target.path), create=create, busy_seconds=busy_seconds),
        poolclass=QueuePool,
        pool_size=target.pool_size,
        max_overflow=0,
        pool_timeout=target.pool_timeout,
        hide_parameters=True,  # parameters are personal data, and errors are logged
    )
    # Not by an event: with a single one SQLAlchemy asks at each statement for listeners of all kinds, for 10 us.
    engine.dialect.do_begin = begin_transaction  # type: ignore[method-assign,assignment]
    return engine


def sqlite_connector(path: Path, *, create: bool, busy_seconds: float) -> Callable[[], sqlite3.Connection]:
    """Return what opens a connection, with the settings that SQLite wants on each one."""
    mode = "rwc" if create else "rw"

    def connect() -> sqlite3.Connection:
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode={mode}",
            uri=True,
            timeout=busy_seconds,
            check_same_thread=False,  # the pool hands a connection to one thread at a time
            isolation_level=None,  # SQLAlchemy says BEGIN; the driver would not before SELECT and DDL
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = NORMAL")
            use_wal(connection, busy_seconds)
        except BaseException:
            connection.close()
            raise
        return connection

    return connect


def use_wal(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Switch to write-ahead logging, which a database remembers.

    SQLite does not wait for locks during the switch itself, so of several processes that open a new database at once
    the late ones try again.
    """
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def begin_transaction(connection: PoolProxiedConnection) -> None:
    """Begin to read, and to write with the first statement that does."""
    if not connection.info.get(READS):
        connection.cursor().execute("BEGIN DEFERRED")


def only_read(connection: Connection, *, wanted: bool = True) -> None:
    """Let statements be on their own, each with what is committed by then, until ``write_at_once``; or no longer.

    It saves a third of what one statement costs: the driver hands over to another thread at each BEGIN and ROLLBACK.
    """
    connection.info[READS] = wanted


def write_at_once(connection: Connection) -> None:
    """Begin anew as the one who writes, before anything was written: nobody else does until the end.

    Raises DBAPIError when others write for too long.
    """
    if not connection.in_transaction():
        connection.begin()
    connection.connection.rollback()
    connection.exec_driver_sql("BEGIN IMMEDIATE")
