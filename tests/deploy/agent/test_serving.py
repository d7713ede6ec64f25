"""How gunicorn is called, and how it leaves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.agent import manifest
from deploy.agent.supervisors.serving import gunicorn
from tests.deploy.agent.kit import HERE, Caller, Release, manifest_of, text_of

COMMANDS = [
    ("27.0.1", None, ["--workers 2", "--no-control-socket", "--preload", "--graceful-timeout 5", "--keep-alive 75"]),
    ("25.0", 1, ["--workers 1", "--no-control-socket"]),
    ("23.0.0", None, ["--workers 2"]),
    (None, None, ["--workers 2"]),
]


@pytest.mark.parametrize(("version", "workers", "words"), COMMANDS)
def test_the_command_line(version: str | None, workers: int | None, words: list[str]) -> None:
    """Only options that the release's own gunicorn knows."""
    described = manifest_of({}, distributions={"gunicorn": version} if version else {})
    found = manifest.read(text_of(described).encode())
    line = " ".join(gunicorn(found, "/r/bin/python", "tiny@1", workers=workers))
    assert line.startswith("/r/bin/python -c ")
    assert line.endswith(" tiny:application")
    assert all(word in line for word in words)
    assert ("--no-control-socket" in line) == ("--no-control-socket" in words)


def test_who_leaves_runs_its_exit_handlers_and_says_its_last_words(
    agent: Caller, real_release: Release, port: int
) -> None:
    """Master and both workers: they leave without taking the interpreter apart, and lose nothing by it."""
    agent.prepare(1, real_release, BEHAVIOUR="tidy")
    agent("activate", generation=1, deadline=30, listen=f"127.0.0.1:{port}")
    agent("stop", timeout=10)
    said = (agent.root / "log/1.log").read_text()
    assert said.count("tidied up") == 3
    assert "Shutting down: Master" in said


@pytest.mark.parametrize("behaviour", ["raise", "leave"])
def test_who_cannot_start_leaves_with_the_status_that_gunicorn_gives(tmp_path: Path, behaviour: str) -> None:
    """systemd starts again what failed, and tells it from what was asked to leave."""
    shutil.copyfile(HERE / "tiny_app.py", tmp_path / "tiny.py")
    ours = gunicorn(manifest.read(text_of(manifest_of({})).encode()), sys.executable, "tiny@1")
    plain = [sys.executable, "-m", "gunicorn", *ours[3:]]
    statuses, said = [], []
    for command in (ours, plain):
        done = subprocess.run(
            [*command, "--bind", "unix:here"], cwd=tmp_path, env={"BEHAVIOUR": behaviour, "HOME": str(tmp_path)},
            stderr=subprocess.PIPE, text=True, timeout=30, check=False,
        )  # fmt: skip
        statuses.append(done.returncode)
        said.append("this release can't be imported" in done.stderr)
    assert statuses[0] == statuses[1] == {"raise": 1, "leave": 4}[behaviour]
    assert said[0] == said[1] == (behaviour == "raise")
