"""What a simulated fleet is made of: machines, a load balancer, a database, and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from deploy.agent import holds, lease
from deploy.agent.lease import FREE, Lease
from deploy.batches import Policy
from deploy.facts import Generation, Hold, Host, Process, Release, Server
from deploy.plan import Kind

TTL, GRACE = 60.0, 3.0
HOSTS = ("web1", "web2", "web3")
POLICY = Policy(floor=2, max_unavailable=None)
KEEP = 2


@dataclass(frozen=True)
class Shipped:
    """A release in dist/."""

    version: str
    migrations: tuple[str, ...]
    contracts: frozenset[str] = frozenset()
    fails: Kind | None = None  # the step at which it turns out to be no good


EXPAND = ("m1", "m2")
DIST = {
    shipped.version: shipped
    for shipped in (
        Shipped("1", ("m1",)),
        Shipped("2", EXPAND),
        Shipped("3", (*EXPAND, "c3"), frozenset({"c3"})),
        Shipped("4", (*EXPAND, "c3"), frozenset({"c3"})),
        Shipped("dud", EXPAND, fails=Kind.TRIAL),
        Shipped("late", (*EXPAND, "c3"), frozenset({"c3"}), fails=Kind.SWITCH),
    )
}


class Gone(Exception):
    """Nobody answers."""


class Overtaken(Exception):
    """Another deployer has taken over."""


class Failed(Exception):
    """A step did not do what it should."""


@dataclass
class Machine:
    """A server, or the load balancer."""

    name: str
    on: bool = True
    linked: bool = True  # to the operators; users come another way
    ahead: float = 0.0  # seconds of its clock
    lease: Lease = FREE
    whole: dict[str, bool] = field(default_factory=dict)  # releases, and whether every file of them is there
    generations: dict[int, Generation] = field(default_factory=dict)
    current: int | None = None
    running: set[int] = field(default_factory=set)
    boots: int = 0

    def boot(self) -> None:
        """Come back, with what is current."""
        if not self.on and self.current is not None:
            self.running = {self.current}
        self.boots += not self.on
        self.on = self.linked = True


@dataclass
class World:
    """All there is."""

    hosts: dict[str, Machine] = field(default_factory=lambda: {name: Machine(name) for name in HOSTS})
    lb: Machine = field(default_factory=lambda: Machine("lb1"))
    admin: dict[str, str] = field(default_factory=lambda: dict.fromkeys(HOSTS, "ready"))
    saved: dict[str, str] = field(default_factory=lambda: dict.fromkeys(HOSTS, "ready"))  # for a reload
    holds: holds.Holds = field(default_factory=dict)
    schema: set[str] = field(default_factory=set)
    ledger: set[int] = field(default_factory=set)  # numbers of generations
    now: float = 1000.0
    variables: str = "e1"
    effects: list[tuple[str, int]] = field(default_factory=list)  # on which machine, under which number
    deployers: list[Any] = field(default_factory=list)

    def machines(self) -> Iterator[Machine]:
        """The load balancer first, as every deployer asks it."""
        yield self.lb
        yield from self.hosts.values()

    def up(self, name: str) -> bool:
        """Whether the load balancer's check of a server passes."""
        return self.hosts[name].on and bool(self.hosts[name].running)

    def in_service(self) -> list[str]:
        """Name the servers that users' requests reach."""
        return [name for name in self.hosts if self.admin[name] == "ready" and self.up(name)] if self.lb.on else []

    def server(self, name: str) -> Server:
        """See a server as the load balancer does."""
        hold = self.holds.get(name)
        found = Hold(hold["why"], rollout=hold.get("rollout", "")) if hold else None
        return Server(name, self.admin[name], up=self.up(name), proven=self.up(name), hold=found)

    def set_state(self, name: str, state: str, why: str = "", rollout: str = "") -> None:
        """Do what the load balancer's agent does: it remembers why, over a reload as well."""
        hold = {"why": why, "rollout": rollout} if why else None
        self.holds = holds.after(self.holds, [f"set server b/{name} state {state}"], hold)
        self.admin[name] = state
        self.saved = dict(self.admin)

    def observe(self) -> list[Host]:
        """Look at all hosts."""
        return [self._host(machine) for machine in self.hosts.values()]

    def _host(self, machine: Machine) -> Host:
        server = self.server(machine.name)
        if not (machine.on and machine.linked):
            return Host(machine.name, "", server=server, problem=f"{machine.name} is gone")
        known = [DIST[version] for version in machine.whole]
        return Host(
            machine.name,
            "",
            releases=tuple(
                Release(r.version, f"d{r.version}", machine.whole[r.version], r.migrations, r.contracts) for r in known
            ),
            generations=tuple(machine.generations.values()),
            current=machine.current,
            processes=tuple(Process(number, 1, ready=True) for number in sorted(machine.running)),
            server=server,
            lease_number=machine.lease.token,
        )

    def watch(self) -> None:
        """Do what the agent beside HAProxy does when nobody holds the lease any more."""
        if not self.lb.on or lease.held(self.lb.lease, self.now + self.lb.ahead - GRACE, lambda owner: False):
            return
        vanished = holds.of_vanished(self.holds)
        if vanished and self.lb.lease.owner is not None:
            self.lb.lease = Lease(None, self.lb.lease.token + 1, 0.0)
        for name in vanished:
            if self.up(name) or self.admin[name] == "ready":
                self.set_state(name, "ready")
        for name in holds.fenced(self.holds):
            if self.admin[name] == "ready":
                self.admin[name] = self.saved[name] = "maint"
