"""A browser without a screen: asks an application in this process, with the cookies, tokens and referrers of one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

from werkzeug.test import Client, TestResponse

ADDRESS = "https://localhost"
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass(frozen=True)
class Page:
    """What came."""

    response: TestResponse

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def html(self) -> str:
        return self.response.get_data(as_text=True)

    @property
    def text(self) -> str:
        """What a person reads, without markup."""
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", self.html))).strip()

    @property
    def heading(self) -> str:
        found = re.search(r"<h1[^>]*>(.*?)</h1>", self.html, re.DOTALL)
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", found[1]))).strip() if found else ""

    @property
    def location(self) -> str:
        return self.response.headers.get("Location", "")


class Browser:
    """Follows no redirect by itself: where one leads is what tests look at."""

    def __init__(self, client: Client, language: str = "en") -> None:
        self.client = client
        self.language = language

    def get(self, path: str, **headers: str) -> Page:
        """Look at a page."""
        return self._open("GET", path, headers=headers)

    def submit(self, path: str, fields: Mapping[str, Any] | None = None, *, on: str | None = None) -> Page:
        """Send a form with the token of the page it is on: the one it is sent to, unless said otherwise."""
        token = TOKEN.search(self.get(on or path).html)
        assert token, f"{on or path} has no form"
        return self.post(path, {**(fields or {}), "csrf_token": token[1]})

    def post(self, path: str, fields: Mapping[str, Any]) -> Page:
        """Send fields just as they are."""
        return self._open("POST", path, data=dict(fields), headers={"Referer": f"{ADDRESS}{path}"})

    def follow(self, page: Page) -> Page:
        """Go where a redirect leads."""
        assert page.location, page.text
        return self.get(page.location)

    def log_in(self, email: str, password: str) -> Page:
        """Log in."""
        return self.submit("/log-in", {"email": email, "password": password})

    def _open(self, method: str, path: str, *, headers: Mapping[str, str], data: dict[str, Any] | None = None) -> Page:
        sent = {"Accept": "text/html,*/*;q=0.8", "Accept-Language": self.language, **headers}
        return Page(self.client.open(path, method=method, base_url=ADDRESS, headers=sent, data=data))
