import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, inspect

from app.database import migrate
from app.database.engine import make_engine
from app.database.migrate import CannotMigrate, disposed, upgrade
from app.database.revisions import read_revisions
from app.database.target import Target
from tests.support.postgres import DATABASES, OWNER, PASSWORDS, Cluster

HEAD = read_revisions()[-1].revision


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def new(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Iterator[Target]:
    """A database without any table, or the place where SQLite will make one."""
    if database == "sqlite":
        yield Target(f"sqlite:///{tmp_path}/new/x.sqlite3")
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    cluster.make_roles("fresh")
    yield Target(cluster.url("fresh", OWNER))
    cluster.drop("fresh")


def tables(target: Target) -> set[str]:
    with disposed(make_engine(target)) as engine:
        return set(inspect(engine).get_table_names())


def test_an_empty_database_gets_everything_once(new: Target) -> None:
    first, second = upgrade(new), upgrade(new)
    assert first.before is None
    assert first.after == HEAD
    assert first.applied == tuple(read_revisions())
    assert second.applied == ()
    assert second.before == second.after == first.after


def test_a_newer_schema_is_left_alone(engine: Engine, owner: Target) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    done = upgrade(owner)
    assert done.newer
    assert (done.after, done.applied) == ("9999", ())


def test_many_processes_at_once_apply_each_migration_once(new: Target) -> None:
    code = (
        "from app.database.migrate import upgrade; from app.database.target import Target;"
        f"print(len(upgrade(Target({new.url!r})).applied))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    applied = sorted(int(process.communicate(timeout=60)[0]) for process in running)
    assert [process.returncode for process in running] == [0] * 4
    assert applied == [0, 0, 0, len(read_revisions())]


def test_a_failed_migration_leaves_nothing_behind(new: Target) -> None:
    with disposed(make_engine(new, create=True)) as engine, engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE datasets (in_the_way INTEGER)")  # the first one's last table
    with pytest.raises(CannotMigrate, match="already exists"):
        upgrade(new)
    assert tables(new) - {"alembic_version"} == {"datasets"}
    with disposed(make_engine(new)) as engine, engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE datasets")
    assert upgrade(new).after == HEAD


class TestSqlite:
    @pytest.fixture
    def database(self) -> str:
        return "sqlite"

    def test_the_wait_for_another_writer_is_bounded(self, engine: Engine, target: Target) -> None:
        with (
            engine.connect().execution_options(sqlite_begin="IMMEDIATE") as writer,
            writer.begin(),
            pytest.raises(CannotMigrate, match="another process has been writing"),
        ):
            upgrade(target, lock_seconds=0.2)

    def test_a_path_that_cannot_be_made_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(CannotMigrate, match="file"):
            upgrade(Target(f"sqlite:///{tmp_path}/file/x.sqlite3"))


class TestPostgresql:
    @pytest.fixture
    def database(self) -> str:
        return "postgresql"

    def test_the_app_s_role_may_not_and_is_told_which_one_may(self, postgres: Cluster, new: Target) -> None:
        with pytest.raises(CannotMigrate, match=r"permission denied.*expected the role that owns the schema"):
            upgrade(Target(postgres.url("fresh")))

    def test_a_server_that_cannot_be_reached_is_told_without_the_password(self, tmp_path: Path) -> None:
        with pytest.raises(CannotMigrate) as caught:
            upgrade(Target(f"postgresql+psycopg://me:hunter2@/x?host={tmp_path}"))
        assert "No such file" in str(caught.value)
        assert "hunter2" not in str(caught.value)

    def test_the_owner_logs_in_with_a_password(self, postgres: Cluster, new: Target) -> None:
        remote = Target(postgres.tcp_url("fresh", OWNER), PASSWORDS[OWNER])
        assert upgrade(remote).after == HEAD
        with pytest.raises(CannotMigrate, match="password authentication failed"):
            upgrade(dataclasses.replace(remote, password="wrong"))

    def test_a_table_in_use_is_waited_for_but_not_for_ever(self, new: Target, monkeypatch: pytest.MonkeyPatch) -> None:
        """A reader holds what the migration has to change: a short queue, another attempt, and then an answer."""
        monkeypatch.setattr(migrate, "_run_alembic", change_countries)
        monkeypatch.setitem(migrate.MIGRATOR_SESSION, "lock_timeout", "50ms")
        with disposed(make_engine(new)) as engine, engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE countries (code TEXT)")
        with disposed(make_engine(new)) as engine, engine.connect() as reader:
            reader.exec_driver_sql("SELECT * FROM countries")
            with pytest.raises(CannotMigrate, match="other transactions have held a table"):
                upgrade(new, lock_seconds=0.1)
            reader.rollback()
            upgrade(new)
        with disposed(make_engine(new)) as engine:
            assert [column["name"] for column in inspect(engine).get_columns("countries")] == ["code", "extra"]


def change_countries(connection: Connection, to: str) -> None:
    """A migration of a table that others use."""
    with connection.begin():
        connection.exec_driver_sql("ALTER TABLE countries ADD COLUMN extra TEXT")
