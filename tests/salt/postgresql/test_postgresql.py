"""The program that looks after PostgreSQL's roles and settings, on a real one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from tests.support import salt
from tests.support.postgres import NAME, OWNER, Cluster, needed
from tests.support.programs import load

FILES = salt.STATES / "postgresql" / "files"
DATABASE = "looked_after"


@pytest.fixture
def program(postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The program, as it lies on a server: beside its SQL, and in reach of a PostgreSQL that is the tests' own."""
    shutil.copyfile(FILES / "postgresql.py", tmp_path / "postgresql.py")
    shutil.copyfile(FILES / "roles.sql", tmp_path / "postgresql.py-roles.sql")
    module = load(tmp_path / "postgresql.py")

    def call(words: list[str], text: str | None = None) -> str:
        psql = words[words.index("psql") + 1 :]
        where = [f"--host={postgres.folder}", f"--port={postgres.port}", "--username=postgres"]
        command = [str(needed() / "psql"), *where, *psql]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise module.Failed(done.stderr)
        return done.stdout

    monkeypatch.setattr(module, "call", call)
    yield module
    for database in (DATABASE, f"{DATABASE}_rehearsal"):
        postgres.sql(f"DROP DATABASE IF EXISTS {database}")


def test_what_is_missing_is_said_made_and_then_left_alone(program: ModuleType, postgres: Cluster) -> None:
    assert program.roles(NAME, DATABASE, test=True) == (
        True,
        f"CREATE DATABASE {DATABASE}; CREATE DATABASE {DATABASE}_rehearsal; and their rights",
    )
    assert DATABASE not in postgres.sql("SELECT datname FROM pg_database")
    assert program.roles(NAME, DATABASE, test=False)[0]
    assert program.roles(NAME, DATABASE, test=False) == (False, f"{DATABASE} and its roles are as they should be")


def test_one_right_is_taken_back_and_given_again(program: ModuleType, postgres: Cluster) -> None:
    program.roles(NAME, DATABASE, test=False)
    postgres.sql(f"REVOKE USAGE ON SCHEMA public FROM {NAME}", DATABASE)
    expected = (True, f"GRANT USAGE ON SCHEMA public TO {NAME}")
    assert program.roles(NAME, DATABASE, test=True) == expected
    assert program.roles(NAME, DATABASE, test=False) == expected
    assert not program.roles(NAME, DATABASE, test=False)[0]


def test_a_password_is_set_when_it_does_not_fit_and_never_shown(
    program: ModuleType, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = postgres.sql(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{OWNER}'")  # noqa: S608
    program.roles(NAME, DATABASE, test=False)
    monkeypatch.setenv(f"PASSWORD_OF_{OWNER}", "it's a secret, ü")
    try:
        assert program.passwords(program.inventory()[0], test=True) == [f"password of {OWNER}"]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            log_in(postgres, "it's a secret, ü")
        assert program.passwords(program.inventory()[0], test=False) == [f"password of {OWNER}"]
        log_in(postgres, "it's a secret, ü")
        assert program.passwords(program.inventory()[0], test=False) == []
        monkeypatch.setenv(f"PASSWORD_OF_{OWNER}", "another")
        assert program.passwords(program.inventory()[0], test=False) == [f"password of {OWNER}"]
        log_in(postgres, "another")
    finally:
        postgres.sql(f"ALTER ROLE {OWNER} PASSWORD " + (f"'{before}'" if before else "NULL"))


def log_in(postgres: Cluster, password: str) -> None:
    psycopg.connect(
        host="127.0.0.1", port=postgres.port, user=OWNER, password=password, dbname=DATABASE, connect_timeout=10
    ).close()


def test_what_postgresql_itself_made_of_a_password_fits(program: ModuleType, postgres: Cluster) -> None:
    postgres.sql("CREATE ROLE somebody PASSWORD 'sesame'")
    stored = postgres.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'somebody'")
    postgres.sql("DROP ROLE somebody")
    assert program.fits("sesame", stored)
    assert not program.fits("Sesame", stored)
    assert not program.fits("sesame", "")
    assert not program.fits("sesame", "md5" + 32 * "0")


def test_settings_that_cannot_be_read_are_named(program: ModuleType, postgres: Cluster) -> None:
    assert program.settle("postgresql.service", test=False)[0] is False
    file = postgres.folder / "data" / "postgresql.auto.conf"
    before = file.read_text()
    try:
        file.write_text(before + "nonsense = on\n")
        with pytest.raises(program.Failed, match=r"postgresql.auto.conf:\d+: nonsense: unrecognized"):
            program.settle("postgresql.service", test=False)
    finally:
        file.write_text(before)


def test_what_is_said_to_salt_is_one_line_it_can_read(program: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    program.roles(NAME, DATABASE, test=False)
    assert program.main(["roles", NAME, DATABASE, "--test"]) == 0
    assert capsys.readouterr().out == f"changed=no comment='{DATABASE} and its roles are as they should be'\n"


def test_a_cluster_is_made_where_there_is_none(program: ModuleType, tmp_path: Path) -> None:
    assert program.make_cluster(str(tmp_path), test=True) == (True, f"there was no cluster in {tmp_path}")
    (tmp_path / "PG_VERSION").touch()
    assert program.make_cluster(str(tmp_path), test=False) == (False, "the cluster is there")
