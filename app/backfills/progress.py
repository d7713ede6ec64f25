"""Keep how far backfills have come, in the transaction of the rows that they fill."""

import logging
from datetime import datetime

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.backfills.backfill import Progress
from app.backfills.tables import backfills

logger = logging.getLogger(__name__)


def read(connection: Connection, name: str) -> Progress | None:
    """Return how far a backfill has come; None if it was never begun."""
    row = connection.execute(select(backfills).where(backfills.c.name == name)).one_or_none()
    return Progress(row.position, row.filled, row.queued, row.started_at, row.finished_at) if row else None


def begin(connection: Connection, name: str, now: datetime, *, queued: bool) -> Progress:
    """Begin a backfill, or leave one where it is that was begun; and say who shall do it."""
    if read(connection, name) is None:
        row = {"name": name, "position": 0, "filled": 0, "queued": queued, "started_at": now}
        try:
            with connection.begin_nested():
                connection.execute(insert(backfills).values(row))
        except IntegrityError:
            logger.info("somebody else has just begun it", extra={"backfill": name})
    connection.execute(update(backfills).where(backfills.c.name == name).values(queued=queued))
    found = read(connection, name)
    assert found
    return found


def move(connection: Connection, name: str, before: Progress, position: int) -> bool:
    """Move from one position to the next, and keep others from it until the transaction ends.

    False if somebody else has moved it meanwhile.
    """
    here = (backfills.c.name == name) & (backfills.c.position == before.position)
    still = here & (backfills.c.filled == before.filled) & backfills.c.finished_at.is_(None)
    return connection.execute(update(backfills).where(still).values(position=position)).rowcount == 1


def add(connection: Connection, name: str, filled: int) -> None:
    """Count rows that were filled."""
    values = {"filled": backfills.c.filled + filled}
    connection.execute(update(backfills).where(backfills.c.name == name).values(values))


def finish(connection: Connection, name: str, now: datetime | None) -> None:
    """Note that nothing is left to be filled; or, with None, that something is again, anywhere."""
    values = {"finished_at": now} if now else {"finished_at": None, "position": 0}
    connection.execute(update(backfills).where(backfills.c.name == name).values(values))
