"""Where lists and their places are kept: the port, its adapter on the database, and its twin in memory.

Whoever changes a list, or a place in it, locks the list first and reads after that. So of two who do at once one waits,
and sees what the other did: no change is lost, no ordinal is given twice, and no list grows beyond its limit.
"""

import dataclasses
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import delete, func, insert, select, update

from app.database.session import Session
from app.saved_places.models import PlaceDraft, PlaceList, SavedPlace
from app.saved_places.tables import place_lists, saved_places

logger = logging.getLogger(__name__)

Position = tuple[Any, ...]


class SavedPlaceRepository(Protocol):
    """Keeps lists of places. Pages go on after a position, which is a row's id or ordinal."""

    def add_list(self, owner_id: int, name: str, description: str, now: datetime) -> PlaceList:
        """Add an empty list."""
        ...

    def list_by_id(self, list_id: int) -> PlaceList | None:
        """Return a list, whosever it is, or None."""
        ...

    def lists_of(self, owner_id: int, after: Position | None, limit: int) -> list[PlaceList]:
        """Return a user's lists, by id."""
        ...

    def count_lists(self, owner_id: int) -> int:
        """Return how many lists a user has."""
        ...

    def lock(self, list_id: int, now: datetime) -> PlaceList | None:
        """Keep others from changing a list until this transaction ends, and return it; None if it is gone."""
        ...

    def change_list(self, changed: PlaceList) -> None:
        """Write name, description and version of a list that is locked."""
        ...

    def remove_list(self, list_id: int) -> None:
        """Remove a list that is locked, with all that is in it."""
        ...

    def add(self, list_id: int, first: int, drafts: Sequence[PlaceDraft], now: datetime) -> None:
        """Add places with the ordinals from ``first`` on, to a list that is locked."""
        ...

    def place_by_id(self, list_id: int, saved_id: int) -> SavedPlace | None:
        """Return a place of this list, or None."""
        ...

    def places_in(self, list_id: int, after: Position | None, limit: int) -> list[SavedPlace]:
        """Return a list's places, by ordinal."""
        ...

    def change(self, changed: SavedPlace) -> None:
        """Write a place in a list that is locked."""
        ...

    def shift(self, list_id: int, first: int, last: int, by: int) -> None:
        """Add to the ordinals from first to last, in a list that is locked."""
        ...

    def remove(self, removed: SavedPlace) -> None:
        """Remove a place from a list that is locked."""
        ...


class SqlSavedPlaceRepository:
    """Lists of places in the database."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add_list(self, owner_id: int, name: str, description: str, now: datetime) -> PlaceList:
        """Add an empty list."""
        row = {"owner_id": owner_id, "name": name, "description": description, "size": 0, "version": 1}
        moments = {"created_at": now, "changed_at": now}
        statement = insert(place_lists).values(row | moments).returning(place_lists.c.id)
        return PlaceList(self.session.execute(statement).scalar_one(), owner_id, name, description, 0, 1, now, now)

    def list_by_id(self, list_id: int) -> PlaceList | None:
        """Return a list, whosever it is, or None."""
        row = self.session.execute(select(place_lists).where(place_lists.c.id == list_id)).mappings().one_or_none()
        return PlaceList(**row) if row else None

    def lists_of(self, owner_id: int, after: Position | None, limit: int) -> list[PlaceList]:
        """Return a user's lists, by id."""
        query = select(place_lists).where(place_lists.c.owner_id == owner_id)
        if after is not None:
            query = query.where(place_lists.c.id > after[0])
        rows = self.session.execute(query.order_by(place_lists.c.id).limit(limit)).mappings()
        return [PlaceList(**row) for row in rows]

    def count_lists(self, owner_id: int) -> int:
        """Return how many lists a user has."""
        query = select(func.count()).select_from(place_lists).where(place_lists.c.owner_id == owner_id)
        return int(self.session.execute(query).scalar_one())

    def lock(self, list_id: int, now: datetime) -> PlaceList | None:
        """Keep others from changing a list until this transaction ends, and return it; None if it is gone.

        By writing to it: that locks its row on PostgreSQL and MariaDB, and everything on SQLite.
        """
        touching = update(place_lists).where(place_lists.c.id == list_id).values(changed_at=now)
        return self.list_by_id(list_id) if self.session.execute(touching).rowcount else None

    def change_list(self, changed: PlaceList) -> None:
        """Write name, description and version of a list that is locked."""
        values = {"name": changed.name, "description": changed.description, "version": changed.version}
        self.session.execute(update(place_lists).where(place_lists.c.id == changed.id).values(values))

    def remove_list(self, list_id: int) -> None:
        """Remove a list that is locked, with all that is in it."""
        self.session.execute(delete(place_lists).where(place_lists.c.id == list_id))

    def add(self, list_id: int, first: int, drafts: Sequence[PlaceDraft], now: datetime) -> None:
        """Add places with the ordinals from ``first`` on, to a list that is locked."""
        if not drafts:
            return
        shared = {"list_id": list_id, "version": 1, "created_at": now, "changed_at": now}
        numbered = enumerate(drafts, first)
        rows = [{**shared, "ordinal": ordinal, **dataclasses.asdict(draft)} for ordinal, draft in numbered]
        self.session.execute(insert(saved_places), rows)
        self._grow(list_id, len(rows))

    def place_by_id(self, list_id: int, saved_id: int) -> SavedPlace | None:
        """Return a place of this list, or None."""
        query = select(saved_places).where(saved_places.c.list_id == list_id, saved_places.c.id == saved_id)
        row = self.session.execute(query).mappings().one_or_none()
        return SavedPlace(**row) if row else None

    def places_in(self, list_id: int, after: Position | None, limit: int) -> list[SavedPlace]:
        """Return a list's places, by ordinal."""
        query = select(saved_places).where(saved_places.c.list_id == list_id)
        if after is not None:
            query = query.where(saved_places.c.ordinal > after[0])
        rows = self.session.execute(query.order_by(saved_places.c.ordinal).limit(limit)).mappings()
        return [SavedPlace(**row) for row in rows]

    def change(self, changed: SavedPlace) -> None:
        """Write a place in a list that is locked."""
        kept = ("id", "list_id", "created_at")
        values = {column.name: getattr(changed, column.name) for column in saved_places.c if column.name not in kept}
        self.session.execute(update(saved_places).where(saved_places.c.id == changed.id).values(values))

    def shift(self, list_id: int, first: int, last: int, by: int) -> None:
        """Add to the ordinals from first to last, in a list that is locked."""
        moved = (saved_places.c.list_id == list_id) & saved_places.c.ordinal.between(first, last)
        self.session.execute(update(saved_places).where(moved).values(ordinal=saved_places.c.ordinal + by))

    def remove(self, removed: SavedPlace) -> None:
        """Remove a place from a list that is locked."""
        self.session.execute(delete(saved_places).where(saved_places.c.id == removed.id))
        self._grow(removed.list_id, -1)

    def _grow(self, list_id: int, by: int) -> None:
        growing = update(place_lists).where(place_lists.c.id == list_id)
        self.session.execute(growing.values(size=place_lists.c.size + by))


