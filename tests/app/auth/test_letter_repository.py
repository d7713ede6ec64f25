import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from app.auth.letter_models import Letter, LetterKind
from app.auth.letter_repository import InMemoryLetterRepository, LetterRepository, SqlLetterRepository
from app.users.repository import SqlUserRepository
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
def repository(request: pytest.FixtureRequest, adapter: str) -> LetterRepository:
    if adapter == "memory":
        return InMemoryLetterRepository()
    session = request.getfixturevalue("session")
    for name in ("me", "you"):
        SqlUserRepository(session).add(f"{name}@example.org", name, "hash", NOW)
    return SqlLetterRepository(session)


def add(repository: LetterRepository, letter_id: str, **changes: object) -> Letter:
    plain = Letter(letter_id, LetterKind.RESET, "me@example.org", NOW, NOW + HOUR, NOW, user_id=1)
    letter = dataclasses.replace(plain, **changes)
    repository.add(letter)
    return letter


def test_a_letter_comes_back_whole(repository: LetterRepository) -> None:
    letter = add(repository, "a", kind=LetterKind.SIGN_UP, user_id=None, name="Me", password_hash="h", language="de")
    assert repository.by_id("a") == letter
    assert repository.by_id("b") is None


def test_letters_to_an_address_are_counted(repository: LetterRepository) -> None:
    for name, moment in (("a", NOW), ("b", NOW + HOUR), ("c", NOW + 2 * HOUR)):
        add(repository, name, created_at=moment)
    add(repository, "d", email="you@example.org", created_at=NOW + 2 * HOUR)
    assert repository.count_since("me@example.org", NOW) == 2


def test_one_worker_gets_to_send_a_letter_until_it_is_due_again(repository: LetterRepository) -> None:
    letter = add(repository, "a")
    assert repository.claim(letter, NOW, NOW + HOUR / 2)
    assert not repository.claim(letter, NOW, NOW + HOUR / 2)
    found = repository.by_id("a")
    assert found
    assert (found.attempts, found.due_at) == (1, NOW + HOUR / 2)
    assert not repository.claim(found, NOW, NOW + HOUR)
    assert repository.claim(found, NOW + HOUR / 2, NOW + HOUR)


def test_what_was_sent_or_has_expired_is_not_due(repository: LetterRepository) -> None:
    add(repository, "later", due_at=NOW + HOUR / 2)
    add(repository, "second", created_at=NOW - HOUR)
    add(repository, "first", created_at=NOW - 2 * HOUR)
    add(repository, "expired", expires_at=NOW)
    sent = add(repository, "sent")
    repository.note_sent("sent", NOW)
    assert repository.due(NOW, 10) == ["first", "second"]
    assert repository.due(NOW, 1) == ["first"]
    assert not repository.claim(sent, NOW, NOW + HOUR)


def test_a_letter_is_taken_once_and_in_time(repository: LetterRepository) -> None:
    add(repository, "a")
    add(repository, "b")
    assert not repository.take("a", NOW + HOUR)
    assert [repository.take("a", NOW), repository.take("a", NOW)] == [True, False]
    assert repository.by_id("b")


def test_links_of_a_user_are_removed_and_what_only_tells_them_something_stays(repository: LetterRepository) -> None:
    add(repository, "a")
    add(repository, "b", kind=LetterKind.EMAIL)
    add(repository, "c", kind=LetterKind.PASSWORD_CHANGED)
    add(repository, "d", user_id=2)
    assert repository.remove_of(1) == 2
    assert [name for name in "abcd" if repository.by_id(name)] == ["c", "d"]


def test_what_has_expired_is_removed(repository: LetterRepository) -> None:
    for name, hours in (("a", 1), ("b", 2), ("c", 3)):
        add(repository, name, expires_at=NOW + hours * HOUR)
    assert repository.remove_expired(NOW + 2 * HOUR) == 2
    assert [name for name in "abc" if repository.by_id(name)] == ["c"]
