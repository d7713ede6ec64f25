"""Jobs that are done by themselves, each once in its time, however many workers there are."""

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from app.clock import Clock
from app.jobs.models import Job, JobQueue

logger = logging.getLogger(__name__)

TICK = 1.0  # seconds between two looks at the clock
Claim = Callable[[str, int, float], bool]
"""Says whether this worker is the first to ask for a turn of a job: name, turn, seconds until the next."""


def turn_of(job: Job, now: datetime) -> int:
    """Number the times in which a job is done once: the same for every worker whose clock is right."""
    assert job.every is not None
    return int(now.timestamp() // job.every.total_seconds())


class Periodic:
    """Asks for each job when its time has come, unless another worker was first."""

    def __init__(self, jobs: Iterable[Job], queue: JobQueue, clock: Clock, claim: Claim) -> None:
        self.jobs = [job for job in jobs if job.every is not None]
        self.queue = queue
        self.clock = clock
        self.claim = claim
        self.asked: dict[str, int] = {}

    def tick(self) -> None:
        """Ask for what is due; what fails is tried again at the next tick."""
        for job in self.jobs:
            turn = turn_of(job, self.clock.now())
            if self.asked.get(job.name) == turn or job.every is None:
                continue
            try:
                if self.claim(job.name, turn, job.every.total_seconds()):
                    self.queue.enqueue(job.name)
            except Exception as error:
                logger.warning("can't ask for a periodic job: %s", error, extra={"job": job.name})
                continue
            self.asked[job.name] = turn

    def run_until(self, leaving: threading.Event) -> None:
        """Look at the clock until it is time to leave; a job that is done in here is finished first."""
        while not leaving.is_set():
            self.tick()
            leaving.wait(TICK)


def always_first(name: str, turn: int, seconds: float) -> bool:
    """Claim for a worker that has nobody beside it, as far as it knows."""
    return True
