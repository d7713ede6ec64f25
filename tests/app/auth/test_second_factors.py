from datetime import timedelta

import pyotp
import pytest

from app.auth.credentials import FAILURES, LOCKED
from app.auth.models import Client, SecondFactorNeeded
from app.auth.second_factors import SecondFactors
from app.errors import Conflict, NotAllowed, NotAuthenticated

from .conftest import PASSWORD, World

LAPTOP = Client("192.0.2.1", "Lynx")


@pytest.fixture
def factors(world: World) -> SecondFactors:
    return world.second_factors


class Authenticator:
    """What a phone does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.totp = pyotp.TOTP(world.second_factors.begin(world.me, PASSWORD).secret)

    def code(self) -> str:
        return self.totp.at(self.world.clock.now())

    def next(self) -> str:
        self.world.clock.moment += timedelta(seconds=30)
        return self.code()


@pytest.fixture
def phone(world: World) -> Authenticator:
    return Authenticator(world)


@pytest.fixture
def codes(world: World, phone: Authenticator) -> list[str]:
    """Recovery codes: the second factor is on."""
    return world.second_factors.confirm(world.me, phone.code())


def ticket(world: World) -> str:
    with pytest.raises(SecondFactorNeeded) as caught:
        world.sessions.log_in("me@example.org", PASSWORD, LAPTOP)
    return caught.value.ticket


def test_a_second_factor_counts_once_it_is_confirmed(factors: SecondFactors, world: World) -> None:
    phone = Authenticator(world)
    assert not factors.is_on(world.me)
    assert world.sessions.log_in("me@example.org", PASSWORD, LAPTOP)
    assert factors.enrolment(world.me).secret == phone.totp.secret
    with pytest.raises(NotAllowed):
        factors.confirm(world.me, "000000" if phone.code() != "000000" else "000001")
    assert len(factors.confirm(world.me, f" {phone.code()[:3]} {phone.code()[3:]}")) == 10
    assert factors.is_on(world.me)
    world.post()
    assert [mail.subject for mail in world.mailer.sent] == ["Logging in takes a code from now on"]
    for again in (lambda: factors.begin(world.me, PASSWORD), lambda: factors.confirm(world.me, phone.next())):
        with pytest.raises(Conflict):
            again()
    with pytest.raises(Conflict):
        factors.enrolment(world.me)


def test_a_password_alone_brings_a_ticket_and_with_a_code_a_session(
    world: World, phone: Authenticator, codes: list[str]
) -> None:
    issued = world.sessions.log_in_with_code(ticket(world), phone.next(), LAPTOP)
    assert world.sessions.authenticate(issued.secret).user.id == 1
    assert world.sessions.log_in("me@example.org", PASSWORD, LAPTOP, phone.next())
    assert world.tokens.log_in("me@example.org", PASSWORD, "script", phone.next())
    with pytest.raises(SecondFactorNeeded):
        world.tokens.log_in("me@example.org", PASSWORD, "script")


def test_a_wrong_password_is_not_told_from_one_of_somebody_without_a_code(world: World, codes: list[str]) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        world.sessions.log_in("me@example.org", "wrong password", LAPTOP, codes[0])
    assert not isinstance(caught.value, SecondFactorNeeded)


def test_a_code_is_good_once(world: World, phone: Authenticator, codes: list[str]) -> None:
    with pytest.raises(NotAuthenticated):
        world.sessions.log_in_with_code(ticket(world), phone.code(), LAPTOP)  # it turned the factor on
    code = phone.next()
    world.sessions.log_in_with_code(ticket(world), code, LAPTOP)
    with pytest.raises(NotAuthenticated):
        world.sessions.log_in_with_code(ticket(world), code, LAPTOP)


def test_a_recovery_code_is_good_once_however_it_is_typed(
    world: World, factors: SecondFactors, codes: list[str]
) -> None:
    assert factors.recovery_codes_left(world.me) == 10
    typed = codes[0].upper().replace("-", " ")
    world.sessions.log_in_with_code(ticket(world), typed, LAPTOP)
    assert factors.recovery_codes_left(world.me) == 9
    with pytest.raises(NotAuthenticated):
        world.sessions.log_in_with_code(ticket(world), typed, LAPTOP)
    new = factors.new_recovery_codes(world.me, PASSWORD)
    with pytest.raises(NotAuthenticated):
        world.sessions.log_in_with_code(ticket(world), codes[1], LAPTOP)
    world.sessions.log_in_with_code(ticket(world), new[0], LAPTOP)


def test_recovery_codes_and_tickets_are_kept_nowhere(world: World, codes: list[str]) -> None:
    kept = str(world.kept_factors.codes)
    assert not any(code.replace("-", "") in kept for code in codes)


def test_guessing_codes_locks_as_guessing_passwords_does(world: World, phone: Authenticator, codes: list[str]) -> None:
    held = ticket(world)
    for _ in range(FAILURES):
        with pytest.raises(NotAuthenticated):
            world.sessions.log_in_with_code(held, "x", LAPTOP)
    with pytest.raises(NotAuthenticated):
        world.sessions.log_in_with_code(held, codes[0], LAPTOP)
    with pytest.raises(NotAuthenticated) as caught:
        world.sessions.log_in("me@example.org", PASSWORD, LAPTOP, codes[0])
    assert not isinstance(caught.value, SecondFactorNeeded)
    world.clock.moment += LOCKED
    assert world.sessions.log_in("me@example.org", PASSWORD, LAPTOP, phone.next())


def test_a_ticket_is_good_for_some_minutes_and_one_password(
    world: World, phone: Authenticator, codes: list[str]
) -> None:
    late = ticket(world)
    world.clock.moment += timedelta(minutes=5)
    early = ticket(world)
    world.change(password_hash=world.hasher.hash("another horse battery"))
    for useless in (late, early, "", "x", "1.2.3", early[:-1], "\udcff"):
        with pytest.raises(NotAuthenticated):
            world.sessions.log_in_with_code(useless, phone.next(), LAPTOP)


def test_only_who_knows_the_password_changes_anything(world: World, factors: SecondFactors, codes: list[str]) -> None:
    for change in (factors.begin, factors.turn_off, factors.new_recovery_codes):
        with pytest.raises(NotAllowed):
            change(world.me, "wrong password")
    world.post()
    factors.turn_off(world.me, PASSWORD)
    world.post()
    assert [mail.subject for mail in world.mailer.sent] == ["Logging in takes no code any more"]
    assert world.sessions.log_in("me@example.org", PASSWORD, LAPTOP)
    with pytest.raises(Conflict):
        factors.new_recovery_codes(world.me, PASSWORD)
    assert not factors.remove(world.me)


def test_another_password_does_not_turn_it_off(world: World, codes: list[str]) -> None:
    world.post()
    world.accounts.ask_reset("me@example.org")
    world.accounts.reset(world.post(), "another horse battery")
    with pytest.raises(SecondFactorNeeded):
        world.sessions.log_in("me@example.org", "another horse battery", LAPTOP)


def test_neither_secret_nor_code_is_logged(
    world: World, phone: Authenticator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    codes = world.second_factors.confirm(world.me, phone.code())
    held = ticket(world)
    world.sessions.log_in_with_code(held, codes[0], LAPTOP)
    said = "".join(str(vars(record)) for record in caplog.records)
    for private in (phone.totp.secret, held, codes[0], "me@example.org"):
        assert private not in said
