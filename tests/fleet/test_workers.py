"""Workers on a real machine: systemd keeps them, and no job is lost or done twice."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.deploy.agent.kit import AgentFailure, Queue, Release, eventually, outcome
from tests.support.machine import NAME, PORT, Server, load

PATIENCE = 60.0  # seconds; nothing here is about time


@pytest.fixture
def queue(server: Server) -> Queue:
    return Queue(server.machine.root / f"var/lib/{NAME}/state")


def activate(server: Server, number: int, *processes: str) -> dict[str, Any]:
    listen = server.listen if "web" in processes else None
    return server("activate", generation=number, deadline=30, listen=listen, processes=[*processes])


@contextmanager
def activating(server: Server, number: int, *processes: str) -> Iterator[subprocess.Popen[bytes]]:
    """Activate a generation while something else is done; in the end it has to have gone well."""
    listen = server.listen if "web" in processes else None
    request = {"verb": "activate", "generation": number, "deadline": 30, "listen": listen, "processes": [*processes]}
    agent = subprocess.Popen(server.argv("activate"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert agent.stdin is not None
    agent.stdin.write(json.dumps(request).encode() + b"\n")
    agent.stdin.flush()
    yield agent
    said = json.loads(agent.communicate(timeout=PATIENCE)[0].splitlines()[-1])
    assert said["ok"], said


def processes(server: Server) -> set[tuple[int, str, bool]]:
    return {(p["generation"], p["process"], p["ready"]) for p in server("status")["processes"]}


def listens(server: Server) -> bool:
    return f":{PORT} " in server.machine.run("ss --listening --tcp --numeric --no-header").stdout


def test_a_job_in_hand_ends_where_it_began_while_the_new_worker_takes_the_next(
    server: Server, real_release: Release, queue: Queue
) -> None:
    """A deploy of a host of workers: old and new work side by side, none is lost, none is done twice."""
    server.prepare(1, real_release)
    server.prepare(2, real_release.variant("2.0"))
    activate(server, 1, "worker")
    assert processes(server) == {(1, "worker", True)}
    assert server.show(f"{NAME}-worker@1.service", "ActiveState") == "active"
    queue.put("long", 600)  # until it is told otherwise, below
    eventually(lambda: queue.taken("long"), PATIENCE)
    with activating(server, 2, "worker") as agent:
        eventually(lambda: server.show(f"{NAME}-worker@1.service", "ActiveState") == "deactivating", PATIENCE)
        for name in ("a", "b", "c"):
            queue.put(name)
        eventually(lambda: queue.done().keys() == {"a", "b", "c"}, PATIENCE)
        assert (queue.taken("long"), agent.poll()) == (True, None), "the old one is still at it, and the switch waits"
        (queue.folder / "taken/long").write_text("0")
    assert queue.done() == {"a": "2", "b": "2", "c": "2", "long": "1"}
    assert processes(server) == {(2, "worker", True)}
    assert activate(server, 2, "worker")["changed"] is False
    assert not listens(server)


def test_a_host_that_is_both_switches_both_or_none(server: Server, real_release: Release, queue: Queue) -> None:
    server.prepare(1, real_release)
    server.prepare(2, real_release.variant("2.0"), WORKER="raise")
    server.prepare(3, real_release.variant("3.0"))
    activate(server, 1, "web", "worker")
    clients = load(server.listen, 4)
    with pytest.raises(AgentFailure) as caught:
        activate(server, 2, "web", "worker")
    assert caught.value.code == "died"
    assert "this worker can't be started" in json.dumps(caught.value.error)
    assert processes(server) == {(1, "web", True), (1, "worker", True)}
    activate(server, 3, "web", "worker")
    assert outcome(clients)["failures"] == []
    assert processes(server) == {(3, "web", True), (3, "worker", True)}
    queue.put("job")
    eventually(lambda: queue.done() == {"job": "3"}, PATIENCE)


def test_a_role_that_comes_or_goes_disturbs_no_job(server: Server, real_release: Release, queue: Queue) -> None:
    """A worker goes on while a web server comes beside it; when that leaves, its port is closed, after a boot too."""
    server.prepare(1, real_release)
    activate(server, 1, "worker")
    worker = server.show(f"{NAME}-worker@1.service", "MainPID")
    queue.put("long", 600)
    eventually(lambda: queue.taken("long"), PATIENCE)
    activate(server, 1, "web", "worker")
    assert server.get()[1]["generation"] == "1"
    activate(server, 1, "worker")
    assert (processes(server), listens(server)) == ({(1, "worker", True)}, False)
    assert server.show(f"{NAME}-worker@1.service", "MainPID") == worker
    (queue.folder / "taken/long").write_text("0")
    eventually(lambda: queue.done() == {"long": "1"}, PATIENCE)
    server.machine.shut_down()
    server.machine.boot()
    eventually(lambda: processes(server) == {(1, "worker", True)}, PATIENCE)
    assert not listens(server)
    assert server.machine.run("systemctl is-system-running --wait").stdout == "running\n"
    assert activate(server, 1, "worker")["changed"] is False


def test_a_worker_that_is_killed_comes_back(server: Server, real_release: Release, queue: Queue) -> None:
    """By systemd; its job is where it was, for the queue to give out again."""
    server.prepare(1, real_release)
    activate(server, 1, "worker")
    queue.put("job", 600)
    eventually(lambda: queue.taken("job"), PATIENCE)
    unit = f"{NAME}-worker@1.service"
    server.machine.run(f"systemctl kill --signal=KILL {unit}")
    eventually(lambda: server.show(unit, "NRestarts") == "1", PATIENCE)
    eventually(lambda: processes(server) == {(1, "worker", True)}, PATIENCE)
    assert queue.taken("job")
    server("logs", lines=50)
    said = [event["text"] for event in server.events if event["event"] == "line"]
    assert "generation 1 takes job" in said
    assert server("stop", generation=None, timeout=None)["stopped"] == [1]
    assert processes(server) == set()


def test_the_worker_is_confined(server: Server) -> None:
    said = server.machine.run(
        f"systemd-analyze security --no-pager --threshold=20 {NAME}-worker@1.service", check=False
    )
    assert said.returncode == 0, said.stdout.splitlines()[-1]


def test_a_scheduler_is_one_unit_at_a_time_and_comes_back_after_a_boot(server: Server, real_release: Release) -> None:
    """The old one has ended before the new one begins; when that dies, the old one is started again."""
    log = server.machine.root / f"var/lib/{NAME}/state/scheduler.log"
    server.prepare(1, real_release)
    server.prepare(2, real_release.variant("2.0"))
    server.prepare(3, real_release.variant("3.0"), SCHEDULER="raise")
    activate(server, 1, "web", "scheduler")
    clients = load(server.listen, 4)
    activate(server, 2, "web", "scheduler")
    with pytest.raises(AgentFailure) as caught:
        activate(server, 3, "web", "scheduler")
    assert "this scheduler can't be started" in json.dumps(caught.value.error)
    assert outcome(clients)["failures"] == []
    assert processes(server) == {(2, "web", True), (2, "scheduler", True)}
    assert server.show(f"{NAME}-scheduler@2.service", "ActiveState") == "active"
    assert log.read_text().splitlines() == ["1 begins", "1 ends", "2 begins", "2 ends", "2 begins"]
    server.machine.shut_down()
    server.machine.boot()
    eventually(lambda: processes(server) == {(2, "web", True), (2, "scheduler", True)}, PATIENCE)
    assert log.read_text().splitlines()[-2:] == ["2 ends", "2 begins"]
    assert "twice" not in log.read_text()
