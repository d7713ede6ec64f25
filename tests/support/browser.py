"""Use an application's pages as a person does: cookies are kept, forms are sent with their hidden fields."""

from __future__ import annotations

import http.cookiejar
import re
import ssl
import urllib.parse
import urllib.request
from typing import Any

_HIDDEN = re.compile(r"<input\b[^>]*\bname=\"(?P<name>csrf_token)\"[^>]*\bvalue=\"(?P<value>[^\"]*)\"")


class Browser:
    """One visitor."""

    def __init__(self, url: str, certificate: str = "") -> None:
        self._url = url
        context = ssl.create_default_context(cadata=certificate or None)
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=context),
        )

    def get(self, path: str) -> str:
        """Read a page, and insist on 200."""
        with self.opener.open(f"{self._url}{path}", timeout=20) as answer:
            assert answer.status == 200
            return str(answer.read().decode(errors="replace"))

    def post(self, path: str, to: str = "", **fields: Any) -> str:
        """Fill a page's form in and send it, `to` where it goes; give the page that it leads to."""
        hidden = {found["name"]: found["value"] for found in _HIDDEN.finditer(self.get(path))}
        data = urllib.parse.urlencode({**hidden, **fields}).encode()
        request = urllib.request.Request(f"{self._url}{to or path}", data, headers={"Referer": f"{self._url}{path}"})
        with self.opener.open(request, timeout=20) as answer:
            assert answer.status == 200
            return str(answer.read().decode(errors="replace"))
