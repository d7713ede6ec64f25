"""Conditional requests (RFC 9110, 13): whoever has a representation already is told that it is still the same."""

import hashlib
import logging

from app.errors import Stale
from app.web.messages import Request, Response
from app.web.problems import BadRequest

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


def version_tag(version: int, *more: int) -> str:
    """Return the tag of a representation of this version; ``more`` is what may differ in it within one version."""
    return f'"{"-".join(map(str, (version, *more)))}"'


def wanted_version(if_match: str) -> int | None:
    """Return the version that a change is meant for, or None for any. Raises BadRequest where none is named.

    Without one, two who change the same thing would overwrite each other unseen (RFC 6585, 3).
    """
    tags = {tag.removeprefix("W/").strip('"').partition("-")[0] for tag in listed(if_match)}
    if not tags:
        raise BadRequest(428, "Say which version you have seen: If-Match with the ETag that you got, or * for any.")
    if "*" in tags:
        return None
    (first, *others) = tags
    if others or not (first.isascii() and first.isdecimal() and len(first) < 10):
        raise Stale("If-Match names no tag that this has, or has had.")
    return int(first)
