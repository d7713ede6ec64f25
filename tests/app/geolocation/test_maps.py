import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.geolocation.maps import (
    HEIGHT,
    LINES,
    WIDTH,
    Frame,
    Line,
    Point,
    draw,
    frame_of,
    graticule_step,
    meridians,
    narrowest,
    parallels,
    scale,
    shorter,
)

LISBON, PARIS, LEVUKA, WAIYEVO = (38.7, -9.1), (48.9, 2.3), (-17.4, 178.9), (-16.8, -179.98)
POSITIONS = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


def test_one_place_is_in_the_middle_with_its_surroundings() -> None:
    frame = frame_of([LISBON])
    assert frame.point(*LISBON) == Point(WIDTH / 2, HEIGHT / 2)
    assert frame.north - frame.south == pytest.approx(1.2)
    assert frame_of([LISBON], smallest=0.1).unit == pytest.approx(12 * frame.unit)


def test_north_is_up_and_east_is_right() -> None:
    frame = frame_of([LISBON, PARIS])
    lisbon, paris = frame.point(*LISBON), frame.point(*PARIS)
    assert lisbon.x < paris.x
    assert lisbon.y > paris.y


def test_a_degree_of_longitude_is_as_long_as_it_really_is() -> None:
    frame = frame_of([(60, 0), (60, 1)])
    assert frame.squeeze == pytest.approx(0.5)


def test_neighbours_across_the_antimeridian_are_neighbours() -> None:
    frame = frame_of([LEVUKA, WAIYEVO])
    assert frame.half_width < 5
    assert frame.point(*LEVUKA).x < frame.point(*WAIYEVO).x
    assert all(-180 <= line.degrees <= 180 for line in meridians(frame, 0.5))


@given(st.lists(POSITIONS, min_size=1, max_size=20))
def test_everything_asked_for_is_on_the_map(positions: list[tuple[float, float]]) -> None:
    frame = frame_of(positions)
    assert frame.half_width <= 180.001
    assert all(0 <= frame.point(*position).x <= WIDTH for position in positions)
    if frame.squeeze > 0.5:  # nearer to the poles a map as wide as the world is not as high
        assert all(frame.shows(frame.point(*position)) for position in positions)


@given(st.lists(POSITIONS, min_size=1, max_size=20))
def test_a_graticule_has_a_few_round_lines(positions: list[tuple[float, float]]) -> None:
    frame = frame_of(positions)
    step = graticule_step(frame)
    lines = [*parallels(frame, step), *meridians(frame, step)]
    assert len(parallels(frame, step)) <= LINES + 1
    assert len(meridians(frame, step)) <= max(LINES + 1, 13)
    assert all(abs(line.degrees) <= 180 for line in lines)
    bar = scale(frame)
    assert bar.km >= 1
    assert str(bar.km).rstrip("0") in {"1", "2", "5"}
    assert bar.length <= WIDTH / 5 or bar.km == 1


def test_lines_lie_where_their_degrees_are() -> None:
    frame = Frame(latitude=40, longitude=0, unit=40, squeeze=1)
    assert parallels(frame, 2)[:2] == (Line(36, HEIGHT / 2 + 160), Line(38, HEIGHT / 2 + 80))
    assert Line(-5, WIDTH / 2 - 200) in meridians(frame, 5)


def test_the_scale_is_true() -> None:
    frame = frame_of([LISBON])
    bar = scale(frame)
    assert bar.km / bar.length == pytest.approx(111.195 / frame.unit, rel=0.01)


def test_the_narrowest_strip() -> None:
    assert narrowest([10.0]) == (10.0, 0.0)
    assert narrowest([-10.0, 20.0, 5.0]) == (-10.0, 30.0)
    assert narrowest([179.0, -179.0]) == (179.0, 2.0)
    assert shorter(-190.0) == 170.0
    assert shorter(180.0) == 180.0


def test_the_background_is_drawn_as_it_is() -> None:
    drawn = draw(frame_of([LISBON]), [LISBON], towns="M1 2h0")
    assert (len(drawn.markers), drawn.towns) == (1, "M1 2h0")
