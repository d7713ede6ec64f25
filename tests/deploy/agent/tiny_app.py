"""A WSGI app that can be told how to behave: by its environment at import, by files in its HOME while it runs."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

BEHAVIOUR = os.environ.get("BEHAVIOUR", "good")

if BEHAVIOUR == "raise":
    raise RuntimeError("this release can't be imported")
if BEHAVIOUR == "dies":  # as a worker that is killed does, or one whose C library crashes
    os._exit(1)
if BEHAVIOUR == "leave":
    sys.exit(4)
if BEHAVIOUR == "tidy":
    atexit.register(lambda: sys.stdout.write("tidied up\n"))
if BEHAVIOUR == "hang":
    time.sleep(600)
if BEHAVIOUR == "daemon":  # leaves a child behind that ignores SIGTERM and holds what it inherited
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", code], close_fds=False)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer /livez, /readyz, /slow and everything else, GET and POST alike."""
    path = environ["PATH_INFO"]
    status, body = "200 OK", {"generation": os.environ["RELEASE_GENERATION"], "pid": os.getpid()}
    environ["wsgi.input"].read()
    if path == "/slow":
        time.sleep(float(environ["QUERY_STRING"]))
    elif path == "/environ":
        body = {"environ": dict(os.environ), "cwd": str(Path.cwd()), "prefix": sys.prefix, "executable": sys.executable}
    elif path == "/readyz" and (BEHAVIOUR == "unready" or Path("unready").exists()):
        status, body = "503 Service Unavailable", {"reason": "the database is away"}
    elif path == "/" and BEHAVIOUR == "failing":
        status = "500 Internal Server Error"
    elif path == "/readyz" and environ["HTTP_HOST"] != "localhost":
        status = "400 Bad Request"
    data = json.dumps(body).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]
