"""`--limit`: what is done to some hosts only, and that everybody is told so until all are one again."""

from __future__ import annotations

import json
import re
from pathlib import Path

from deploy.artifacts import ReleaseTree
from tests.local.conftest import Site
from tests.local.test_kill import kill_at


def running(site: Site) -> dict[str, str]:
    """Say which version each host serves, and insist that it does."""
    seen = site.status().values()
    assert all(host.in_service for host in seen), seen
    return {host.name: g.version for host in seen if (g := host.generation(host.current))}


def test_a_limited_deploy_is_told_as_meant_until_a_full_one_converges(
    site: Site, base: ReleaseTree, newer: ReleaseTree, tmp_path: Path
) -> None:
    site.ensure(base)
    planned = site.fab("plan:local", "--version", newer.version, "--limit", "web2").out
    assert re.search(rf"limited to +web2; {re.escape(base.version)}, generation \d+ on web1 stays", planned), planned
    assert f"deploy:local --version {newer.version} --limit web2" in planned
    with site.traffic() as probed:
        done = site.fab("deploy:local", "--version", newer.version, "--limit", "web2").out
        assert " on web2, and web1 as before" in done
        site.fab("deploy:local", "--version", newer.version, "--limit", "web2", expect=10)
        assert running(site) == {"web1": base.version, "web2": newer.version}

        meant = f"on purpose: deploy --limit web2 of {newer.version} by "
        assert f"hosts differ {meant}" in site.fab("status:local").out
        assert json.loads(site.fab("status:local", "--json").out)["on_purpose"]["limit"] == ["web2"]
        assert f"  differ      {meant}" in site.fab("plan:local", "--version", newer.version).out
        assert "deploy --limit web2" in site.fab("history:local", "--lines", "1").out

        site.fab("restart:local", "--limit", "web1")
        assert "web1 does not run generation" in site.fab("restart:local", expect=2).err
        site.fab("drain:local", "--limit", "web1")
        site.fab("restore:local")
        assert running(site) == {"web1": base.version, "web2": newer.version}
        site.deploy(newer)
    assert probed[0].failed == 0, probed[0]
    assert running(site) == dict.fromkeys(("web1", "web2"), newer.version)
    assert "all in service" in site.fab("status:local").out


def test_a_limited_rollback_and_a_saved_limited_plan(
    site: Site, base: ReleaseTree, newer: ReleaseTree, tmp_path: Path
) -> None:
    site.ensure(base)
    site.deploy(newer)
    site.fab("rollback:local", "--limit", "web1")
    assert running(site) == {"web1": base.version, "web2": newer.version}
    assert "hosts differ on purpose: rollback --limit web1" in site.fab("status:local").out
    saved = tmp_path / "plan.json"
    site.fab("plan:local", "--version", newer.version, "--limit", "web1", "--out", str(saved))
    site.fab("deploy:local", "--plan", str(saved))
    assert running(site) == dict.fromkeys(("web1", "web2"), newer.version)
    refused = site.fab("deploy:local", "--limit", "wep1", expect=2)
    assert "did you mean 'web1'?" in refused.err


def test_what_goes_on_with_a_limited_rollout_keeps_to_its_hosts(
    site: Site, base: ReleaseTree, newer: ReleaseTree
) -> None:
    site.ensure(base)
    words = ("deploy:local", "--version", newer.version, "--limit", "web2", "--json")
    while not kill_at(site.start(*words), "switch", "web2"):
        site.deploy(base)
    assert "deploy --limit web2 of" in site.fab("status:local").out
    site.fab("resume:local")
    assert running(site) == {"web1": base.version, "web2": newer.version}
    assert "hosts differ on purpose" in site.fab("status:local").out
    site.fab("deploy:local", "--version", base.version, "--limit", "web2")
    while not kill_at(site.start(*words), "switch", "web2"):
        site.fab("deploy:local", "--version", base.version, "--limit", "web2")
    site.fab("abort:local")
    assert running(site) == dict.fromkeys(("web1", "web2"), base.version)


def test_a_rollout_whose_end_alone_was_not_written_down_is_done(
    site: Site, base: ReleaseTree, newer: ReleaseTree
) -> None:
    site.ensure(base)
    while not kill_at(site.start("deploy:local", "--version", newer.version, "--json"), "prune", "web1"):
        site.deploy(base)
    assert running(site) == dict.fromkeys(("web1", "web2"), newer.version)
    said = site.fab("status:local").out
    assert "all in service" in said
    assert "unfinished" not in said
    assert "resume" not in site.fab("doctor:local").out
    site.deploy(newer, expect=10)
    site.fab("resume:local")
    site.fab("resume:local", expect=10)


def test_a_look_at_some_hosts_tells_of_no_other(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    seen = site.fab("status:local", "--limit", "web2").out
    assert "web2 in service at" in seen
    assert "web1" not in seen
    examined = json.loads(site.fab("doctor:local", "--limit", "web2", "--json").out)["findings"]
    assert [f["subject"] for f in examined if f["subject"].startswith("web")] == ["web2"]
    last = site.fab("releases:local", "--limit", "web2").out.splitlines()[-1]
    assert last.endswith(" web2")
    assert "web1 web2" not in last
    assert json.loads(site.fab("history:local", "--limit", "web2", "--lines", "1", "--json").out)["rollouts"]
    assert 'did you mean "web2"' in site.fab("status:local", "--limit", "web22", expect=2).err.replace("'", '"')
