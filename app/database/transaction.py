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

    def hold(self) -> None:
        """Put commits off: what is done until ``let_go`` lasts together with the commit after it, or not at all."""
        ...

    def let_go(self) -> None:
        """Let commits be commits again."""
        ...


class InMemoryTransaction:
    """For in-memory repositories, which keep everything at once: it only counts."""

    def __init__(self) -> None:
        self.commits = 0
        self.rollbacks = 0
        self.held = False

    def commit(self) -> None:
        """Count, unless it is put off."""
        self.commits += not self.held

    def rollback(self) -> None:
        """Count; nothing is undone."""
        self.rollbacks += 1

    def hold(self) -> None:
        """Count no commits."""
        self.held = True

    def let_go(self) -> None:
        """Count them again."""
        self.held = False
