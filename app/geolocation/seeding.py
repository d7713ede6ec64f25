"""Load a dataset into the database: in bulk, in one transaction, and only what differs from what is there."""

import gc
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, insert, select, update

from app.database.bulk import execute_many, insert_many, loading
from app.geolocation.dataset import NAME, Dataset
from app.geolocation.models import Country, NamedPlace
from app.geolocation.tables import countries, datasets, place_names, places
from app.geolocation.utils import meridian, tier, unit_vector

logger = logging.getLogger(__name__)

SHAPE = 2
"""Raise it when something else is stored about a place, so that all are written anew; and dataset.RULES with it."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """How many places were added, changed and removed."""

    added: int = 0
    changed: int = 0
    removed: int = 0


def seed(engine: Engine, fingerprint: str, read: Callable[[], Dataset], now: datetime) -> Seeded | None:
    """Make the database hold the dataset called ``fingerprint``; return None if it already does.

    ``read`` is called only if needed. The lock is taken first, so of several processes one loads the data.
    """
    with loading(engine, datasets) as connection:
        loaded = connection.scalar(select(datasets.c.fingerprint).where(datasets.c.name == NAME))
        if loaded == fingerprint:
            return None
        with no_collection():
            dataset = read()
            seed_countries(connection, dataset.countries)
            done = seed_places(connection, dataset.places)
        connection.execute(delete(datasets).where(datasets.c.name == NAME))
        connection.execute(insert(datasets).values(name=NAME, fingerprint=fingerprint, loaded_at=now))
        return done


def seed_countries(connection: Connection, wanted: Iterable[Country]) -> None:
    """Add and rename countries. None is removed: a place may still be in it."""
    present = {row.code: row.name for row in connection.execute(select(countries))}
    added = [{"code": country.code, "name": country.name} for country in wanted if country.code not in present]
    renamed = [
        {"key": country.code, "name": country.name}
        for country in wanted
        if present.get(country.code, country.name) != country.name
    ]
    execute_many(connection, insert(countries), added)
    by_key = countries.c.code == bindparam("key")
    execute_many(connection, update(countries).where(by_key).values(name=bindparam("name")), renamed)


def seed_places(connection: Connection, wanted: Iterable[NamedPlace]) -> Seeded:
    """Add, change and remove places, each with its names; what has the same checksum is left alone."""
    present = {row.id: row.checksum for row in connection.execute(select(places.c.id, places.c.checksum))}
    sums = {entry.place.id: (entry, checksum(entry)) for entry in wanted}
    added = [entry for key, (entry, _) in sums.items() if key not in present]
    changed = [entry for key, (entry, sum_) in sums.items() if present.get(key, sum_) != sum_]
    removed = [key for key in present if key not in sums]

    execute_many(connection, delete(places).where(places.c.id == bindparam("key")), [{"key": key} for key in removed])
    stale = [{"key": entry.place.id} for entry in changed]
    execute_many(connection, delete(place_names).where(place_names.c.place_id == bindparam("key")), stale)
    changes = [{"key": entry.place.id, **place_row(entry, sums[entry.place.id][1])} for entry in changed]
    execute_many(connection, update(places).where(places.c.id == bindparam("key")), changes)
    rows = (place_row(entry, sums[entry.place.id][1]) for entry in added)
    insert_many(connection, places, places.c.keys(), rows)
    insert_many(connection, place_names, place_names.c.keys(), name_rows([*added, *changed]))
    return Seeded(len(added), len(changed), len(removed))


def place_row(entry: NamedPlace, sum_: str) -> dict[str, Any]:
    """Return a place as a row of ``places``."""
    place = entry.place
    x, y, z = unit_vector(place.latitude, place.longitude)
    return {
        "id": place.id,
        "name": place.name,
        "country_code": place.country.code,
        "admin1_code": place.admin1_code,
        "latitude": place.latitude,
        "longitude": place.longitude,
        "meridian": meridian(place.longitude),
        "x": x,
        "y": y,
        "z": z,
        "population": place.population,
        "tier": tier(place.population),
        "timezone": place.timezone,
        "part_of": place.part_of,
        "checksum": sum_,
    }


def name_rows(entries: Iterable[NamedPlace]) -> Iterator[dict[str, Any]]:
    """Give the names of places as rows of ``place_names``, in the order of its key: appending is what loads fast."""
    for entry in sorted(entries, key=lambda entry: entry.place.id):
        size = tier(entry.place.population)
        for name in sorted(entry.names):
            yield {"place_id": entry.place.id, "name": name, "tier": size, "population": entry.place.population}


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep Python from looking for cycles while a million objects without any are made: a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def checksum(entry: NamedPlace) -> str:
    """Return a short digest of all that is stored about a place."""
    text = repr((SHAPE, entry.place, sorted(entry.names)))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
