"""Where imports are kept, and the files until they are read: the port, its adapter, and its twin in memory.

``advance`` is what makes a row go into a list once: it counts the rows in the transaction that adds them, and only if
nobody else has counted them.
"""

import dataclasses
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import RowMapping, delete, insert, select, update

from app.database.session import Session
from app.saved_places.models import UNFINISHED, Fault, Format, Import, State
from app.saved_places.tables import place_import_faults, place_imports, place_uploads

logger = logging.getLogger(__name__)

OPEN = tuple(state.value for state in UNFINISHED)


class ImportRepository(Protocol):
    """Keeps imports."""

    def add(self, list_id: int, format_: Format, body: bytes, now: datetime) -> Import:
        """Add an import that nobody has begun."""
        ...

    def by_id(self, import_id: int) -> Import | None:
        """Return an import, into whosever list, or None."""
        ...

    def of_list(self, list_id: int, after: tuple[Any, ...] | None, limit: int) -> list[Import]:
        """Return a list's imports, newest first, from after the one with this id."""
        ...

    def body(self, import_id: int) -> bytes | None:
        """Return the file; None when it has been read."""
        ...

    def faults(self, import_id: int, after: tuple[Any, ...] | None, limit: int) -> list[Fault]:
        """Return why rows were refused, by line, from after this one."""
        ...

    def start(self, import_id: int, now: datetime) -> Import | None:
        """Count an attempt, and return the import as it is then; None when it has ended."""
        ...

    def measure(self, import_id: int, total: int) -> None:
        """Say how many rows there are."""
        ...

    def advance(self, before: Import, after: Import, faults: Sequence[Fault]) -> bool:
        """Say how far it is, and why rows were refused; False, and nothing else, if that is not where it was."""
        ...

    def finish(self, import_id: int, state: State, reason: str, now: datetime) -> None:
        """End an import that has not ended, and forget the file."""
        ...

    def stalled(self, before: datetime) -> list[int]:
        """Return the ids of imports that have not ended, and got nowhere since."""
        ...

    def remove_finished(self, before: datetime) -> int:
        """Forget imports that ended before, and return how many."""
        ...


class SqlImportRepository:
    """Imports in the database."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, list_id: int, format_: Format, body: bytes, now: datetime) -> Import:
        """Add an import that nobody has begun."""
        made = new_import(0, list_id, format_, now)
        row = {**dataclasses.asdict(made), "format": format_.value, "state": made.state.value}
        del row["id"]
        import_id = self.session.execute(insert(place_imports).values(row).returning(place_imports.c.id)).scalar_one()
        self.session.execute(insert(place_uploads).values(import_id=import_id, body=body))
        return dataclasses.replace(made, id=import_id)

    def by_id(self, import_id: int) -> Import | None:
        """Return an import, into whosever list, or None."""
        row = (
            self.session.execute(select(place_imports).where(place_imports.c.id == import_id)).mappings().one_or_none()
        )
        return _import(row) if row else None

    def of_list(self, list_id: int, after: tuple[Any, ...] | None, limit: int) -> list[Import]:
        """Return a list's imports, newest first, from after the one with this id."""
        query = select(place_imports).where(place_imports.c.list_id == list_id)
        if after is not None:
            query = query.where(place_imports.c.id < after[0])
        rows = self.session.execute(query.order_by(place_imports.c.id.desc()).limit(limit)).mappings()
        return [_import(row) for row in rows]

    def body(self, import_id: int) -> bytes | None:
        """Return the file; None when it has been read."""
        query = select(place_uploads.c.body).where(place_uploads.c.import_id == import_id)
        found: bytes | None = self.session.execute(query).scalar_one_or_none()
        return found

    def faults(self, import_id: int, after: tuple[Any, ...] | None, limit: int) -> list[Fault]:
        """Return why rows were refused, by line, from after this one."""
        lines = place_import_faults.c.line
        query = select(lines, place_import_faults.c.reason).where(place_import_faults.c.import_id == import_id)
        if after is not None:
            query = query.where(lines > after[0])
        return [Fault(line, reason) for line, reason in self.session.execute(query.order_by(lines).limit(limit))]

    def start(self, import_id: int, now: datetime) -> Import | None:
        """Count an attempt, and return the import as it is then; None when it has ended."""
        values = {"state": State.RUNNING.value, "attempts": place_imports.c.attempts + 1, "changed_at": now}
        started = self.session.execute(update(place_imports).where(_unfinished(import_id)).values(values)).rowcount
        return self.by_id(import_id) if started else None

    def measure(self, import_id: int, total: int) -> None:
        """Say how many rows there are."""
        self.session.execute(update(place_imports).where(place_imports.c.id == import_id).values(total=total))

    def advance(self, before: Import, after: Import, faults: Sequence[Fault]) -> bool:
        """Say how far it is, and why rows were refused; False, and nothing else, if that is not where it was."""
        still = _unfinished(before.id) & (place_imports.c.done == before.done)
        values = {name: getattr(after, name) for name in ("done", "added", "refused", "attempts", "changed_at")}
        if not self.session.execute(update(place_imports).where(still).values(values)).rowcount:
            return False
        rows = [{"import_id": before.id, "line": fault.line, "reason": fault.reason} for fault in faults]
        if rows:
            self.session.execute(insert(place_import_faults), rows)
        return True

    def finish(self, import_id: int, state: State, reason: str, now: datetime) -> None:
        """End an import that has not ended, and forget the file."""
        values = {"state": state.value, "reason": reason, "changed_at": now, "finished_at": now}
        self.session.execute(update(place_imports).where(_unfinished(import_id)).values(values))
        self.session.execute(delete(place_uploads).where(place_uploads.c.import_id == import_id))

    def stalled(self, before: datetime) -> list[int]:
        """Return the ids of imports that have not ended, and got nowhere since."""
        standing = place_imports.c.state.in_(OPEN) & (place_imports.c.changed_at < before)
        rows = self.session.execute(select(place_imports.c.id).where(standing).order_by(place_imports.c.id).limit(100))
        return list(rows.scalars())

    def remove_finished(self, before: datetime) -> int:
        """Forget imports that ended before, and return how many."""
        ended = place_imports.c.state.not_in(OPEN) & (place_imports.c.changed_at < before)
        return self.session.execute(delete(place_imports).where(ended)).rowcount


