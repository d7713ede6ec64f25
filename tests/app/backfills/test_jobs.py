from collections.abc import Iterator

import pytest
import svcs
from sqlalchemy import Engine, insert

from app.backfills import progress
from app.backfills.jobs import go_on, log
from app.backfills.runner import Step
from app.clock import Clock
from app.users.tables import users
from tests.app.backfills.test_runner import lacking, rows

NAME = "users.split-names"


@pytest.fixture
def container(registry: svcs.Registry) -> Iterator[svcs.Container]:
    with svcs.Container(registry) as made:
        yield made


def test_only_what_was_left_to_workers_is_gone_on_with(container: svcs.Container) -> None:
    engine, clock = container.get(Engine), container.get(Clock)
    with engine.begin() as connection:
        connection.execute(insert(users), rows(1, 60))
    assert go_on(container, {}) == "nothing to do"
    with engine.begin() as connection:
        progress.begin(connection, NAME, clock.now(), queued=False)
    assert go_on(container, {}) == "nothing to do"
    with engine.begin() as connection:
        progress.begin(connection, NAME, clock.now(), queued=True)
    assert go_on(container, {}) == f"{NAME} finished: 59 rows filled"
    assert lacking(engine) == 0
    assert go_on(container, {}) == "nothing to do"


def test_what_it_waits_for_is_logged(caplog) -> None:
    with caplog.at_level("INFO"):
        log(Step(1, 2, 3))
        log(Step(1, 2, 3, "2 wait for a lock"))
    assert caplog.messages == ["waiting: 2 wait for a lock"]
