import pytest
from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import QueuePool

from app.database.session import Session
from app.geolocation.tables import countries
from tests.support.postgres import DATABASES

PORTUGAL = insert(countries).values(code="PT", name="Portugal")


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def names(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return [row.name for row in session.execute(select(countries))]


def test_a_connection_is_taken_at_the_first_statement_and_given_back(engine: Engine) -> None:
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    with Session(engine) as session:
        assert pool.checkedout() == 0
        session.execute(select(countries))
        session.execute(select(countries))
        assert pool.checkedout() == 1
    assert pool.checkedout() == 0


def test_only_what_is_committed_lasts(engine: Engine) -> None:
    with Session(engine) as session:
        session.execute(PORTUGAL)
    assert names(engine) == []
    with Session(engine) as session:
        session.execute(PORTUGAL)
        session.commit()
        session.execute(insert(countries).values(code="FR", name="France"))
    assert names(engine) == ["Portugal"]


def test_a_savepoint_loses_only_its_own_statements(engine: Engine) -> None:
    with Session(engine) as session:
        session.execute(PORTUGAL)
        with pytest.raises(IntegrityError), session.savepoint():
            session.execute(PORTUGAL)
        session.commit()
    assert names(engine) == ["Portugal"]


def test_an_unused_session_does_nothing(engine: Engine) -> None:
    with Session(engine) as session:
        session.commit()
        session.close()
    assert session.opened is None
