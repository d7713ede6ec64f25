import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.database.engine import make_engine
from app.database.migrate import CannotMigrate, upgrade
from app.database.revisions import read_revisions


def test_an_empty_database_gets_everything_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/x.sqlite3"
    first, second = upgrade(url), upgrade(url)
    assert first.before is None
    assert first.after == read_revisions()[-1].revision
    assert first.applied == tuple(read_revisions())
    assert second.applied == ()
    assert second.before == second.after == first.after


def test_a_newer_schema_is_left_alone(engine: Engine, database_url: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    done = upgrade(database_url)
    assert done.newer
    assert (done.after, done.applied) == ("9999", ())


def test_many_processes_at_once_apply_each_migration_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.sqlite3"
    code = f"from app.database.migrate import upgrade; print(len(upgrade({url!r}).applied))"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    applied = sorted(int(process.communicate(timeout=60)[0]) for process in running)
    assert [process.returncode for process in running] == [0] * 4
    assert applied == [0, 0, 0, len(read_revisions())]


def test_the_wait_for_another_writer_is_bounded(engine: Engine, database_url: str) -> None:
    with (
        engine.connect().execution_options(sqlite_begin="IMMEDIATE") as writer,
        writer.begin(),
        pytest.raises(CannotMigrate, match="another process has been writing"),
    ):
        upgrade(database_url, lock_seconds=0.2)


def test_a_failed_migration_leaves_nothing_behind(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.sqlite3"
    engine = make_engine(url, create=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE datasets (in_the_way)")  # the last table of the first migration
    with pytest.raises(CannotMigrate, match="already exists"):
        upgrade(url)
    with engine.connect() as connection:
        tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
    engine.dispose()
    assert tables == ["datasets"]


def test_a_path_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotMigrate, match="file"):
        upgrade(f"sqlite:///{tmp_path}/file/x.sqlite3")
