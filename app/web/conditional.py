"""Conditional requests (RFC 9110, 13): whoever has a representation already is told that it is still the same."""

import hashlib
import logging

from app.web.messages import Request, Response

logger = logging.getLogger(__name__)

KEPT = {"cache-control", "content-location", "vary", "etag"}
"""The headers of a 200 that its 304 has, too."""


def entity_tag(body: bytes) -> str:
    """Return the tag of a representation: it is another one as soon as one byte is."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def listed(header: str) -> list[str]:
    """Return the tags in an If-Match or If-None-Match header."""
    return [tag.strip() for tag in header.split(",") if tag.strip()]


def conditional(request: Request, response: Response) -> Response:
    """Give what was read a tag; answer 304 if the client has just that."""
    if request.method not in {"GET", "HEAD"} or response.status != 200:
        return response
    tag = response.headers.get("ETag") or entity_tag(response.body)
    headers = {**response.headers, "ETag": tag}
    # Weak comparison: what a proxy has compressed is still what was sent.
    known = [given.removeprefix("W/") for given in listed(request.headers.get("if-none-match", ""))]
    if tag in known or "*" in known:
        return Response(304, b"", "", {name: value for name, value in headers.items() if name.lower() in KEPT})
    return Response(response.status, response.body, response.content_type, headers)
