"""`migrate` with other variables: for one command, for nobody else's eyes, and gone with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.agent import generations
from deploy.agent.channel import Channel
from deploy.agent.cli import answer
from deploy.agent.layout import Layout
from deploy.agent.overlay import Overlay, laid_over, written
from tests.deploy.agent import crash
from tests.deploy.agent.kit import CONTRACT, AgentFailure, Caller, Release, eventually, small, tree

THOROUGH = bool(os.environ.get("SLIPWAY_THOROUGH"))
PASSWORD = "owner's-sesame"
OVERLAY: dict[str, Any] = {"variables": {"URL": "owner@db"}, "secrets": {"PASSWORD": PASSWORD}}
TELL = """
import json, os, stat
path = os.environ.get("PASSWORD_FILE", "")
found = {name: os.environ.get(name) for name in ("URL", "COLOUR", "PASSWORD", "SECRET_KEY_FILE")}
found["password"] = open(path).read() if path else None
found["modes"] = [stat.S_IMODE(os.stat(p).st_mode) for p in (path, os.path.dirname(path))] if path else None
print(json.dumps(found))
"""
SLEEP = "import time; print('up', flush=True); time.sleep(60)"


def release(code: str) -> Release:
    return Release("1.0", small().files, {"contract": {**CONTRACT, "commands": {"migrate": ["-c", code]}}})


@pytest.fixture
def prepared(agent: Caller) -> Caller:
    agent.prepare(1, release(TELL), URL="app@db", COLOUR="blue")
    return agent


def traces(root: Path) -> list[str]:
    """Every file under a folder that has the password in it."""
    return [str(path) for path in root.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def test_the_command_gets_other_variables_this_once(prepared: Caller) -> None:
    """Those that are not named stay; the next command is the generation's own again."""
    before = tree(prepared.root, but=["lock", "ledger.jsonl"])
    with_overlay = json.loads(prepared("migrate", generation=1, ledger={"rollout": "r1"}, **OVERLAY)["output"])
    assert with_overlay == {
        "URL": "owner@db", "COLOUR": "blue", "PASSWORD": None, "password": PASSWORD, "modes": [0o600, 0o700],
        "SECRET_KEY_FILE": f"{prepared.root}/generations/1/credentials/SECRET_KEY",
    }  # fmt: skip
    assert traces(prepared.root) == []
    after = tree(prepared.root, but=["lock", "ledger.jsonl", "generations/1/migrated"])
    assert after == before
    assert json.loads(prepared("migrate", generation=1)["output"])["URL"] == "app@db"


def test_a_command_that_fails_leaves_no_trace_either(agent: Caller) -> None:
    agent.prepare(1, release("raise SystemExit(3)"))
    with pytest.raises(AgentFailure, match="command-failed"):
        agent("migrate", generation=1, ledger={"rollout": "r1"}, **OVERLAY)
    assert traces(agent.root) == []
    assert list((agent.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_agent_that_is_killed_leaves_nothing_for_long(agent: Caller, how: signal.Signals) -> None:
    """Told to stop, it clears away itself; after kill -9 the next writing verb does, whatever it is."""
    agent.prepare(1, release(SLEEP))
    request = {"verb": "migrate", "generation": 1, **OVERLAY}
    with subprocess.Popen(agent.argv("migrate"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        assert b"up" in process.stdout.readline()
        (path,) = traces(agent.root)
        (started,) = children(process.pid)
        process.send_signal(how)
        process.wait(10)
    if how == signal.SIGKILL:
        os.kill(started, signal.SIGKILL)
        agent("prune", keep=3)
    assert not Path(path).exists()
    assert eventually(lambda: traces(agent.root) == [])


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_killed_at_any_effect_it_converges(tmp_path: Path) -> None:
    """The same verb again: the command has run, and neither a file nor the ledger has the password."""
    request = {"generation": 1, "ledger": {"rollout": "r1"}, **OVERLAY}
    kills = 0
    for k in range(0, 1000, 1 if THOROUGH else 3):
        server = Caller([], tmp_path / f"killed-{k}")
        layout = Layout.under(server.root)
        server.prepare(1, release("print('done')"))
        killed = crash.kill_at(k, lambda: migrate(layout, request))  # noqa: B023
        migrate(layout, request)
        assert generations.load(layout, 1).migrated
        assert traces(server.root) == []
        assert list(layout.tmp.iterdir()) == []
        if not killed:
            break
        kills += 1
    assert kills >= 8


def migrate(layout: Layout, request: dict[str, Any]) -> None:
    """Carry it out in this process, with an output that can be asked whether anybody still reads it."""
    with Path(os.devnull).open("rb") as source, (layout.base / "output").open("wb") as target:
        assert answer(layout, Channel(source, target, session=False), {"verb": "migrate", **request})


def test_an_overtaken_deployer_changes_nothing(prepared: Caller) -> None:
    owner = {"who": "me", "host": "h", "pid": 1, "boot": "b", "start": 1, "rollout": "r1"}
    token = prepared("lease", action="acquire", owner=owner, ttl=60)["lease"]["token"]
    with pytest.raises(AgentFailure, match="fenced"):
        prepared("migrate", generation=1, token=token - 1, **OVERLAY)
    assert prepared("status")["generations"][0]["migrated"] is False


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ({"variables": {"HOME": "/"}}, "HOME is set by the agent"),
        ({"secrets": {"a-b": "x"}}, "can't name a variable"),
        ({"variables": {"A": "1"}, "secrets": {"A": "2"}}, "both variable and secret"),
        ({"variables": {"A": 1}}, "bad-argument"),
    ],
)
def test_what_can_be_no_environment_is_refused(prepared: Caller, overlay: dict[str, Any], said: str) -> None:
    with pytest.raises(AgentFailure) as caught:
        prepared("migrate", generation=1, **overlay)
    assert said in json.dumps(caught.value.error)


def test_a_name_is_replaced_in_whatever_form_it_was_there(tmp_path: Path) -> None:
    given = {"A": "1", "B_FILE": "/old/B", "C": "3", "D_FILE": "/old/D", "PATH": "/bin"}
    path = tmp_path / "overlay.json"
    path.write_text(json.dumps({"variables": {"B": "2", "C": "4"}, "secrets": ["A", "D"]}))
    assert laid_over(given, str(path), "/new/") == {
        "A_FILE": "/new/A", "B": "2", "C": "4", "D_FILE": "/new/D", "PATH": "/bin",
    }  # fmt: skip


def test_nothing_to_replace_writes_nothing(tmp_path: Path) -> None:
    layout = Layout.under(tmp_path)
    for overlay in (None, Overlay({}, {})):
        with written(layout, overlay) as folder:
            assert folder is None
    assert list(tmp_path.iterdir()) == []


def test_on_a_server_it_never_touches_a_disk() -> None:
    assert str(Layout.system("sample").private) == "/run/sample-agent"
