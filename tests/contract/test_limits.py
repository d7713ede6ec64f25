"""Rate limits, counted for all workers together by Redis. Not about a framework, so asked of one server only."""

from pathlib import Path

import pytest

from tests.support import redis

from .conftest import Server

OPTIONS = ("--preload", "--worker-class", "gthread", "--workers", "2", "--threads", "4")


@pytest.fixture(params=[("flask", "sqlite")], ids="-".join, scope="session")
def combination(request: pytest.FixtureRequest) -> tuple[str, str]:
    framework, database = request.param
    return framework, database


def test_all_workers_count_together_and_say_so(environ: dict[str, str], tmp_path: Path) -> None:
    with redis.running() as broker:
        limits = {"API_RATE_LIMIT": "20/day", "LOGIN_RATE_LIMIT": "3/day"}
        server = Server({**environ, **broker.variables, **limits}, tmp_path / "log", *OPTIONS)
        try:
            server.wait()
            found = [server.ask("GET", "/api/v1/places?q=lisb") for _ in range(25)]
            assert [answer.status for answer in found] == [200] * 20 + [429] * 5
            assert [int(answer.headers["RateLimit"].split("r=")[1].split(";")[0]) for answer in found[:3]] == [
                19,
                18,
                17,
            ]
            refused = found[-1]
            assert refused.headers["RateLimit-Policy"] == '"api";q=20;w=86400'
            assert int(refused.headers["Retry-After"]) > 0
            assert refused.headers["Content-Type"] == "application/problem+json"
            elsewhere = {"X-Forwarded-For": "192.0.2.7"}
            assert server.ask("GET", "/api/v1/places?q=lisb", headers=elsewhere).status == 200
            tried = [
                server.ask("POST", "/api/v1/auth/tokens", b"{}", {"Content-Type": "application/json"}) for _ in "1234"
            ]
            assert [answer.status for answer in tried] == [422, 422, 422, 429]
            assert server.ask("GET", "/livez").status == 200
        finally:
            server.stop()
