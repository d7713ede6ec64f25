"""How commands get their settings, and how they fail: with a message, never a traceback."""

import logging
import os
import sys
from typing import NoReturn

import click

from app.settings import InvalidSettings, Settings

logger = logging.getLogger(__name__)


def fail(message: str, code: int = 1) -> NoReturn:
    """Say what is wrong on standard error and exit."""
    click.echo(message, err=True)
    sys.exit(code)


def settings_or_exit() -> Settings:
    """Return the settings of this process's environment."""
    try:
        return Settings.from_environ(os.environ)
    except InvalidSettings as error:
        fail(str(error))
