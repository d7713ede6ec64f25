"""Backups made, proven and restored, on a real PostgreSQL and a real SQLite, while others use the database."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.agent.backups import kept, make
from deploy.agent.backups.engine import Engine
from deploy.agent.backups.postgresql import Postgresql
from deploy.agent.backups.sqlite import Sqlite
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from tests.support.postgres import OWNER, Cluster, needed


@dataclass(frozen=True)
class Case:
    """A database with three users, and how to speak with it as the application does."""

    engine: Engine
    layout: Layout
    ask: Callable[..., list[tuple[Any, ...]]]

    def names(self) -> list[str]:
        return [name for (name,) in self.ask("SELECT name FROM users ORDER BY name")]

    def add(self, *names: str) -> None:
        for name in names:
            self.ask(f"INSERT INTO users (name) VALUES ('{name}')")  # noqa: S608

    def backup(self, keep: int = 5, **about: str) -> dict[str, Any]:
        return make.backup(self.layout, self.engine, keep, about, lambda _: None)

    def restore(self, identifier: str = "latest") -> dict[str, Any]:
        return make.restore(self.layout, self.engine, identifier, lambda _: None)


def engine_of(postgres: Cluster, database: str) -> Postgresql:
    """The agent's, that comes in as the server's own superuser where one runs; here by the socket of the tests'."""
    reach = {"PGHOST": str(postgres.folder), "PGPORT": str(postgres.port), "PGUSER": "postgres"}
    return Postgresql(database, (), {"PATH": f"{needed()}:{os.defpath}", "LANG": "C.UTF-8", **reach})


@pytest.fixture
def on_postgresql(postgres: Cluster, tmp_path: Path) -> Iterator[Case]:
    name = "kept"
    postgres.make_roles(name)
    postgres.sql("CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL UNIQUE)", name, OWNER)
    connections: list[psycopg.Connection[Any]] = []

    def ask(sql: str) -> list[tuple[Any, ...]]:
        """Keep a connection, as a server does, and open another when it was cut."""
        for connection in [each for each in connections if not each.closed]:
            with contextlib.suppress(psycopg.OperationalError):
                return rows(connection, sql)
        connections.append(psycopg.connect(postgres.url(name).replace("+psycopg", ""), autocommit=True))
        return rows(connections[-1], sql)

    yield Case(engine_of(postgres, name), Layout.under(tmp_path), ask)
    for connection in connections:
        connection.close()
    for database in postgres.sql(f"SELECT datname FROM pg_database WHERE datname LIKE '{name}%'").splitlines():  # noqa: S608
        postgres.drop(database)


def rows(connection: psycopg.Connection[Any], sql: str) -> list[tuple[Any, ...]]:
    cursor = connection.execute(sql.encode())
    return cursor.fetchall() if cursor.description else []


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Case]:
    layout = Layout.under(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "x.sqlite3", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)")
        engine = Sqlite(str(tmp_path / "x.sqlite3"), kept.folder(layout))
        yield Case(engine, layout, lambda sql: connection.execute(sql).fetchall())


@pytest.fixture(params=["sqlite", "postgresql"])
def case(request: pytest.FixtureRequest) -> Case:
    made: Case = request.getfixturevalue(f"on_{request.param}")
    made.add("Ada", "Grace", "Edith")
    return made


def test_what_was_written_since_is_gone_and_who_is_connected_goes_on(case: Case) -> None:
    made = case.backup(why="asked for")
    case.add("Mallory")
    done = case.restore(made["identifier"])
    assert case.names() == ["Ada", "Edith", "Grace"]
    case.add("Alan")
    assert case.names() == ["Ada", "Alan", "Edith", "Grace"]
    assert done["before"], "what was in use until then is kept"
    assert done["about"] == {"why": "asked for"}


