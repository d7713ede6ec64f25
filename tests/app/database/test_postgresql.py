import dataclasses

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.database.engine import make_engine
from app.database.postgresql import connect_arguments
from app.database.target import Target
from tests.support.postgres import NAME, PASSWORDS, Cluster


@pytest.fixture
def database() -> str:
    return "postgresql"


def setting(engine: Engine, name: str) -> str:
    with engine.connect() as connection:
        return str(connection.exec_driver_sql(f"SHOW {name}").scalar())


def test_every_connection_has_its_settings(target: Target) -> None:
    name = "gazetteer 1.4.0+g1a2b3c4"
    engine = make_engine(dataclasses.replace(target, statement_timeout=7, application_name=name))
    assert setting(engine, "statement_timeout") == "7s"
    assert setting(engine, "idle_in_transaction_session_timeout") == "1min"
    assert setting(engine, "application_name") == name
    engine.dispose()


def test_the_password_is_not_in_the_url(postgres: Cluster) -> None:
    target = Target(postgres.tcp_url("empty"), PASSWORDS[NAME])
    engine = make_engine(target)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT current_user").scalar() == NAME
        assert connection.exec_driver_sql("SELECT inet_server_addr() IS NOT NULL").scalar() is True
    engine.dispose()
    assert PASSWORDS[NAME] not in f"{target} {target!r} {engine!r} {engine.url}"


def test_an_odd_password_is_taken_as_it_is(postgres: Cluster) -> None:
    odd = "p@ss:/wörd%41?#&= "
    postgres.sql(f"CREATE ROLE odd LOGIN PASSWORD '{odd}'; GRANT CONNECT ON DATABASE empty TO odd")
    engine = make_engine(Target(postgres.tcp_url("empty", "odd"), odd))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT current_user").scalar() == "odd"
    engine.dispose()
    postgres.sql("REVOKE CONNECT ON DATABASE empty FROM odd; DROP ROLE odd")


def test_a_connection_that_the_server_has_closed_is_noticed_before_it_is_used(
    engine: Engine, postgres: Cluster
) -> None:
    with engine.connect() as connection:
        first = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    postgres.sql(f"SELECT pg_terminate_backend({first}, 5000)")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() != first


def test_a_statement_that_takes_too_long_is_ended(target: Target) -> None:
    engine = make_engine(dataclasses.replace(target, statement_timeout=0.05))
    with engine.connect() as connection, pytest.raises(DBAPIError, match="statement timeout"):
        connection.exec_driver_sql("SELECT pg_sleep(30)")
    engine.dispose()


def test_errors_do_not_repeat_parameters(engine: Engine) -> None:
    row = "INSERT INTO countries VALUES (%s, %s)"
    with engine.connect() as connection:
        connection.exec_driver_sql(row, ("PT", "Portugal"))
        with pytest.raises(IntegrityError) as caught:
            connection.exec_driver_sql(row, ("PT", "Atlantis"))
    assert "Atlantis" not in str(caught.value)


def test_settings_of_a_session_win_over_those_of_all() -> None:
    arguments = connect_arguments(Target("postgresql+psycopg://me@db/x"), {"statement_timeout": "0"})
    assert arguments["options"] == "-c statement_timeout=0 -c idle_in_transaction_session_timeout=60s"
    assert arguments["connect_timeout"] == 5
    assert arguments["tcp_user_timeout"] == 30_000
