"""Over SSH: a deployer that vanished, and a host that is off; what the load balancer's own agent does about them."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.deploy.agent import kit
from tests.fleet.test_ssh_rollout import act_at
from tests.support.remote import NAME, Remote


@pytest.fixture(scope="module")
def site(remote: Remote, real_release: kit.Release) -> Remote:
    """Two releases, and the first one deployed."""
    for version in ("1.0", "2.0"):
        if not (remote.path / "dist" / f"{NAME}-{version}").exists():
            remote.release(version, real_release)
    remote.ensure("1.0")
    return remote


def test_a_server_comes_back_when_its_deployer_s_lease_has_run_out(site: Remote) -> None:
    """The servers can't know that the deployer was killed, only that it is silent."""
    site.ensure("1.0")
    with site.traffic(clients=4, rate=40.0) as probed:
        process = site.start("deploy:fleet", "--version", "2.0", "--json")
        act_at(process, "switch", "web1")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert site.status()["web1"].server.hold.why == "rollout"  # type: ignore[union-attr]
        kit.eventually(lambda: site.status()["web1"].in_service, seconds=90)
        said = site["lb1"].run(f"journalctl --unit={NAME}-watch --output=cat").stdout
        assert "web1: its deployer has vanished" in said
        kit.eventually(lambda: "inactive" in site["lb1"].run(f"systemctl is-active {NAME}-watch; true").stdout)
        aborted = site.fab("abort:fleet")
        assert re.search(r"last step: (drain|switch) web1", aborted.out), aborted.out
    assert probed[0].failed == 0, probed[0]
    assert site.versions() == {"1.0"}


def test_a_host_that_is_off_is_spared_and_fenced_until_it_runs_what_all_run(site: Remote) -> None:
    site.ensure("1.0")
    site["web2"].power_off()
    with site.impatient():
        refused = site.fab("deploy:fleet", "--version", "2.0", expect=20)
        assert "--skip-unreachable goes on without web2" in refused.err
        with site.traffic(clients=4, rate=40.0) as probed:
            done = site.fab("deploy:fleet", "--version", "2.0", "--skip-unreachable", "--json")
            assert "web2 was spared" in str(done.last["problems"])
            site.fab("rollback:fleet", "--skip-unreachable")
            site.fab("deploy:fleet", "--version", "2.0", "--skip-unreachable")
        assert probed[0].failed == 0, probed[0]
        assert "web2 is fenced" in site.fab("status:fleet").out
    site["web2"].boot()
    back = site.status()["web2"]
    assert back.fenced
    assert not back.in_service
    site["lb1"].run("systemctl reload haproxy")
    assert site.status()["web2"].fenced
    with site.traffic(clients=4, rate=40.0) as probed:
        site.deploy("2.0")
    assert probed[0].failed == 0, probed[0]
    assert site.versions() == {"2.0"}
    assert not site.status()["web2"].fenced
