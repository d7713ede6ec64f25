"""``gazetteer db``: schema and data."""

import json
import logging
import time
from dataclasses import replace

import click

from app.about import NAME
from app.cli.environment import fail, settings_or_exit

logger = logging.getLogger(__name__)

UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits(3): it can't be done here, and nothing is wrong with the release."""


@click.group()
def command() -> None:
    """Bring schema and data up to date."""


@command.command()
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Apply missing migrations, up to REVISION. Safe to run from several processes at once."""
    from app.database.migrate import CannotMigrate
    from app.database.migrate import upgrade as run
    from app.database.target import Target

    try:
        done = run(Target.of(settings_or_exit()), to=revision)
    except CannotMigrate as error:
        fail(f"db upgrade: {error}")
    for entry in done.applied:
        click.echo(f"applied {entry.revision} ({entry.kind}): {entry.summary}")
    if done.newer:
        click.echo(f"nothing to do: the schema is at {done.after}, newer than this release")
    elif not done.applied:
        click.echo(f"nothing to do: the schema is at {done.after}")


@command.command()
@click.argument("revision")
@click.option("--environment", metavar="NAME", help="Outside development: of the environment whose rows may be lost.")
def downgrade(revision: str, environment: str | None) -> None:
    """Undo the migrations after REVISION, newest first; `base` undoes all.

    For developers. A release that is rolled back works on the newer schema, so no rollback needs this.
    """
    from app.database.migrate import CannotMigrate
    from app.database.migrate import downgrade as run
    from app.database.target import Target
    from app.database.undoing import refusal

    settings = settings_or_exit()
    try:
        done = run(
            Target.of(settings), revision, refusal=lambda undone: refusal(undone, settings.environment, environment)
        )
    except CannotMigrate as error:
        fail(f"db downgrade: {error}")
    for entry in done.applied:
        click.echo(f"undone {entry.revision} ({entry.kind}): {entry.summary}")
    if not done.applied:
        click.echo(f"nothing to do: the schema is at {done.after or 'base'}")


@command.command()
@click.argument("revision", default="head")
def rehearse(revision: str) -> None:
    """Migrate a scratch copy of the schema up to REVISION, beside the database in use; `base` removes it.

    As the role that owns the schema. Exits 69 where there can be none.
    """
    from app.database.migrate import CannotMigrate
    from app.database.target import Target
    from app.rehearsal.scratch import CannotRehearse
    from app.rehearsal.scratch import rehearse as run

    try:
        done = run(Target.of(settings_or_exit()), revision)
    except CannotMigrate as error:
        fail(f"db rehearse: {error}")
    except CannotRehearse as error:
        fail(f"db rehearse: {error}", UNAVAILABLE)
    click.echo(f"the scratch copy is at {done.after}" if done.after else "there is no scratch copy any more")


@command.command()
def replay() -> None:
    """Run this release's recorded statements on the scratch copy, and undo them; print as JSON which of them fail.

    As the role that serves. Exits 69 where nothing was recorded, or there is no scratch copy.
    """
    from sqlalchemy.exc import DBAPIError

    from app.database.failures import reason
    from app.database.target import Target
    from app.rehearsal import recording
    from app.rehearsal import replay as replaying
    from app.rehearsal.scratch import scratch_of

    scratch = scratch_of(Target.of(settings_or_exit()))
    recorded = recording.read(scratch.kind)
    if not recorded:
        fail(f"db replay: this release has no recording of its statements on {scratch.kind}", UNAVAILABLE)
    try:
        failures = replaying.replay(scratch, recorded)
    except DBAPIError as error:
        fail(f"db replay: {scratch}: {reason(error)}", UNAVAILABLE)
    click.echo(json.dumps(replaying.told(failures, recorded)))


@command.command()
def current() -> None:
    """Print the revision that the database is at."""
    from sqlalchemy.exc import DBAPIError

    from app.database.engine import make_engine
    from app.database.failures import reason
    from app.database.schema import current_revision
    from app.database.target import Target

    engine = make_engine(Target.of(settings_or_exit()))
    try:
        with engine.connect() as connection:
            click.echo(current_revision(connection) or "empty")
    except DBAPIError as error:
        fail(f"db current: the database can't be reached: {reason(error)}")
    finally:
        engine.dispose()


@command.command()
def check() -> None:
    """Say whether this release can work on the schema. Exits 1 with the reason if not."""
    from app.database.engine import make_engine
    from app.database.revisions import read_revisions
    from app.database.schema import unready
    from app.database.target import Target

    engine = make_engine(Target.of(settings_or_exit()))
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
    from app.database.failures import is_missing_table, reason
    from app.database.target import Target
    from app.geolocation import dataset, seeding

    started = time.perf_counter()
    # Loading takes longer than a statement of a request may.
    target = replace(Target.of(settings_or_exit()), statement_timeout=0)
    engine = make_engine(target, busy_seconds=60)
    try:
        done = seeding.seed(engine, dataset.fingerprint(), dataset.read, SystemClock().now())
    except DBAPIError as error:
        expected = "; expected a database with an up-to-date schema"
        hint = f"{expected}. Type: {NAME} db upgrade" if is_missing_table(error) else ""
        fail(f"db seed: {reason(error)}{hint}")
    finally:
        engine.dispose()
    if done is None:
        click.echo(f"nothing to do: {dataset.fingerprint()} is loaded")
        return
    click.echo(
        f"places: {done.added} added, {done.changed} changed, {done.removed} removed"
        f" in {time.perf_counter() - started:.1f} s"
    )
