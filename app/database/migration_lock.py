"""Of several migrators of one PostgreSQL database, one works; and whoever uses its tables is let through meanwhile."""

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError

from app.about import NAME
from app.database.failures import Held, is_locked

logger = logging.getLogger(__name__)

KEY = int.from_bytes(hashlib.sha256(f"{NAME} migrations".encode()).digest()[:8], "big", signed=True)
TRY = text("SELECT pg_try_advisory_lock(:key)")

PAUSE_SECONDS = 0.2
LOCK_SECONDS = 0.5
"""How long a migration queues for a table. Everybody who comes after it waits as long, readers too."""

MIGRATOR_SESSION = {
    "lock_timeout": f"{LOCK_SECONDS:g}s",
    "client_connection_check_interval": "1s",  # the locks of a killed migrator are gone then, not after its statement
}

QUEUE_SHORTLY = f"SET lock_timeout = '{MIGRATOR_SESSION['lock_timeout']}'"
CONCURRENTLY = re.compile(r"\s*(CREATE|DROP)\b.*\bINDEX CONCURRENTLY\b", re.IGNORECASE | re.DOTALL)

ResultT = TypeVar("ResultT")


@contextmanager
def only_migrator(engine: Engine, deadline: float) -> Iterator[None]:
    """Keep other migrators of this database away, or wait for one until ``deadline``. Raises Held.

    The lock belongs to a connection of its own that has no transaction: one with a transaction would keep CREATE INDEX
    CONCURRENTLY from ever ending. It is asked for again and again instead of waited for, because a waiting statement
    is a transaction, too: the migrator that holds the lock would wait for the ones that wait for it.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.execute(TRY, {"key": KEY}).scalar():
            if time.monotonic() > deadline:
                raise Held("another migrator has been at work")
            time.sleep(PAUSE_SECONDS)
        try:
            yield
        finally:
            connection.invalidate()  # closing the connection frees the lock even if it is in no state to be asked


def be_patient(engine: Engine, seconds: float) -> None:
    """Let what is done concurrently wait so long for its locks: it waits for all older transactions, and keeps nobody.

    When it fails, `queue_shortly` is for whoever tries again.
    """

    def before(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if CONCURRENTLY.match(statement):
            cursor.execute(f"SET lock_timeout = '{max(seconds, LOCK_SECONDS):g}s'")

    def after(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if CONCURRENTLY.match(statement):
            cursor.execute(QUEUE_SHORTLY)

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)


def queue_shortly(connection: Connection) -> None:
    """Let everything else queue as shortly as ever."""
    connection.exec_driver_sql(QUEUE_SHORTLY)
    connection.commit()


def insist(work: Callable[[], ResultT], deadline: float) -> ResultT:
    """Do ``work``, and again when it could not get its locks, until ``deadline``. Raises Held.

    Between two attempts those who queued behind the first go on.
    """
    while True:
        try:
            return work()
        except DBAPIError as error:
            if not is_locked(error):
                raise
            if time.monotonic() > deadline:
                raise Held("other transactions have held a table that has to be changed") from error
            logger.info("a table that has to be changed is in use; trying again")
            time.sleep(2 * LOCK_SECONDS)  # what has queued goes on, and others begin
