"""More than the servers can do: what fits waits, what does not is told to come again, and health goes before all."""

from __future__ import annotations

import http.server
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from deploy import haproxy
from tests.support.contracts import minimal
from tests.support.environments import written
from tests.support.haproxy import PROGRAM
from tests.support.ports import free_ports

SLOTS, WAITING = 2, 64  # at the server, and in front of it
ENVIRONMENT = """
transport = "local"
directory = "."
balancer.listen = "127.0.0.1:{}"
hosts.web1 = {{ roles = ["web"], listen = "127.0.0.1:{}" }}
"""


class Held(http.server.BaseHTTPRequestHandler):
    """Keep every request until it is let go, one for each turn of the gate; health checks of HAProxy pass."""

    gate = threading.Semaphore(0)
    came: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer."""
        if self.path != "/readyz":
            self.came.append(self.path)
            self.gate.acquire()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Overload:
    """A load balancer on a port, in front of one server that holds requests."""

    folder: Path
    port: int

    def ask(self, path: str) -> socket.socket:
        """Send a request, and don't wait for the answer."""
        connection = socket.create_connection(("127.0.0.1", self.port), 60)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n".encode())
        return connection

    def stat(self, name: str) -> int:
        """Read one of HAProxy's numbers about the backend."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "run/admin.sock"))
            connection.sendall(b"show stat\n")
            head, *rows = b"".join(iter(lambda: connection.recv(65536), b"")).decode().strip("# \n").splitlines()
        found = [dict(zip(head.split(","), row.split(","), strict=True)) for row in rows]
        return int(next(row[name] for row in found if row["svname"] == "BACKEND"))

    def until(self, name: str, value: int) -> None:
        """Wait until it has seen so much."""
        while self.stat(name) != value:
            time.sleep(0.01)


@pytest.fixture
def overload(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Overload]:
    """Give a load balancer with the smallest queue that there is."""
    assert PROGRAM
    Held.came.clear()
    Held.gate = threading.Semaphore(0)
    contract = minimal(f"[tool.slipway.server]\nworkers = 1\nthreads = {SLOTS}\n")
    (tmp_path / "run").mkdir()
    (tmp_path / haproxy.SWITCH).touch()
    (tmp_path / haproxy.PAGES).symlink_to(haproxy.TEMPLATES / haproxy.PAGES)
    with ExitStack() as stack:
        server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Held))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        (port,) = free_ports(1)
        text = haproxy.render(written(tmp_path, ENVIRONMENT.format(port, server.server_address[1])), contract)
        text = text.replace("maxconn 4096", getattr(request, "param", "maxconn 4096"))
        # The test waits for events, and a computer may take its time for 70 connections, and for health checks: a
        # server that counts as down in between has no queue.
        assert " fall 2 " in text
        text = text.replace("timeout queue 10s", "timeout queue 300s").replace(" fall 2 ", " fall 100000 ")
        (tmp_path / "haproxy.cfg").write_text(text)
        process = stack.enter_context(subprocess.Popen([PROGRAM, "-db", "-f", "haproxy.cfg"], cwd=tmp_path))
        stack.callback(process.terminate)
        made = Overload(tmp_path, port)
        while not (tmp_path / "run/admin.sock").exists() or not made.stat("act"):
            time.sleep(0.01)
        yield made


def test_what_does_not_fit_comes_again_and_health_goes_first(overload: Overload) -> None:
    with ExitStack() as stack:
        users = [stack.enter_context(overload.ask("/user")) for _ in range(SLOTS)]
        overload.until("scur", SLOTS)
        users += [stack.enter_context(overload.ask("/user")) for _ in range(WAITING)]
        overload.until("qcur", WAITING)

        with overload.ask("/user") as refused:
            said = refused.makefile().read()
        assert said.startswith("HTTP/1.1 503 ")
        assert "retry-after: 2\n" in said.lower()
        assert "Too many at once" in said

        health = stack.enter_context(overload.ask("/livez"))
        overload.until("qcur", WAITING + 1)
        assert Held.came == ["/user"] * SLOTS, "a server never gets more than it answers at a time"
        Held.gate.release(1)
        while len(Held.came) == SLOTS:
            time.sleep(0.01)
        assert Held.came[SLOTS:] == ["/livez"], "it came last, and 64 were waiting"

        Held.gate.release(SLOTS + WAITING)
        for connection in (*users, health):
            assert re.match("HTTP/1.[01] 200 ", connection.makefile().read())
        assert overload.stat("qmax") == WAITING + 1


@pytest.mark.parametrize("overload", ["maxconn 20"], indirect=True)
def test_all_connections_in_use_is_no_reason_not_to_answer_the_operator(overload: Overload) -> None:
    """Whoever comes then waits until somebody leaves, and is answered."""
    with ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", overload.port), 60)) for _ in range(30)]
        late = stack.enter_context(overload.ask("/livez"))
        assert overload.stat("act") == 1
        for connection in idle:
            connection.close()
        Held.gate.release(1)
        assert re.match("HTTP/1.[01] 200 ", late.makefile().read())
