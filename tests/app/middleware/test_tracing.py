"""That spans arrive, and what is in them: tests/app/test_reporting.py."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from werkzeug.test import Client

from app.middleware.environ import ROUTE
from app.middleware.tracing import Tracing
from app.settings import Settings


@pytest.mark.parametrize(
    ("line", "code"), [("200 OK", StatusCode.UNSET), ("404 Not Found", StatusCode.UNSET), ("503 No", StatusCode.ERROR)]
)
def test_a_span_says_what_was_asked_and_how_it_went(settings: Settings, line: str, code: StatusCode) -> None:
    def answer(environ, start_response):
        environ[ROUTE] = "/things/{id}"
        start_response(line, [])
        return []

    spans = InMemorySpanExporter()
    tracing = Tracing(answer, settings)
    tracing.made = TracerProvider()
    tracing.made.add_span_processor(SimpleSpanProcessor(spans))
    Client(tracing).get("/things/1?private=x")
    (span,) = spans.get_finished_spans()
    assert (span.name, span.status.status_code) == ("GET /things/{id}", code)
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == int(line[:3])
    assert "private" not in str(span.attributes)
    tracing.made.shutdown()
