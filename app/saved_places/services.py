"""Use cases: keep lists of places. Somebody else's list is as good as none."""

import dataclasses
import logging
from datetime import datetime
from typing import TypeVar

from app.clock import Clock
from app.database.transaction import Transaction
from app.errors import Conflict, NotFound, Stale
from app.geolocation.services import Places
from app.saved_places.models import MOST_LISTS, MOST_PLACES, PlaceChange, PlaceDraft, PlaceList, SavedPlace
from app.saved_places.repository import Position, SavedPlaceRepository
from app.saved_places.utils import LONGEST_NAME, draft

logger = logging.getLogger(__name__)


class SavedPlaces:
    """Manages users' lists of places.

    ``owner`` is always the id of whoever asks, and ``version`` that of what they looked at when they decided to change
    it: when somebody has changed it since, Stale is raised and nothing is lost. None means: however it is now.
    """

    def __init__(
        self, repository: SavedPlaceRepository, places: Places, transaction: Transaction, clock: Clock
    ) -> None:
        self.repository = repository
        self.known = places
        self.transaction = transaction
        self.clock = clock

    def lists(self, owner: int, after: Position | None, limit: int) -> list[PlaceList]:
        """Return the owner's lists, from after the one with the id in ``after``."""
        return self.repository.lists_of(owner, after, limit)

    def get_list(self, owner: int, list_id: int) -> PlaceList:
        """Return a list. Raises NotFound."""
        found = self.repository.list_by_id(list_id)
        if found is None or found.owner_id != owner:
            raise NotFound(f"You have no list with the id {list_id}.")
        return found

    def create_list(self, owner: int, name: str, description: str = "") -> PlaceList:
        """Create an empty list. Raises Conflict for one too many."""
        if self.repository.count_lists(owner) >= MOST_LISTS:
            raise Conflict(f"You have {MOST_LISTS} lists, which is the most there can be.")
        self.transaction.commit()
        made = self.repository.add_list(owner, name.strip(), description.strip(), self.clock.now())
        self.transaction.commit()
        return made

    def change_list(
        self, owner: int, list_id: int, version: int | None, *, name: str | None = None, description: str | None = None
    ) -> PlaceList:
        """Change what is given. Raises NotFound, Stale."""
        found = same_version(self._locked(owner, list_id), version)
        changed = dataclasses.replace(
            found,
            name=found.name if name is None else name.strip(),
            description=found.description if description is None else description.strip(),
            version=found.version + 1,
        )
        self.repository.change_list(changed)
        self.transaction.commit()
        return changed

    def remove_list(self, owner: int, list_id: int, version: int | None = None) -> None:
        """Remove a list with all places in it. Raises NotFound, Stale."""
        same_version(self._locked(owner, list_id), version)
        self.repository.remove_list(list_id)
        self.transaction.commit()

    def places(self, owner: int, list_id: int, after: Position | None, limit: int) -> list[SavedPlace]:
        """Return a list's places in their order, from after the ordinal in ``after``. Raises NotFound."""
        self.get_list(owner, list_id)
        return self.repository.places_in(list_id, after, limit)

    def all_places(self, owner: int, list_id: int) -> list[SavedPlace]:
        """Return all places of a list, as for an export. Raises NotFound."""
        return self.places(owner, list_id, None, MOST_PLACES)

    def get(self, owner: int, list_id: int, saved_id: int) -> SavedPlace:
        """Return a place in a list. Raises NotFound."""
        self.get_list(owner, list_id)
        return self._found(list_id, saved_id)

    def save(self, owner: int, list_id: int, place: PlaceDraft) -> SavedPlace:
        """Put a place at the end of a list. Raises NotFound, and Conflict when the list is full."""
        found = self._locked(owner, list_id)
        if found.size >= MOST_PLACES:
            raise Conflict(f"The list has {MOST_PLACES} places, which is the most there can be.")
        self.repository.add(list_id, found.size + 1, [place], self.clock.now())
        (saved,) = self.repository.places_in(list_id, (found.size,), 1)
        self.transaction.commit()
        return saved

    def save_known(self, owner: int, list_id: int, place_id: int, note: str = "") -> SavedPlace:
        """Put a place of ours at the end of a list. Raises NotFound, and Conflict when the list is full."""
        place = self.known.get(place_id)
        name = place.label[:LONGEST_NAME]
        return self.save(owner, list_id, draft(name, place.latitude, place.longitude, note, place.id))

    def change(self, owner: int, list_id: int, saved_id: int, version: int | None, wanted: PlaceChange) -> SavedPlace:
        """Change what is given of a place. Raises NotFound, Stale, and ValueError for what no place can be."""
        size = self._locked(owner, list_id).size
        found = same_version(self._found(list_id, saved_id), version)
        changed = changed_place(found, wanted, size, self.clock.now())
        first, last, by = shift_between(found.ordinal, changed.ordinal)
        if by:
            self.repository.shift(list_id, first, last, by)
        self.repository.change(changed)
        self.transaction.commit()
        return changed

    def remove(self, owner: int, list_id: int, saved_id: int, version: int | None = None) -> None:
        """Take a place out of a list. Raises NotFound, Stale."""
        size = self._locked(owner, list_id).size
        found = same_version(self._found(list_id, saved_id), version)
        self.repository.remove(found)
        self.repository.shift(list_id, found.ordinal + 1, size, -1)
        self.transaction.commit()

    def _locked(self, owner: int, list_id: int) -> PlaceList:
        """Begin to change a list that is the owner's. Raises NotFound.

        What was read before, by authentication as well, is another transaction's: SQLite refuses a writer that began
        by reading if somebody else has written since, and MariaDB would go on showing what was read.
        """
        self.get_list(owner, list_id)
        self.transaction.commit()
        found = self.repository.lock(list_id, self.clock.now())
        if found is None:
            raise NotFound(f"You have no list with the id {list_id}.")
        return found

    def _found(self, list_id: int, saved_id: int) -> SavedPlace:
        found = self.repository.place_by_id(list_id, saved_id)
        if found is None:
            raise NotFound(f"There is no place with the id {saved_id} in this list.")
        return found


VersionedT = TypeVar("VersionedT", PlaceList, SavedPlace)


def same_version(found: VersionedT, version: int | None) -> VersionedT:
    """Return what was found, if nobody has changed it. Raises Stale."""
    if version is not None and found.version != version:
        raise Stale("It has been changed since you looked at it; look again, and decide again.")
    return found


def changed_place(found: SavedPlace, wanted: PlaceChange, size: int, now: datetime) -> SavedPlace:
    """Return a place as it is wanted. Raises ValueError for what no place can be."""
    given = {name: value for name, value in dataclasses.asdict(wanted).items() if value is not None}
    ordinal = max(1, min(given.pop("ordinal", found.ordinal), size))
    kept = {name: getattr(found, name) for name in ("name", "latitude", "longitude", "note", "place_id")}
    fields = dataclasses.asdict(draft(**{**kept, **given}))
    return dataclasses.replace(found, **fields, ordinal=ordinal, version=found.version + 1, changed_at=now)


def shift_between(old: int, new: int) -> tuple[int, int, int]:
    """Say which ordinals have to make room when a place moves, first and last, and by how much."""
    if new > old:
        return old + 1, new, -1
    return new, old - 1, int(new < old)
