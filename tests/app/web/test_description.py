import json
import re

import pytest
from werkzeug.test import Client

from app.routes import ROUTES
from app.web.description import Description, described
from app.web.openapi import documented


@pytest.fixture(scope="module")
def description() -> Description:
    return Description(ROUTES)


def test_the_page_tells_all_that_the_document_does(description: Description) -> None:
    page = description.page.decode()
    for route in documented(ROUTES):
        assert f'id="{route.name}"' in page
        assert f"{route.method} {route.path}" in page
    for name in description.document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page


def test_every_link_on_the_page_leads_somewhere(description: Description) -> None:
    page = description.page.decode()
    targets = set(re.findall(r'href="([^"]+)"', page))
    assert targets > {"docs.css", "openapi.json"}
    anchors = {f"#{name}" for name in re.findall(r'id="([^"]+)"', page)}
    assert {target for target in targets if target.startswith("#")} <= anchors
    assert not {target for target in targets if not target.startswith("#")} - {"docs.css", "openapi.json"}


def test_the_page_has_nothing_that_its_policy_forbids(description: Description) -> None:
    page = description.page.decode()
    for forbidden in ("<script", "<style", "style=", " on", "http:", "https:"):
        assert not re.search(rf"<[^>]*{forbidden}" if forbidden == " on" else forbidden, page), forbidden
    assert b"url(" not in description.style
    assert b"@import" not in description.style


def test_it_is_served(client: Client, description: Description) -> None:
    document, page, style = (client.get(f"/api/v1/{name}") for name in ("openapi.json", "docs", "docs.css"))
    assert json.loads(document.data) == description.document
    assert (page.mimetype, style.mimetype) == ("text/html", "text/css")
    assert "style-src 'self'" in page.headers["Content-Security-Policy"]
    assert "script-src" not in page.headers["Content-Security-Policy"]


def test_what_describes_is_not_described() -> None:
    assert documented(described(())) == ()
