"""The last resort: an exception nobody expected becomes a log entry and a 500 that gives nothing away.

What passes by itself, as a database that starts anew, becomes a 503 that says so.
"""

import logging
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.database.failures import is_passing
from app.middleware.environ import respond
from app.web.problems import problem

logger = logging.getLogger(__name__)


AWAY = "The database was busy or away. Look whether what you asked for was done, then try again."


class Errors:
    """Applications here never send part of a response and then fail, so a whole one can still be sent."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return self.app(environ, start_response)
        except Exception as error:
            if is_passing(error):
                logger.warning("the database was busy or away: %s", type(error).__name__, exc_info=True)
                return respond(problem(503, AWAY, headers={"Retry-After": "1"}), environ, start_response)
            logger.exception("unexpected error")
            return respond(problem(500), environ, start_response)
