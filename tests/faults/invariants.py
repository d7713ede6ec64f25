"""What holds after every single effect, whatever happened before: the promises of the rollout, one function each."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.fleet import DIST, HOSTS, POLICY, World


class Broken(AssertionError):
    """A promise was not kept."""


class Watched:
    """Looks at a world after each thing that happens to it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._seen = 0
        self._newest: dict[str, int] = {}
        self._fenced: set[str] = set()

    def look(self, what: str, before: list[str], *, ours: bool) -> None:
        """Look; `ours` when a deployer or agent did it, and not a fault."""
        for name, promise in PROMISES.items():
            if problem := promise(self, before, ours):
                raise Broken(f"{name}: {problem} (after: {what})")

    def floor(self, before: list[str], ours: bool) -> str:
        """At least the capacity floor serves: what goes away by itself is nobody's fault, and never made worse."""
        after = self.world.in_service()
        if ours and len(after) < len(before) and len(after) < int(POLICY.floor):
            return f"{before} served, and now {after}"
        return ""

    def known(self, before: list[str], ours: bool) -> str:
        """All that serves is a generation that the ledger knows."""
        unknown = {n for machine in self.world.hosts.values() for n in machine.running} - self.world.ledger
        return f"generation {unknown} runs" if unknown else ""

    def schema(self, before: list[str], ours: bool) -> str:
        """The schema is never ahead of what running code accepts, nor behind what it needs."""
        contracts = {revision for shipped in DIST.values() for revision in shipped.contracts}
        for machine in self.world.hosts.values():
            for number in machine.running:
                shipped = DIST[machine.generations[number].version]
                ahead = self.world.schema & contracts - set(shipped.migrations)
                behind = set(shipped.migrations) - contracts - self.world.schema
                if ahead or behind:
                    return f"{shipped.version} runs on {machine.name}; ahead: {ahead}, behind: {behind}"
        return ""

    def alone(self, before: list[str], ours: bool) -> str:
        """No two rollouts interleave: on no machine does an older one do anything after a newer one did."""
        for name, number in self.world.effects[self._seen :]:
            if number < self._newest.get(name, 0):
                return f"number {number} on {name} after {self._newest[name]}"
            self._newest[name] = number
        self._seen = len(self.world.effects)
        at_work = [each.rollout for each in self.world.deployers if each.at_work and each.alive and each.believes()]
        return f"{at_work} are at work at once" if len(at_work) > 1 else ""

    def fenced(self, before: list[str], ours: bool) -> str:
        """Who is fenced gets no traffic."""
        for name in HOSTS:
            if self.world.server(name).fenced:
                self._fenced.add(name)
                if ours and self.world.admin[name] == "ready":
                    return f"{name} gets requests"
            elif name in self._fenced:
                self._fenced.discard(name)
                current = self.world.hosts[name].current
                wanted = {machine.current for machine in self.world.hosts.values() if machine.name != name}
                wanted |= {each.target for each in self.world.deployers if each.at_work}
                if current not in wanted:
                    return f"{name} gets requests again, and runs {current} as nobody else"
        return ""

    def kept(self, before: list[str], ours: bool) -> str:
        """Nothing referenced was pruned."""
        for machine in self.world.hosts.values():
            used = machine.running | ({machine.current} if machine.current else set())
            lost = used - set(machine.generations)
            lost_releases = {g.version for g in machine.generations.values()} - set(machine.whole)
            if lost or lost_releases:
                return f"{machine.name} lacks generations {lost}, releases {lost_releases}"
        return ""


PROMISES: dict[str, Callable[[Watched, list[str], bool], str]] = {
    "kept": Watched.kept,
    "floor": Watched.floor,
    "known": Watched.known,
    "schema": Watched.schema,
    "alone": Watched.alone,
    "fenced": Watched.fenced,
}
