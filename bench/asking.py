"""A gunicorn with the settings of the contract, and a client that keeps it busy: what bench/app.py measures with."""

from __future__ import annotations

import contextlib
import http.client
import os
import selectors
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")
CLIENTS = 8


@dataclass(frozen=True)
class Measured:
    """Of one run of requests: latencies in seconds, sorted, how long all took, and the workers' processor time."""

    latencies: Sequence[float]
    seconds: float
    cpu: float

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def p99(self) -> float:
        return self.latencies[int(len(self.latencies) * 0.99)]

    @property
    def cpu_each(self) -> float:
        return self.cpu / len(self.latencies)


class Server:
    """A gunicorn, on a socket that it inherits."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def workers(self) -> list[int]:
        """Return the workers' process ids."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(word) for word in text.split()]

    def cpu(self) -> float:
        """Return what the workers have used so far, in seconds."""
        return sum(used(pid) for pid in self.workers())

    def memory(self) -> list[tuple[float, float]]:
        """Return what each worker has in memory, in MB: all of it, and its share of what several have."""
        found = []
        for pid in self.workers():
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines[1:]}
            found.append((sizes["Rss"], sizes["Pss"]))
        return found

    def ask(self, request: bytes, count: int) -> Measured:
        """Send a request so many times, on eight connections that stay open, and wait for each answer."""
        before, started = self.cpu(), time.perf_counter()
        latencies = sorted(keep_busy(self.port, request, count))
        return Measured(latencies, time.perf_counter() - started, self.cpu() - before)


def used(pid: int) -> float:
    """Return the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def keep_busy(port: int, request: bytes, count: int) -> Iterator[float]:
    """Give the latency of each request. Raises AssertionError for an answer that is no success."""
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        left, waiting = count, 0
        for _ in range(min(CLIENTS, count)):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(request)
            selector.register(connection, selectors.EVENT_READ, [time.perf_counter(), b""])
            left, waiting = left - 1, waiting + 1
        while waiting:
            for key, _ in selector.select():
                sent, so_far = key.data
                key.data[1] = answer = so_far + key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not whole(answer):
                    continue
                assert answer.startswith(b"HTTP/1.1 2"), answer[:300]
                yield time.perf_counter() - sent
                waiting -= 1
                if left:
                    left, waiting = left - 1, waiting + 1
                    key.data[:] = [time.perf_counter(), b""]
                    key.fileobj.sendall(request)  # type: ignore[union-attr]


def whole(answer: bytes) -> bool:
    """Say whether all of an answer is here."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        assert answer, "the connection was closed"
        return False
    (length,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return len(body) >= int(length.partition(b":")[2])


def get(path: str) -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """Return a POST request of JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


@contextlib.contextmanager
def serving(app: str, environ: Mapping[str, str], log: Path) -> Iterator[Server]:
    """Give a server of ``app``, with the settings that a release is started with."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["slipway"]["server"]
    options = ["--preload", "--worker-class", "gthread", "--no-control-socket", "--log-level", "warning"]
    options += ["--workers", str(settings["workers"]), "--threads", str(settings["threads"])]
    options += ["--keep-alive", str(settings["keepalive"])]
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as output:
        bind = ["--bind", f"fd://{listener.fileno()}"]
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *bind, *options, app],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
        )
        server = Server(process, listener.getsockname()[1])
        try:
            wait(server, log, settings["workers"])
            yield server
        finally:
            process.terminate()
            process.wait(30)


def wait(server: Server, log: Path, workers: int) -> None:
    """Wait until every worker is there and one has answered."""
    deadline = time.monotonic() + 60
    while True:
        assert server.process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        with (
            contextlib.suppress(OSError),
            contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port)) as c,
        ):
            c.request("GET", "/livez")
            c.getresponse()
            if len(server.workers()) == workers:
                return
        time.sleep(0.05)
