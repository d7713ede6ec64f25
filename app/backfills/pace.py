"""How fast a backfill may go: what the database says of itself, and what follows from that."""

import logging
from dataclasses import dataclass

from sqlalchemy import Connection, text

logger = logging.getLogger(__name__)

BATCH_SECONDS = 0.2
"""What a batch shall take: so long, and no longer, others wait for a row of it."""

SMALLEST, FIRST, LARGEST = 50, 500, 20_000
MOST_LAG_SECONDS = 5.0
MOST_LAG_BYTES = 64 * 2**20
LOOK_AGAIN = 0.5  # seconds

LAG = text(
    "SELECT greatest(0, (SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn))"
    "   FROM pg_replication_slots WHERE active AND slot_type = 'physical'),"
    "  (SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)) FROM pg_stat_replication)) AS bytes,"
    " coalesce((SELECT extract(epoch FROM max(replay_lag)) FROM pg_stat_replication), 0) AS seconds,"
    " (SELECT count(*) FROM pg_locks WHERE NOT granted) AS waiting"
)
"""What was received and not replayed is seen in bytes, too: `replay_lag` stands still while a replica replays nothing.

Whoever may not see what servers say of themselves (pg_monitor) sees how much they have not received: slots are public.
"""


@dataclass(frozen=True, slots=True)
class Signs:
    """What shows that the database is busy: how far replicas are behind, and how many wait for a lock."""

    lag_bytes: int = 0
    lag_seconds: float = 0.0
    waiting: int = 0

    def __str__(self) -> str:
        """Say what is in the way."""
        if self.waiting:
            return f"{self.waiting} wait for a lock"
        return f"a replica is {self.lag_seconds:.0f} s and {self.lag_bytes / 2**20:.0f} MB behind"

    @property
    def busy(self) -> bool:
        """Whether it is better to wait."""
        return self.waiting > 0 or self.lag_seconds > MOST_LAG_SECONDS or self.lag_bytes > MOST_LAG_BYTES


def look(connection: Connection) -> Signs:
    """Ask the database; one that has no replicas, or can't say, is never busy."""
    if connection.dialect.name != "postgresql":
        return Signs()
    row = connection.execute(LAG).one()
    return Signs(int(row.bytes), float(row.seconds), row.waiting)


def next_size(size: int, seconds: float) -> int:
    """Choose how many rows the next batch has, from how long the last one took; at most twice, at least half."""
    factor = max(0.5, min(2.0, BATCH_SECONDS / max(seconds, 1e-6)))
    return max(SMALLEST, min(LARGEST, round(size * factor)))


def smaller(size: int) -> int:
    """Choose how many rows to try when others held some of them."""
    return max(SMALLEST, size // 4)


def pause(seconds: float) -> float:
    """Choose how long to leave the database to others after a batch: as long as it took."""
    return min(seconds, 2 * BATCH_SECONDS)
