"""Locks by name on MariaDB: they belong to a connection, and go with it however it ends."""

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from app.about import NAME
from app.database.failures import Held

logger = logging.getLogger(__name__)

TRY = text("SELECT GET_LOCK(:name, :seconds)")
TRY_SECONDS = 1
"""How long one attempt waits: below any limit that a connection has for its statements."""


@contextmanager
def only_one(connection: Connection, purpose: str, deadline: float) -> Iterator[None]:
    """Let one connection at a time be here for a purpose, and wait for another until ``deadline``. Raises Held.

    Unlike a table's lock it keeps nobody else from anything, and stays through statements that end a transaction. When
    its process is killed in a statement, the server goes on with that, and holds the lock as long.
    """
    name = lock_name(connection, purpose)
    while not connection.execute(TRY, {"name": name, "seconds": TRY_SECONDS}).scalar():
        if time.monotonic() > deadline:
            raise Held(f"another process has been at work on {purpose}")
    connection.rollback()
    try:
        yield
    finally:
        connection.invalidate()  # closing it frees the lock even if it is in no state to be asked


def lock_name(connection: Connection, purpose: str) -> str:
    """Return a name for a purpose in this database: names are the server's, and have 64 characters at most."""
    database = connection.exec_driver_sql("SELECT DATABASE()").scalar()
    return f"{NAME[:20]} {hashlib.sha256(f'{database} {purpose}'.encode()).hexdigest()[:32]}"
