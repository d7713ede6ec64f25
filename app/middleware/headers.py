"""Security headers on every response."""

import logging
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.middleware.environ import Headers, watched

logger = logging.getLogger(__name__)

ALWAYS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
ONE_YEAR = "max-age=31536000"
"""HSTS without includeSubDomains: other hosts of the domain are not ours to decide for."""


class SecurityHeaders:
    """Add what is missing; a response that brings its own value keeps it."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        wanted = dict(ALWAYS)
        if environ["wsgi.url_scheme"] == "https":
            wanted["Strict-Transport-Security"] = ONE_YEAR
        if "HTTP_AUTHORIZATION" in environ:
            wanted["Cache-Control"] = "no-store"

        def add(headers: Headers) -> None:
            present = {name.lower() for name, _ in headers}
            headers.extend((name, value) for name, value in wanted.items() if name.lower() not in present)

        return watched(self.app, environ, start_response, edit=add)
