"""Worker processes: real ones, on a real Redis, with signals and kill -9."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.jobs.broker import Broker, make_celery
from app.logs.context import request_context
from app.settings import Settings
from tests.app.jobs import slow_worker
from tests.deploy.agent.kit import eventually
from tests.support import redis

DONE = "job done: 0 expired tokens removed"
PATIENCE = 90.0  # seconds; nothing here is about time


class Worker:
    """A worker process, in a process group of its own."""

    def __init__(self, program: list[str], environ: dict[str, str], log: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, log.open("a") as output:
            notified.bind("")
            notified.settimeout(PATIENCE)
            address = "@" + os.fsdecode(notified.getsockname()[1:])
            self.log = log
            self.process = subprocess.Popen(
                [sys.executable, *program], env={**environ, "NOTIFY_SOCKET": address}, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                assert notified.recv(100) == b"READY=1"
            except TimeoutError:
                raise AssertionError(log.read_text()) from None

    def leave(self) -> None:
        """Ask it to finish."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and all that it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def lines(self) -> list[dict[str, Any]]:
        """Read what it logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


Start = Callable[..., Worker]


@pytest.fixture
def variables(environ: dict[str, str], broker: redis.Server) -> dict[str, str]:
    return {**environ, **broker.variables, "JOB_SECONDS": "60", "WORKER_PROCESSES": "1"}


@pytest.fixture
def start(variables: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start workers, and see that none is left."""
    started: list[Worker] = []

    def start(name: str, *more: str, program: tuple[str, ...] = (slow_worker.__file__,), **changes: str) -> Worker:
        environ = {**variables, "PYTHONPATH": os.pathsep.join(sys.path), "RELEASE_GENERATION": name, **changes}
        worker = Worker([*program, *more], environ, tmp_path / f"{name}.log")
        started.append(worker)
        return worker

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.kill()


class Work:
    """Jobs, and what became of them."""

    def __init__(self, queue: Broker, folder: Path) -> None:
        self.queue, self.folder = queue, folder

    def ask(self, name: str, job: str = "test.slow") -> None:
        """Put a job into the queue."""
        self.queue.enqueue(job, {"name": name, "folder": str(self.folder)})

    def let_go(self, name: str) -> None:
        """Let a job end."""
        (self.folder / f"{name}.go").touch()

    def said(self, what: str, name: str) -> list[int]:
        """Say by which processes a job was begun, or ended."""
        path = self.folder / "said"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [int(pid) for verb, job, pid in lines if (verb, job) == (what, name)]

    def begun(self, name: str, times: int = 1) -> int:
        """Wait until a job was begun so often; give the last process that did."""
        return int(eventually(lambda: len(pids := self.said("begin", name)) >= times and pids[-1], PATIENCE))

    def ended(self, name: str) -> None:
        """Wait for the end of a job; it ends once."""
        eventually(lambda: self.said("end", name), PATIENCE)
        assert len(self.said("end", name)) == 1


@pytest.fixture
def jobs(variables: dict[str, str], tmp_path: Path) -> Iterator[Work]:
    queue = Broker(make_celery(Settings.from_environ(variables)))
    yield Work(queue, tmp_path)
    queue.close()


def test_a_worker_that_leaves_finishes_its_job_and_the_next_generation_does_the_others(
    start: Start, jobs: Work
) -> None:
    """As a deploy does it: the new one is ready first, then the old one is asked. None is lost, none is done twice."""
    old = start("1")
    with request_context("request-of-a-user"):
        jobs.ask("long")
    jobs.begun("long")
    new = start("2")
    old.leave()
    eventually(lambda: any("worker leaves" in line["message"] for line in old.lines()), PATIENCE)
    for name in ("a", "b", "c"):
        jobs.let_go(name)
        jobs.ask(name)
        jobs.ended(name)
    assert (old.process.poll(), jobs.said("end", "long")) == (None, [])
    jobs.let_go("long")
    assert old.process.wait(PATIENCE) == 0
    jobs.ended("long")
    new.leave()
    assert new.process.wait(PATIENCE) == 0
    (done,) = [line for line in old.lines() if line.get("job") == "test.slow"]
    assert (done["message"], done["request_id"], done["generation"]) == (
        "job done: long was slow",
        "request-of-a-user",
        "1",
    )
    assert len([line for line in new.lines() if line.get("job") == "test.slow"]) == 3


def test_a_job_whose_process_is_killed_is_done_by_another(start: Start, jobs: Work) -> None:
    """At once: the rest of the worker says that it was lost."""
    start("1")
    jobs.ask("unlucky")
    os.kill(jobs.begun("unlucky"), signal.SIGKILL)
    jobs.begun("unlucky", times=2)
    jobs.let_go("unlucky")
    jobs.ended("unlucky")


def test_a_job_whose_whole_worker_is_killed_is_done_by_another(start: Start, jobs: Work) -> None:
    """When no job can still be in hand: nobody is left to say that it was lost."""
    worker = start("1")
    jobs.ask("unlucky")
    jobs.begun("unlucky")
    worker.kill()
    jobs.let_go("unlucky")
    start("2", JOB_SECONDS="1")
    jobs.ended("unlucky")


def test_a_job_of_a_newer_release_waits_for_a_worker_that_knows_it(start: Start, jobs: Work) -> None:
    """During a rollout the old workers are still there: they offer it again, and lose nothing."""
    old = start("1")
    jobs.let_go("modern")
    jobs.ask("modern", job="test.new")
    eventually(lambda: any("offered again" in line["message"] for line in old.lines()), PATIENCE)
    start("2", "test.new")
    old.leave()
    assert old.process.wait(PATIENCE) == 0
    jobs.ended("modern")


def test_what_fails_is_logged_with_its_traceback_once_and_is_over(
    start: Start, jobs: Work, broker: redis.Server
) -> None:
    worker = start("1")
    jobs.queue.enqueue("test.slow", {})  # it lacks what the job needs
    eventually(lambda: any(line["message"] == "job failed" for line in worker.lines()), PATIENCE)
    worker.leave()
    assert worker.process.wait(PATIENCE) == 0
    (failed,) = [line for line in worker.lines() if "exception" in line]
    assert "KeyError: 'folder'" in failed["exception"]
    with broker.client() as client:
        assert client.llen("gazetteer") == 0
        assert client.zcard("unacked_index") == 0


def test_the_password_of_the_broker_is_shown_to_nobody(start: Start, jobs: Work) -> None:
    worker = start("1")
    worker.leave()
    assert worker.process.wait(PATIENCE) == 0
    assert redis.PASSWORD not in worker.log.read_text()
    assert "%2FZr" not in worker.log.read_text()


def test_without_a_broker_a_worker_does_the_periodic_jobs(
    start: Start, environ: dict[str, str], tmp_path: Path
) -> None:
    """The application's own command, as units start it."""
    log = tmp_path / "alone.log"
    worker = Worker(["-m", "app", "worker"], {**environ, "PYTHONPATH": os.pathsep.join(sys.path)}, log)
    eventually(
        lambda: any(line["message"] == "job done: 0 expired tokens removed" for line in worker.lines()), PATIENCE
    )
    worker.leave()
    assert worker.process.wait(PATIENCE) == 0


def test_with_a_broker_it_does_them_too(start: Start) -> None:
    worker = start("1", program=("-m", "app", "worker"))
    eventually(
        lambda: any(line["message"] == "job done: 0 expired tokens removed" for line in worker.lines()), PATIENCE
    )
