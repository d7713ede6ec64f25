"""A scratch copy of the schema, beside the database in use: what a migration would make of it, without a row.

It is made by the migrations themselves, with the rights that the roles have in the database in use, by the role that
owns the schema. A migration that is tried here locks nothing that anybody uses.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError

from app.database.engine import make_engine
from app.database.failures import reason
from app.database.migrate import BASE, HEAD, Migrated, upgrade
from app.database.target import Target

logger = logging.getLogger(__name__)

ENDING = "_rehearsal"
LOCK_SECONDS = 10.0


class CannotRehearse(Exception):
    """There can be no scratch copy here; the message says why, and what would allow it."""


KNOWN = text("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = :name")
MAY_CREATE = text("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user")
RIGHTS = text(
    "SELECT format('GRANT %s ON SCHEMA public TO %s', privilege_type,"
    " CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)"
    " FROM pg_namespace CROSS JOIN aclexplode(nspacl) WHERE nspname = 'public' AND grantee <> nspowner"
    " UNION ALL SELECT format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT %s ON %s TO %s', privilege_type,"
    " CASE defaclobjtype WHEN 'r' THEN 'TABLES' ELSE 'SEQUENCES' END,"
    " CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)"
    " FROM pg_default_acl CROSS JOIN aclexplode(defaclacl)"
    " WHERE defaclrole = current_user::regrole AND defaclobjtype IN ('r', 'S')"
)
"""What the owner has given others in the database in use: the scratch copy has the same, or it would show nothing."""

LATER = text(
    "SELECT format('ALTER TABLE %s ALTER CONSTRAINT %I DEFERRABLE INITIALLY DEFERRED', conrelid::regclass, conname)"
    " FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace"
)
"""Rows are written without those that they refer to, which are in the database in use only."""

FROM_ONE = text(
    "SELECT format('ALTER SEQUENCE %s RESTART', pg_class.oid::regclass) FROM pg_class"
    " WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
)
EMPTY = ("DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public")
TABLES = text("SELECT table_name FROM information_schema.tables WHERE table_schema = database()")


def scratch_of(target: Target) -> Target:
    """Return where the scratch copy of a database is."""
    if target.kind == "sqlite":
        return replace(target, url=f"{target.url}{ENDING}")
    url = make_url(target.url)
    changed = url.set(database=f"{url.database}{ENDING}")
    return replace(target, url=changed.render_as_string(hide_password=False))


def rehearse(target: Target, to: str = HEAD) -> Migrated:
    """Migrate the scratch copy of a database up to a revision; make it if there is none. Raises CannotRehearse.

    ``base`` removes it. Raises CannotMigrate when a migration fails, as it would on the database in use.
    """
    scratch = scratch_of(target)
    try:
        if to == BASE:
            remove(target, scratch)
            return Migrated(None, None, ())
        make(target, scratch)
        done = upgrade(scratch, LOCK_SECONDS, to)
        prepare(scratch, first=done.before is None)
    except DBAPIError as error:
        raise CannotRehearse(f"{scratch}: {reason(error)}{hint(target, scratch)}") from error
    return done


def hint(target: Target, scratch: Target) -> str:
    """Say what would allow a scratch copy."""
    if target.kind == "sqlite":
        return ""
    name = make_url(scratch.url).database
    if target.kind == "mariadb":
        return f"; expected: GRANT ALL ON `{name}`.* TO {make_url(target.url).username}"
    return f"; expected a database {name} that belongs to {make_url(target.url).username}: CREATE DATABASE {name} OWNER"


def make(target: Target, scratch: Target) -> None:
    """Make the scratch copy's database if it is not there."""
    name = make_url(scratch.url).database
    if target.kind == "postgresql":
        with connected(target) as connection:
            owner = connection.scalar(KNOWN, {"name": name})
            rights = list(connection.scalars(RIGHTS))
            if owner is None:
                connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE template0')
        with connected(scratch) as connection:
            for statement in rights:
                connection.exec_driver_sql(statement)
    elif target.kind == "mariadb":
        with connected(target) as connection:
            connection.exec_driver_sql(f"CREATE DATABASE IF NOT EXISTS `{name}`")


def prepare(scratch: Target, *, first: bool) -> None:
    """Let statements that were recorded elsewhere meet what they met there, as far as it can be."""
    if scratch.kind == "postgresql":
        with connected(scratch) as connection:
            later = connection.scalars(LATER).all() if first else []  # what a further migration adds is looked at
            for statement in [*later, *connection.scalars(FROM_ONE)]:
                connection.exec_driver_sql(statement)
    elif scratch.kind == "mariadb":
        with connected(scratch) as connection:
            for table in connection.scalars(TABLES).all():
                connection.exec_driver_sql(f"ALTER TABLE `{table}` AUTO_INCREMENT = 1")


def remove(target: Target, scratch: Target) -> None:
    """Remove what there is of it. A database that we could not make again is emptied."""
    name = make_url(scratch.url).database
    if target.kind == "sqlite":
        for ending in ("", "-wal", "-shm"):
            Path(f"{scratch.path}{ending}").unlink(missing_ok=True)
    elif target.kind == "mariadb":
        with connected(target) as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS `{name}`")
    else:
        with connected(target) as connection:
            if connection.scalar(KNOWN, {"name": name}) is None:
                return
            rights = connection.scalars(RIGHTS).all()
            if connection.scalar(MAY_CREATE):
                connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
                return
        with connected(scratch) as connection:
            for statement in [*EMPTY, *rights]:
                connection.exec_driver_sql(statement)


@contextmanager
def connected(target: Target) -> Iterator[Connection]:
    """Give a connection that commits each statement."""
    engine = make_engine(target)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection
    finally:
        engine.dispose()
