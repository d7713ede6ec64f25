from datetime import UTC, datetime, timedelta

import pytest

from app.auth.models import ApiToken
from app.auth.repository import InMemoryTokenRepository, SqlTokenRepository, TokenRepository
from app.scopes import Scope
from app.users.repository import SqlUserRepository
from tests.support.postgres import DATABASES

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=[*DATABASES, "memory"])
def adapter(request: pytest.FixtureRequest) -> str:
    """What keeps them: what all have in common is tested once."""
    return str(request.param)


@pytest.fixture
def database(adapter: str) -> str:
    return adapter


@pytest.fixture
def repository(request: pytest.FixtureRequest, adapter: str) -> TokenRepository:
    if adapter == "memory":
        return InMemoryTokenRepository()
    session = request.getfixturevalue("session")
    for name in ("me", "you"):
        SqlUserRepository(session).add(f"{name}@example.org", name, "hash", NOW)
    return SqlTokenRepository(session)


def test_a_token_is_found_by_its_digest(repository: TokenRepository) -> None:
    token = repository.add(ApiToken(1, "laptop", "d" * 64, NOW, NOW + timedelta(days=1), frozenset({Scope.READ})))
    assert token.id > 0
    assert repository.by_digest("d" * 64) == token
    assert repository.by_digest("e" * 64) is None
    assert "dddd" not in repr(token)


def test_expired_tokens_are_removed_and_counted(repository: TokenRepository) -> None:
    for name, days in (("a", 1), ("b", 2), ("c", 3)):
        repository.add(ApiToken(1, name, name * 64, NOW, NOW + timedelta(days=days)))
    assert repository.remove_expired(NOW + timedelta(days=2)) == 2
    assert [repository.by_digest(name * 64) is not None for name in "abc"] == [False, False, True]
    assert repository.remove_expired(NOW + timedelta(days=2)) == 0


def test_ones_own_tokens_are_listed_and_removed(repository: TokenRepository) -> None:
    owners = {"a": (1, 1), "b": (1, 1), "c": (2, 1), "d": (1, 0)}
    kept = {
        name: repository.add(ApiToken(user_id, name, name * 64, NOW, NOW + timedelta(days=days)))
        for name, (user_id, days) in owners.items()
    }
    assert repository.of(1, NOW) == [kept["a"], kept["b"]]
    assert not repository.remove(2, kept["a"].id)
    assert repository.remove(1, kept["a"].id)
    assert not repository.remove(1, kept["a"].id)
    assert repository.remove_all(1) == 2
    assert repository.of(2, NOW) == [kept["c"]]
