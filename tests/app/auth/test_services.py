import dataclasses
from datetime import timedelta

import pytest

from app.auth.repository import InMemoryTokenRepository
from app.auth.services import Tokens
from app.clock import FixedClock
from app.database.transaction import InMemoryTransaction
from app.errors import NotAllowed, NotAuthenticated, NotFound
from app.scopes import Scope
from app.settings import Settings
from app.users.models import Role, User
from app.users.repository import InMemoryUserRepository

from .conftest import NOW, PASSWORD, World


@pytest.fixture
def clock(world: World) -> FixedClock:
    return world.clock


@pytest.fixture
def tokens(world: World) -> Tokens:
    return world.tokens


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
    assert tokens.authenticate(issued.secret, Scope.READ) == me(tokens)
    clock.moment = issued.expires_at
    with pytest.raises(NotAuthenticated):
        tokens.authenticate(issued.secret, Scope.READ)


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
        tokens.authenticate(issued.secret, Scope.READ)


@pytest.mark.parametrize("token", ["", "gzt_", "gzt_wrong", "\udcff", "x" * 10_000])
def test_what_is_no_token_is_refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(NotAuthenticated):
        tokens.authenticate(token, Scope.READ)


def test_a_new_key_makes_old_tokens_useless(tokens: Tokens, settings: Settings) -> None:
    issued = tokens.log_in("me@example.org", PASSWORD, "laptop")
    other = settings.model_validate({"secret_key": "Zq7Rt5Yw3Ku1Io9Pa8Sd6Fg4Hj2Lx0Cv"})
    tokens.settings = other
    with pytest.raises(NotAuthenticated):
        tokens.authenticate(issued.secret, Scope.READ)


def test_an_operator_may_issue_a_token_without_the_password(tokens: Tokens) -> None:
    assert tokens.authenticate(tokens.issue("me@example.org", "script").secret, Scope.READ) == me(tokens)
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


def test_a_token_is_good_for_its_scopes_only(tokens: Tokens) -> None:
    issued = tokens.log_in("me@example.org", PASSWORD, "script", scopes=frozenset({Scope.READ}))
    assert tokens.authenticate(issued.secret, Scope.READ) == me(tokens)
    for scope in (Scope.WRITE, Scope.ADMIN):
        with pytest.raises(NotAllowed):
            tokens.authenticate(issued.secret, scope)


def test_only_admins_get_tokens_for_admins(tokens: Tokens) -> None:
    scopes = frozenset({Scope.ADMIN})
    with pytest.raises(NotAllowed):
        tokens.issue("me@example.org", "script", scopes=scopes)
    assert isinstance(tokens.users, InMemoryUserRepository)
    tokens.users.users[1] = dataclasses.replace(me(tokens), role=Role.ADMIN)
    assert tokens.authenticate(tokens.issue_to(me(tokens), "script", scopes=scopes).secret, Scope.ADMIN).admin


def test_a_token_may_be_short_lived_and_no_longer_lived_than_the_site_allows(tokens: Tokens) -> None:
    assert tokens.issue("me@example.org", "script", days=1).expires_at == NOW + timedelta(days=1)
    assert tokens.issue("me@example.org", "script", days=300).expires_at == NOW + timedelta(days=30)


def test_ones_own_tokens_can_be_seen_and_revoked_and_nobody_elses(tokens: Tokens) -> None:
    issued = tokens.log_in("me@example.org", PASSWORD, "laptop")
    tokens.log_in("me@example.org", PASSWORD, "phone")
    assert [token.name for token in tokens.of(me(tokens))] == ["laptop", "phone"]
    other = dataclasses.replace(me(tokens), id=2)
    assert tokens.of(other) == []
    with pytest.raises(NotFound):
        tokens.revoke(other, 1)
    tokens.revoke(me(tokens), 1)
    with pytest.raises(NotAuthenticated):
        tokens.authenticate(issued.secret, Scope.READ)


def test_the_last_log_in_is_noted(tokens: Tokens) -> None:
    assert me(tokens).last_login_at is None
    tokens.log_in("me@example.org", PASSWORD, "laptop")
    assert me(tokens).last_login_at == NOW
