"""Fixtures: the built agent, a release that really serves, an empty server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.agent.layout import Layout
from deploy.artifacts import agent as builder
from tests.deploy.agent import kit


@pytest.fixture(scope="session")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build releasectl once."""
    path = tmp_path_factory.mktemp("agent") / "releasectl"
    builder.write(path)
    return path


@pytest.fixture(scope="session")
def real_release(tmp_path_factory: pytest.TempPathFactory) -> kit.Release:
    """Make a release that really serves, once."""
    return kit.real(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def agent(zipapp: Path, tmp_path: Path) -> Iterator[kit.Caller]:
    """Give an empty server; everything that was started on it is stopped afterwards."""
    # Servers have other Pythons than the operator: set this to try one.
    python = os.environ.get("SLIPWAY_AGENT_PYTHON", sys.executable)
    caller = kit.Caller([python, "-I", str(zipapp)], tmp_path / "server")
    yield caller
    with contextlib.suppress(kit.AgentFailure):
        caller("stop", timeout=0.2)


@pytest.fixture
def port() -> int:
    """Find a free port."""
    return kit.free_port()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Give the directories of an empty server, for calls within this process."""
    layout = Layout.under(tmp_path / "server")
    layout.make()
    return layout


@pytest.fixture
def load(port: int) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start clients that never retry."""
    started: list[subprocess.Popen[str]] = []

    def start(mode: str = "close", clients: int = 4) -> subprocess.Popen[str]:
        command = [sys.executable, str(kit.HERE / "load.py"), str(port), str(clients), mode]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
