import pytest

from app.geolocation.dataset import Dataset
from app.geolocation.geocoding import PlaceGeocoder, within
from app.geolocation.models import Location
from app.geolocation.repository import InMemoryPlaceRepository


@pytest.fixture
def geocoder(atlas: Dataset) -> PlaceGeocoder:
    return PlaceGeocoder(InMemoryPlaceRepository(atlas.places))


def ids_of(found: list[Location]) -> list[int | None]:
    return [location.place.id if location.place else None for location in found]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Paris", [1, 6]),
        ("paris, france", [1]),
        ("Paris, TX", [6]),
        ("Paris, TX, US", [6]),
        ("Paris, tx, United States", [6]),
        ("Paris, Portugal", []),
        ("Pari", []),
        ("Lissabon", [4]),
        (", France", []),
        ("", []),
    ],
)
def test_words_become_places(geocoder: PlaceGeocoder, text: str, ids: list[int]) -> None:
    assert ids_of(geocoder.geocode(text, 10)) == ids


def test_the_limit_is_of_what_is_returned(geocoder: PlaceGeocoder) -> None:
    assert ids_of(geocoder.geocode("Paris, US", 1)) == [6]
    assert len(geocoder.geocode("Paris", 1)) == 1


def test_positions_become_places(geocoder: PlaceGeocoder) -> None:
    found = geocoder.reverse(38.7, -9.1)
    assert found is not None
    assert (found.location.name, found.location.label) == ("Lisbon", "Lisbon, Portugal")
    assert ids_of([found.location]) == [4]


def test_the_middle_of_nowhere_is_nowhere(geocoder: PlaceGeocoder) -> None:
    assert geocoder.reverse(0, -30) is None


def test_qualifiers_are_codes_or_names(atlas: Dataset) -> None:
    place = next(entry.place for entry in atlas.places if entry.place.id == 6)
    assert all(within(place, word) for word in ("tx", "us", "united states"))
    assert not within(place, "united")
