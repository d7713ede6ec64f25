import ast
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine

import app.migrations
from app.database.revisions import VERSIONS
from app.database.tables import metadata

FILES = sorted(VERSIONS.glob("[!_]*.py"))


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


def test_down_and_up_again(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(app.migrations.__file__).parent))

    def tables() -> set[str]:
        with engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type IN ('table', 'index')")
            return {name for name in found.scalars() if not name.startswith("sqlite_")}

    before = tables()
    for direction, revision in ((command.downgrade, "base"), (command.upgrade, "head")):
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            direction(config, revision)
        if direction is command.downgrade:
            assert {name for name in tables() if "alembic" not in name} == set()
    assert tables() == before
