"""`use-release`: what lies in /etc and an installed release become what serves."""

from __future__ import annotations

import os
import secrets
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.agent import generations, use
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from tests.support import releases
from tests.support.ports import free_ports

NAME = "kiosk"


@pytest.mark.parametrize("value", ["plain", "two words", 'a "quoted" $HOME `x` \\ end', "", "'single'", "a=b#c"])
def test_a_value_is_read_as_it_is_written(tmp_path: Path, value: str) -> None:
    """What the agent writes for systemd is read back the same."""
    (tmp_path / "env").write_text(f"# a comment\n\n; another\n NAME = {generations.quote(value)}\n")
    assert use.read_variables(tmp_path / "env") == {"NAME": value}


def test_a_line_that_is_no_variable_is_named(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("A=1\nexport B=2\n")
    with pytest.raises(AgentError, match="env:2: expected NAME=value"):
        use.read_variables(tmp_path / "env")


def test_secrets_are_files_without_their_last_newline(tmp_path: Path) -> None:
    (tmp_path / "KEY").write_text("a secret\n")
    assert use.read_secrets(tmp_path) == {"KEY": "a secret"}
    assert use.read_secrets(tmp_path / "absent") == {}


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert use.main(["--name", NAME]) == 2
    assert capsys.readouterr().err == use.USAGE


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server with an installed release, as rpm leaves it: other modes than in dist/, no store."""
    monkeypatch.setenv("PYTHONPATH", str(releases.ROOT))
    tree = releases.kiosk()
    root = tmp_path / "root"
    target = root / "releases" / tree.version
    shutil.copytree(tree.path, target, symlinks=True)
    for path in target.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)
    (tmp_path / "etc/credentials").mkdir(parents=True)
    yield tmp_path
    os.environ["PYTHONPATH"] = str(releases.ROOT)
    use.ask(["--root", str(root), "--name", NAME], "stop")


def test_a_first_start_and_what_follows(server: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root, etc, port = server / "root", server / "etc", free_ports(1)[0]
    version = next((root / "releases").iterdir()).name
    where = ["--root", str(root), "--name", NAME, "--etc", str(etc), "--listen", f"127.0.0.1:{port}"]
    words = [*where, "--first", version]
    assert use.main(words) == 1
    assert "has no variable" in capfd.readouterr().err
    (etc / f"{NAME}.env").write_text(f"DATABASE_URL=sqlite:///{server}/goods.sqlite3\n")
    (etc / "credentials/SECRET_KEY").write_text(secrets.token_hex(32) + "\n")
    assert use.main(words) == 0, capfd.readouterr()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
        assert answer.status == 200
    assert generations.current(Layout.under(root)) == 1
    capfd.readouterr()
    assert use.main(words) == 0
    assert capfd.readouterr().out == "", "nothing to do where something runs"
    assert use.main([*where, version]) == 0
    assert generations.numbers(Layout.under(root)) == [1], "the same again is no new generation"
    assert use.main([*where, "9.9"]) == 1
    assert "there is no release 9.9 here" in capfd.readouterr().err
