import pytest

from tests.support.browsing import Browser


def test_a_chosen_language_lasts_and_leads_back(browser: Browser) -> None:
    page = browser.submit("/language", {"language": "pt", "next": "/nearest?lat=1&lon=2"}, on="/nearest")
    assert (page.status, page.location) == (303, "/nearest?lat=1&lon=2")
    assert "Max-Age" in page.response.headers["Set-Cookie"] or "Expires" in page.response.headers["Set-Cookie"]
    assert browser.get("/nearest").heading == "Lugares mais próximos"


@pytest.mark.parametrize("wanted", ["//evil.example/", "https://evil.example", ""])
def test_nobody_is_led_elsewhere(browser: Browser, wanted: str) -> None:
    assert browser.submit("/language", {"language": "pt", "next": wanted}, on="/nearest").location == "/places"


def test_a_language_that_nobody_speaks_here_changes_nothing(browser: Browser) -> None:
    browser.submit("/language", {"language": "xx"}, on="/nearest")
    assert '<html lang="en">' in browser.get("/nearest").html
