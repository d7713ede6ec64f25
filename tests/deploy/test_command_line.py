"""`fab TASK:ENV` goes by the small program, whatever Fabric alone understands by Fabric's; both say the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy import command_line

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("typed", "small"),
    [
        ("deploy:local", True),
        ("deploy:staging,version=1.4.0 --yes", True),
        ("logs:local --limit web2 -f", True),
        ("", False),
        ("--list", False),
        ("--help deploy:local", False),
        ("fleet.up", False),
        ("deploy:local -H web1", False),
        ("deploy:local -eH web1", False),
        ("deploy:local --hosts=web1", False),
        ("deploy:local --identity key", False),
        ("deploy:local --connect-timeout 3", False),
    ],
)
def test_which_program_it_is(typed: str, small: bool) -> None:
    assert command_line.suits(typed.split()) is small


OPTIONS = "from {}; print(sorted(n for a in program.core_args() for n in a.names))"
OURS, FABRICS = "deploy.command_line import small; program = small()", "fabric.main import program"


def test_it_lacks_what_fabric_adds_and_nothing_else() -> None:
    """A new option of Fabric's would be refused where the small program gets it."""
    ours, fabrics = (_names(OPTIONS.format(source)) for source in (OURS, FABRICS))
    added = [f"--{name}" if len(name) > 1 else f"-{name}" for name in fabrics - ours]
    assert added
    assert not [name for name in added if command_line.suits(["deploy:local", name])]


def test_it_reads_fabrics_configuration_and_loads_no_ssh() -> None:
    code = (
        "import sys; from deploy.command_line import FabricsConfig as c; d = c.global_defaults();"
        "print(c.prefix, d['tasks']['collection_name'], 'paramiko' in sys.modules)"
    )
    assert _said(code) == "fabric fabfile False"


def _names(code: str) -> set[str]:
    return set(_said(code).strip("[]").replace("'", "").split(", "))


def _said(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
