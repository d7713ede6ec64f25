import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from app.database.watching import watch_pool
from tests.support.postgres import DATABASES


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_the_pool_has_is_told_whatever_happens(engine: Engine) -> None:
    found = [0, 0]

    def tell(idle: int, in_use: int) -> None:
        found[0] += idle
        found[1] += in_use

    watch_pool(engine, tell)
    with engine.connect() as one, engine.connect() as two:
        one.execute(text("SELECT 1"))
        two.execute(text("SELECT 1"))
        assert found == [0, 2]
    assert found == [2, 0]
    with engine.connect() as connection, pytest.raises(DBAPIError):
        connection.execute(text("SELECT nothing FROM nowhere"))
    assert found == [2, 0]
    with engine.connect() as connection:
        connection.invalidate()
    assert found == [1, 0]
    engine.dispose()
    assert found == [0, 0]
