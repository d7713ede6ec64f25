from app.users.models import User
from tests.app.conftest import PASSWORD
from tests.support.browsing import Browser


def test_log_in_leads_to_where_one_wanted_to_be(browser: Browser, ada: User) -> None:
    page = browser.submit(
        "/log-in?next=/nearest", {"email": "ADA@example.org", "password": PASSWORD, "next": "/nearest"}
    )
    assert (page.status, page.location) == (303, "/nearest")
    assert "Log out" in browser.get("/nearest").text
    assert browser.get("/log-in?next=/places").location == "/places", "who is in already goes on"


def test_nobody_is_led_elsewhere(browser: Browser, ada: User) -> None:
    sent = {"email": ada.email, "password": PASSWORD, "next": "//evil.example/"}
    assert browser.submit("/log-in", sent).location == "/places"


def test_one_answer_for_whatever_is_wrong(browser: Browser, ada: User) -> None:
    wrong = browser.log_in(ada.email, "not the password")
    unknown = browser.log_in("eve@example.org", PASSWORD)
    for page in (wrong, unknown):
        assert page.status == 422
        assert "This e-mail address and this password don't belong together." in page.text
        assert PASSWORD not in page.html
    assert "This field is required." in browser.log_in("", "").text


def test_without_a_password_just_before_there_is_no_second_step(browser: Browser) -> None:
    assert browser.get("/log-in/code").location == "/log-in"


def test_log_out_ends_the_session(inside: Browser) -> None:
    kept = inside.client.get_cookie("__Host-gazetteer")
    assert kept
    page = inside.follow(inside.submit("/log-out", on="/nearest"))
    assert "You have logged out." in page.text
    assert "Log in" in page.text
    inside.client.set_cookie("__Host-gazetteer", kept.value, secure=True)
    assert "Log in" in inside.get("/nearest").text, "on the server, too"
