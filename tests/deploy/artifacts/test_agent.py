"""The zipapp `releasectl`: the same bytes for the same sources, and it runs alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from deploy.artifacts import agent


def test_it_is_the_same_wherever_and_whenever_it_is_built(tmp_path: Path) -> None:
    """Place, times, modes and leftovers of the sources don't matter; their contents do."""
    source = tmp_path / "elsewhere"
    shutil.copytree(agent.SOURCE, source)
    for path in source.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    (source / "__pycache__").mkdir(exist_ok=True)
    (source / "__pycache__/x.pyc").write_bytes(b"x")
    assert agent.build(source) == agent.build()
    (source / "cli.py").write_text((source / "cli.py").read_text() + "# changed\n")
    assert agent.build(source) != agent.build()


def test_it_is_built_fast() -> None:
    """It is built before every deploy: 30 ms, with some air for a busy machine."""
    durations = []
    for _ in range(5):
        began = time.perf_counter()
        agent.build()
        durations.append(time.perf_counter() - began)
    assert min(durations) < 0.03


def test_it_runs_alone(tmp_path: Path) -> None:
    """By its own shebang, from anywhere, with no environment, and it names its build."""
    path = tmp_path / "releasectl"
    assert agent.write(path) is True
    assert agent.write(path) is False
    path.chmod(0o755)
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    done = subprocess.run([path, "--version"], capture_output=True, text=True, cwd="/", env=environment, check=True)
    name, version = done.stdout.split()
    assert name == "releasectl"
    assert len(version.partition("+")[2]) == 12
    assert done.stderr == ""


def test_its_members_have_fixed_times_and_order(tmp_path: Path) -> None:
    """So that nothing of the builder's machine is in it."""
    agent.write(tmp_path / "releasectl")
    with zipfile.ZipFile(tmp_path / "releasectl") as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert "deploy/agent/cli.py" in names
        assert {info.date_time for info in archive.infolist()} == {agent.EPOCH}
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}


def test_a_source_without_its_mark_is_refused(tmp_path: Path) -> None:
    """The digest must have a place to go."""
    source = tmp_path / "agent"
    shutil.copytree(agent.SOURCE, source)
    (source / "__init__.py").write_text("")
    with pytest.raises(ValueError, match="BUILD"):
        agent.build(source)


@pytest.mark.parametrize("words", [[], ["-h"], ["a", "b"]])
def test_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One path is expected."""
    assert agent.main(words) == 2
    assert "usage" in capsys.readouterr().err
