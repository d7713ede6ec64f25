"""A session with an agent: answers, events, errors, silence, and an agent that goes away."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import deploy.artifacts.agent as zipapp
from deploy.agents import Agent, AgentError, AgentGone, PostRefused
from deploy.environment import ROOT


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """Open a session with the real agent, on a server of its own."""
    zipapp.write(tmp_path / "releasectl")
    made = Agent("web1", [sys.executable, "-I", str(tmp_path / "releasectl"), "--root", str(tmp_path), "session"])
    yield made
    made.close()


def scripted(script: str) -> Agent:
    """Make an agent out of a few lines of Python."""
    return Agent("web1", [sys.executable, "-c", script])


def test_one_session_answers_many_requests(agent: Agent) -> None:
    first = agent.call("status")
    assert first["current"] is None
    entry = {"rollout": "r1", "kind": "stage", "phase": "begin", "host": "web1"}
    agent.call("ledger", append=[entry])
    assert agent.call("ledger", tail=5)["entries"][0]["rollout"] == "r1"
    with closing(agent.another()) as other:
        assert other.call("ledger", tail=5)["entries"][0]["rollout"] == "r1"


def test_an_error_names_host_verb_what_was_expected_and_what_to_do(agent: Agent) -> None:
    with pytest.raises(AgentError) as raised:
        agent.call("trial", generation=7)
    assert raised.value.code == "no-generation"
    assert raised.value.message.startswith("web1: trial: there is no generation 7 here")
    assert raised.value.hint
    with pytest.raises(AgentError, match="there is no verb 'nonsense'"):
        agent.call("nonsense")


def test_events_come_while_a_verb_is_at_work() -> None:
    script = """
import sys
sys.stdin.readline()
print('{"id": 1, "event": "line", "text": "a"}', flush=True)
print('{"id": 1, "event": "line", "text": "b"}', flush=True)
print('{"id": 1, "ok": true, "result": {"lines": 2}}', flush=True)
"""
    agent, seen = scripted(script), []
    assert agent.request("logs", {}, on_event=lambda event: seen.append(event["text"])) == {"lines": 2}
    assert seen == ["a", "b"]
    agent.close()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("raise SystemExit('no such interpreter')", "no such interpreter"),
        ("import sys; sys.stdin.readline(); print('Welcome to this server!')", "which is no answer"),
        ("import sys; sys.stdin.readline()", "it ended"),
    ],
)
def test_an_agent_that_does_not_answer_is_an_error_with_its_last_words(script: str, says: str) -> None:
    with pytest.raises(AgentGone, match=says):
        scripted(script).call("status")


def test_silence_has_an_end() -> None:
    begun = time.monotonic()
    with pytest.raises(AgentGone, match="no answer for 0 s"):
        scripted("import time; time.sleep(60)").request("status", {}, silence=0.3)
    assert time.monotonic() - begun < 20


def test_a_killed_agent_is_noticed_at_once_and_the_next_call_starts_another(agent: Agent) -> None:
    agent.call("status")
    assert agent._process
    os.kill(agent._process.pid, signal.SIGKILL)
    with pytest.raises(AgentGone):
        agent.call("status")
    assert agent.call("status")["current"] is None


def test_what_is_posted_is_done_in_order_and_nobody_waits(agent: Agent) -> None:
    entry = {"rollout": "r1", "kind": "stage", "host": "web1"}
    agent.post("ledger", append=[{**entry, "phase": "begin"}])
    agent.post("ledger", append=[{**entry, "phase": "end"}])
    assert [e["phase"] for e in agent.call("ledger", tail=5)["entries"]] == ["begin", "end"]


def test_an_error_of_what_was_posted_is_raised_by_the_next_call_and_once(agent: Agent) -> None:
    agent.post("ledger", append=[{"phase": "never"}])
    agent.post("prune", keep=-1)
    with pytest.raises(PostRefused, match="web1: ledger: a ledger entry has no valid phase"):
        agent.call("ledger", tail=5)
    assert agent.call("ledger", tail=5)["entries"] == []


def test_the_own_error_of_a_call_comes_before_one_that_was_posted(agent: Agent) -> None:
    agent.post("ledger", append=[{"phase": "never"}])
    with pytest.raises(AgentError, match="trial"):
        agent.call("trial", generation=7)


# Where a program may take as long as it likes: it runs here, beside the person who started it, or is asked to follow.
ENDLESS = {
    "deploy/adopt/lock.py",  # uv, which has time-outs of its own
    "deploy/demo.py",  # `make` and `fab` of the demo
    "deploy/tasks/run.py",  # a command of the application, a person's own prompt
    "deploy/tasks/logs.py",  # --follow
    "deploy/highstate/remote.py",  # on the server: the session that started it has a time-out
    "deploy/highstate/salt_wheel.py",  # builds a wheel here
}


def operators_side() -> Iterator[tuple[str, ast.Call]]:
    """List every call in the operator's side; what builds artifacts, or is the agent's own, stays on one machine."""
    for path in sorted((ROOT / "deploy").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if not name.startswith(("deploy/agent/", "deploy/artifacts/", "deploy/fleet/")):
            yield from ((name, node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def test_every_remote_call_has_a_time_out() -> None:
    """A host that freezes must not hold a deployer for ever: no question without an end, no program without one."""
    endless = set()
    for name, call in operators_side():
        words = {word.arg: word.value for word in call.keywords}
        said = ast.unparse(call.func)
        silent = "silence" in words and "None" in ast.unparse(words["silence"])
        if silent or (said in ("subprocess.run", "urllib.request.urlopen") and "timeout" not in words):
            endless.add(name)
    assert endless == ENDLESS


def test_ssh_gives_up_a_host_that_is_silent() -> None:
    """Payloads as well, for which nobody waits with a deadline."""
    text = (ROOT / "deploy/ssh.py").read_text()
    for option in ("ConnectTimeout", "ServerAliveInterval", "ServerAliveCountMax"):
        assert f'"{option}"' in text


STUBBORN = """
import pathlib, sys, time
sys.stdin.readline()
print('{"id": 1, "ok": true, "result": {}}', flush=True)
for line in sys.stdin:
    pathlib.Path(sys.argv[0]).with_name("heard").write_text(line)
time.sleep(SECONDS)
"""


@pytest.fixture
def stubborn(tmp_path: Path) -> Path:
    """Write a program that stays for a minute when it has heard everything."""
    program = tmp_path / "stubborn.py"
    program.write_text(STUBBORN.replace("SECONDS", "60"))
    return program


def test_what_leads_to_a_far_agent_is_not_waited_for(stubborn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []
    terminate = subprocess.Popen.terminate
    monkeypatch.setattr(subprocess.Popen, "terminate", lambda process: (ended.append(process.pid), terminate(process)))
    agent = Agent("web1", [sys.executable, str(stubborn)], far=True)
    agent.call("status")
    agent.close()
    (pid,) = ended
    assert not Path(f"/proc/{pid}").exists()


def test_a_far_agent_still_gets_what_nobody_has_an_answer_to(stubborn: Path) -> None:
    stubborn.write_text(STUBBORN.replace("SECONDS", "0"))
    agent = Agent("web1", [sys.executable, str(stubborn)], far=True)
    agent.call("status")
    agent.post("ledger", append=[])
    agent.close()
    assert "ledger" in stubborn.with_name("heard").read_text()
