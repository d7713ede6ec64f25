"""The application behind a real gunicorn, asked over a socket: what any framework and database must answer alike.

The suite imports nothing of the application. Every test runs against each framework, and on each database by one of
them: what a framework does does not depend on the database. On PostgreSQL the application has the role that production
gives it.

With CONTRACT_DATABASE_URL the suite asks an application on that database, as often as wanted, and leaves out what is
not about one: so the suite of a release shows whether it works on the schema of the next (`make check-migrations`).
With CONTRACT_TRACE the statements that it causes are written into that file (`make record`). Without either, Flask's
servers note theirs as well, and a test that causes one that was not recorded says so.
"""

import contextlib
import dataclasses
import functools
import http.client
import json
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.migrations.synthetic import unknown
from tests.support import mail
from tests.support import mariadb as mariadb_support
from tests.support.postgres import DATABASES, NAME, OWNER, PASSWORDS, Cluster

COMBINATIONS = [*(("flask", kind) for kind in DATABASES), ("falcon", "sqlite")]
ROOT = Path(__file__).parents[2]
SECRET_KEY = "kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E"
DEADLINE = 30.0
GIVEN = os.environ.get("CONTRACT_DATABASE_URL", "")
TRACE = {name: value for name in ["CONTRACT_TRACE"] if (value := os.environ.get(name))}
BY_CHANCE = ("test_at_once.py", "test_openapi.py")  # which statements they cause is known by nobody beforehand
PASSWORD = "correct horse battery"
RUN = secrets.token_hex(4)  # in addresses, so that a database may be asked by several runs


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a database that was given, leave out what starts servers of its own."""
    if GIVEN:
        asking = [item for item in items if "server" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in asking])
        items[:] = asking


@dataclasses.dataclass(frozen=True)
class Answer:
    """A response, read in full."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    asked: str = ""  # shown where an assertion fails

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A gunicorn of our own, on a listening socket that it inherits, so that no port can be taken in between."""

    def __init__(self, environ: Mapping[str, str], log: Path, *options: str) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.log = log
        number = self.listener.fileno()
        served = "tests.migrations.recorder:application" if "CONTRACT_TRACE" in environ else "app.wsgi:application"
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{number}", "--no-control-socket", *options]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, served],
                cwd=ROOT,
                env=dict(environ),
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[number],
            )

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask once, on a connection of its own."""
        with contextlib.closing(self.connect()) as connection:
            return send(connection, method, path, body, headers)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def wait(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + DEADLINE
        while True:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            with contextlib.suppress(OSError):
                if self.ask("GET", "/livez").status == 200:
                    return
            time.sleep(0.05)

    def stop(self) -> int:
        """Ask it to finish, and return its exit code."""
        self.process.terminate()
        code = self.process.wait(timeout=DEADLINE)
        self.listener.close()
        return code

    def lines(self) -> list[dict[str, Any]]:
        """Everything that was logged. Every line must be JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Ask on a connection that stays open."""
    connection.request(method, path, body, dict(headers or {}))
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read(), f"{method} {path}")


Ask = Callable[..., Answer]


def combinations() -> list[tuple[str, str]]:
    """Framework and kind of database of each server."""
    kind = GIVEN.partition(":")[0].partition("+")[0]
    return [("flask", kind)] if GIVEN else COMBINATIONS


@pytest.fixture(scope="session", params=combinations(), ids="-".join)
def combination(request: pytest.FixtureRequest) -> tuple[str, str]:
    framework, database = request.param
    return framework, database


@pytest.fixture(scope="session")
def framework(combination: tuple[str, str]) -> str:
    return combination[0]


@pytest.fixture(scope="session")
def database(combination: tuple[str, str]) -> str:
    return combination[1]


