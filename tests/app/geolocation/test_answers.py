from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from app.clock import FixedClock
from app.database.session import Session
from app.database.transaction import InMemoryTransaction
from app.errors import Unavailable
from app.geolocation.answers import (
    NOTHING_FOR,
    GeocoderAnswers,
    InMemoryGeocoderAnswers,
    RememberingGeocoder,
    SqlGeocoderAnswers,
    as_data,
    location_from,
)
from app.geolocation.models import Country, FoundNear, Location
from tests.support.postgres import DATABASES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LISBON = Location("Lisboa", "Lisboa, Portugal", 38.7, -9.1, Country("PT", "Portugal"))
SEA = Location("Sea", "Sea", 0, 1, None)


@pytest.fixture(params=[*DATABASES, "memory"])
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database(adapter: str) -> str:
    return adapter


@pytest.fixture
def answers(request: pytest.FixtureRequest, adapter: str) -> GeocoderAnswers:
    return InMemoryGeocoderAnswers() if adapter == "memory" else SqlGeocoderAnswers(request.getfixturevalue("session"))


def test_an_answer_is_kept_until_it_expires(answers: GeocoderAnswers) -> None:
    assert answers.get("a", NOW) is None
    answers.put("a", "[1]", NOW + DAY)
    answers.put("b", "[2]", NOW + 2 * DAY)
    assert (answers.get("a", NOW), answers.get("b", NOW)) == ("[1]", "[2]")
    assert answers.get("a", NOW + DAY) is None
    answers.put("a", "[3]", NOW + 3 * DAY)
    assert answers.get("a", NOW + DAY) == "[3]"
    assert answers.remove_expired(NOW + 2 * DAY) == 1
    assert (answers.get("a", NOW), answers.get("b", NOW)) == ("[3]", None)


class TestInDatabases:
    @pytest.fixture(params=DATABASES)
    def database(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_many_may_bring_the_same_answer_at_once(self, engine: Engine) -> None:
        def bring(number: int) -> None:
            with Session(engine) as session:
                SqlGeocoderAnswers(session).put("a", "[]", NOW + number * DAY)
                session.commit()

        with ThreadPoolExecutor(6) as threads:
            list(threads.map(bring, range(1, 7)))
        with Session(engine) as session:
            assert SqlGeocoderAnswers(session).get("a", NOW) == "[]"


class Service:
    """A geocoder that counts how often it is asked, and may be away."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.found = [LISBON, SEA]

    def geocode(self, text: str, limit: int) -> list[Location]:
        """Count, and answer."""
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        return self.found[:limit]

    def reverse(self, latitude: float, longitude: float) -> FoundNear | None:
        """Count, and answer."""
        found = self.geocode("", 1)
        return FoundNear(found[0], 1.5) if found else None


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def geocoder(service: Service, clock: FixedClock) -> RememberingGeocoder:
    transaction = InMemoryTransaction()
    return RememberingGeocoder(service, InMemoryGeocoderAnswers(), transaction, clock, service="one", keep=DAY)


def test_the_same_question_is_asked_once_until_the_answer_expires(
    geocoder: RememberingGeocoder, service: Service, clock: FixedClock
) -> None:
    for text in ("Lisboa", " LISBOA "):
        assert geocoder.geocode(text, 5) == [LISBON, SEA]
    assert service.asked == 1
    assert geocoder.geocode("Lisboa", 1) == [LISBON]
    assert geocoder.geocode("Porto", 5) == [LISBON, SEA]
    assert service.asked == 3
    clock.moment = NOW + DAY
    geocoder.geocode("Lisboa", 5)
    assert service.asked == 4


def test_positions_within_a_metre_are_the_same_question(geocoder: RememberingGeocoder, service: Service) -> None:
    found = [geocoder.reverse(latitude, -9.1) for latitude in (38.7, 38.700001, 38.7001)]
    assert found == [FoundNear(LISBON, 1.5)] * 3
    assert service.asked == 2


def test_nothing_is_remembered_too_but_not_for_long(
    geocoder: RememberingGeocoder, service: Service, clock: FixedClock
) -> None:
    service.found = []
    for _ in range(2):
        assert geocoder.geocode("nowhere", 5) == []
        assert geocoder.reverse(0, -30) is None
    assert service.asked == 2
    clock.moment = NOW + NOTHING_FOR
    assert geocoder.geocode("nowhere", 5) == []
    assert service.asked == 3


def test_a_failure_is_not_remembered(geocoder: RememberingGeocoder, service: Service) -> None:
    service.away = True
    with pytest.raises(Unavailable):
        geocoder.geocode("Lisboa", 5)
    service.away = False
    assert geocoder.geocode("Lisboa", 5) == [LISBON, SEA]


def test_what_was_asked_is_not_stored(geocoder: RememberingGeocoder, service: Service, clock: FixedClock) -> None:
    answers = InMemoryGeocoderAnswers()
    one = RememberingGeocoder(service, answers, InMemoryTransaction(), clock, service="one", keep=DAY)
    other = RememberingGeocoder(service, answers, InMemoryTransaction(), clock, service="other", keep=DAY)
    for each in (one, other):
        each.geocode("my own address", 5)
    assert len(answers.answers) == 2, "another service's answers are others"
    assert "address" not in repr(answers.answers)


@pytest.mark.parametrize("location", [LISBON, SEA])
def test_locations_survive_json(location: Location) -> None:
    assert location_from(as_data(location)) == location
