import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError, StatementError

from app.database.engine import make_engine
from app.database.sqlite import sqlite_connector, write_at_once
from app.database.target import Target


def test_every_connection_has_its_settings(engine: Engine) -> None:
    with engine.connect() as one, engine.connect() as two:
        for connection in (one, two):
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000


def test_a_server_never_makes_a_database(tmp_path: Path) -> None:
    engine = make_engine(Target(f"sqlite:///{tmp_path}/typo.sqlite3"))
    with pytest.raises(OperationalError, match="unable to open"):
        engine.connect()
    assert list(tmp_path.iterdir()) == []


def test_a_migrator_does_even_in_a_new_folder_with_an_odd_name(tmp_path: Path) -> None:
    path = tmp_path / "new folder?mode=ro#1" / "x.sqlite3"
    engine = make_engine(Target(f"sqlite:///{path}"), create=True)
    engine.connect().close()
    engine.dispose()
    assert path.exists()


def test_reading_sees_one_state_of_the_data(engine: Engine) -> None:
    """The driver alone would begin no transaction before SELECT."""
    count = "SELECT count(*) FROM countries"
    with engine.connect() as reader, engine.connect() as writer:
        assert reader.exec_driver_sql(count).scalar() == 0
        writer.exec_driver_sql("INSERT INTO countries VALUES ('PT', 'Portugal')")
        writer.commit()
        assert reader.exec_driver_sql(count).scalar() == 0
        reader.rollback()
        assert reader.exec_driver_sql(count).scalar() == 1


def test_schema_changes_are_rolled_back_too(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE extra (x)")
        connection.rollback()
        assert connection.exec_driver_sql("SELECT count(*) FROM sqlite_master WHERE name = 'extra'").scalar() == 0


def test_a_writer_waits_for_another(engine: Engine) -> None:
    started = threading.Event()

    def write_late() -> None:
        started.set()
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO countries VALUES ('FR', 'France')")

    with engine.begin() as first:
        write_at_once(first)
        thread = threading.Thread(target=write_late)
        thread.start()
        started.wait()
        thread.join(0.1)
        assert thread.is_alive(), "it waits"
        first.exec_driver_sql("INSERT INTO countries VALUES ('PT', 'Portugal')")
    thread.join()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM countries").scalar() == 2


def test_many_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    """Switching to WAL does not wait for locks by itself."""
    connect = sqlite_connector(tmp_path / "new.sqlite3", create=True, busy_seconds=5)
    with ThreadPoolExecutor(8) as threads:
        for connection in threads.map(lambda _: connect(), range(32)):
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            connection.close()


def test_a_connection_that_cannot_be_set_up_is_closed(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite3").write_text("this is no database, however long it goes on" * 50)
    connect = sqlite_connector(tmp_path / "text.sqlite3", create=False, busy_seconds=0.1)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        connect()


def test_errors_do_not_repeat_parameters(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(StatementError) as caught:
        connection.exec_driver_sql("INSERT INTO users (email) VALUES (?)", ("me@example.org",))
    assert "me@example.org" not in str(caught.value)
