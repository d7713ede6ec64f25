"""HAProxy with the configuration of a load balancer, on ports of this computer, in front of one that echoes."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy import certificate
from tests.support import salt
from tests.support.ports import free_ports

PROGRAM = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")


class Echo(http.server.BaseHTTPRequestHandler):
    """Answer with the headers that came."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        found = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({**found, "all": str(self.headers)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def echo() -> Iterator[int]:
    """Give the port of a server that echoes."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


class Balancer:
    """One HAProxy, and what tests do to it."""

    def __init__(self, folder: Path, text: str, users: str, port: int) -> None:
        self.folder = folder
        self.ports = dict(zip(("https", "http", "stats"), free_ports(3), strict=True))
        only_on_servers = r"^ +(user|group|chroot|log /dev/log|log global) ?.*\n"
        places = {
            "10.0.0.11:443": f"127.0.0.1:{self.ports['https']}", "10.0.0.11:80": f"127.0.0.1:{self.ports['http']}",
            "127.0.0.1:8404": f"127.0.0.1:{self.ports['stats']}", "10.0.0.21:8000": f"127.0.0.1:{port}",
            "10.0.0.22:9000": f"127.0.0.1:{port}", "/etc/haproxy/errors": str(salt.STATES / "haproxy/files/errors"),
            "/etc/haproxy": ".", "/var/lib/haproxy": ".", "unix@/run/haproxy": "unix@.",
        }  # fmt: skip
        text = re.sub(only_on_servers, "", text, flags=re.MULTILINE)
        for place, here in places.items():
            text = text.replace(place, here)
        (folder / "haproxy.cfg").write_text(text)
        (folder / "operators.cfg").write_text(users)
        (folder / "certificate.pem").write_text(certificate.self_signed(["places.example"]).reveal())
        (folder / "maintenance").touch()
        self.start()

    def start(self, *takeover: str) -> None:
        """Start it, beside or instead of another."""
        assert PROGRAM
        words = [PROGRAM, "-D", "-f", "operators.cfg", "-f", "haproxy.cfg", "-p", "pid", *takeover]
        subprocess.run(words, cwd=self.folder, check=True, capture_output=True)

    def stop(self) -> None:
        """End it, and wait until it has."""
        pid = (self.folder / "pid").read_text().strip()
        subprocess.run(["kill", pid], check=False)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.01)

    def send(self, command: str) -> str:
        """Send a command to its runtime socket."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "admin.sock"))
            connection.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def curl(self, *words: str, port: str = "https") -> str:
        """Ask it."""
        scheme = "https" if port == "https" else "http"
        url = f"{scheme}://places.example:{self.ports[port]}"
        to = ["--resolve", f"places.example:{self.ports[port]}:127.0.0.1", "--cacert", "certificate.pem"]
        path, *options = words
        done = subprocess.run(
            ["curl", "-s", *to, *options, url + path], cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done
        return done.stdout


@pytest.fixture
def balancer(compiled: dict[str, Any], echo: int, tmp_path: Path) -> Iterator[Balancer]:
    """A load balancer whose servers are up."""
    files = compiled["lb1 debian12"]["files"]
    balancer = Balancer(tmp_path, files["/etc/haproxy/haproxy.cfg"], files["/etc/haproxy/operators.cfg"], echo)
    yield balancer
    balancer.stop()
