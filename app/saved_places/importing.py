"""Use cases: bring places in from a file, as a job that may be killed and begun again without losing or doubling a row.

The file is stored with the import before anybody is asked to read it, so nothing is lost with a queue; what got nowhere
for a while is asked for again. Rows go in by batches: each is one transaction that adds places and says how many rows
are done. So after a kill the next attempt goes on behind the last batch, and of two workers with the same import one
finds that the other was faster, and leaves it.
"""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from app.clock import Clock
from app.database.transaction import Transaction
from app.errors import NotFound
from app.jobs.models import JobQueue
from app.saved_places.csv_files import Unreadable, read_csv
from app.saved_places.geojson_files import read_geojson
from app.saved_places.import_repository import ImportRepository
from app.saved_places.models import MOST_PLACES, Fault, Format, Import, PlaceDraft, Row, State
from app.saved_places.repository import SavedPlaceRepository
from app.saved_places.services import SavedPlaces

logger = logging.getLogger(__name__)

JOB = "saved-places.import"
BATCH = 250
"""Rows in a transaction: enough that committing costs little, few enough that others soon get the list."""

MOST_ROWS = MOST_PLACES
MOST_FAULTS = 1000
"""Reasons that are kept; all refused rows are counted."""

MOST_ATTEMPTS = 5
"""Starts without getting on, after which a file counts as one that kills whoever reads it."""

KEPT = timedelta(days=30)


class Imports:
    """Manages imports into users' lists. ``patience`` is how long one may get nowhere until it is asked for again."""

    def __init__(
        self,
        saved: SavedPlaces,
        lists: SavedPlaceRepository,
        imports: ImportRepository,
        transaction: Transaction,
        queue: JobQueue,
        clock: Clock,
        patience: timedelta,
    ) -> None:
        self.saved = saved
        self.lists = lists
        self.imports = imports
        self.transaction = transaction
        self.queue = queue
        self.clock = clock
        self.patience = patience

    def begin(self, owner: int, list_id: int, format_: Format, body: bytes) -> Import:
        """Store a file and have it read into a list. Raises NotFound. What is wrong with the file shows later."""
        self.saved.get_list(owner, list_id)
        self.transaction.commit()
        made = self.imports.add(list_id, format_, body, self.clock.now())
        self.transaction.commit()
        self._ask(made.id)
        found = self.imports.by_id(made.id)  # without a broker it is done by now
        self.transaction.commit()
        return found or made

    def get(self, owner: int, list_id: int, import_id: int) -> Import:
        """Return an import and how far it is. Raises NotFound."""
        self.saved.get_list(owner, list_id)
        found = self.imports.by_id(import_id)
        if found is None or found.list_id != list_id:
            raise NotFound(f"There is no import with the id {import_id} into this list.")
        return found

    def of_list(self, owner: int, list_id: int, after: tuple[Any, ...] | None, limit: int) -> list[Import]:
        """Return a list's imports, newest first. Raises NotFound."""
        self.saved.get_list(owner, list_id)
        return self.imports.of_list(list_id, after, limit)

    def faults(
        self, owner: int, list_id: int, import_id: int, after: tuple[Any, ...] | None, limit: int
    ) -> list[Fault]:
        """Return why rows were refused, by line, from after the line in ``after``. Raises NotFound."""
        self.get(owner, list_id, import_id)
        return self.imports.faults(import_id, after, limit)

    def run(self, import_id: int) -> str:
        """Do, or go on with, an import, and say what became of it. What has ended is left alone."""
        current = self.imports.start(import_id, self.clock.now())
        self.transaction.commit()
        if current is None:
            return f"import {import_id} has ended, or is gone"
        if current.attempts > MOST_ATTEMPTS:
            return self._finish(import_id, State.FAILED, f"Given up after {MOST_ATTEMPTS} attempts.")
        body = self.imports.body(import_id)
        self.transaction.commit()
        if body is None:
            return f"import {import_id} was ended by another worker"
        try:
            rows = read(current.format, body)
        except Unreadable as error:
            return self._finish(import_id, State.FAILED, str(error))
        self.imports.measure(import_id, len(rows))
        self.transaction.commit()
        for batch in batches(rows[current.done :]):
            following = self.step(current, batch)
            if following is None:
                return f"import {import_id} is gone, or another worker goes on with it"
            current = following
        return self._finish(import_id, State.DONE, "")

    def step(self, current: Import, batch: Sequence[Row]) -> Import | None:
        """Add a batch of rows and say so, both or neither; None if there is nothing to add them to any more."""
        now = self.clock.now()
        found = self.lists.lock(current.list_id, now)
        if found is None:
            return None
        good, faults = sort_out(batch, room=MOST_PLACES - found.size)
        following = advanced(current, len(good), len(faults), now)
        kept = faults[: max(0, MOST_FAULTS - current.refused)]
        if not self.imports.advance(current, following, kept):
            return None
        self.lists.add(current.list_id, found.size + 1, good, now)
        self.transaction.commit()
        return following

    def resume(self) -> int:
        """Ask again for what got nowhere: its queue or its worker is gone. Return how many."""
        stalled = self.imports.stalled(self.clock.now() - self.patience)
        self.transaction.commit()
        for import_id in stalled:
            self._ask(import_id)
        return len(stalled)

    def remove_old(self) -> int:
        """Forget imports that ended long ago, and return how many."""
        removed = self.imports.remove_finished(self.clock.now() - KEPT)
        self.transaction.commit()
        return removed

    def _ask(self, import_id: int) -> None:
        try:
            self.queue.enqueue(JOB, {"import_id": import_id})
        except Exception as error:
            # Whatever a broker raises: the import is stored, and resume asks again.
            logger.warning("nobody took an import yet: %s", error, extra={"import_id": import_id})

    def _finish(self, import_id: int, state: State, reason: str) -> str:
        self.imports.finish(import_id, state, reason, self.clock.now())
        self.transaction.commit()
        return f"import {import_id} {state.value}: {reason}" if reason else f"import {import_id} {state.value}"


def read(format_: Format, body: bytes) -> list[Row]:
    """Return all rows of a file. Raises Unreadable."""
    rows = list(islice((read_csv if format_ is Format.CSV else read_geojson)(body), MOST_ROWS + 1))
    if len(rows) > MOST_ROWS:
        raise Unreadable(f"The file has more than {MOST_ROWS} rows: make several of it.")
    return rows


def batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Give rows as many at a time as go into one transaction."""
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def sort_out(batch: Sequence[Row], room: int) -> tuple[list[PlaceDraft], list[Fault]]:
    """Tell places from faults; when there is no room for more places, that is their fault."""
    good: list[PlaceDraft] = []
    faults: list[Fault] = []
    for row in batch:
        if row.place is None:
            faults.append(Fault(row.line, row.reason))
        elif len(good) < room:
            good.append(row.place)
        else:
            faults.append(Fault(row.line, f"the list is full: it has {MOST_PLACES} places"))
    return good, faults


def advanced(current: Import, added: int, refused: int, now: datetime) -> Import:
    """Return an import that is so much further."""
    return dataclasses.replace(
        current,
        done=current.done + added + refused,
        added=current.added + added,
        refused=current.refused + refused,
        attempts=0,
        changed_at=now,
    )
