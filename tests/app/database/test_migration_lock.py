import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from app.database.engine import make_engine
from app.database.failures import Held
from app.database.migrate import disposed
from app.database.migration_lock import be_patient, insist, only_migrator
from tests.support.postgres import Cluster

SOON = 0.1


@pytest.fixture
def database() -> str:
    return "postgresql"


@pytest.fixture
def other(owner) -> Iterator[Engine]:
    with disposed(make_engine(owner)) as engine:
        yield engine


def test_one_migrator_at_a_time(owner_engine: Engine, other: Engine) -> None:
    with (
        only_migrator(owner_engine, time.monotonic() + 30),
        pytest.raises(Held, match="another migrator"),
        only_migrator(other, time.monotonic() + SOON),
    ):
        pass
    with only_migrator(other, time.monotonic() + SOON):
        pass


def test_the_next_one_begins_when_the_first_has_ended(owner_engine: Engine, other: Engine) -> None:
    order = []

    def second() -> None:
        with only_migrator(other, time.monotonic() + 30):
            order.append("second")

    with only_migrator(owner_engine, time.monotonic() + 30):
        thread = threading.Thread(target=second)
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_whoever_waits_has_no_transaction_open(owner_engine: Engine, other: Engine, postgres: Cluster) -> None:
    """Or CREATE INDEX CONCURRENTLY, by whoever holds the lock, would wait for those that wait for it."""

    def wait() -> None:
        with only_migrator(other, time.monotonic() + 30):
            pass

    asking = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_try_advisory_lock%'"
    with only_migrator(owner_engine, time.monotonic() + 30):
        thread = threading.Thread(target=wait)
        thread.start()
        while int(postgres.sql(asking)) < 2:
            time.sleep(0.01)
        with owner_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("SET statement_timeout = '20s'")
            connection.exec_driver_sql("CREATE INDEX CONCURRENTLY ix_extra ON countries (name)")
        assert thread.is_alive()
    thread.join()


def test_the_lock_goes_with_the_connection(owner_engine: Engine, other: Engine, postgres: Cluster) -> None:
    """As that of a migrator that was killed."""
    with only_migrator(owner_engine, time.monotonic() + 30):
        postgres.sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'")
        with only_migrator(other, time.monotonic() + 30):
            pass


def locked() -> DBAPIError:
    class LockNotAvailable(Exception):
        sqlstate = "55P03"

    return OperationalError("ALTER", None, LockNotAvailable())


def test_work_that_got_no_lock_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.database.migration_lock.LOCK_SECONDS", 0)
    attempts: list[int] = []

    def work() -> str:
        attempts.append(1)
        if len(attempts) < 3:
            raise locked()
        return "done"

    assert insist(work, time.monotonic() + 30) == "done"
    assert len(attempts) == 3


def test_it_ends_at_the_deadline() -> None:
    def work() -> None:
        raise locked()

    with pytest.raises(Held, match="held a table"):
        insist(work, time.monotonic() - 1)


def test_what_is_done_concurrently_waits_for_older_transactions(
    owner_engine: Engine, other: Engine, postgres: Cluster
) -> None:
    """It keeps nobody, so it need not hurry; everything else queues as shortly as before."""
    be_patient(owner_engine, 120)
    with other.connect() as older, owner_engine.connect() as connection:
        older.exec_driver_sql("UPDATE countries SET name = name")
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("SET lock_timeout = '10ms'")
        build = threading.Thread(
            target=connection.exec_driver_sql, args=("CREATE INDEX CONCURRENTLY ix_late ON countries (name)",)
        )
        build.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'virtualxid' AND NOT granted"
        while postgres.sql(waiting) == "0":
            assert build.is_alive()
            time.sleep(0.01)
        older.rollback()
        build.join()
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "500ms"
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_late'::regclass"
        assert connection.exec_driver_sql(valid).scalar()


def test_other_failures_are_not_tried_again() -> None:
    attempts: list[int] = []

    def work() -> None:
        attempts.append(1)
        raise OperationalError("ALTER", None, Exception("syntax"))

    with pytest.raises(OperationalError):
        insist(work, time.monotonic() + 30)
    assert len(attempts) == 1
