"""Links that fail in the middle of a rollout: nothing hangs, and what is said names the link."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.fleet import faults
from deploy.fleet.cable import Slowness
from tests.deploy.agent import kit
from tests.fleet.test_ssh_rollout import act_at
from tests.support.machine import real_release
from tests.support.parting import parted
from tests.support.remote import NAME, WEB, Remote, remote

__all__ = ["real_release", "remote"]

LARGE = 30_000_000  # bytes

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def deployed(remote: Remote, real_release: kit.Release) -> Remote:
    """Two releases, the first one deployed, and a third that takes its time on the way."""
    for version in ("1.0", "2.0"):
        remote.release(version, real_release)
    real_release = kit.Release(real_release.version, {**real_release.files, "lib/large": os.urandom(LARGE)})
    remote.release("3.0", real_release)
    remote.deploy("1.0")
    return remote


@pytest.fixture
def site(deployed: Remote) -> Iterator[Remote]:
    """Give servers that all serve the first release, with no connection open; none of their faults stays."""
    deployed.ensure("1.0")
    with deployed.impatient():
        yield deployed
    for name in (*WEB, "lb1"):
        faults.heal(deployed[name])


@contextmanager
def hung(site: Remote, name: str) -> Iterator[None]:
    """Let a host's sshd stand still: the kernel takes connections, and nobody speaks."""
    pid = site[name].run("systemctl show --value --property=MainPID ssh").stdout.strip()
    site[name].run(f"kill -STOP {pid}")
    try:
        yield
    finally:
        site[name].run(f"kill -CONT {pid}")


def test_the_operator_is_cut_off_from_the_load_balancer(site: Remote) -> None:
    """Users are not. Who was drained is put back by the agent there, once the lease has run out."""
    with site.traffic(clients=4, rate=40.0) as probed:
        process = site.start("deploy:fleet", "--version", "2.0", "--json")
        act_at(process, "switch", "web1")
        with parted(site["lb1"], site.fleet.network.gateway, port=22):
            out, err = process.communicate(timeout=Remote.patience)
            assert process.returncode in (20, 21, 30), out + err
        said = json.loads(out.splitlines()[-1])["message"]
        assert re.search(rf"lb1|{re.escape(site['lb1'].address)}", said), said
        kit.eventually(lambda: all(host.in_service for host in site.status().values()), 120)
        site.deploy("2.0")
    assert probed[0].failed == 0, probed[0]
    assert site.versions() == {"2.0"}


def test_the_load_balancer_is_cut_off_from_a_web_host_in_its_turn(site: Remote) -> None:
    with site.traffic(clients=4, rate=40.0) as probed:
        process = site.start("deploy:fleet", "--version", "2.0", "--json")
        act_at(process, "switch", "web1")
        with parted(site["web1"], site["lb1"].address):
            out, err = process.communicate(timeout=Remote.patience)
            assert process.returncode in (21, 30), out + err
        said = json.loads(out.splitlines()[-1])["message"]
        assert "failed at ready on web1" in said, said
        assert "from the load balancer" in said, said
        site.deploy("2.0")
    assert probed[0].failed == 0, probed[0]
    assert site.versions() == {"2.0"}


def test_links_that_delay_and_lose_packets_change_nothing(site: Remote) -> None:
    for name in WEB:
        site[name].cable.slow(Slowness(delay=0.03, loss=0.01))
    with site.traffic(clients=4, rate=40.0) as probed:
        site.deploy("2.0")
    assert probed[0].failed == 0, probed[0]
    assert site.versions() == {"2.0"}


def test_an_sshd_that_hangs_is_named_before_anything_is_touched(site: Remote) -> None:
    site.hang_up()
    with hung(site, "web2"):
        said = site.fab("deploy:fleet", "--version", "2.0", expect=20).err
    assert f"web2: can't be reached at {site['web2'].address}: " in said
    assert "web1" not in said.replace("web1, ", "")
    site.deploy("2.0")


def test_a_connection_is_cut_in_the_middle_of_an_upload(site: Remote) -> None:
    """Nothing has changed; what has arrived whole stays, and the same again sends the rest."""
    arriving = f"/opt/{NAME}/tmp"  # noqa: S108
    site["web2"].cable.slow(Slowness(rate=1_000_000))
    process = site.start("deploy:fleet", "--version", "3.0", "--json")
    arrived = f"find {arriving} -size +1000k 2>/dev/null | head -1"
    kit.eventually(lambda: site["web2"].run(arrived).stdout, 120)
    assert process.poll() is None, "it is still on the way"
    site["web2"].cable.cut()
    out, err = process.communicate(timeout=Remote.patience)
    said = json.loads(out.splitlines()[-1])["message"]
    assert process.returncode == 20, out + err
    assert "failed at stage on web2" in said, said
    assert site["web2"].address in said, said
    faults.heal(site["web2"])
    kit.eventually(lambda: all(host.in_service for host in site.status().values()), 60)
    assert site.versions() == {"1.0"}
    # The agent there waits for the rest, until its sshd hears that nobody is at the other end any more.
    site.hang_up()
    kit.eventually(lambda: site["web2"].run("pgrep --full '[r]eleasectl .*session'", check=False).returncode, 170)
    site.deploy("3.0")
    assert site.versions() == {"3.0"}
    assert site["web2"].run(f"find {arriving} -type f").stdout == ""