class InMemorySavedPlaceRepository:
    """Lists of places in dictionaries."""

    def __init__(self) -> None:
        self.lists: dict[int, PlaceList] = {}
        self.places: dict[int, SavedPlace] = {}
        self.numbers = 0

    def add_list(self, owner_id: int, name: str, description: str, now: datetime) -> PlaceList:
        """Add an empty list."""
        self.numbers += 1
        made = PlaceList(self.numbers, owner_id, name, description, 0, 1, now, now)
        self.lists[made.id] = made
        return made

    def list_by_id(self, list_id: int) -> PlaceList | None:
        """Return a list, whosever it is, or None."""
        return self.lists.get(list_id)

    def lists_of(self, owner_id: int, after: Position | None, limit: int) -> list[PlaceList]:
        """Return a user's lists, by id."""
        owned = [found for found in self.lists.values() if found.owner_id == owner_id]
        return [found for found in owned if after is None or found.id > after[0]][:limit]

    def count_lists(self, owner_id: int) -> int:
        """Return how many lists a user has."""
        return len(self.lists_of(owner_id, None, len(self.lists)))

    def lock(self, list_id: int, now: datetime) -> PlaceList | None:
        """Keep others from changing a list until this transaction ends, and return it; None if it is gone."""
        if list_id in self.lists:
            self.lists[list_id] = dataclasses.replace(self.lists[list_id], changed_at=now)
        return self.lists.get(list_id)

    def change_list(self, changed: PlaceList) -> None:
        """Write name, description and version of a list that is locked."""
        self.lists[changed.id] = changed

    def remove_list(self, list_id: int) -> None:
        """Remove a list that is locked, with all that is in it."""
        self.lists.pop(list_id, None)
        self.places = {key: place for key, place in self.places.items() if place.list_id != list_id}

    def add(self, list_id: int, first: int, drafts: Sequence[PlaceDraft], now: datetime) -> None:
        """Add places with the ordinals from ``first`` on, to a list that is locked."""
        shared: dict[str, Any] = {"list_id": list_id, "version": 1, "created_at": now, "changed_at": now}
        for ordinal, draft in enumerate(drafts, first):
            self.numbers += 1
            row = shared | dataclasses.asdict(draft)
            self.places[self.numbers] = SavedPlace(id=self.numbers, ordinal=ordinal, **row)
        self._grow(list_id, len(drafts))

    def place_by_id(self, list_id: int, saved_id: int) -> SavedPlace | None:
        """Return a place of this list, or None."""
        found = self.places.get(saved_id)
        return found if found and found.list_id == list_id else None

    def places_in(self, list_id: int, after: Position | None, limit: int) -> list[SavedPlace]:
        """Return a list's places, by ordinal."""
        found = [place for place in self.places.values() if place.list_id == list_id]
        later = [place for place in found if after is None or place.ordinal > after[0]]
        return sorted(later, key=lambda place: place.ordinal)[:limit]

    def change(self, changed: SavedPlace) -> None:
        """Write a place in a list that is locked."""
        self.places[changed.id] = changed

    def shift(self, list_id: int, first: int, last: int, by: int) -> None:
        """Add to the ordinals from first to last, in a list that is locked."""
        for place in self.places_in(list_id, None, len(self.places)):
            if first <= place.ordinal <= last:
                self.places[place.id] = dataclasses.replace(place, ordinal=place.ordinal + by)

    def remove(self, removed: SavedPlace) -> None:
        """Remove a place from a list that is locked."""
        if self.places.pop(removed.id, None):
            self._grow(removed.list_id, -1)

    def _grow(self, list_id: int, by: int) -> None:
        found = self.lists[list_id]
        self.lists[list_id] = dataclasses.replace(found, size=found.size + by)
