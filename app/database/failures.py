"""What the database refused, told alike for each kind."""

import logging
import re

from sqlalchemy.exc import DBAPIError

logger = logging.getLogger(__name__)

UNDEFINED_TABLE = {"42P01", "42S02"}
FORBIDDEN = {"42501", 1044, 1142}  # insufficient_privilege; MariaDB's of a database and of a table
LOCKED = {"55P03", "40P01", "40001", 1205}  # lock_not_available, deadlock_detected; MariaDB's deadlock, its time-out

VALUE = re.compile(r"'.*'(?= for (key|column) )", re.DOTALL)
"""In a message of MariaDB: what another row has, or what fits no column."""


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


def number(error: DBAPIError) -> int | None:
    """Return MariaDB's number of the error, since most have no code of their own; None from the others."""
    match getattr(error.orig, "args", ()):
        case (int(found), str()):
            return found
    return None
