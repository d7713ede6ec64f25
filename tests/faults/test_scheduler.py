"""Rollouts of an application with a scheduler: one runs, in a switch and in a move to another host."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.artifacts import ReleaseTree
from tests.local.conftest import Site, make_site
from tests.support import releases

KIOSK = Path(releases.__file__).parent / "kiosk"
SCHEDULER = Path(releases.__file__).parents[1] / "deploy/agent/tiny_scheduler.py"
PROCESS = '\n[tool.slipway.processes.scheduler]\ncommand = ["-m", "kiosk.scheduler"]\n'
HERE, THERE = '[hosts.web{}]\nroles = ["web"]', '[hosts.web{}]\nroles = ["web", "scheduler"]'

pytestmark = pytest.mark.timeout(600)


def scheduled(name: str, more: dict[str, str | None]) -> ReleaseTree:
    """Build the kiosk with a scheduler."""
    text = (KIOSK / "pyproject.toml").read_text()
    changes = {"pyproject.toml": text + PROCESS, "kiosk/scheduler.py": SCHEDULER.read_text(), **more}
    return releases.kiosk(name, changes)


@pytest.fixture(scope="module")
def first() -> ReleaseTree:
    return scheduled("scheduled", {})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, first: ReleaseTree) -> Iterator[Site]:
    made = make_site(tmp_path_factory.mktemp("site"))
    made.edit(HERE.format(2), THERE.format(2))
    made.fab("bootstrap:local")
    made.deploy(first)
    yield made
    made.destroy()


def lived(site: Site) -> list[str]:
    """Say what became of schedulers, first on web2 and then on web1; no two may ever have been on one host."""
    logs = [site.root(host) / "state/scheduler.log" for host in ("web2", "web1")]
    lines = [line for log in logs if log.exists() for line in log.read_text().splitlines()]
    assert not [line for line in lines if "twice" in line]
    return [line.partition(" ")[2] for line in lines]


def where(site: Site) -> list[tuple[str, bool | None]]:
    return [(h.name, p.ready) for h in site.status().values() for p in h.processes if p.name == "scheduler"]


def test_one_ends_before_the_next_begins(site: Site) -> None:
    assert (where(site), lived(site)) == ([("web2", True)], ["begins"])
    newer = scheduled("scheduled-newer", {"kiosk/about.py": '"""One line more."""\n'})
    with site.traffic() as during:
        site.deploy(newer)
    assert (during[0].failed, during[0].requests > 0) == (0, True), during[0]
    assert (where(site), lived(site)) == ([("web2", True)], ["begins", "ends", "begins"])
    site.fab("rollback:local")
    assert lived(site) == ["begins", "ends", "begins", "ends", "begins"]


def test_it_moves_only_when_nobody_runs_it_any_more(site: Site, first: ReleaseTree) -> None:
    before = lived(site)
    site.edit(THERE.format(2), HERE.format(2))
    site.edit(HERE.format(1), THERE.format(1))
    assert "web2 still runs the scheduler that web1 shall run" in site.deploy(first, expect=2).err
    assert (where(site), lived(site)) == ([("web2", True)], before)
    site.edit(THERE.format(1), HERE.format(1))
    site.deploy(first)
    assert (where(site), lived(site)) == ([], [*before, "ends"])
    assert "no host has the role scheduler" not in site.fab("status:local").out, "the contract here has none"
    site.edit(HERE.format(1), THERE.format(1))
    site.deploy(first)
    assert (where(site), lived(site)) == ([("web1", True)], [*before, "ends", "begins"])


def test_one_that_died_is_started_again_by_the_next_deploy(site: Site, first: ReleaseTree) -> None:
    [process] = [p for p in site.status()["web1"].processes if p.name == "scheduler"]
    os.kill(process.pid, signal.SIGKILL)
    assert "web1" in site.fab("status:local").out.splitlines()[-1]
    site.deploy(first)
    assert where(site) == [("web1", True)]