def test_only_its_owner_reads_it(case: Case) -> None:
    path = Path(case.backup()["path"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.with_suffix(".json").stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_counts_rows_and_what_keeps_them_right(case: Case) -> None:
    rows = case.backup()["rows"]
    assert next(number for name, number in rows.items() if name.endswith("users")) == 3
    assert rows["(index)"] >= 1


def test_only_the_newest_are_kept(case: Case) -> None:
    made = [case.backup(keep=2)["identifier"] for _ in range(3)]
    assert [backup.identifier for backup in kept.every(case.layout)] == [made[2], made[1]]
    assert kept.load(case.layout, "latest").identifier == made[2]
    with pytest.raises(AgentError, match=f"no backup {made[0]}"):
        case.restore(made[0])


def test_one_whose_bytes_have_changed_is_refused(case: Case) -> None:
    made = case.backup()
    with Path(made["path"]).open("r+b") as file:
        file.seek(200)
        file.write(b"\0\1\2")
    with pytest.raises(AgentError, match="not what was written"):
        case.restore()
    assert len(case.names()) == 3


def test_one_that_lacks_rows_when_it_is_restored_does_not_count(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are lost in the real scratch database, between the restore and the count."""
    count = type(case.engine).count

    def lose(engine: Engine, name: str) -> Any:
        return {table: max(number - 1, 0) for table, number in count(engine, name).items()}

    monkeypatch.setattr(type(case.engine), "count", lose)
    with pytest.raises(AgentError, match="users: 2, not 3"):
        case.backup()
    assert kept.every(case.layout) == []
    assert [path for path in case.layout.backups.iterdir() if path.suffix == ".dump"] == []


def test_a_restored_one_that_differs_is_not_switched_to(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    made = case.backup()
    case.add("Mallory")
    monkeypatch.setattr(type(case.engine), "count", lambda *_: {"public.users": 1, "users": 1})
    with pytest.raises(AgentError, match="is not the database"):
        case.restore(made["identifier"])
    assert "Mallory" in case.names()


def test_no_room_is_told_before_anything_is_written(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(case.engine), "room", lambda _: (1000, 1100))
    with pytest.raises(AgentError, match=r"1,000 bytes"):
        case.backup()


def test_what_a_killed_agent_left_is_cleared_away(case: Case) -> None:
    left = kept.folder(case.layout) / "20260101T000000Z.dump"
    left.write_bytes(b"half of it")
    assert kept.every(case.layout) == []
    case.backup()
    assert not left.exists()


def test_a_backup_of_another_database_is_refused(case: Case, tmp_path: Path) -> None:
    case.backup()
    other = Sqlite(str(tmp_path / "other.sqlite3"), kept.folder(case.layout))
    with pytest.raises(AgentError, match="of another database"):
        make.restore(case.layout, other, "latest", lambda _: None)


class TestPostgresql:
    @pytest.fixture
    def case(self, on_postgresql: Case) -> Case:
        on_postgresql.add("Ada")
        return on_postgresql

    def test_owner_rights_and_settings_are_as_before(self, case: Case, postgres: Cluster) -> None:
        postgres.sql(
            "ALTER DATABASE kept SET work_mem = '7MB'; ALTER DATABASE kept SET search_path = \"$user\", public"
        )
        case.backup()
        before = case.restore()["before"]
        assert postgres.make_roles("kept") == "", "the roles' script has nothing left to do"
        assert case.ask("SHOW work_mem") == [("7MB",)]
        assert case.ask("SHOW search_path") == [('"$user", public',)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            case.ask("DROP TABLE users")
        assert postgres.sql("SELECT count(*) FROM users", before) == "1"

    def test_what_an_earlier_restore_put_aside_goes(self, case: Case, postgres: Cluster) -> None:
        first, second = case.backup()["identifier"], case.backup()["identifier"]
        case.restore(first)
        case.restore(second)
        aside = postgres.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'kept_%'")
        assert aside == "1", "one from before, and no scratch database"

    def test_a_server_that_is_gone_is_told(self, tmp_path: Path) -> None:
        engine = Postgresql("kept", (), {"PATH": f"{needed()}:{os.defpath}", "PGHOST": str(tmp_path)})
        with pytest.raises(AgentError, match=r"psql: .*No such file"):
            make.backup(Layout.under(tmp_path), engine, 5, {}, lambda _: None)


class TestSqlite:
    @pytest.fixture
    def case(self, on_sqlite: Case) -> Case:
        on_sqlite.add("Ada")
        return on_sqlite

    def test_a_damaged_database_can_be_restored_over(self, case: Case) -> None:
        case.backup()
        path = Path(case.engine.database)
        case.ask("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(4096))
        before = Path(case.restore()["before"])
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT name FROM users").fetchall() == [("Ada",)]
        assert stat.S_IMODE(before.stat().st_mode) == 0o600

    def test_a_file_that_is_not_there_is_told(self, case: Case, tmp_path: Path) -> None:
        engine = Sqlite(str(tmp_path / "none.sqlite3"), kept.folder(case.layout))
        with pytest.raises(AgentError, match="no such file"):
            make.backup(case.layout, engine, 5, {}, lambda _: None)
