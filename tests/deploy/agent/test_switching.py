"""Generations really start, switch and stop: gunicorn, sockets, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.agent import switch
from deploy.agent.supervisors import proc
from tests.deploy.agent.kit import (
    AgentFailure,
    Caller,
    Release,
    eventually,
    free_port,
    get,
    outcome,
    settled,
    steady,
    tar,
)


def test_a_generation_goes_from_files_to_serving(agent: Caller, real_release: Release, port: int) -> None:
    """Stage, prepare, try, migrate, activate: it serves, and a second activation has nothing to do."""
    payload = tar(real_release.contents)
    assert agent("missing", hashes=sorted(real_release.contents))["missing"] == sorted(real_release.contents)
    assert agent("receive", payload, encoding="identity", length=len(payload))["files"] == len(real_release.contents)
    assert agent("assemble", manifest=real_release.text)["linked"] == len(real_release.files)
    release = {"version": real_release.version, "digest": real_release.digest}
    assert agent("prepare", generation=1, **release, variables={"COLOUR": "blue"}) == {"created": True}
    assert agent("trial", generation=1, check="live", deadline=30)["status"] == 200
    assert agent("migrate", generation=1, command="migrate", timeout=10)["output"] == "migrated 1\n"
    first = agent("activate", generation=1, deadline=30, listen=f"127.0.0.1:{port}")
    assert (first["changed"], first["previous"]) == (True, None)
    assert get(port)[1]["generation"] == "1"
    status = settled(agent)
    assert status["current"] == 1
    assert status["listening"] == f"127.0.0.1:{port}"
    [process] = status["processes"]
    assert (process["generation"], process["ready"], process["workers"]) == (1, True, 2)
    [generation] = status["generations"]
    assert generation["migrated"] is True
    assert generation["activated"] is not None
    again = agent("activate", generation=1, deadline=30, listen=f"127.0.0.1:{port}")
    assert again["changed"] is False
    assert steady(agent("status"))["processes"] == [process]


def test_switching_under_load_loses_nothing(
    agent: Caller, real_release: Release, port: int, load: Callable[..., subprocess.Popen[str]]
) -> None:
    """Clients with kept connections, GET and POST, straight at the host: none fails while generations change."""
    listen = f"127.0.0.1:{port}"
    agent.prepare(1, real_release)
    agent.prepare(2, real_release.variant("2.0"))
    agent("activate", generation=1, deadline=30, listen=listen)
    clients = load("keep", 8)
    switched = agent("activate", generation=2, deadline=30, listen=listen)
    assert (switched["changed"], switched["previous"]) == (True, 1)
    back = agent("rollback", to=None, deadline=30, listen=listen)
    assert (back["generation"], back["previous"]) == (1, 2)
    counted = outcome(clients)
    assert counted["failures"] == []
    assert min(counted["generation 1"], counted["generation 2"]) > 10
    assert [process["generation"] for process in agent("status")["processes"]] == [1]


BROKEN = {
    "raises at import": ("raise", "died", "this release can't be imported", 10),
    "hangs at import": ("hang", "timeout", "did not answer", 0.8),
    "is never ready": ("unready", "not-ready", "the database is away", 4),
}


@pytest.mark.parametrize(("behaviour", "code", "words", "deadline"), BROKEN.values(), ids=BROKEN)
def test_a_broken_generation_changes_nothing(
    agent: Caller, real_release: Release, port: int, behaviour: str, code: str, words: str, deadline: float
) -> None:
    """It is stopped again, the old one serves on, and the error says what the app said."""
    listen = f"127.0.0.1:{port}"
    agent.prepare(1, real_release)
    agent.prepare(2, real_release, BEHAVIOUR=behaviour)
    agent("activate", generation=1, deadline=30, listen=listen)
    before = settled(agent)
    for verb, arguments in (("trial", {"check": "ready"}), ("activate", {"listen": listen})):
        with pytest.raises(AgentFailure) as caught:
            agent(verb, generation=2, deadline=deadline, **arguments)
        assert caught.value.code == code
        assert words in json.dumps(caught.value.error)
        after = steady(agent("status"))
        assert [after[key] for key in ("current", "processes", "generations", "listening")] == [
            before[key] for key in ("current", "processes", "generations", "listening")
        ]
    assert get(port)[1]["generation"] == "1"


def test_a_first_generation_that_fails_leaves_no_socket(agent: Caller, real_release: Release, port: int) -> None:
    """All is as before: nothing listens."""
    agent.prepare(1, real_release, BEHAVIOUR="raise")
    with pytest.raises(AgentFailure):
        agent("activate", generation=1, deadline=5, listen=f"127.0.0.1:{port}")
    status = agent("status")
    assert (status["current"], status["processes"], status["listening"]) == (None, [], None)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def test_what_serves_is_not_taken_down_by_a_failed_check(agent: Caller, real_release: Release, port: int) -> None:
    """Activating what is current and has just lost its database reports it, and leaves it running."""
    listen = f"127.0.0.1:{port}"
    agent.prepare(1, real_release)
    agent("activate", generation=1, deadline=30, listen=listen)
    (agent.root / "state/unready").touch()
    with pytest.raises(AgentFailure) as caught:
        agent("activate", generation=1, deadline=2, listen=listen)
    assert caught.value.code == "not-ready"
    [process] = agent("status")["processes"]
    assert (process["ready"], process["status"]) == (False, 503)
    assert get(port)[0] == 200


def test_the_environment_of_a_process(
    agent: Caller, real_release: Release, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly the generation's variables and those of the protocol; secrets are files; nothing is inherited."""
    monkeypatch.setenv("LEAKED", "from whoever called the agent")
    agent.prepare(1, real_release, COLOUR='red "and" $green', LINES="one\ntwo")
    agent("activate", generation=1, deadline=30, listen=f"127.0.0.1:{port}")
    said = get(port, "/environ")[1]
    root = agent.root
    assert said["prefix"] == str(root / "releases/1.0")
    assert said["cwd"] == str(root / "state")
    secret = root / "generations/1/credentials/SECRET_KEY"
    expected = {
        "COLOUR": 'red "and" $green', "LINES": "one\ntwo", "SECRET_KEY_FILE": str(secret), "RELEASE_VERSION": "1.0",
        "RELEASE_GENERATION": "1", "HOME": str(root / "state"), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    added_by_gunicorn = {"SERVER_SOFTWARE"}
    assert {key: value for key, value in said["environ"].items() if key not in {"PATH", *added_by_gunicorn}} == expected
    assert secret.read_text() == "hunter2"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert not list((root / "releases/1.0").rglob("__pycache__/tiny*.pyc.*"))
    assert agent("status")["releases"][0]["complete"] is True


def test_a_deep_root(zipapp: Path, tmp_path: Path, real_release: Release, port: int) -> None:
    """Paths longer than a Unix socket's address may be."""
    root = tmp_path / ("d" * 100) / ("e" * 100)
    agent = Caller([sys.executable, "-I", str(zipapp)], root)
    try:
        agent.prepare(1, real_release)
        agent.prepare(2, real_release, COLOUR="red")
        assert agent("trial", generation=1, check="ready", deadline=30)["status"] == 200
        for number in (1, 2):
            agent("activate", generation=number, deadline=30, listen=f"127.0.0.1:{port}")
            assert get(port)[1]["generation"] == str(number)
        assert agent("status")["processes"][0]["ready"] is True
    finally:
        agent("stop", timeout=1)


def test_a_port_in_use(agent: Caller, real_release: Release, port: int) -> None:
    """The error names the address and who has it; nothing was started."""
    agent.prepare(1, real_release)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(AgentFailure) as caught:
            agent("activate", generation=1, deadline=5, listen=f"127.0.0.1:{port}")
    assert caught.value.code == "port-in-use"
    assert f"127.0.0.1:{port}" in caught.value.error["message"]
    assert f"pid {os.getpid()}" in caught.value.error["got"]
    assert agent("status")["processes"] == []


def test_a_killed_keeper_is_replaced_without_a_gap(
    agent: Caller, real_release: Release, port: int, load: Callable[..., subprocess.Popen[str]]
) -> None:
    """The socket is taken back from the processes that have it, by an activation with or without a switch."""
    listen = f"127.0.0.1:{port}"
    agent.prepare(1, real_release)
    agent.prepare(2, real_release, COLOUR="red")
    agent("activate", generation=1, deadline=30, listen=listen)
    clients = load()
    for generation in (1, 2):
        os.kill(int((agent.root / "run/listen.pid").read_text()), signal.SIGKILL)
        eventually(lambda: agent("status")["listening"] is None)
        assert agent("activate", generation=generation, deadline=30, listen=listen)["changed"] is True
        assert agent("status")["listening"] == listen
        assert get(port)[1]["generation"] == str(generation)
    assert outcome(clients)["failures"] == []


def test_a_new_address(agent: Caller, real_release: Release, port: int) -> None:
    """Another port in the environment file: the next generation, and also the same one, moves there."""
    agent.prepare(1, real_release)
    agent.prepare(2, real_release, COLOUR="red")
    second, third = free_port(), free_port()
    agent("activate", generation=1, deadline=30, listen=f"127.0.0.1:{port}")
    agent("activate", generation=2, deadline=30, listen=f"127.0.0.1:{second}")
    assert agent("status")["listening"] == f"127.0.0.1:{second}"
    assert get(second)[1]["generation"] == "2"
    with pytest.raises(ConnectionRefusedError):
        get(port)
    assert agent("activate", generation=2, deadline=30, listen=f"127.0.0.1:{third}")["changed"] is True
    assert get(third)[1]["generation"] == "2"
    with pytest.raises(ConnectionRefusedError):
        get(second)


def test_start_after_a_reboot(agent: Caller, real_release: Release, port: int) -> None:
    """Everything was killed: `start` brings back what `current` names, and a second one has nothing to do."""
    listen = f"127.0.0.1:{port}"
    with pytest.raises(AgentFailure, match="nothing-current"):
        agent("start", listen=listen)
    agent.prepare(1, real_release)
    agent("activate", generation=1, deadline=30, listen=listen)
    for pid in proc.holders(agent.root / "run/1.alive") + proc.holders(agent.root / "run/listen.alive"):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: agent("status")["processes"] == [])
    assert agent("start", listen=listen)["changed"] is True
    assert get(port)[1]["generation"] == "1"
    assert agent("start", listen=listen)["changed"] is False


