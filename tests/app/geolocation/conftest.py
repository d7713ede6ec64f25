"""All places there are, for tests that read them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.database.engine import make_engine
from app.database.target import Target
from tests.support.mariadb import Server
from tests.support.postgres import READER, Cluster


@pytest.fixture(scope="module")
def full(seeded_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A database with the full dataset. Only for reading: the tests of a module share it."""
    path = tmp_path_factory.mktemp("full") / "full.sqlite3"
    shutil.copy(seeded_database, path)
    engine = make_engine(Target(f"sqlite:///{path}"))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def full_on_postgresql(postgres: Cluster) -> Iterator[Engine]:
    """The same, as the role that reads."""
    engine = make_engine(Target(postgres.url("full", READER)))
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def full_on_mariadb(mariadb: Server) -> Iterator[Engine]:
    """The same on MariaDB."""
    engine = make_engine(Target(mariadb.url("full")))
    yield engine
    engine.dispose()
