import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.geolocation import utils
from app.geolocation.utils import (
    EARTH_RADIUS_KM,
    FARTHEST_KM,
    Area,
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


# Published great-circle distances on a sphere, as angles, so that they hold for any radius.
# Ed Williams, Aviation Formulary V1.47, "Some worked examples" (https://edwilliams.org/avform147.htm): Los Angeles to
# New York is 0.623585 radians.
# J. Meeus, Astronomical Algorithms, 2nd ed., example 11.c: Paris to Washington is 55.44855 degrees on a sphere.
@pytest.mark.parametrize(
    ("one", "other", "radians", "precise_to"),
    [
        ((33 + 57 / 60, -(118 + 24 / 60)), (40 + 38 / 60, -(73 + 47 / 60)), 0.623585, 1e-6),
        ((48.836389, 2.337222), (38.921389, -77.065556), math.radians(55.44855), 1e-6),
        ((90, 0), (-90, 0), math.pi, 1e-12),
        ((0, 0), (0, 1), math.pi / 180, 1e-12),
        ((10, 179.5), (10, -179.5), 2 * math.asin(math.cos(math.radians(10)) * math.sin(math.pi / 360)), 1e-12),
    ],
)
def test_distances_are_the_published_ones_on_a_sphere(one, other, radians: float, precise_to: float) -> None:
    assert haversine_km(*one, *other) / EARTH_RADIUS_KM == pytest.approx(radians, abs=precise_to)


# Published distances on an ellipsoid, from which a sphere of the mean radius may differ by 0.56 %.
# Meeus, the same example: 6181.63 km. Geoscience Australia, GDA94 Technical Manual, chapter 4: Flinders Peak to
# Buninyong is 54,972.271 m. The nautical mile was meant to be a minute of latitude: 10,001.966 km from equator to pole
# on WGS 84.
@pytest.mark.parametrize(
    ("one", "other", "kilometres"),
    [
        ((48.836389, 2.337222), (38.921389, -77.065556), 6181.63),
        (
            (-(37 + 57 / 60 + 3.72030 / 3600), 144 + 25 / 60 + 29.52440 / 3600),
            (-(37 + 39 / 60 + 10.15610 / 3600), 143 + 55 / 60 + 35.38390 / 3600),
            54.972271,
        ),
        ((0, 30), (90, 30), 10_001.966),
    ],
)
def test_distances_are_near_the_published_ones_on_the_earth(one, other, kilometres: float) -> None:
    assert haversine_km(*one, *other) == pytest.approx(kilometres, rel=0.0056)


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


AREAS = st.builds(
    lambda latitudes, west, east: Area(min(latitudes), west, max(latitudes), east),
    st.tuples(LATITUDES, LATITUDES),
    LONGITUDES | st.sampled_from([-180.0, 180.0]),
    LONGITUDES | st.sampled_from([-180.0, 180.0]),
)


@given(AREAS, POSITIONS)
def test_what_is_in_an_area_is_in_one_of_its_degrees(area: Area, position: tuple[float, float]) -> None:
    assert len(set(area.meridians)) == len(area.meridians)
    if area.has(*position):
        assert meridian(position[1]) in area.meridians


def test_an_area_has_its_rims_and_the_antimeridian_has_two_names() -> None:
    assert Area(0, 170, 10, 180).has(5, -180)
    assert Area(0, -180, 10, -170).has(0, 180)
    assert Area(0, 179, 10, -179).has(10, 180)
    assert not Area(0, 179, 10, -179).has(5, 0)
    assert len(Area(0, -180, 10, 180).meridians) == 360
    assert Area(0, 10.5, 10, 10.2).has(5, 10.1), "all around the earth, but for a slit"
    assert not Area(0, 10.5, 10, 10.2).has(5, 10.3)


@given(st.text())
def test_every_query_can_be_taken_apart(text: str) -> None:
    query = parse_query(text)
    assert query.name == normalise(text.split(",")[0])
    assert "" not in query.qualifiers
