"""``gazetteer run``: a server for development."""

import logging
import os
import secrets
from pathlib import Path

import click

from app.cli import db
from app.cli.environment import fail
from app.settings.env_file import UnreadableEnvFile, read_env_file

logger = logging.getLogger(__name__)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
def command(host: str, port: int) -> None:
    """Serve on this computer, for development. Reads .env; variables that are already set win.

    Makes and fills the database first, and a key for as long as it runs when there is none.
    """
    if Path(".env").exists():
        try:
            os.environ.update({**read_env_file(Path(".env")), **os.environ})
        except UnreadableEnvFile as error:
            fail(f".env: {error}")
    os.environ.setdefault("LOG_FORMAT", "console")
    os.environ.setdefault("SECURE_COOKIES", "no")
    os.environ.setdefault("PUBLIC_URL", f"http://{host}:{port}")
    if not {"SECRET_KEY", "SECRET_KEY_FILE"} & os.environ.keys():
        os.environ["SECRET_KEY"] = secrets.token_urlsafe(48)
        click.echo("SECRET_KEY is not set: a new one until this stops, and API tokens end with it", err=True)
    prepare_database()
    from werkzeug.serving import run_simple

    from app.wsgi import application

    click.echo(f"http://{host}:{port}/", err=True)
    run_simple(host, port, application, threaded=True)


def prepare_database() -> None:
    """Make the database if it is a file, and bring schema and data up to date: what a rollout does on servers."""
    for prepare in (db.upgrade, db.seed):
        prepare.main([], standalone_mode=False)
