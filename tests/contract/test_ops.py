"""What operators and load balancers see."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .conftest import DEADLINE, PASSWORD, ROOT, RUN, Answer, Ask, Empty, Server, send


def test_the_version_is_that_of_the_release(get, environ: dict[str, str]) -> None:
    current = [sys.executable, "-m", "app", "db", "current"]
    schema = subprocess.run(current, cwd=ROOT, env=environ, check=True, capture_output=True, text=True).stdout.strip()
    assert get("/version").json == {
        "name": "gazetteer",
        "version": "1.4.0+g1a2b3c4",
        "commit": "1a2b3c4",
        "generation": "17",
        "environment": "development",
        "schema_revision": schema,
    }


def sample(get: Ask, name: str) -> float:
    """One number of /metrics, whichever worker answers."""
    answer = get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = [line.rpartition(" ") for line in answer.body.decode().splitlines() if not line.startswith("#")]
    return next((float(number) for found, _, number in lines if found == name), 0.0)


def test_metrics_count_for_all_workers_by_route(get: Ask) -> None:
    counted = 'http_requests_total{method="GET",route="/api/v1/places/{place_id}",status="200"}'
    timed = 'http_request_duration_seconds_count{route="/api/v1/places/{place_id}"}'
    before = sample(get, counted), sample(get, timed)
    for _ in range(30):
        assert get("/api/v1/places/2267057").status == 200
    for _ in range(5):
        assert (sample(get, counted) - before[0], sample(get, timed) - before[1]) == (30, 30)
    assert "2267057" not in get("/metrics").body.decode()


def test_metrics_tell_what_runs_and_what_is_in_use(get: Ask, server: Server) -> None:
    labels = 'name="gazetteer",version="1.4.0+g1a2b3c4",generation="17"'
    assert sample(get, f"release_info{{{labels}}}") == 1
    get("/api/v1/places/2267057")
    assert sample(get, 'database_connections{state="idle"}') >= 1
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port))) as held:
        body = b'{"query": "Lisbon"}'
        head = f"POST /api/v1/geocode HTTP/1.1\r\nContent-Length: {len(body)}\r\n"
        held.sendall(head.encode() + b"Host: 127.0.0.1\r\nContent-Type: application/json\r\n\r\n" + body[:5])
        eventually(lambda: sample(get, "http_requests_in_flight") == 2)
        held.sendall(body[5:])
        assert held.recv(12)
    eventually(lambda: sample(get, "http_requests_in_flight") == 1)


def test_a_thousand_requests_leave_no_connection_behind(server: Server, get: Ask) -> None:
    """Good ones, refused ones, and clients that go away: before the answer, or in the middle of asking."""
    geocode = b'{"query": "Lisbon"}'
    json_type = {"Content-Type": "application/json"}
    whole = [
        ("GET", "/api/v1/places?q=lisb", None),
        ("GET", "/api/v1/places/2267057", None),
        ("GET", "/version", None),
        ("GET", "/api/v1/places/999999999", None),
        ("GET", "/api/v1/places?limit=0", None),
        ("GET", "/api/v1/users/me", None),
        ("POST", "/api/v1/geocode", b"{"),
        ("POST", "/api/v1/geocode", geocode),
    ]
    head = b"POST /api/v1/geocode HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    cut = [
        b"GET /api/v1/places?q=lisb HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        head + b"Content-Length: 19\r\n\r\n" + geocode,
        head + b"Content-Length: 19\r\n\r\n" + geocode[:7],
        head[:20],
    ]

    def client(number: int) -> set[int]:
        found = set()
        with contextlib.closing(server.connect()) as connection:
            for turn in range(125):
                if turn % 5 == 4:
                    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as gone:
                        gone.sendall(cut[(number + turn // 5) % len(cut)])
                else:
                    found.add(send(connection, *whole[(number + turn) % len(whole)], json_type).status)
        return found

    with ThreadPoolExecutor(8) as threads:
        assert set().union(*threads.map(client, range(8))) == {200, 400, 401, 404, 422}
    eventually(lambda: sample(get, "http_requests_in_flight") == 1)
    assert sample(get, 'database_connections{state="in_use"}') == 0
    assert sample(get, 'database_connections{state="idle"}') >= 1, "there were connections to leak"


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_readiness_follows_the_schema(environ: dict[str, str], empty: Empty, tmp_path: Path) -> None:
    """Missing and empty: not ready. Up to date, or newer than this release: ready. No restart in between."""
    plain = {name: value for name, value in environ.items() if not name.startswith("DATABASE_")}
    variables = {**plain, **empty.variables}
    server = Server(variables, tmp_path / "log", "--preload", "--worker-class", "gthread")
    try:
        server.wait()
        missing = server.ask("GET", "/readyz")
        assert missing.status == 503
        assert "can't be reached" in missing.json["reasons"][0]
        empty.make()
        unmigrated = server.ask("GET", "/readyz")
        assert unmigrated.status == 503
        assert "empty" in unmigrated.json["reasons"][0]
        assert server.ask("GET", "/livez").status == 200
        subprocess.run(
            [sys.executable, "-m", "app", "db", "upgrade"], cwd=ROOT, env={**plain, **empty.owner}, check=True
        )
        assert server.ask("GET", "/readyz").status == 200
        empty.write("UPDATE alembic_version SET version_num = '9999'")
        assert server.ask("GET", "/readyz").status == 200
        assert server.ask("HEAD", "/readyz").body == b""
    finally:
        assert server.stop() == 0


def test_who_is_leaving_is_not_ready(environ: dict[str, str], tmp_path: Path) -> None:
    """A load balancer's kept connection hears of it while a request in flight is still answered."""
    server = Server(environ, tmp_path / "log", "--preload", "--worker-class", "gthread", "--threads", "4")
    body = b'{"query": "Lisbon"}'
    head = f"POST /api/v1/geocode HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
    try:
        server.wait()
        with contextlib.closing(server.connect()) as kept, socket.create_connection(("127.0.0.1", server.port)) as held:
            held.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body[:5])
            eventually(lambda: b"http_requests_in_flight 2" in send(kept, "GET", "/metrics").body)
            server.process.terminate()
            seen: list[Answer] = []
            eventually(lambda: seen.append(send(kept, "GET", "/readyz")) or seen[-1].status == 503)
            assert "leaving" in seen[-1].json["reasons"][0]
            held.sendall(body[5:])
            assert held.recv(15).startswith(b"HTTP/1.1 200")
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("options", [["--preload"], []])
def test_an_invalid_environment_ends_gunicorn_with_a_clear_message(tmp_path: Path, options: list[str]) -> None:
    server = Server({"SECRET_KEY": "hunter2", "LOG_LEVEL": "LOUD"}, tmp_path / "log", *options)
    assert server.process.wait(timeout=30) != 0
    server.listener.close()
    said = server.log.read_text()
    assert "SECRET_KEY: expected" in said
    assert "LOG_LEVEL: expected" in said
    assert "Traceback" not in said
    assert "hunter2" not in said


