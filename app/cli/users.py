"""``gazetteer users``: people, from the command line."""

import logging

import click

logger = logging.getLogger(__name__)


@click.group()
def command() -> None:
    """Create users and API tokens."""
