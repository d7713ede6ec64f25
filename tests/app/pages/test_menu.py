from tests.support.browsing import Browser


def test_a_menu_shows_what_is_for_the_visitor_and_where_they_are(browser: Browser) -> None:
    page = browser.get("/log-in")
    assert '<a href="/log-in" aria-current="page">Log in</a>' in page.html
    assert '<a href="/places">Search</a>' in page.html
    assert "Log out" not in page.text


def test_once_logged_in(inside: Browser) -> None:
    page = inside.get("/nearest")
    assert "Log in" not in page.text
    assert "Log out" in page.text
