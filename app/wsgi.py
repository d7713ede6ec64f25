"""The application as a WSGI server loads it: ``app.wsgi:application``. The only module that reads ``os.environ``."""

import atexit
import logging
import os
import sys

from app.application import Application, create_app
from app.logs import configure_logging
from app.reporting import report_errors
from app.settings import InvalidSettings, Settings

logger = logging.getLogger(__name__)

CANNOT_LOAD = 4
"""gunicorn's code for an application that can't be loaded: it gives up, instead of starting workers for ever."""


def make() -> Application:
    """Build the application from the environment. Exits with every reason on standard error if that can't be done."""
    try:
        settings = Settings.from_environ(os.environ)
    except InvalidSettings as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201 - logging is configured by what is invalid here
        sys.exit(CANNOT_LOAD)
    configure_logging(settings)
    report_errors(settings)
    made = create_app(settings)
    atexit.register(made.close)
    return made


application = make()
