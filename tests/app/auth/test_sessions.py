import dataclasses
from datetime import timedelta

import pytest

from app.auth.models import Client, SignedIn
from app.auth.session_repository import InMemorySessionRepository
from app.auth.sessions import Sessions
from app.clock import FixedClock
from app.errors import NotAuthenticated, NotFound
from app.users.models import User
from app.users.repository import InMemoryUserRepository

from .conftest import NOW, PASSWORD, World

LAPTOP = Client("192.0.2.1", "Lynx/2.9")


@pytest.fixture
def clock(world: World) -> FixedClock:
    return world.clock


@pytest.fixture
def sessions(world: World) -> Sessions:
    world.users.add("you@example.org", "You", world.hasher.hash(PASSWORD), NOW)
    return world.sessions


def me(sessions: Sessions) -> User:
    user = sessions.users.by_email("me@example.org")
    assert user
    return user


def log_in(sessions: Sessions, client: Client = LAPTOP) -> tuple[str, SignedIn]:
    secret = sessions.log_in("me@example.org", PASSWORD, client).secret
    return secret, sessions.authenticate(secret)


def test_a_session_stands_for_its_owner_until_it_expires(sessions: Sessions, clock: FixedClock) -> None:
    issued = sessions.log_in("ME@example.org", PASSWORD, LAPTOP)
    assert issued.expires_at == NOW + timedelta(days=14)
    assert issued.user == me(sessions)
    assert issued.user.last_login_at == NOW
    clock.moment = issued.expires_at - timedelta(seconds=1)
    signed_in = sessions.authenticate(issued.secret)
    assert (signed_in.user, signed_in.session.client) == (me(sessions), LAPTOP)
    clock.moment = issued.expires_at
    with pytest.raises(NotAuthenticated):
        sessions.authenticate(issued.secret)


def test_the_secret_is_kept_nowhere(sessions: Sessions) -> None:
    issued = sessions.log_in("me@example.org", PASSWORD, LAPTOP)
    assert isinstance(sessions.sessions, InMemorySessionRepository)
    (kept,) = sessions.sessions.sessions.values()
    assert issued.secret not in str(dataclasses.asdict(kept))
    assert issued.secret not in repr(issued)


def test_a_log_in_makes_a_new_secret_and_ends_the_session_that_the_browser_had(sessions: Sessions) -> None:
    before, _ = log_in(sessions)
    after = sessions.log_in("me@example.org", PASSWORD, LAPTOP, previous=before).secret
    assert after != before
    with pytest.raises(NotAuthenticated):
        sessions.authenticate(before)
    assert len(sessions.of(me(sessions))) == 1


def test_a_secret_that_somebody_planted_is_not_taken_over(sessions: Sessions) -> None:
    issued = sessions.log_in("me@example.org", PASSWORD, LAPTOP, previous="planted")
    assert issued.secret != "planted"
    with pytest.raises(NotAuthenticated):
        sessions.authenticate("planted")


def test_another_secret_for_the_same_session(sessions: Sessions) -> None:
    before, signed_in = log_in(sessions)
    after = sessions.rotate(signed_in).secret
    assert sessions.authenticate(after).session.id == signed_in.session.id
    with pytest.raises(NotAuthenticated):
        sessions.authenticate(before)
    sessions.log_out(after)
    with pytest.raises(NotAuthenticated):
        sessions.rotate(signed_in)


def test_who_logs_out_is_out(sessions: Sessions) -> None:
    secret, _ = log_in(sessions)
    other, _ = log_in(sessions)
    sessions.log_out(secret)
    sessions.log_out(secret)
    with pytest.raises(NotAuthenticated):
        sessions.authenticate(secret)
    assert sessions.authenticate(other)


def test_ones_own_sessions_can_be_seen_and_ended_and_nobody_elses(sessions: Sessions) -> None:
    secret, signed_in = log_in(sessions)
    phone, on_phone = log_in(sessions, Client("192.0.2.2", "phone" * 100))
    shown = [session.client.user_agent for session in sessions.of(me(sessions))]
    assert shown == [("phone" * 100)[:200], "Lynx/2.9"]
    you = sessions.users.by_email("you@example.org")
    assert you
    assert sessions.of(you) == []
    with pytest.raises(NotFound):
        sessions.revoke(you, signed_in.session.id)
    sessions.revoke(me(sessions), on_phone.session.id)
    with pytest.raises(NotAuthenticated):
        sessions.authenticate(phone)
    assert sessions.authenticate(secret)


def test_all_others_can_be_ended(sessions: Sessions) -> None:
    secret, signed_in = log_in(sessions)
    for _ in range(3):
        log_in(sessions)
    assert sessions.revoke_others(signed_in) == 3
    assert sessions.authenticate(secret) == signed_in


def test_a_deactivated_user_is_signed_in_nowhere(sessions: Sessions) -> None:
    secret, _ = log_in(sessions)
    assert isinstance(sessions.users, InMemoryUserRepository)
    sessions.users.users[1] = dataclasses.replace(me(sessions), active=False)
    with pytest.raises(NotAuthenticated):
        sessions.authenticate(secret)


def test_a_request_writes_when_a_session_was_last_seen_now_and_then(sessions: Sessions, clock: FixedClock) -> None:
    secret, _ = log_in(sessions)
    clock.moment = NOW + timedelta(minutes=4)
    assert sessions.authenticate(secret).session.last_seen_at == NOW
    clock.moment = NOW + timedelta(minutes=5)
    assert sessions.authenticate(secret).session.last_seen_at == clock.moment
    assert sessions.of(me(sessions))[0].last_seen_at == clock.moment


def test_expired_sessions_are_removed(sessions: Sessions, clock: FixedClock) -> None:
    log_in(sessions)
    assert sessions.remove_expired() == 0
    clock.moment = NOW + timedelta(days=14)
    assert sessions.remove_expired() == 1


@pytest.mark.parametrize("secret", ["", "x", "\udcff", "x" * 10_000])
def test_what_is_no_secret_is_refused(sessions: Sessions, secret: str) -> None:
    with pytest.raises(NotAuthenticated):
        sessions.authenticate(secret)
