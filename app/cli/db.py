"""``gazetteer db``: schema and data."""

import logging
import time

import click

from app.about import NAME
from app.cli.environment import fail, settings_or_exit

logger = logging.getLogger(__name__)


@click.group()
def command() -> None:
    """Bring schema and data up to date."""


@command.command()
def upgrade() -> None:
    """Apply missing migrations. Safe to run from several processes at once."""
    from app.database.migrate import CannotMigrate
    from app.database.migrate import upgrade as run

    try:
        done = run(settings_or_exit().database_url)
    except CannotMigrate as error:
        fail(f"db upgrade: {error}")
    for entry in done.applied:
        click.echo(f"applied {entry.revision} ({entry.kind}): {entry.summary}")
    if done.newer:
        click.echo(f"nothing to do: the schema is at {done.after}, newer than this release")
    elif not done.applied:
        click.echo(f"nothing to do: the schema is at {done.after}")


@command.command()
def current() -> None:
    """Print the revision that the database is at."""
    from sqlalchemy.exc import DBAPIError

    from app.database.engine import make_engine
    from app.database.schema import current_revision

    engine = make_engine(settings_or_exit().database_url)
    try:
        with engine.connect() as connection:
            click.echo(current_revision(connection) or "empty")
    except DBAPIError as error:
        fail(f"db current: the database can't be reached: {error.orig}")
    finally:
        engine.dispose()


@command.command()
def check() -> None:
    """Say whether this release can work on the schema. Exits 1 with the reason if not."""
    from app.database.engine import make_engine
    from app.database.revisions import read_revisions
    from app.database.schema import unready

    engine = make_engine(settings_or_exit().database_url)
    reasons = unready(engine, read_revisions())
    engine.dispose()
    if reasons:
        fail("\n".join(reasons))
    click.echo("ok")


@command.command()
def seed() -> None:
    """Load the places that the application knows. Only what differs is written."""
    from sqlalchemy.exc import DBAPIError

    from app.clock import SystemClock
    from app.database.engine import make_engine
    from app.geolocation import dataset, seeding

    started = time.perf_counter()
    engine = make_engine(settings_or_exit().database_url, busy_seconds=60)
    try:
        done = seeding.seed(engine, dataset.fingerprint(), dataset.read, SystemClock().now())
    except DBAPIError as error:
        missing = "no such table" in str(error.orig)
        hint = f"; expected a database with an up-to-date schema. Type: {NAME} db upgrade" if missing else ""
        fail(f"db seed: {error.orig}{hint}")
    finally:
        engine.dispose()
    if done is None:
        click.echo(f"nothing to do: {dataset.fingerprint()} is loaded")
        return
    click.echo(
        f"places: {done.added} added, {done.changed} changed, {done.removed} removed"
        f" in {time.perf_counter() - started:.1f} s"
    )
