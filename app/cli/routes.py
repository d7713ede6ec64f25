"""``gazetteer routes``: what the application answers."""

import logging

import click

logger = logging.getLogger(__name__)


@click.command()
def command() -> None:
    """List what the application answers: method, path, who may call it, what it does."""
    from app.routes import ROUTES

    for route in ROUTES:
        click.echo(f"{route.method:6} {route.path:32} {route.permission.value:10} {route.summary}")
