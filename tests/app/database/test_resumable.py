"""What is written down, and what is done again. Whole migrations, and kills: tests/app/database/test_migrate.py."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from app.database.resumable import TABLE, Changed, Journal, migrating, order_by_code_point, tidy
from app.database.target import Target

DDL = "CREATE TABLE extra (x INTEGER)"


@pytest.fixture
def database() -> str:
    return "mariadb"


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def execute(connection: Connection, statement: str) -> str:
    """Execute a statement of a migration by a journal that has just been opened."""
    Journal(connection).once(statement, lambda: connection.exec_driver_sql(statement))
    return statement


def written(connection: Connection) -> list[tuple[int, bool]]:
    rows = connection.exec_driver_sql(f"SELECT position, done FROM {TABLE} ORDER BY position")  # noqa: S608
    return [(row.position, bool(row.done)) for row in rows]


def test_what_is_done_is_not_done_again(connection: Connection) -> None:
    for _ in range(2):
        execute(connection, DDL)
    for _ in range(2):
        journal = Journal(connection)
        for statement in (DDL, "INSERT INTO extra VALUES (1)"):
            journal.once(statement, lambda text=statement: connection.exec_driver_sql(text))
    assert connection.exec_driver_sql("SELECT x FROM extra").scalars().all() == [1]
    assert written(connection) == [(1, True), (2, True)]


def test_what_was_done_when_its_migrator_died_is_found(connection: Connection) -> None:
    execute(connection, DDL)
    connection.exec_driver_sql(f"UPDATE {TABLE} SET done = false")  # noqa: S608
    execute(connection, DDL)
    assert written(connection) == [(1, True)]


def test_what_is_in_the_way_is_no_migration_of_ours(connection: Connection) -> None:
    connection.exec_driver_sql(DDL)
    for _ in range(2):
        with pytest.raises(DBAPIError, match="already exists"):
            execute(connection, DDL)
        assert written(connection) == []


def test_what_became_of_a_statement_that_the_server_lost_is_not_known(connection: Connection) -> None:
    lost = OperationalError(DDL, None, Exception("gone"), connection_invalidated=True)

    def lose() -> None:
        raise lost

    with pytest.raises(OperationalError):
        Journal(connection).once(DDL, lose)
    assert written(connection) == [(1, False)]


def test_rows_change_together_with_the_journal(connection: Connection) -> None:
    connection.exec_driver_sql(DDL)
    row = "INSERT INTO extra VALUES (1)"

    def half() -> None:
        connection.exec_driver_sql(row)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Journal(connection).once(row, half)
    connection.rollback()
    assert written(connection) == []
    execute(connection, row)
    assert connection.exec_driver_sql("SELECT x FROM extra").scalars().all() == [1]


def test_another_statement_in_its_place_is_an_error(connection: Connection) -> None:
    execute(connection, DDL)
    with pytest.raises(Changed):
        execute(connection, "CREATE TABLE other (x INTEGER)")


def test_the_next_revision_begins_at_the_first_statement(connection: Connection) -> None:
    journal = Journal(connection)
    journal.once(DDL, lambda: connection.exec_driver_sql(DDL))
    tidy(connection)
    assert written(connection) == [(1, True)], "a revision is at hand"
    journal.finish(lambda: connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'"))
    journal.once("DROP TABLE extra", lambda: connection.exec_driver_sql("DROP TABLE extra"))
    assert written(connection) == [(1, True)]
    journal.finish(lambda: None)
    tidy(connection)
    tidy(connection)
    assert connection.exec_driver_sql(f"SHOW TABLES LIKE '{TABLE}'").all() == []


def test_tables_of_any_database_compare_text_by_code_point(target: Target) -> None:
    """Also where the database was made with the server's default."""
    with migrating(target, 1) as connection:
        connection.exec_driver_sql("ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_swedish_ci")
        for _ in range(2):
            order_by_code_point(connection)
        connection.exec_driver_sql("CREATE TABLE extra (x VARCHAR(9))")
        assert "utf8mb4_nopad_bin" in str(connection.exec_driver_sql("SHOW CREATE TABLE extra").one())
