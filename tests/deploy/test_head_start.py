"""Sessions that begin before anything is loaded: by whom they are taken, and when there are none."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import head_start, sessions, ssh_sockets
from deploy.agents import Agent

CAT = ["cat"]
SLEEP = ["sleep", "600"]
ECHO = [sys.executable, "-c", 'import sys; sys.stdin.readline(); print(\'{"id": 1, "ok": true, "result": {"n": 7}}\')']


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository whose environment `staging` was spoken to before."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(ssh_sockets, "LONGEST", 200)
    (tmp_path / "deploy/environments").mkdir(parents=True)
    (tmp_path / "deploy/environments/staging.toml").write_text("[hosts.web1]\n")
    head_start.remember("staging", tmp_path, [CAT, SLEEP])
    yield tmp_path
    head_start.end()


def begun() -> list[list[str]]:
    return [command for command, _ in head_start._begun]


def test_sessions_begin_as_they_did_the_last_time(root: Path) -> None:
    head_start.begin(["deploy:staging", "--yes"], str(root))
    assert begun() == [CAT, SLEEP]


@pytest.mark.parametrize(
    "words",
    [
        ["deploy:production"],
        ["--help", "deploy:staging"],
        ["deploy:staging", "--help"],
        ["run:staging", "db current"],
        ["fleet.up"],
        ["--list"],
        [],
    ],
)
def test_no_session_begins_for_what_asks_for_none(root: Path, words: list[str]) -> None:
    head_start.begin(words, str(root))
    assert begun() == []


def test_arguments_in_the_form_of_fabric_1_belong_to_no_name(root: Path) -> None:
    head_start.begin(["deploy:staging,version=1.4.0"], str(root))
    assert begun() == [CAT, SLEEP]


@pytest.mark.parametrize("change", ["file", "runtime", "record"])
def test_nothing_begins_when_what_it_rests_on_has_changed(
    root: Path, change: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if change == "file":
        (root / "deploy/environments/staging.toml").write_text("[hosts.web2]\n")
    elif change == "runtime":
        monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    else:
        (root / "var/head-start/staging.json").write_text("{")
    head_start.begin(["deploy:staging"], str(root))
    assert begun() == []


def test_nothing_begins_where_others_could_reach_the_connections(root: Path) -> None:
    head_start.begin(["deploy:staging"], str(root))
    head_start.end()
    next(root.glob("slipway-ssh-*")).chmod(0o755)
    head_start.begin(["deploy:staging"], str(root))
    assert begun() == []


def test_a_session_is_taken_once_and_only_by_its_very_command(root: Path) -> None:
    head_start.begin(["deploy:staging"], str(root))
    assert head_start.take(["cat", "-"]) is None
    session = head_start.take(CAT)
    assert session
    assert session.process.args == CAT
    assert head_start.take(CAT) is None
    sessions.end(session.process)
    session.stderr.close()


def test_an_agent_goes_on_with_the_session_that_was_begun(root: Path) -> None:
    head_start.remember("staging", root, [ECHO])
    head_start.begin(["status:staging"], str(root))
    process = head_start._begun[0][1].process
    agent = Agent("web1", ECHO)
    agent.open()
    assert begun() == []
    assert agent._process is process
    assert agent.call("status") == {"n": 7}
    agent.close()


def test_what_nobody_took_is_ended(root: Path) -> None:
    head_start.begin(["status:staging"], str(root))
    processes = [session.process for _, session in head_start._begun]
    head_start.end()
    assert [process.returncode for process in processes] == [-9, -9]


def test_the_record_is_for_its_owner_only_and_written_when_it_changes(root: Path) -> None:
    record = root / "var/head-start/staging.json"
    assert record.stat().st_mode & 0o777 == 0o600
    before = record.stat().st_ino
    head_start.remember("staging", root, [CAT, SLEEP])
    assert record.stat().st_ino == before
    head_start.remember("staging", root, [CAT])
    assert record.stat().st_ino != before
    head_start.begin(["plan:staging"], str(root))
    assert begun() == [CAT]


def test_a_record_that_others_may_have_written_is_not_run(root: Path) -> None:
    record = root / "var/head-start/staging.json"
    record.chmod(0o666)
    head_start.begin(["deploy:staging"], str(root))
    assert begun() == []
    record.chmod(0o600)
    record.rename(root / "elsewhere.json")
    record.symlink_to(root / "elsewhere.json")
    head_start.begin(["deploy:staging"], str(root))
    assert begun() == []


def test_the_name_of_an_environment_leads_nowhere_else(root: Path) -> None:
    head_start.begin(["deploy:../head-start/staging"], str(root))
    assert begun() == []


def test_it_loads_before_fabric_and_without_it() -> None:
    code = "import sys; import deploy.head_start; print(*sorted({n.partition('.')[0] for n in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"fabric", "invoke", "paramiko", "pydantic", "asyncio"} & set(done.stdout.split())
