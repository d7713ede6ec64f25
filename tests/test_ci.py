"""The pipelines stay true: every command in them is run here, and what is built is built without a network.

In a clone of the commit, away from the user's settings, with the cache of built things that a desk has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.artifacts import cache as caches
from tests.support.repository import CI_FILES, ROOT, ci_commands

COMMANDS = list(dict.fromkeys(line.split(" #")[0].strip() for name in CI_FILES for line in ci_commands(name)))
# Instead of what would be a test within itself: all tests are found, and none is run.
SMALLER = {"make test": {"ARGS": "--collect-only --quiet --numprocesses 0"}}
# What apt-get would do is said, and not done; its lists stay as they are.
APT = """\
APT::Get::Simulate "true";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "/dev/null";
"""


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """A clone with the tools of this checkout; its path is short, for there will be an engine's socket in it."""
    with tempfile.TemporaryDirectory(prefix="ci-") as name:
        clone = Path(name, "slipway")
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        (clone / ".venv").symlink_to(ROOT / ".venv")
        if (ROOT / ".mypy_cache").is_dir():
            shutil.copytree(ROOT / ".mypy_cache", clone / ".mypy_cache")
        Path(name, "home").mkdir()
        Path(name, "apt.conf").write_text(APT)
        yield clone


def test_there_is_something_to_run() -> None:
    expected = {"make test", "make check-migrations", "make image", "make repo", "make artifacts"}
    assert expected | {"make verify-reproducible"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_pipelines_works(checkout: Path, command: str) -> None:
    if "apt-get" in command and os.geteuid() != 0:
        pytest.skip("pipelines run as root; apt-get takes nothing from anybody else")
    ours = ("PYTEST_", "COV_", "SLIPWAY_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
        "HOME": str(checkout.parent / "home"),
        "XDG_CACHE_HOME": str(caches.of_user().root.parent),
        "APT_CONFIG": str(checkout.parent / "apt.conf"),
        "PIP_INDEX_URL": "http://192.0.2.1/simple",  # nobody's (RFC 5737)
        **SMALLER.get(command, {}),
    }
    words = ["sh", "-euc", command]
    if os.geteuid() == 0 and command.startswith("make "):
        words = ["unshare", "--net", *words]
    done = subprocess.run(words, cwd=checkout, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
