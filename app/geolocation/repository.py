"""Where places come from: the port, its adapter on the database, and its twin in memory."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, func, or_, select, true

from app.database.keyset import beyond
from app.database.session import Session
from app.geolocation.models import Country, Located, NamedPlace, Place
from app.geolocation.tables import countries, place_names, places
from app.geolocation.utils import TIER_BOUNDS, Area, Box, haversine_km, meridian, unit_vector, vector_distance_km

logger = logging.getLogger(__name__)

LAST_CHARACTER = "\U0010ffff"
TIERS = range(len(TIER_BOUNDS) + 1)

COMMON = 2000
"""Names that begin alike, from which on it is quicker to ask a country's places than to ask where each name is."""


class PlaceRepository(Protocol):
    """Finds places. Names are given normalised; lists are ordered by population, largest first, then by id."""

    def by_id(self, place_id: int) -> Place | None:
        """Return a place, or None."""
        ...

    def by_ids(self, place_ids: Sequence[int]) -> list[Place]:
        """Return places in the order of the ids; those that are not there are left out."""
        ...

    def ids_by_name(self, name: str, limit: int, country: str | None = None) -> list[int]:
        """Return the ids of places that have exactly this name, of all countries or of one."""
        ...

    def ids_by_prefix(self, prefix: str, limit: int, country: str | None = None) -> list[int]:
        """Return the ids of places with a name that begins like this, of all countries or of one."""
        ...

    def ids_within(self, area: Area, limit: int, country: str | None = None) -> list[int]:
        """Return the ids of places in an area, quarters among them."""
        ...

    def in_country(self, code: str, after: tuple[int, int] | None, limit: int) -> list[Place]:
        """Return a country's places, from after the one with this population and id."""
        ...

    def countries(self) -> list[Country]:
        """Return all countries, by code."""
        ...

    def country(self, code: str) -> Country | None:
        """Return a country, or None."""
        ...

    def nearest_in(self, box: Box, latitude: float, longitude: float, limit: int) -> list[Located]:
        """Return the places in a box that are nearest to a position, nearest first, quarters left out."""
        ...

    def positions(self, least_population: int) -> list[tuple[float, float]]:
        """Return latitude and longitude of all places with so many inhabitants, quarters left out."""
        ...


def _whole() -> Select[*tuple[Any, ...]]:
    """Select places with all that an entity has, in the order in which ``_place`` takes it."""
    return select(
        places.c.id,
        places.c.name,
        places.c.country_code,
        countries.c.name.label("country"),
        places.c.admin1_code,
        places.c.latitude,
        places.c.longitude,
        places.c.population,
        places.c.timezone,
        places.c.part_of,
    ).join(countries)


ONE = _whole().where(places.c.id == bindparam("id"))
SEVERAL = _whole().where(places.c.id.in_(bindparam("ids", expanding=True)))
"""Made once: what asks for a place by its id spends more on making the statement than on asking."""

NEAREST_ORDER = places.c.x * bindparam("x") + places.c.y * bindparam("y") + places.c.z * bindparam("z")
"""The cosine of the distance."""

NEAREST = (
    select(places.c.id, NEAREST_ORDER)
    .where(
        places.c.meridian.in_(bindparam("meridians", expanding=True)),
        places.c.latitude.between(bindparam("south"), bindparam("north")),
        places.c.part_of.is_(None),
    )
    .order_by(NEAREST_ORDER.desc(), places.c.id)
    .limit(bindparam("limit"))
)


