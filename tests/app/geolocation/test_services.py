from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from app.database.session import Session
from app.errors import NotFound
from app.geolocation.dataset import Dataset
from app.geolocation.models import Country, NamedPlace, Place
from app.geolocation.repository import InMemoryPlaceRepository, SqlPlaceRepository
from app.geolocation.services import Places
from app.geolocation.utils import haversine_km

POSITIONS = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@pytest.fixture
def places(atlas: Dataset) -> Places:
    return Places(InMemoryPlaceRepository(atlas.places))


def test_one_place(places: Places) -> None:
    assert places.get(4).name == "Lisbon"
    with pytest.raises(NotFound, match="99"):
        places.get(99)


def test_exact_matches_come_first_then_the_largest(places: Places) -> None:
    assert [place.id for place in places.search("Paris", 10)] == [1, 6, 2]
    assert [place.id for place in places.search("LISB", 10)] == [4, 5]
    assert [place.id for place in places.search("paris", 2)] == [1, 6]
    assert [place.id for place in places.search("Lissabon", 10)] == [4]


def test_a_query_without_letters_finds_nothing(places: Places) -> None:
    assert places.search(" -!", 10) == []


def test_the_nearest_is_the_city_and_not_its_quarter(places: Places) -> None:
    nearest, second = places.nearest(48.86, 2.35, 2)
    assert (nearest.place.name, second.place.name) == ("Paris", "Montrouge")
    assert nearest.distance_km == pytest.approx(0.738, abs=0.001)


def test_the_antimeridian_is_no_border(places: Places) -> None:
    assert [found.place.name for found in places.nearest(-16.8, 179.99, 2)] == ["Waiyevo", "Levuka"]


@pytest.mark.parametrize("latitude", [90.0, -90.0])
def test_poles_have_neighbours(places: Places, latitude: float) -> None:
    found = places.nearest(latitude, 123.0, 50)
    assert len(found) == 7, "everything, however far"
    assert found == sorted(found, key=lambda nearby: nearby.distance_km)


@given(POSITIONS, st.lists(POSITIONS, max_size=30), st.integers(1, 10))
@settings(deadline=None)
def test_nearest_is_what_sorting_by_distance_gives(here, there, limit: int) -> None:
    entries = [
        NamedPlace(Place(number, "x", Country("XX", "X"), "", latitude, longitude, 1, ""), frozenset())
        for number, (latitude, longitude) in enumerate(there)
    ]
    found = Places(InMemoryPlaceRepository(entries)).nearest(*here, limit)
    expected = sorted(haversine_km(*here, *position) for position in there)[:limit]
    assert [nearby.distance_km for nearby in found] == pytest.approx(expected)


class TestFullTable:
    @pytest.fixture
    def places(self, full: Engine) -> Iterator[Places]:
        with Session(full) as session:
            yield Places(SqlPlaceRepository(session))

    @pytest.mark.parametrize(
        ("text", "label"),
        [
            ("lisb", "Lisbon, Portugal"),
            ("Paris", "Paris, France"),
            ("Москва", "Moscow, Russia"),
            ("東京", "Tokyo, Japan"),
            ("muenchen", "Munich, Germany"),
            ("lodz", "Łódź, Poland"),
            ("new york", "New York City, United States"),
            ("são p", "São Paulo, Brazil"),
        ],
    )
    def test_what_people_look_for_comes_first(self, places: Places, text: str, label: str) -> None:
        assert places.search(text, 5)[0].label == label

    @pytest.mark.parametrize(
        ("latitude", "longitude", "name"),
        [
            (48.86, 2.35, "Paris"),
            (52.52, 13.40, "Berlin"),
            (35.69, 139.70, "Tokyo"),
            (51.51, -0.13, "London"),
            (38.71, -9.14, "Lisbon"),
            (48.8162, 2.3139, "Montrouge"),
            (40.72, -74.05, "Jersey City"),
            (-16.8, 179.99, "Savusavu"),
            (90, 0, "Longyearbyen"),
            (-90, 0, "Ushuaia"),
            (0, -140, "Taiohae"),
        ],
    )
    def test_nearest_places_of_the_world(self, places: Places, latitude: float, longitude: float, name: str) -> None:
        assert places.nearest(latitude, longitude, 1)[0].place.name == name

    def test_the_database_agrees_with_a_scan(self, places: Places, full: Engine) -> None:
        query = "SELECT id, latitude, longitude FROM places WHERE part_of IS NULL"
        with full.connect() as connection:
            towns = connection.exec_driver_sql(query).all()
        for here in ((10.5, 20.5), (-45.0, 170.0), (71.0, -179.9), (-60.0, -120.0)):
            scanned = sorted((haversine_km(*here, town.latitude, town.longitude), town.id) for town in towns)[:7]
            found = places.nearest(*here, 7)
            assert [nearby.place.id for nearby in found] == [place_id for _, place_id in scanned]

    def test_statements_do_not_grow_with_the_number_of_places(self, places: Places, full: Engine) -> None:
        statements: list[str] = []

        def note(connection, cursor, statement, parameters, context, executemany) -> None:
            statements.append(statement)

        event.listen(full, "before_cursor_execute", note)
        places.search("a", 50)
        assert len(statements) == 3, "exact, prefix, places"
        statements.clear()
        places.nearest(48.86, 2.35, 50)
        assert len(statements) == 2, "box, places"
        event.remove(full, "before_cursor_execute", note)
