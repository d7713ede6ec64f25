"""Replay what this release runs on the scratch copy of the schema, as the role that serves; nothing of it stays."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.database.engine import make_engine
from app.database.failures import reason
from app.database.target import Target
from app.rehearsal.recording import Recorded

logger = logging.getLogger(__name__)

LONGEST = 300
"""How much of a statement is told: enough to find it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A statement that failed: at which of its runs, as numbers in the recording, and how at first."""

    sql: str
    error: str
    runs: tuple[int, ...]


def replay(scratch: Target, recorded: Sequence[Recorded]) -> list[Failure]:
    """Run statements in their order, in one transaction that is undone; answer those that failed.

    Each has a savepoint, so one that fails takes none of the others with it. Raises DBAPIError if nobody can be asked.
    """
    failed: dict[str, Failure] = {}
    engine = make_engine(scratch)
    try:
        with engine.connect() as connection:
            transaction = connection.begin()
            begin(connection)
            for number, each in enumerate(recorded):
                error = run(connection, each)
                if error is not None:
                    before = failed.get(each.sql, Failure(each.sql, error, ()))
                    failed[each.sql] = Failure(before.sql, before.error, (*before.runs, number))
            transaction.rollback()
    finally:
        engine.dispose()
    return list(failed.values())


def begin(connection: Connection) -> None:
    """Don't ask for rows that others refer to: they are in the database in use only."""
    match connection.dialect.name:
        case "sqlite":
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        case "mariadb":
            connection.exec_driver_sql("SET SESSION foreign_key_checks = 0")


def run(connection: Connection, each: Recorded) -> str | None:
    """Run a statement; answer why it failed."""
    savepoint = connection.begin_nested()
    values: Any = tuple(each.values) if isinstance(each.values, list) else each.values
    try:
        with connection.exec_driver_sql(each.sql, values) as result:
            if result.returns_rows:
                result.fetchall()
    except DBAPIError as error:
        savepoint.rollback()
        return reason(error)
    savepoint.commit()
    return None


def told(failures: Sequence[Failure], recorded: Sequence[Recorded]) -> dict[str, Any]:
    """Return the answer as it is printed."""
    failed = [
        {"sql": " ".join(each.sql.split())[:LONGEST], "error": each.error[:LONGEST], "runs": list(each.runs)}
        for each in failures
    ]
    return {"replayed": len(recorded), "failed": failed}
