"""Going on with a killed rollout, or taking it back, where something is missing for that."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.agent import generations
from deploy.agent import releases as releases_there
from deploy.agent.layout import Layout
from deploy.agent.supervisors import supervisor_of
from deploy.artifacts import ReleaseTree
from tests.local.conftest import HOSTS, Site, make_site
from tests.local.test_kill import kill_at
from tests.support import releases

LEVEL = 'LOG_LEVEL = "INFO"'


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Site]:
    """Set a site up where nothing was ever deployed."""
    made = make_site(tmp_path / "site")
    try:
        made.fab("bootstrap:local")
        yield made
    finally:
        made.destroy()


def deploy_killed_at(site: Site, release: ReleaseTree, kind: str, host: str) -> None:
    """Have a deployer killed there."""
    process = site.start("deploy:local", "--version", release.version, "--json")
    assert kill_at(process, kind, host), "it was faster than its killer"


def test_of_a_first_deploy_nothing_is_left_to_go_back_to(fresh: Site, base: ReleaseTree) -> None:
    deploy_killed_at(fresh, base, "trial", "web1")
    taken_back = fresh.fab("abort:local")
    assert "nothing was left to do: nothing runs, as before it" in taken_back.out
    assert "unfinished" not in fresh.fab("status:local").out
    fresh.fab("abort:local", expect=10)

    deploy_killed_at(fresh, base, "ready", "web1")
    refused = fresh.fab("abort:local", expect=2)
    assert "nothing ran before it: there is nothing to go back to" in refused.err
    assert "resume:local goes on with it" in refused.err
    fresh.fab("resume:local")
    assert fresh.versions() == {base.version}


def test_what_is_missing_is_said_with_what_to_type(site: Site, base: ReleaseTree) -> None:
    """A host lost what was staged there: it comes from dist/ and the environment file, if those are still the same."""
    site.ensure(base)
    with site.edited(LEVEL, f'{LEVEL}\nMISSING = "1"'):
        deploy_killed_at(site, base, "drain", "web1")
        number = max(int(p.name) for p in (site.root("web2") / "generations").iterdir())
        shutil.rmtree(site.root("web2") / "generations" / str(number))
    changed = site.fab("resume:local", expect=2)
    assert f"web2: generation {number} is not whole there, and the variables have changed since" in changed.err
    assert "deploy:local takes those of now" in changed.err

    with site.edited(LEVEL, f'{LEVEL}\nMISSING = "1"'):
        shutil.rmtree(site.root("web2") / "releases" / base.version)
        dist = site.path / "dist"
        dist.unlink()
        dist.mkdir()
        missing = site.fab("resume:local", expect=2)
        assert f"dist/ has no {base.version} -> git checkout " in missing.err
        assert "make release" in missing.err
        dist.rmdir()
        dist.symlink_to(releases.OUT)
        assert ("stage", "web2") in {
            (event["step"]["kind"], event["step"]["host"])
            for event in site.fab("resume:local", "--json").events
            if event["event"] == "begin"
        }
    assert site.versions() == {base.version}
    for host in HOSTS:
        assert "MISSING=1" in (site.root(host) / "current" / "env").read_text()
    site.deploy(base)


def test_a_trial_that_a_killed_agent_left_goes_with_the_rollout_that_is_taken_back(
    site: Site, base: ReleaseTree, newer: ReleaseTree
) -> None:
    site.ensure(base)
    deploy_killed_at(site, newer, "drain", "web1")
    layout = Layout.under(site.root("web1"))
    number = max(generations.numbers(layout))
    made = generations.load(layout, number)
    supervisor_of(layout).start_trial(made, releases_there.load(layout, made.version))
    site.fab("abort:local")
    assert list(layout.run.glob("trial-*")) == []
    assert site.versions() == {base.version}
