import re

import flask
import pytest
import svcs
from werkzeug.test import Client

from app.adapters.flask import mount
from app.application import Application
from app.pages.errors import ErrorPages
from app.pages.site import add_pages
from app.pages.visitors import permission_of
from app.settings import Settings
from app.web.routes import Permission
from tests.support.browsing import Browser


@pytest.fixture
def site(application: Application) -> flask.Flask:
    """The application that has the pages, without what is around it."""
    assert isinstance(application.wsgi, ErrorPages)
    return application.wsgi.site


def pages(site: flask.Flask, method: str) -> list[tuple[str, str]]:
    """Address and endpoint of every page that answers a method, with numbers and words for its parameters."""
    rules = [rule for rule in site.url_map.iter_rules() if "." in rule.endpoint and method in (rule.methods or ())]
    filled = [
        (re.sub(r"<(\w*)[^>]*>", lambda m: "1" if m[1] == "id" else "x", rule.rule), rule.endpoint) for rule in rules
    ]
    assert filled
    return sorted(filled)


def test_a_view_that_forgot_to_say_who_may_see_it_is_refused(registry: svcs.Registry) -> None:
    forgetful = flask.Blueprint("forgetful", __name__)
    forgetful.get("/secret")(lambda: "secret")
    with pytest.raises(LookupError, match=r"forgetful\.<lambda>"):
        add_pages(mount((), registry), registry, [forgetful])


def test_every_form_is_refused_without_its_token(site: flask.Flask, inside: Browser) -> None:
    for path, endpoint in pages(site, "POST"):
        page = inside.post(path, {})
        assert (page.status, page.heading) == (400, "That form can't be used any more"), endpoint
        page = inside.post(path, {"csrf_token": "IjEi.aaaa.bbbb"})
        assert page.status == 400, endpoint


def test_a_form_that_another_site_sends_is_refused(inside: Browser) -> None:
    token = re.search(r'name="csrf_token" value="([^"]+)"', inside.get("/places").html)
    assert token
    sent = {"csrf_token": token[1]}
    response = inside.client.post(
        "/log-out", data=sent, base_url="https://localhost", headers={"Referer": "https://evil.example/"}
    )
    assert response.status_code == 400


def test_nobody_sees_what_is_for_others(site: flask.Flask, browser: Browser) -> None:
    for path, endpoint in pages(site, "GET"):
        permission = permission_of(site.view_functions[endpoint])
        page = browser.get(path)
        if permission is Permission.PUBLIC:
            assert page.location.partition("?")[0] != "/log-in" or endpoint.startswith("auth."), endpoint
        else:
            assert (page.status, page.location.partition("?")[0]) == (303, "/log-in"), endpoint


def test_only_admins_see_what_is_for_admins(site: flask.Flask, inside: Browser) -> None:
    for path, endpoint in pages(site, "GET"):
        if permission_of(site.view_functions[endpoint]) is Permission.ADMIN:
            assert (inside.get(path).status, inside.get(path).heading) == (403, "That is not for you to see"), endpoint


def test_pages_have_no_script_and_nothing_from_elsewhere(site: flask.Flask, inside: Browser) -> None:
    for path, endpoint in pages(site, "GET"):
        page = inside.get(path)
        assert not re.search(r"<script|<style|\son\w+=|\sstyle=|javascript:", page.html), endpoint
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page.html), endpoint
        if page.response.mimetype == "text/html":
            policy = page.response.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; style-src 'self'"), endpoint
            assert "unsafe" not in policy


def test_every_field_has_a_label_and_every_page_one_heading(site: flask.Flask, inside: Browser) -> None:
    for path, endpoint in pages(site, "GET"):
        page = inside.get(path)
        if page.response.mimetype != "text/html" or page.location:
            continue
        assert page.html.count("<h1") == 1, endpoint
        assert re.search(r"<title>\s*\S.* · Gazetteer</title>", page.html), endpoint
        fields = re.findall(r"<(?:input|select|textarea)\b[^>]*>", page.html)
        for field in fields:
            if 'type="hidden"' not in field:
                identifier = re.search(r'id="([^"]+)"', field)
                assert identifier, field
                assert f'<label for="{identifier[1]}"' in page.html or f'for="{identifier[1]}"' in page.html, field


def test_what_pages_tell_browsers(browser: Browser) -> None:
    headers = browser.get("/log-in").response.headers
    assert headers["Cache-Control"] == "no-store"
    assert {"Accept-Language", "Cookie"} <= set(headers["Vary"].split(", "))
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Strict-Transport-Security"]


def test_whoever_has_to_log_in_comes_back_to_where_they_wanted_to_be(site: flask.Flask, client: Client) -> None:
    with site.test_request_context("/places?q=a%20b"):
        from app.pages.site import here

        assert here() == "/places?q=a%20b"


def test_the_api_is_left_as_it_is(client: Client, settings: Settings) -> None:
    """No token against forgery is asked of it, no cookie given, and none opens it."""
    response = client.post("/api/v1/geocode", json={"query": "Paris"})
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; frame-ancestors")


def test_a_page_is_counted_by_its_route(browser: Browser, client: Client) -> None:
    browser.get("/places/99")
    assert 'route="/places/{place_id}",status="404"' in client.get("/metrics").text