def test_workers_of_a_killed_master(agent: Caller, real_release: Release, port: int) -> None:
    """They are found and asked to leave; none stays behind."""
    listen = f"127.0.0.1:{port}"
    agent.prepare(1, real_release)
    agent.prepare(2, real_release, COLOUR="red")
    agent("activate", generation=1, deadline=30, listen=listen)
    os.kill(agent("status")["processes"][0]["pid"], signal.SIGKILL)
    agent("activate", generation=2, deadline=30, listen=listen)
    assert proc.holders(agent.root / "run/1.alive") == []
    assert [process["generation"] for process in agent("status")["processes"]] == [2]


def test_what_ignores_sigterm_is_killed(agent: Caller, real_release: Release) -> None:
    """Also children that the app started and that outlive its master."""
    agent.prepare(1, real_release, BEHAVIOUR="daemon")
    port = free_port()
    agent("activate", generation=1, deadline=30, listen=f"127.0.0.1:{port}")
    began = time.monotonic()
    assert agent("stop", generation=1, timeout=1)["stopped"] == [1]
    assert time.monotonic() - began < 25, "the contract's own patience is 40 s"
    assert any("killed" in event["detail"] for event in agent.events)
    assert agent("status")["processes"] == []
    assert agent("stop")["changed"] is True
    assert agent("stop")["changed"] is False


