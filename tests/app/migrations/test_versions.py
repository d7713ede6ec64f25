import ast
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

from app.database.mariadb import COLLATION
from app.database.migrate import downgrade, upgrade
from app.database.revisions import VERSIONS
from app.database.tables import metadata
from app.database.target import Target
from tests.support.postgres import DATABASES

FILES = sorted(VERSIONS.glob("[!_]*.py"))


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_models_and_migrations_agree(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_declares_itself_in_plain_literals(path: Path) -> None:
    """The build reads them without importing anything."""
    declared = {
        node.targets[0].id: node.value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for name in ("revision", "down_revision", "kind"):
        assert isinstance(declared[name], ast.Constant)
    assert path.stem.startswith(declared["revision"].value)
    assert declared["kind"].value in {"expand", "contract"}


def collations(engine: Engine) -> dict[str, str | None]:
    """Of every column of text, which Alembic does not compare."""
    tables = inspect(engine)
    return {
        f"{table}.{column['name']}": getattr(column["type"], "collation", None)
        for table in metadata.tables
        for column in tables.get_columns(table)
    }


def test_names_of_places_are_in_the_order_of_code_points(engine: Engine, database: str) -> None:
    """Only there a range is a prefix; SQLite knows no other order, and on MariaDB all text has it: see below."""
    found = {name for name, collation in collations(engine).items() if collation == "C"}
    assert found == ({"place_names.name"} if database == "postgresql" else set())


class TestMariadb:
    @pytest.fixture
    def database(self) -> str:
        return "mariadb"

    def test_all_text_is_in_the_order_of_code_points(self, engine: Engine) -> None:
        columns = "SELECT DISTINCT collation_name FROM information_schema.columns WHERE table_schema = database()"
        with engine.connect() as connection:
            assert set(connection.exec_driver_sql(columns).scalars()) == {None, COLLATION}


def test_down_and_up_again(owner_engine: Engine, owner: Target) -> None:
    def tables() -> set[str]:
        found = inspect(owner_engine)
        names = set(found.get_table_names())
        return names | {str(index["name"]) for name in names for index in found.get_indexes(name)}

    before = tables()
    assert downgrade(owner, "base").after is None
    assert {name for name in tables() if "alembic" not in name} == set()
    upgrade(owner)
    assert tables() == before
