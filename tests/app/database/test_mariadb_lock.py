import threading
import time

import pytest
from sqlalchemy import Engine

from app.database.failures import Held
from app.database.mariadb_lock import lock_name, only_one
from tests.support.mariadb import Server


@pytest.fixture
def database() -> str:
    return "mariadb"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.database.mariadb_lock.TRY_SECONDS", 0.05)


def test_one_at_a_time_for_each_purpose(engine: Engine) -> None:
    now = time.monotonic()
    with engine.connect() as first, engine.connect() as second, engine.connect() as third:
        with only_one(first, "loading", now + 30):
            with pytest.raises(Held, match="at work on loading"), only_one(second, "loading", now):
                pass
            with only_one(third, "migrations", now):
                pass
        with only_one(second, "loading", now):
            pass


def test_the_next_one_begins_when_the_first_has_ended(engine: Engine) -> None:
    order = []

    def second() -> None:
        with engine.connect() as connection, only_one(connection, "loading", time.monotonic() + 30):
            order.append("second")

    with engine.connect() as connection:
        with only_one(connection, "loading", time.monotonic() + 30):
            thread = threading.Thread(target=second)
            thread.start()
            order.append("first")
        thread.join()
    assert order == ["first", "second"]


def test_the_lock_stays_through_transactions_and_goes_with_the_connection(engine: Engine, mariadb: Server) -> None:
    """As that of a process that was killed."""
    now = time.monotonic()
    with engine.connect() as first, engine.connect() as second, only_one(first, "loading", now):
        first.exec_driver_sql("INSERT INTO countries VALUES ('PT', 'Portugal')")
        first.commit()
        with pytest.raises(Held), only_one(second, "loading", now):
            pass
        mariadb.sql(f"KILL {first.exec_driver_sql('SELECT connection_id()').scalar()}")
        with only_one(second, "loading", now + 30):
            pass


def test_names_are_of_one_database_and_fit(engine: Engine, mariadb: Server) -> None:
    with engine.connect() as connection:
        name = lock_name(connection, "a purpose" * 50)
        connection.exec_driver_sql("USE full")
        assert lock_name(connection, "a purpose" * 50) != name
    assert len(name) <= 64
