from datetime import UTC, datetime, timedelta

import pytest

from app.auth.models import Client, Session
from app.auth.session_repository import InMemorySessionRepository, SessionRepository, SqlSessionRepository
from app.users.repository import SqlUserRepository
from tests.support.postgres import DATABASES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


@pytest.fixture(params=[*DATABASES, "memory"])
def adapter(request: pytest.FixtureRequest) -> str:
    """What keeps them: what all have in common is tested once."""
    return str(request.param)


@pytest.fixture
def database(adapter: str) -> str:
    return adapter


@pytest.fixture
def repository(request: pytest.FixtureRequest, adapter: str) -> SessionRepository:
    if adapter == "memory":
        return InMemorySessionRepository()
    session = request.getfixturevalue("session")
    for name in ("me", "you"):
        SqlUserRepository(session).add(f"{name}@example.org", name, "hash", NOW)
    return SqlSessionRepository(session)


def add(repository: SessionRepository, name: str, user_id: int = 1, expires_at: datetime = LATER) -> Session:
    return repository.add(Session(user_id, name * 64, Client("192.0.2.1", "Lynx"), NOW, NOW, expires_at))


def test_a_session_is_found_by_its_digest(repository: SessionRepository) -> None:
    kept = add(repository, "d")
    assert kept.id > 0
    assert repository.by_digest("d" * 64) == kept
    assert repository.by_digest("e" * 64) is None
    assert "dddd" not in repr(kept)
    assert "192.0.2.1" not in repr(kept)


def test_ones_own_sessions_are_listed_last_seen_first(repository: SessionRepository) -> None:
    first, second = add(repository, "a"), add(repository, "b")
    add(repository, "c", user_id=2)
    add(repository, "d", expires_at=NOW)
    assert [one.id for one in repository.of(1, NOW)] == [second.id, first.id]
    repository.touch(first.id, NOW + timedelta(hours=1))
    assert [one.id for one in repository.of(1, NOW)] == [first.id, second.id]
    assert repository.of(1, NOW)[0].last_seen_at == NOW + timedelta(hours=1)


def test_a_session_gets_another_secret(repository: SessionRepository) -> None:
    kept = add(repository, "a")
    assert repository.renew(kept.id, "b" * 64)
    assert repository.by_digest("a" * 64) is None
    found = repository.by_digest("b" * 64)
    assert found
    assert found.id == kept.id
    assert not repository.renew(kept.id + 1, "c" * 64)


def test_only_its_owner_ends_a_session(repository: SessionRepository) -> None:
    kept = add(repository, "a")
    assert not repository.remove(2, kept.id)
    assert repository.remove(1, kept.id)
    assert not repository.remove(1, kept.id)


def test_sessions_end_by_secret_by_user_and_by_time(repository: SessionRepository) -> None:
    kept = add(repository, "a")
    for name in "bc":
        add(repository, name)
    add(repository, "d", user_id=2)
    add(repository, "e", user_id=2, expires_at=NOW)
    repository.remove_by_digest("c" * 64)
    assert repository.remove_all(1, but=kept.id) == 1
    assert repository.remove_all(1) == 1
    assert repository.remove_expired(NOW) == 1
    assert [repository.by_digest(name * 64) is not None for name in "abcde"] == [False, False, False, True, False]
