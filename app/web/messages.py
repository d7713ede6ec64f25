"""A request and a response, reduced to what every framework can give and take."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

logger = logging.getLogger(__name__)

encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
"""Made once: ``json.dumps`` would make one for each response."""


@dataclass(frozen=True, slots=True)
class Request:
    """What an adapter hands over. ``query`` keeps every value of a repeated parameter; names of headers are lower-case.

    ``address`` is the client's, as far as trusted proxies say it.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    address: str = ""

    @property
    def media_type(self) -> str:
        """What the body is, without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Response:
    """What an adapter sends back; the body is complete, so nothing is open any more when it leaves."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_bytes(data: Any) -> bytes:
    """Serialise to UTF-8 JSON on one line, with keys in the order given."""
    return encode(data).encode() + b"\n"
