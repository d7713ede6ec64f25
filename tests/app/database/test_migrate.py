import contextlib
import dataclasses
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DBAPIError

from app.database import migrate, resumable
from app.database.engine import make_engine
from app.database.migrate import CannotMigrate, disposed, downgrade, upgrade
from app.database.revisions import read_revisions
from app.database.sqlite import write_at_once
from app.database.target import Target
from tests.migrations.corpus import tree
from tests.support import pgbouncer
from tests.support.mariadb import Server
from tests.support.postgres import DATABASES, NAME, OWNER, PASSWORDS, Cluster

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
    if database == "mariadb":
        server: Server = request.getfixturevalue("mariadb")
        server.make("fresh")
        yield Target(server.url("fresh"))
        server.drop("fresh")
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


def test_a_newer_schema_is_left_alone(owner_engine: Engine, owner: Target) -> None:
    with owner_engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    done = upgrade(owner)
    assert done.newer
    assert (done.after, done.applied) == ("9999", ())


def many_at_once(target: Target, number: int) -> list[int]:
    """Let several processes migrate; answer how many migrations each has done, once all have exited with 0."""
    code = (
        "from app.database.migrate import upgrade; from app.database.target import Target;"
        f"print(len(upgrade(Target({target.url!r}), lock_seconds=150).applied))"
    )
    words = [sys.executable, "-c", code]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(number)]
    applied = sorted(int(process.communicate(timeout=170)[0]) for process in running)
    assert [process.returncode for process in running] == [0] * number
    return applied


def test_many_processes_at_once_apply_each_migration_once(new: Target) -> None:
    assert many_at_once(new, 10) == [*[0] * 9, len(read_revisions())]


def test_a_failed_migration_leaves_nothing_in_the_way(new: Target) -> None:
    with disposed(make_engine(new, create=True)) as engine, engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE datasets (in_the_way INTEGER)")  # the first one's last table
    with pytest.raises(CannotMigrate, match="already exists"):
        upgrade(new)
    if not new.url.startswith("mariadb"):  # which has to go on from where it is
        assert tables(new) - {"alembic_version"} == {"datasets"}
    with disposed(make_engine(new)) as engine, engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE datasets")
    assert upgrade(new).after == HEAD


class TestSqlite:
    @pytest.fixture
    def database(self) -> str:
        return "sqlite"

    def test_the_wait_for_another_writer_is_bounded(self, engine: Engine, target: Target) -> None:
        with engine.begin() as writer:
            write_at_once(writer)
            with pytest.raises(CannotMigrate, match="another process has been writing"):
                upgrade(target, lock_seconds=0.2)

    def test_a_table_that_is_made_anew_takes_nothing_along_that_refers_to_it(self, tmp_path: Path, new: Target) -> None:
        """Alembic's batch mode drops it, and SQLite deletes then what a foreign key says ON DELETE CASCADE of."""
        upgrade(new)
        with disposed(make_engine(new)) as engine, engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO users (id, email, name, password_hash, active, created_at) VALUES (1, 'a', 'a', 'a', 1, 0)"
            )
            connection.exec_driver_sql("INSERT INTO login_failures VALUES ('x', 1, 0)")
            connection.exec_driver_sql(
                "INSERT INTO api_tokens (user_id, name, digest, created_at, expires_at) VALUES (1, 'a', 'a', 0, 0)"
            )
        body = 'with op.batch_alter_table("users", recreate="always") as users:\n        users.alter_column("name")'
        made = tree(tmp_path / "new", [("made anew", body)])
        made.app(new.url, "db", "upgrade")
        with disposed(make_engine(new)) as engine, engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM api_tokens").scalar() == 1
        with disposed(make_engine(new)) as engine, engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1, "for everybody else"

    def test_rows_that_would_refer_to_nothing_stop_it(self, tmp_path: Path, new: Target) -> None:
        upgrade(new)
        with disposed(make_engine(new)) as engine, engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO countries VALUES ('AA', 'x')")
        body = (
            'op.execute("INSERT INTO api_tokens (user_id, name, digest, created_at, expires_at)'
            " VALUES (9, '', '', 0, 0)\")"
        )
        made = tree(tmp_path / "new", [("lost", body)])
        with pytest.raises(Exception, match="rows would refer to rows that are not there: api_tokens"):
            made.app(new.url, "db", "upgrade")
        assert upgrade(new).applied == ()

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

    def test_only_the_owner_writes_which_migrations_ran(self, postgres: Cluster, new: Target) -> None:
        """Default privileges give the app's role every table's rows; Alembic's table is none of its own."""
        upgrade(new)
        with disposed(make_engine(Target(postgres.url("fresh")))) as engine, engine.connect() as app:
            assert app.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD
            app.exec_driver_sql("DELETE FROM users")
            with pytest.raises(DBAPIError, match="permission denied for table alembic_version"):
                app.exec_driver_sql("UPDATE alembic_version SET version_num = '0'")
        assert postgres.make_roles("fresh") == "", "the roles' script has nothing left to do"

    def test_rights_that_were_given_before_are_taken_back(self, postgres: Cluster, new: Target) -> None:
        upgrade(new)
        for role in (f"{NAME}", "PUBLIC"):
            postgres.sql(f"GRANT UPDATE, DELETE ON alembic_version TO {role}", "fresh", OWNER)
        assert upgrade(new).applied == ()
        assert postgres.make_roles("fresh") == ""

    def test_the_app_s_role_may_ask_when_nothing_is_missing(self, postgres: Cluster, new: Target) -> None:
        upgrade(new)
        assert upgrade(Target(postgres.url("fresh"))).applied == ()

    def test_an_index_whose_build_was_interrupted_is_dropped_first(self, postgres: Cluster, new: Target) -> None:
        upgrade(new)
        with disposed(make_engine(new)) as engine:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as owner:
                owner.exec_driver_sql("INSERT INTO countries VALUES ('AA', 'x'), ('BB', 'x')")
                with pytest.raises(DBAPIError, match="could not create unique index"):
                    owner.exec_driver_sql("CREATE UNIQUE INDEX CONCURRENTLY ix_left ON countries (name)")
            assert "ix_left" in {index["name"] for index in inspect(engine).get_indexes("countries")}
            migrate.drop_unfinished(engine)
            assert "ix_left" not in {index["name"] for index in inspect(engine).get_indexes("countries")}

    def test_the_locks_of_a_killed_one_go_before_its_statement_ends(self, postgres: Cluster, new: Target) -> None:
        """It holds a table and the migrators' lock in the middle of a statement of ten minutes."""
        upgrade(new)
        code = (
            "from app.database import migrate; from app.database.target import Target\n"
            "migrate._upgrade_on = lambda connection, to, run: connection.exec_driver_sql("
            "'LOCK TABLE users') and connection.exec_driver_sql('SELECT pg_sleep(600)')\n"
            f"migrate.upgrade(Target({new.url!r}))"
        )
        killed = subprocess.Popen([sys.executable, "-c", code])
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'"
        while postgres.sql(asleep) == "0":
            assert killed.poll() is None
            time.sleep(0.05)
        killed.kill()
        killed.wait()
        assert upgrade(new, lock_seconds=120).applied == ()
        with disposed(make_engine(new)) as engine, engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '120s'")
            connection.exec_driver_sql("LOCK TABLE users")
        assert postgres.sql(asleep) == "0"

    def test_behind_a_pooler_of_transactions_it_asks_the_server_itself(self, postgres: Cluster, new: Target) -> None:
        """The application keeps to the pool, whose connections are lent for a transaction: no lock would stay."""
        with pgbouncer.running(postgres) as folder, contextlib.ExitStack() as stack:
            pool = f"postgresql+psycopg://{NAME}@/fresh?host={folder}&port={pgbouncer.PORT}"
            lent = stack.enter_context(disposed(make_engine(Target(pool))))
            clients = [stack.enter_context(lent.connect()) for _ in range(4)]
            for client in clients:
                assert client.exec_driver_sql("SELECT pg_backend_pid()").scalar()
                client.commit()
            assert many_at_once(new, 4) == [0, 0, 0, len(read_revisions())]
            for client in clients:
                assert client.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD
                client.commit()
            assert postgres.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"


