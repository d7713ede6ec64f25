"""``gazetteer jobs``: what is done in the background, from the command line."""

import json
import logging
from typing import Any

import click

from app.cli.environment import fail
from app.cli.users import components

logger = logging.getLogger(__name__)


@click.group()
def command() -> None:
    """List and do jobs."""


@command.command("list")
def list_jobs() -> None:
    """List every job, and how often it is done by itself."""
    from app.background import JOBS

    width = max(len(job.name) for job in JOBS)
    for job in JOBS:
        click.echo(f"{job.name:<{width}}  {f'every {job.every}' if job.every else 'when asked for':<15}  {job.summary}")


@command.command()
@click.argument("name")
@click.option("--arguments", default="{}", show_default=True, help="A JSON object.")
@click.option("--queue", is_flag=True, help="Leave it to a worker instead of doing it now.")
def run(name: str, arguments: str, queue: bool) -> None:
    """Do a job now, in this process, and say what it did."""
    from app.background import JOBS
    from app.jobs.models import JobQueue
    from app.jobs.runner import JobRunner

    if name not in {job.name for job in JOBS}:
        fail(f"there is no job {name!r}; expected one of {', '.join(job.name for job in JOBS)}")
    given = read_object(arguments)
    with components() as container:
        if queue:
            container.get(JobQueue).enqueue(name, given)
            click.echo(f"{name}: queued")
        else:
            click.echo(container.get(JobRunner).run(name, given))


def read_object(text: str) -> dict[str, Any]:
    """Read a JSON object, or say what came instead."""
    try:
        found = json.loads(text)
    except ValueError as error:
        fail(f"--arguments: expected a JSON object; {error}")
    if not isinstance(found, dict):
        fail(f"--arguments: expected a JSON object; got {type(found).__name__}")
    return found
