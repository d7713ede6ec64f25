"""What happens in all workers of this server, in Prometheus' text format: requests, connections, jobs, release."""

import functools
import logging
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.middleware.environ import ROUTE, watched
from app.middleware.shared_series import GAUGE, SharedSeries

logger = logging.getLogger(__name__)

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
HISTOGRAM = "http_request_duration_seconds"
IN_FLIGHT = GAUGE + "http_requests_in_flight{}"
CONNECTIONS = GAUGE + "connections"
"""A row of two: idle, in use."""

ONE_MORE = ((0, 1),)
SIZE = len(BUCKETS) + 2  # a count for each bucket and for what is above, and the sum
FAMILIES = {
    "http_requests_total": ("counter", "Requests answered."),
    HISTOGRAM: ("histogram", "Time until the response was ready to be sent."),
    "http_requests_in_flight": ("gauge", "Requests at work now, this one among them."),
    "database_connections": ("gauge", "Connections of the pools, by whether somebody has them."),
    "jobs_total": ("counter", "Jobs done in web processes, by name and outcome."),
    "jobs_seconds_total": ("counter", "Time that they took."),
    "release_info": ("gauge", "Always 1: what runs."),
}


class RequestMetrics:
    """Counts for this server. Safe to use from several threads, and from processes that were forked."""

    def __init__(self, info: Mapping[str, str] | None = None, series: SharedSeries | None = None) -> None:
        self.series = series or SharedSeries()
        self.info = series_name("release_info", info or {})

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Add one request."""
        requests, durations = request_series(method if method in METHODS else "other", route, status)
        self.series.add(requests, ONE_MORE)
        self.series.add(durations, ((bisect_left(BUCKETS, seconds), 1), (SIZE - 1, seconds)), SIZE)

    def in_flight(self, change: int) -> None:
        """Count requests that begin, and those that end."""
        self.series.add(IN_FLIGHT, ((0, change),))

    def connections(self, idle: int, in_use: int) -> None:
        """Count connections that come into a state, and those that leave it."""
        self.series.add(CONNECTIONS, ((0, idle), (1, in_use)), 2)

    def job(self, name: str, outcome: str, seconds: float) -> None:
        """Add one job."""
        self.series.add(series_name("jobs_total", {"job": name, "outcome": outcome}), [(0, 1)])
        self.series.add(series_name("jobs_seconds_total", {"job": name}), [(0, seconds)])

    def render(self) -> str:
        """Return the exposition text."""
        found = {name.removeprefix(GAUGE): row for name, row in self.series.sums().items()}
        idle, in_use = found.pop(CONNECTIONS.removeprefix(GAUGE), (0.0, 0.0))
        found |= {series_name("database_connections", {"state": "idle"}): [idle]}
        found |= {series_name("database_connections", {"state": "in_use"}): [in_use]}
        found[self.info] = [1]
        lines = []
        for family, (kind, meaning) in FAMILIES.items():
            lines += [f"# HELP {family} {meaning}", f"# TYPE {family} {kind}"]
            for name in sorted(name for name in found if name.partition("{")[0] == family):
                lines += (
                    histogram(name, found[name]) if kind == "histogram" else [f"{bare(name)} {found[name][0]:.15g}"]
                )
        return "\n".join(lines) + "\n"


@functools.lru_cache(4096)
def request_series(method: str, route: str, status: int) -> tuple[str, str]:
    """Return the names of what counts requests, and of what has their durations."""
    labels = {"method": method, "route": route, "status": str(status)}
    return series_name("http_requests_total", labels), series_name(HISTOGRAM, {"route": route})


def series_name(family: str, labels: Mapping[str, str]) -> str:
    """Return a series' name as the text format has it."""
    written = ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())
    return f"{family}{{{written}}}"


def escaped(value: str) -> str:
    """Return a label's value as it may stand between quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def bare(name: str) -> str:
    """Return a name without braces that hold nothing."""
    return name.removesuffix("{}")


def histogram(name: str, row: list[float]) -> Iterable[str]:
    """Yield the lines of one histogram."""
    labels, seen = name.partition("{")[2].removesuffix("}"), 0.0
    for bound, count in zip([*map(str, BUCKETS), "+Inf"], row[:-1], strict=True):
        seen += count
        yield f'{HISTOGRAM}_bucket{{{labels},le="{bound}"}} {seen:.15g}'
    yield f"{HISTOGRAM}_sum{{{labels}}} {row[-1]:.6f}"
    yield f"{HISTOGRAM}_count{{{labels}}} {seen:.15g}"


class Metrics:
    """Feed ``metrics`` with every request. Addresses without a route share a label, or strangers could fill memory."""

    def __init__(self, app: WSGIApplication, metrics: RequestMetrics) -> None:
        self.app = app
        self.metrics = metrics

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        status: list[int] = []
        self.metrics.in_flight(+1)
        try:
            chunks = watched(self.app, environ, start_response, started=status.append)
        finally:
            self.metrics.in_flight(-1)
        route = environ.get(ROUTE, "unmatched")
        self.metrics.observe(environ["REQUEST_METHOD"], route, status[0], time.perf_counter() - started)
        return chunks
