from datetime import timedelta

import pytest

from app.auth.accounts import Accounts
from app.auth.models import Client
from app.errors import Conflict, Invalid, NotAllowed, NotAuthenticated, NotFound
from app.scopes import Scope

from .conftest import NOW, PASSWORD, World

OTHER = "another horse battery"
LAPTOP = Client("192.0.2.1", "Lynx")


@pytest.fixture
def accounts(world: World) -> Accounts:
    return world.accounts


def subjects(world: World) -> list[str]:
    return [mail.subject for mail in world.mailer.sent]


def test_who_follows_the_link_has_an_account(accounts: Accounts, world: World) -> None:
    accounts.sign_up(" You@Example.org", " You ", PASSWORD, "de")
    assert world.users.by_email("you@example.org") is None, "not before"
    secret = world.post()
    accounts.check_sign_up(secret)
    user = accounts.verify(secret)
    assert (user.email, user.name, user.language, user.active) == ("you@example.org", "You", "de", True)
    assert world.sessions.log_in("you@example.org", PASSWORD, LAPTOP).user.id == user.id
    with pytest.raises(NotFound):
        accounts.verify(secret)


def test_who_has_an_account_is_told_by_mail_and_nobody_else_is(accounts: Accounts, world: World) -> None:
    accounts.sign_up("me@example.org", "Not me", OTHER)
    world.post()
    assert subjects(world) == ["You have an account already"]
    world.credentials.check("me@example.org", PASSWORD)


def test_signing_up_takes_one_hash_and_one_letter_whoever_has_an_account(
    accounts: Accounts, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    monkeypatch.setattr(world.hasher, "hash", lambda password: hashed.append(password) or "hash")
    done = []
    for email in ("me@example.org", "you@example.org"):
        accounts.sign_up(email, "Somebody", PASSWORD)
        done.append((len(hashed), len(world.queue.jobs), len(world.kept_letters.letters)))
    assert done == [(1, 1, 1), (2, 2, 2)]


def test_of_several_who_sign_up_with_an_address_each_has_a_link_of_their_own(accounts: Accounts, world: World) -> None:
    accounts.sign_up("you@example.org", "Somebody else", OTHER)
    theirs = world.post()
    accounts.sign_up("you@example.org", "You", PASSWORD)
    assert accounts.verify(world.post()).name == "You"
    world.credentials.check("you@example.org", PASSWORD)
    with pytest.raises(Conflict):
        accounts.verify(theirs)
    world.credentials.check("you@example.org", PASSWORD)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("you", PASSWORD),
        ("you@example.org", "short"),
        ("you@example.org", "x" * 129),
        ("you@example.org", " You@example.org "),
    ],
)
def test_what_can_not_be_signed_up_with(accounts: Accounts, world: World, email: str, password: str) -> None:
    with pytest.raises(Invalid):
        accounts.sign_up(email, "You", password)
    assert world.kept_letters.letters == {}


def test_who_forgot_their_password_sets_another_and_everything_else_ends(accounts: Accounts, world: World) -> None:
    session = world.sessions.log_in("me@example.org", PASSWORD, LAPTOP).secret
    token = world.tokens.log_in("me@example.org", PASSWORD, "script").secret
    accounts.ask_reset("me@example.org")
    other = world.post()
    accounts.ask_reset("ME@example.org")
    secret = world.post()
    accounts.check_reset(secret)
    assert accounts.reset(secret, OTHER) == world.me
    world.post()
    assert subjects(world) == ["Your password was changed"]
    world.credentials.check("me@example.org", OTHER)
    for useless in (other, secret):
        with pytest.raises(NotFound):
            accounts.reset(useless, PASSWORD)
    with pytest.raises(NotAuthenticated):
        world.credentials.check("me@example.org", PASSWORD)
    with pytest.raises(NotAuthenticated):
        world.sessions.authenticate(session)
    with pytest.raises(NotAuthenticated):
        world.tokens.authenticate(token, Scope.READ)


def test_a_password_that_can_not_be_set_leaves_the_link_as_it_is(accounts: Accounts, world: World) -> None:
    accounts.ask_reset("me@example.org")
    secret = world.post()
    for password in ("short", "me@example.org"):
        with pytest.raises(Invalid):
            accounts.reset(secret, password)
    accounts.reset(secret, OTHER)


