"""docs/security.md says what each unit may do; systemd is asked whether that is so."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from deploy.artifacts import units
from tests.support.contracts import WORKER, minimal
from tests.support.repository import ROOT

NAME = "sample"
SYSTEM = "usr/lib/systemd/system"
PAGE = (ROOT / "docs/security.md").read_text()
ROW = re.compile(r"^\| `([\w@.-]+\.(?:service|socket))` \| ([\d.]+) \| (.+) \|$", re.MULTILINE)
FIGURES = {unit.replace("NAME", NAME): float(figure) for unit, figure, _ in ROW.findall(PAGE)}
OURS = {
    "firewall/files/firewall.service.jinja": f"{SYSTEM}/{NAME}-firewall.service",
    "app/files/leave.service.jinja": f"{SYSTEM}/{NAME}-leave.service",
    "haproxy/files/unit.conf.jinja": "etc/systemd/system/haproxy.service.d/slipway.conf",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with every unit that packages or Salt install, and the one of Debian's that a drop-in changes."""
    root = tmp_path_factory.mktemp("root")
    salt = Environment(loader=FileSystemLoader(ROOT / "salt"), autoescape=False)  # noqa: S701 - no HTML
    texts = {place.lstrip("/"): text for place, text in units.render(minimal(WORKER)).items()}
    texts |= {place: salt.get_template(source).render(name=NAME) for source, place in OURS.items()}
    for place, text in texts.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(text)
    shutil.copy(f"/{SYSTEM}/haproxy.service", root / SYSTEM)
    return root


def test_every_unit_that_we_install_is_listed(root: Path) -> None:
    installed = {path.name for path in (root / SYSTEM).glob("*.s*") if path.suffix in (".service", ".socket")}
    assert set(FIGURES) == installed
    templates = {str(path.relative_to(ROOT / "salt")) for path in (ROOT / "salt").rglob("*.service.jinja")}
    assert templates <= set(OURS), "a unit of Salt's that this test does not know"


@pytest.mark.parametrize("unit", FIGURES)
def test_the_figure_is_what_systemd_says(root: Path, unit: str) -> None:
    words = ["systemd-analyze", "security", "--offline=yes", f"--root={root}", unit.replace("@.", "@1.")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert score, done.stdout + done.stderr
    assert float(score[1]) == FIGURES[unit]


def test_what_runs_the_application_is_confined() -> None:
    assert {FIGURES[f"{NAME}@.service"], FIGURES[f"{NAME}-worker@.service"]} <= {1.0, 1.1}


def test_the_tests_that_are_named_are_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)
    assert len(named) > 8
    assert [(path, test) for path, test in named if f"def {test}(" not in (ROOT / path).read_text()] == []
