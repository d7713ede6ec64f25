import flask
import pytest
import svcs
from werkzeug.test import Client

from app.adapters.flask import mount
from app.application import Application
from app.pages.errors import ErrorPages
from app.pages.front import Front
from app.routes import ROUTES
from app.web.routes import NoInput, NoOutput, Permission, Route
from tests.support.browsing import Browser


def test_the_bare_address_shows_browsers_a_page_and_programs_the_index(browser: Browser, client: Client) -> None:
    page = browser.get("/")
    assert (page.status, page.location) == (303, "/places")
    assert "Accept" in page.response.headers["Vary"].split(", ")
    assert client.get("/").json["name"] == "gazetteer"
    assert browser.get("/version").response.mimetype == "application/json", "there is no page of it"


def test_the_api_has_nothing_of_the_pages(application: Application) -> None:
    """No hook, no session, no form: what each costs is no program's business."""
    assert isinstance(application.wsgi, ErrorPages)
    assert not [rule for rule in application.wsgi.site.url_map.iter_rules() if rule.rule.startswith("/api/")]
    with svcs.Registry() as registry:
        api = mount(ROUTES, registry)
    assert (api.before_request_funcs, api.after_request_funcs, api.teardown_request_funcs) == ({}, {}, {})
    assert (api.secret_key, api.blueprints, api.extensions) == (None, {}, {})


def test_what_is_not_below_api_has_one_address() -> None:
    """Or it could not be told from a page without asking each."""
    route = Route("GET", "/odd/{name}", "odd", "Odd", Permission.PUBLIC, NoInput, NoOutput, lambda call: NoOutput())
    with pytest.raises(ValueError, match=r"/odd/\{name\}"):
        Front(flask.Flask("api"), flask.Flask("site"), (route,))
