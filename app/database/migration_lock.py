"""Of several migrators of one PostgreSQL database, one works; and whoever uses its tables is let through meanwhile."""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from app.about import NAME
from app.database.failures import Held, is_locked

logger = logging.getLogger(__name__)

KEY = int.from_bytes(hashlib.sha256(f"{NAME} migrations".encode()).digest()[:8], "big", signed=True)
TRY = text("SELECT pg_try_advisory_lock(:key)")

PAUSE_SECONDS = 0.2
LOCK_SECONDS = 1.0
"""How long a migration queues for a table. Everybody who comes after it waits as long, readers too."""

MIGRATOR_SESSION = {
    "lock_timeout": f"{LOCK_SECONDS:g}s",
    "client_connection_check_interval": "1s",  # the locks of a killed migrator are gone then, not after its statement
}

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
            time.sleep(LOCK_SECONDS)
