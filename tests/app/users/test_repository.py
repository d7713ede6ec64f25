from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from app.users.models import Role, UserQuery
from app.users.repository import EmailTaken, InMemoryUserRepository, SqlUserRepository, UserRepository
from app.users.tables import users
from tests.support.postgres import DATABASES

NOW = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
DAY = timedelta(days=1)


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


def people(repository: UserRepository) -> None:
    for number, name in enumerate(("cy", "ada", "bob")):
        user = repository.add(f"{name}@example.org", name, "hash", NOW + number * DAY)
        if name == "bob":
            repository.change(user.id, role=Role.ADMIN, active=False)
        if name == "cy":
            repository.note_log_in(user.id, NOW)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (UserQuery(), "ada bob cy"),
        (UserQuery(descending=True), "cy bob ada"),
        (UserQuery(sort="created_at"), "cy ada bob"),
        (UserQuery(sort="name", descending=True), "cy bob ada"),
        (UserQuery(sort="last_login_at"), "ada bob cy"),
        (UserQuery(sort="last_login_at", descending=True), "cy bob ada"),
        (UserQuery(" BO"), "bob"),
        (UserQuery("example.org", active=True), "ada cy"),
        (UserQuery(role=Role.ADMIN), "bob"),
        (UserQuery("_"), ""),
        (UserQuery("%"), ""),
    ],
)
def test_users_are_found_in_an_order_page_by_page(repository: UserRepository, query: UserQuery, found: str) -> None:
    people(repository)
    names = [user.name for user in repository.search(query, None, 10)]
    assert names == found.split()
    paged: list[str] = []
    after = None
    while page := repository.search(query, after, 1):
        paged += [user.name for user in page]
        after = query.position(page[-1])
    assert paged == names


def test_columns_of_a_user_are_changed(repository: UserRepository) -> None:
    user, other = (repository.add(f"{name}@example.org", name, "hash", NOW) for name in ("me", "you"))
    repository.change(user.id, name="Other", language="de", role=Role.ADMIN, active=False)
    found = repository.by_id(user.id)
    assert found
    assert (found.name, found.language, found.role, found.active) == ("Other", "de", Role.ADMIN, False)
    with pytest.raises(EmailTaken):
        repository.change(user.id, email="you@example.org")
    assert repository.by_id(other.id) == other


def test_admins_are_counted_who_are_active(repository: UserRepository) -> None:
    ids = [repository.add(f"{name}@example.org", name, "hash", NOW).id for name in "abcd"]
    for user_id, active in zip(ids[:3], (True, True, False), strict=True):
        repository.change(user_id, role=Role.ADMIN, active=active)
    repository.hold_admins()
    assert [repository.count_admins(but=user_id) for user_id in ids] == [1, 1, 2, 2]
