"""The transaction as use cases see it."""

import logging
from typing import Protocol

logger = logging.getLogger(__name__)


class Transaction(Protocol):
    """What the repositories of one request have done since the last commit. A Session is one."""

    def commit(self) -> None:
        """Make it last. What is never committed is undone when the request ends."""
        ...

    def rollback(self) -> None:
        """Undo it; the next statement begins a new transaction."""
        ...


class InMemoryTransaction:
    """For in-memory repositories, which keep everything at once: it only counts."""

    def __init__(self) -> None:
        self.commits = 0
        self.rollbacks = 0

    def commit(self) -> None:
        """Count."""
        self.commits += 1

    def rollback(self) -> None:
        """Count; nothing is undone."""
        self.rollbacks += 1
