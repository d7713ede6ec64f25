from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.database.engine import make_engine
from app.database.revisions import Revision
from app.database.schema import current_revision, misfit, unready

KNOWN = [Revision("1", None, "expand", ""), Revision("2", "1", "expand", "")]


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


def test_the_revision_of_a_database(engine: Engine) -> None:
    with engine.connect() as connection:
        assert current_revision(connection) == "0001"
        connection.exec_driver_sql("DELETE FROM alembic_version")
        assert current_revision(connection) is None
        connection.exec_driver_sql("DROP TABLE alembic_version")
        assert current_revision(connection) is None


def test_a_database_that_cannot_be_reached_is_a_reason(tmp_path: Path) -> None:
    (reason,) = unready(make_engine(f"sqlite:///{tmp_path}/none.sqlite3"), KNOWN)
    assert reason == "the database can't be reached: unable to open database file"


def test_a_file_that_is_no_database_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite3").write_text("this is no database, however long it goes on" * 50)
    (reason,) = unready(make_engine(f"sqlite:///{tmp_path}/text.sqlite3"), KNOWN)
    assert reason == "the database can't be reached: file is not a database"


def test_a_pool_without_a_free_connection_is_a_reason(database_url: str) -> None:
    engine = make_engine(database_url, busy_seconds=0.05)
    taken = [engine.connect() for _ in range(15)]
    (reason,) = unready(engine, KNOWN)
    assert "in use" in reason
    for connection in taken:
        connection.close()
    engine.dispose()


def test_reasons_come_from_the_database(engine: Engine) -> None:
    assert unready(engine, [Revision("0001", None, "expand", "")]) == []
    assert unready(engine, [Revision("0001", None, "expand", ""), Revision("0002", "0001", "expand", "")])
