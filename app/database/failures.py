"""What the database refused, told alike for each kind."""

import logging
import re
import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

logger = logging.getLogger(__name__)

UNDEFINED_TABLE = {"42P01", "42S02"}
FORBIDDEN = {"42501", 1044, 1142}  # insufficient_privilege; MariaDB's of a database and of a table
OVERTAKEN = {"40P01", "40001", 1213, 1020}  # deadlock, serialization_failure; MariaDB's deadlock, its row that changed
LOCKED = {"55P03", 1205} | OVERTAKEN  # lock_not_available, MariaDB's time-out
AWAY = {"57P01", "57P02", "57P03", "53300", 1040, 1053, 1927, 2002, 2003, 2006, 2013}
"""The server ends, begins, or has too many connections; MariaDB's, with what its driver says of a lost connection."""

VALUE = re.compile(r"'.*'(?= for (key|column) )", re.DOTALL)
"""In a message of MariaDB: what another row has, or what fits no column."""


class Undone(Exception):
    """The database undid all that a request did; it may do the same once more."""


class Held(Exception):
    """Others hold what is needed, and did not let go in time."""


def reason(error: DBAPIError) -> str:
    """Return the driver's message in one line.

    What PostgreSQL says in further lines may repeat a row, and so may what MariaDB says between quotes; what the driver
    says of a failed connection may not.
    """
    text = message(error)
    return " ".join((text.partition("\n")[0] if sqlstate(error) else text).split())


def message(error: DBAPIError) -> str:
    """Return the driver's message: MariaDB's comes with a number."""
    match getattr(error.orig, "args", ()):
        case (int(), str(text)):
            return VALUE.sub("(a value)", text)
    return str(error.orig)


def sqlstate(error: DBAPIError) -> str | None:
    """Return the server's code of the error; None from SQLite, and where there was no server to give one."""
    code: str | None = getattr(error.orig, "sqlstate", None)
    return code


def is_missing_table(error: DBAPIError) -> bool:
    """Say whether a table is not there: migrations have not run."""
    return sqlstate(error) in UNDEFINED_TABLE or "no such table" in str(error.orig)


def is_forbidden(error: DBAPIError) -> bool:
    """Say whether somebody else may do this, and the role that tried may not."""
    return bool({sqlstate(error), number(error)} & FORBIDDEN)


def is_locked(error: DBAPIError) -> bool:
    """Say whether others held for too long what was needed, so that trying again may help."""
    return bool({sqlstate(error), number(error)} & LOCKED) or "is locked" in str(error.orig)


def is_undone(error: DBAPIError) -> bool:
    """Say whether the transaction is gone through nobody's fault, so that it may be tried again at once.

    Others were in the way of each other and this one had to give in, or the connection was lost.
    """
    return error.connection_invalidated or bool({sqlstate(error), number(error)} & OVERTAKEN)


def is_passing(error: Exception) -> bool:
    """Say whether the database was busy or away, which passes by itself."""
    if isinstance(error, DBAPIError):
        unreachable = isinstance(error, OperationalError) and sqlstate(error) is None and number(error) is None
        away = bool({sqlstate(error), number(error)} & AWAY) or (unreachable and is_of_server(error))
        return away or is_undone(error) or is_locked(error)
    return isinstance(error, Undone | PoolTimeout)


def is_of_server(error: DBAPIError) -> bool:
    """Say whether a driver speaks that has a server: SQLite's operational errors are faults of ours, or locks."""
    return not isinstance(error.orig, sqlite3.Error)


def number(error: DBAPIError) -> int | None:
    """Return MariaDB's number of the error, since most have no code of their own; None from the others."""
    match getattr(error.orig, "args", ()):
        case (int(found), str()):
            return found
    return None
