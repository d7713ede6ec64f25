"""The operator's end of the line to a salt-master. tests/fleet/test_salt_engine.py has a real one at the other end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import environment as environments
from deploy.agents import AgentGone
from deploy.environment import Environment
from deploy.errors import SlipwayError
from deploy.hosts import Hosts
from deploy.salted.agents import Line, Relayed, words
from tests.support.environments import SERVERS, written

# A Salt whose relay only counts: it stands where `salt-run` of a master would, and is found in the same way.
PROGRAM = "#!{python}\n"
COUNTS = """
import json, sys
def main(name, silence, config):
    put = []
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        if "put" in asked:
            put.append((asked["put"], len(sys.stdin.buffer.read(asked["length"]))))
        elif "end" not in asked:
            number, host, body = asked["session"], asked["host"], asked["request"]
            if body["verb"] == "gone":
                print(number, "!" + json.dumps({"message": host + ": away", "hint": "look", "code": body["code"]}))
            elif body["verb"] == "break":
                sys.exit("slipway-relay: it broke")
            else:
                result = {"id": body["id"], "host": host, "name": name, "put": put, "payload": asked["payload"]}
                print(number, json.dumps({"id": body["id"], "ok": True, "result": result}))
            sys.stdout.flush()
"""


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """Lead to a relay on this computer."""
    (tmp_path / "counts.py").write_text(COUNTS)
    program = tmp_path / "salt-run"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr("deploy.salted.agents.SENT", {"relay": tmp_path / "counts.py"})
    made = Line("salt1", "prod", words("sample", str(program), 15), lambda status, said: None)
    yield made
    made.close()


def test_one_line_carries_the_sessions_of_all_hosts(line: Line) -> None:
    web1, web2 = Relayed("web1", line), Relayed("web2", line)
    answers = [agent.call("status") for agent in (web1, web2, web1.another(), web1)]
    assert [(answer["host"], answer["id"]) for answer in answers] == [
        ("web1", 1), ("web2", 1), ("web1", 1), ("web1", 2)
    ]  # fmt: skip
    assert {answer["name"] for answer in answers} == {"sample"}


def test_a_payload_is_sent_once_for_all_hosts(line: Line) -> None:
    payload = [b"a" * 300_000, b"b" * 300_000]
    answers = [
        Relayed(host, line).request("receive", {"length": 600_000}, payload=payload) for host in ("web1", "web2")
    ]
    assert answers[0]["put"] == answers[1]["put"]
    assert sum(size for _, size in answers[0]["put"]) == 600_000
    assert {name for name, _ in answers[0]["put"]} == {answers[0]["payload"]} == {answers[1]["payload"]}


def test_a_host_that_is_away_stays_so_for_a_while_and_others_do_not_care(line: Line) -> None:
    web1, web2 = Relayed("web1", line), Relayed("web2", line)
    with pytest.raises(AgentGone, match="web1: away"):
        web1.call("gone", code="unreachable")
    with pytest.raises(AgentGone, match="web1: away"):
        web1.call("status")
    assert web2.call("status")["host"] == "web2"


def test_a_host_without_an_agent_is_told_what_brings_it(line: Line) -> None:
    with pytest.raises(AgentGone) as caught:
        Relayed("web1", line).call("gone", code="no-agent")
    assert caught.value.hint == "fab bootstrap:prod"


def test_a_relay_that_ends_is_told_to_every_session_and_started_anew(line: Line) -> None:
    web1, web2 = Relayed("web1", line), Relayed("web2", line)
    web2.call("status")
    with pytest.raises(AgentGone, match="the salt-master salt1 can't be worked with: it broke"):
        web1.call("break")
    with pytest.raises(AgentGone, match="it broke"):
        web2.call("status")
    assert Relayed("web1", line).call("status")["id"] == 1


def test_what_streams_without_end_is_refused(line: Line) -> None:
    with pytest.raises(SlipwayError, match="logs --follow needs a stream"):
        Relayed("web1", line).call("logs", lines=10, follow=True)


def test_a_master_without_salt_is_named() -> None:
    line = Line("salt1", "prod", words("sample", "no-such-salt-run", 15), lambda status, said: None)
    with pytest.raises(AgentGone, match="salt-master salt1 can't be worked with: there is no no-such-salt-run"):
        Relayed("web1", line).call("status")
    line.close()


SALT = SERVERS.replace("\n", '\nengine = "salt"\n', 1)


def by_salt(folder: Path, more: str = '[salt]\nmaster = "db1"\n') -> Environment:
    return written(folder, f"{SALT}\n{more}")


def test_the_engine_leads_to_every_host_by_the_master_as_whoever_sets_servers_up(tmp_path: Path) -> None:
    hosts = Hosts(by_salt(tmp_path), "sample")
    agents = {*hosts.agents.values(), *hosts.balancers.values()}
    assert len(agents) == 3
    assert {type(agent) for agent in agents} == {Relayed}
    assert hosts.line
    command = hosts.line._command
    assert command[-2] == "10.0.0.31"
    assert command[command.index("-l") + 1] == "root"


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("", "salt.master: expected a host of this file or an address"),
        ('[salt]\nmaster = "db1"\n[rollout]\nlease = 6\n', "rollout.lease: expected at least 15"),
    ],
)
def test_what_the_engine_needs_is_checked_in_the_file(tmp_path: Path, more: str, problem: str) -> None:
    with pytest.raises(environments.EnvironmentFileError) as caught:
        by_salt(tmp_path, more)
    assert any(problem in each for each in caught.value.problems), caught.value.problems
