"""What a job is, and the port through which use cases ask for one."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

logger = logging.getLogger(__name__)

ComponentT = TypeVar("ComponentT")
Arguments = Mapping[str, Any]
"""What JSON can say: a job may be done by another process, of another release."""


class Components(Protocol):
    """Gives a job what it works with, as a request's container does."""

    def get(self, svc_type: type[ComponentT], /) -> ComponentT:
        """Return a component."""
        ...


@dataclass(frozen=True)
class Job:
    """A kind of job. ``run`` says in a few words what it did; doing it twice must do no harm."""

    name: str
    summary: str
    run: Callable[[Components, Arguments], str]
    every: timedelta | None = None
    """How often it is done by itself."""


class UnknownJob(Exception):
    """No job has this name in this release; another one may know it."""


class JobQueue(Protocol):
    """Takes jobs, to be done soon."""

    def enqueue(self, name: str, arguments: Arguments | None = None) -> None:
        """Have a job done, with arguments that JSON can say. Raises TypeError for others."""
        ...
