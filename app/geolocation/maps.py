"""A map of a few positions: which part of the world it shows, where things lie on it, its graticule and its scale.

Pure geometry in the units of an SVG's viewBox; a template draws it. The projection is equirectangular, true to scale
along the middle parallel: at the size of a country nobody can tell it from a better one.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.geolocation.utils import EARTH_RADIUS_KM

logger = logging.getLogger(__name__)

WIDTH, HEIGHT = 800.0, 420.0
MARGIN = 0.16
"""Share of the map that stays free around what it shows."""

SURROUNDINGS = 1.2
"""Degrees of latitude around a single place."""

STEPS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
"""Degrees between the lines of a graticule."""

LINES = 6
"""The most lines that a graticule has in the longer direction."""

ROUND = (1, 2, 5)
"""Digits that lengths of a scale begin with."""

KM_PER_DEGREE = math.pi * EARTH_RADIUS_KM / 180

Position = tuple[float, float]
"""Latitude and longitude in degrees."""


@dataclass(frozen=True, slots=True)
class Point:
    """Somewhere on the map, right and down from its corner."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Line:
    """A parallel (at ``y``) or a meridian (at ``x``) of so many degrees."""

    degrees: float
    at: float


@dataclass(frozen=True, slots=True)
class Scale:
    """A round length and how long it is on the map."""

    km: int
    length: float


@dataclass(frozen=True, slots=True)
class Frame:
    """The part of the world that a map shows: its middle, and how large a degree is."""

    latitude: float
    longitude: float
    unit: float
    squeeze: float

    def point(self, latitude: float, longitude: float) -> Point:
        """Return where a position lies. Longitudes are taken the short way round from the middle."""
        x = WIDTH / 2 + shorter(longitude - self.longitude) * self.squeeze * self.unit
        y = HEIGHT / 2 - (latitude - self.latitude) * self.unit
        return Point(round(x, 1), round(y, 1))

    @property
    def south(self) -> float:
        """The latitude of the lower edge."""
        return self.latitude - HEIGHT / 2 / self.unit

    @property
    def north(self) -> float:
        """The latitude of the upper edge."""
        return self.latitude + HEIGHT / 2 / self.unit

    @property
    def half_width(self) -> float:
        """Degrees of longitude from the middle to an edge."""
        return WIDTH / 2 / self.unit / self.squeeze

    def shows(self, point: Point) -> bool:
        """Say whether a point lies on the map."""
        return 0 <= point.x <= WIDTH and 0 <= point.y <= HEIGHT


@dataclass(frozen=True, slots=True)
class Map:
    """Everything a template draws. ``markers`` come in the order of what was asked for."""

    markers: tuple[Point, ...]
    towns: str
    parallels: tuple[Line, ...]
    meridians: tuple[Line, ...]
    scale: Scale
    width: float = WIDTH
    height: float = HEIGHT


def draw(frame: Frame, positions: Iterable[Position], towns: str = "") -> Map:
    """Put positions on a map, with ``towns`` as its background: the data of a path."""
    step = graticule_step(frame)
    return Map(
        markers=tuple(frame.point(*position) for position in positions),
        towns=towns,
        parallels=parallels(frame, step),
        meridians=meridians(frame, step),
        scale=scale(frame),
    )


def frame_of(positions: Sequence[Position], smallest: float = SURROUNDINGS) -> Frame:
    """Choose the part of the world that shows all of these positions, of which there must be one.

    ``smallest`` is the least that it shows, in degrees of latitude.
    """
    west, width = narrowest([longitude for _, longitude in positions])
    south = min(latitude for latitude, _ in positions)
    north = max(latitude for latitude, _ in positions)
    latitude = (south + north) / 2
    squeeze = max(math.cos(math.radians(latitude)), 0.1)
    free = 1 - 2 * MARGIN
    unit = min(
        HEIGHT * free / max(north - south, smallest * free),
        WIDTH * free / max(width * squeeze, 1e-9),
    )
    unit = max(unit, WIDTH / 360 / squeeze)  # the world once, and not again beside itself
    return Frame(latitude, shorter(west + width / 2), unit, squeeze)


def narrowest(longitudes: Sequence[float]) -> tuple[float, float]:
    """Return the western edge and the width of the narrowest strip with all longitudes, across 180 if need be.

    >>> narrowest([179.0, -179.0])
    (179.0, 2.0)
    """
    around = sorted({round(longitude, 6) % 360 for longitude in longitudes})
    gaps = [(after - before) % 360 or 360.0 for before, after in zip(around, around[1:] + around[:1], strict=True)]
    widest = max(range(len(gaps)), key=gaps.__getitem__)
    return shorter(around[(widest + 1) % len(around)]), 360 - gaps[widest]


def shorter(degrees: float) -> float:
    """Return the same angle between -180 and 180.

    >>> shorter(350.0)
    -10.0
    """
    return (degrees + 180) % 360 - 180 if not -180 <= degrees <= 180 else degrees


def graticule_step(frame: Frame) -> float:
    """Return the degrees between two lines: the least for which there are not too many."""
    degrees = WIDTH / frame.unit
    return next((step for step in STEPS if degrees / step <= LINES), STEPS[-1])


def parallels(frame: Frame, step: float) -> tuple[Line, ...]:
    """Return the parallels that cross the map, from the south."""
    first, last = math.ceil(max(frame.south, -90) / step), math.floor(min(frame.north, 90) / step)
    lines = [round(number * step, 2) for number in range(first, last + 1)]
    return tuple(Line(degrees, frame.point(degrees, frame.longitude).y) for degrees in lines)


def meridians(frame: Frame, step: float) -> tuple[Line, ...]:
    """Return the meridians that cross the map, from the west. Far from the equator they are wider apart."""
    wide = next((wider for wider in STEPS if wider >= step and 2 * frame.half_width / wider <= LINES), STEPS[-1])
    first = math.ceil((frame.longitude - frame.half_width) / wide)
    last = math.floor((frame.longitude + frame.half_width) / wide)
    lines = []
    for number in range(first, last + 1):
        east = number * wide - frame.longitude
        x = round(WIDTH / 2 + east * frame.squeeze * frame.unit, 1)
        lines.append(Line(round(shorter(number * wide), 2), x))
    return tuple(lines)


def scale(frame: Frame) -> Scale:
    """Return the longest round length that takes no more than a fifth of the width."""
    longest = WIDTH / 5 / frame.unit * KM_PER_DEGREE
    power = 10 ** math.floor(math.log10(longest))
    km = max(digit * power for digit in ROUND if digit * power <= longest)
    return Scale(int(max(km, 1)), round(km / KM_PER_DEGREE * frame.unit, 1))
