"""A PostgreSQL of the tests' own: Debian's programs, a directory that is thrown away, nothing that must survive.

Each process of tests has one server, with the roles of salt/postgresql/files/roles.sql. Its data directory is a copy of
one that is made once and kept between runs, with a migrated database to clone and one that has all places.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ROLES = ROOT / "salt" / "postgresql" / "files" / "roles.sql"
DATABASES = ("sqlite", "postgresql", "mariadb")
NAME = "gazetteer".replace("-", "_")  # of a role and a database: as deploy/pillar.py names them
OWNER, READER = f"{NAME}_owner", f"{NAME}_reader"
SUPERUSER = "postgres"
FOLDER = "gazetteer-postgresql-"
DEADLINE = 60
PASSWORDS = {role: secrets.token_urlsafe(12) for role in (NAME, OWNER, READER)}

# Nobody needs these databases after a power cut. Without autovacuum no plan changes in the middle of a test.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "2MB",
    "max_wal_size": "64MB",
    "log_min_messages": "fatal",
}
ACCESS = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


def programs() -> Path | None:
    """The folder of PostgreSQL's own programs, which is not on PATH; None if it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


def needed() -> Path:
    """The same, or else the test is skipped, except where nothing may be."""
    found = programs()
    if found is None:
        message = "PostgreSQL is not installed; as root, type: apt-get install postgresql"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    return found


class Cluster:
    """A running server."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self.folder = folder
        self.process = process
        self.port = port

    def url(self, database: str, role: str = NAME) -> str:
        """Of a database, by its socket, where no password is asked for."""
        return f"postgresql+psycopg://{role}@/{database}?host={self.folder}&port={self.port}"

    def tcp_url(self, database: str, role: str = NAME) -> str:
        """Of a database, over the network, where one is."""
        return f"postgresql+psycopg://{role}@127.0.0.1:{self.port}/{database}"

    def sql(self, text: str, database: str = "postgres", role: str = SUPERUSER) -> str:
        """What psql prints for some SQL, unaligned and without headings."""
        return self.psql("--quiet", "--tuples-only", "--no-align", "--command", text, database=database, role=role)

    def psql(self, *arguments: str, database: str = "postgres", role: str = SUPERUSER) -> str:
        where = [f"--host={self.folder}", f"--port={self.port}", f"--username={role}", database]
        command = [str(needed() / "psql"), "--no-psqlrc", "--set=ON_ERROR_STOP=1", *arguments, *where]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def make_roles(self, database: str, name: str = NAME) -> str:
        """Run the script that production runs, and return what it says it has changed."""
        return self.psql("--file", str(ROLES), f"--set=name={name}", f"--set=database={database}")

    def set_passwords(self) -> None:
        for role, password in PASSWORDS.items():
            self.sql(f"ALTER ROLE {role} PASSWORD '{password}'")

    def clone(self, template: str, name: str) -> None:
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER} STRATEGY file_copy")

    def drop(self, name: str) -> None:
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")


def account() -> Mapping[str, Any]:
    """How to start PostgreSQL's programs: they refuse to run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def folder(prefix: str = FOLDER) -> Iterator[Path]:
    """A folder for a server, which is gone afterwards; one that a killed run has left is removed first.

    Whose folder is locked lives. It gets its name once it is locked, so that nobody finds it before.
    """
    base = Path(tempfile.gettempdir())
    _sweep(base, prefix)
    hidden = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=base))
    with _opened(hidden) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        made = hidden.rename(base / hidden.name.removeprefix("."))
        try:
            yield made
        finally:
            shutil.rmtree(made)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sweep(base: Path, prefix: str) -> None:
    for left in base.glob(f"{prefix}*/"):
        with suppress(OSError), _opened(left) as descriptor:  # it lives, is another user's, or went just now
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)


def make_data(data: Path) -> None:
    """Make an empty data directory."""
    data.mkdir()
    if os.geteuid() == 0:
        shutil.chown(data.parent, "postgres", "postgres")
        shutil.chown(data, "postgres", "postgres")
    initdb = [needed() / "initdb", "--pgdata", data, "--no-sync", "--username", SUPERUSER, "--auth", "trust"]
    initdb += ["--encoding", "UTF8", "--locale", "C.UTF-8", "--wal-segsize", "1"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/", **account())
    (data / "pg_hba.conf").write_text(ACCESS)


@contextmanager
def running(data: Path, *, keep: bool = False) -> Iterator[Cluster]:
    """A server on a data directory. It dies with this process, however that ends.

    ``keep`` lets it leave the directory so that it can be copied.
    """
    for _ in range(5):
        cluster = _start(data)
        if cluster:
            break
    else:
        raise AssertionError((data.parent / "log").read_text())
    try:
        yield cluster
    finally:
        # "Fast" or "immediate"; "smart" would wait for every session.
        cluster.process.send_signal(signal.SIGINT if keep else signal.SIGQUIT)
        cluster.process.wait(DEADLINE)


def _start(data: Path) -> Cluster | None:
    """Start on a free port; None if somebody else was quicker to take it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = {**SETTINGS, "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": data.parent}
    command = ["setpriv", "--pdeathsig", "QUIT", "--", str(needed() / "postgres"), "-D", str(data)]
    command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with (data.parent / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **account())
    ready = [str(needed() / "pg_isready"), "--quiet", f"--host={data.parent}", f"--port={port}"]
    deadline = time.monotonic() + DEADLINE
    while subprocess.run(ready, check=False).returncode != 0:
        if process.poll() is not None:
            assert "could not bind" in (data.parent / "log").read_text(), (data.parent / "log").read_text()
            return None
        assert time.monotonic() < deadline, (data.parent / "log").read_text()
        time.sleep(0.05)
    return Cluster(data.parent, process, port)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes out."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def copy(source: Path, target: Path) -> None:
    """Copy a data directory, owners and all."""
    subprocess.run(["cp", "--archive", "--reflink=auto", source, target], check=True)


def take(source: Path, target: Path) -> None:
    """Copy one that is kept into the folder of a server."""
    if os.geteuid() == 0:
        shutil.chown(target.parent, "postgres", "postgres")
    copy(source, target)