class TestMariadb:
    @pytest.fixture
    def database(self) -> str:
        return "mariadb"

    def test_a_table_in_use_is_waited_for_but_not_for_ever(self, new: Target) -> None:
        """A reader holds what the migration has to change, which is half done; the next one goes on from there."""
        upgrade(new, to="0001")
        with disposed(make_engine(new)) as engine, engine.connect() as reader:
            reader.exec_driver_sql("SELECT * FROM users")
            with pytest.raises(CannotMigrate, match="other transactions have held a table"):
                upgrade(new, lock_seconds=0.1)
            reader.rollback()
            assert upgrade(new).after == HEAD

    def test_a_migration_that_became_another_meanwhile_is_not_gone_on_with(self, new: Target) -> None:
        upgrade(new, to="0001")
        with disposed(make_engine(new)) as engine, engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE migration_progress (position INTEGER PRIMARY KEY, digest CHAR(64), done BOOLEAN)"
            )
            connection.exec_driver_sql("INSERT INTO migration_progress VALUES (1, 'of another statement', true)")
        with pytest.raises(CannotMigrate, match="interrupted after 1 statements, and is another one"):
            upgrade(new)

    def test_another_migrator_is_waited_for_but_not_for_ever(self, new: Target) -> None:
        with resumable.migrating(new, 1), pytest.raises(CannotMigrate, match="another process has been at work"):
            upgrade(new, lock_seconds=0)

    def test_a_server_that_cannot_be_reached_is_told_without_the_password(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(CannotMigrate, match="refused") as caught:
            upgrade(Target(f"mariadb+pymysql://me:hunter2@127.0.0.1:{port}/x"))
        assert "hunter2" not in str(caught.value)


class TestDowngrade:
    @pytest.fixture(params=DATABASES)
    def database(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_what_came_after_a_revision_is_undone_newest_first(self, owner: Target) -> None:
        known = read_revisions()
        done = downgrade(owner, known[0].revision)
        assert (done.before, done.after) == (HEAD, known[0].revision)
        assert done.applied == tuple(reversed(known[1:]))
        assert downgrade(owner, known[0].revision).applied == ()
        assert upgrade(owner).applied == tuple(known[1:])

    def test_an_unknown_revision_is_refused(self, owner: Target, owner_engine: Engine) -> None:
        with pytest.raises(CannotMigrate, match="there is no revision 7777; expected one of: base, 0001"):
            downgrade(owner, "7777")
        with owner_engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(CannotMigrate, match="at 9999, which this release does not know"):
            downgrade(owner, "0001")


def change_countries(connection: Connection, to: str) -> None:
    """A migration of a table that others use."""
    with connection.begin():
        connection.exec_driver_sql("ALTER TABLE countries ADD COLUMN extra TEXT")
