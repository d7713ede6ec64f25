import contextlib

import pytest
import svcs
from werkzeug.test import Client

from app.application import create_app
from app.geolocation.services import Places
from app.pages.errors import ErrorPages
from app.settings import Settings
from tests.support.browsing import Browser

PROBLEM = "application/problem+json"


@pytest.mark.parametrize("path", ["/nothing", "/places/99", "/static/x/y"])
def test_a_browser_is_shown_a_page(browser: Browser, path: str) -> None:
    page = browser.get(path)
    assert (page.status, page.heading) == (404, "There is nothing here")
    assert "style-src 'self'" in page.response.headers["Content-Security-Policy"]
    assert page.response.headers["X-Request-ID"]
    browser.language = "pt"
    assert browser.get(path).heading == "Não há nada aqui"


def test_programs_keep_their_problem_details(client: Client, browser: Browser) -> None:
    assert client.get("/nothing").content_type == PROBLEM
    assert client.get("/nothing", headers={"Accept": "*/*"}).content_type == PROBLEM
    assert browser.get("/api/v1/nothing").response.content_type == PROBLEM
    assert browser.get("/api/v1/users/me").response.content_type == PROBLEM


def test_a_wrong_method_keeps_its_header(browser: Browser) -> None:
    page = browser.submit("/nearest", on="/log-in")
    assert (page.status, page.heading) == (405, "That does not work here")
    assert "GET" in page.response.headers["Allow"]


def test_head_has_no_body(client: Client) -> None:
    response = client.head("/nothing", headers={"Accept": "text/html"})
    assert (response.status_code, response.data) == (404, b"")
    assert int(response.headers["Content-Length"]) > 500


def test_what_middleware_refuses_is_a_page_too(environ: dict[str, str]) -> None:
    settings = Settings.from_environ({**environ, "MAX_BODY_BYTES": "1024", "ALLOWED_HOSTS": "localhost"})
    with contextlib.closing(create_app(settings)) as application:
        browser = Browser(Client(application))
        page = browser.post("/log-in", {"email": "x" * 2000})
        assert (page.status, page.heading) == (413, "That is too large")
        assert browser.get("/places", Host="evil.example").status == 400


def test_too_many_forms_are_a_page_that_says_to_wait(environ: dict[str, str]) -> None:
    settings = Settings.from_environ({**environ, "LOGIN_RATE_LIMIT": "2/hour"})
    with contextlib.closing(create_app(settings)) as application:
        browser = Browser(Client(application))
        statuses = [browser.submit("/reset", {"email": "nobody"}).status for _ in range(3)]
        assert statuses == [422, 422, 429]
        page = browser.submit("/log-in", {"email": "ada@example.org", "password": "x"})
        assert (page.status, page.heading) == (429, "Too many requests"), "one limit for all that check or send secrets"
        assert int(page.response.headers["Retry-After"]) > 0
        assert browser.get("/log-in").status == 200, "looking is not counted"


def test_falcon_has_no_pages(environ: dict[str, str]) -> None:
    settings = Settings.from_environ({**environ, "APP_FRAMEWORK": "falcon"})
    with contextlib.closing(create_app(settings)) as application:
        page = Browser(Client(application)).get("/places")
        assert (page.status, page.response.content_type) == (404, PROBLEM)


def test_a_bug_is_a_page_that_gives_nothing_away_but_its_number(settings: Settings, registry: svcs.Registry) -> None:
    def broken() -> Places:
        raise RuntimeError("secret of the house")

    registry.register_factory(Places, broken)
    page = Browser(Client(create_app(settings, registry))).get("/places?q=x")
    assert (page.status, page.heading) == (500, "Something went wrong on our side")
    assert page.response.headers["X-Request-ID"] in page.text
    assert "secret" not in page.html


def test_when_even_the_page_fails_the_problem_is_answered(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ErrorPages, "render", lambda *args: 1 / 0)
    response = client.get("/nothing", headers={"Accept": "text/html"})
    assert (response.status_code, response.content_type) == (404, PROBLEM)
