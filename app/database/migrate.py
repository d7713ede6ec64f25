"""Bring the schema up to date. Safe to run from several processes at once."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

import app.migrations
from app.database.engine import make_engine
from app.database.failures import Held, is_forbidden, is_locked, reason
from app.database.migration_lock import MIGRATOR_SESSION, be_patient, insist, only_migrator, queue_shortly
from app.database.postgresql import make_postgresql_engine
from app.database.revisions import Revision, read_revisions
from app.database.schema import current_revision
from app.database.sqlite import write_at_once
from app.database.target import Target

logger = logging.getLogger(__name__)

HEAD = "head"
"""The last revision that this release knows."""

BASE = "base"
"""No revision: an empty schema."""

LOCK_SECONDS = 30.0
"""How long to wait for another migrator, or for whoever else holds what has to be changed."""


class CannotMigrate(Exception):
    """The schema can't be brought up to date now; the message says what to do."""


UNFINISHED = text(
    "SELECT format('%I.%I', nspname, relname) FROM pg_index"
    " JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE NOT indisvalid AND relkind = 'i' AND nspname = current_schema() AND relowner = current_user::regrole"
)
"""Indexes whose concurrent build or removal was interrupted: each write keeps them, and no query uses them."""

OTHER_WRITERS = text(
    "SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END"
    " FROM pg_class CROSS JOIN aclexplode(relacl)"
    " WHERE pg_class.oid = to_regclass('alembic_version') AND relowner = current_user::regrole"
    " AND grantee <> relowner AND privilege_type <> 'SELECT'"
)
"""Roles besides its owner that may write which migrations ran: default privileges give the app that."""


Insist = Callable[[Callable[[], None]], None]
"""Does some work, again if it has to be."""

Work = Callable[[Connection, Insist], "Migrated"]
"""What a migrator does, on its connection."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migrator found and did. ``newer`` means that the schema is ahead of this release and was left alone."""

    before: str | None
    after: str | None
    applied: tuple[Revision, ...]
    newer: bool = False


def upgrade(target: Target, lock_seconds: float = LOCK_SECONDS, to: str = HEAD) -> Migrated:
    """Apply the migrations that are missing, up to one. Of several migrators one works; the others find nothing to do.

    Raises CannotMigrate, also when what has to be locked is not free in time.
    """
    known = [entry.revision for entry in read_revisions()]
    if to not in (HEAD, *known):
        raise CannotMigrate(f"there is no revision {to}; expected one of: {', '.join(known)}, {HEAD}")
    return migrate(
        target,
        lock_seconds,
        lambda connection, insist: _upgrade_on(connection, to, lambda: insist(lambda: _run_alembic(connection, to))),
    )


def downgrade(
    target: Target,
    to: str,
    lock_seconds: float = LOCK_SECONDS,
    refusal: Callable[[Sequence[Revision]], str | None] = lambda undone: None,
) -> Migrated:
    """Undo the migrations that came after one, newest first; ``base`` undoes all. Rows that they brought are lost.

    ``refusal`` is shown what would be undone, newest first, and says why not. Raises CannotMigrate.
    """
    known = [BASE, *(entry.revision for entry in read_revisions())]
    if to not in known:
        raise CannotMigrate(f"there is no revision {to}; expected one of: {', '.join(known)}")
    return migrate(
        target,
        lock_seconds,
        lambda connection, insist: _downgrade_on(
            connection, to, refusal, lambda: insist(lambda: _run_alembic(connection, to, "downgrade"))
        ),
    )


def migrate(target: Target, lock_seconds: float, work: Work) -> Migrated:
    """Do ``work`` as the one migrator of a database. Raises CannotMigrate."""
    run = {"sqlite": migrate_sqlite, "postgresql": migrate_postgresql, "mariadb": migrate_mariadb}[target.kind]
    try:
        return run(target, lock_seconds, work)
    except Held as error:
        raise CannotMigrate(_held(str(error), lock_seconds)) from error
    except DBAPIError as error:
        if is_locked(error):
            raise CannotMigrate(_held("another process has been writing to the database", lock_seconds)) from error
        hint = "; expected the role that owns the schema" if is_forbidden(error) else ""
        raise CannotMigrate(f"{target}: {reason(error)}{hint}") from error
    except OSError as error:
        raise CannotMigrate(f"{target}: {error.strerror}: {error.filename}") from error


