"""From words to positions and back: the port, and its adapter that needs nothing but our own places."""

import logging
from typing import Protocol

from app.geolocation.models import FoundNear, Location, Place
from app.geolocation.repository import PlaceRepository
from app.geolocation.services import Places
from app.geolocation.utils import normalise, parse_query

logger = logging.getLogger(__name__)

REACH_KM = 100.0
"""A position farther than this from every place is nowhere."""

CANDIDATES = 50
"""How many places of one name are looked at when words narrow the search down."""


class Geocoder(Protocol):
    """Knows where things are. Raises Unavailable where somebody else would have to say so, and does not."""

    def geocode(self, text: str, limit: int) -> list[Location]:
        """Return the places that ``text`` may mean, likeliest first."""
        ...

    def reverse(self, latitude: float, longitude: float) -> FoundNear | None:
        """Return the place that a position is in or near, or None in the middle of nowhere."""
        ...


class PlaceGeocoder:
    """Geocodes to populated places, offline."""

    def __init__(self, repository: PlaceRepository) -> None:
        self.repository = repository
        self.places = Places(repository)

    def geocode(self, text: str, limit: int) -> list[Location]:
        """Return the places that have this very name: ``Paris``, ``Paris, France``, ``Paris, TX, US``."""
        query = parse_query(text)
        wanted = CANDIDATES if query.qualifiers else limit
        found = self.repository.by_ids(self.repository.ids_by_name(query.name, wanted))
        meant = [place for place in found if all(within(place, word) for word in query.qualifiers)]
        return [Location.of(place) for place in meant[:limit]]

    def reverse(self, latitude: float, longitude: float) -> FoundNear | None:
        """Return the nearest place that is not a quarter."""
        nearest = self.places.nearest(latitude, longitude, limit=1)
        near = (FoundNear(Location.of(found.place), found.distance_km) for found in nearest)
        return next((found for found in near if found.distance_km <= REACH_KM), None)


def within(place: Place, word: str) -> bool:
    """Say whether a normalised word names the country or the first-level division that a place is in."""
    return word in {normalise(name) for name in (place.country.code, place.country.name, place.admin1_code)}
