"""A migrator is killed after each statement in turn, and run again: it converges, on each database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Inspector, inspect

from app.database import migrate
from app.database.engine import make_engine
from app.database.migrate import disposed, upgrade
from app.database.target import Target
from tests.migrations.corpus import SAFE, tree
from tests.migrations.databases import Databases, Mariadb, Postgresql, Sqlite

pytestmark = pytest.mark.timeout(1800)  # many processes, one after another: a busy computer takes its time

# Each run is killed one statement later than the one before, until one comes to its end; with 0, after its first one.
KILLING = """
import os, re, signal, sys
import alembic.command, alembic.config, app.database.tables  # once for all runs
from sqlalchemy import Engine, event
from app.database.migrate import upgrade
from app.database.target import Target

def attempt(point):
    left = [point]
    @event.listens_for(Engine, "after_cursor_execute")
    def count(connection, cursor, statement, *_):
        if "migration_progress" in statement and after:
            return
        left[0] -= bool(re.match(after, statement.strip()))
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    upgrade(Target(sys.argv[1]), lock_seconds=120)

after, step = sys.argv[2], int(sys.argv[3])
for point in range(1, 200):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            attempt(point if step else 1)
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status):
        print(point - 1)
        sys.exit(os.waitstatus_to_exitcode(status))
"""
INDEX = (
    "with op.get_context().autocommit_block():\n"
    '        op.create_index("ix_new", "users", ["name"], postgresql_concurrently=True, if_not_exists=True)\n'
    '    op.add_column("users", sa.Column("nickname", sa.String(50)))'
)
ANEW = (
    'with op.batch_alter_table("users", recreate="always") as users:\n'
    '        users.add_column(sa.Column("nickname", sa.String(50)))'
)
ONCE = "op.execute(\"INSERT INTO countries (code, name) VALUES ('XX', 'once')\")"
SEVERAL = f"{SAFE['a table']}\n    {SAFE['more room']}\n    {ONCE}\n    {SAFE['NULL allowed']}"


@pytest.fixture
def target(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Iterator[Target]:
    """A database, as its owner: one that is migrated, on PostgreSQL one that lacks this checkout's migrations, too."""
    databases: Databases
    if kind == "sqlite":
        databases = Sqlite(tmp_path)
    elif kind == "mariadb":
        databases = Mariadb(request.getfixturevalue("mariadb"))
    else:
        databases = Postgresql(request.getfixturevalue("postgres"))
    with databases.empty() as urls:
        if kind != "postgresql":
            upgrade(Target(urls.owner))
        yield Target(urls.owner)


def killed(target: Target, folder: Path, *bodies: str, after: str = "", step: int = 1) -> int:
    """Migrate with a release that has these migrations more; answer how often it was killed until it was done."""
    made = tree(folder / "new", [("case", body) for body in bodies])
    return int(made.run([made.python, "-c", KILLING, target.url, after, str(step)]))


def columns(found: Inspector, table: str) -> set[str]:
    return {column["name"] for column in found.get_columns(table)}


@pytest.mark.parametrize("kind", ["sqlite"])
def test_on_sqlite_all_of_it_is_one_transaction(target: Target, tmp_path: Path) -> None:
    """Tables that are made anew, too."""
    assert killed(target, tmp_path, SAFE["a table"], ANEW) >= 20
    with disposed(make_engine(target)) as engine:
        found = inspect(engine)
        assert "nickname" in columns(found, "users")
        assert "visits" in found.get_table_names()
        assert not [name for name in found.get_table_names() if name.startswith("_alembic_tmp")]


@pytest.mark.parametrize("kind", ["postgresql"])
def test_on_postgresql_each_revision_is_one_and_an_index_is_built_beside(target: Target, tmp_path: Path) -> None:
    more = SAFE["a table"], SAFE["a check that all rows meet"]
    assert killed(target, tmp_path, SAFE["one with a default"], INDEX, *more) >= 20
    with disposed(make_engine(target)) as engine:
        found = inspect(engine)
        assert "ix_new" in {index["name"] for index in found.get_indexes("users")}
        assert "nickname" in columns(found, "users")
        assert "r" in columns(found, "places")
        assert "visits" in found.get_table_names()
        with engine.connect() as connection:
            assert connection.scalars(migrate.UNFINISHED).all() == []


@pytest.mark.parametrize("kind", ["mariadb"])
@pytest.mark.parametrize(
    ("after", "step", "kills"), [("", 1, 20), ("(CREATE|ALTER|DROP) (?!INDEX IF|.* MODIFY)", 0, 3)]
)
def test_on_mariadb_each_statement_stays_and_is_not_done_again(
    target: Target, tmp_path: Path, after: str, step: int, kills: int
) -> None:
    """First killed one statement later each time; then right after each change, before that is written down."""
    assert killed(target, tmp_path, SAFE["one with a default"], SEVERAL, INDEX, after=after, step=step) >= kills
    with disposed(make_engine(target)) as engine:
        found = inspect(engine)
        assert "ix_new" in {index["name"] for index in found.get_indexes("users")}
        assert "nickname" in columns(found, "users")
        assert "visits" in found.get_table_names()
        assert "migration_progress" not in found.get_table_names()
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT code FROM countries").scalars().all() == ["XX"]
