"""Places and positions: plain values that know nothing of databases or HTTP."""

import logging
from dataclasses import dataclass
from typing import Self

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Country:
    """A country by its ISO 3166-1 code of two letters."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Place:
    """A populated place. ``part_of`` is the id of the city whose quarter it is."""

    id: int
    name: str
    country: Country
    admin1_code: str
    latitude: float
    longitude: float
    population: int
    timezone: str
    part_of: int | None = None

    @property
    def label(self) -> str:
        """How a person would write it: ``Lisbon, Portugal``."""
        return f"{self.name}, {self.country.name}"


@dataclass(frozen=True, slots=True)
class Located:
    """The id of a place and how far it is, in kilometres."""

    place_id: int
    distance_km: float


@dataclass(frozen=True, slots=True)
class Nearby:
    """A place and how far it is from where somebody asked, in kilometres along the great circle."""

    place: Place
    distance_km: float


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """A place together with all its names, normalised: what a dataset gives and a search finds."""

    place: Place
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Location:
    """What a geocoder has found: a name and where that is, and the place of ours, if it is one."""

    name: str
    label: str
    latitude: float
    longitude: float
    country: Country | None
    place: Place | None = None

    @classmethod
    def of(cls, place: Place) -> Self:
        """Return a place of ours as a location."""
        return cls(place.name, place.label, place.latitude, place.longitude, place.country, place)


@dataclass(frozen=True, slots=True)
class FoundNear:
    """What a position is in or near, and how far away that is, in kilometres."""

    location: Location
    distance_km: float
