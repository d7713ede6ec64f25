"""Tell quarters from towns.

The data has the quarters of large cities as places of their own (the centre of Paris is nearer to its 4th
arrondissement than to Paris) and does not say which they are: GeoNames' feature code PPLX is not in it. Two signs are
left, and either will do: a place at the heart of a city several times its size, and a place near a city whose name
begins with the city's and goes on with a number ("Paris 16 Passy").
"""

import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from app.geolocation.models import Place
from app.geolocation.utils import haversine_km

logger = logging.getLogger(__name__)

CITY = 100_000
"""Inhabitants from which a city has quarters in the data."""

DENSITY = 40_000
"""Inhabitants per square kilometre that give the radius of a city's heart: 4.1 km for Paris. Its suburbs begin at
4.3 km, so with the density that it really has (20,000) towns would be taken for quarters."""

TIMES_LARGER = 3
NUMBERED_REACH = 3
"""How many times that radius a numbered quarter may be away."""

CELLS_PER_DEGREE = 4

Cells = dict[tuple[int, int], list[Place]]


def find_quarters(places: Sequence[Place]) -> dict[int, int]:
    """Return the ids of quarters, each with the id of the city it belongs to (the largest, if several would do)."""
    cells: Cells = defaultdict(list)
    for place in places:
        cells[_cell(place.latitude, place.longitude)].append(place)
    found: dict[int, int] = {}
    for city in sorted(places, key=lambda place: (-place.population, place.id)):
        if city.population < CITY:
            break
        for place in _around(city, heart_km(city) * NUMBERED_REACH, cells):
            if place.id not in found and is_quarter(place, city):
                found[place.id] = city.id
    return found


def is_quarter(place: Place, city: Place) -> bool:
    """Say whether a place is a quarter of a city."""
    if place.population * TIMES_LARGER > city.population or place.id == city.id:
        return False
    if (place.country, place.admin1_code) != (city.country, city.admin1_code):
        return False  # Jersey City is not a quarter of New York
    distance = haversine_km(place.latitude, place.longitude, city.latitude, city.longitude)
    if distance <= heart_km(city):
        return True
    rest = place.name.removeprefix(f"{city.name} ")
    return rest != place.name and rest[:1].isdigit() and distance <= heart_km(city) * NUMBERED_REACH


def heart_km(city: Place) -> float:
    """Return the radius of the circle that the inhabitants fill at the density of a heart."""
    return math.sqrt(city.population / (DENSITY * math.pi))


def _around(city: Place, radius_km: float, cells: Cells) -> Iterator[Place]:
    rows = math.ceil(radius_km / 111 * CELLS_PER_DEGREE)
    columns = math.ceil(rows / max(0.1, math.cos(math.radians(city.latitude))))
    row, column = _cell(city.latitude, city.longitude)
    for near_row in range(row - rows, row + rows + 1):
        for near_column in range(column - columns, column + columns + 1):
            yield from cells.get((near_row, near_column), ())


def _cell(latitude: float, longitude: float) -> tuple[int, int]:
    return math.floor(latitude * CELLS_PER_DEGREE), math.floor(longitude * CELLS_PER_DEGREE)
