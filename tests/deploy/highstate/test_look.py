"""What a server is like, from what a shell script says of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.highstate import look
from deploy.highstate.look import Server

DEBIAN = "user=0\nsystem=Debian GNU/Linux 12 (bookworm)\nlike= debian  \nmanager=apt-get\n"
ROCKY = "user=0\nsystem=Rocky Linux 9.5\nlike= rocky rhel centos fedora \nmanager=dnf\npython=/usr/bin/python3.11\n"


def test_an_empty_debian() -> None:
    expected = Server(
        "web1",
        root=True,
        system="Debian GNU/Linux 12 (bookworm)",
        family="Debian",
        manager="apt-get",
        python=False,
        agent=False,
        current=None,
        starting=False,
    )
    assert look.understand("web1", f"{DEBIAN}end=yes\n") == expected
    assert look.problems(expected) == []


def test_a_rocky_that_serves() -> None:
    seen = look.understand("web1", f"{ROCKY}agent=yes\ncurrent=generations/7\ncloud-init=running\nend=yes\n")
    assert seen
    assert (seen.family, seen.python, seen.agent, seen.current, seen.starting) == ("RedHat", True, True, 7, True)


def test_what_was_cut_short_is_nothing() -> None:
    assert look.understand("web1", DEBIAN) is None


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("user=0", "user=1000", "web1: expected root"),
        ("like= debian  ", "like= alpine ", "web1: expected a system of the Debian or Red Hat family, got Debian"),
        ("manager=apt-get\n", "", "web1: expected apt-get or dnf, found neither"),
    ],
)
def test_what_forbids_to_set_a_server_up_is_said(old: str, new: str, problem: str) -> None:
    seen = look.understand("web1", DEBIAN.replace(old, new) + "end=yes\n")
    assert seen
    assert any(each.startswith(problem) for each in look.problems(seen))


def test_the_script_runs_in_a_plain_shell(tmp_path: Path) -> None:
    """Here: whatever this machine is, it has a user number, and no agent of this name."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    done = subprocess.run(look.words(str(python), "no-such-name"), capture_output=True, text=True, check=True)
    seen = look.understand("here", done.stdout)
    assert seen
    assert (seen.python, seen.agent, seen.current) == (True, False, None)
    assert not done.stderr
