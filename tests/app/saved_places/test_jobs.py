"""Imports by real workers, on a real Redis, with kill -9."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import svcs
from sqlalchemy import Engine, update

from app.background import JOBS
from app.components import build_registry
from app.database.session import Session
from app.jobs.runner import JobRunner
from app.saved_places.importing import BATCH, Imports
from app.saved_places.models import Format, Import, State
from app.saved_places.services import SavedPlaces
from app.saved_places.tables import place_imports
from app.settings import Settings
from tests.app.jobs.test_worker import PATIENCE, Worker
from tests.app.saved_places import killed_worker
from tests.app.saved_places.conftest import ANA
from tests.app.saved_places.test_importing import names, rows
from tests.deploy.agent.kit import eventually
from tests.support import redis

COUNT = 5 * BATCH - 7


@pytest.fixture(scope="module")
def broker() -> Iterator[redis.Server]:
    with redis.running() as server:
        yield server


@pytest.fixture
def variables(environ: dict[str, str], broker: redis.Server) -> dict[str, str]:
    return {**environ, **broker.variables, "WORKER_PROCESSES": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture
def components(variables: dict[str, str], users: None) -> Iterator[svcs.Container]:
    with build_registry(Settings.from_environ(variables)) as registry, svcs.Container(registry) as container:
        yield container


Start = Callable[..., Worker]


@pytest.fixture
def start(variables: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start workers, and see that none is left."""
    started: list[Worker] = []

    def start(*program: str) -> Worker:
        worker = Worker([*program], variables, tmp_path / f"{len(started)}.log")
        started.append(worker)
        return worker

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.kill()


def begun(components: svcs.Container) -> Import:
    made = components.get(SavedPlaces).create_list(ANA, "L").id
    return components.get(Imports).begin(ANA, made, Format.CSV, rows(COUNT))


def state_of(components: svcs.Container, asked: Import) -> Import:
    found = components.get(Imports).get(ANA, asked.list_id, asked.id)
    components.get(Session).commit()
    return found


def killed_at(start: Start, folder: Path, where: str) -> tuple[Worker, int]:
    """Start a worker that stops there; return it, and the process in question."""
    worker = start(killed_worker.__file__, str(folder), where)
    eventually(lambda: (folder / "paused").exists(), PATIENCE)
    return worker, int((folder / "paused").read_text())


def has_all_rows_once(components: svcs.Container, asked: Import) -> None:
    eventually(lambda: state_of(components, asked).state is State.DONE, PATIENCE)
    done = state_of(components, asked)
    assert (done.total, done.done, done.added, done.refused) == (COUNT, COUNT, COUNT, 0)
    found = names(components.get(SavedPlaces), asked.list_id)
    assert found == [f"place {number}" for number in range(1, COUNT + 1)]


def test_an_import_whose_process_is_killed_before_it_commits_is_done_once(
    components: svcs.Container, start: Start, tmp_path: Path
) -> None:
    """The broker gives it out again, and the batch that was half in was not in at all."""
    asked = begun(components)
    _, process = killed_at(start, tmp_path, "within")
    assert state_of(components, asked).done == 2 * BATCH
    os.kill(process, signal.SIGKILL)
    has_all_rows_once(components, asked)


def test_an_import_that_is_lost_with_worker_and_queue_is_done_once(
    components: svcs.Container, start: Start, tmp_path: Path, broker: redis.Server, engine: Engine
) -> None:
    """Nobody knows of it but the database. A worker looks there at its start, and then every minute."""
    asked = begun(components)
    worker, _ = killed_at(start, tmp_path, "between")
    worker.kill()
    with broker.client() as client:
        client.flushall()
    halfway = state_of(components, asked)
    assert (halfway.state, halfway.done) == (State.RUNNING, 2 * BATCH)
    long_ago = halfway.changed_at - components.get(Imports).patience - timedelta(seconds=1)
    with engine.begin() as connection:
        connection.execute(update(place_imports).values(changed_at=long_ago))
    start("-m", "app", "worker")
    has_all_rows_once(components, asked)


def test_without_a_broker_an_import_is_done_when_it_has_been_asked_for(registry: svcs.Registry, users: None) -> None:
    with svcs.Container(registry) as components:
        asked = begun(components)
        assert (asked.state, asked.added) == (State.DONE, COUNT)
        runner = components.get(JobRunner)
    assert runner.run("saved-places.import", {"import_id": asked.id}).endswith("has ended, or is gone")
    assert runner.run("saved-places.resume-imports", {}) == "0 imports asked for again"
    assert runner.run("saved-places.remove-old-imports", {}) == "0 old imports removed"


def test_all_of_them_are_known() -> None:
    names_ = {job.name for job in JOBS}
    assert {"saved-places.import", "saved-places.resume-imports", "saved-places.remove-old-imports"} <= names_
