"""HAProxy as Salt sets it up: what it was told about servers outlives reloads, restarts, reboots and lost power."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.balancer import Balancer
from deploy.prober import Prober, first_certificate
from tests.deploy.agent import kit
from tests.support.machine import Server
from tests.support.salt import NAME
from tests.support.salted import Salted

WEB = ("web1", "web2")
REQUESTS = [{"path": "/", "method": "GET", "body": None}, {"path": "/", "method": "POST", "body": "{}"}]


@pytest.fixture(scope="module")
def serving(salted: Salted, real_release: kit.Release) -> Salted:
    """The servers with a release on each web host."""
    for name in WEB:
        server = Server(salted[name])
        server.prepare(1, real_release)
        server.activate(1)
    return salted


@pytest.fixture
def balancer(serving: Salted) -> Balancer:
    """The load balancer with all of its servers in service."""
    balancer = Balancer(NAME, serving.send)
    for name in WEB:
        balancer.set_state(name, "ready")
        assert balancer.wait_until(name, lambda server: server.up and server.proven, 20)
    return balancer


def states(balancer: Balancer) -> dict[str, str]:
    return {name: server.admin for name, server in balancer.servers().items()}


@contextmanager
def traffic(salted: Salted) -> Iterator[None]:
    """Users over HTTPS with kept connections, GET and POST, who never retry; not one may be lost."""
    shown = first_certificate(salted.certificate)
    address = f"{salted['lb1'].address}:443"
    prober = Prober("https://sample.example", REQUESTS, 8, 80.0, addresses=[address], certificate=shown)
    try:
        yield
    finally:
        summary = prober.stop()
    assert summary
    assert summary.requests > 20
    assert summary.failed == 0, summary


def sessions(salted: Salted, name: str) -> int:
    """How many requests a server has got from the HAProxy that runs (stot)."""
    row = next(line for line in salted.ask("show stat -1 4 -1").splitlines() if line.startswith(f"{NAME},{name},"))
    return int(row.split(",")[7])


def test_a_reload_under_load_loses_no_request_and_keeps_a_drained_server_drained(
    serving: Salted, balancer: Balancer
) -> None:
    haproxy = serving.pillars["lb1"]["slipway"]["haproxy"]
    with traffic(serving):
        balancer.set_state("web1", "drain")
        assert balancer.wait_until("web1", lambda server: server.sessions == 0, 20)
        for seconds in (61, 62, 60):
            before = balancer.pid()
            haproxy["max_request"] = seconds
            assert set(serving.highstate("lb1").changed) == {
                "HAProxy sends requests to the web hosts",
                "HAProxy runs with this configuration",
            }
            assert balancer.pid() != before
            assert states(balancer) == {"web1": "drain", "web2": "ready"}
        began = sessions(serving, "web2")
        while sessions(serving, "web2") < began + 20:
            time.sleep(0.05)
        assert sessions(serving, "web1") == 0
    logged = serving["lb1"].run("journalctl --unit=haproxy --output=cat --lines=200").stdout
    assert f"{NAME}~ {NAME}/web2 " in logged


def test_states_outlive_a_restart_and_a_reboot(serving: Salted, balancer: Balancer) -> None:
    balancer.set_state("web1", "maint")
    balancer.set_state("web2", "drain")
    serving["lb1"].run("systemctl restart haproxy")
    assert states(balancer) == {"web1": "maint", "web2": "drain"}
    serving["lb1"].reboot()
    assert states(balancer) == {"web1": "maint", "web2": "drain"}
    assert serving.highstate("lb1").changed == {}


def test_what_the_agent_saved_outlives_a_loss_of_power(serving: Salted, balancer: Balancer) -> None:
    agent = Server(serving["lb1"])
    agent("balancer", commands=[f"set server {NAME}/web1 state maint"], save=True)
    serving["lb1"].power_off()
    serving["lb1"].boot()
    assert states(balancer) == {"web1": "maint", "web2": "ready"}


def test_after_a_reboot_no_server_is_in_between(serving: Salted, balancer: Balancer) -> None:
    """Who was drained by a deployer that vanished comes back once he answers, who is fenced stays out."""
    agent = Server(serving["lb1"])
    owner = {"who": "ann", "host": "desk", "pid": 1, "boot": "another", "start": 1, "rollout": "r1"}
    token = agent("lease", action="acquire", owner=owner, ttl=3600)["lease"]["token"]
    for name, why in (("web1", "fenced"), ("web2", "rollout")):
        hold = {"why": why, "rollout": "r1", "by": "ann@desk"}
        agent("balancer", commands=[f"set server {NAME}/{name} state drain"], save=True, token=token, hold=hold)
        agent("balancer", commands=[f"set server {NAME}/{name} state maint"], save=True, token=token)
    serving["lb1"].power_off()
    serving["lb1"].boot()
    assert states(balancer) == {"web1": "maint", "web2": "maint"}
    agent("lease", action="release", token=token)
    kit.eventually(lambda: states(balancer) == {"web1": "maint", "web2": "ready"}, seconds=60)
    said = serving["lb1"].run(f"journalctl --unit={NAME}-watch --output=cat").stdout
    assert "web2: its deployer has vanished (rollout r1 by ann@desk)" in said
    agent("balancer", commands=[f"set server {NAME}/web1 state ready"], save=True)
    serving["lb1"].run("systemctl restart haproxy")
    assert states(balancer) == {"web1": "ready", "web2": "ready"}, "and stays in once the fence is taken away"


def test_the_configuration_says_the_address_whatever_was_saved(serving: Salted, balancer: Balancer) -> None:
    servers = serving.pillars["lb1"]["slipway"]["haproxy"]["servers"]
    right = servers[0]["address"]
    servers[0]["address"] = right.replace(":8000", ":8001")
    balancer.set_state("web1", "maint")
    try:
        serving.highstate("lb1")
        assert balancer.server("web1").address == servers[0]["address"]
        assert states(balancer)["web1"] == "maint"
    finally:
        servers[0]["address"] = right
    serving.highstate("lb1")
    assert balancer.server("web1").address == right


def test_every_server_comes_back_after_a_reboot(serving: Salted, balancer: Balancer) -> None:
    for name in ("web1", "db1"):
        serving[name].reboot()
        assert serving.highstate(name).changed == {}
    assert balancer.wait_until("web1", lambda server: server.up and server.proven, 20)
    assert Server(serving["web1"])("status")["current"] == 1
    assert "ADDRESS:8000" in serving.listening("web1")
    assert "ADDRESS:5432" in serving.listening("db1")


def test_another_address_moves_the_socket(serving: Salted, balancer: Balancer) -> None:
    """The one change that takes a restart: announced, made, and undone."""
    app = serving.pillars["web2"]["slipway"]["app"]
    right = app["listen"]
    app["listen"] = right.replace(":8000", ":8005")
    try:
        assert "another one restarts it" in str(serving.highstate("web2", test=True).pending)
        serving.highstate("web2")
        assert "ADDRESS:8005" in serving.listening("web2")
    finally:
        app["listen"] = right
        serving.highstate("web2")
    assert "ADDRESS:8000" in serving.listening("web2")
    assert balancer.wait_until("web2", lambda server: server.up and server.proven, 20)


def test_clean_takes_away_and_highstate_gives_back(serving: Salted, balancer: Balancer) -> None:
    run = serving.apply("lb1", "state.apply", "haproxy.clean")
    assert not run.failed
    assert "ADDRESS:443" not in serving.listening("lb1")
    run = serving.highstate("lb1")
    assert not run.failed
    assert balancer.wait_until("web1", lambda server: server.up and server.proven, 20)
