"""A MariaDB of the tests' own, as tests/support/postgres.py has a PostgreSQL: one a process, thrown away afterwards.

Its defaults are those of an installation that nobody has thought about: what the application needs, it must ask for.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.constants import CLIENT

NAME = "gazetteer".replace("-", "_")  # of a role and a database: as deploy/pillar.py names them
PASSWORD = secrets.token_urlsafe(12)
FOLDER = "gazetteer-mariadb-"
SERVER = Path("/usr/sbin/mariadbd")
DEADLINE = 60

# Nobody needs these databases after a power cut.
SETTINGS = {
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-doublewrite": "0",
    "innodb-buffer-pool-size": "64M",
    "innodb-log-file-size": "16M",
    "innodb-file-per-table": "0",
    "sync-frm": "0",
    "performance-schema": "0",
    "skip-log-bin": None,
    "skip-name-resolve": None,
    "sql-mode": "",
    "bind-address": "127.0.0.1",
}


def needed() -> Path:
    """MariaDB's server, or else the test is skipped, except where nothing may be."""
    if not SERVER.exists():
        message = "MariaDB is not installed; as root, type: apt-get install mariadb-server-core mariadb-client-core"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    return SERVER


class Server:
    """A running server."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self.folder = folder
        self.process = process
        self.port = port
        self.schemas: dict[str, list[str]] = {}

    @property
    def socket(self) -> Path:
        return self.folder / "mariadb.sock"

    def url(self, database: str) -> str:
        """Of a database, by its socket."""
        return f"mariadb+pymysql://{NAME}:{PASSWORD}@/{database}?unix_socket={self.socket}"

    def tcp_url(self, database: str) -> str:
        """Of a database, over the network, without the password."""
        return f"mariadb+pymysql://{NAME}@127.0.0.1:{self.port}/{database}"

    def sql(self, *statements: str, database: str | None = None) -> Sequence[Sequence[Any]]:
        """The rows of the last statement, as the superuser."""
        with (
            closing(
                pymysql.connect(
                    unix_socket=str(self.socket),
                    user="root",
                    database=database,
                    charset="utf8mb4",
                    client_flag=CLIENT.MULTI_STATEMENTS,
                    ssl_disabled=True,
                    autocommit=True,
                )
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(";".join(statements))
            rows = cursor.fetchall()
            while cursor.nextset():
                rows = cursor.fetchall()
            return rows

    def make(self, database: str) -> None:
        """A database as an administrator makes one who thinks of nothing but who may use it."""
        self.sql(f"CREATE DATABASE {database}", f"GRANT ALL ON {database}.* TO '{NAME}'@'%'")

    def set_password(self) -> None:
        self.sql(f"CREATE OR REPLACE USER '{NAME}'@'%' IDENTIFIED BY '{PASSWORD}'")
        for (database,) in self.sql("SHOW DATABASES LIKE 'full'"):
            self.sql(f"GRANT ALL ON {database}.* TO '{NAME}'@'%'", f"GRANT ALL ON empty.* TO '{NAME}'@'%'")

    def clone(self, template: str, name: str) -> None:
        """A database with the tables of another, and the rows of its smallest: which migrations ran."""
        if template not in self.schemas:
            tables = [row[0] for row in self.sql(f"SHOW TABLES FROM {template}")]
            made = [self.sql(f"SHOW CREATE TABLE {template}.{table}")[0][1] for table in tables]
            self.schemas[template] = made
        default = "SELECT default_collation_name FROM information_schema.schemata WHERE schema_name = '{}'"
        collation = self.sql(default.format(template))[0][0]
        self.sql(
            f"CREATE DATABASE {name} COLLATE {collation}",
            f"GRANT ALL ON {name}.* TO '{NAME}'@'%'",
            f"USE {name}",
            "SET foreign_key_checks = 0",
            *self.schemas[template],
            f"INSERT INTO alembic_version SELECT * FROM {template}.alembic_version",  # noqa: S608
        )

    def drop(self, name: str) -> None:
        self.sql(f"DROP DATABASE IF EXISTS {name}")


def account() -> Mapping[str, Any]:
    """How to start the server: it refuses to run as root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def owned(path: Path) -> None:
    """Give a file or folder to whom the server runs as."""
    if os.geteuid() == 0:
        shutil.chown(path, "nobody", "nogroup")


def make_data(data: Path) -> None:
    """Make an empty data directory."""
    needed()
    data.mkdir()
    owned(data.parent)
    owned(data)
    command = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"]
    command += ["--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=16M", "--innodb-file-per-table=0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **account())
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running(data: Path, *, keep: bool = False) -> Iterator[Server]:
    """A server on a data directory. It dies with this process, however that ends.

    ``keep`` lets it leave the directory so that it can be copied.
    """
    for _ in range(5):
        server = _start(data)
        if server:
            break
    else:
        raise AssertionError((data.parent / "log").read_text())
    try:
        yield server
    finally:
        server.process.send_signal(signal.SIGTERM if keep else signal.SIGKILL)
        server.process.wait(DEADLINE)


def _start(data: Path) -> Server | None:
    """Start on a free port; None if somebody else was quicker to take it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    folder = data.parent
    owned(folder)
    places = {"datadir": data, "socket": folder / "mariadb.sock", "pid-file": folder / "pid", "tmpdir": folder}
    command = ["setpriv", "--pdeathsig", "KILL", "--", str(needed()), "--no-defaults", f"--port={port}"]
    command += [f"--{name}={value}" for name, value in places.items()]
    command += [f"--{name}" if value is None else f"--{name}={value}" for name, value in SETTINGS.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **account())
    server = Server(folder, process, port)
    deadline = time.monotonic() + DEADLINE
    while not answers(server):
        if process.poll() is not None:
            assert "Address already in use" in (folder / "log").read_text(), (folder / "log").read_text()
            return None
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.05)
    return server


def answers(server: Server) -> bool:
    """Ask by a socket of our own: the driver forgets to close one that is refused."""
    with socket.socket(socket.AF_UNIX) as asked:
        try:
            asked.connect(str(server.socket))
        except OSError:
            return False
        return bool(asked.recv(1))
