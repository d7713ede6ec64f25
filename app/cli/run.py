"""``gazetteer run``: a server for development."""

import logging
import os
from pathlib import Path

import click

from app.cli.environment import fail, settings_or_exit
from app.settings.env_file import UnreadableEnvFile, read_env_file

logger = logging.getLogger(__name__)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
def command(host: str, port: int) -> None:
    """Serve on this computer, for development. Reads .env; variables that are already set win."""
    if Path(".env").exists():
        try:
            os.environ.update({**read_env_file(Path(".env")), **os.environ})
        except UnreadableEnvFile as error:
            fail(f".env: {error}")
    os.environ.setdefault("LOG_FORMAT", "console")
    settings_or_exit()
    from werkzeug.serving import run_simple

    from app.wsgi import application

    click.echo(f"http://{host}:{port}/", err=True)
    run_simple(host, port, application, threaded=True)
