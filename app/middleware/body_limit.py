"""Refuse bodies that are larger than anything the application reads, before they are read."""

import io
import logging
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.middleware.environ import respond
from app.web.problems import problem

logger = logging.getLogger(__name__)


class BodyLimit:
    """Judge by Content-Length; a body without one (chunked) is read here, up to one byte over ``limit``."""

    def __init__(self, app: WSGIApplication, limit: int) -> None:
        self.app = app
        self.limit = limit

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self.length(environ) > self.limit:
            detail = f"The body may have {self.limit} bytes at most."
            return respond(problem(413, detail), environ, start_response)
        return self.app(environ, start_response)

    def length(self, environ: WSGIEnvironment) -> int:
        """Return the body's length; an unread chunked one is replaced by its bytes."""
        if environ.pop("HTTP_TRANSFER_ENCODING", ""):
            body = environ["wsgi.input"].read(self.limit + 1)
            environ["wsgi.input"] = io.BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
            return len(body)
        given = str(environ.get("CONTENT_LENGTH") or "0")
        return int(given) if given.isdecimal() else 0
