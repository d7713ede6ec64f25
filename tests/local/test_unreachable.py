"""A host that can't be reached: refused, or spared and fenced until it runs what all run."""

from __future__ import annotations

import os
import signal

import pytest

from deploy.artifacts import ReleaseTree
from tests.deploy.agent import kit
from tests.local.conftest import Site, processes_in


def die(site: Site, host: str) -> None:
    """Let a host die: no process is left, and its agent answers no more."""
    for pid in processes_in(site.root(host)):
        os.kill(pid, signal.SIGKILL)
    agent = site.root(host) / "releasectl"
    agent.rename(agent.with_name("releasectl.off"))
    agent.write_text("raise SystemExit('the machine is off')\n")


def boot(site: Site, host: str) -> None:
    """Let it boot, with what it ran before."""
    agent = site.root(host) / "releasectl"
    agent.with_name("releasectl.off").rename(agent)
    site.fab("bootstrap:local")


@pytest.mark.timeout(300)
def test_a_dead_host_is_fenced_until_it_runs_what_all_run(site: Site, base: ReleaseTree, newer: ReleaseTree) -> None:
    site.ensure(base)
    die(site, "web2")
    kit.eventually(lambda: "maint" in site.fab("status:local").out or "down" in site.fab("status:local").out)

    refused = site.fab("deploy:local", "--version", newer.version, expect=20)
    assert "web2" in refused.err
    assert "--skip-unreachable" in refused.err
    assert site.fab("plan:local", "--version", newer.version, "--skip-unreachable").out.count("fence") > 0

    with site.traffic() as probed:
        done = site.fab("deploy:local", "--version", newer.version, "--skip-unreachable", "--json")
        assert {e["step"]["kind"] for e in done.events if e["event"] == "begin" and e["step"]["host"] == "web2"} == {
            "fence"
        }
        assert any("web2 was spared" in problem for problem in done.last["problems"])
        site.fab("deploy:local", "--version", newer.version, "--skip-unreachable", expect=10)
        for task in ("status", "doctor"):
            said = site.fab(f"{task}:local", expect=None).out
            assert "web2 is fenced" in said, said
            assert "once it answers, " in said
    assert probed[0].failed == 0, probed[0]

    boot(site, "web2")
    back = site.status()["web2"]
    assert back.serving
    assert back.fenced
    assert not back.in_service
    assert "fenced" in site.fab("status:local").out
    refused = site.fab("restore:local", "--limit", "web2", expect=2)
    assert "is fenced until a deploy" in refused.err
    site.fab("restart:local")  # it is none of those that are looked after

    (balancer,) = (int(p) for p in (site.directory / "lb" / "run" / "haproxy.pid").read_text().split())
    os.kill(balancer, signal.SIGKILL)  # the load balancer boots as well
    kit.eventually(
        lambda: "no answer" in site.fab("status:local").out or "does not answer" in site.fab("status:local").out
    )
    site.fab("bootstrap:local")
    assert site.status()["web2"].fenced
    assert not site.status()["web2"].in_service

    with site.traffic() as probed:
        site.fab("deploy:local", "--version", newer.version, "--json")
    assert probed[0].failed == 0, probed[0]
    assert site.versions() == {newer.version}
    assert not site.status()["web2"].fenced
    assert "fenced" not in site.fab("status:local").out


def test_a_lock_is_held_by_most_hosts(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    die(site, "web2")
    try:
        site.fab("lock:local", "--why", "web2 is being looked at")
        held = site.fab("deploy:local", "--version", base.version, "--skip-unreachable", expect=3)
        assert "web2 is being looked at" in held.err
        site.fab("unlock:local")
    finally:
        boot(site, "web2")


def test_the_others_are_looked_after_without_a_dead_host(site: Site, base: ReleaseTree) -> None:
    site.ensure(base)
    before = site.pids()["web1"]
    die(site, "web2")
    try:
        for task in ("restart", "restore", "prune"):
            assert "--skip-unreachable goes on without web2" in site.fab(f"{task}:local", expect=20).err
        with site.traffic(clients=2) as probed:
            site.fab("restart:local", "--skip-unreachable")
        assert probed[0].failed == 0, probed[0]
        site.fab("restore:local", "--skip-unreachable", expect=10)
        site.fab("prune:local", "--skip-unreachable", expect=None)
        few = site.fab("drain:local", "--limit", "web1", "--skip-unreachable", expect=2)
        assert "0 would be left in service of 2" in few.err
        gone = site.fab("drain:local", "--limit", "web2", "--skip-unreachable", expect=20)
        assert "web2" in gone.err
        site.fab("deploy:local", "--version", base.version, "--limit", "web1", "--skip-unreachable", expect=10)
        assert not site.status()["web2"].fenced
    finally:
        boot(site, "web2")
    assert not set(before) & set(site.pids()["web1"])


def test_who_waits_is_told_for_whom_and_goes_on(site: Site, base: ReleaseTree, newer: ReleaseTree) -> None:
    site.ensure(base)
    site.fab("lock:local", "--why", "lunch")
    waiting = site.start("deploy:local", "--version", newer.version, "--wait", "120")
    assert waiting.stdout
    first = waiting.stdout.readline()
    assert "waiting up to" in first
    assert "lunch" in first
    site.fab("unlock:local")
    out, err = waiting.communicate(timeout=150)
    assert waiting.returncode == 0, out + err
    assert site.versions() == {newer.version}
    held = site.start("deploy:local", "--version", base.version, "--wait", "soon")
    assert "--wait: expected seconds, got 'soon'" in held.communicate()[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_waits_may_leave(site: Site, base: ReleaseTree, number: signal.Signals) -> None:
    site.fab("lock:local", "--why", "lunch")
    waiting = site.start("deploy:local", "--version", base.version, "--wait")
    assert waiting.stdout
    assert "waiting up to 600 s" in waiting.stdout.readline()
    waiting.send_signal(number)
    waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    site.fab("unlock:local")
    site.fab("unlock:local", expect=10)