def test_who_proves_to_read_the_mail_is_let_in_again(accounts: Accounts, world: World) -> None:
    for _ in range(10):
        with pytest.raises(NotAuthenticated):
            world.credentials.check("me@example.org", "wrong password")
    accounts.ask_reset("me@example.org")
    accounts.reset(world.post(), OTHER)
    world.credentials.check("me@example.org", OTHER)


def test_whether_there_is_an_account_to_reset_is_told_by_mail_only(accounts: Accounts, world: World) -> None:
    accounts.ask_reset("you@example.org", "de")
    world.post()
    world.change(active=False)
    assert subjects(world) == ["Zu dieser Adresse gibt es kein Konto"]
    accounts.ask_reset("me@example.org")
    assert world.post() == "", "no link"
    assert subjects(world) == ["There is no account with this address"]


def test_another_password_ends_every_other_session(accounts: Accounts, world: World) -> None:
    here, there = (world.sessions.log_in("me@example.org", PASSWORD, LAPTOP).secret for _ in range(2))
    accounts.change_password(world.sessions.authenticate(here), PASSWORD, OTHER)
    world.post()
    assert subjects(world) == ["Your password was changed"]
    assert world.sessions.authenticate(here)
    with pytest.raises(NotAuthenticated):
        world.sessions.authenticate(there)
    accounts.change_password(world.me, OTHER, PASSWORD)
    with pytest.raises(NotAuthenticated):
        world.sessions.authenticate(here)


def test_only_who_knows_the_password_changes_it(accounts: Accounts, world: World) -> None:
    with pytest.raises(NotAllowed):
        accounts.change_password(world.me, "wrong password", OTHER)
    with pytest.raises(Invalid):
        accounts.change_password(world.me, PASSWORD, "short")
    world.credentials.check("me@example.org", PASSWORD)


def test_an_address_is_changed_by_whoever_reads_its_mail(accounts: Accounts, world: World) -> None:
    accounts.ask_reset("me@example.org")
    reset = world.post()
    accounts.ask_email(world.me, PASSWORD, "New@example.org")
    secret = world.post()
    assert world.me.email == "me@example.org", "not before"
    accounts.check_email(secret)
    assert accounts.confirm_email(secret).email == "new@example.org"
    world.post()
    assert [(mail.to, mail.subject) for mail in world.mailer.sent] == [
        ("me@example.org", "Your e-mail address was changed")
    ]
    for useless in (secret, reset):
        with pytest.raises(NotFound):
            accounts.confirm_email(useless)
    with pytest.raises(NotFound):
        accounts.reset(reset, OTHER)


def test_an_address_that_is_taken_is_not_told_to_whoever_asks_for_it(accounts: Accounts, world: World) -> None:
    world.users.add("you@example.org", "You", "hash", NOW)
    accounts.ask_email(world.me, PASSWORD, "you@example.org")
    world.post()
    assert [(mail.to, mail.subject) for mail in world.mailer.sent] == [
        ("you@example.org", "You have an account already")
    ]


def test_of_two_who_want_an_address_one_gets_it(accounts: Accounts, world: World) -> None:
    accounts.ask_email(world.me, PASSWORD, "new@example.org")
    secret = world.post()
    world.users.add("new@example.org", "You", "hash", NOW)
    with pytest.raises(Conflict):
        accounts.confirm_email(secret)
    assert world.me.email == "me@example.org"


def test_only_who_knows_the_password_asks_for_another_address(accounts: Accounts, world: World) -> None:
    with pytest.raises(NotAllowed):
        accounts.ask_email(world.me, "wrong password", "new@example.org")
    with pytest.raises(Invalid):
        accounts.ask_email(world.me, PASSWORD, "new")
    assert world.kept_letters.letters == {}


def test_links_end(accounts: Accounts, world: World) -> None:
    accounts.sign_up("you@example.org", "You", PASSWORD)
    secret = world.post()
    world.clock.moment += timedelta(hours=24)
    with pytest.raises(NotFound):
        accounts.verify(secret)
