from datetime import UTC, datetime

import pytest

from app.auth.models import SecondFactor
from app.auth.second_factor_repository import (
    InMemorySecondFactorRepository,
    SecondFactorRepository,
    SqlSecondFactorRepository,
)
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
def repository(request: pytest.FixtureRequest, adapter: str) -> SecondFactorRepository:
    if adapter == "memory":
        return InMemorySecondFactorRepository()
    session = request.getfixturevalue("session")
    for name in ("me", "you"):
        SqlUserRepository(session).add(f"{name}@example.org", name, "hash", NOW)
    return SqlSecondFactorRepository(session)


def test_a_second_factor_counts_once_it_is_confirmed(repository: SecondFactorRepository) -> None:
    assert repository.of(1) is None
    repository.begin(1, "first")
    repository.begin(1, "second")
    assert repository.of(1) == SecondFactor(1, "second", None)
    assert "second" not in repr(repository.of(1))
    assert not repository.confirm(1, "first", NOW)
    assert repository.confirm(1, "second", NOW)
    assert not repository.confirm(1, "second", NOW)
    assert repository.of(1) == SecondFactor(1, "second", NOW)
    assert repository.of(2) is None


def test_a_code_is_used_once_and_none_from_before_it(repository: SecondFactorRepository) -> None:
    repository.begin(1, "secret")
    assert [repository.use_step(1, step) for step in (7, 7, 6, 8)] == [True, False, False, True]
    assert not repository.use_step(2, 9)


def test_recovery_codes_are_used_once_and_go_with_the_second_factor(repository: SecondFactorRepository) -> None:
    repository.begin(1, "secret")
    repository.keep_codes(1, ["x" * 64])
    repository.keep_codes(1, ["a" * 64, "b" * 64])
    assert repository.count_codes(1) == 2
    used = [repository.use_code(user, digest * 64) for user, digest in ((1, "x"), (2, "a"), (1, "a"), (1, "a"))]
    assert used == [False, False, True, False]
    assert repository.count_codes(1) == 1
    assert [repository.remove(1), repository.remove(1)] == [True, False]
    assert (repository.of(1), repository.count_codes(1)) == (None, 0)
