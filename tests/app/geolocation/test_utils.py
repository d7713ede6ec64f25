import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.geolocation import utils
from app.geolocation.utils import (
    EARTH_RADIUS_KM,
    FARTHEST_KM,
    box_around,
    haversine_km,
    meridian,
    normalise,
    parse_query,
    tier,
    unit_vector,
    vector_distance_km,
)

LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)
POSITIONS = st.tuples(LATITUDES, LONGITUDES)


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(utils).failed == 0


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("Łódź", "lodz"),
        ("Saint-Étienne", "saint etienne"),
        ("Weißwasser", "weisswasser"),
        ("Tromsø", "tromso"),
        ("İstanbul", "istanbul"),
        ("MOSKVA", "moskva"),
        ("Москва", "москва"),
        ("\uff21thens", "athens"),
        ("  O'Fallon,  MO ", "o fallon mo"),
        ("東京", "東京"),
        ("서울", "서울"),
        ("!?", ""),
    ],
)
def test_names_are_reduced_to_what_is_compared(name: str, normal: str) -> None:
    assert normalise(name) == normal


@given(st.text())
def test_a_normal_name_stays_as_it_is(name: str) -> None:
    assert normalise(normalise(name)) == normalise(name)


@given(st.text(alphabet=st.characters(codec="latin-1")))
def test_case_does_not_matter(name: str) -> None:
    assert normalise(name.lower()) == normalise(name) or "µ" in name
    assert normalise(name) == " ".join(normalise(name).split())


# Published great-circle distances (mean radius), in kilometres.
@pytest.mark.parametrize(
    ("one", "other", "kilometres"),
    [
        ((51.4775, -0.4614), (40.6398, -73.7789), 5540),  # Heathrow to Kennedy
        ((-33.9461, 151.1772), (33.9425, -118.4081), 12051),  # Sydney to Los Angeles, across the antimeridian
        ((48.8566, 2.3522), (52.5200, 13.4050), 878),  # Paris to Berlin
        ((90, 0), (-90, 0), 20015),
        ((0, 0), (0, 1), 111.195),
    ],
)
def test_distances_are_the_published_ones(one, other, kilometres: float) -> None:
    assert haversine_km(*one, *other) == pytest.approx(kilometres, rel=0.001)


@given(POSITIONS, POSITIONS)
def test_distance_is_symmetric_bounded_and_zero_to_itself(one, other) -> None:
    distance = haversine_km(*one, *other)
    assert 0 <= distance <= FARTHEST_KM + 1e-6
    assert distance == pytest.approx(haversine_km(*other, *one), abs=1e-6)
    assert haversine_km(*one, *one) == 0


@given(POSITIONS, POSITIONS)
def test_vectors_give_the_same_distance(one, other) -> None:
    cosine = sum(a * b for a, b in zip(unit_vector(*one), unit_vector(*other), strict=True))
    assert vector_distance_km(cosine) == pytest.approx(haversine_km(*one, *other), abs=0.0003)


@pytest.mark.parametrize(("longitude", "degree"), [(0.5, 0), (-0.5, -1), (179.9, 179), (180, -180), (-180, -180)])
def test_the_whole_degree_west(longitude: float, degree: int) -> None:
    assert meridian(longitude) == degree


@given(POSITIONS, st.floats(0.001, 21_000), st.floats(0, 2 * math.pi), st.floats(0, 1))
def test_a_box_contains_everything_within_its_radius(centre, radius: float, bearing: float, part: float) -> None:
    """Goes from the centre in any direction, up to the radius, and looks whether it is still inside."""
    phi, lambda_ = map(math.radians, centre)
    angle = min(radius, FARTHEST_KM) * part / EARTH_RADIUS_KM
    sine = math.sin(phi) * math.cos(angle) + math.cos(phi) * math.sin(angle) * math.cos(bearing)
    there = math.asin(max(-1.0, min(1.0, sine)))
    across = math.atan2(math.sin(bearing) * math.sin(angle) * math.cos(phi), math.cos(angle) - math.sin(phi) * sine)
    latitude, longitude = math.degrees(there), (math.degrees(lambda_ + across) + 540) % 360 - 180
    box = box_around(*centre, radius)
    assert box.south - 1e-5 <= latitude <= box.north + 1e-5
    nearly = {meridian(longitude + shift) for shift in (-1e-5, 0, 1e-5)}
    assert nearly & set(box.meridians)


@given(POSITIONS, st.floats(0.001, 21_000))
def test_a_box_names_each_degree_once(centre, radius: float) -> None:
    box = box_around(*centre, radius)
    assert len(set(box.meridians)) == len(box.meridians)
    assert all(-180 <= degree < 180 for degree in box.meridians)


def test_a_small_box_is_small_even_at_the_antimeridian() -> None:
    assert box_around(48.86, 2.35, 25).meridians == (2,)
    assert box_around(-17.0, 179.99, 25).meridians == (179, -180)
    assert len(box_around(89.99, 0, 25).meridians) == 360


@pytest.mark.parametrize(
    ("population", "size"),
    [(10_000_000, 0), (1_000_000, 0), (999_999, 1), (250_000, 1), (50_000, 2), (15_000, 3), (0, 4)],
)
def test_tiers(population: int, size: int) -> None:
    assert tier(population) == size


@given(st.text())
def test_every_query_can_be_taken_apart(text: str) -> None:
    query = parse_query(text)
    assert query.name == normalise(text.split(",")[0])
    assert "" not in query.qualifiers
