import dataclasses

import pytest

from app.geolocation.models import Country, Place
from app.geolocation.quarters import find_quarters, heart_km, is_quarter

FRANCE, ITALY = Country("FR", "France"), Country("IT", "Italy")
PARIS = Place(1, "Paris", FRANCE, "11", 48.85341, 2.3488, 2_138_551, "Europe/Paris")


def near_paris(name: str, latitude: float, longitude: float, population: int = 30_000, **changes: object) -> Place:
    place = Place(2, name, FRANCE, "11", latitude, longitude, population, "Europe/Paris")
    return dataclasses.replace(place, **changes)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (near_paris("Paris 04 Hôtel-de-Ville", 48.8598, 2.3506), True),
        (near_paris("Porte Saint-Martin", 48.868, 2.359), True),
        (near_paris("Paris 16 Passy", 48.863, 2.276, 159_386), True),  # farther out, but numbered
        (near_paris("Montrouge", 48.8162, 2.3139, 48_000), False),  # the nearest suburb
        (near_paris("Parisot", 48.86, 2.27), False),  # begins like it, by chance
        (near_paris("Paris 99 Lyon", 45.75, 4.85), False),  # numbered, but far away
        (near_paris("Half", 48.8598, 2.3506, 1_000_000), False),  # too large
        (near_paris("Abroad", 48.8598, 2.3506, country=ITALY), False),
        (near_paris("Another region", 48.8598, 2.3506, admin1_code="12"), False),
        (PARIS, False),
    ],
    ids=lambda value: value.name if isinstance(value, Place) else "",
)
def test_quarters_and_towns(place: Place, expected: bool) -> None:
    assert is_quarter(place, PARIS) == expected


def test_the_heart_of_paris_ends_before_its_suburbs_begin() -> None:
    assert heart_km(PARIS) == pytest.approx(4.1, abs=0.05)


def test_quarters_are_found_across_cells_and_belong_to_the_largest_city() -> None:
    village = dataclasses.replace(PARIS, id=3, name="Village", population=99_999, latitude=10.0)
    smaller = dataclasses.replace(PARIS, id=4, name="Smaller", population=700_000, latitude=48.86)
    quarter = near_paris("Quarter", 48.8598, 2.3506, id=5)
    edge = near_paris("Paris 20", 48.80, 2.45, id=6)
    hamlet = near_paris("Hamlet", 10.0, 2.3488, 10, id=7)
    found = find_quarters([hamlet, edge, quarter, smaller, village, PARIS])
    assert found == {4: 1, 5: 1, 6: 1}


def test_there_may_be_none() -> None:
    assert find_quarters([]) == {}
    assert find_quarters([PARIS]) == {}
