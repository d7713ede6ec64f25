"""Two load balancers before the same web hosts: both are drained, watched, fenced and shown; one of them may fail."""

from __future__ import annotations

import json
import re
import signal
import ssl
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.facts import Server
from deploy.prober import first_certificate
from tests.deploy.agent import kit
from tests.fleet.test_ssh_rollout import act_at
from tests.support.remote import ENVIRONMENT, NAME, Remote, booted

pytestmark = pytest.mark.timeout(400)

BALANCERS = ("lb1", "lb2")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, real_release: kit.Release) -> Iterator[Remote]:
    """Boot two load balancers and two web hosts, and deploy a first release."""
    text = ENVIRONMENT.replace('"{lb}:443"', '"0.0.0.0:443"')
    with booted(tmp_path_factory.mktemp("balancers"), (*BALANCERS, "web1", "web2"), text) as made:
        for version in ("1.0", "2.0"):
            made.release(version, real_release)
        made.deploy("1.0")
        yield made


def views(site: Remote, host: str) -> dict[str, Server]:
    """Say how each load balancer sees a host."""
    server = site.status()[host].server
    assert server
    return dict(server.views)


def slowly(site: Remote, balancer: str) -> int:
    """Ask for what takes two seconds, at one load balancer."""
    trusting, address = ssl.create_default_context(cadata=first_certificate(site.bundle)), site[balancer].address
    trusting.check_hostname = False  # it is this very certificate or none
    with urllib.request.urlopen(f"https://{address}/slow?2", timeout=20, context=trusting) as answer:
        return int(answer.status)


def test_a_rollout_under_load_at_both_loses_nothing(site: Remote) -> None:
    site.ensure("1.0")
    with site.traffic() as probed:
        done = site.deploy("2.0").last
    assert (done["prober"]["failed"], probed[0].failed) == (0, 0), probed[0]
    assert probed[0].requests > 50
    assert site.versions() == {"2.0"}
    assert "ready, up at lb1, lb2" in site.fab("status:fleet").out
    site.deploy("2.0", expect=10)


def test_a_drain_waits_for_what_came_by_either(site: Remote) -> None:
    """One slow request for each web host, all of them by the second load balancer."""
    site.ensure("2.0")
    with ThreadPoolExecutor(2) as users:
        asked = [users.submit(slowly, site, "lb2") for _ in range(2)]
        kit.eventually(lambda: all(views(site, host)["lb2"].sessions for host in ("web1", "web2")))
        said = site.fab("drain:fleet", "--limit", "web1").out
        assert all(each.done() for each in asked)
        assert "idle" in said
        assert [each.result() for each in asked] == [200, 200]
    assert {name: server.admin for name, server in views(site, "web1").items()} == dict.fromkeys(BALANCERS, "maint")
    site.fab("restore:fleet")
    assert {name: server.admin for name, server in views(site, "web1").items()} == dict.fromkeys(BALANCERS, "ready")


def held(site: Remote) -> dict[str, dict[str, str]]:
    """Say whom each load balancer keeps out, and why, as their agents wrote it down."""
    files = {name: site[name].root / f"var/lib/{NAME}/holds.json" for name in BALANCERS}
    return {name: {h: hold["why"] for h, hold in json.loads(file.read_bytes()).items()} for name, file in files.items()}


def test_a_host_that_is_off_is_fenced_at_both(site: Remote) -> None:
    site.ensure("1.0")
    site["web2"].power_off()
    with site.impatient():
        site.fab("deploy:fleet", "--version", "2.0", "--skip-unreachable")
    assert held(site) == {name: {"web2": "fenced"} for name in BALANCERS}
    site["web2"].boot()
    assert site.status()["web2"].server.place.startswith("fenced, ")  # type: ignore[union-attr]
    site.deploy("2.0")
    assert held(site) == {name: {} for name in BALANCERS}
    assert site.versions() == {"2.0"}


def test_when_one_fails_in_the_middle_it_is_named_and_all_go_back_by_the_other(site: Remote) -> None:
    site.ensure("1.0")
    process = site.start("deploy:fleet", "--version", "2.0", "--json")
    act_at(process, "ready", "web1")  # whatever asks lb2 next finds it gone: this step or one after it
    process.send_signal(signal.SIGSTOP)
    site["lb2"].run("systemctl stop haproxy")
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=site.patience)
    told = json.loads(out.splitlines()[-1])
    assert process.returncode == told["exit"] == 21, out + err
    assert re.match(r"failed at [a-z]+ on web[12]: lb2: balancer: HAProxy does not answer", told["message"])
    assert "rolled back" in told["message"]
    said = site.fab("status:fleet", expect=None)
    assert "ready, up at lb1" in said.out
    assert "lb2: balancer: HAProxy does not answer" in said.out
    assert "fab highstate:fleet starts it" in said.out.replace(".venv/bin/", "")
    refused = site.deploy("2.0", expect=None)
    assert refused.code == 2
    assert "lb2: balancer: HAProxy does not answer" in refused.err
    site["lb2"].run("systemctl start haproxy")
    kit.eventually(lambda: all(host.in_service for host in site.status().values()), seconds=60)
    assert site.versions() == {"1.0"}, "who was drained there came back by itself"
    site.deploy("2.0")
    assert site.versions() == {"2.0"}


def test_the_site_is_closed_at_both_and_at_the_one_that_is_left(site: Remote) -> None:
    site["lb2"].run("systemctl stop haproxy")
    failed = site.fab("maintenance:fleet", "on", expect=None)
    assert failed.code
    assert "lb2: balancer: HAProxy does not answer" in failed.err
    assert "lb1 did as asked" in failed.err
    site["lb2"].run("systemctl start haproxy")
    site.fab("maintenance:fleet", "on")
    site.fab("maintenance:fleet", "on", expect=10)
    site.fab("maintenance:fleet", "off")
    site.fab("maintenance:fleet", "off", expect=10)
