"""Workers: a generation's own process beside its web server, or without one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from tests.deploy.agent.kit import AgentFailure, Caller, Queue, Release, eventually, get


@pytest.fixture
def queue(agent: Caller) -> Queue:
    return Queue(agent.root / "state")


def activate(agent: Caller, number: int, processes: Sequence[str] = ("worker",), **more: Any) -> dict[str, Any]:
    return agent("activate", **{"generation": number, "deadline": 15, "processes": [*processes], **more})


def workers(agent: Caller) -> list[tuple[int, bool]]:
    return [(p["generation"], p["ready"]) for p in agent("status")["processes"] if p["process"] == "worker"]


def test_a_job_in_hand_is_finished_while_the_next_generation_takes_jobs(
    agent: Caller, real_release: Release, queue: Queue
) -> None:
    """The old worker is asked to leave when the new one is ready, and both work meanwhile; no job is lost."""
    agent.prepare(1, real_release)
    agent.prepare(2, real_release.variant("2.0"))
    first = activate(agent, 1)
    assert (first["changed"], workers(agent)) == (True, [(1, True)])
    queue.put("long", 600)  # until it is told otherwise, below
    eventually(lambda: queue.taken("long"))
    request = {"verb": "activate", "generation": 2, "deadline": 15, "processes": ["worker"]}
    switch = subprocess.Popen(agent.argv("activate"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert switch.stdin is not None
    switch.stdin.write(json.dumps(request).encode() + b"\n")
    switch.stdin.flush()
    eventually(lambda: agent("status")["current"] == 2, 15)
    queue.put("short")
    eventually(lambda: queue.done().get("short") == "2", 15)
    assert (queue.taken("long"), switch.poll()) == (True, None), "the old one is still at it, and the switch waits"
    (queue.folder / "taken/long").write_text("0")
    said = json.loads(switch.communicate(timeout=30)[0].splitlines()[-1])
    assert said["result"]["previous"] == 1
    assert queue.done() == {"short": "2", "long": "1"}
    assert workers(agent) == [(2, True)]
    assert activate(agent, 2)["changed"] is False


def test_a_host_without_a_web_server_listens_nowhere(agent: Caller, real_release: Release, port: int) -> None:
    """And one that gets another role gets a worker, or a web server, beside what runs."""
    agent.prepare(1, real_release)
    activate(agent, 1)
    assert agent("status")["listening"] is None
    [worker] = [p["pid"] for p in agent("status")["processes"]]
    both = activate(agent, 1, ["web", "worker"], listen=f"127.0.0.1:{port}")
    assert both["changed"] is True
    assert get(port)[0] == 200
    assert worker in [p["pid"] for p in agent("status")["processes"]]
    assert activate(agent, 1, ["web", "worker"], listen=f"127.0.0.1:{port}")["changed"] is False
    assert activate(agent, 1)["changed"] is True
    assert (agent("status")["listening"], workers(agent)) == (None, [(1, True)])
    with pytest.raises(ConnectionRefusedError):
        get(port)


BROKEN = {
    "dies": (["worker"], "raise", "died", "this worker can't be started", 15),
    "is mute": (["worker"], "mute", "timeout", "READY=1", 1),
    "dies beside a web server": (["web", "worker"], "raise", "died", "this worker can't be started", 15),
}


@pytest.mark.parametrize(("processes", "behaviour", "code", "words", "deadline"), BROKEN.values(), ids=BROKEN)
def test_a_worker_that_does_not_come_up_changes_nothing(
    agent: Caller, real_release: Release, port: int, queue: Queue,
    processes: list[str], behaviour: str, code: str, words: str, deadline: float,
) -> None:  # fmt: skip
    """Not even for the web server beside it: that host goes on with both as they were."""
    listen = f"127.0.0.1:{port}" if "web" in processes else None
    agent.prepare(1, real_release)
    agent.prepare(2, real_release, WORKER=behaviour)
    activate(agent, 1, processes, listen=listen)
    before = {(p["process"], p["pid"]) for p in agent("status")["processes"]}
    with pytest.raises(AgentFailure) as caught:
        activate(agent, 2, processes, listen=listen, deadline=deadline)
    assert caught.value.code == code
    assert words in json.dumps(caught.value.error)
    status = agent("status")
    assert (status["current"], {(p["process"], p["pid"]) for p in status["processes"]}) == (1, before)
    queue.put("job")
    eventually(lambda: queue.done() == {"job": "1"})


def test_a_release_without_a_worker_is_named(agent: Caller, real_release: Release) -> None:
    contract = {"app": "tiny:application"}
    agent.prepare(1, real_release.variant("2.0", contract=contract))
    with pytest.raises(AgentFailure) as caught:
        activate(agent, 1)
    assert caught.value.code == "no-process"
    assert activate(agent, 1, [])["changed"] is True, "a host may have nothing of a release to run"


def test_what_is_started_at_boot_is_what_was_activated(agent: Caller, real_release: Release, queue: Queue) -> None:
    """A worker that was killed is not there; `start` brings it back, and its job is still where it was taken to."""
    agent.prepare(1, real_release)
    activate(agent, 1)
    queue.put("job", 600)
    eventually(lambda: queue.taken("job"))
    [process] = agent("status")["processes"]
    os.kill(process["pid"], signal.SIGKILL)
    eventually(lambda: workers(agent) == [])
    assert agent("start", deadline=15, processes=["worker"])["changed"] is True
    assert workers(agent) == [(1, True)]
    assert queue.taken("job")
    assert (agent.root / "generations/1/processes").read_text() == "worker\n"


def test_a_worker_whose_agent_was_killed_before_it_was_ready_is_started_again(
    agent: Caller, real_release: Release
) -> None:
    """Nobody heard what it said."""
    agent.prepare(1, real_release)
    activate(agent, 1)
    (agent.root / "run/worker-1.ready").unlink()
    [before] = agent("status")["processes"]
    assert before["ready"] is False
    assert activate(agent, 1)["changed"] is True
    [after] = agent("status")["processes"]
    assert (after["ready"], after["pid"] != before["pid"]) == (True, True)


def test_one_of_two_processes_is_stopped_and_started_while_the_other_works(
    agent: Caller, real_release: Release, port: int
) -> None:
    """So a restart lets no request wait for a job."""
    listen, both = f"127.0.0.1:{port}", ["web", "worker"]
    agent.prepare(1, real_release)
    activate(agent, 1, both, listen=listen)
    for stopped, kept in (("web", "worker"), ("worker", "web")):
        before = {p["process"]: p["pid"] for p in agent("status")["processes"]}
        assert agent("stop", generation=1, timeout=None, processes=[stopped])["stopped"] == [1]
        assert [p["process"] for p in agent("status")["processes"]] == [kept]
        agent("start", deadline=15, listen=listen, processes=None)
        after = {p["process"]: p["pid"] for p in agent("status")["processes"]}
        assert (after[kept], after[stopped] != before[stopped]) == (before[kept], True)
    assert get(port)[0] == 200


def test_stop_logs_and_prune_know_workers(agent: Caller, real_release: Release, queue: Queue) -> None:
    for number in (1, 2):
        agent.prepare(number, real_release.variant(f"{number}.0"))
        activate(agent, number)
    queue.put("job")
    eventually(lambda: queue.done() == {"job": "2"})
    agent("logs", lines=10)
    assert [e["text"] for e in agent.events if e["event"] == "line"] == ["generation 2 takes job"]
    agent("logs", lines=10, generation=1)
    assert [e["text"] for e in agent.events if e["event"] == "line"] == ["left in peace"]
    assert agent("prune", keep=1)["generations"] == [1]
    assert [path.name for path in (agent.root / "log").iterdir()] == ["worker-2.log"]
    assert agent("stop", generation=None, timeout=None)["stopped"] == [2]
    assert agent("status")["processes"] == []
