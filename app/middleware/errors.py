"""The last resort: an exception nobody expected becomes a log entry and a 500 that gives nothing away."""

import logging
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.middleware.environ import respond
from app.web.problems import problem

logger = logging.getLogger(__name__)


class Errors:
    """Applications here never send part of a response and then fail, so a whole one can still be sent."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return self.app(environ, start_response)
        except Exception:
            logger.exception("unexpected error")
            return respond(problem(500), environ, start_response)
