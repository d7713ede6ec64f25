"""Errors as pages. Whoever asks for a page is shown one, wherever in the stack a request was refused.

Problem details are what everything here answers with; this turns them into HTML on their way out, for browsers. An API
client that accepts anything keeps them.
"""

import logging
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import flask

from app.languages import gettext, lazy_gettext, preferred, speaking
from app.middleware.environ import Headers
from app.pages.policy import POLICY
from app.web.problems import CONTENT_TYPE

logger = logging.getLogger(__name__)

MESSAGES = {
    400: (
        lazy_gettext("That form can't be used any more"),
        lazy_gettext(
            "It was open for too long, or your browser sent it without its cookie."
            " Go back, reload the page, and send it again."
        ),
    ),
    403: (lazy_gettext("That is not for you to see"), lazy_gettext("This page is for somebody else.")),
    404: (lazy_gettext("There is nothing here"), lazy_gettext("The address has a mistake, or what was here is gone.")),
    405: (lazy_gettext("That does not work here"), lazy_gettext("This page can be looked at, or it answers a form.")),
    413: (lazy_gettext("That is too large"), lazy_gettext("Send a smaller file, or several.")),
    429: (lazy_gettext("Too many requests"), lazy_gettext("Wait a moment, then try again.")),
    500: (
        lazy_gettext("Something went wrong on our side"),
        lazy_gettext("It has been logged. Trying again in a moment may help."),
    ),
    503: (lazy_gettext("We are not ready yet"), lazy_gettext("Try again in a moment.")),
}
"""What each status means to a person: a title and what to do."""


class ErrorPages:
    """Outermost of all middleware, so that every refusal passes here."""

    def __init__(self, app: WSGIApplication, site: flask.Flask) -> None:
        self.app = app
        self.site = site

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not wants_page(environ):
            return self.app(environ, start_response)
        started: list[tuple[str, Headers]] = []

        def start(line: str, headers: Headers, exc_info: Any = None) -> Any:
            started.append((line, headers))
            return lambda data: None

        chunks = self.app(environ, start)
        line, headers = started[-1]
        if not any(name.lower() == "content-type" and value == CONTENT_TYPE for name, value in headers):
            start_response(line, headers)
            return chunks
        try:
            body = self.render(environ, int(line.split(" ", 1)[0]), dict(headers).get("X-Request-ID", ""))
        except Exception:
            logger.exception("no page for an error")
            start_response(line, headers)
            return chunks
        start_response(line, page_headers(headers, len(body)))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def render(self, environ: WSGIEnvironment, status: int, request_id: str) -> bytes:
        """Return the page for a status. It asks no database: that may be what is wrong."""
        with speaking(preferred(environ.get("HTTP_ACCEPT_LANGUAGE", ""))), self.site.request_context(environ):
            flask.g.visit = None
            title, text = MESSAGES.get(status) or (gettext("That did not work"), "")
            page = flask.render_template("error.html", status=status, heading=title, text=text, request_id=request_id)
            return page.encode()


def wants_page(environ: WSGIEnvironment) -> bool:
    """Say whether a browser asks, and for a page."""
    return "text/html" in environ.get("HTTP_ACCEPT", "") and not environ.get("PATH_INFO", "").startswith("/api/")


def page_headers(headers: Headers, length: int) -> Headers:
    """Return the headers of a problem, changed to those of a page."""
    changed = {"content-type", "content-length", "content-security-policy"}
    return [
        *((name, value) for name, value in headers if name.lower() not in changed),
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(length)),
        ("Content-Security-Policy", POLICY),
        ("Vary", "Accept, Accept-Language"),
    ]