def migrate_sqlite(target: Target, lock_seconds: float, work: Work) -> Migrated:
    """Work in one transaction, which takes SQLite's write lock before it looks what is missing.

    A table that is made anew (Alembic's batch mode) is dropped, and SQLite would delete what refers to its rows: so
    foreign keys are looked at in the end, all at once (https://www.sqlite.org/lang_altertable.html#otheralter).
    """
    with (
        disposed(make_engine(target, create=True, busy_seconds=lock_seconds)) as engine,
        engine.connect() as connection,
    ):
        leave_references(connection)
        with connection.begin():
            write_at_once(connection)
            done = work(connection, lambda run: run())
            lost = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if lost:
                rows = ", ".join(f"{row[0]} {row[1]}" for row in lost[:3])
                raise CannotMigrate(f"rows would refer to rows that are not there: {rows}; nothing was changed")
        return done


def leave_references(connection: Connection) -> None:
    """Let SQLite not look at foreign keys: it does nothing of the kind in the midst of a transaction."""
    driver: Any = connection.connection.dbapi_connection
    driver.execute("PRAGMA foreign_keys = OFF")


def migrate_postgresql(target: Target, lock_seconds: float, work: Work) -> Migrated:
    """Work with each revision in a transaction of its own: a killed migrator leaves whole ones only."""
    deadline = time.monotonic() + lock_seconds
    # No statement_timeout: an index on a large table takes as long as it takes.
    with (
        disposed(make_postgresql_engine(target, {**MIGRATOR_SESSION, "statement_timeout": "0"})) as engine,
        only_migrator(engine, deadline),
        engine.connect() as connection,
    ):
        be_patient(engine, lock_seconds)

        def again(run: Callable[[], None]) -> None:
            connection.rollback()
            queue_shortly(connection)
            drop_unfinished(engine)
            run()

        done = work(connection, lambda run: insist(lambda: again(run), deadline))
        connection.rollback()
        keep_to_owner(connection)
        return done


def migrate_mariadb(target: Target, lock_seconds: float, work: Work) -> Migrated:
    """Work with each statement by itself, and a journal: a killed migrator is followed by one that goes on."""
    from app.database import resumable

    deadline = time.monotonic() + lock_seconds
    with resumable.migrating(target, lock_seconds) as connection:

        def again(run: Callable[[], None]) -> None:
            connection.rollback()
            run()

        resumable.order_by_code_point(connection)
        try:
            done = work(connection, lambda run: insist(lambda: again(run), deadline))
        except resumable.Changed as error:
            raise CannotMigrate(
                f"{target}: a migration was interrupted after {error} statements, and is another one in this release;"
                " expected the one that began. Finish it with the release that began it: db upgrade"
            ) from error
        resumable.tidy(connection)
        return done


def drop_unfinished(engine: Engine) -> None:
    """Drop what a killed migrator's concurrent build has left: IF NOT EXISTS would take it for the index."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name in connection.scalars(UNFINISHED).all():
            logger.info("dropping %s, whose build was not finished", name)
            connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def keep_to_owner(connection: Connection) -> None:
    """Let nobody but the owner write which migrations ran; whoever could before still reads it."""
    with connection.begin():
        for role in connection.scalars(OTHER_WRITERS).all():
            connection.exec_driver_sql(
                f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON alembic_version FROM {role}"
            )


def _upgrade_on(connection: Connection, to: str, run: Callable[[], None]) -> Migrated:
    known = read_revisions()
    before = current_revision(connection)
    names = [None, *(entry.revision for entry in known)]
    if before not in names:
        return Migrated(before, before, (), newer=True)
    end = len(known) if to == HEAD else names.index(to)
    missing = tuple(known[names.index(before) : end])
    if missing:
        run()
    return Migrated(before, current_revision(connection), missing)


def _downgrade_on(
    connection: Connection, to: str, refusal: Callable[[Sequence[Revision]], str | None], run: Callable[[], None]
) -> Migrated:
    known = read_revisions()
    before = current_revision(connection)
    names = [None, *(entry.revision for entry in known)]
    if before not in names:
        raise CannotMigrate(
            f"the schema is at {before}, which this release does not know; expected the release that made it"
        )
    undone = tuple(reversed(known[0 if to == BASE else names.index(to) : names.index(before)]))
    if why := refusal(undone):
        raise CannotMigrate(why)
    if undone:
        run()
    return Migrated(before, current_revision(connection), undone)


@contextmanager
def disposed(engine: Engine) -> Iterator[Engine]:
    """Give an engine, and close its connections at the end."""
    try:
        yield engine
    finally:
        engine.dispose()


def _held(problem: str, lock_seconds: float) -> str:
    return f"{problem} for {lock_seconds:.0f} s; expected it to finish. Try again: db upgrade"


def _run_alembic(connection: Connection, to: str, direction: str = "upgrade") -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    # The configuration expands %(name)s.
    config.set_main_option("script_location", str(Path(app.migrations.__file__).parent).replace("%", "%%"))
    getattr(command, direction)(config, to)
