import dataclasses
from datetime import UTC, datetime

import pytest

from app.auth.credentials import Credentials
from app.auth.passwords import Argon2Hasher
from app.database.transaction import InMemoryTransaction
from app.errors import NotAuthenticated
from app.users.repository import InMemoryUserRepository

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORD = "correct horse battery"


@pytest.fixture
def users() -> InMemoryUserRepository:
    users = InMemoryUserRepository()
    users.add("me@example.org", "Me", Argon2Hasher(memory_kib=64).hash(PASSWORD), NOW)
    return users


@pytest.fixture
def credentials(users: InMemoryUserRepository) -> Credentials:
    return Credentials(users, InMemoryTransaction(), Argon2Hasher(memory_kib=64))


def refusal(credentials: Credentials, email: str, password: str) -> str:
    with pytest.raises(NotAuthenticated) as caught:
        credentials.check(email, password)
    return str(caught.value)


def test_a_password_proves_its_owner(credentials: Credentials, users: InMemoryUserRepository) -> None:
    assert credentials.check(" ME@example.org", PASSWORD) == users.users[1]


def test_every_refusal_sounds_the_same(credentials: Credentials, users: InMemoryUserRepository) -> None:
    attempts = [("me@example.org", "wrong password"), ("you@example.org", PASSWORD), ("no address", PASSWORD)]
    said = {refusal(credentials, *attempt) for attempt in attempts}
    users.users[1] = dataclasses.replace(users.users[1], active=False)
    assert said == {refusal(credentials, "me@example.org", PASSWORD)}
