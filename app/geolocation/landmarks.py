"""The larger towns of the world, as the background of maps: enough of them draw the coasts by themselves."""

import logging
from array import array
from collections.abc import Iterable
from functools import lru_cache

from app.geolocation.maps import Frame, Position, shorter

logger = logging.getLogger(__name__)

LEAST_POPULATION = 15_000
"""Some 30,000 places: a quarter of a megabyte, kept by each process that has drawn a map."""

CELL = 6
"""Of so many units in width and height a map shows one town: more of them is only more to send."""

SHOWN = 2_500

REMEMBERED = 4
"""Maps of which the background is kept: the world is asked for most, and takes 10 ms."""


class Landmarks:
    """Positions, of the largest town first. Kept for as long as the process lives: towns don't move."""

    def __init__(self, positions: Iterable[Position]) -> None:
        self.latitudes, self.longitudes = array("f"), array("f")
        for latitude, longitude in positions:
            self.latitudes.append(latitude)
            self.longitudes.append(longitude)
        self.dots = lru_cache(REMEMBERED)(self._dots)

    def _dots(self, frame: Frame) -> str:
        """Return the largest towns in a frame as the data of an SVG path, whose round line ends are the dots."""
        points = (frame.point(*position) for position in self.within(frame))
        return "".join(f"M{point.x:.0f} {point.y:.0f}h0" for point in points)

    def within(self, frame: Frame) -> list[Position]:
        """Return the largest towns in a frame, so far apart that one can tell them apart."""
        south, north, half, middle = frame.south, frame.north, frame.half_width, frame.longitude
        high = CELL / frame.unit
        wide = high / frame.squeeze
        found: dict[tuple[int, int], Position] = {}
        for latitude, longitude in zip(self.latitudes, self.longitudes, strict=True):
            east = longitude - middle
            if south < latitude < north and (-half < east < half or -half < shorter(east) < half):
                found.setdefault((int(latitude // high), int(longitude // wide)), (latitude, longitude))
        return list(found.values())[:SHOWN]
