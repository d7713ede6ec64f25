"""Use cases: find places by name and by position."""

import logging

from app.errors import NotFound
from app.geolocation.models import Country, Nearby, Place
from app.geolocation.repository import PlaceRepository
from app.geolocation.utils import FARTHEST_KM, Area, box_around, haversine_km, normalise

logger = logging.getLogger(__name__)

FIRST_RADIUS_KM = 25.0
"""Enough for most positions on land."""

FAR_KM = 300.0
"""Beyond this it is the sea or a desert, and the next coast may have thousands of places: go on by smaller steps."""


MARGIN_KM = 0.001
"""More than distances are off by rounding, or the last box could miss its own rim."""


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

    def search(self, text: str, limit: int, country: str | None = None) -> list[Place]:
        """Return places that have a name like ``text`` in any language: exact matches first, then by population."""
        name = normalise(text)
        if not name:
            return []
        exact = self.repository.ids_by_name(name, limit, country)
        # Every exact match begins like the text, too: ask for enough to fill up after leaving those out.
        begins = self.repository.ids_by_prefix(name, limit, country)
        return self.repository.by_ids(list(dict.fromkeys([*exact, *begins]))[:limit])

    def within(self, area: Area, limit: int, country: str | None = None) -> list[Place]:
        """Return the largest places in an area, as a map shows them."""
        return self.repository.by_ids(self.repository.ids_within(area, limit, country))

    def countries(self) -> list[Country]:
        """Return all countries, by code."""
        return self.repository.countries()

    def country(self, code: str) -> Country:
        """Return a country. Raises NotFound."""
        found = self.repository.country(code)
        if found is None:
            raise NotFound(f"There is no country with the code {code}.")
        return found

    def in_country(self, code: str, after: tuple[int, int] | None, limit: int) -> list[Place]:
        """Return a country's places, largest first, from after this population and id. Raises NotFound."""
        self.country(code)
        return self.repository.in_country(code, after, limit)

    def nearest(self, latitude: float, longitude: float, limit: int) -> list[Nearby]:
        """Return the nearest places by great-circle distance, nearest first; a quarter counts as its city.

        Looks into a box around the position, and into larger ones until enough places are so near that nothing
        outside the box can be nearer. A box with enough places that are not near enough says how large the last
        one has to be.
        """
        radius = FIRST_RADIUS_KM
        while True:
            box = box_around(latitude, longitude, radius)
            found = self.repository.nearest_in(box, latitude, longitude, limit)
            enough = len(found) == limit
            if (enough and found[-1].distance_km <= radius) or radius > FARTHEST_KM:
                break
            radius = found[-1].distance_km + MARGIN_KM if enough else larger(radius)
        towns = self.repository.by_ids([located.place_id for located in found])
        return [Nearby(town, haversine_km(latitude, longitude, town.latitude, town.longitude)) for town in towns]


def larger(radius_km: float) -> float:
    """Return the radius to look within when there was too little in this one.

    Measured at sea, with ten times the rows: 8 ms, and 15 with the first factor alone.
    """
    return radius_km * (2.5 if radius_km < FAR_KM else 1.6)
