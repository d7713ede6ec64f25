"""CORS: let pages of other origins call the API from a browser, if a variable names them.

Never with cookies: the API is for tokens, which no browser sends by itself.
"""

import logging
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.middleware.environ import Headers, respond, watched
from app.web.messages import Response

logger = logging.getLogger(__name__)

API = "/api/"
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
ASKED = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-ID"
"""What a page may send."""

SHOWN = (
    "Content-Disposition, ETag, Idempotency-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
)
"""What a page may read."""

HOUR = "3600"


class Cors:
    """Answer preflights, and mark responses for the origins that may read them. Others get neither."""

    def __init__(self, app: WSGIApplication, origins: tuple[str, ...]) -> None:
        self.app = app
        self.origins = frozenset(origins)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not self.origins or not environ.get("PATH_INFO", "").startswith(API):
            return self.app(environ, start_response)
        origin = environ.get("HTTP_ORIGIN", "")
        allowed = "*" if "*" in self.origins else origin if origin.lower() in self.origins else ""
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            return respond(Response(204, b"", "", self.preflight(allowed)), environ, start_response)

        def mark(headers: Headers) -> None:
            headers.append(("Vary", "Origin"))
            if allowed:
                headers.append(("Access-Control-Allow-Origin", allowed))
                headers.append(("Access-Control-Expose-Headers", SHOWN))

        return watched(self.app, environ, start_response, edit=mark)

    @staticmethod
    def preflight(allowed: str) -> dict[str, str]:
        """Return the headers that say what a page may do."""
        if not allowed:
            return {"Vary": "Origin"}
        return {
            "Access-Control-Allow-Origin": allowed,
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": ASKED,
            "Access-Control-Max-Age": HOUR,
            "Vary": "Origin",
        }