class TestLogs:
    def test_every_line_is_json_and_names_release_and_generation(self, server: Server, get) -> None:
        get("/version")
        lines = server.lines()
        assert {"gunicorn.error", "app.middleware.access_log"} <= {line["logger"] for line in lines}
        for line in lines:
            assert (line["release"], line["generation"]) == ("1.4.0+g1a2b3c4", "17")
            assert {"time", "level", "source", "message", "request_id", "user_id"} <= set(line)

    def test_every_line_that_a_request_caused_has_its_id(self, server: Server, post) -> None:
        before = len(server.lines())
        post("/api/v1/auth/tokens", {"email": "x@example.org", "password": "x"}, **{"X-Request-ID": "find-me"})
        # gunicorn may still be telling that its second worker has started.
        caused = [line for line in server.lines()[before:] if line["logger"].startswith("app.")]
        assert [line["message"] for line in caused] == ["log-in refused", "POST /api/v1/auth/tokens 401"]
        assert {line["request_id"] for line in caused} == {"find-me"}

    def test_lines_of_its_jobs_have_it_as_well(self, server: Server, post, inbox) -> None:
        """Signing up has a letter sent by a job: by this process here, by a worker's where there is a broker."""
        before = len(server.lines())
        email = f"jobs@{RUN}-{server.port}.example.org"
        user = {"email": email, "name": "Me", "password": PASSWORD}
        assert post("/api/v1/auth/sign-ups", user, **{"X-Request-ID": "find-my-job"}).status == 202
        assert inbox.link(email, "verify")
        caused = [line for line in server.lines()[before:] if line["logger"].startswith("app.")]
        assert {line["request_id"] for line in caused} == {"find-my-job"}
        assert any(line["logger"] == "app.jobs.runner" and "job" in line for line in caused)
        assert caused[-1]["message"] == "POST /api/v1/auth/sign-ups 202"

    def test_no_secret_and_no_personal_data(self, server: Server, get, post, inbox) -> None:
        email = f"private@{RUN}-{server.port}.example.org"
        user = {"email": email, "name": "Mary Private", "password": "correct horse battery"}
        for address in (email, f"refused-{email}"):
            assert post("/api/v1/auth/sign-ups", {**user, "email": address}).status == 202
        link = inbox.link(email, "verify")
        assert post("/api/v1/auth/verifications", {"token": link}).status == 201
        credentials = {"email": email, "password": user["password"]}
        token = post("/api/v1/auth/tokens", credentials).json["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        post("/api/v1/auth/tokens", {**credentials, "password": "wrong horse battery"})
        post("/api/v1/users/me/password", {"current": "wrong horse battery", "new": "other horse"}, **bearer)
        post("/api/v1/auth/password-resets", {"email": email})
        get("/api/v1/users/me?from=private@example.org", **bearer)
        reset = inbox.link(email, "reset")
        post("/api/v1/auth/password-resets/confirm", {"token": reset, "password": "other horse battery"})
        get("/private@example.org")
        get("/livez", **{"X-Forwarded-For": "203.0.113.77"})
        text = server.log.read_text()
        assert "GET /api/v1/users/me 200" in text
        assert "the mail server refused the recipient" in text
        for private in ("private@", "Private", "horse", token, link, reset, "kU4vPq8Z", "203.0.113.77", "$argon2"):
            assert private not in text
