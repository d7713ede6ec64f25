"""Believe X-Forwarded-* from as many proxies as there really are, and from nobody else."""

import logging
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)


class TrustedProxies:
    """Each proxy appends what it saw, so with ``count`` of ours the client's value is the ``count``-th from the end."""

    def __init__(self, app: WSGIApplication, count: int) -> None:
        self.app = app
        self.count = count

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        client = self.forwarded(environ, "HTTP_X_FORWARDED_FOR")
        scheme = self.forwarded(environ, "HTTP_X_FORWARDED_PROTO")
        host = self.forwarded(environ, "HTTP_X_FORWARDED_HOST")
        if client:
            environ["REMOTE_ADDR"] = client
        if scheme in {"http", "https"}:
            environ["wsgi.url_scheme"] = scheme
        if host:
            environ["HTTP_HOST"] = host
        return self.app(environ, start_response)

    def forwarded(self, environ: WSGIEnvironment, key: str) -> str | None:
        """Return the value that the outermost trusted proxy wrote, or None if the chain is shorter than that."""
        values = [value.strip() for value in str(environ.get(key, "")).split(",")]
        if not self.count or len(values) < self.count:
            return None
        return values[-self.count] or None
