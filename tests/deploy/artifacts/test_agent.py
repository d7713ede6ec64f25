"""The zipapp `releasectl`: the same bytes for the same sources, and it runs alone."""

from __future__ import annotations

import importlib.util
import marshal
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.artifacts import agent
from deploy.artifacts.cache import Cache


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


def test_it_is_kept_and_made_again_when_what_was_kept_is_damaged(tmp_path: Path) -> None:
    """It is built before every deploy."""
    cache = Cache(tmp_path / "cache")
    made = agent.build(cache=cache)
    [kept] = (tmp_path / "cache/agents").glob("*/*")
    assert kept.read_bytes() == made
    inode = kept.stat().st_ino
    assert agent.build(cache=cache) == made
    assert kept.stat().st_ino == inode
    kept.write_bytes(made[:-1])
    assert agent.build(cache=cache) == made


def test_its_bytecode_is_its_source(tmp_path: Path) -> None:
    """What runs is what can be read."""
    agent.write(tmp_path / "releasectl")
    with zipfile.ZipFile(tmp_path / "releasectl") as archive:
        modules = [name for name in archive.namelist() if name.endswith(".py")]
        assert sorted(f"{name}c" for name in modules) == [n for n in archive.namelist() if n.endswith(".pyc")]
        for name in modules:
            bytecode = archive.read(f"{name}c")
            assert bytecode[:4] == importlib.util.MAGIC_NUMBER
            assert bytecode[8:16] == importlib.util.source_hash(archive.read(name))
            assert marshal.loads(bytecode[16:]) == compile(archive.read(name), name, "exec", dont_inherit=True)  # noqa: S302


def test_another_python_passes_the_bytecode_over(tmp_path: Path) -> None:
    """Its source is what it runs; zipimport looks at magic numbers, not at checksums."""
    unchecked_hash = b"\1\0\0\0"
    data = agent.build().replace(importlib.util.MAGIC_NUMBER + unchecked_hash, b"\1\2\r\n" + unchecked_hash)
    (tmp_path / "releasectl").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-I", "-v", tmp_path / "releasectl", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("releasectl ")
    assert "bad magic number in 'deploy.agent.cli'" in done.stderr


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
