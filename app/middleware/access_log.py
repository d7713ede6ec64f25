"""One line per request: what was asked, what came, how long it took. No address and no query: those are personal."""

import logging
import time
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.middleware.environ import ROUTE, watched

logger = logging.getLogger(__name__)

QUIET_ROUTES = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every second or two by machines: logged only when they fail, or at DEBUG."""


class AccessLog:
    """Write the line when the status is known; the caller's user id is still in the logging context then."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        status: list[int] = []
        chunks = watched(self.app, environ, start_response, started=status.append)
        self.log(environ, status[0], time.perf_counter() - started)
        return chunks

    @staticmethod
    def log(environ: WSGIEnvironment, status: int, seconds: float) -> None:
        """Write the line."""
        route = environ.get(ROUTE)
        level = logging.DEBUG if route in QUIET_ROUTES and status < 400 else logging.INFO
        method = environ["REQUEST_METHOD"]
        # An address that matched no route is the client's own text: its length is enough.
        shown = route or f"(no route, {len(environ.get('PATH_INFO', ''))} characters)"
        details = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 2)}
        logger.log(level, "%s %s %d", method, shown, status, extra=details)
