"""Do a backfill: batch after batch, each a transaction of its own that also says how far it has come."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from app.backfills import pace, progress
from app.backfills.backfill import Backfill, Progress
from app.clock import Clock
from app.database.failures import is_locked
from app.database.sqlite import write_at_once

logger = logging.getLogger(__name__)

LOCK_SECONDS = 1.0
"""How long a batch queues for a row that somebody else holds."""


class Elsewhere(Exception):
    """Somebody else does the same backfill."""


class Stuck(Exception):
    """Rows lack something, and the backfill has gone over all of them without filling it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is told after each batch, and while nothing is done because the database is busy."""

    position: int
    last: int  # the largest key that there was
    filled: int
    waiting_for: str = ""


Tell = Callable[[Step], None]


@dataclass
class Runner:
    """Does one backfill. ``leaving`` ends it after the batch in hand; so does ``seconds``, when it is not None."""

    engine: Engine
    backfill: Backfill
    clock: Clock
    tell: Tell
    leaving: threading.Event = field(default_factory=threading.Event)
    seconds: float | None = None
    size: int = pace.FIRST
    passed: int | None = None  # how many rows were filled when the pass over all rows began

    def run(self, *, queued: bool = False) -> Progress:
        """Begin it, or go on where it was, to its end or until it is time to leave. Raises Elsewhere, Stuck."""
        began = time.monotonic()
        with self.engine.begin() as connection:
            found = progress.begin(connection, self.backfill.name, self.clock.now(), queued=queued)
            if found.finished_at:
                found = self._look_again(connection, found)
        while not found.finished_at and not self.leaving.is_set():
            if self.seconds is not None and time.monotonic() - began > self.seconds:
                break
            self._wait_until_quiet(found)
            found = self._batch(found)
        return found

    def _look_again(self, connection: Connection, found: Progress) -> Progress:
        """An old release may have written rows since: begin once more if any lacks something."""
        if self._is_lacking(connection):
            progress.finish(connection, self.backfill.name, None)
        return progress.read(connection, self.backfill.name) or found

    def _wait_until_quiet(self, found: Progress) -> None:
        while not self.leaving.is_set():
            with self.engine.connect() as connection:
                signs = pace.look(connection)
            if not signs.busy:
                return
            self.tell(Step(found.position, found.position, found.filled, waiting_for=str(signs)))
            self.leaving.wait(pace.LOOK_AGAIN)

    def _batch(self, found: Progress) -> Progress:
        """Do one batch; where others hold its rows, a smaller one next time. Raises Elsewhere."""
        began = time.monotonic()
        try:
            with self.engine.begin() as connection:
                if connection.dialect.name == "sqlite":
                    write_at_once(connection)
                elif connection.dialect.name == "postgresql":
                    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS:g}s'"))
                last = self._last_of_batch(connection, found.position)
                done = self._end(connection, found) if last is None else self._fill(connection, found, last)
                largest = connection.scalar(select(func.max(self.backfill.key))) or 0
        except DBAPIError as error:
            if not is_locked(error):
                raise
            self.size = pace.smaller(self.size)
            self.tell(Step(found.position, found.position, found.filled, waiting_for="others hold rows of the batch"))
            self.leaving.wait(LOCK_SECONDS)
            return found
        took = time.monotonic() - began
        self.size = pace.next_size(self.size, took)
        self.tell(Step(done.position, largest, done.filled))
        if not done.finished_at:
            self.leaving.wait(pace.pause(took))
        return done

    def _last_of_batch(self, connection: Connection, position: int) -> int | None:
        key = self.backfill.key
        batch = select(key).where(key > position).order_by(key).limit(self.size).subquery()
        last: int | None = connection.scalar(select(func.max(batch.c[key.name])))
        return last

    def _fill(self, connection: Connection, found: Progress, last: int) -> Progress:
        name = self.backfill.name
        if not progress.move(connection, name, found, last):
            raise Elsewhere(f"{name}: another process goes on with it")
        progress.add(connection, name, self.backfill.fill(connection, found.position, last))
        return progress.read(connection, name) or found

    def _end(self, connection: Connection, found: Progress) -> Progress:
        """Finish; or begin once more, for rows that came with an earlier key, or from a release that fills nothing."""
        name = self.backfill.name
        if not progress.move(connection, name, found, found.position):
            raise Elsewhere(f"{name}: another process goes on with it")
        lacking = self._is_lacking(connection)
        if lacking and self.passed == found.filled:
            raise Stuck(f"{name}: rows are left that it does not fill")
        self.passed = found.filled
        progress.finish(connection, name, None if lacking else self.clock.now())
        return progress.read(connection, name) or found

    def _is_lacking(self, connection: Connection) -> bool:
        return connection.scalar(select(self.backfill.key).where(self.backfill.lacking).limit(1)) is not None
