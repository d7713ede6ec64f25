"""Sequences of faults: what can happen to a simulated fleet, chosen by a seed, and replayed by it."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

from deploy.generations import number_generation
from deploy.plan import plan_rollout
from tests.faults.fleet import DIST, HOSTS, POLICY, TTL, World
from tests.faults.invariants import Broken, Watched
from tests.faults.simulated import Deployer, target_of

LENGTH = 40


class Sequence:
    """A world, and what happens to it. Each method of `HAPPENINGS` is one thing."""

    def __init__(self, seed: int, told: list[str] | None = None) -> None:
        self.chance: Any = random.Random(seed)  # noqa: S311
        self.world = World()
        self.watched = Watched(self.world)
        self.told: list[str] = [] if told is None else told
        self.number = 0
        self.deploy("2", "desk1")
        self.finish()

    def happens(self, what: str, do: Callable[[], object], *, ours: bool = False) -> None:
        """Let one thing happen, and look."""
        before = self.world.in_service()
        do()
        self.told.append(what)
        self.watched.look(what, before, ours=ours)

    def deploy(self, version: str, desk: str, *, spare: bool = False) -> Deployer:
        """Somebody types a command."""
        self.number += 1
        deployer = Deployer(self.world, f"r{self.number}", desk, version, spare)
        self.world.deployers = [each for each in self.world.deployers if (each.alive and not each.ended) or each.tokens]
        self.world.deployers.append(deployer)
        self.told.append(f"{deployer.rollout}: {desk} {version}{' --skip-unreachable' if spare else ''}")
        return deployer

    @property
    def working(self) -> list[Deployer]:
        """Deployers that go on."""
        return [each for each in self.world.deployers if each.alive and not each.ended]

    def go_on(self, deployer: Deployer) -> None:
        """Let a deployer do the next thing."""
        self.world.now += 0.5
        before = self.world.in_service()
        deployer.step()
        self.watched.look(f"{deployer.rollout} {deployer.doing}", before, ours=True)
        if deployer.ended:
            self.told.append(f"{deployer.rollout} ended: {deployer.ended}")

    def finish(self) -> None:
        """Let all deployers come to their end."""
        while self.working:
            self.go_on(self.chance.choice(self.working))

    # What may happen.

    def type_something(self) -> None:
        """Begin a rollout, perhaps beside another."""
        if len(self.working) < 2:
            version = self.chance.choice([*DIST, "3", "4", "4", "back"])
            self.deploy(version, self.chance.choice(["desk1", "desk2"]), spare=self.chance.random() < 0.4)

    def some_steps(self) -> None:
        """Deployers go on for a while."""
        for _ in range(self.chance.choice([1, 2, 5, 10, 20, 40, 60])):
            if self.working:
                self.go_on(self.chance.choice(self.working))

    def kill(self) -> None:
        """A deployer is killed."""
        if self.working:
            deployer = self.chance.choice(self.working)
            self.happens(f"{deployer.rollout} is killed after {deployer.doing}", deployer.kill)

    def host_off(self) -> None:
        """A host loses its power, or its link to the operators."""
        machine = self.world.hosts[self.chance.choice(HOSTS)]

        def off() -> None:
            machine.on = False
            machine.running.clear()

        if self.chance.random() < 0.5:
            self.happens(f"{machine.name} off", off)
        else:
            self.happens(f"{machine.name} cut off", lambda: setattr(machine, "linked", False))

    def host_on(self) -> None:
        """A host comes back, with what was current."""
        for machine in self.world.hosts.values():
            if self.chance.random() < 0.6:
                self.happens(f"{machine.name} on", machine.boot)

    def balancer(self) -> None:
        """HAProxy is reloaded, by a highstate or by hand, or is away for a while."""
        choice = self.chance.choice([0, 0, 0, 0, 1, 2, 2, 2])
        if choice == 0:
            self.happens("lb reload", lambda: self.world.admin.update(self.world.saved))
        elif choice == 1:
            self.happens("lb off", lambda: setattr(self.world.lb, "on", False))
        else:
            self.happens("lb on", lambda: setattr(self.world.lb, "on", True))

    def variables(self) -> None:
        """Somebody changes a variable, or takes that back."""
        self.world.variables = self.chance.choice(["e1", "e2", "e3"])
        self.told.append(f"variables {self.world.variables}")

    def corrupted(self) -> None:
        """A file of a release is altered on a host."""
        machine = self.world.hosts[self.chance.choice(HOSTS)]
        if machine.whole:
            version = self.chance.choice(sorted(machine.whole))
            self.happens(f"{version} damaged on {machine.name}", lambda: machine.whole.update({version: False}))

    def clock(self) -> None:
        """A host's clock jumps."""
        machine = self.chance.choice([*self.world.machines()])
        by = self.chance.choice([-3600.0, -TTL, TTL / 2, TTL, 3600.0])
        self.happens(f"{machine.name}'s clock {by:+.0f} s", lambda: setattr(machine, "ahead", machine.ahead + by))

    def time_passes(self) -> None:
        """Nobody does anything for a while: deployers are held up, leases may run out."""
        seconds = self.chance.choice([5.0, TTL / 2, TTL + 10])

        def pass_() -> None:
            self.world.now += seconds

        self.happens(f"{seconds:.0f} s", pass_)
        self.happens("watcher", self.world.watch, ours=True)

    def watcher(self) -> None:
        """The agent beside HAProxy looks."""
        self.happens("watcher", self.world.watch, ours=True)

    def play(self) -> None:
        """Let it all happen, mend everything, and see that a deploy converges and then has nothing to do."""
        for _ in range(LENGTH):
            getattr(self, self.chance.choice(HAPPENINGS))()
        self.converges()

    def converges(self) -> None:
        """Running it again converges, and then does nothing."""
        for deployer in self.working:
            deployer.kill()
        self.world.now += 2 * TTL
        for machine in self.world.machines():
            machine.boot()
            machine.ahead = 0.0
            if machine.lease.expires > self.world.now:  # taken while a clock was ahead: a person unlocks
                machine.lease = machine.lease._replace(owner=None)
        self.happens("all is mended", self.world.watch, ours=True)
        for hold in [name for name, hold in self.world.holds.items() if hold["why"] == "left"]:
            self.told.append(f"{hold} was left out")
        deployer = self.deploy("4", "desk1")
        self.finish()
        observed = self.world.observe()
        target = target_of("4", self.world.variables, number_generation(observed, ("d4", self.world.variables)))
        if deployer.ended not in ("done", "nothing to do"):
            raise Broken(f"converges: {deployer.ended}")
        left = plan_rollout(observed, target, POLICY)
        if not left.is_empty or left.problems or len(self.world.in_service()) != len(HOSTS):
            raise Broken(f"converges: left to do: {left.steps or left.problems}")


HAPPENINGS = (
    *["some_steps"] * 10, *["type_something"] * 4, *["host_on"] * 3, "kill", "host_off", "balancer", "variables",
    "corrupted", "clock", "time_passes", "watcher", "watcher",
)  # fmt: skip


def play(seed: int) -> str:
    """Play the sequence of a seed; give what went wrong, with all that happened, or nothing."""
    told: list[str] = []
    try:
        Sequence(seed, told).play()
    except Broken as broken:
        return "\n  ".join([f"seed {seed}: {broken}", *told])
    return ""


if __name__ == "__main__":
    for word in sys.argv[1:]:
        replayed = Sequence(int(word))
        try:
            replayed.play()
        except Broken as broken:
            replayed.told.append(f"BROKEN {broken}")
        print(*replayed.told, sep="\n")  # noqa: T201
