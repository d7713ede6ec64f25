"""The prober counts at the client: every request, every failure, and why."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy import certificate
from deploy.prober import Interval, Prober, Tally, first_certificate, intervals, summarise
from tests.support.ports import free_ports


class Handler(BaseHTTPRequestHandler):
    """Answers 200, but `/broken` with 500 and `/cut` by closing the connection without an answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/cut":
            self.close_connection = True
            return
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET  # noqa: N815  (the name is the base class's)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    """Start a server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def probe(url: str, *requests: dict[str, str], **door: Any) -> dict[str, Any]:
    """Probe for a moment."""
    prober = Prober(url, requests, clients=4, rate=200.0, **door)
    time.sleep(0.3)
    return vars(prober.stop())


@pytest.fixture(scope="module")
def bundle() -> str:
    """Make a certificate for a name that leads nowhere."""
    return certificate.self_signed(["shop.example"]).reveal()


@pytest.fixture
def secure(tmp_path: Path, bundle: str) -> Iterator[str]:
    """Start a server that shows it; answer its address."""
    (tmp_path / "bundle.pem").write_text(bundle)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "bundle.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None  # type: ignore[method-assign,assignment]  # clients that don't trust hang up
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_it_comes_in_by_the_name_and_trusts_the_one_certificate(secure: str, bundle: str) -> None:
    """Whatever the name resolves to here, and whoever has signed it."""
    shown = first_certificate(bundle)
    assert "PRIVATE" not in shown
    found = probe("https://shop.example", {"path": "/"}, addresses=[secure], certificate=shown)
    assert found["failed"] == 0
    assert found["connections"] == 4


@pytest.mark.parametrize("trusted", ["another", "nothing"])
def test_it_trusts_no_other_certificate(secure: str, trusted: str) -> None:
    other = first_certificate(certificate.self_signed(["shop.example"]).reveal()) if trusted == "another" else ""
    found = probe("https://shop.example", {"path": "/"}, addresses=[secure], certificate=other)
    assert found["failures"] == {"GET /: SSLCertVerificationError": found["requests"]}


def test_it_sends_all_requests_in_turn_over_connections_that_stay(url: str) -> None:
    found = probe(url, {"path": "/"}, {"path": "/", "method": "POST", "body": "{}"})
    assert found["failed"] == 0
    assert found["connections"] == found["clients"] == 4
    requests = found["requests"]
    assert isinstance(requests, int)
    assert 20 < requests < 200


def test_of_several_addresses_each_is_asked(url: str) -> None:
    """One of them refuses: the clients that come in there fail, and no other."""
    found = probe("http://site.example", {"path": "/"}, addresses=[url.removeprefix("http://"), "127.0.0.1:1"])
    assert found["failures"] == {"GET /: ConnectionRefusedError": found["failed"]}
    assert 0 < found["failed"] < found["requests"]


def test_an_error_status_is_a_failure(url: str) -> None:
    found = probe(url, {"path": "/broken"})
    assert found["failed"] == found["requests"] != 0
    assert found["failures"] == {"GET /broken: status 500": found["requests"]}


def test_a_connection_closed_without_an_answer_is_a_failure(url: str) -> None:
    found = probe(url, {"path": "/cut"})
    assert found["failures"] == {"GET /cut: RemoteDisconnected": found["requests"]}


def test_nobody_there_is_a_failure() -> None:
    (port,) = free_ports(1)
    found = probe(f"http://127.0.0.1:{port}", {"path": "/"})
    assert found["failures"] == {"GET /: ConnectionRefusedError": found["requests"]}


def test_it_ends_with_whoever_started_it(url: str) -> None:
    """Even when that was killed: its standard input ends then."""
    child = subprocess.Popen(
        [sys.executable, "-m", "deploy.prober", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin
    assert child.stdout
    child.stdin.write('[{"path": "/"}]\n')
    child.stdin.flush()
    assert child.stdout.readline() == "probing\n"
    child.stdin.close()
    assert child.wait(10) == 0
    assert json.loads(child.stdout.read())["failed"] == 0
    child.stdout.close()


def test_the_summary_is_one_line() -> None:
    tallies = [Tally([0.001] * 98 + [0.5], Counter(), 1), Tally([2.0], Counter({"GET /: status 503": 1}), 1)]
    summary = summarise(tallies)
    assert (summary.requests, summary.failed, summary.p50, summary.p99, summary.worst) == (100, 1, 1.0, 2000.0, 2000.0)
    assert str(summary) == "100 requests, 1 failed, p50 1 ms, p99 2000 ms, worst 2000 ms; 1 x GET /: status 503"
    assert str(summarise([])).startswith("0 requests, 0 failed")


def test_time_is_cut_into_intervals_that_say_what_was_lost_when() -> None:
    tally = Tally(seconds=[0.001, 0.002, 0.5, 0.003], ends=[100.0, 100.1, 100.7, 103.0], lost=[2])
    assert intervals([tally]) == (
        Interval(100.0, 2, 0, 2.0, 2.0),
        Interval(100.5, 1, 1, 500.0, 500.0),
        Interval(103.0, 1, 0, 3.0, 3.0),
    )
    assert intervals([]) == ()


def test_a_long_rollout_has_no_more_intervals_than_asked_for() -> None:
    tally = Tally(seconds=[0.001] * 5000, ends=[float(i) for i in range(5000)])
    found = intervals([tally], most=50)
    assert len(found) <= 51
    assert sum(interval.requests for interval in found) == 5000
