import pytest

from tests.support.browsing import Browser

pytestmark = pytest.mark.usefixtures("seeded")


def test_without_a_query_the_world(browser: Browser) -> None:
    page = browser.get("/places")
    assert (page.status, page.heading) == (200, "Find a place")
    assert 'aria-label="Map of the largest cities"' in page.html


def test_search_lists_and_draws(browser: Browser) -> None:
    page = browser.get("/places?q=lisb")
    assert "2 places" in page.text
    assert page.text.index("Portugal") < page.text.index("United States"), "the larger first"
    assert "517,802 inhabitants" in page.text
    assert page.html.count('<circle class="pin"') == 2
    assert 'value="lisb"' in page.html


def test_what_a_visitor_types_stays_text(browser: Browser) -> None:
    page = browser.get("/places?q=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "Nothing found" in page.text
    assert "<script>" not in page.html


def test_a_place(browser: Browser) -> None:
    page = browser.get("/places/1")
    assert (page.status, page.heading) == (200, "Paris")
    assert "48.8534° N, 2.3488° E" in page.text
    assert "Montrouge 4.9 km" in page.text
    assert "Part of Paris" in browser.get("/places/2").text


@pytest.mark.parametrize("path", ["/places/99", "/places/abc", "/places/99999999999999999999"])
def test_no_such_place(browser: Browser, path: str) -> None:
    page = browser.get(path)
    assert (page.status, page.heading) == (404, "There is nothing here")


def test_nearest(browser: Browser) -> None:
    assert "Latitude" in browser.get("/nearest").text
    page = browser.get("/nearest?lat=48,86&lon=2.35")
    assert "Paris 0.7 km" in page.text
    assert page.text.index("Paris 0.7 km") < page.text.index("Montrouge")
    assert 'value="48,86"' in page.html


@pytest.mark.parametrize("query", ["lat=91&lon=0", "lat=&lon=0", "lat=x&lon=0", "lat=nan&lon=0", "lon=3"])
def test_a_position_that_is_none_is_said_in_words(browser: Browser, query: str) -> None:
    page = browser.get(f"/nearest?{query}")
    assert page.status == 422
    assert "That did not work yet" in page.text
    assert 'aria-invalid="true"' in page.html
    assert 'href="#lat"' in page.html


def test_in_german(browser: Browser) -> None:
    browser.language = "de-AT,de;q=0.9"
    page = browser.get("/places?q=lisb")
    assert '<html lang="de">' in page.html
    assert "517.802 Einwohner" in page.text
    assert "Vereinigte Staaten" in page.text
    assert "O" in browser.get("/places/1").text
