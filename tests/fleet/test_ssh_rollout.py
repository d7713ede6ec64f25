"""Rollouts over SSH: real sshd, sudo, systemd and HAProxy with HTTPS; the code is that of the environment `local`."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from deploy.fleet import cgroups
from tests.deploy.agent import kit
from tests.support.remote import WEB, Remote


@pytest.fixture(scope="module")
def site(remote: Remote, real_release: kit.Release) -> Remote:
    """Build two releases, and deploy the first one to servers that have never had any."""
    for version in ("1.0", "2.0"):
        remote.release(version, real_release)
    first = remote.deploy("1.0")
    assert first.last["exit"] == 0
    assert {(e["kind"], e["host"]) for e in begun(first.out)} >= {("switch", host) for host in WEB}
    assert remote.versions() == {"1.0"}
    return remote


def begun(out: str) -> list[dict[str, str]]:
    """List the steps that began."""
    return [event["step"] for line in out.splitlines() if (event := json.loads(line))["event"] == "begin"]


def act_at(process: subprocess.Popen[str], kind: str, host: str) -> None:
    """Read what `fab` says until a step begins."""
    assert process.stdout
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "begin" and (event["step"]["kind"], event["step"]["host"]) == (kind, host):
            return
    raise AssertionError(f"the rollout ended before {kind} on {host}: {process.stderr and process.stderr.read()}")


def test_the_same_again_is_nothing_to_do(site: Remote) -> None:
    site.ensure("1.0")
    before = {name: host.processes for name, host in site.status().items()}
    again = site.deploy("1.0", expect=10)
    assert again.last["outcome"] == "nothing-to-do"
    assert {name: host.processes for name, host in site.status().items()} == before


def test_there_and_back_under_keep_alive_clients_loses_nothing(site: Remote) -> None:
    """Canary, then two hosts at once; and what was drained is forgotten by nobody at the end."""
    site.ensure("1.0")
    with site.traffic() as probed:
        done = site.deploy("2.0").last
        assert site.versions() == {"2.0"}
        site.fab("rollback:fleet")
        assert site.versions() == {"1.0"}
    assert done["prober"]["failed"] == 0
    assert done["prober"]["requests"] > 0
    assert probed[0].failed == 0, probed[0]
    assert probed[0].requests > 100


def test_what_fails_the_first_users_goes_back_and_the_other_hosts_never_have_it(site: Remote) -> None:
    """Variables this time: the release is the same, and ready. HAProxy is asked by the agent of its host."""
    site.ensure("1.0")
    before = {name: host.current for name, host in site.status().items()}
    worse = site.edited('COLOUR = "blue"', 'COLOUR = "blue"\nBEHAVIOUR = "failing"')
    with worse, site.edited("seconds = 0", "seconds = 6"), site.edited("rate = 20", "rate = 60"):
        failed = site.deploy("1.0", expect=21)
    assert failed.last["message"].startswith("failed at bake on web1: ")
    assert "requests failed (100 %), of the others' 0 %" in failed.last["message"]
    assert {step["host"] for step in begun(failed.out) if step["kind"] == "switch"} == {"web1"}
    assert {name: host.current for name, host in site.status().items()} == before


def test_a_killed_deployer_is_made_up_for_by_the_same_command(site: Remote) -> None:
    """At once: who was killed on this machine holds no lease. Meanwhile `status` says what is out, and what to type."""
    site.ensure("1.0")
    with site.traffic(clients=4, rate=40.0) as probed:
        process = site.start("deploy:fleet", "--version", "2.0", "--json")
        act_at(process, "switch", "web1")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        said = site.fab("status:fleet").out
        assert site.deploy("2.0").last["exit"] == 0
    assert "web1" in said.splitlines()[-1], said
    assert "-> " in said.splitlines()[-1], said
    assert site.versions() == {"2.0"}
    assert probed[0].failed == 0, probed[0]


def test_a_host_that_freezes_in_its_turn_is_named_and_the_others_go_back(site: Remote) -> None:
    """It was drained, so nobody misses it; the deployer doesn't wait for ever, and says which link is silent."""
    site.ensure("1.0")
    frozen = site["web1"]
    with site.impatient(), site.traffic(clients=4, rate=40.0) as probed:
        process = site.start("deploy:fleet", "--version", "2.0", "--json")
        try:
            act_at(process, "switch", "web1")
            cgroups.freeze(frozen.unique, True)
            out, err = process.communicate(timeout=100)
        finally:
            cgroups.freeze(frozen.unique, False)
    outcome = json.loads(out.splitlines()[-1])
    assert process.returncode == outcome["exit"] == 30, err
    assert "failed at switch on web1" in outcome["message"]
    assert f"{frozen.address} broke, or nothing came over it for 9 s" in outcome["message"]
    assert "going back failed too: web1: can't be reached" in outcome["message"]
    assert probed[0].failed == 0, probed[0]
    left = site.status()["web1"].server
    assert left
    assert left.hold
    assert left.hold.why == "left"  # a person has to look: it does not come back by itself
    site.deploy("2.0")
    assert site.versions() == {"2.0"}
