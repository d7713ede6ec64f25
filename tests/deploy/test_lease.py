"""The lease of several hosts, held with real agents: all or none, told who holds it, freed from the dead."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

import deploy.artifacts.agent as zipapp
from deploy import lease
from deploy.agents import AgentError, AgentGone
from deploy.environment import Environment
from deploy.environment_model import BalancerEntry, EnvironmentFile, HostEntry
from deploy.errors import Exit
from deploy.facts import Host, host_from_status
from deploy.hosts import Hosts, HostsGone, connect
from deploy.quorum import Tally, now


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Install agents on two hosts."""
    web = frozenset({"web"})
    file = EnvironmentFile(
        transport="local",
        directory=Path("unused"),
        hosts={f"web{n}": HostEntry(roles=web, listen=f"127.0.0.1:{n}") for n in (1, 2, 3)},
        balancer=BalancerEntry(listen="127.0.0.1:9"),
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
        assert held.tokens == {"lb": 1, "web1": 1, "web2": 1, "web3": 1}
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


def sparing(hosts: Hosts) -> Hosts:
    """Let hosts be missing that can't be reached."""
    hosts.environment = replace(hosts.environment, spare=True)
    return hosts


def kill(hosts: Hosts, name: str) -> Path:
    """Let a host be gone: nothing answers there any more."""
    hosts.leased[name].close()
    program = hosts.root(name) / "releasectl"
    return program.rename(program.with_name("gone"))


def test_most_hosts_are_enough_where_the_others_may_be_missing(environment: Environment, hosts: Hosts) -> None:
    """Nobody else gets it meanwhile; and the host that comes back later follows to the highest number."""
    with lease.hold(hosts, "r1"):
        pass
    gone = kill(hosts, "web3")
    with pytest.raises(AgentGone, match="web3"), lease.hold(hosts, "r2"):
        pass
    with lease.hold(sparing(hosts), "r3") as held:
        assert held.tokens == {"lb": 3, "web1": 3, "web2": 3}
        assert list(hosts.away) == ["web3"]
        with (
            connect(environment, "sample") as others,
            pytest.raises(lease.LeaseHeld),
            lease.hold(sparing(others), "r4"),
        ):
            pass
    gone.rename(gone.with_name("releasectl"))
    with connect(environment, "sample") as later, lease.hold(later, "r5") as held:
        assert set(held.tokens.values()) == {4}
        with pytest.raises(AgentError, match="taken over"):
            later.agents["web3"].call("ledger", tail=1, token=2)


def test_half_of_the_hosts_is_not_most(hosts: Hosts) -> None:
    for name in ("web2", "web3"):
        kill(hosts, name)
    with pytest.raises(HostsGone) as raised, lease.hold(sparing(hosts), "r1"):
        pass
    assert len(raised.value.problems) == 2
    assert lease.held(hosts) == {}  # what was taken is given back


def test_a_rollout_needs_the_load_balancer_and_a_lock_does_not(environment: Environment, hosts: Hosts) -> None:
    kill(hosts, "lb")
    with pytest.raises(AgentGone, match="lb"), lease.hold(sparing(hosts), "r1"):
        pass
    lease.lock(hosts, "an audit", 60)
    assert set(lease.held(hosts)) == {"web1", "web2", "web3"}
    lease.free(hosts, lease.held(hosts))


def test_who_waits_gets_it_when_it_is_free(environment: Environment, hosts: Hosts) -> None:
    said: list[str] = []
    free = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        free.set()

    with connect(environment, "sample") as others, ExitStack() as stack:
        stack.enter_context(lease.hold(others, "r1"))
        thread = threading.Thread(target=lambda: (free.wait(), stack.close()))
        thread.start()
        hosts.environment = replace(environment, wait=120)
        with lease.hold(hosts, "r2", say) as held:
            assert set(held.tokens.values()) == {2}
        thread.join()
    assert "rollout r1" in said[0]
    assert said[0].startswith("waiting up to 1")


def test_who_has_waited_long_enough_is_told_for_how_long(environment: Environment, hosts: Hosts) -> None:
    hosts.environment = replace(environment, wait=0.5)
    with (
        connect(environment, "sample") as others,
        lease.hold(others, "r1"),
        pytest.raises(lease.LeaseHeld, match=r"rollout r1\).* \(waited \d+ s\)"),
        lease.hold(hosts, "r2"),
    ):
        pass
    assert hosts.tokens == {}


def test_whoever_was_held_up_believes_in_nothing(hosts: Hosts) -> None:
    """Before any heartbeat has found out: by the clock alone."""
    tally = Tally(total=1, ttl=30)
    lost = lease.Lost(tally)
    tally.granted("web1", asked=now())
    assert not lost.is_set()
    tally.granted("web1", asked=now() - 31)
    assert lost.is_set()


def test_what_was_seen_before_it_holds_when_nobody_had_it_meanwhile(environment: Environment, hosts: Hosts) -> None:
    def look() -> list[Host]:
        statuses = {name: agent.call("status") for name, agent in hosts.agents.items()}
        return [host_from_status(name, "", status, None) for name, status in statuses.items()]

    seen = look()
    with lease.hold(hosts, "first") as held:
        assert held.follows(seen)
    with lease.hold(hosts, "second") as held:
        assert not held.follows(seen)  # the first may have changed everything
    seen = look()
    with lease.hold(hosts, "third") as held:
        assert held.follows(seen)
        assert not held.follows([*seen, replace(seen[0], name="web9")])
