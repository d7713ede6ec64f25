"""From release to release under traffic, and nothing twice."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from deploy.artifacts import ReleaseTree
from tests.local.conftest import HOSTS, Site


def ask(site: Site, path: str) -> tuple[int, str, dict[str, Any]]:
    """Ask through the load balancer: status, content type, JSON."""
    try:
        with urllib.request.urlopen(site.url + path, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], json.load(error)


def test_the_application_answers_through_the_load_balancer(site: Site) -> None:
    status, _, found = ask(site, "/api/v1/places?q=lisb")
    assert (status, found["items"][0]["name"]) == (200, "Lisbon")
    status, _, near = ask(site, "/api/v1/places/nearest?lat=48.86&lon=2.35")
    assert (status, near["items"][0]["name"]) == (200, "Paris")
    for path, code in (("/nothing-here", 404), ("/api/v1/places/nearest?lat=north", 422)):
        status, content_type, problem = ask(site, path)
        assert (status, content_type, problem["status"]) == (code, "application/problem+json", code)


def test_the_same_version_again_is_nothing_to_do_and_restarts_nothing(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    before = site.pids()
    again = site.deploy(base, expect=10)
    assert again.last["outcome"] == "nothing-to-do"
    assert [e["event"] for e in again.events] == ["outcome"]
    assert site.pids() == before
    plan = site.fab("plan:local", "--version", base.version, expect=10)
    assert plan.out.startswith("nothing to do: local runs")


def test_there_and_back_under_sixteen_keep_alive_clients_loses_nothing(
    site: Site, base: ReleaseTree, newer: ReleaseTree
) -> None:
    site.ensure(base)
    with site.traffic() as probed:
        site.deploy(newer)
        assert site.versions() == {newer.version}
        site.fab("rollback:local")
        assert site.versions() == {base.version}
        site.fab("rollback:local", expect=2)  # there is nothing before the first
        site.deploy(newer)
    (summary,) = probed
    assert summary.failed == 0, summary
    assert summary.requests > 300


def test_the_plan_is_what_the_ledger_says_was_done(site: Site, base: ReleaseTree, newer: ReleaseTree) -> None:
    site.ensure(base)
    with site.edited('LOG_LEVEL = "INFO"', 'LOG_LEVEL = "WARNING"'):
        planned = json.loads(site.fab("plan:local", "--version", newer.version, "--json", "--out", "kept.plan").out)
        done = site.fab("deploy:local", "--plan", "kept.plan", "--json")
    steps = [(s["kind"], s["host"]) for g in planned["groups"] for lane in g["lanes"] for s in lane]
    assert {kind for kind, _ in steps} >= {"stage", "trial", "drain", "switch", "ready", "restore", "prune"}
    rollout = None
    for host in HOSTS:
        entries = site.agent(host, "ledger", tail=200)["entries"]
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
    ask(site, "/api/v1/places?q=porto")
    lines = site.fab("logs:local", "--lines", "50").out.splitlines()
    assert {line.split()[0] for line in lines} == set(HOSTS)
    assert any("/api/v1/places" in line for line in lines)


def test_run_runs_in_the_current_generation_and_keeps_the_exit_code(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    assert "0001" in site.fab("run:local", "db current").out
    unknown = site.fab("run:local", "no-such-command", expect=2)
    assert "No such command" in unknown.err


def test_status_says_what_runs_for_people_and_for_machines(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    table = site.fab("status:local").out
    assert [row.split()[0] for row in table.splitlines()[1:3]] == list(HOSTS)
    assert table.splitlines()[-1] == f"all in service at {site.url}"
    found = json.loads(site.fab("status:local", "--json").out)
    assert {h["name"]: h["current"] for h in found["hosts"]} == {n: h.current for n, h in site.status().items()}
    assert all(h["serving"] for h in found["hosts"])
    assert "env_digest" not in json.dumps(found)


def test_no_secret_is_readable_by_others_nor_in_ledger_log_or_status(site: Site, base: ReleaseTree) -> None:
    secret = (site.directory / "secrets" / "SECRET_KEY").read_text()
    exposed = []
    for path in site.directory.rglob("*"):
        if path.is_file() and not path.is_symlink() and "store" not in path.parts and "releases" not in path.parts:
            holds = secret.encode() in path.read_bytes()
            if holds and (path.stat().st_mode & 0o077 or "credentials" not in path.parts):
                exposed.append(path)
    assert exposed == [site.directory / "secrets" / "SECRET_KEY"]
    assert (exposed[0].stat().st_mode & 0o777) == 0o600
    assert secret not in site.fab("status:local", "--json").out + site.fab("releases:local", "--json").out
