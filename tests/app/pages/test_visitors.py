import contextlib
from datetime import timedelta

import pytest
import svcs
from werkzeug.test import Client

from app.application import create_app
from app.auth.sessions import Sessions
from app.clock import Clock, FixedClock, SystemClock
from app.settings import Settings
from app.users.models import User
from tests.app.conftest import PASSWORD
from tests.support.browsing import Browser


def test_cookies_are_for_https_and_not_for_scripts(browser: Browser, ada: User) -> None:
    page = browser.log_in(ada.email, PASSWORD)
    cookies = {cookie.partition("=")[0]: cookie for cookie in page.response.headers.getlist("Set-Cookie")}
    assert cookies.keys() == {"__Host-gazetteer", "__Host-visit"}
    for cookie in cookies.values():
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
        assert "Domain" not in cookie


def test_without_https_they_say_so(environ: dict[str, str]) -> None:
    settings = Settings.from_environ({**environ, "SECURE_COOKIES": "no"})
    with contextlib.closing(create_app(settings)) as application:
        cookie = Browser(Client(application)).get("/log-in").response.headers["Set-Cookie"]
    assert cookie.startswith("visit=")
    assert "Secure" not in cookie


def test_logging_in_begins_everything_anew(browser: Browser, ada: User) -> None:
    """Whoever planted a cookie, or has seen a form's token, has nothing of the session that begins."""
    before = browser.get("/log-in").response.headers["Set-Cookie"]
    browser.client.set_cookie("__Host-gazetteer", "planted", secure=True)
    browser.log_in(ada.email, PASSWORD)
    session = browser.client.get_cookie("__Host-gazetteer")
    visit = browser.client.get_cookie("__Host-visit")
    assert session is not None
    assert session.value != "planted"
    assert visit is None or visit.value not in before


def test_a_session_that_was_ended_elsewhere_ends_here(inside: Browser, ada: User, registry: svcs.Registry) -> None:
    with svcs.Container(registry) as components:
        sessions = components.get(Sessions)
        for session in sessions.of(ada):
            sessions.revoke(ada, session.id)
    page = inside.get("/places")
    assert "Log in" in page.text
    assert inside.client.get_cookie("__Host-gazetteer") is None


def test_a_session_that_is_too_old_ends(inside: Browser, registry: svcs.Registry, settings: Settings) -> None:
    late = SystemClock().now() + timedelta(days=settings.session_days, minutes=1)
    registry.register_value(Clock, FixedClock(late))
    assert "Log in" in inside.get("/places").text


@pytest.mark.parametrize("secret", ["", "x", "é" * 10, "a" * 4000])
def test_a_cookie_that_is_nobodys(browser: Browser, secret: str) -> None:
    browser.client.set_cookie("__Host-gazetteer", secret, secure=True)
    assert "Log in" in browser.get("/nearest").text