def test_a_slow_request_is_finished(agent: Caller, real_release: Release, port: int) -> None:
    """A request in flight gets its answer from the generation that leaves."""
    listen = f"127.0.0.1:{port}"
    agent.prepare(1, real_release)
    agent.prepare(2, real_release, COLOUR="red")
    agent("activate", generation=1, deadline=30, listen=listen)
    with socket.create_connection(("127.0.0.1", port)) as slow, ThreadPoolExecutor(1) as pool:
        slow.sendall(b"GET /slow?0.8 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        time.sleep(0.1)
        switching = pool.submit(agent, "activate", generation=2, deadline=30, listen=listen)
        data = b""
        while chunk := slow.recv(4096):
            data += chunk
        slow.close()
        assert switching.result()["changed"] is True
    assert b" 200 OK" in data
    assert b'"generation": "1"' in data


def test_who_lingers_takes_no_request_and_finishes_what_it_has(agent: Caller, real_release: Release, port: int) -> None:
    """The answer comes while a slow request is in hand; every request from then on is for the new one."""
    listen = f"127.0.0.1:{port}"
    agent.prepare(1, real_release)
    agent.prepare(2, real_release)
    agent("activate", generation=1, deadline=30, listen=listen)
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"GET /slow?4 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        eventually(lambda: get(port)[1]["generation"] == "1")
        switched = agent("activate", generation=2, deadline=30, listen=listen, linger=True)
        assert switched["leaving"] == [1]
        slow.settimeout(0.001)
        with pytest.raises(TimeoutError):  # still in hand
            slow.recv(1)
        assert {get(port)[1]["generation"] for _ in range(30)} == {"2"}
        stopped = agent("stop", generation=1, timeout=0.1)
        assert stopped["stopped"] in ([1], [])  # [] when it had gone by itself
    assert [process["generation"] for process in agent("status")["processes"]] == [2]
    assert agent("activate", generation=2, deadline=30, listen=listen, linger=True)["leaving"] == []


def test_a_trial_that_lingers_is_gone_before_its_generation_starts(
    agent: Caller, real_release: Release, port: int
) -> None:
    agent.prepare(1, real_release)
    agent("trial", generation=1, deadline=30, linger=True)
    agent("trial", generation=1, deadline=30, linger=True)
    agent("activate", generation=1, deadline=30, listen=f"127.0.0.1:{port}")
    assert [path.name for path in (agent.root / "run").glob("trial-*")] == []


def test_a_killed_trial_is_cleared_away(agent: Caller, real_release: Release) -> None:
    """What an agent that died in a trial left behind ends with the next one."""
    agent.prepare(1, real_release, BEHAVIOUR="hang")
    agent.prepare(2, real_release)
    request = json.dumps({"verb": "trial", "generation": 1, "deadline": 60}).encode() + b"\n"
    with subprocess.Popen(agent.argv("trial"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(request)
        process.stdin.flush()
        alive = agent.root / "run/trial-1.alive"  # the agent itself has it open for a moment
        left = eventually(lambda: [pid for pid in proc.holders(alive) if pid != process.pid])
        process.kill()
    assert proc.start_time(left[0]) is not None
    agent("trial", generation=2, deadline=30)
    assert proc.start_time(left[0]) is None
    assert list((agent.root / "run").iterdir()) == []


@pytest.mark.parametrize("left", ["sock", "pid", "alive"])
def test_what_is_left_of_a_trial_goes_with_the_trial_of_another_generation(
    agent: Caller, real_release: Release, left: str
) -> None:
    """Whoever asked for it may have been killed, and its generation may never be tried again."""
    agent.prepare(2, real_release)
    path = agent.root / "run" / f"trial-1.{left}"
    path.parent.mkdir(exist_ok=True)
    path.touch()
    agent("trial", generation=2, deadline=30)
    assert not path.exists()


def test_sigterm_undoes_an_activation(agent: Caller, real_release: Release, port: int) -> None:
    """An agent that is told to stop while it waits puts everything back, and says so."""
    agent.prepare(1, real_release, BEHAVIOUR="hang")
    request = json.dumps({"verb": "activate", "generation": 1, "deadline": 60, "listen": f"127.0.0.1:{port}"}).encode()
    with subprocess.Popen(agent.argv("activate"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(request + b"\n")
        process.stdin.close()
        eventually(lambda: proc.holders(agent.root / "run/1.alive"))
        process.terminate()
        assert process.stdout is not None
        said = json.loads(process.stdout.read().splitlines()[-1])
        assert process.wait(10) == 1
    assert said["error"]["code"] == "stopped"
    status = agent("status")
    assert (status["processes"], status["current"], status["listening"]) == ([], None, None)


@pytest.mark.parametrize("listen", ["8101", "localhost:8101", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:x", ""])
def test_an_address_that_is_none(agent: Caller, real_release: Release, listen: str) -> None:
    """It is refused with an example, before anything starts."""
    agent.prepare(1, real_release)
    with pytest.raises(AgentFailure) as caught:
        agent("activate", generation=1, deadline=5, listen=listen)
    assert caught.value.code == "bad-address"
    assert "127.0.0.1:8101" in caught.value.error["expected"]


def test_a_damaged_release_is_not_started(agent: Caller, real_release: Release, port: int) -> None:
    """Neither touched files nor another manifest get past trial and activate."""
    agent.prepare(1, real_release)
    path = next((agent.root / "releases/1.0").rglob("tiny.py"))
    os.utime(path)
    for verb, arguments in (("trial", {}), ("activate", {"listen": f"127.0.0.1:{port}"}), ("migrate", {})):
        with pytest.raises(AgentFailure) as caught:
            agent(verb, generation=1, **({"deadline": 5} if verb != "migrate" else {}), **arguments)
        assert caught.value.code == "release-incomplete"
        assert "tiny.py" in caught.value.error["message"]


ROLLBACKS = [
    (3, {1: True, 2: True, 3: True}, 2),
    (3, {1: True, 2: False, 3: True}, 1),
    (1, {1: True, 2: True}, None),
    (None, {}, None),
    (None, {1: True, 2: True}, 2),
    (5, {1: False, 5: True}, None),
]


@pytest.mark.parametrize(("current", "activated", "target"), ROLLBACKS)
def test_the_target_of_a_rollback(current: int | None, activated: dict[int, bool], target: int | None) -> None:
    """The newest below `current` that served once."""
    assert switch.rollback_target(current, activated) == target
