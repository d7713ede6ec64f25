"""From WSGI to the route table, for each framework alike: they choose the route, what was asked is read here.

So no framework's ideas of a query, a body or a header reach an endpoint.
"""

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl
from wsgiref.types import WSGIEnvironment

import svcs

from app.middleware.environ import ROUTE
from app.web.dispatch import dispatch
from app.web.messages import Request, Response
from app.web.problems import BadRequest, problem_of
from app.web.routes import Route

logger = logging.getLogger(__name__)


def answer(route: Route[Any], path: Mapping[str, str], environ: WSGIEnvironment, registry: svcs.Registry) -> Response:
    """Answer a request for which the framework has chosen ``route``."""
    environ[ROUTE] = route.path
    try:
        request = read_request(environ, path, with_body=route.has_body)
    except BadRequest as error:
        return problem_of(error)
    return dispatch(route, request, registry)


def read_request(environ: WSGIEnvironment, path: Mapping[str, str], *, with_body: bool) -> Request:
    """Read what was asked. Raises BadRequest if the client went away in the middle of the body."""
    headers = {name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name[:5] == "HTTP_"}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    return Request(
        path=path,
        query=read_query(environ.get("QUERY_STRING", "")),
        body=read_body(environ) if with_body else b"",
        headers=headers,
        method=environ["REQUEST_METHOD"],
        address=environ.get("REMOTE_ADDR", ""),
    )


def read_query(text: str) -> dict[str, list[str]]:
    """Return every value of each parameter. What is not UTF-8 becomes the character that says so."""
    query: dict[str, list[str]] = {}
    if text:
        # WSGI passes bytes on as Latin-1.
        decoded = text.encode("latin-1").decode("utf-8", "replace")
        for name, value in parse_qsl(decoded, keep_blank_values=True, errors="replace"):
            query.setdefault(name, []).append(value)
    return query


def read_body(environ: WSGIEnvironment) -> bytes:
    """Return the whole body; middleware.body_limit has made sure that it has a length, and not too great a one."""
    given = str(environ.get("CONTENT_LENGTH") or "0")
    length = int(given) if given.isdecimal() else 0
    body: bytes = environ["wsgi.input"].read(length) if length else b""
    if len(body) < length:
        raise BadRequest(400, "The body ended before the length that was announced.")
    return body
