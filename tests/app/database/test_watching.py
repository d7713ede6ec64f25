from collections import Counter

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from app.database.watching import IDLE, IN_USE, watch_pool
from tests.support.postgres import DATABASES


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_the_pool_has_is_told_whatever_happens(engine: Engine) -> None:
    found: Counter[str] = Counter()

    def tell(state: str, change: int) -> None:
        found[state] += change

    watch_pool(engine, tell)
    with engine.connect() as one, engine.connect() as two:
        one.execute(text("SELECT 1"))
        two.execute(text("SELECT 1"))
        assert found == {IDLE: 0, IN_USE: 2}
    assert found == {IDLE: 2, IN_USE: 0}
    with engine.connect() as connection, pytest.raises(DBAPIError):
        connection.execute(text("SELECT nothing FROM nowhere"))
    assert found == {IDLE: 2, IN_USE: 0}
    with engine.connect() as connection:
        connection.invalidate()
    assert found == {IDLE: 1, IN_USE: 0}
    engine.dispose()
    assert found == {IDLE: 0, IN_USE: 0}
