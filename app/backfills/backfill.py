"""What a backfill is, and how far one has come."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, ColumnElement, Connection

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backfill:
    """Fills what rows lack, a range of their keys at a time. A row that is filled twice must come to no harm.

    ``fill`` gets a connection in a transaction, a key and a later one, and fills the rows after the first up to the
    second; it returns how many it has filled. Rows that others lock or change meanwhile are theirs.
    """

    name: str
    summary: str
    key: Column[int]
    lacking: ColumnElement[bool]
    fill: Callable[[Connection, int, int], int]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backfill has come: every row up to the key ``position`` is filled, ``filled`` of them by it.

    ``queued`` says that workers shall go on with it.
    """

    position: int
    filled: int
    queued: bool
    started_at: datetime
    finished_at: datetime | None
