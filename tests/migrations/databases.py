"""Databases for a while, of the kinds that the application runs on, with the roles of production."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.migrations.trees import Failed
from tests.support import mariadb, postgres
from tests.support.mariadb import Server
from tests.support.postgres import OWNER, Cluster


@dataclass(frozen=True)
class Urls:
    """A database, as the application's role and as the one that owns the schema."""

    app: str
    owner: str


class Databases(Protocol):
    kind: str

    @contextmanager
    def empty(self) -> Iterator[Urls]:
        """One without tables."""

    @contextmanager
    def copy(self, of: Urls) -> Iterator[Urls]:
        """One with the tables and rows of another, which nobody uses."""


class Sqlite:
    """Files in a folder."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers = itertools.count(1)

    @contextmanager
    def empty(self) -> Iterator[Urls]:
        path = self.folder / f"{next(self.numbers)}.sqlite3"
        yield Urls(f"sqlite:///{path}", f"sqlite:///{path}")
        for left in self.folder.glob(f"{path.name}*"):
            left.unlink()

    @contextmanager
    def copy(self, of: Urls) -> Iterator[Urls]:
        with self.empty() as urls:
            for ending in ("", "-wal"):
                source = Path(of.app.removeprefix("sqlite:///") + ending)
                if source.exists():
                    shutil.copy(source, urls.app.removeprefix("sqlite:///") + ending)
            yield urls


class Postgresql:
    """Databases of a running server."""

    kind = "postgresql"

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.numbers = itertools.count(1)

    def urls(self, name: str) -> Urls:
        return Urls(self.cluster.url(name), self.cluster.url(name, OWNER))

    @contextmanager
    def empty(self) -> Iterator[Urls]:
        name = f"migrations_{next(self.numbers)}"
        self.cluster.make_roles(name)
        yield self.urls(name)
        self.cluster.drop(name)

    @contextmanager
    def copy(self, of: Urls) -> Iterator[Urls]:
        name = f"migrations_{next(self.numbers)}"
        self.cluster.clone(of.app.partition("@/")[2].partition("?")[0], name)
        yield self.urls(name)
        self.cluster.drop(name)


class Mariadb:
    """Databases of a running server, whose one user owns and serves."""

    kind = "mariadb"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.numbers = itertools.count(1)

    @contextmanager
    def empty(self) -> Iterator[Urls]:
        name = f"migrations_{next(self.numbers)}"
        self.server.make(name)
        self.server.make(f"{name}_rehearsal")
        yield Urls(self.server.url(name), self.server.url(name))
        for each in (name, f"{name}_rehearsal"):
            self.server.drop(each)

    @contextmanager
    def copy(self, of: Urls) -> Iterator[Urls]:
        raise NotImplementedError("MariaDB copies no database")


@contextmanager
def every(folder: Path) -> Iterator[list[Databases]]:
    """Give one of each kind, of our own. Raises Failed where a server is not installed."""
    if postgres.programs() is None or not mariadb.SERVER.exists():
        packages = "postgresql mariadb-server-core mariadb-client-core"
        raise Failed(f"PostgreSQL or MariaDB is not installed; as root, type: apt-get install {packages}")
    with postgres.folder() as place, postgres.folder(mariadb.FOLDER) as other:
        postgres.make_data(place / "data")
        mariadb.make_data(other / "data")
        with postgres.running(place / "data") as cluster, mariadb.running(other / "data") as server:
            server.set_password()
            yield [Sqlite(folder), Postgresql(cluster), Mariadb(server)]
