"""Pure helpers: names made comparable, distances and boxes on the globe, queries taken apart."""

import logging
import math
import unicodedata
from dataclasses import dataclass

logger = logging.getLogger(__name__)

EARTH_RADIUS_KM = 6371.0088
"""Mean radius (IUGG). The sphere is wrong by 0.5 % at most."""

FARTHEST_KM = math.pi * EARTH_RADIUS_KM
"""From a point to its antipode."""

UNACCENTED = {
    "ø": "o",
    "ł": "l",
    "đ": "d",
    "ð": "d",
    "þ": "th",
    "æ": "ae",
    "œ": "oe",
    "\u0131": "i",
    "ħ": "h",
    "ŧ": "t",
}
"""Letters that are not a base letter and an accent, so that decomposition leaves them alone."""

TIER_BOUNDS = (1_000_000, 250_000, 50_000, 15_000)
"""Population from which a place is of tier 0, 1, 2, 3; all others are of tier 4."""


class _Comparable(dict[int, str]):
    """For ``str.translate``: what a decomposed character counts as. Each is decided once."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if unicodedata.combining(character):
            counts_as = ""
        elif unicodedata.category(character)[0] in "LMN":
            counts_as = UNACCENTED.get(character, character)
        else:
            counts_as = " "
        self[code] = counts_as
        return counts_as


_COMPARABLE = _Comparable()


def normalise(name: str) -> str:
    """Reduce a name to what is compared: no case, no accents, single spaces for punctuation.

    >>> normalise("São Tomé-et-Príncipe")
    'sao tome et principe'
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name.casefold()).casefold())
    return unicodedata.normalize("NFC", " ".join(folded.translate(_COMPARABLE).split()))


def tier(population: int) -> int:
    """Return the size class of a place, 0 for the largest."""
    return sum(population < bound for bound in TIER_BOUNDS)


def haversine_km(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Return the great-circle distance between two positions in degrees, in kilometres."""
    phi, other_phi = math.radians(latitude), math.radians(other_latitude)
    half_dphi = (other_phi - phi) / 2
    half_dlambda = math.radians(other_longitude - longitude) / 2
    chord = math.sin(half_dphi) ** 2 + math.cos(phi) * math.cos(other_phi) * math.sin(half_dlambda) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, chord)))


def unit_vector(latitude: float, longitude: float) -> tuple[float, float, float]:
    """Return the direction of a position from the centre of the earth, as a vector of length 1."""
    phi, lambda_ = math.radians(latitude), math.radians(longitude)
    return math.cos(phi) * math.cos(lambda_), math.cos(phi) * math.sin(lambda_), math.sin(phi)


def vector_distance_km(cosine: float) -> float:
    """Return the great-circle distance for the dot product of two unit vectors. Exact to 0.2 m."""
    return EARTH_RADIUS_KM * math.acos(max(-1.0, min(1.0, cosine)))


def meridian(longitude: float) -> int:
    """Return the whole degree west of a longitude, from -180 to 179; 180 is -180."""
    return (math.floor(longitude) + 180) % 360 - 180


@dataclass(frozen=True, slots=True)
class Box:
    """A range of latitudes, and the whole degrees of longitude that it spans (never the same one twice)."""

    south: float
    north: float
    meridians: tuple[int, ...]


def box_around(latitude: float, longitude: float, radius_km: float) -> Box:
    """Return a box that contains every position within ``radius_km``, across the antimeridian and the poles."""
    angle = radius_km / EARTH_RADIUS_KM * 1.000001  # rounding must not lose a place on the rim
    south, north = latitude - math.degrees(angle), latitude + math.degrees(angle)
    if south <= -90 or north >= 90:
        return Box(max(south, -90.0), min(north, 90.0), tuple(range(-180, 180)))
    half_width = math.degrees(math.asin(min(1.0, math.sin(angle) / math.cos(math.radians(latitude)))))
    west, east = math.floor(longitude - half_width), math.floor(longitude + half_width)
    meridians = dict.fromkeys(meridian(degree) for degree in range(west, min(east, west + 359) + 1))
    return Box(south, north, tuple(meridians))


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle on the map, in degrees; one with its west east of its east goes across the antimeridian."""

    south: float
    west: float
    north: float
    east: float

    @property
    def spans(self) -> tuple[tuple[float, float], ...]:
        """Ranges of longitudes, each from west to east; 180 and -180 are the same one."""
        whole = ((self.west, self.east),) if self.west <= self.east else ((self.west, 180.0), (-180.0, self.east))
        rims = tuple(-rim for rim in (180.0, -180.0) if any(rim in span for span in whole))
        return (*whole, *((rim, rim) for rim in rims))

    @property
    def meridians(self) -> tuple[int, ...]:
        """The whole degrees of longitude that it spans."""
        first, last = math.floor(self.west), math.floor(self.east)
        last += 0 if self.west <= self.east else 360
        return tuple(dict.fromkeys(meridian(degree) for degree in range(first, min(last, first + 360) + 1)))

    def has(self, latitude: float, longitude: float) -> bool:
        """Say whether a position is inside, or on the rim."""
        return self.south <= latitude <= self.north and any(w <= longitude <= e for w, e in self.spans)


@dataclass(frozen=True, slots=True)
class PlaceQuery:
    """What somebody typed to be geocoded: a name, and words that narrow it down. All normalised."""

    name: str
    qualifiers: tuple[str, ...]


def parse_query(text: str) -> PlaceQuery:
    """Take ``Paris, TX, United States`` apart at the commas.

    >>> parse_query("Lisbon, Portugal")
    PlaceQuery(name='lisbon', qualifiers=('portugal',))
    """
    name, *qualifiers = text.split(",")
    return PlaceQuery(normalise(name), tuple(filter(None, map(normalise, qualifiers))))
