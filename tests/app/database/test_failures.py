import socket

import pytest
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError

from app.database.engine import make_engine
from app.database.failures import is_locked, is_missing_table, is_passing, is_undone, reason, sqlstate
from app.database.sqlite import write_at_once
from app.database.target import Target
from tests.support.postgres import DATABASES


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def failure(engine: Engine, statement: str) -> DBAPIError:
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.exec_driver_sql(statement)
    return caught.value


def test_a_missing_table_is_told_from_other_mistakes(engine: Engine) -> None:
    assert is_missing_table(failure(engine, "SELECT * FROM missing"))
    assert not is_missing_table(failure(engine, "SELECT missing FROM countries"))
    assert not is_locked(failure(engine, "SELECT * FROM missing"))


def test_the_reason_is_one_line_without_the_row(engine: Engine, database: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO countries VALUES ('PT', 'Portugal')")
    error = failure(engine, "INSERT INTO countries VALUES ('PT', 'Atlantis')")
    assert "\n" not in reason(error)
    assert "PT" not in reason(error).replace("(PT)", "PT"), "PostgreSQL's DETAIL repeats the key, and so does MariaDB"
    assert sqlstate(error) == {"postgresql": "23505", "mariadb": "23000", "sqlite": None}[database]


@pytest.mark.parametrize("value", ["me@example.org", "it's", "x' for y", "two\nlines"])
def test_a_value_is_left_out_whatever_it_is(value: str) -> None:
    """MariaDB quotes it, but escapes nothing in it."""
    error = DBAPIError("INSERT", None, Exception(1062, f"Duplicate entry '{value}' for key 'uq_users_email'"))
    assert reason(error) == "Duplicate entry (a value) for key 'uq_users_email'"


def test_what_somebody_else_holds_is_locked(target: Target, engine: Engine, database: str) -> None:
    impatient = make_engine(target, busy_seconds=0.05)
    change = "UPDATE datasets SET name = name"
    with engine.begin() as holder:
        if database == "sqlite":
            write_at_once(holder)
        if database == "postgresql":
            holder.exec_driver_sql("LOCK TABLE datasets IN SHARE MODE")
        if database == "mariadb":
            holder.exec_driver_sql("INSERT INTO datasets VALUES ('held', 'x', '2026-01-01')")
        with impatient.connect() as connection:
            if database == "postgresql":
                connection.exec_driver_sql("SET lock_timeout = '50ms'")
            if database == "mariadb":
                connection.exec_driver_sql("SET innodb_lock_wait_timeout = 0")
            with pytest.raises(DBAPIError) as caught:
                connection.exec_driver_sql(change)
    impatient.dispose()
    assert is_locked(caught.value)
    assert is_passing(caught.value)
    assert not is_undone(caught.value), "it waited already"


def test_a_server_that_is_away_is_passing_and_a_mistake_is_not(target: Target, engine: Engine, database: str) -> None:
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.exec_driver_sql("SELECT nothing FROM nowhere")
    assert not is_passing(caught.value)
    if database == "sqlite":
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = make_url(target.url).set(host="127.0.0.1", port=port, query={})
    away = make_engine(Target(url.render_as_string(hide_password=False)))
    with pytest.raises(DBAPIError) as caught:
        away.connect()
    assert is_passing(caught.value)
