from datetime import UTC, datetime

import pytest

from app.languages import speaking
from app.pages.formats import browser, country, day, distance, latitude, longitude, moment, number

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


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML) Chrome/150.0 Safari/537.36", "Chrome · Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64) Chrome/150.0 Safari/537.36 Edg/150",
            "Edge · Windows",
        ),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 20_0 like Mac OS X) Version/20 Safari/604.1", "Safari · iPhone"),
        ("curl/8.1", "curl/8.1"),
        ("x" * 100, "x" * 60),
        ("", ""),
    ],
)
def test_browsers_by_the_names_people_know(agent: str, shown: str) -> None:
    assert browser(agent) == shown
