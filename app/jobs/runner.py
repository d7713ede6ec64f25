"""Do one job: with components of its own, closed at its end, and log lines marked with the request that caused it."""

import logging
import time
import uuid
from collections.abc import Callable, Iterable

import svcs

from app.jobs.models import Arguments, Job, UnknownJob
from app.logs.context import request_context

logger = logging.getLogger(__name__)


Tell = Callable[[str, str, float], None]
"""Hears of each job that was done: its name, how it ended, how many seconds it took."""


def tell_nobody(name: str, outcome: str, seconds: float) -> None:
    """Be silent."""


class JobRunner:
    """Knows every job and does them, in whatever process it is called."""

    def __init__(self, registry: svcs.Registry, jobs: Iterable[Job], tell: Tell = tell_nobody) -> None:
        self.registry = registry
        self.tell = tell
        self.jobs = {job.name: job for job in jobs}

    def run(self, name: str, arguments: Arguments, request_id: str | None = None) -> str:
        """Do a job and return what it says. Raises UnknownJob, and whatever the job raises."""
        with request_context(request_id or uuid.uuid4().hex):
            job = self.jobs.get(name)
            if job is None:
                raise UnknownJob(f"there is no job {name!r} in this release")
            began = time.perf_counter()
            try:
                with svcs.Container(self.registry) as components:
                    said = job.run(components, arguments)
            except Exception:
                self.tell(name, "failed", time.perf_counter() - began)
                logger.exception("job failed", extra={"job": name, "ms": milliseconds_since(began)})
                raise
            self.tell(name, "done", time.perf_counter() - began)
            logger.info("job done: %s", said, extra={"job": name, "ms": milliseconds_since(began)})
            return said


def milliseconds_since(began: float) -> float:
    """Return the time since then, as logs have it."""
    return round((time.perf_counter() - began) * 1000, 2)
