"""Workers go on with backfills that were left to them, a while at a time; when one is killed, another goes on."""

import logging
from datetime import timedelta

from sqlalchemy import Engine

from app.backfills import progress
from app.backfills.known import BACKFILLS
from app.backfills.runner import Elsewhere, Runner, Step, Stuck
from app.clock import Clock
from app.jobs.models import Arguments, Components, Job

logger = logging.getLogger(__name__)

TURN = 40.0
"""Seconds of every minute, so that other jobs have their turn in a worker that does one at a time."""


def go_on(components: Components, arguments: Arguments) -> str:
    """Do a turn of each backfill that was begun for workers and has not ended."""
    said = []
    for backfill in BACKFILLS:
        with components.get(Engine).connect() as connection:
            found = progress.read(connection, backfill.name)
        if found is None or not found.queued or found.finished_at:
            continue
        clock = components.get(Clock)  # type: ignore[type-abstract]
        runner = Runner(components.get(Engine), backfill, clock, tell=log, seconds=TURN)
        try:
            found = runner.run(queued=True)
            ending = "finished" if found.finished_at else f"at {found.position}"
            said.append(f"{backfill.name} {ending}: {found.filled} rows filled")
        except (Elsewhere, Stuck) as error:
            said.append(str(error))
    return "; ".join(said) or "nothing to do"


def log(step: Step) -> None:
    """Say what a backfill waits for; how far it has come stands in the database."""
    if step.waiting_for:
        logger.info("waiting: %s", step.waiting_for)


JOBS = (
    Job(
        name="backfills.go-on",
        summary="Go on with the backfills that were left to workers",
        run=go_on,
        every=timedelta(minutes=1),
    ),
)
