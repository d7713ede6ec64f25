"""Where failed log-ins are counted: the port, its adapter on the database, and its twin in memory.

They are counted by a key made from the address, whether it has an account or not, so the table tells nobody who has.
"""

import logging
from datetime import datetime
from typing import Protocol

from sqlalchemy import case, delete, select

from app.auth.tables import failures
from app.database.session import Session
from app.database.upsert import add_or_change

logger = logging.getLogger(__name__)


class FailureRepository(Protocol):
    """Counts failed log-ins."""

    def count(self, key: str, since: datetime) -> int:
        """Return how many there were in a row, the last of them after ``since``."""
        ...

    def add(self, key: str, now: datetime, since: datetime) -> None:
        """Count one more; begin anew when the last one was before ``since``."""
        ...

    def forget(self, key: str) -> None:
        """Begin anew."""
        ...

    def remove_before(self, moment: datetime) -> int:
        """Remove counts whose last failure was before then, and return how many."""
        ...


class SqlFailureRepository:
    """Failed log-ins in the database."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def count(self, key: str, since: datetime) -> int:
        """Return how many there were in a row, the last of them after ``since``."""
        recent = select(failures.c.failures).where(failures.c.key == key, failures.c.last_at > since)
        return int(self.session.execute(recent).scalar() or 0)

    def add(self, key: str, now: datetime, since: datetime) -> None:
        """Count one more; begin anew when the last one was before ``since``.

        Counted by the database, so that of several at once none is lost.
        """
        counted = case((failures.c.last_at > since, failures.c.failures + 1), else_=1)
        row = {"key": key, "failures": 1, "last_at": now}
        changes = {"failures": counted, "last_at": now}
        self.session.execute(add_or_change(self.session.engine.dialect.name, failures, row, changes))

    def forget(self, key: str) -> None:
        """Begin anew."""
        self.session.execute(delete(failures).where(failures.c.key == key))

    def remove_before(self, moment: datetime) -> int:
        """Remove counts whose last failure was before then, and return how many."""
        return self.session.execute(delete(failures).where(failures.c.last_at <= moment)).rowcount


class InMemoryFailureRepository:
    """Failed log-ins in a dictionary."""

    def __init__(self) -> None:
        self.failures: dict[str, tuple[int, datetime]] = {}

    def count(self, key: str, since: datetime) -> int:
        """Return how many there were in a row, the last of them after ``since``."""
        number, last_at = self.failures.get(key, (0, since))
        return number if last_at > since else 0

    def add(self, key: str, now: datetime, since: datetime) -> None:
        """Count one more; begin anew when the last one was before ``since``."""
        self.failures[key] = (self.count(key, since) + 1, now)

    def forget(self, key: str) -> None:
        """Begin anew."""
        self.failures.pop(key, None)

    def remove_before(self, moment: datetime) -> int:
        """Remove counts whose last failure was before then, and return how many."""
        old = [key for key, (_, last_at) in self.failures.items() if last_at <= moment]
        for key in old:
            del self.failures[key]
        return len(old)
