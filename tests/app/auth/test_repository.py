from datetime import UTC, datetime, timedelta

import pytest

from app.auth.models import ApiToken
from app.auth.repository import InMemoryTokenRepository, SqlTokenRepository, TokenRepository
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
    SqlUserRepository(session).add("me@example.org", "Me", "hash", NOW)
    return SqlTokenRepository(session)


def test_a_token_is_found_by_its_digest(repository: TokenRepository) -> None:
    token = ApiToken(1, "laptop", "d" * 64, NOW, NOW + timedelta(days=1))
    repository.add(token)
    assert repository.by_digest("d" * 64) == token
    assert repository.by_digest("e" * 64) is None
    assert "dddd" not in repr(token)


def test_expired_tokens_are_removed_and_counted(repository: TokenRepository) -> None:
    for name, days in (("a", 1), ("b", 2), ("c", 3)):
        repository.add(ApiToken(1, name, name * 64, NOW, NOW + timedelta(days=days)))
    assert repository.remove_expired(NOW + timedelta(days=2)) == 2
    assert [repository.by_digest(name * 64) is not None for name in "abc"] == [False, False, True]
    assert repository.remove_expired(NOW + timedelta(days=2)) == 0
