import pytest
from sqlalchemy import Engine

from app.backfills import pace
from app.backfills.pace import Signs
from tests.support.postgres import DATABASES


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_batch_grows_or_shrinks_to_the_time_that_it_shall_take() -> None:
    assert pace.next_size(1000, pace.BATCH_SECONDS) == 1000
    assert pace.next_size(1000, pace.BATCH_SECONDS / 1.5) == 1500
    assert pace.next_size(1000, 0) == 2000, "at most twice"
    assert pace.next_size(1000, 60) == 500, "at least half"
    assert pace.next_size(pace.LARGEST, 0) == pace.LARGEST
    assert pace.next_size(pace.SMALLEST, 60) == pace.SMALLEST
    assert pace.smaller(pace.SMALLEST) == pace.SMALLEST
    assert pace.smaller(1000) == 250


def test_the_database_belongs_to_others_as_long_as_to_a_batch() -> None:
    assert pace.pause(0.1) == 0.1
    assert pace.pause(10) == 2 * pace.BATCH_SECONDS


@pytest.mark.parametrize(
    ("signs", "text"),
    [
        (Signs(waiting=2), "2 wait for a lock"),
        (Signs(lag_seconds=9.4), "a replica is 9 s and 0 MB behind"),
        (Signs(lag_bytes=100 * 2**20), "a replica is 0 s and 100 MB behind"),
    ],
)
def test_what_shows_that_it_is_busy(signs: Signs, text: str) -> None:
    assert signs.busy
    assert str(signs) == text


def test_a_little_lag_is_no_reason_to_wait() -> None:
    assert not Signs().busy
    assert not Signs(lag_bytes=2**20, lag_seconds=1).busy


def test_a_quiet_database_is_not_busy(engine: Engine) -> None:
    with engine.connect() as connection:
        assert pace.look(connection) == Signs()
