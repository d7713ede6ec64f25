"""What several suites share: databases with all places, loaded once and kept between runs."""

import dataclasses
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import app
from app.clock import SystemClock
from app.database.engine import make_engine
from app.database.migrate import upgrade
from app.database.target import Target
from app.geolocation import dataset, seeding
from tests.support import mariadb as mariadb_support
from tests.support import postgres as support
from tests.support.postgres import OWNER, Cluster

# Where the shell forbids Python to keep bytecode, each program that a test starts would compile its libraries anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long an example takes says more about the neighbours than about the code: speed is measured in bench/.
hypothesis.settings.register_profile("slipway", deadline=None)
hypothesis.settings.load_profile("slipway")

DATA = [f"geolocation/{name}.py" for name in ("dataset", "models", "quarters", "seeding", "tables", "utils")]
"""What the rows of the kept databases depend on."""


@pytest.fixture(scope="session")
def kept(request: pytest.FixtureRequest) -> Path:
    """Where databases are kept, without an ending. Named after the code that makes them: a change makes new ones."""
    sources = Path(app.__file__).parent
    patterns = ("database/types.py", "database/mariadb.py", "migrations/**/*.py", *DATA)
    files = [path for pattern in patterns for path in sorted(sources.glob(pattern))]
    code = b"".join(
        Path(path).read_bytes() for path in (*files, support.ROLES, support.__file__, mariadb_support.__file__)
    )
    version = str(support.programs()).encode()
    name = hashlib.sha256(code + version + dataset.fingerprint().encode()).hexdigest()[:16]
    folder = request.config.cache.mkdir("gazetteer")
    with support.locked(folder / "lock"):
        for old in folder.iterdir():
            if old.name != "lock" and not old.name.startswith(name):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
    return folder / name


@pytest.fixture(scope="session")
def seeded_database(kept: Path) -> Path:
    """A migrated SQLite database with the full dataset. Copy it before writing to it."""
    path = kept.with_suffix(".sqlite3")
    with support.locked(kept.with_suffix(".sqlite3.lock")):
        if not path.exists():
            aside = path.with_suffix(f".{os.getpid()}")
            upgrade(Target(f"sqlite:///{aside}"))
            fill(Target(f"sqlite:///{aside}"))
            aside.rename(path)
    return path


def fill(target: Target) -> None:
    """Load the full dataset."""
    engine = make_engine(dataclasses.replace(target, statement_timeout=0))
    seeding.seed(engine, dataset.fingerprint(), dataset.read, SystemClock().now())
    engine.dispose()


@pytest.fixture(scope="session")
def postgres(kept: Path) -> Iterator[Cluster]:
    """A PostgreSQL server with the roles of production, and two databases to clone: ``empty`` and ``full``.

    ``full`` may be read where it is, too. The app's role reads and writes; only the owner changes a schema.
    """
    support.needed()
    data = kept.with_suffix(".postgresql")
    with support.folder() as folder:
        with support.locked(kept.with_suffix(".postgresql.lock")):
            if not data.exists():
                make_cluster(folder / "data")
                aside = data.with_suffix(f".{os.getpid()}")
                support.copy(folder / "data", aside)
                aside.rename(data)
            else:
                support.take(data, folder / "data")
        with support.running(folder / "data") as cluster:
            cluster.set_passwords()
            yield cluster


def make_cluster(data: Path) -> None:
    """Make the data directory that all runs copy."""
    support.make_data(data)
    with support.running(data, keep=True) as cluster:
        cluster.make_roles("empty")
        upgrade(Target(cluster.url("empty", OWNER)))
        cluster.make_roles("full")
        upgrade(Target(cluster.url("full", OWNER)))
        fill(Target(cluster.url("full")))
        cluster.sql("VACUUM ANALYZE", "full")


@pytest.fixture(scope="session")
def mariadb(kept: Path) -> Iterator[mariadb_support.Server]:
    """A MariaDB server with two databases: ``empty``, to clone, and ``full``, which may only be read."""
    mariadb_support.needed()
    data = kept.with_suffix(".mariadb")
    with support.folder(mariadb_support.FOLDER) as folder:
        with support.locked(kept.with_suffix(".mariadb.lock")):
            if not data.exists():
                make_mariadb(folder / "data")
                aside = data.with_suffix(f".{os.getpid()}")
                support.copy(folder / "data", aside)
                aside.rename(data)
            else:
                support.copy(data, folder / "data")
        with mariadb_support.running(folder / "data") as server:
            server.set_password()
            yield server


def make_mariadb(data: Path) -> None:
    """Make the data directory that all runs copy."""
    mariadb_support.make_data(data)
    with mariadb_support.running(data, keep=True) as server:
        server.set_password()
        for database in ("empty", "full"):
            server.make(database)
            upgrade(Target(server.url(database)))
        fill(Target(server.url("full")))
