import dataclasses
import datetime

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.database.engine import make_engine
from app.database.mariadb import connect_arguments
from app.database.migrate import disposed
from app.database.target import Target
from tests.support.mariadb import NAME, PASSWORD, Server

TYPES = sa.MetaData()
kinds = sa.Table(
    "kinds",
    TYPES,
    sa.Column("moment", sa.DateTime),
    sa.Column("number", sa.Float),
    sa.Column("text", sa.Text),
    sa.Column("bytes", sa.LargeBinary),
)


@pytest.fixture
def database() -> str:
    return "mariadb"


def variable(engine: Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"SELECT @@{name}").scalar()


def test_every_connection_has_its_settings(target: Target) -> None:
    with disposed(make_engine(dataclasses.replace(target, statement_timeout=7))) as engine:
        assert variable(engine, "max_statement_time") == 7
        assert variable(engine, "idle_transaction_timeout") == 60
        assert variable(engine, "tx_isolation") == "READ-COMMITTED"
        assert variable(engine, "time_zone") == "+00:00"
        assert "STRICT_ALL_TABLES" in str(variable(engine, "sql_mode"))


def test_settings_of_a_session_win_over_those_of_all() -> None:
    target = Target("mariadb+pymysql://me@db/x")
    arguments = connect_arguments(target, sa.make_url(target.url), {"max_statement_time": "0"})
    assert "max_statement_time = 0" in arguments["init_command"]
    assert arguments["connect_timeout"] == 5
    assert arguments["read_timeout"] == 40
    assert not arguments.keys() & {"unix_socket", "ssl_ca"}


def test_a_certificate_authority_is_one_that_must_have_signed_the_server_s_name() -> None:
    target = Target("mariadb+pymysql://me@db/x?ssl_ca=/etc/ssl/ca.pem")
    arguments = connect_arguments(target, sa.make_url(target.url), {})
    assert arguments["ssl_ca"] == "/etc/ssl/ca.pem"
    assert arguments["ssl_verify_cert"] is arguments["ssl_verify_identity"] is True


def test_the_password_is_not_in_the_url(mariadb: Server) -> None:
    target = Target(mariadb.tcp_url("full"), PASSWORD)
    with disposed(make_engine(target)) as engine, engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT DATABASE()").scalar() == "full"
    assert PASSWORD not in f"{target} {target!r} {engine!r} {engine.url}"


def test_an_odd_password_is_taken_as_it_is(mariadb: Server) -> None:
    odd = "p@ss:/wörd%41?#&= 日"
    mariadb.sql(f"CREATE USER odd@'%' IDENTIFIED BY '{odd}'", "GRANT SELECT ON full.* TO odd@'%'")
    url = mariadb.tcp_url("full").replace(f"{NAME}@", "odd@")
    with disposed(make_engine(Target(url, odd))) as engine, engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    mariadb.sql("DROP USER odd@'%'")


def test_a_server_that_should_be_secure_and_is_not_is_refused(mariadb: Server) -> None:
    """Before it is told who asks."""
    target = Target(f"{mariadb.tcp_url('full')}?ssl_ca=/etc/ssl/certs/ca-certificates.crt", PASSWORD)
    with disposed(make_engine(target)) as engine, pytest.raises(DBAPIError, match=r"SSL"):
        engine.connect()


def test_a_connection_that_the_server_has_closed_is_noticed_before_it_is_used(engine: Engine, mariadb: Server) -> None:
    with engine.connect() as connection:
        first = connection.exec_driver_sql("SELECT connection_id()").scalar()
    mariadb.sql(f"KILL {first}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT connection_id()").scalar() != first


def test_a_statement_that_takes_too_long_is_ended(target: Target) -> None:
    with (
        disposed(make_engine(dataclasses.replace(target, statement_timeout=0.05))) as engine,
        engine.connect() as connection,
        pytest.raises(DBAPIError, match="max_statement_time exceeded"),
    ):
        connection.exec_driver_sql("SELECT sum(sqrt(seq)) FROM seq_1_to_1000000000")


def test_errors_do_not_repeat_parameters(engine: Engine) -> None:
    row = "INSERT INTO countries VALUES (%s, %s)"
    with engine.connect() as connection:
        connection.exec_driver_sql(row, ("PT", "Portugal"))
        with pytest.raises(IntegrityError) as caught:
            connection.exec_driver_sql(row, ("PT", "Atlantis"))
    assert "Atlantis" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "name"), [("LONG", "x"), ("PT", "x" * 101), ("PT", None)], ids=["code", "name", "nothing"]
)
def test_what_does_not_fit_is_refused_and_not_cut(engine: Engine, code: str, name: str | None) -> None:
    with engine.connect() as connection, pytest.raises(DBAPIError):
        connection.exec_driver_sql("INSERT INTO countries VALUES (%s, %s)", (code, name))


def test_texts_are_equal_when_their_characters_are(engine: Engine) -> None:
    with engine.connect() as connection:
        for code in ("pt", "PT", "P ", "P", "Ü", "U"):
            connection.exec_driver_sql("INSERT INTO countries VALUES (%s, 'x')", (code,))
        found = connection.exec_driver_sql("SELECT code FROM countries ORDER BY code").scalars().all()
    assert found == sorted(found) == ["P", "P ", "PT", "U", "pt", "Ü"]


def test_values_come_back_as_they_were(engine: Engine) -> None:
    values = {
        "moment": datetime.datetime(2026, 1, 2, 3, 4, 5, 678901),  # noqa: DTZ001
        "number": 48.85341123456789,
        "text": "🏔" * 30_000,
        "bytes": bytes(range(256)) * 300,
    }
    with engine.begin() as connection:
        TYPES.create_all(connection)
        connection.execute(sa.insert(kinds).values(values))
        assert connection.execute(sa.select(kinds)).one()._asdict() == values


def test_each_statement_sees_what_is_committed_by_then(engine: Engine) -> None:
    count = "SELECT count(*) FROM countries"
    with engine.connect() as reader, engine.connect() as writer:
        assert reader.exec_driver_sql(count).scalar() == 0
        writer.exec_driver_sql("INSERT INTO countries VALUES ('PT', 'Portugal')")
        assert reader.exec_driver_sql(count).scalar() == 0
        writer.commit()
        assert reader.exec_driver_sql(count).scalar() == 1
