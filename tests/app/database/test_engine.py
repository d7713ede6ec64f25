import subprocess
import sys

import pytest
from sqlalchemy import Engine

from app.database.engine import load_driver, make_engine
from app.database.target import Target
from tests.support.postgres import DATABASES


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_each_kind_has_its_engine_and_a_pool_of_the_size_that_was_asked_for(engine: Engine, database: str) -> None:
    assert engine.dialect.name == database
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    assert engine.pool.size() == 8


def test_another_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="mysql"):
        make_engine(Target("mysql://me@db/x"))


def test_statements_in_errors_and_logs_are_without_parameters(engine: Engine) -> None:
    assert engine.hide_parameters


@pytest.mark.parametrize(("url", "loaded"), [("sqlite:///x", False), ("postgresql+psycopg://me@db/x", True)])
def test_only_the_driver_that_is_needed_is_loaded(url: str, loaded: bool) -> None:
    code = (
        "import sys; from app.database.engine import load_driver, Target;"
        f"load_driver(Target({url!r})); print('psycopg' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(loaded)


def test_loading_a_driver_connects_to_nothing() -> None:
    load_driver(Target("postgresql+psycopg://me@nowhere.invalid/x"))
