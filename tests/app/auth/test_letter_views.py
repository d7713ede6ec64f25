import pytest
import svcs

from app.mail.mailers import InMemoryMailer, Mailer
from app.users.models import User
from tests.app.conftest import PASSWORD
from tests.support.browsing import Browser

NEW = "another horse battery staple"


@pytest.fixture
def sent(registry: svcs.Registry) -> InMemoryMailer:
    mailer = InMemoryMailer()
    registry.register_value(Mailer, mailer)
    return mailer


def link(sent: InMemoryMailer) -> str:
    """The path of the link in the one letter that was sent."""
    (mail,) = sent.sent
    sent.sent.clear()
    found = next(line for line in mail.text.splitlines() if line.startswith("http"))
    return "/" + found.split("/", 3)[3]


def sign_up(browser: Browser, **changed: str) -> dict[str, str]:
    return {"name": "Bea", "email": "bea@example.org", "password": NEW, "again": NEW, **changed}


def test_from_the_form_to_the_first_log_in(browser: Browser, sent: InMemoryMailer) -> None:
    page = browser.submit("/sign-up", sign_up(browser))
    assert (page.status, page.heading) == (200, "Look into your mail")
    assert browser.log_in("bea@example.org", NEW).status == 422, "not before the letter was answered"
    path = link(sent)
    assert path.startswith("/verify/")
    assert browser.get(path).heading == "Confirm your address"
    assert browser.log_in("bea@example.org", NEW).status == 422, "looking at it is not enough"
    assert "Your address is confirmed" in browser.follow(browser.submit(path)).text
    assert browser.log_in("bea@example.org", NEW).status == 303
    assert browser.get(path).status == 404, "used up"


def test_whether_somebody_has_an_account_is_told_by_mail_only(
    browser: Browser, sent: InMemoryMailer, ada: User
) -> None:
    new, known = (browser.submit("/sign-up", sign_up(browser, email=email)) for email in ("x@example.org", ada.email))
    assert new.text.replace("x@example.org", "") == known.text.replace(ada.email, "")
    new, known = (browser.submit("/reset", {"email": email}) for email in ("x@example.org", ada.email))
    assert new.text.replace("x@example.org", "") == known.text.replace(ada.email, "")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"again": "something else entirely"}, "These are two different passwords."),
        ({"password": "short", "again": "short"}, "between 12 and 128 characters"),
        ({"email": "nobody"}, "That is no e-mail address"),
        ({"password": "bea@example.org", "again": "bea@example.org"}, "or the password is the address"),
        ({"name": ""}, "This field is required."),
        ({"name": "a\x00b"}, "Use one line of ordinary characters."),
    ],
)
def test_what_is_wrong_is_told_and_passwords_are_not_sent_back(
    browser: Browser, sent: InMemoryMailer, changed: dict[str, str], told: str
) -> None:
    page = browser.submit("/sign-up", sign_up(browser, **changed))
    assert page.status == 422
    assert told in page.text
    assert NEW not in page.html
    assert not sent.sent


def test_a_letter_speaks_the_language_of_the_page(browser: Browser, sent: InMemoryMailer) -> None:
    browser.language = "de"
    browser.submit("/sign-up", sign_up(browser))
    (mail,) = sent.sent
    assert "E-Mail" in mail.subject


def test_a_forgotten_password(inside: Browser, sent: InMemoryMailer, ada: User) -> None:
    assert inside.submit("/reset", {"email": "nobody"}).status == 422
    inside.submit("/reset", {"email": ada.email})
    path = link(sent)
    assert inside.submit(path, {"password": "short", "again": "short"}).status == 422
    page = inside.submit(path, {"password": NEW, "again": NEW})
    assert "Your password is changed" in inside.follow(page).text
    assert "Log in" in inside.get("/nearest").text, "every session has ended"
    assert inside.log_in(ada.email, PASSWORD).status == 422
    assert inside.log_in(ada.email, NEW).status == 303
    assert inside.get(path).status == 404


def test_a_new_address(inside: Browser, sent: InMemoryMailer, ada: User) -> None:
    page = inside.submit("/account/email", {"email": "ada@example.net", "current": "wrong"})
    assert (page.status, "That is not your password" in page.text) == (422, True)
    assert inside.submit("/account/email", {"email": "nobody", "current": PASSWORD}).status == 422
    page = inside.submit("/account/email", {"email": "ada@example.net", "current": PASSWORD})
    assert page.heading == "Look into your mail"
    path = link(sent)
    assert inside.get(path).status == 200
    assert "Your new address is confirmed" in inside.follow(inside.submit(path)).text
    assert "ada@example.net" in inside.get("/account").text


@pytest.mark.parametrize("path", ["/verify/x", "/reset/x", "/email/x.y", "/reset/%00"])
def test_links_that_are_none(browser: Browser, path: str) -> None:
    assert (browser.get(path).status, browser.get(path).heading) == (404, "There is nothing here")
