from datetime import UTC, datetime

import pytest

from app.auth.passwords import Argon2Hasher
from app.clock import FixedClock
from app.database.transaction import InMemoryTransaction
from app.errors import Conflict, NotAllowed
from app.users.repository import InMemoryUserRepository
from app.users.services import Users

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORD = "correct horse battery"


@pytest.fixture
def transaction() -> InMemoryTransaction:
    return InMemoryTransaction()


@pytest.fixture
def users(transaction: InMemoryTransaction) -> Users:
    return Users(InMemoryUserRepository(), transaction, Argon2Hasher(memory_kib=64), FixedClock(NOW))


def test_a_user_is_created_with_a_hashed_password(users: Users, transaction: InMemoryTransaction) -> None:
    user = users.create(" Me@Example.org", " Me ", PASSWORD)
    assert (user.email, user.name, user.created_at) == ("me@example.org", "Me", NOW)
    assert PASSWORD not in user.password_hash
    assert Argon2Hasher(memory_kib=64).matches(user.password_hash, PASSWORD)
    assert transaction.commits == 1


def test_an_address_is_taken_once_whatever_its_case(users: Users, transaction: InMemoryTransaction) -> None:
    users.create("me@example.org", "Me", PASSWORD)
    with pytest.raises(Conflict):
        users.create("ME@EXAMPLE.ORG", "Me", PASSWORD)
    assert transaction.commits == 1


def test_what_is_no_address_is_refused(users: Users) -> None:
    with pytest.raises(ValueError):
        users.create("me", "Me", PASSWORD)


def test_nobody_sees_anybody_else(users: Users) -> None:
    me, other = users.create("me@example.org", "Me", PASSWORD), users.create("you@example.org", "You", PASSWORD)
    assert users.get(me.id, viewer=me) == me
    for somebody in (other.id, 999):
        with pytest.raises(NotAllowed):
            users.get(somebody, viewer=me)


def test_a_profile_is_changed_by_its_owner(users: Users) -> None:
    ada = users.create("ada@example.org", "Ada", "correct horse battery")
    changed = users.change_profile(ada, " Ada L. ", "pt")
    assert (changed.name, changed.language) == ("Ada L.", "pt")
    assert users.repository.by_id(ada.id) == changed
