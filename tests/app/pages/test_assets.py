import re

from app.pages.assets import cache_control
from app.pages.site import PACKAGE, Assets
from tests.support.browsing import Browser


def test_addresses_change_with_the_content() -> None:
    style = Assets(PACKAGE / "static")["style.css"]
    assert style.content_type == "text/css; charset=utf-8"
    assert "immutable" in cache_control(style, style.digest)
    assert cache_control(style, "older") == "no-cache"


def test_pages_lead_to_their_style(browser: Browser) -> None:
    address = re.search(r'<link rel="stylesheet" href="([^"]+)">', browser.get("/log-in").html)
    assert address
    style = browser.get(address[1])
    assert style.status == 200
    assert style.response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "Set-Cookie" not in style.response.headers
    assert browser.get("/static/0123456789ab/style.css").response.headers["Cache-Control"] == "no-cache"
    assert browser.get("/static/0123456789ab/other.css").status == 404
