import dataclasses
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.database.engine import make_engine
from app.database.migrate import disposed
from app.database.revisions import Revision, read_revisions
from app.database.schema import current_revision, misfit, unready
from app.database.target import Target
from tests.support.postgres import DATABASES, NAME, PASSWORDS, Cluster

KNOWN = [Revision("1", None, "expand", ""), Revision("2", "1", "expand", "")]


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("current", "problem"),
    [
        ("2", None),
        ("3", None),  # a newer release has migrated already
        ("1", "the schema is behind: it is at revision 1, expected 2: run `db upgrade`"),
        (None, "the schema is empty; expected revision 2: run `db upgrade`"),
    ],
)
def test_what_fits_and_what_does_not(current: str | None, problem: str | None) -> None:
    assert misfit(current, KNOWN) == problem


def test_contract_migrations_at_the_end_may_wait() -> None:
    """This release works before and after them: they run when no release needs the shape before them any more."""
    known = [*KNOWN, Revision("3", "2", "contract", "Drop."), Revision("4", "3", "contract", "Drop more.")]
    assert [misfit(current, known) for current in ("2", "3", "4", "5")] == [None] * 4
    assert misfit("1", known) == "the schema is behind: it is at revision 1, expected 2: run `db upgrade`"


def test_the_revision_of_a_database(owner_engine: Engine) -> None:
    with owner_engine.connect() as connection:
        assert current_revision(connection) == read_revisions()[-1].revision
        connection.exec_driver_sql("DELETE FROM alembic_version")
        assert current_revision(connection) is None
        connection.exec_driver_sql("DROP TABLE alembic_version")
        assert current_revision(connection) is None


def test_a_database_that_cannot_be_reached_is_a_reason(tmp_path: Path) -> None:
    (reason,) = unready(make_engine(Target(f"sqlite:///{tmp_path}/none.sqlite3")), KNOWN)
    assert reason == "the database can't be reached: unable to open database file"


def test_a_file_that_is_no_database_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite3").write_text("this is no database, however long it goes on" * 50)
    (reason,) = unready(make_engine(Target(f"sqlite:///{tmp_path}/text.sqlite3")), KNOWN)
    assert reason == "the database can't be reached: file is not a database"


def test_a_pool_without_a_free_connection_is_a_reason(target: Target) -> None:
    engine = make_engine(dataclasses.replace(target, pool_size=3, pool_timeout=0.05))
    taken = [engine.connect() for _ in range(3)]
    (reason,) = unready(engine, KNOWN)
    assert "in use" in reason
    for connection in taken:
        connection.close()
    engine.dispose()


def test_reasons_come_from_the_database(engine: Engine) -> None:
    assert unready(engine, read_revisions()) == []
    known = read_revisions()
    assert unready(engine, [*known, Revision("later", known[-1].revision, "expand", "")])


def test_a_server_that_is_not_there_is_a_reason(tmp_path: Path) -> None:
    (reason,) = unready(make_engine(Target(f"postgresql+psycopg://x@/x?host={tmp_path}")), KNOWN)
    assert reason.startswith("the database can't be reached: ")
    assert "No such file or directory" in reason
    assert "\n" not in reason


def test_a_wrong_password_is_a_reason_and_is_not_repeated(postgres: Cluster) -> None:
    right = Target(postgres.tcp_url("full"), PASSWORDS[NAME])
    with disposed(make_engine(right)) as engine:
        assert unready(engine, read_revisions()) == []
    (reason,) = unready(make_engine(dataclasses.replace(right, password="hunter2")), KNOWN)
    assert "password authentication failed" in reason
    assert "hunter2" not in reason


def test_a_database_that_the_role_may_not_read_is_a_reason(postgres: Cluster) -> None:
    postgres.clone("empty", "closed")
    postgres.sql("REVOKE SELECT ON alembic_version FROM gazetteer", "closed")
    with disposed(make_engine(Target(postgres.url("closed")))) as engine:
        (reason,) = unready(engine, KNOWN)
    assert reason == "the database can't be used: permission denied for table alembic_version"
    postgres.drop("closed")
