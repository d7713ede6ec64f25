import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from werkzeug.test import Client

from app.middleware.metrics import BUCKETS, Metrics, RequestMetrics


def samples(text: str) -> dict[str, float]:
    """The samples of an exposition, having checked that every line is one or a comment."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            match = re.fullmatch(r'([a-z_]+(?:\{(?:[a-z]+="[^"\n]*",?)+\})?) ([0-9.]+)', line)
            assert match, line
            found[match[1]] = float(match[2])
    return found


def test_requests_are_counted_and_timed_by_route(hello) -> None:
    metrics = RequestMetrics()
    client = Client(Metrics(hello, metrics))
    for number in range(5):
        client.get(f"/thing/{number}")
    client.post("/thing/1")
    found = samples(metrics.render())
    assert found['http_requests_total{method="GET",route="/thing/{id}",status="200"}'] == 5
    assert found['http_requests_total{method="POST",route="/thing/{id}",status="200"}'] == 1
    assert found['http_request_duration_seconds_count{route="/thing/{id}"}'] == 6
    assert found['http_request_duration_seconds_bucket{route="/thing/{id}",le="+Inf"}'] == 6


def test_strangers_cannot_make_new_labels(hello) -> None:
    def nothing(environ, start_response):
        start_response("404 Not Found", [])
        return []

    metrics = RequestMetrics()
    client = Client(Metrics(nothing, metrics))
    for number in range(5):
        client.open(f"/{number}", method=f"VERB{number}")
    counted = {name: number for name, number in samples(metrics.render()).items() if "bucket" not in name}
    assert counted['http_requests_total{method="other",route="unmatched",status="404"}'] == 5
    assert len([name for name in counted if "unmatched" in name]) == 3, "requests, and number and sum of durations"


def test_buckets_are_cumulative_and_bounds_are_inside() -> None:
    metrics = RequestMetrics()
    for seconds in (0.001, 0.0011, 99.0):
        metrics.observe("GET", "/", 200, seconds)
    found = samples(metrics.render())
    buckets = [found[f'http_request_duration_seconds_bucket{{route="/",le="{bound}"}}'] for bound in BUCKETS]
    assert buckets[:2] == [1, 2]
    assert buckets[-1] == 2
    assert found['http_request_duration_seconds_bucket{route="/",le="+Inf"}'] == 3
    assert found['http_request_duration_seconds_sum{route="/"}'] == 99.0021


def test_no_request_is_lost_between_threads() -> None:
    metrics = RequestMetrics()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: metrics.observe("GET", "/", 200, 0.1), range(2000)))
    found = samples(metrics.render())
    assert found['http_requests_total{method="GET",route="/",status="200"}'] == 2000
    assert found['http_request_duration_seconds_bucket{route="/",le="+Inf"}'] == 2000


def test_what_is_at_work_is_in_flight_however_it_ends() -> None:
    metrics = RequestMetrics()
    seen: list[float] = []

    def looking(environ, start_response):
        seen.append(samples(metrics.render())["http_requests_in_flight"])
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError):
        Client(Metrics(looking, metrics)).get("/")
    assert seen == [1]
    assert samples(metrics.render())["http_requests_in_flight"] == 0


def test_connections_jobs_and_release() -> None:
    metrics = RequestMetrics({"version": '1.4.0+"x"\\'})
    metrics.connections(2, 0)
    metrics.connections(-1, +1)
    metrics.job("mail", "done", 0.5)
    metrics.job("mail", "failed", 0.25)
    text = metrics.render()
    for line in (
        'database_connections{state="idle"} 1',
        'database_connections{state="in_use"} 1',
        'jobs_total{job="mail",outcome="done"} 1',
        'jobs_seconds_total{job="mail"} 0.75',
        'release_info{version="1.4.0+\\"x\\"\\\\"} 1',
    ):
        assert line in text.splitlines()


def test_every_sample_has_its_type() -> None:
    lines = RequestMetrics().render().splitlines()
    assert len([line for line in lines if line.startswith("# TYPE ")]) == 7
