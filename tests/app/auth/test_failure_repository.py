from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from app.auth.failure_repository import FailureRepository, InMemoryFailureRepository, SqlFailureRepository
from app.database.session import Session
from tests.support.postgres import DATABASES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(params=[*DATABASES, "memory"])
def adapter(request: pytest.FixtureRequest) -> str:
    """What keeps them: what all have in common is tested once."""
    return str(request.param)


@pytest.fixture
def database(adapter: str) -> str:
    return adapter


@pytest.fixture
def repository(request: pytest.FixtureRequest, adapter: str) -> FailureRepository:
    if adapter == "memory":
        return InMemoryFailureRepository()
    return SqlFailureRepository(request.getfixturevalue("session"))


def test_failures_in_a_row_are_counted_by_key(repository: FailureRepository) -> None:
    assert repository.count("me", NOW - HOUR) == 0
    for _ in range(3):
        repository.add("me", NOW, NOW - HOUR)
    repository.add("you", NOW, NOW - HOUR)
    assert (repository.count("me", NOW - HOUR), repository.count("you", NOW - HOUR)) == (3, 1)
    repository.forget("me")
    assert (repository.count("me", NOW - HOUR), repository.count("you", NOW - HOUR)) == (0, 1)


def test_after_a_while_they_count_no_more(repository: FailureRepository) -> None:
    for _ in range(3):
        repository.add("me", NOW, NOW - HOUR)
    later = NOW + HOUR
    assert repository.count("me", later - HOUR) == 0
    repository.add("me", later, later - HOUR)
    assert repository.count("me", later - HOUR) == 1


def test_old_ones_are_removed(repository: FailureRepository) -> None:
    for name, moment in (("a", NOW), ("b", NOW + HOUR), ("c", NOW + 2 * HOUR)):
        repository.add(name, moment, moment - HOUR)
    assert repository.remove_before(NOW + HOUR) == 2
    assert [repository.count(name, NOW - HOUR) for name in "abc"] == [0, 0, 1]


@pytest.mark.parametrize("adapter", DATABASES, indirect=True)
def test_of_many_at_once_none_is_lost(engine: Engine) -> None:
    def fail(number: int) -> None:
        with Session(engine) as session:
            SqlFailureRepository(session).add("me", NOW, NOW - HOUR)
            session.commit()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(fail, range(24)))
    with Session(engine) as session:
        assert SqlFailureRepository(session).count("me", NOW - HOUR) == 24
