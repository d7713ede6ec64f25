"""The prober: real requests through the load balancer for the whole of a rollout, counted at the client.

The client is where a lost request shows: HAProxy does not even log a connection that was closed without an answer
(measured). It runs as a process of its own, so its latencies are not the operator's, and ends with whoever started it:
at the end of its standard input.

    python -m deploy.prober URL --clients 16 --rate 400 < requests.json

The requests are one line. For HTTPS the certificate that is trusted, and no other, may be a second one, as JSON too.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 15.0  # seconds: longer than the load balancer's own queue


@dataclass(frozen=True)
class Request:
    """A request that is safe to repeat."""

    path: str
    method: str = "GET"
    body: str | None = None


@dataclass
class Tally:
    """What became of the requests; seconds are from sending to the last byte."""

    seconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    ends: list[float] = field(default_factory=list)  # when each was answered, or lost: seconds since the epoch
    lost: list[int] = field(default_factory=list)  # which of them failed, as positions in these lists


@dataclass(frozen=True)
class Interval:
    """What became of the requests that ended within a short time; `at` is its begin, in seconds since the epoch."""

    at: float
    requests: int
    failed: int
    p50: float  # milliseconds
    p99: float


@dataclass(frozen=True)
class Summary:
    """The prober's line in the report."""

    requests: int
    failed: int
    p50: float  # milliseconds
    p99: float
    worst: float
    clients: int
    connections: int
    failures: dict[str, int]
    timeline: tuple[Interval, ...] = ()

    def __str__(self) -> str:
        times = f"p50 {self.p50:.0f} ms, p99 {self.p99:.0f} ms, worst {self.worst:.0f} ms"
        return f"{self.requests:,} requests, {self.failed} failed, {times}" + "".join(
            f"; {count} x {what}" for what, count in self.failures.items()
        )


class Door:
    """Where users come in: a URL, the address behind its name, and the certificate that it has to show."""

    def __init__(self, url: str, address: str = "", certificate: str = "") -> None:
        self._url = urllib.parse.urlsplit(url)
        secure = self._url.scheme == "https"
        host, _, port = address.rpartition(":")
        usual = 443 if secure else 80
        self._address = (host.strip("[]") or self._url.hostname or "", int(port or self._url.port or usual))
        self._context = _trusting(certificate) if secure else None

    def dial(self) -> http.client.HTTPConnection:
        """Connect."""
        connection = http.client.HTTPConnection(self._url.netloc, timeout=TIMEOUT)
        connected = socket.create_connection(self._address, TIMEOUT)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context:
            connected = self._context.wrap_socket(connected, server_hostname=self._url.hostname)
        connection.sock = connected
        return connection


def _trusting(certificate: str) -> ssl.SSLContext:
    """Trust one certificate, whoever signed it and whatever names are in it; without one, whom the system trusts."""
    context = ssl.create_default_context(cadata=certificate or None)
    if certificate:
        context.check_hostname = False  # it is this very certificate or none
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def first_certificate(bundle: str) -> str:
    """Take what a server shows of itself out of a PEM text of certificate, chain and key; "" where there is none."""
    found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", bundle, re.DOTALL)
    return found[0] if found else ""


