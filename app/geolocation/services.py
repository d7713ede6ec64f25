"""Use cases: find places by name and by position."""

import logging

from app.errors import NotFound
from app.geolocation.models import Nearby, Place
from app.geolocation.repository import PlaceRepository
from app.geolocation.utils import FARTHEST_KM, box_around, haversine_km, normalise

logger = logging.getLogger(__name__)

FIRST_RADIUS_KM = 25.0
"""Enough for most positions on land."""

GROWTH = 4.0


class Places:
    """Looks places up."""

    def __init__(self, repository: PlaceRepository) -> None:
        self.repository = repository

    def get(self, place_id: int) -> Place:
        """Return a place. Raises NotFound."""
        place = self.repository.by_id(place_id)
        if place is None:
            raise NotFound(f"There is no place with the id {place_id}.")
        return place

    def search(self, text: str, limit: int) -> list[Place]:
        """Return places that have a name like ``text`` in any language: exact matches first, then by population."""
        name = normalise(text)
        if not name:
            return []
        exact = self.repository.ids_by_name(name, limit)
        # Every exact match begins like the text, too: ask for enough to fill up after leaving those out.
        begins = self.repository.ids_by_prefix(name, limit)
        return self.repository.by_ids(list(dict.fromkeys([*exact, *begins]))[:limit])

    def nearest(self, latitude: float, longitude: float, limit: int) -> list[Nearby]:
        """Return the nearest places by great-circle distance, nearest first; a quarter counts as its city.

        Looks into a box around the position, and into larger ones until enough places are so near that nothing
        outside the box can be nearer.
        """
        radius = FIRST_RADIUS_KM
        while True:
            box = box_around(latitude, longitude, radius)
            found = sorted(
                (haversine_km(latitude, longitude, town.latitude, town.longitude), town.place_id)
                for town in self.repository.towns_in(box)
            )
            sure = [entry for entry in found if entry[0] <= radius]
            if len(sure) >= limit or radius > FARTHEST_KM:
                break
            radius *= GROWTH
        nearest = sure[:limit]
        towns = self.repository.by_ids([place_id for _, place_id in nearest])
        return [Nearby(place, distance) for place, (distance, _) in zip(towns, nearest, strict=True)]
