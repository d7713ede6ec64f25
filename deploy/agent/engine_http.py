"""HTTP over a Unix socket: how a Docker engine is spoken to."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from deploy.agent import health

__all__ = ["Connection", "HTTPException", "quote", "target"]

CHUNK = 1 << 20


class Connection(HTTPConnection):
    """A connection with what listens at a path."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("docker", blocksize=CHUNK)
        self._path = path
        self._timeout = timeout

    def connect(self) -> None:
        """Connect; called by the first request."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout)
        health.reach(Path(self._path), self.sock.connect)


def target(path: str, query: Mapping[str, Any]) -> str:
    """Write what is asked for as a request has it."""
    return path + (f"?{urlencode(query)}" if query else "")
