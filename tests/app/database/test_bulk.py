import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.database.bulk import execute_many, insert_many, loading
from app.geolocation.tables import countries, datasets
from tests.support.postgres import DATABASES, Cluster

ROWS = [{"code": "PT", "name": "Portugal\t\\N\n'ü"}, {"code": "FR", "name": "France"}]


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def names(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(select(countries.c.name).order_by(countries.c.code.desc())))


def test_rows_come_back_as_they_were(engine: Engine) -> None:
    with loading(engine, datasets) as connection:
        insert_many(connection, countries, ["code", "name"], iter(ROWS))
    assert names(engine) == [row["name"] for row in ROWS]


def test_no_row_is_no_statement(engine: Engine) -> None:
    with loading(engine, datasets) as connection:
        insert_many(connection, countries, ["code", "name"], [])
        execute_many(connection, "never executed", [])
    assert names(engine) == []


def test_a_row_that_is_refused_undoes_all(engine: Engine) -> None:
    with pytest.raises(IntegrityError) as caught, loading(engine, datasets) as connection:
        insert_many(connection, countries, ["code", "name"], [*ROWS, ROWS[0]])
    assert isinstance(caught.value, DBAPIError)
    assert "Portugal" not in str(caught.value)
    assert names(engine) == []


class TestPostgresql:
    @pytest.fixture
    def database(self) -> str:
        return "postgresql"

    @pytest.mark.parametrize("who", ["owner_engine", "engine"])
    def test_the_owner_lets_it_look_at_what_was_loaded(
        self, request: pytest.FixtureRequest, postgres: Cluster, who: str
    ) -> None:
        """Its first plans would be those for empty tables; the app's role has to wait for autovacuum."""
        with loading(request.getfixturevalue(who), datasets) as connection:
            insert_many(connection, countries, ["code", "name"], iter(ROWS))
        seen = "2" if who == "owner_engine" else "-1"
        assert postgres.sql("SELECT reltuples FROM pg_class WHERE relname = 'countries'", "own") == seen
