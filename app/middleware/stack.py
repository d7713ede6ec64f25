"""The order in which a request passes through the middleware, outermost first."""

import logging
from collections.abc import Callable
from wsgiref.types import WSGIApplication

from app.middleware.access_log import AccessLog
from app.middleware.body_limit import BodyLimit
from app.middleware.cors import Cors
from app.middleware.errors import Errors
from app.middleware.headers import SecurityHeaders
from app.middleware.health import Health
from app.middleware.hosts import AllowedHosts
from app.middleware.metrics import Metrics, RequestMetrics
from app.middleware.proxy import TrustedProxies
from app.middleware.request_id import RequestId
from app.middleware.tracing import Tracing
from app.settings import Settings

logger = logging.getLogger(__name__)


def wrap(
    app: WSGIApplication, settings: Settings, metrics: RequestMetrics, unready: Callable[[], list[str]]
) -> WSGIApplication:
    """Put the middleware around a framework's application. Read from the bottom: the last line sees a request first."""
    app = BodyLimit(app, settings.max_body_bytes)
    app = Cors(app, settings.cors_origins)
    app = AllowedHosts(app, settings.allowed_hosts)
    app = Health(app, unready, metrics.render)
    app = Errors(app)
    app = SecurityHeaders(app)
    app = Metrics(app, metrics)
    app = AccessLog(app)
    if settings.otel_exporter_otlp_endpoint:
        app = Tracing(app, settings)
    app = TrustedProxies(app, settings.trusted_proxies)
    return RequestId(app)
