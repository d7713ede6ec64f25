"""The kiosk as gunicorn loads it."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from kiosk import database, settings

if wrong := settings.problems(settings.complete(os.environ)):
    sys.exit(f"the kiosk can't open: {wrong}")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer health checks, `GET /goods?q=` and `POST /orders`."""
    try:
        status, body = respond(environ["PATH_INFO"], environ)
    except sqlite3.Error as error:
        status, body = "503 Service Unavailable", {"reason": str(error)}
    data = json.dumps(body).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]


def respond(path: str, environ: dict[str, Any]) -> tuple[str, Any]:
    """Give status and body."""
    if path == "/livez":
        return "200 OK", {}
    if path == "/readyz":
        return ("200 OK", {}) if database.revision() >= "0001" else ("503 Service Unavailable", {"reason": "no schema"})
    sys.stdout.write(f"{environ['REQUEST_METHOD']} {path}\n")
    if path == "/goods":
        return "200 OK", {"items": database.find(parse_qs(environ["QUERY_STRING"])["q"][0])}
    if path == "/orders":
        order = json.loads(environ["wsgi.input"].read())
        return "200 OK", {"ordered": database.find(order["name"])}
    return "404 Not Found", {"reason": "no such page"}
