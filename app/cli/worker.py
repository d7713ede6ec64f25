"""``gazetteer worker``: do jobs."""

import logging
import os
import sys

import click

from app.cli.environment import settings_or_exit

logger = logging.getLogger(__name__)


@click.command()
def command() -> None:
    """Do jobs until SIGTERM: those of the queue that BROKER_URL names, or without one the periodic ones."""
    from app.components import build_registry
    from app.jobs.notify import say_ready
    from app.jobs.worker import work
    from app.logs import configure_logging
    from app.reporting import report_errors

    settings = settings_or_exit()
    configure_logging(settings)
    report_errors(settings)
    with build_registry(settings) as registry:
        sys.exit(work(settings, registry, lambda: say_ready(os.environ)))
