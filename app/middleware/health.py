"""Health: ``/livez`` (the process is up), ``/readyz`` (it can serve) and ``/metrics``.

They stand before the host check and the framework: a load balancer asks by address, and a framework in trouble should
not make a process look dead.
"""

import logging
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.middleware.environ import ROUTE, respond
from app.web.messages import Response, json_bytes
from app.web.problems import problem

logger = logging.getLogger(__name__)

NO_STORE = {"Cache-Control": "no-store"}


class Health:
    """``unready`` returns the reasons why the process can't serve, none when it can; ``metrics`` the text to expose."""

    def __init__(self, app: WSGIApplication, unready: Callable[[], list[str]], metrics: Callable[[], str]) -> None:
        self.app = app
        self.unready = unready
        self.metrics = metrics
        self.pages = {"/livez": self.livez, "/readyz": self.readyz, "/metrics": self.metrics_page}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        page = self.pages.get(environ.get("PATH_INFO", ""))
        if page is None:
            return self.app(environ, start_response)
        environ[ROUTE] = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return respond(problem(405, headers={"Allow": "GET, HEAD"}), environ, start_response)
        return respond(page(), environ, start_response)

    def livez(self) -> Response:
        """Answer 200, always."""
        return Response(200, json_bytes({"status": "ok"}), headers=NO_STORE)

    def readyz(self) -> Response:
        """Answer 200 if nothing keeps this process from serving, otherwise 503 with every reason."""
        reasons = self.unready()
        if reasons:
            logger.warning("not ready: %s", "; ".join(reasons))
        content = {"status": "unavailable" if reasons else "ok", "reasons": reasons}
        return Response(503 if reasons else 200, json_bytes(content), headers=NO_STORE)

    def metrics_page(self) -> Response:
        """Answer with this process's metrics in Prometheus' text format."""
        return Response(200, self.metrics().encode(), "text/plain; version=0.0.4; charset=utf-8", NO_STORE)
