"""`run`, `migrate` and `logs`: the app's own programs, with nothing left behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.agent import commands, generations
from deploy.agent.channel import Channel
from deploy.agent.layout import Layout
from deploy.agent.log_files import last_lines
from deploy.agent.supervisors import proc
from deploy.agent.verbs import Agent
from tests.deploy.agent.kit import CONTRACT, AgentFailure, Caller, Release, eventually, small

SLEEPER = "import subprocess, sys, time; subprocess.Popen(['sleep', '{0}']); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def ready(agent: Caller) -> Caller:
    """Give a server whose generation 1 is current; it can run programs, not serve."""
    agent.prepare(1, small(), COLOUR="blue")
    generations.set_current(Layout.under(agent.root), 1)
    return agent


def output(agent: Caller, stream: str = "stdout") -> str:
    return "".join(e["text"] for e in agent.events if e["event"] == "output" and e["stream"] == stream)


def test_a_program_runs_with_the_environment_of_a_generation(ready: Caller) -> None:
    """What it says comes as events, its status as the result; it gets no input."""
    code = "import os, sys; print(os.environ['COLOUR'], sys.stdin.read()); print('oops', file=sys.stderr); sys.exit(3)"
    assert ready("run", argv=["-c", code]) == {"returncode": 3}
    assert (output(ready), output(ready, "stderr")) == ("blue \n", "oops\n")
    assert ready("run", argv=["-c", "print('a\u00e9' * 100_000)"], generation=1)["returncode"] == 0
    assert output(ready) == "a\u00e9" * 100_000 + "\n"


def gone(mark: str) -> bool:
    return not any(
        f"sleep {mark}" in proc.command(pid) or SLEEPER.format(mark) in proc.command(pid) for pid in proc.pids()
    )


def test_a_program_that_takes_too_long_is_killed_with_its_children(ready: Caller) -> None:
    """Its output so far was passed on."""
    with pytest.raises(AgentFailure) as caught:
        ready("run", argv=["-c", SLEEPER.format("61.25")], timeout=0.5)
    assert caught.value.code == "timeout"
    assert output(ready) == "up\n"
    assert gone("61.25")


def test_children_that_outlive_a_program_are_killed(ready: Caller) -> None:
    """And don't keep the answer waiting by holding its output open."""
    began = time.monotonic()
    code = "import subprocess; subprocess.Popen(['sleep', '62.25']); print('done')"
    assert ready("run", argv=["-c", code]) == {"returncode": 0}
    assert output(ready) == "done\n"
    assert time.monotonic() - began < 60, "it waited for the child, which lives for 62 s"
    assert gone("62.25")


