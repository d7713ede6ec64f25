"""The lease of several hosts, held with real agents: all or none, told who holds it, freed from the dead."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import deploy.artifacts.agent as zipapp
from deploy import lease
from deploy.environment import Environment
from deploy.environment_model import BalancerEntry, EnvironmentFile, HostEntry
from deploy.errors import Exit
from deploy.hosts import Hosts, connect


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Install agents on two hosts."""
    web = frozenset({"web"})
    file = EnvironmentFile(
        transport="local",
        directory=Path("unused"),
        hosts={f"web{n}": HostEntry(roles=web, listen=f"127.0.0.1:{n}") for n in (1, 2)},
        balancer=BalancerEntry(listen="127.0.0.1:3"),
    )
    for name in ("lb", *file.hosts):
        zipapp.write(tmp_path / name / "releasectl")
    return Environment("test", tmp_path, file)


@pytest.fixture
def hosts(environment: Environment) -> Iterator[Hosts]:
    """Open the hosts."""
    with connect(environment, "sample") as opened:
        yield opened


def test_it_is_held_on_every_host_and_given_back(hosts: Hosts) -> None:
    with lease.hold(hosts, "r1") as held:
        assert held.tokens == {"lb": 1, "web1": 1, "web2": 1}
        assert {found["owner"]["rollout"] for found in lease.held(hosts).values()} == {"r1"}
    assert lease.held(hosts) == {}
    assert hosts.tokens == {}


def test_a_second_deployer_gets_none_of_it(environment: Environment, hosts: Hosts) -> None:
    with connect(environment, "sample") as others, lease.hold(others, "r1"):
        with (
            pytest.raises(lease.LeaseHeld, match=f"process {os.getpid()}, rollout r1") as raised,
            lease.hold(hosts, "r2"),
        ):
            pass
        assert raised.value.exit_code == Exit.LEASE_HELD
        assert raised.value.hint
        assert "fab status:test" in raised.value.hint
        assert all(found["token"] == 1 for found in lease.held(hosts).values())


def test_what_was_taken_is_given_back_where_one_host_is_another_s(environment: Environment, hosts: Hosts) -> None:
    """Somebody holds the second host alone: then the first is not kept."""
    hosts.agents["web2"].call("lease", action="acquire", owner={"who": "bob", "host": "x", "why": "mine"}, ttl=60)
    with pytest.raises(lease.LeaseHeld, match="bob on x has locked it: mine"), lease.hold(hosts, "r1"):
        pass
    assert list(lease.held(hosts)) == ["web2"]


def test_a_lock_is_a_lease_without_a_process(environment: Environment, hosts: Hosts) -> None:
    lease.lock(hosts, "an audit", 60)
    with connect(environment, "sample") as others:
        with pytest.raises(lease.LeaseHeld, match="an audit"), lease.hold(others, "r1"):
            pass
        lease.free(others, lease.held(others))
        with lease.hold(others, "r1") as held:
            assert set(held.tokens.values()) == {2}


def test_the_dead_of_this_machine_are_known(hosts: Hosts) -> None:
    """Servers can't know them: to them the deployer's machine is another."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        holder = {**lease.owner("r1"), "pid": process.pid, "start": lease._started(process.pid)}
        assert not lease.is_gone(holder)
        process.kill()
    assert lease.is_gone(holder)
    assert not lease.is_gone(lease.owner("r1"))
    assert not lease.is_gone({**holder, "boot": "another"})
    assert not lease.is_gone({"who": "ada", "host": "x", "why": "an audit"})