class Client(threading.Thread):
    """One keep-alive client that sends the requests in turn and never retries."""

    def __init__(
        self, door: Door, requests: Sequence[Request], interval: float, offset: int, stop: threading.Event
    ) -> None:
        super().__init__(daemon=True)
        self._door = door
        self._requests, self._interval, self._turn, self._halt = requests, interval, offset, stop
        self._connection: http.client.HTTPConnection | None = None
        self.tally = Tally()

    def run(self) -> None:
        """Send until told to stop, at an even pace."""
        due = time.monotonic() + self._interval * (self._turn % 8) / 8
        while not self._halt.wait(max(0.0, due - time.monotonic())):
            self._send(self._requests[self._turn % len(self._requests)])
            self._turn += 1
            due = max(due + self._interval, time.monotonic())
        self._hang_up()

    def _send(self, request: Request) -> None:
        begun = time.monotonic()
        try:
            connection = self._connection or self._dial()
            headers = {"Content-Type": "application/json"} if request.body else {}
            connection.request(request.method, request.path, body=request.body, headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status >= 400:
                self._failed(request, f"status {answer.status}")
            if answer.will_close:
                self._hang_up()
        except (OSError, http.client.HTTPException) as error:
            self._failed(request, type(error).__name__)
            self._hang_up()
        self.tally.seconds.append(time.monotonic() - begun)
        self.tally.ends.append(time.time())

    def _failed(self, request: Request, how: str) -> None:
        self.tally.failures[f"{request.method} {request.path}: {how}"] += 1
        self.tally.lost.append(len(self.tally.seconds))

    def _dial(self) -> http.client.HTTPConnection:
        self._connection = self._door.dial()
        self.tally.connections += 1
        return self._connection

    def _hang_up(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


def summarise(tallies: Sequence[Tally]) -> Summary:
    """Add up what the clients counted."""
    seconds = sorted(s for t in tallies for s in t.seconds)
    failures: Counter[str] = sum((t.failures for t in tallies), Counter())
    return Summary(
        requests=len(seconds),
        failed=failures.total(),
        p50=_percentile(seconds, 0.50),
        p99=_percentile(seconds, 0.99),
        worst=_percentile(seconds, 1.0),
        clients=len(tallies),
        connections=sum(t.connections for t in tallies),
        failures=dict(failures),
        timeline=intervals(tallies),
    )


def intervals(tallies: Sequence[Tally], most: int = 240) -> tuple[Interval, ...]:
    """Cut the time into at most `most` intervals of at least half a second; those without a request are left out."""
    ended = sorted(
        (end, seconds, i in lost)
        for t in tallies
        for lost in [set(t.lost)]
        for i, (end, seconds) in enumerate(zip(t.ends, t.seconds, strict=False))
    )
    if not ended:
        return ()
    begin = ended[0][0]
    width = max(0.5, (ended[-1][0] - begin) / most)
    cut: dict[int, list[tuple[float, bool]]] = {}
    for end, seconds, failed in ended:
        cut.setdefault(int((end - begin) / width), []).append((seconds, failed))
    return tuple(
        Interval(
            at=round(begin + number * width, 3),
            requests=len(found),
            failed=sum(failed for _, failed in found),
            p50=_percentile(ordered, 0.50),
            p99=_percentile(ordered, 0.99),
        )
        for number, found in cut.items()
        for ordered in [sorted(seconds for seconds, _ in found)]
    )


def summary_from(data: Mapping[str, Any]) -> Summary:
    """Read a summary back from its JSON."""
    return Summary(**{**data, "timeline": tuple(Interval(**entry) for entry in data["timeline"])})


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Give the value, in milliseconds, that `share` of the ordered seconds are below."""
    if not ordered:
        return 0.0
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 1)


class Prober:
    """The prober's process, seen from the operator's side."""

    def __init__(
        self,
        url: str,
        requests: Sequence[Mapping[str, Any]],
        clients: int,
        rate: float,
        *,
        addresses: Sequence[str] = (),
        certificate: str = "",
        wait: bool = True,
    ) -> None:
        """Start it, and `wait` until its clients run: a tenth of a second that others have better use for."""
        command = [sys.executable, "-m", "deploy.prober", url, "--clients", str(clients), "--rate", str(rate)]
        command += [word for address in addresses for word in ("--address", address)]
        command += ["--certificate"] if certificate else []
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(list(requests)) + "\n")
        if certificate:
            self._process.stdin.write(json.dumps(certificate) + "\n")
        self._process.stdin.flush()
        if wait:
            self._process.stdout.readline()  # "probing": the clients run

    def stop(self) -> Summary | None:
        """Ask the clients to finish their requests, and tell what they counted; None when someone killed the prober."""
        out, _ = self._process.communicate(timeout=TIMEOUT + 5)
        return summary_from(json.loads(out.splitlines()[-1])) if self._process.returncode == 0 else None


def main(argv: Sequence[str] | None = None) -> int:
    """Probe until standard input ends, then print the summary as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.prober", description="Send requests until standard input ends."
    )
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second, all clients together")
    where = "ADDRESS:PORT to connect to, whatever the URL's name says; of several, clients take one each in turn"
    parser.add_argument("--address", action="append", help=where)
    parser.add_argument("--certificate", action="store_true", help="trust only the one on the second line of the input")
    options = parser.parse_args(argv)
    requests = [Request(**entry) for entry in json.loads(sys.stdin.readline())]
    certificate = json.loads(sys.stdin.readline()) if options.certificate else ""
    doors = [Door(options.url, address, certificate) for address in options.address or [""]]
    stop = threading.Event()
    interval = options.clients / options.rate
    clients = [Client(doors[i % len(doors)], requests, interval, i, stop) for i in range(options.clients)]
    for client in clients:
        client.start()
    with suppress(BrokenPipeError):
        print("probing", flush=True)  # noqa: T201
    sys.stdin.read()
    stop.set()
    for client in clients:
        client.join(TIMEOUT + 1)
    with suppress(BrokenPipeError):  # whoever asked was killed
        print(json.dumps(asdict(summarise([c.tally for c in clients]))), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
