import re
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
import svcs

from app.clock import Clock, FixedClock
from app.users.models import User
from tests.app.conftest import PASSWORD
from tests.support.browsing import Browser, Page

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock(registry: svcs.Registry) -> FixedClock:
    clock = FixedClock(START)
    registry.register_value(Clock, clock)
    return clock


@pytest.fixture
def secret(clock: FixedClock, inside: Browser) -> str:
    """What Ada's authenticator knows, once it has read the picture."""
    page = inside.submit("/account/second-factor", {"current": PASSWORD})
    assert page.location == "/account/second-factor/confirm"
    found = re.search(r'<code class="secret">([^<]+)</code>', inside.get(page.location).html)
    assert found
    return found[1].replace(" ", "")


@pytest.fixture
def codes(inside: Browser, secret: str) -> list[str]:
    """The recovery codes of Ada, whose second factor is on."""
    return codes_on(inside.submit("/account/second-factor/confirm", {"code": pyotp.TOTP(secret).at(START)}))


def codes_on(page: Page) -> list[str]:
    found = re.findall(r"<li><code>([^<]+)</code></li>", page.html)
    assert len(found) == 10, page.text
    return found


def begin_to_log_in(browser: Browser, user: User, wanted: str = "") -> Page:
    """Log out, and in again as far as the second step."""
    browser.submit("/log-out", on="/nearest")
    return browser.submit("/log-in", {"email": user.email, "password": PASSWORD, "next": wanted})


def test_a_picture_and_a_key_say_the_same(inside: Browser, secret: str) -> None:
    page = inside.get("/account/second-factor/confirm")
    assert page.html.count("<svg") == 2, "the picture, and the globe"
    assert "style=" not in page.html
    assert len(secret) == 32


def test_it_counts_once_a_code_was_right(inside: Browser, secret: str, ada: User) -> None:
    page = inside.submit("/account/second-factor/confirm", {"code": "000000"})
    assert (page.status, "That is not the code" in page.text) == (422, True)
    assert begin_to_log_in(inside, ada).location == "/places", "no code is asked for yet"


def test_logging_in_takes_a_code(inside: Browser, ada: User, secret: str, codes: list[str], clock: FixedClock) -> None:
    step = begin_to_log_in(inside, ada, "/nearest")
    assert step.location == "/log-in/code?next=/nearest"
    assert inside.get("/account").status == 303, "a password is half of it"
    assert inside.submit(step.location, {"code": "000000", "next": "/nearest"}).status == 422
    clock.moment = START + timedelta(seconds=60)
    page = inside.submit(step.location, {"code": pyotp.TOTP(secret).at(clock.moment), "next": "/nearest"})
    assert (page.status, page.location) == (303, "/nearest")
    assert inside.get("/account").status == 200
    assert inside.get("/log-in/code").location == "/log-in", "the ticket is gone"


def test_a_recovery_code_does_it_once(inside: Browser, ada: User, codes: list[str]) -> None:
    begin_to_log_in(inside, ada)
    assert inside.submit("/log-in/code", {"code": codes[0].upper()}).status == 303
    assert "9 recovery codes left" in inside.get("/account/second-factor").text
    begin_to_log_in(inside, ada)
    assert inside.submit("/log-in/code", {"code": codes[0]}).status == 422


def test_new_recovery_codes_replace_the_old(inside: Browser, codes: list[str]) -> None:
    assert inside.submit("/account/second-factor/codes", {"current": "wrong"}).status == 422
    fresh = codes_on(inside.submit("/account/second-factor/codes", {"current": PASSWORD}))
    assert not set(fresh) & set(codes)


def test_it_is_turned_off_with_the_password(inside: Browser, ada: User, codes: list[str]) -> None:
    assert inside.submit("/account/second-factor/off", {"current": "wrong"}).status == 422
    page = inside.submit("/account/second-factor/off", {"current": PASSWORD})
    assert "Your password is enough again." in inside.follow(page).text
    assert begin_to_log_in(inside, ada).location == "/places"


def test_what_was_not_begun_can_not_be_gone_on_with(inside: Browser) -> None:
    assert inside.get("/account/second-factor/confirm").location == "/account/second-factor"
    page = inside.submit("/account/second-factor/confirm", {"code": "1"}, on="/account/second-factor")
    assert page.location == "/account/second-factor"
    assert inside.submit("/account/second-factor/codes", {"current": PASSWORD}).location == "/account/second-factor"
    assert inside.submit("/account/second-factor", {"current": "wrong"}).status == 422