def _unfinished(import_id: int) -> Any:
    return (place_imports.c.id == import_id) & place_imports.c.state.in_(OPEN)


def _import(row: RowMapping) -> Import:
    return Import(**{**row, "format": Format(row["format"]), "state": State(row["state"])})


def new_import(import_id: int, list_id: int, format_: Format, now: datetime) -> Import:
    """Return an import that nobody has begun."""
    return Import(
        id=import_id,
        list_id=list_id,
        format=format_,
        state=State.QUEUED,
        total=None,
        done=0,
        added=0,
        refused=0,
        attempts=0,
        reason="",
        created_at=now,
        changed_at=now,
        finished_at=None,
    )


class InMemoryImportRepository:
    """Imports in dictionaries."""

    def __init__(self) -> None:
        self.imports: dict[int, Import] = {}
        self.bodies: dict[int, bytes] = {}
        self.refused: dict[int, list[Fault]] = {}

    def add(self, list_id: int, format_: Format, body: bytes, now: datetime) -> Import:
        """Add an import that nobody has begun."""
        made = new_import(len(self.imports) + 1, list_id, format_, now)
        self.imports[made.id], self.bodies[made.id], self.refused[made.id] = made, body, []
        return made

    def by_id(self, import_id: int) -> Import | None:
        """Return an import, into whosever list, or None."""
        return self.imports.get(import_id)

    def of_list(self, list_id: int, after: tuple[Any, ...] | None, limit: int) -> list[Import]:
        """Return a list's imports, newest first, from after the one with this id."""
        found = [made for made in reversed(self.imports.values()) if made.list_id == list_id]
        return [made for made in found if after is None or made.id < after[0]][:limit]

    def body(self, import_id: int) -> bytes | None:
        """Return the file; None when it has been read."""
        return self.bodies.get(import_id)

    def faults(self, import_id: int, after: tuple[Any, ...] | None, limit: int) -> list[Fault]:
        """Return why rows were refused, by line, from after this one."""
        later = [fault for fault in self.refused.get(import_id, []) if after is None or fault.line > after[0]]
        return sorted(later, key=lambda fault: fault.line)[:limit]

    def start(self, import_id: int, now: datetime) -> Import | None:
        """Count an attempt, and return the import as it is then; None when it has ended."""
        found = self.imports.get(import_id)
        if found is None or found.state not in UNFINISHED:
            return None
        return self._write(found, state=State.RUNNING, attempts=found.attempts + 1, changed_at=now)

    def measure(self, import_id: int, total: int) -> None:
        """Say how many rows there are."""
        self._write(self.imports[import_id], total=total)

    def advance(self, before: Import, after: Import, faults: Sequence[Fault]) -> bool:
        """Say how far it is, and why rows were refused; False, and nothing else, if that is not where it was."""
        found = self.imports.get(before.id)
        if found is None or found.state not in UNFINISHED or found.done != before.done:
            return False
        kept = {name: getattr(after, name) for name in ("done", "added", "refused", "attempts", "changed_at")}
        self._write(found, **kept)
        self.refused[before.id] += faults
        return True

    def finish(self, import_id: int, state: State, reason: str, now: datetime) -> None:
        """End an import that has not ended, and forget the file."""
        found = self.imports[import_id]
        if found.state in UNFINISHED:
            self._write(found, state=state, reason=reason, changed_at=now, finished_at=now)
        self.bodies.pop(import_id, None)

    def stalled(self, before: datetime) -> list[int]:
        """Return the ids of imports that have not ended, and got nowhere since."""
        return [key for key, made in self.imports.items() if made.state in UNFINISHED and made.changed_at < before]

    def remove_finished(self, before: datetime) -> int:
        """Forget imports that ended before, and return how many."""
        ended = [key for key, made in self.imports.items() if made.state not in UNFINISHED and made.changed_at < before]
        for key in ended:
            del self.imports[key], self.refused[key]
        return len(ended)

    def _write(self, found: Import, **values: Any) -> Import:
        self.imports[found.id] = dataclasses.replace(found, **values)
        return self.imports[found.id]