class SqlPlaceRepository:
    """Places in the database."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def by_id(self, place_id: int) -> Place | None:
        """Return a place, or None."""
        row = self.session.execute(ONE, {"id": place_id}).first()
        return None if row is None else _place(row)

    def by_ids(self, place_ids: Sequence[int]) -> list[Place]:
        """Return places in the order of the ids; those that are not there are left out."""
        if not place_ids:
            return []
        found = {row.id: _place(row) for row in self.session.execute(SEVERAL, {"ids": place_ids})}
        return [found[place_id] for place_id in place_ids if place_id in found]

    def ids_by_name(self, name: str, limit: int, country: str | None = None) -> list[int]:
        """Return the ids of places that have exactly this name, of all countries or of one."""
        return self._ids(_of(country, _largest().where(place_names.c.name == name)), limit)

    def ids_by_prefix(self, prefix: str, limit: int, country: str | None = None) -> list[int]:
        """Return the ids of places with a name that begins like this, of all countries or of one.

        In one country from either end: rare words from the few names there are, common ones from its places, largest
        first, until enough have such a name. The other way round each would be a thousand looks in vain.
        """
        begins = (place_names.c.name >= prefix) & (place_names.c.name < prefix + LAST_CHARACTER)
        if country is None or not self._is_common(begins):

            def ask(tiers: Sequence[int], most: int) -> list[int]:
                return self._ids(_of(country, _largest(tiers).where(begins)), most)

            return self._stepwise(ask, limit)
        # Not EXISTS, which PostgreSQL would turn into a join, from the wrong end.
        one = select(place_names.c.place_id).where(place_names.c.place_id == places.c.id, begins).limit(1)
        inside = (places.c.country_code == country) & one.scalar_subquery().is_not(None)
        query = select(places.c.id).where(inside).order_by(places.c.population.desc(), places.c.id).limit(limit)
        return list(self.session.execute(query).scalars())

    def ids_within(self, area: Area, limit: int, country: str | None = None) -> list[int]:
        """Return the ids of places in an area, quarters among them."""
        inside = and_(
            places.c.meridian.in_(area.meridians),
            places.c.latitude.between(area.south, area.north),
            or_(*(places.c.longitude.between(west, east) for west, east in area.spans)),
            true() if country is None else places.c.country_code == country,
        )
        order = (places.c.tier, places.c.population.desc(), places.c.id)

        def ask(tiers: Sequence[int], most: int) -> list[int]:
            query = select(places.c.id).where(places.c.tier.in_(tiers), inside).order_by(*order).limit(most)
            return list(self.session.execute(query).scalars())

        return self._stepwise(ask, limit)

    def in_country(self, code: str, after: tuple[int, int] | None, limit: int) -> list[Place]:
        """Return a country's places, from after the one with this population and id."""
        query = _whole().where(places.c.country_code == code)
        if after is not None:
            later = beyond(after, places.c.population, places.c.id, descending=(True, False))
            query = query.where(places.c.population <= after[0], later)
        rows = self.session.execute(query.order_by(places.c.population.desc(), places.c.id).limit(limit))
        return [_place(row) for row in rows]

    def countries(self) -> list[Country]:
        """Return all countries, by code."""
        query = select(countries.c.code, countries.c.name).order_by(countries.c.code)
        return [Country(code, name) for code, name in self.session.execute(query)]

    def country(self, code: str) -> Country | None:
        """Return a country, or None."""
        row = self.session.execute(select(countries.c.name).where(countries.c.code == code)).one_or_none()
        return Country(code, row.name) if row else None

    def nearest_in(self, box: Box, latitude: float, longitude: float, limit: int) -> list[Located]:
        """Return the places in a box that are nearest to a position, nearest first, quarters left out."""
        x, y, z = unit_vector(latitude, longitude)
        asked = {"x": x, "y": y, "z": z, "south": box.south, "north": box.north, "meridians": box.meridians}
        rows = self.session.execute(NEAREST, {**asked, "limit": limit})
        return [Located(place_id, vector_distance_km(value)) for place_id, value in rows]

    def positions(self, least_population: int) -> list[tuple[float, float]]:
        """Return latitude and longitude of all places with so many inhabitants, quarters left out."""
        query = (
            select(places.c.latitude, places.c.longitude)
            .where(places.c.population >= least_population, places.c.part_of.is_(None))
            .order_by(places.c.population.desc(), places.c.id)
        )
        return [(latitude, longitude) for latitude, longitude in self.session.execute(query)]

    def _stepwise(self, ask: Callable[[Sequence[int], int], list[int]], limit: int) -> list[int]:
        """Ask for all tiers at once, or on MariaDB tier by tier until there are enough.

        MariaDB sorts all that match before it leaves any out: 27 ms instead of 1 for a common letter.
        """
        if self.session.engine.dialect.name != "mariadb":
            return ask(TIERS, limit)
        found: list[int] = []
        for tier in TIERS:
            found += ask([tier], limit - len(found))
            if len(found) == limit:
                break
        return found

    def _is_common(self, begins: ColumnElement[bool]) -> bool:
        some = select(place_names.c.place_id).where(place_names.c.tier.in_(TIERS), begins).limit(COMMON)
        return bool(self.session.execute(select(func.count()).select_from(some.subquery())).scalar_one() == COMMON)

    def _ids(self, query: Select[int, int, int], limit: int) -> list[int]:
        once = _each_once(query, self.session.engine.dialect.name)
        return [row[0] for row in self.session.execute(once.limit(limit))]


