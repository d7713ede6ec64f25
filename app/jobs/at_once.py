"""Jobs without a broker: done at once, by the process that asks."""

import contextlib
import json
import logging

from app.jobs.models import Arguments
from app.jobs.runner import JobRunner
from app.logs.context import request_id

logger = logging.getLogger(__name__)


class AtOnce:
    """Does a job while the caller waits: what a site without workers does, and tests."""

    def __init__(self, runner: JobRunner) -> None:
        self.runner = runner

    def enqueue(self, name: str, arguments: Arguments | None = None) -> None:
        """Do it now. What fails has been logged, and fails nobody who only asked for it."""
        given = json.loads(json.dumps(dict(arguments or {})))
        with contextlib.suppress(Exception):
            self.runner.run(name, given, request_id.get())
