"""Does the database's schema fit this release?"""

import logging
from collections.abc import Sequence

from sqlalchemy import Engine, inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.database.failures import reason, sqlstate
from app.database.revisions import Revision

logger = logging.getLogger(__name__)


def current_revision(connection: Connection) -> str | None:
    """Return the revision that the database is at, or None if it was never migrated."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    value: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return value


def misfit(current: str | None, known: Sequence[Revision]) -> str | None:
    """Say why this release can't work on a schema at revision ``current``, or None if it can.

    A revision this release does not know is a newer schema. Only migrations that keep the previous release working
    run while it is still there, so that is fine: it must not stop serving while its successor is rolled out.
    """
    needed = [entry.revision for entry in known if entry.kind != "contract"]
    head = needed[-1] if needed else known[-1].revision
    if current is None:
        return f"the schema is empty; expected revision {head}: run `db upgrade`"
    revisions = [entry.revision for entry in known]
    # What is left may be contract migrations: this release works before and after them.
    if current not in revisions or revisions.index(current) >= revisions.index(head):
        return None
    return f"the schema is behind: it is at revision {current}, expected {head}: run `db upgrade`"


def unready(engine: Engine, known: Sequence[Revision]) -> list[str]:
    """Return the reasons why requests can't be served from this database; none if they can."""
    try:
        with engine.connect() as connection:
            found = misfit(current_revision(connection), known)
    except DBAPIError as error:
        used = error.statement and sqlstate(error)  # else it was refused before, or there was nobody to ask
        return [f"the database can't be {'used' if used else 'reached'}: {reason(error)}"]
    except PoolTimeout:
        return ["the database can't be reached: every connection of this process is in use"]
    return [found] if found else []
