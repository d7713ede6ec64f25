import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from app.auth.passwords import Argon2Hasher
from app.auth.repository import InMemoryTokenRepository
from app.auth.services import Tokens
from app.clock import FixedClock
from app.database.transaction import InMemoryTransaction
from app.errors import NotAuthenticated, NotFound
from app.settings import Settings
from app.users.models import User
from app.users.repository import InMemoryUserRepository

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORD = "correct horse battery"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def tokens(settings: Settings, clock: FixedClock) -> Tokens:
    users = InMemoryUserRepository()
    users.add("me@example.org", "Me", Argon2Hasher(memory_kib=64).hash(PASSWORD), NOW)
    return Tokens(users, InMemoryTokenRepository(), InMemoryTransaction(), Argon2Hasher(memory_kib=64), clock, settings)


def me(tokens: Tokens) -> User:
    user = tokens.users.by_email("me@example.org")
    assert user
    return user


def deactivate(tokens: Tokens) -> None:
    assert isinstance(tokens.users, InMemoryUserRepository)
    tokens.users.users[1] = dataclasses.replace(me(tokens), active=False)


def test_a_token_stands_for_its_owner_until_it_expires(tokens: Tokens, clock: FixedClock) -> None:
    issued = tokens.log_in("ME@example.org", PASSWORD, "laptop")
    assert issued.expires_at == NOW + timedelta(days=30)
    clock.moment = issued.expires_at - timedelta(seconds=1)
    assert tokens.authenticate(issued.secret) == me(tokens)
    clock.moment = issued.expires_at
    with pytest.raises(NotAuthenticated):
        tokens.authenticate(issued.secret)


def test_the_token_itself_is_kept_nowhere(tokens: Tokens) -> None:
    issued = tokens.log_in("me@example.org", PASSWORD, "laptop")
    assert isinstance(tokens.tokens, InMemoryTokenRepository)
    (kept,) = tokens.tokens.tokens.values()
    assert issued.secret not in str(dataclasses.asdict(kept))
    assert issued.secret not in repr(issued)


def test_every_refusal_sounds_the_same(tokens: Tokens) -> None:
    said = set()
    attempts = [("me@example.org", "wrong password"), ("you@example.org", PASSWORD), ("no address", PASSWORD)]
    for email, password in attempts:
        with pytest.raises(NotAuthenticated) as caught:
            tokens.log_in(email, password, "laptop")
        said.add(str(caught.value))
    deactivate(tokens)
    with pytest.raises(NotAuthenticated) as caught:
        tokens.log_in("me@example.org", PASSWORD, "laptop")
    assert said == {str(caught.value)}


def test_a_deactivated_user_loses_every_token(tokens: Tokens) -> None:
    issued = tokens.log_in("me@example.org", PASSWORD, "laptop")
    deactivate(tokens)
    with pytest.raises(NotAuthenticated):
        tokens.authenticate(issued.secret)


@pytest.mark.parametrize("token", ["", "gzt_", "gzt_wrong", "\udcff", "x" * 10_000])
def test_what_is_no_token_is_refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(NotAuthenticated):
        tokens.authenticate(token)


def test_a_new_key_makes_old_tokens_useless(tokens: Tokens, settings: Settings) -> None:
    issued = tokens.log_in("me@example.org", PASSWORD, "laptop")
    other = settings.model_validate({"secret_key": "Zq7Rt5Yw3Ku1Io9Pa8Sd6Fg4Hj2Lx0Cv"})
    tokens.settings = other
    with pytest.raises(NotAuthenticated):
        tokens.authenticate(issued.secret)


def test_an_operator_may_issue_a_token_without_the_password(tokens: Tokens) -> None:
    assert tokens.authenticate(tokens.issue("me@example.org", "script").secret) == me(tokens)
    with pytest.raises(NotFound):
        tokens.issue("you@example.org", "script")


def test_no_log_line_has_personal_data(tokens: Tokens, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    issued = tokens.log_in("me@example.org", PASSWORD, "laptop")
    with pytest.raises(NotAuthenticated):
        tokens.log_in("me@example.org", "wrong password", "laptop")
    assert len(caplog.records) == 2
    everything = "".join(str(vars(record)) for record in caplog.records)
    for private in ("example.org", PASSWORD, "wrong password", issued.secret):
        assert private not in everything


def test_what_nobody_can_use_any_more_is_removed(tokens: Tokens, clock: FixedClock) -> None:
    issued = tokens.log_in("me@example.org", PASSWORD, "laptop")
    assert tokens.remove_expired() == 0
    clock.moment = issued.expires_at
    assert tokens.remove_expired() == 1
    assert isinstance(tokens.transaction, InMemoryTransaction)
    assert tokens.transaction.commits > 0
