"""Column types that mean the same on every database."""

import logging
from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, String
from sqlalchemy.types import TypeDecorator

logger = logging.getLogger(__name__)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. SQLite keeps no time zone, so moments are stored in UTC and come back aware of it."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC. Raises ValueError for a moment that does not say which zone it is in."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Mark as UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


def by_code_point(length: int) -> String:
    """Return the type of text in the order of its code points, which is SQLite's only one.

    PostgreSQL would take the order of the language that the database was made for. In this one, what begins alike is a
    range, which an index finds.
    """
    return String(length).with_variant(String(length, collation="C"), "postgresql")