@pytest.mark.parametrize("how", ["input ends", "output is closed", "SIGTERM"])
def test_a_program_ends_with_whoever_asked_for_it(ready: Caller, how: str) -> None:
    """An operator who goes away, or tells the agent to stop, leaves nothing running."""
    mark = {"input ends": "63.25", "output is closed": "64.25", "SIGTERM": "65.25"}[how]
    request = json.dumps({"verb": "run", "argv": ["-c", SLEEPER.format(mark)]}).encode() + b"\n"
    with subprocess.Popen(ready.argv("session"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(request)
        process.stdin.flush()
        assert b"up" in process.stdout.readline()
        eventually(lambda: not gone(mark))
        if how == "input ends":
            process.stdin.close()
        elif how == "output is closed":
            process.stdout.close()
        else:
            process.send_signal(signal.SIGTERM)
        process.wait(10)
    eventually(lambda: gone(mark))


def test_a_long_silence_is_broken(ready: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's side takes silence for a dead agent."""
    monkeypatch.setattr(commands, "TELL", 0.3)
    target = io.BytesIO()
    with (ready.root / "input").open("w+b") as source:
        agent = Agent(Layout.under(ready.root), Channel(source, Polled(target), session=False))
        assert commands.run(agent.layout, ["-c", "import time; time.sleep(1)"], 1, 5, agent) == {"returncode": 0}
    assert [json.loads(line)["event"] for line in target.getvalue().splitlines()].count("waiting") >= 2


class Polled(io.BufferedWriter):
    """Bytes in memory that have a descriptor to poll."""

    def __init__(self, target: io.BytesIO) -> None:
        super().__init__(target)  # type: ignore[arg-type]

    def fileno(self) -> int:
        return 1


def test_migrate_runs_the_contracts_command(ready: Caller) -> None:
    """Its output is the result, and the generation is marked."""
    result = ready("migrate", generation=1)
    assert result["output"] == "migrated 1\n"
    assert ready("status")["generations"][0]["migrated"] is True


MIGRATIONS: dict[str, tuple[list[str] | None, str, str]] = {
    "fails": (["-c", "print('table is locked'); raise SystemExit(3)"], "command-failed", "table is locked"),
    "says nothing": (["-c", "raise SystemExit(1)"], "command-failed", "it said nothing"),
    "hangs": (["-c", "import time; print('waiting', flush=True); time.sleep(60)"], "timeout", "waiting"),
    "is not in the contract": (None, "no-command", "[tool.slipway.commands]"),
}


@pytest.mark.parametrize(("argv", "code", "said"), MIGRATIONS.values(), ids=MIGRATIONS)
def test_a_migration_that_fails(agent: Caller, argv: list[str] | None, code: str, said: str) -> None:
    """The error has the output, and nothing is marked."""
    contract: dict[str, Any] = {**CONTRACT, "commands": {"migrate": argv} if argv else {}}
    agent.prepare(1, Release("1.0", small().files, {"contract": contract}))
    with pytest.raises(AgentFailure) as caught:
        agent("migrate", generation=1, timeout=0.5)
    assert caught.value.code == code
    assert said in json.dumps(caught.value.error)
    assert agent("status")["generations"][0]["migrated"] is False


CHECKS = {
    "is content before": (True, "not run: migrate_check"),
    "is content after": (True, "migrated"),
    "is not content": (False, "not content"),
}


@pytest.mark.parametrize(("good", "said"), CHECKS.values(), ids=CHECKS)
def test_migrate_is_checked_by_the_application(agent: Caller, good: bool, said: str) -> None:
    """It does not run where nothing is to do, and a command that did nothing is no success."""
    done = agent.root.parent / "schema"
    look = ["-c", f"import os, sys; sys.exit(not os.path.exists({str(done)!r}))"]
    write = ["-c", f"print('migrated'); {f'open({str(done)!r}, chr(119))' if good else 'pass'}"]
    if said.startswith("not run"):
        done.touch()
    contract = {**CONTRACT, "commands": {"migrate": write, "migrate_check": look}}
    agent.prepare(1, Release("1.0", small().files, {"contract": contract}))
    if good:
        assert said in agent("migrate", generation=1)["output"]
    else:
        with pytest.raises(AgentFailure, match="command-failed") as caught:
            agent("migrate", generation=1)
        assert said in json.dumps(caught.value.error)
    assert agent("status")["generations"][0]["migrated"] is good


def test_logs(ready: Caller) -> None:
    """The last lines, of what is current unless a generation is named."""
    with pytest.raises(AgentFailure, match="no-log"):
        ready("logs")
    (ready.root / "log/1.log").write_text("".join(f"line {n}\n" for n in range(300)))
    assert ready("logs", lines=2)["lines"] == 2
    assert [(e["generation"], e["text"]) for e in ready.events] == [(1, "line 298"), (1, "line 299")]
    assert ready("logs", lines=0)["lines"] == 0


def test_logs_are_chosen_by_level_time_and_request(ready: Caller) -> None:
    """Time and request look into the generations before as well."""

    def line(second: int, level: str, request: str) -> str:
        when = f"2026-11-23T14:00:{second:02d}.000+00:00"
        return json.dumps({"time": when, "level": level, "message": f"{second}", "request_id": request}) + "\n"

    ready.prepare(2, small(), COLOUR="red")
    (ready.root / "log/1.log").write_text(
        line(1, "INFO", "a") + line(2, "ERROR", "a") + line(3, "ERROR", "b") + "more\n"
    )
    (ready.root / "log/2.log").write_text(line(4, "INFO", "b") + line(5, "ERROR", "c"))
    generations.set_current(Layout.under(ready.root), 2)

    def found(**asked: Any) -> list[str]:
        ready.events.clear()
        ready("logs", **asked)
        return [e["text"] if e["text"][0] != "{" else json.loads(e["text"])["message"] for e in ready.events]

    assert found() == ["4", "5"]
    assert found(level="error") == ["5"]
    assert found(request_id="b") == ["3", "more", "4"]
    assert found(request_id="a", level="error") == ["2"]
    assert found(since=1795442403.0) == ["3", "more", "4", "5"]
    assert found(since=1795442403.0, lines=2) == ["4", "5"]
    assert found(generation=1, since=1795442402.5) == ["3", "more"]
    assert found(request_id="z") == []


def test_logs_are_followed_until_the_input_ends(ready: Caller) -> None:
    """Also into the next generation."""
    log = ready.root / "log/1.log"
    log.write_text("old\n")
    with subprocess.Popen(ready.argv("session"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"verb": "logs", "follow": true, "lines": 1}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == "old"
        with log.open("a") as file:
            file.write("new\nha")
            file.flush()
            assert json.loads(process.stdout.readline())["text"] == "new"
            file.write("lf\n")
        assert json.loads(process.stdout.readline())["text"] == "half"
        ready.prepare(2, small(), COLOUR="red")
        (ready.root / "log/2.log").write_text("second\n")
        generations.set_current(Layout.under(ready.root), 2)
        answer = json.loads(process.stdout.readline())
        assert (answer["generation"], answer["text"]) == (2, "second")
        process.stdin.close()
        assert json.loads(process.stdout.readline())["ok"] is True


@pytest.mark.parametrize(
    ("text", "count", "expected"), [("", 3, []), ("a\nb\nc\n", 2, ["b", "c"]), ("a\nb", 5, ["a", "b"])]
)
def test_last_lines(tmp_path: Path, text: str, count: int, expected: list[str]) -> None:
    """Also of a file whose last line has no end yet."""
    path = tmp_path / "log"
    path.write_text(text)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert last_lines(descriptor, count, len(text)) == expected
    finally:
        os.close(descriptor)
