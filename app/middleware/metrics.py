"""Count and time every request, by route: two metrics of this process in Prometheus' text format."""

import logging
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.middleware.environ import ROUTE, watched

logger = logging.getLogger(__name__)

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Histogram:
    """How many observations fell into each bucket (the last one has no bound), and their sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Add one."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class RequestMetrics:
    """Requests by method, route and status, and their durations by route. Safe to use from several threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests: dict[tuple[str, str, int], int] = {}
        self.durations: dict[str, Histogram] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Add one request."""
        key = (method if method in METHODS else "other", route, status)
        with self.lock:
            self.requests[key] = self.requests.get(key, 0) + 1
            self.durations.setdefault(route, Histogram()).observe(seconds)

    def render(self) -> str:
        """Return the exposition text."""
        lines = [
            "# HELP http_requests_total Requests answered by this process.",
            "# TYPE http_requests_total counter",
        ]
        with self.lock:
            for (method, route, status), count in sorted(self.requests.items()):
                lines.append(f'http_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}')
            lines += [
                "# HELP http_request_duration_seconds Time until the response was ready to be sent.",
                "# TYPE http_request_duration_seconds histogram",
            ]
            for route, histogram in sorted(self.durations.items()):
                lines += self._histogram(route, histogram)
        return "\n".join(lines) + "\n"

    @staticmethod
    def _histogram(route: str, histogram: Histogram) -> Iterable[str]:
        name, seen = "http_request_duration_seconds", 0
        for bound, count in zip([*map(str, BUCKETS), "+Inf"], histogram.counts, strict=True):
            seen += count
            yield f'{name}_bucket{{route="{route}",le="{bound}"}} {seen}'
        yield f'{name}_sum{{route="{route}"}} {histogram.total:.6f}'
        yield f'{name}_count{{route="{route}"}} {seen}'


class Metrics:
    """Feed ``metrics`` with every request. Addresses without a route share a label, or strangers could fill memory."""

    def __init__(self, app: WSGIApplication, metrics: RequestMetrics) -> None:
        self.app = app
        self.metrics = metrics

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        status: list[int] = []
        chunks = watched(self.app, environ, start_response, started=status.append)
        route = environ.get(ROUTE, "unmatched")
        self.metrics.observe(environ["REQUEST_METHOD"], route, status[0], time.perf_counter() - started)
        return chunks
