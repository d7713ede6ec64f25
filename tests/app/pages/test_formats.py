from datetime import UTC, datetime

import pytest

from app.languages import speaking
from app.pages.formats import country, day, distance, latitude, longitude, moment, number

MOMENT = datetime(2026, 3, 4, 17, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["517,802", "0.7 km", "1,204 km", "38.73° N", "9.15° W", "0°", "Portugal", "Germany"]),
        ("de", ["517.802", "0,7 km", "1.204 km", "38,73° N", "9,15° W", "0°", "Portugal", "Deutschland"]),
        ("pt", ["517.802", "0,7 km", "1.204 km", "38,73° N", "9,15° O", "0°", "Portugal", "Alemanha"]),
    ],
)
def test_each_language_writes_its_own_way(language: str, expected: list[str]) -> None:
    with speaking(language):
        assert [
            number(517_802),
            distance(0.738),
            distance(1204.4),
            latitude(38.72509),
            longitude(-9.1498),
            longitude(0.0),
            country("PT", "Portugal"),
            country("DE", "Germany"),
        ] == expected


def test_moments_say_which_zone_they_are_in() -> None:
    assert moment(MOMENT) == "Mar 4, 2026, 17:05 UTC"
    assert day(MOMENT) == "Mar 4, 2026"
    with speaking("de"):
        assert moment(MOMENT) == "04.03.2026, 17:05 UTC"
        assert day(MOMENT) == "04.03.2026"


def test_a_country_that_nobody_knows_keeps_its_name() -> None:
    assert country("XZ", "Atlantis") == "Atlantis"
