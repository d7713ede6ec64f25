"""What operators and load balancers see."""

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, RUN, Empty, Server


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


def test_metrics_count_by_route(get) -> None:
    get("/api/v1/places/2267057")
    answer = get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    seen = [get("/metrics").body.decode() for _ in range(20)]  # of either worker
    assert any(
        'http_requests_total{method="GET",route="/api/v1/places/{place_id}",status="200"}' in text for text in seen
    )
    assert all("2267057" not in text for text in seen)


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
