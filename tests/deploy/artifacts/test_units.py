"""The units are what systemd takes without a complaint, and what keeps an app from everything it doesn't need."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.artifacts import units
from tests.support.contracts import minimal

SYSTEM = Path("/usr/lib/systemd/system")
NAME = "sample"
WORKER = '[tool.slipway.processes.worker]\ncommand = ["-m", "app", "worker"]\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with the units, and of systemd's own those that they lean on."""
    for place, text in units.render(minimal(WORKER)).items():
        path = tmp_path / place.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    agent = tmp_path / f"usr/lib/{NAME}/releasectl"
    agent.parent.mkdir()
    agent.write_text("#!/bin/sh\n")
    agent.chmod(0o755)
    for kind in ("target", "slice"):
        for path in SYSTEM.glob(f"*.{kind}"):
            shutil.copy(path, tmp_path / "usr/lib/systemd/system")
    return tmp_path


def ask(*words: str | Path) -> tuple[int, str]:
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def test_systemd_has_nothing_to_say(root: Path) -> None:
    names = [f"{NAME}.socket", f"{NAME}.service", f"{NAME}@1.service", f"{NAME}-image@1.service"]
    names += [f"{NAME}-worker@1.service", f"{NAME}-worker-image@1.service"]
    assert ask("systemd-analyze", "verify", "--man=no", f"--root={root}", *names) == (0, "")


@pytest.mark.parametrize("unit", [NAME, f"{NAME}-worker"])
def test_a_generation_is_confined(root: Path, unit: str) -> None:
    """gunicorn's documented unit scores 9.0 of 10."""
    _, said = ask("systemd-analyze", "security", "--offline=yes", f"--root={root}", f"{unit}@1.service")
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert score, said
    assert float(score[1]) <= 1.1


def test_user_and_directories_are_what_systemd_takes(root: Path) -> None:
    code, said = ask("systemd-sysusers", "--dry-run", f"--root={root}", f"{NAME}.conf")
    assert (code, f"Creating user '{NAME}'" in said) == (0, True), said
    (root / "etc/passwd").write_text(f"root:x:0:0::/root:/bin/sh\n{NAME}:x:990:990::/:/bin/sh\n")
    (root / "etc/group").write_text(f"root:x:0:\n{NAME}:x:990:\n")
    command = ("systemd-tmpfiles", "--create", f"--root={root}", f"{NAME}.conf")
    if os.geteuid() == 0:  # only root gives directories away
        assert ask(*command) == (0, "")
        assert (root / f"var/lib/{NAME}/state").stat().st_uid == 990


def test_the_stop_takes_longer_than_the_requests_in_flight(root: Path) -> None:
    text = (root / f"usr/lib/systemd/system/{NAME}@.service").read_text()
    grace = minimal().server.graceful_timeout
    assert f"TimeoutStopSec={grace + units.AFTER_GRACE}\n" in text
    assert units.AFTER_GRACE > 10


def test_whoever_deploys_may_say_two_lines_to_sudo() -> None:
    """tests/fleet/ shows that sudo reads it so."""
    ((place, text),) = units.sudoers(minimal(), "ops").items()
    assert place == f"/etc/sudoers.d/{NAME}"
    rules = [line for line in text.splitlines() if not line.startswith(("#", "Defaults:ops "))]
    allowed = f"ops ALL=(root) NOPASSWD: /usr/lib/{NAME}/releasectl --name {NAME}"
    assert rules == [f"{allowed} session", f"{allowed} shell"]


@pytest.mark.parametrize(
    ("urls", "expected"),
    [({}, ""), ({"Docs": "d", "Home-Page": "h"}, "h"), ({"Docs": "d"}, "d"), ({"Docs": "d", "Source": "s"}, "s")],
)
def test_the_address_of_a_project(urls: dict[str, str], expected: str) -> None:
    assert units.url_of(urls) == expected
