from datetime import UTC, datetime, timedelta

import pytest

from app.auth.models import ApiToken
from app.auth.repository import InMemoryTokenRepository, SqlTokenRepository, TokenRepository
from app.database.session import Session
from app.users.repository import SqlUserRepository

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sql", "memory"])
def repository(request: pytest.FixtureRequest, session: Session) -> TokenRepository:
    if request.param == "memory":
        return InMemoryTokenRepository()
    SqlUserRepository(session).add("me@example.org", "Me", "hash", NOW)
    return SqlTokenRepository(session)


def test_a_token_is_found_by_its_digest(repository: TokenRepository) -> None:
    token = ApiToken(1, "laptop", "d" * 64, NOW, NOW + timedelta(days=1))
    repository.add(token)
    assert repository.by_digest("d" * 64) == token
    assert repository.by_digest("e" * 64) is None
    assert "dddd" not in repr(token)
