from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from app.users.models import Role
from app.users.repository import EmailTaken, InMemoryUserRepository, SqlUserRepository, UserRepository
from app.users.tables import users
from tests.support.postgres import DATABASES

NOW = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture(params=[*DATABASES, "memory"])
def adapter(request: pytest.FixtureRequest) -> str:
    """What keeps them: what all have in common is tested once."""
    return str(request.param)


@pytest.fixture
def database(adapter: str) -> str:
    return adapter


@pytest.fixture
def repository(request: pytest.FixtureRequest, adapter: str) -> UserRepository:
    if adapter == "memory":
        return InMemoryUserRepository()
    return SqlUserRepository(request.getfixturevalue("session"))


def test_a_user_comes_back_whole(repository: UserRepository) -> None:
    user = repository.add("me@example.org", "Me", "hash", NOW)
    assert repository.by_id(user.id) == user
    assert repository.by_email("me@example.org") == user
    assert (user.active, user.created_at) == (True, NOW)


def test_nobody_is_none(repository: UserRepository) -> None:
    assert repository.by_id(1) is None
    assert repository.by_email("me@example.org") is None


def test_an_address_belongs_to_one_user_and_the_others_go_on(repository: UserRepository) -> None:
    first = repository.add("me@example.org", "Me", "hash", NOW)
    with pytest.raises(EmailTaken):
        repository.add("me@example.org", "Other", "hash", NOW)
    other = repository.add("other@example.org", "Other", "hash", NOW)
    assert repository.by_email("me@example.org") == first
    assert other.id != first.id


def test_the_last_log_in_is_noted(repository: UserRepository) -> None:
    user = repository.add("me@example.org", "Me", "hash", NOW)
    assert (user.role, user.language, user.last_login_at) == (Role.USER, None, None)
    repository.note_log_in(user.id, NOW)
    found = repository.by_id(user.id)
    assert found
    assert found.last_login_at == NOW


def test_a_password_is_changed_by_who_knows_it(repository: UserRepository) -> None:
    """Of two who change it at once, knowing the same one, the second comes too late."""
    user = repository.add("me@example.org", "Me", "old", NOW)
    assert repository.change_password(user.id, "old", "new")
    assert not repository.change_password(user.id, "old", "newer")
    assert not repository.change_password(user.id + 1, "old", "new")
    found = repository.by_id(user.id)
    assert found is not None
    assert found.password_hash == "new"


def test_personal_data_is_not_in_the_repr(repository: UserRepository) -> None:
    text = repr(repository.add("me@example.org", "Mary", "hash", NOW))
    assert "example.org" not in text
    assert "Mary" not in text
    assert "hash" not in text


class TestNames:
    """Two columns are read; the one from before is written for releases that know no other."""

    @pytest.fixture(params=DATABASES)
    def adapter(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_both_are_written(self, repository: SqlUserRepository) -> None:
        user = repository.add("ada@example.org", "Ada Byron King", "hash", NOW)
        row = repository.session.execute(select(users).where(users.c.id == user.id)).one()
        assert (row.name, row.given_name, row.family_name) == ("Ada Byron King", "Ada Byron", "King")

    def test_a_user_whom_an_old_release_made_has_their_name(self, repository: SqlUserRepository) -> None:
        user = repository.add("ada@example.org", "Ada King", "hash", NOW)
        repository.session.execute(update(users).values(given_name=None, family_name=None))
        assert repository.by_id(user.id) == user

    def test_the_parts_count(self, repository: SqlUserRepository) -> None:
        """The next release may leave the one column empty."""
        user = repository.add("ada@example.org", "Ada King", "hash", NOW)
        repository.session.execute(update(users).values(name=""))
        assert repository.by_id(user.id) == user


def test_a_name_that_was_changed_is_read_back(repository: UserRepository) -> None:
    user = repository.add("me@example.org", "Me Myself", "hash", NOW)
    repository.change(user.id, name="Ada Lovelace", language="de")
    found = repository.by_id(user.id)
    assert found is not None
    assert (found.name, found.language) == ("Ada Lovelace", "de")
