"""With the real SDKs and a real socket, in a process of its own: what they change in a process is not undone."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from app.logs.context import request_context
from app.reporting import marked
from tests.support.collector import Collector, collecting

ASK = """
from werkzeug.test import Client
from app.wsgi import application
headers = {"X-Request-ID": "find-me", "Authorization": "Bearer not-for-others", "traceparent": "00-TRACE-SPAN-01"}
answer = Client(application).get("/api/v1/places/7?private=mary", headers=headers)
assert answer.status_code == 500, answer.status_code
import sentry_sdk
sentry_sdk.flush(timeout=60)  # at its end a process waits two seconds, which a busy machine may need
""".replace("TRACE", "ab" * 16).replace("SPAN", "cd" * 8)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """What a process sends out when a request fails: its database is not there."""
    missing = tmp_path_factory.mktemp("missing") / "none.sqlite3"
    with collecting() as collector:
        environ = {
            "SECRET_KEY": "kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E",
            "DATABASE_URL": f"sqlite:///{missing}",
            "SENTRY_DSN": f"http://publickey@{collector.address}/7",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}/",
            "ENVIRONMENT": "staging",
            "RELEASE_VERSION": "1.4.0",
            "RELEASE_GENERATION": "17",
        }
        done = subprocess.run([sys.executable, "-c", ASK], env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        yield collector


def test_an_error_is_reported_with_the_id_of_its_request(collected: Collector) -> None:
    (envelope,) = collected.bodies["/api/7/envelope/"]
    event = json.loads(envelope.splitlines()[2])
    assert event["logentry"]["message"] == "unexpected error"
    assert (event["release"], event["environment"]) == ("gazetteer@1.4.0", "staging")
    assert event["tags"] == {"request_id": "find-me", "generation": "17"}
    assert event["exception"]["values"][-1]["stacktrace"]["frames"]


def test_no_secret_and_no_personal_data_goes_along(collected: Collector) -> None:
    everything = b"".join(body for bodies in collected.bodies.values() for body in bodies)
    for private in (b"kU4vPq8Z", b"not-for-others", b"mary"):
        assert private not in everything


def test_a_request_is_a_span_of_its_callers_trace(collected: Collector) -> None:
    (spans,) = collected.bodies["/v1/traces"]
    told = b"GET /api/v1/places/{place_id}", b"gazetteer", b"1.4.0", b"staging", b"find-me"
    for word in told:
        assert word in spans
    assert bytes.fromhex("ab" * 16) in spans
    assert bytes.fromhex("cd" * 8) in spans


def test_an_event_outside_of_requests_has_no_id() -> None:
    assert marked({"tags": {"a": "b"}}, "") == {"tags": {"a": "b"}}
    with request_context("x"):
        assert marked({}, "3") == {"tags": {"request_id": "x", "generation": "3"}}


@pytest.mark.parametrize(
    ("variable", "value", "package", "extra"),
    [
        ("SENTRY_DSN", "https://key@sentry.invalid/1", "sentry_sdk", "sentry"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", "opentelemetry", "opentelemetry"),
    ],
)
def test_a_release_without_the_package_says_which_extra_is_missing(
    variable: str, value: str, package: str, extra: str
) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; import app.wsgi"
    environ = {"SECRET_KEY": "kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E", variable: value}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert f"{variable}: expected" in done.stderr
    assert f"extras gives the extra {extra};" in done.stderr
    assert "Traceback" not in done.stderr
