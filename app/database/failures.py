"""What the database refused, told alike for each kind."""

import logging

from sqlalchemy.exc import DBAPIError

logger = logging.getLogger(__name__)

UNDEFINED_TABLE = "42P01"
INSUFFICIENT_PRIVILEGE = "42501"
LOCKED = {"55P03", "40P01"}  # lock_not_available, deadlock_detected


def reason(error: DBAPIError) -> str:
    """Return the driver's message in one line.

    What PostgreSQL says in further lines may repeat a row; what the driver says of a failed connection may not.
    """
    text = str(error.orig)
    return " ".join((text.partition("\n")[0] if sqlstate(error) else text).split())


def sqlstate(error: DBAPIError) -> str | None:
    """Return PostgreSQL's code of the error; None from SQLite, and where there was no server to give one."""
    code: str | None = getattr(error.orig, "sqlstate", None)
    return code


def is_missing_table(error: DBAPIError) -> bool:
    """Say whether a table is not there: migrations have not run."""
    return sqlstate(error) == UNDEFINED_TABLE or "no such table" in str(error.orig)


def is_locked(error: DBAPIError) -> bool:
    """Say whether others held for too long what was needed, so that trying again may help."""
    return sqlstate(error) in LOCKED or "is locked" in str(error.orig)
