from app.geolocation.landmarks import Landmarks
from app.geolocation.maps import WIDTH, Frame, frame_of

LISBON, CASCAIS, LEVUKA, WAIYEVO = (38.7, -9.1), (38.69, -9.42), (-17.4, 178.9), (-16.8, -179.98)


def rounded(found: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(round(latitude, 2), round(longitude, 2)) for latitude, longitude in found]


def test_only_what_is_in_the_frame() -> None:
    towns = Landmarks([LISBON, CASCAIS, LEVUKA])
    assert rounded(towns.within(frame_of([LISBON]))) == [LISBON, CASCAIS]


def test_across_the_antimeridian() -> None:
    assert rounded(Landmarks([LISBON, LEVUKA, WAIYEVO]).within(frame_of([LEVUKA, WAIYEVO]))) == [LEVUKA, WAIYEVO]


def test_of_towns_that_would_touch_the_largest() -> None:
    world = Frame(0, 0, unit=WIDTH / 360, squeeze=1)
    assert rounded(Landmarks([LISBON, CASCAIS]).within(world)) == [LISBON]


def test_what_is_asked_for_again_is_remembered() -> None:
    towns, frame = Landmarks([LISBON]), frame_of([LISBON])
    assert towns.dots(frame) == "M400 210h0", "in the middle"
    assert towns.dots(frame) is towns.dots(frame)
