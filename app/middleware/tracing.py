"""A span of OpenTelemetry for each request, if a variable says where spans go; part of the caller's trace, if any.

The packages are in releases with the extra ``opentelemetry`` only.
"""

import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.about import NAME, installed_version
from app.middleware.environ import REQUEST_ID, ROUTE, watched
from app.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)


class Tracing:
    """Sends spans by a thread of each worker, which begins with its first request: threads don't survive a fork."""

    def __init__(self, app: WSGIApplication, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.lock = threading.Lock()
        self.made: TracerProvider | None = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        given = {"traceparent": environ.get("HTTP_TRACEPARENT", ""), "tracestate": environ.get("HTTP_TRACESTATE", "")}
        caller = TraceContextTextMapPropagator().extract({name: value for name, value in given.items() if value})
        method = environ["REQUEST_METHOD"]
        status: list[int] = []
        tracer = self.provider().get_tracer(NAME)
        with tracer.start_as_current_span(method, caller, SpanKind.SERVER) as span:
            chunks = watched(self.app, environ, start_response, started=status.append)
            route = environ.get(ROUTE, "unmatched")
            span.update_name(f"{method} {route}")
            span.set_attributes({"http.request.method": method, "http.route": route})
            span.set_attributes({"http.response.status_code": status[0], "request.id": environ.get(REQUEST_ID, "")})
            if status[0] >= 500:
                span.set_status(Status(StatusCode.ERROR))
        return chunks

    def provider(self) -> "TracerProvider":
        """Return what makes spans in this process; at exit it sends what is left."""
        with self.lock:
            if self.made is None:
                self.made = make_provider(self.settings)
            return self.made


def make_provider(settings: Settings) -> "TracerProvider":
    """Make what collects spans and sends them."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    about = {
        "service.name": NAME,
        "service.version": settings.release_version or installed_version(),
        "deployment.environment.name": settings.environment,
    }
    provider = TracerProvider(resource=Resource.create(about))
    endpoint = f"{settings.otel_exporter_otlp_endpoint}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=5)))
    return provider
