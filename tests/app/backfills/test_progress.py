from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from app.backfills import progress
from tests.support.postgres import DATABASES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "users.something"


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_one_that_was_begun_is_left_where_it_is(engine: Engine) -> None:
    with engine.begin() as connection:
        assert progress.read(connection, NAME) is None
        first = progress.begin(connection, NAME, NOW, queued=False)
        assert progress.move(connection, NAME, first, 7)
        progress.add(connection, NAME, 5)
        again = progress.begin(connection, NAME, NOW + timedelta(days=1), queued=True)
    assert (again.position, again.filled, again.queued, again.started_at) == (7, 5, True, NOW)


def test_whoever_comes_second_is_told(engine: Engine) -> None:
    with engine.begin() as connection:
        first = progress.begin(connection, NAME, NOW, queued=False)
        assert progress.move(connection, NAME, first, 7)
        assert not progress.move(connection, NAME, first, 7)


def test_a_finished_one_can_be_begun_again(engine: Engine) -> None:
    with engine.begin() as connection:
        found = progress.begin(connection, NAME, NOW, queued=False)
        progress.move(connection, NAME, found, 7)
        progress.finish(connection, NAME, NOW)
        found = progress.read(connection, NAME)
        assert found
        assert found.finished_at == NOW
        assert not progress.move(connection, NAME, found, 8), "it is not moved any more"
        progress.finish(connection, NAME, None)
        found = progress.read(connection, NAME)
        assert found
        assert (found.position, found.finished_at) == (0, None)
