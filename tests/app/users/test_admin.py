import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from app.database.session import Session
from app.database.transaction import InMemoryTransaction
from app.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from app.users.access import NoAccess
from app.users.admin import UserAdmin
from app.users.models import Role, User, UserQuery
from app.users.repository import InMemoryUserRepository, SqlUserRepository
from tests.support.postgres import DATABASES

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def access() -> NoAccess:
    return NoAccess()


@pytest.fixture
def users() -> InMemoryUserRepository:
    """An admin and two users."""
    users = InMemoryUserRepository()
    for name in ("ada", "bob", "cy"):
        users.add(f"{name}@example.org", name, "hash", NOW)
    users.change(1, role=Role.ADMIN)
    return users


@pytest.fixture
def admin(users: InMemoryUserRepository, access: NoAccess) -> UserAdmin:
    return UserAdmin(users, access, InMemoryTransaction())


@pytest.fixture
def ada(users: InMemoryUserRepository) -> User:
    return users.users[1]


def test_an_admin_sees_and_changes_everybody(admin: UserAdmin, ada: User) -> None:
    assert [user.name for user in admin.search(ada, UserQuery())] == ["ada", "bob", "cy"]
    assert admin.show(ada, 2).name == "bob"
    changed = admin.edit(ada, 2, {"name": "Bobby", "email": " Bobby@Example.org", "language": "de", "role": Role.ADMIN})
    assert (changed.name, changed.email, changed.language, changed.role) == (
        "Bobby",
        "bobby@example.org",
        "de",
        Role.ADMIN,
    )
    with pytest.raises(NotFound):
        admin.show(ada, 99)


@pytest.mark.parametrize(
    "use",
    [
        lambda admin, by: admin.search(by, UserQuery()),
        lambda admin, by: admin.show(by, 3),
        lambda admin, by: admin.show(by, by.id),
        lambda admin, by: admin.show(by, 99),
        lambda admin, by: admin.edit(by, 3, {"active": False}),
        lambda admin, by: admin.edit(by, by.id, {"role": Role.ADMIN}),
    ],
)
def test_nobody_else_does(
    admin: UserAdmin, users: InMemoryUserRepository, use: Callable[[UserAdmin, User], object]
) -> None:
    before = dict(users.users)
    with pytest.raises(NotAllowed):
        use(admin, users.users[2])
    assert users.users == before


def test_who_is_deactivated_is_signed_out_everywhere(admin: UserAdmin, ada: User, access: NoAccess) -> None:
    assert not admin.edit(ada, 2, {"active": False}).active
    assert access.ended == [2]
    assert admin.edit(ada, 2, {"active": True}).active
    assert access.ended == [2]


def test_another_address_makes_links_to_the_old_one_useless(admin: UserAdmin, ada: User, access: NoAccess) -> None:
    admin.edit(ada, 2, {"email": "new@example.org"})
    assert (access.ended, access.links_ended) == ([], [2])


def test_an_admin_stays_active(admin: UserAdmin, users: InMemoryUserRepository, ada: User) -> None:
    users.change(2, role=Role.ADMIN)
    with pytest.raises(NotAllowed):
        admin.edit(ada, 1, {"active": False})
    assert admin.edit(ada, 1, {"role": Role.USER}).role is Role.USER, "there is another"


@pytest.mark.parametrize("changes", [{"role": Role.USER}, {"active": False}])
def test_the_last_admin_stays_one_even_for_an_operator(
    admin: UserAdmin, users: InMemoryUserRepository, changes: dict[str, object]
) -> None:
    users.change(2, role=Role.ADMIN, active=False)
    with pytest.raises(Conflict, match="no admin"):
        admin.edit(None, 1, changes)
    users.change(2, active=True)
    admin.edit(None, 1, changes)


def test_what_can_not_be_changed_so(admin: UserAdmin, ada: User) -> None:
    with pytest.raises(Conflict):
        admin.edit(ada, 2, {"email": "ada@example.org"})
    with pytest.raises(Invalid):
        admin.edit(ada, 2, {"email": "ada"})
    with pytest.raises(NotFound):
        admin.edit(ada, 99, {"name": "Nobody"})


def test_an_operator_finds_users_by_address(admin: UserAdmin) -> None:
    assert admin.by_email("BOB@example.org").id == 2
    with pytest.raises(NotFound):
        admin.by_email("nobody@example.org")


def test_changes_are_logged_without_personal_data(
    admin: UserAdmin, ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    admin.edit(ada, 2, {"email": "secret@example.org", "name": "Secret"})
    (record,) = caplog.records
    assert vars(record)["changed"] == ["email", "name"]
    assert "ecret" not in str(vars(record))


class TestAtOnce:
    """On real databases."""

    @pytest.fixture(params=DATABASES)
    def database(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_of_two_admins_who_demote_each_other_one_stays(self, engine: Engine) -> None:
        with Session(engine) as session:
            users = SqlUserRepository(session)
            for name in ("ada", "bob"):
                users.change(users.add(f"{name}@example.org", name, "hash", NOW).id, role=Role.ADMIN)
            session.commit()
            pair = [users.by_email(f"{name}@example.org") for name in ("ada", "bob")]

        def demote(number: int) -> bool:
            by, other = pair[number], pair[1 - number]
            assert by
            assert other
            with Session(engine) as session:
                admin = UserAdmin(SqlUserRepository(session), NoAccess(), session)
                try:
                    admin.edit(dataclasses.replace(by), other.id, {"role": Role.USER})
                except Refused:
                    return False
                return True

        for _ in range(5):
            with ThreadPoolExecutor(2) as threads:
                assert sorted(threads.map(demote, range(2))) == [False, True]
            with Session(engine) as session:
                for user in pair:
                    assert user
                    SqlUserRepository(session).change(user.id, role=Role.ADMIN)
                session.commit()
