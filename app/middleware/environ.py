"""What middleware and adapters tell one another: keys of the WSGI environ, and how to watch or give a response."""

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from types import TracebackType
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.web.messages import Response

logger = logging.getLogger(__name__)

ROUTE = "gazetteer.route"
"""The path template that matched; absent when none did."""

REQUEST_ID = "gazetteer.request_id"

Headers = list[tuple[str, str]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None] | None


def respond(response: Response, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Send a complete response; to HEAD, without its body."""
    headers = [("Content-Length", str(len(response.body)))]
    if response.content_type:
        headers.insert(0, ("Content-Type", response.content_type))
    start_response(status_line(response.status), [*headers, *response.headers.items()])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]


def status_line(status: int) -> str:
    """Return ``404 Not Found`` for 404."""
    return f"{status} {HTTPStatus(status).phrase}"


def watched(
    app: WSGIApplication,
    environ: WSGIEnvironment,
    start_response: StartResponse,
    *,
    edit: Callable[[Headers], None] = lambda headers: None,
    started: Callable[[int], None] = lambda status: None,
) -> Iterable[bytes]:
    """Call ``app``; ``edit`` may change its headers, ``started`` gets its status.

    Every application here gives complete bodies and calls ``start_response`` before it returns, so when this returns
    the work is done and only sending is left.
    """

    def start(line: str, headers: Headers, exc_info: ExcInfo = None) -> Any:
        edit(headers)
        started(int(line.split(" ", 1)[0]))
        return start_response(line, headers, exc_info) if exc_info else start_response(line, headers)

    return app(environ, start)