@pytest.fixture(scope="session")
def places(
    request: pytest.FixtureRequest, framework: str, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The variables that lead to a database with all places: the one that was given, or one of this suite's own."""
    if GIVEN:
        yield {"DATABASE_URL": GIVEN}
        return
    if database == "sqlite":
        folder = tmp_path_factory.mktemp("contract")
        shutil.copy(request.getfixturevalue("seeded_database"), folder / "gazetteer.sqlite3")
        yield {"DATABASE_URL": f"sqlite:///{folder}/gazetteer.sqlite3"}
        return
    if database == "mariadb":
        place = request.getfixturevalue("mariadb").tcp_url("full")
        yield {"DATABASE_URL": place, "DATABASE_PASSWORD": mariadb_support.PASSWORD}
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    cluster.clone("full", f"contract_{framework}")
    yield {"DATABASE_URL": cluster.tcp_url(f"contract_{framework}"), "DATABASE_PASSWORD": PASSWORDS[NAME]}
    cluster.drop(f"contract_{framework}")


@pytest.fixture
def empty(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Iterator["Empty"]:
    """A database that is not there yet."""
    if database == "sqlite":
        yield EmptySqlite(tmp_path / "new.sqlite3")
        return
    if database == "mariadb":
        on_mariadb = EmptyMariadb(request.getfixturevalue("mariadb"))
        yield on_mariadb
        on_mariadb.server.drop("late")
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    yield EmptyPostgresql(cluster)
    cluster.sql("DROP DATABASE IF EXISTS late WITH (FORCE)")


class EmptySqlite:
    """A file that is made in a moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.variables = self.owner = {"DATABASE_URL": f"sqlite:///{path}"}

    def make(self) -> None:
        assert not self.path.exists(), "asking makes no database"
        sqlite3.connect(self.path).close()

    def write(self, statement: str) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement)


class EmptyPostgresql:
    """A database with its roles, in a moment."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.variables = {"DATABASE_URL": cluster.url("late")}
        self.owner = {"DATABASE_URL": cluster.url("late", OWNER)}

    def make(self) -> None:
        self.cluster.make_roles("late")

    def write(self, statement: str) -> None:
        self.cluster.sql(statement, "late")


class EmptyMariadb:
    """A database of the application's user, in a moment."""

    def __init__(self, server: mariadb_support.Server) -> None:
        self.server = server
        self.variables = self.owner = {"DATABASE_URL": server.url("late")}

    def make(self) -> None:
        self.server.make("late")

    def write(self, statement: str) -> None:
        self.server.sql(statement, database="late")


Empty = EmptySqlite | EmptyPostgresql | EmptyMariadb


@pytest.fixture(scope="session")
def inbox() -> Iterator[mail.Inbox]:
    """A mail server for all of them. Jobs are done at once: what a request sends is there with its answer."""
    with mail.serving() as inbox:
        yield inbox


class Trace:
    """Where servers write their statements down, several processes at once."""

    def __init__(self, path: Path) -> None:
        self.path, self.read = path, 0

    def lines(self) -> list[str]:
        """What came since it was asked before; a line that is still being written comes the next time."""
        with self.path.open("ab+") as file:
            file.seek(self.read)
            whole = file.read().rpartition(b"\n")[0]
        self.read += len(whole) + bool(whole)
        return whole.decode().splitlines()


@pytest.fixture(scope="session")
def trace(framework: str, tmp_path_factory: pytest.TempPathFactory) -> Trace | None:
    """What one framework's servers write; the others are served just as a deployment does it."""
    return Trace(tmp_path_factory.mktemp("trace") / "statements") if framework == "flask" and not GIVEN else None


@pytest.fixture(autouse=True)
def _recorded(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let no test cause a statement that the release's recording lacks: it would never be rehearsed."""
    yield
    trace: Trace | None = request.getfixturevalue("trace") if "server" in request.fixturenames else None
    if trace:
        missing = unknown(trace.lines(), recorded(request.getfixturevalue("database")))
        assert missing == [] or request.path.name in BY_CHANCE, "type make record, and commit app/rehearsal/"


@functools.cache
def recorded(kind: str) -> tuple[str, ...]:
    """The statements of the recording that ships."""
    text = (ROOT / "app" / "rehearsal" / f"{kind}.json").read_text(encoding="utf-8")
    return tuple(json.loads(text)["statements"])


@pytest.fixture(scope="session")
def environ(framework: str, places: dict[str, str], inbox: mail.Inbox, trace: Trace | None) -> dict[str, str]:
    """The variables of a release, with all places in its database."""
    return {
        "SECRET_KEY": SECRET_KEY,
        **places,
        "APP_FRAMEWORK": framework,
        "RELEASE_VERSION": "1.4.0+g1a2b3c4",
        "RELEASE_GENERATION": "17",
        "ALLOWED_HOSTS": "127.0.0.1,places.example",
        "TRUSTED_PROXIES": "1",
        "SMTP_URL": inbox.url,
        "CORS_ORIGINS": "https://maps.example",
        "LOGIN_RATE_LIMIT": "off",
        **({"CONTRACT_TRACE": str(trace.path)} if trace else TRACE),
    }


@pytest.fixture(scope="session")
def server(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the whole suite, started as a deployment starts it."""
    log = tmp_path_factory.mktemp("log") / "gunicorn.log"
    options = ("--preload", "--worker-class", "gthread", "--workers", "2", "--threads", "8", "--keep-alive", "75")
    server = Server(environ, log, *options)
    server.wait()
    yield server
    assert server.stop() == 0


@pytest.fixture
def get(server: Server) -> Ask:
    def ask(path: str, **headers: str) -> Answer:
        return server.ask("GET", path, headers=headers)

    return ask


@pytest.fixture
def post(server: Server) -> Ask:
    """POST JSON; bytes go as they are."""

    def ask(path: str, content: object, **headers: str) -> Answer:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return server.ask("POST", path, body, {"Content-Type": "application/json", **headers})

    return ask


@pytest.fixture
def user(post, inbox: mail.Inbox, request: pytest.FixtureRequest) -> dict[str, object]:
    """Somebody who has signed up and followed the link."""
    email = f"{request.node.name.replace('[', '-').strip(']')}-{RUN}@example.org"[-60:]
    assert post("/api/v1/auth/sign-ups", {"email": email, "name": "Me", "password": PASSWORD}).status == 202
    created = post("/api/v1/auth/verifications", {"token": inbox.link(email.lower(), "verify")})
    assert created.status == 201
    return {**created.json, "location": created.headers["Location"]}


@pytest.fixture
def token(post, user) -> str:
    answer = post("/api/v1/auth/tokens", {"email": user["email"], "password": PASSWORD})
    assert answer.status == 201
    return answer.json["token"]
