from datetime import timedelta

import pytest

from app.auth.credentials import FAILURES, LOCKED, Credentials
from app.auth.passwords import Argon2Hasher
from app.errors import NotAllowed, NotAuthenticated

from .conftest import PASSWORD, World

WRONG = "wrong password"


@pytest.fixture
def credentials(world: World) -> Credentials:
    return world.credentials


def refusal(credentials: Credentials, email: str, password: str = WRONG) -> str:
    with pytest.raises(NotAuthenticated) as caught:
        credentials.check(email, password)
    return str(caught.value)


def test_a_password_proves_its_owner(credentials: Credentials, world: World) -> None:
    assert credentials.check(" ME@example.org", PASSWORD) == world.me


def test_every_refusal_sounds_the_same(credentials: Credentials, world: World) -> None:
    said = {refusal(credentials, "me@example.org"), refusal(credentials, "you@example.org", PASSWORD)}
    said.add(refusal(credentials, "no address", PASSWORD))
    world.change(active=False)
    said.add(refusal(credentials, "me@example.org", PASSWORD))
    world.change(active=True)
    for _ in range(FAILURES):
        refusal(credentials, "me@example.org")
    said.add(refusal(credentials, "me@example.org", PASSWORD))
    assert len(said) == 1


def test_each_answer_takes_one_hash(credentials: Credentials, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known or not, locked or not: checking a password is what takes time."""
    checked: list[str | None] = []
    monkeypatch.setattr(world.hasher, "matches", lambda hashed, password: bool(checked.append(hashed)))
    attempts = ["me@example.org", "you@example.org", "no address", *["me@example.org"] * FAILURES]
    for email in attempts:
        refusal(credentials, email)
    assert len(checked) == len(attempts)


@pytest.mark.parametrize("email", ["me@example.org", "you@example.org"])
def test_after_repeated_failures_nobody_gets_in_for_a_while(
    credentials: Credentials, world: World, email: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for _ in range(FAILURES):
        refusal(credentials, email)
    assert "locked" not in caplog.text
    refusal(credentials, email.upper(), PASSWORD)
    assert "locked after 10 failures" in caplog.text
    assert email not in caplog.text
    world.clock.moment += LOCKED
    if email == "me@example.org":
        assert credentials.check(email, PASSWORD) == world.me


def test_who_gets_in_begins_anew(credentials: Credentials) -> None:
    for _ in range(3):
        for _ in range(FAILURES - 1):
            refusal(credentials, "me@example.org")
        credentials.check("me@example.org", PASSWORD)


def test_trying_on_while_it_is_locked_locks_no_longer(credentials: Credentials, world: World) -> None:
    for _ in range(FAILURES):
        refusal(credentials, "me@example.org")
    world.clock.moment += LOCKED - timedelta(seconds=1)
    refusal(credentials, "me@example.org")
    world.clock.moment += timedelta(seconds=1)
    credentials.check("me@example.org", PASSWORD)


def test_somebody_signed_in_proves_that_it_is_still_them(credentials: Credentials, world: World) -> None:
    credentials.confirm(world.me, PASSWORD)
    for _ in range(FAILURES):
        with pytest.raises(NotAllowed):
            credentials.confirm(world.me, "wrong password")
    with pytest.raises(NotAllowed):
        credentials.confirm(world.me, PASSWORD)


def test_old_counts_are_removed(credentials: Credentials, world: World) -> None:
    refusal(credentials, "me@example.org")
    assert credentials.remove_old_failures() == 0
    world.clock.moment += LOCKED
    assert credentials.remove_old_failures() == 1


def test_counts_are_kept_without_the_address(credentials: Credentials, world: World) -> None:
    refusal(credentials, "me@example.org")
    (key,) = world.failures.failures
    assert "example" not in key


def test_a_password_is_hashed_anew_when_more_effort_is_made_than_when_it_was_set(
    credentials: Credentials, world: World
) -> None:
    before = world.me.password_hash
    assert credentials.check("me@example.org", PASSWORD).password_hash == before
    credentials.hasher = Argon2Hasher(memory_kib=128)
    after = credentials.check("me@example.org", PASSWORD)
    assert after == world.me
    assert after.password_hash != before
    assert not credentials.hasher.outdated(after.password_hash)
    assert credentials.check("me@example.org", PASSWORD) == after
