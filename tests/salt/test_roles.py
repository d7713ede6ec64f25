"""The roles of salt/postgresql/files/roles.sql, shown by trying."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.postgres import NAME, OWNER, READER, ROLES, SUPERUSER, Cluster

APP = NAME
READING = ("SELECT * FROM things", "SELECT version_num FROM alembic_version", "SELECT last_value FROM things_id_seq")
WRITING = (
    "INSERT INTO things (name) VALUES ('x')",
    "UPDATE things SET name = 'y'",
    "DELETE FROM things",
    "SELECT nextval('things_id_seq')",
)
OWNING = (
    "CREATE TABLE other (id int)",
    "CREATE TEMPORARY TABLE other (id int)",
    "CREATE VIEW other AS SELECT * FROM things",
    "CREATE INDEX other ON things (name)",
    "CREATE FUNCTION other() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA other",
    "ALTER TABLE things ADD COLUMN other int",
    "DROP TABLE things",
    "TRUNCATE things",
    "UPDATE alembic_version SET version_num = '0'",
    "DELETE FROM alembic_version",
)
OUTSIDE = (
    "COPY things TO PROGRAM 'id'",
    "COPY things FROM PROGRAM 'id'",
    "COPY things TO '/tmp/things'",
    "COPY things FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT pg_reload_conf()",
    "SELECT rolpassword FROM pg_authid",
    "CREATE EXTENSION file_fdw",
    "CREATE FUNCTION other() RETURNS int LANGUAGE c AS '/lib/x', 'y'",
    "LOAD '/tmp/x'",
    "ALTER DATABASE postgres RENAME TO other",
    "CREATE SERVER other FOREIGN DATA WRAPPER nothing",
    "CREATE PUBLICATION other FOR ALL TABLES",
    f"ALTER ROLE {SUPERUSER} PASSWORD 'x'",
    f"GRANT {SUPERUSER} TO CURRENT_USER",
    "GRANT pg_execute_server_program TO CURRENT_USER",
    "GRANT pg_read_server_files TO CURRENT_USER",
)
RULING = ("CREATE ROLE other", "CREATE DATABASE other", "ALTER SYSTEM SET work_mem = '1GB'", f"SET ROLE {SUPERUSER}")


@pytest.fixture
def database(postgres: Cluster) -> Iterator[str]:
    """A database with its roles, and with two tables that the owner made afterwards, as a migration does."""
    postgres.make_roles("rights")
    for table in ("alembic_version (version_num text)", "things (id serial PRIMARY KEY, name text)"):
        postgres.sql(f"CREATE TABLE {table}", "rights", OWNER)
    postgres.sql(f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {APP}", "rights", OWNER)
    yield "rights"
    postgres.drop("rights")


class Session:
    """A role at work. Nothing it does lasts."""

    def __init__(self, postgres: Cluster, database: str, role: str) -> None:
        where = {"host": str(postgres.folder), "port": postgres.port, "user": role, "dbname": database}
        self.connection = psycopg.connect(**where, autocommit=True)

    def refusal(self, statement: str) -> str | None:
        """Why the role may not do something; None if it may."""
        alone = statement.startswith(("CREATE DATABASE", "ALTER SYSTEM"))
        try:
            with contextlib.nullcontext() if alone else self.connection.transaction(force_rollback=True):
                self.connection.execute(statement)
        except psycopg.Error as error:
            return str(error)
        return None

    def close(self) -> None:
        self.connection.close()


@contextlib.contextmanager
def session(postgres: Cluster, database: str, role: str) -> Iterator[Session]:
    with contextlib.closing(Session(postgres, database, role)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("role", "allowed", "refused"),
    [
        (OWNER, (*READING, *WRITING, *OWNING), RULING),
        (APP, (*READING, *WRITING), (*OWNING, *RULING, f"SET ROLE {OWNER}")),
        (READER, READING, (*WRITING, *OWNING, *RULING, f"SET ROLE {OWNER}", f"SET ROLE {APP}")),
    ],
    ids=["owner", "app", "reader"],
)
def test_each_role_may_do_its_work_and_nothing_else(
    postgres: Cluster, database: str, role: str, allowed: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    with session(postgres, database, role) as opened:
        for statement in allowed:
            assert opened.refusal(statement) is None, statement
        for statement in refused:
            said = opened.refusal(statement)
            assert said is not None, f"{role} may {statement}"
            assert re.search("permission denied|must be (owner|superuser)", said), said


@pytest.mark.parametrize("role", [OWNER, APP, READER])
def test_no_role_gets_out_of_the_database(postgres: Cluster, database: str, role: str) -> None:
    """Not to the server's programs and files, and to no other role's rights; not even the one that migrates."""
    with session(postgres, database, role) as opened:
        for statement in OUTSIDE:
            said = opened.refusal(statement)
            assert said is not None, f"{role} may {statement}"
            assert re.search(
                "permission denied|must (be|have admin)|does not exist|access to .* is not allowed|only superuser", said
            ), said


def test_no_role_comes_into_another_s_database(postgres: Cluster, database: str) -> None:
    postgres.make_roles("theirs", "theirs")
    try:
        for role in (OWNER, APP, READER):
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                Session(postgres, "theirs", role)
    finally:
        postgres.drop("theirs")
        for suffix in ("", "_owner", "_reader"):
            postgres.sql(f"DROP ROLE IF EXISTS theirs{suffix}")


def test_other_roles_see_nothing(postgres: Cluster, database: str) -> None:
    postgres.sql("CREATE ROLE stranger LOGIN")
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            Session(postgres, database, "stranger")
    finally:
        postgres.sql("DROP ROLE stranger")


def test_a_second_run_changes_nothing(postgres: Cluster, database: str) -> None:
    assert postgres.make_roles(database) == ""


@pytest.mark.parametrize(
    "drift",
    [
        f"GRANT TRUNCATE ON things TO {APP}",
        f"GRANT UPDATE ON alembic_version TO {APP}",
        f"REVOKE ALL ON things FROM {READER}",
        f"GRANT UPDATE ON SEQUENCE things_id_seq TO {APP}",
        "GRANT SELECT ON things TO PUBLIC",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "GRANT CONNECT ON DATABASE rights TO PUBLIC",
        f"ALTER SCHEMA public OWNER TO {SUPERUSER}",
        f"ALTER DATABASE rights OWNER TO {SUPERUSER}",
        f"ALTER ROLE {APP} CREATEDB",
        f"ALTER ROLE {READER} NOLOGIN",
        f"GRANT {OWNER} TO {APP}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public GRANT ALL ON TABLES TO {READER}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public REVOKE ALL ON SEQUENCES FROM {APP}",
    ],
)
def test_what_was_changed_by_hand_is_mended(postgres: Cluster, database: str, drift: str) -> None:
    postgres.sql(drift, database)
    assert postgres.make_roles(database) != ""
    assert postgres.make_roles(database) == ""
    with session(postgres, database, APP) as app, session(postgres, database, READER) as reader:
        assert all(map(app.refusal, OWNING))
        assert all(map(reader.refusal, (*WRITING, *OWNING)))
        assert not any(map(app.refusal, (*READING, *WRITING)))
        assert not any(map(reader.refusal, READING))


def test_names_are_quoted(postgres: Cluster) -> None:
    name = "odd \"name'"
    try:
        assert "CREATE DATABASE" in postgres.make_roles("odd-database", name)
        assert postgres.make_roles("odd-database", name) == ""
    finally:
        postgres.sql('DROP DATABASE IF EXISTS "odd-database"')
        for suffix in ("", "_owner", "_reader"):
            postgres.sql(f'DROP ROLE IF EXISTS "odd ""name\'{suffix}"')


def test_the_script_names_no_application() -> None:
    code = [line for line in ROLES.read_text().splitlines() if not line.startswith("--")]
    assert NAME not in "\n".join(code)
