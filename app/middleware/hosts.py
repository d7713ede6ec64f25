"""Refuse requests for hosts that are not ours: links, caches and redirects must not follow a forged Host header."""

import logging
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.middleware.environ import respond
from app.web.problems import problem

logger = logging.getLogger(__name__)


class AllowedHosts:
    """Compare without port and case; ``.example.org`` includes subdomains, ``*`` is any host."""

    def __init__(self, app: WSGIApplication, allowed: tuple[str, ...]) -> None:
        self.app = app
        self.allowed = allowed

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if allows(self.allowed, environ.get("HTTP_HOST", "")):
            return self.app(environ, start_response)
        return respond(problem(400, "This server does not answer for the host you asked for."), environ, start_response)


def host_name(host: str) -> str:
    """Return a Host header's name without its port: ``[::1]:80`` gives ``[::1]``."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower().removesuffix(".")


def allows(allowed: tuple[str, ...], host: str) -> bool:
    """Say whether a Host header is one of ``allowed``."""
    name = host_name(host)
    for pattern in allowed:
        if pattern == "*" or name == pattern:
            return True
        if pattern.startswith(".") and (name.endswith(pattern) or name == pattern[1:]):
            return True
    return False