def _largest(tiers: Sequence[int] = TIERS) -> Select[int, int, int]:
    """Select place ids, largest first.

    Tiers are listed in full, and come first in the order, so that the database reads the index tier by tier and stops
    at the limit.
    """
    return (
        select(place_names.c.place_id, place_names.c.tier, place_names.c.population)
        .where(place_names.c.tier.in_(tiers))
        .order_by(place_names.c.tier, place_names.c.population.desc(), place_names.c.place_id)
    )


def _of(country: str | None, query: Select[int, int, int]) -> Select[int, int, int]:
    """Narrow names down to those in a country, if any is given.

    Not by a join, which SQLite would begin at the end of the country.
    """
    if country is None:
        return query
    its = select(places.c.country_code).where(places.c.id == place_names.c.place_id)
    return query.where(its.scalar_subquery() == country)


def _each_once(query: Select[int, int, int], dialect: str) -> Select[int, int, int]:
    """Leave one row of a place that matches by several names: it has the same tier and population in each.

    DISTINCT and GROUP BY mean the same here, but SQLite reads all that match for GROUP BY, and PostgreSQL before
    version 16 does so for DISTINCT: 12 ms instead of 0.5 for a common letter.
    """
    return query.group_by(*query.selected_columns) if dialect == "postgresql" else query.distinct()


def _place(row: Row[*tuple[Any, ...]]) -> Place:
    number, name, code, country, *rest = row
    return Place(number, name, Country(code, country), *rest)


class InMemoryPlaceRepository:
    """Places in a list: for tests of use cases, and as the plainest statement of what the port means."""

    def __init__(self, entries: Iterable[NamedPlace]) -> None:
        self.entries = sorted(entries, key=lambda entry: (-entry.place.population, entry.place.id))

    def by_id(self, place_id: int) -> Place | None:
        """Return a place, or None."""
        return next(iter(self.by_ids([place_id])), None)

    def by_ids(self, place_ids: Sequence[int]) -> list[Place]:
        """Return places in the order of the ids; those that are not there are left out."""
        known = {entry.place.id: entry.place for entry in self.entries}
        return [known[place_id] for place_id in place_ids if place_id in known]

    def ids_by_name(self, name: str, limit: int, country: str | None = None) -> list[int]:
        """Return the ids of places that have exactly this name, of all countries or of one."""
        return [entry.place.id for entry in self._in(country) if name in entry.names][:limit]

    def ids_by_prefix(self, prefix: str, limit: int, country: str | None = None) -> list[int]:
        """Return the ids of places with a name that begins like this, of all countries or of one."""
        return [entry.place.id for entry in self._in(country) if any(n.startswith(prefix) for n in entry.names)][:limit]

    def ids_within(self, area: Area, limit: int, country: str | None = None) -> list[int]:
        """Return the ids of places in an area, quarters among them."""
        inside = (entry.place for entry in self._in(country) if area.has(entry.place.latitude, entry.place.longitude))
        return [place.id for place in inside][:limit]

    def in_country(self, code: str, after: tuple[int, int] | None, limit: int) -> list[Place]:
        """Return a country's places, from after the one with this population and id."""
        found = [entry.place for entry in self._in(code)]
        start = None if after is None else (-after[0], after[1])
        return [place for place in found if start is None or (-place.population, place.id) > start][:limit]

    def countries(self) -> list[Country]:
        """Return all countries, by code."""
        return sorted({entry.place.country for entry in self.entries}, key=lambda country: country.code)

    def country(self, code: str) -> Country | None:
        """Return a country, or None."""
        return next((country for country in self.countries() if country.code == code), None)

    def _in(self, country: str | None) -> list[NamedPlace]:
        return [entry for entry in self.entries if country in (None, entry.place.country.code)]

    def nearest_in(self, box: Box, latitude: float, longitude: float, limit: int) -> list[Located]:
        """Return the places in a box that are nearest to a position, nearest first, quarters left out."""
        found = [
            Located(place.id, haversine_km(latitude, longitude, place.latitude, place.longitude))
            for place in (entry.place for entry in self.entries)
            if place.part_of is None
            and box.south <= place.latitude <= box.north
            and meridian(place.longitude) in box.meridians
        ]
        return sorted(found, key=lambda located: (located.distance_km, located.place_id))[:limit]

    def positions(self, least_population: int) -> list[tuple[float, float]]:
        """Return latitude and longitude of all places with so many inhabitants, quarters left out."""
        everything = (entry.place for entry in self.entries)
        return [
            (place.latitude, place.longitude)
            for place in everything
            if place.population >= least_population and place.part_of is None
        ]
