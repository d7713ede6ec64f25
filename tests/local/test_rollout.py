"""From release to release under traffic, and nothing twice."""

from __future__ import annotations

import json
import urllib.request

from deploy.artifacts import ReleaseTree
from tests.local.conftest import HOSTS, Inside, Site


def test_the_same_version_again_is_nothing_to_do_and_restarts_nothing(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    before = site.pids()
    again = site.deploy(base, expect=10)
    assert again.last["outcome"] == "nothing-to-do"
    assert [e["event"] for e in again.events] == ["outcome"]
    assert site.pids() == before
    plan = site.fab("plan:local", "--version", base.version, expect=10)
    assert plan.out.startswith("nothing to do: local runs")


def test_the_plan_is_what_the_ledger_says_was_done(site: Site, base: ReleaseTree, newer: ReleaseTree) -> None:
    site.ensure(base)
    with site.edited('LOG_LEVEL = "INFO"', 'LOG_LEVEL = "WARNING"'):
        planned = json.loads(site.fab("plan:local", "--version", newer.version, "--json", "--out", "kept.plan").out)
        done = site.fab("deploy:local", "--plan", "kept.plan", "--json")
    steps = [(s["kind"], s["host"]) for g in planned["groups"] for lane in g["lanes"] for s in lane]
    assert {kind for kind, _ in steps} >= {"stage", "trial", "drain", "switch", "ready", "restore", "prune"}
    assert planned["variables"] == [{"name": "LOG_LEVEL", "before": "INFO", "after": "WARNING"}]
    assert ["variables", "LOG_LEVEL: INFO -> WARNING"] in planned["overview"]
    rollout = None
    for host in HOSTS:
        entries = Inside(host, site.root(host)).call("ledger", tail=200)["entries"]
        rollout = rollout or entries[-1]["rollout"]
        mine = [e for e in entries if e["rollout"] == rollout]
        assert [e["kind"] for e in mine if e["phase"] == "begin" and e["kind"] != "rollout"] == [
            kind for kind, where in steps if where == host
        ]
        assert [e["kind"] for e in mine if e["phase"] == "end"].count("rollout") == 1
        begun = [e["step"] for e in mine if e["phase"] == "begin" and "step" in e]
        assert begun == [e["step"] for e in mine if e["phase"] == "end" and "step" in e], "each step ended"
        assert all((steps[i][0], steps[i][1]) == (e["kind"], host) for e in mine if (i := e.get("step")) is not None)
    assert done.last["prober"]["failed"] == 0
    refused = site.fab("deploy:local", "--plan", "kept.plan", expect=2)
    assert "the variables have changed; nothing was touched" in refused.err


def test_a_deploy_of_nothing_takes_no_lease_and_writes_nothing(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)

    def written() -> dict[str, int]:
        roots = [site.root(host) for host in HOSTS]
        return {str(path): path.stat().st_mtime_ns for root in roots for path in root.rglob("*") if path.is_file()}

    before = {path: at for path, at in written().items() if "ledger" in path or "lease" in path}
    assert before
    result = site.deploy(base, expect=10)
    assert result.last["message"].startswith("nothing to do")
    after = written()
    assert {path: after[path] for path in before} == before


def test_changed_variables_make_a_generation_and_rolling_back_brings_the_old_ones_back(
    site: Site, base: ReleaseTree
) -> None:
    site.ensure(base)
    before = site.status()["web1"].current
    with site.edited('LOG_LEVEL = "INFO"', 'LOG_LEVEL = "ERROR"'):
        site.deploy(base)
    assert "LOG_LEVEL=ERROR" in (site.root("web1") / "current" / "env").read_text()
    assert site.versions() == {base.version}
    site.fab("rollback:local", "--to", str(before))
    assert "LOG_LEVEL=INFO" in (site.root("web1") / "current" / "env").read_text()


def test_releases_and_logs_show_what_there_is(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    assert any(base.version in row and "runs" in row for row in site.fab("releases:local").out.splitlines())
    with urllib.request.urlopen(f"{site.url}/goods?q=banana", timeout=10) as answer:
        assert json.load(answer) == {"items": ["banana"]}
    lines = site.fab("logs:local", "--lines", "50").out.splitlines()
    assert {line.split()[0] for line in lines} == set(HOSTS)
    assert any("GET /goods" in line for line in lines)


def test_status_says_what_runs_for_people_and_for_machines(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    table = site.fab("status:local").out
    assert [row.split()[0] for row in table.splitlines()[1:3]] == list(HOSTS)
    assert table.splitlines()[-1] == f"all in service at {site.url}"
    found = json.loads(site.fab("status:local", "--json").out)
    assert {h["name"]: h["current"] for h in found["hosts"]} == {n: h.current for n, h in site.status().items()}
    assert all(h["serving"] for h in found["hosts"])
    assert "env_digest" not in json.dumps(found)
