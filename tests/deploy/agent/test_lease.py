"""The lease: one deployer at a time, and one that was overtaken can do no harm."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from deploy.agent import lease
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.lease import FREE, Lease
from deploy.agent.supervisors import proc
from tests.deploy.agent.kit import AgentFailure, call


def owner(pid: int | None = None, who: str = "ada", boot: str | None = None) -> dict[str, Any]:
    pid = pid or os.getpid()
    return {
        "who": who, "host": "here", "pid": pid, "boot": boot or proc.boot_id(), "start": proc.start_time(pid),
        "rollout": "r1",
    }  # fmt: skip


def test_a_life_of_a_lease(layout: Layout) -> None:
    """Acquired, shown, renewed, released; the number stays and grows with the next owner."""
    me = owner()
    assert call(layout, "lease", action="show")["held"] is False
    first = call(layout, "lease", action="acquire", owner=me, ttl=60)
    assert (first["held"], first["lease"]["token"], first["lease"]["owner"]) == (True, 1, me)
    assert call(layout, "status")["lease"]["owner"] == me
    assert call(layout, "lease", action="acquire", owner=me, ttl=60)["lease"]["token"] == 1
    assert call(layout, "lease", action="renew", token=1, ttl=90)["lease"]["expires"] > first["lease"]["expires"]
    assert call(layout, "lease", action="release", token=1)["held"] is False
    assert call(layout, "status")["lease"] is None
    assert call(layout, "lease", action="acquire", owner=owner(who="bob"), ttl=60)["lease"]["token"] == 2


def test_another_owner_is_told_who_holds_it(layout: Layout) -> None:
    """The error carries the holder."""
    call(layout, "lease", action="acquire", owner=owner(), ttl=60)
    with pytest.raises(AgentFailure) as caught:
        call(layout, "lease", action="acquire", owner=owner(1, "bob"), ttl=60)
    assert caught.value.code == "lease-held"
    assert caught.value.error["holder"]["who"] == "ada"
    assert "ada on here" in caught.value.error["message"]


def test_the_lease_of_a_dead_process_of_this_machine_is_free(layout: Layout) -> None:
    """A killed deployer need not be waited for; one on another machine, or boot, must be."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        dead = owner(process.pid)
        call(layout, "lease", action="acquire", owner=dead, ttl=60)
        with pytest.raises(AgentFailure):
            call(layout, "lease", action="acquire", owner=owner(who="bob"), ttl=60)
        process.kill()
    assert call(layout, "lease", action="show")["held"] is False
    assert call(layout, "lease", action="acquire", owner=owner(who="bob"), ttl=60)["lease"]["token"] == 2
    assert lease.owner_is_gone(dead)
    assert not lease.owner_is_gone({**dead, "boot": "another"})
    assert not lease.owner_is_gone({**dead, "boot": f"{proc.boot_id()}1"}), "a container has other process numbers"
    assert lease.owner_is_gone({**owner(), "start": 1})


def test_an_overtaken_deployer_is_fenced(layout: Layout) -> None:
    """Its writing verbs are refused; reading is not, and neither is the new one."""
    call(layout, "lease", action="acquire", owner=owner(), ttl=0)
    call(layout, "lease", action="acquire", owner=owner(who="bob"), ttl=60)
    with pytest.raises(AgentFailure) as caught:
        call(layout, "prune", keep=1, token=1)
    assert (caught.value.code, caught.value.error["got"]) == ("fenced", "1")
    call(layout, "prune", keep=1, token=2)
    call(layout, "status", token=1)
    for action in ("renew", "release"):
        if action == "renew":
            with pytest.raises(AgentFailure, match="lease-lost"):
                call(layout, "lease", action=action, token=1)
        else:
            assert call(layout, "lease", action=action, token=1)["held"] is True


def test_a_person_may_hold_it_without_a_process(layout: Layout) -> None:
    """Whoever comes is told why; it ends with its time."""
    call(layout, "lease", action="acquire", owner={"who": "ada", "host": "desk", "why": "a demo"}, ttl=60)
    with pytest.raises(AgentFailure, match="ada on desk has locked it: a demo"):
        call(layout, "lease", action="acquire", owner=owner(), ttl=60)


def test_an_acquire_needs_an_owner(layout: Layout) -> None:
    """Nobody can hold it anonymously."""
    with pytest.raises(AgentFailure, match="owner"):
        call(layout, "lease", action="acquire")


def test_a_damaged_lease(layout: Layout) -> None:
    """It is free, whoever held it is fenced, and nobody has to mend a file at night."""
    held = call(layout, "lease", action="acquire", owner=owner(), ttl=60)["lease"]["token"]
    for damage in ("{", "[]", '{"owner": "abc", "token": 1, "expires": 9e9}', '{"owner": {"who": "x"}}'):
        layout.lease.write_text(damage)
        assert call(layout, "lease", action="show")["held"] is False
        with pytest.raises(AgentFailure, match="lease-lost"):
            call(layout, "lease", action="renew", token=held, ttl=60)
        with pytest.raises(AgentFailure, match="fenced"):
            call(layout, "ledger", append=[], token=held)
    assert call(layout, "lease", action="acquire", owner=owner(who="bob"), ttl=60)["lease"]["token"] > held


def alive(_: object) -> bool:
    return False


class Deployers(RuleBasedStateMachine):
    """Any deployers, in any order, at any time: never two, and numbers only grow."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.lease = FREE
        self.believes: dict[str, int] = {}  # who thinks to hold which number
        self.highest = 0

    @rule(who=st.sampled_from("abc"), ttl=st.integers(1, 10))
    def acquire(self, who: str, ttl: int) -> None:
        if lease.held(self.lease, self.now, alive) and self.lease.owner != {"who": who}:
            with pytest.raises(AgentError) as caught:
                lease.acquire(self.lease, {"who": who}, ttl, self.now, alive)
            assert caught.value.code == "lease-held"
            assert caught.value.fields["holder"] == self.lease.owner
        else:
            self.lease = lease.acquire(self.lease, {"who": who}, ttl, self.now, alive)
            self.believes[who] = self.lease.token

    @rule(who=st.sampled_from("abc"), ttl=st.integers(1, 10))
    def renew(self, who: str, ttl: int) -> None:
        if self.believes.get(who) == self.lease.token and self.lease.owner is not None:
            self.lease = lease.renew(self.lease, self.believes[who], ttl, self.now)
        else:
            with pytest.raises(AgentError, match="not yours"):
                lease.renew(self.lease, self.believes.pop(who, None), ttl, self.now)

    @rule(who=st.sampled_from("abc"))
    def release(self, who: str) -> None:
        self.lease = lease.release(self.lease, self.believes.pop(who, None))

    @rule(seconds=st.integers(1, 12))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def at_most_one_is_not_fenced(self) -> None:
        assert self.lease.token >= self.highest
        self.highest = self.lease.token
        unfenced = [who for who, token in self.believes.items() if token >= self.lease.token]
        assert len(unfenced) <= 1
        if lease.held(self.lease, self.now, alive):
            assert self.lease.owner is not None
            assert self.believes.get(str(self.lease.owner["who"])) == self.lease.token


TestDeployers = Deployers.TestCase


def test_leases_are_plain_data() -> None:
    """What is written is what is shown."""
    assert Lease({"who": "ada"}, 3, 4.5).to_json() == {"owner": {"who": "ada"}, "token": 3, "expires": 4.5}
