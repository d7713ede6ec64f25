from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from app.database.session import Session
from app.idempotency.models import Answer
from app.idempotency.repository import AnswerRepository, InMemoryAnswerRepository, KeyTaken, SqlAnswerRepository
from app.users.tables import users
from tests.support.postgres import DATABASES

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(params=["memory", *DATABASES])
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def repository(database: str, request: pytest.FixtureRequest) -> Iterator[AnswerRepository]:
    if database == "memory":
        yield InMemoryAnswerRepository()
        return
    session: Session = request.getfixturevalue("session")
    for number in (1, 2):
        person = {"id": number, "email": f"{number}@example.org", "name": "x", "password_hash": "x", "active": True}
        session.execute(insert(users).values(person | {"created_at": NOW}))
    yield SqlAnswerRepository(session)


def test_a_key_is_taken_once_by_each_user(repository: AnswerRepository) -> None:
    repository.add(Answer(1, "k", "f", NOW))
    with pytest.raises(KeyTaken):
        repository.add(Answer(1, "k", "other", NOW))
    repository.add(Answer(2, "k", "g", NOW))
    repository.add(Answer(1, "l", "h", NOW))
    assert repository.by_key(1, "k") == Answer(1, "k", "f", NOW)
    assert repository.by_key(2, "l") is None


def test_an_answer_is_written_down(repository: AnswerRepository) -> None:
    repository.add(Answer(1, "k", "f", NOW))
    repository.add(Answer(1, "l", "f", NOW))
    repository.complete(1, "k", "é" * 70_000)
    found = repository.by_key(1, "k")
    assert found is not None
    assert found.text == "é" * 70_000
    other = repository.by_key(1, "l")
    assert other is not None
    assert other.text is None


def test_what_is_removed_may_be_added_again(repository: AnswerRepository) -> None:
    repository.add(Answer(1, "k", "f", NOW))
    repository.remove(1, "k")
    repository.remove(1, "k")
    repository.add(Answer(1, "k", "g", NOW))


def test_only_what_is_older_is_removed(repository: AnswerRepository) -> None:
    repository.add(Answer(1, "old", "f", NOW - timedelta(seconds=1)))
    repository.add(Answer(1, "new", "f", NOW))
    assert repository.remove_before(NOW) == 1
    assert repository.by_key(1, "old") is None
    assert repository.by_key(1, "new") is not None
