"""A fleet in memory, around the real planner and the real deciding functions: what they decide is carried out here.

Real are plan, batches, fencing, schema, numbering of generations, lease, fencing numbers, quorum, holds and pruning.
Not real are processes, files, networks and clocks, so that thousands of sequences of faults are gone through in
seconds. A deployer is a generator that pauses before each effect: it can be killed there, held up, or overtaken.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deploy import batches, generations, plan, quorum
from deploy.agent import lease, prune
from deploy.agent.errors import AgentError
from deploy.agent.lease import Lease
from deploy.facts import Generation, Host
from deploy.plan import Kind, Plan, Step, Target
from tests.faults.fleet import DIST, HOSTS, KEEP, POLICY, TTL, Failed, Gone, Machine, Overtaken, World

Effects = Generator[str, None, str]  # what comes next; in the end how it ended


@dataclass
class Deployer:
    """An operator's process: what it was asked, whose desk it runs on, and how far it is."""

    world: World
    rollout: str
    desk: str
    version: str  # or "back"
    spare: bool = False
    tokens: dict[str, int] = field(default_factory=dict)
    touched: set[Kind] = field(default_factory=set)
    alive: bool = True
    at_work: bool = False  # it holds the lease, and has begun
    ended: str = ""
    doing: str = ""
    target: int = 0  # the generation that it brings
    renewed: float = 0.0
    tally: quorum.Tally = field(default_factory=lambda: quorum.Tally(len(HOSTS) + 1, TTL))

    def __post_init__(self) -> None:
        """Begin, at the first step."""
        self.steps = self._all()

    def step(self) -> bool:
        """Go on to the next effect; say whether there is one."""
        if self.alive and not self.ended:
            self._heartbeat()
            try:
                self.doing = next(self.steps)
                return True
            except StopIteration as end:
                self.ended = str(end.value)
        return False

    def kill(self) -> None:
        """It does nothing any more, not even give its lease back."""
        self.alive = False

    @property
    def owner(self) -> dict[str, Any]:
        """Who asks for the lease."""
        return {"who": "ann", "host": self.desk, "rollout": self.rollout}

    def _heartbeat(self) -> None:
        if self.tokens and self.world.now - self.renewed >= TTL / 3:
            self.renewed = self.world.now
            for machine in self.world.machines():
                if machine.name in self.tokens and machine.on and machine.linked:
                    try:
                        token, clock = self.tokens[machine.name], self.world.now + machine.ahead
                        machine.lease = lease.renew(machine.lease, token, TTL, clock)
                        self.tally.granted(machine.name, self.world.now)
                    except AgentError:
                        self.tally.until.clear()

    def believes(self) -> bool:
        """Whether it believes to hold the lease."""
        return self.tally.held(self.world.now)

    def _take(self, machine: Machine, at_least: int = 0) -> None:
        if not (machine.on and machine.linked):
            raise Gone(machine.name)
        asked, clock = self.world.now, self.world.now + machine.ahead
        try:
            taken = lease.acquire(machine.lease, self.owner, TTL, clock, self._knows_dead, at_least)
        except AgentError as held:
            raise Overtaken(held.message) from held
        machine.lease, self.tokens[machine.name] = taken, taken.token
        self.tally.granted(machine.name, asked)

    def _knows_dead(self, owner: Any) -> bool:
        """A deployer of this desk that was killed: the operator's side sees that, and frees its lease."""
        others = {other.rollout: other for other in self.world.deployers}
        known = others.get(owner.get("rollout"))
        return bool(known and known.desk == self.desk and not known.alive)

    def _write(self, name: str) -> Machine:
        """Reach a machine for an effect; its agent refuses a number that was overtaken."""
        machine = self.world.lb if name == "lb1" else self.world.hosts[name]
        if not (machine.on and machine.linked):
            raise Gone(name)
        number = self.tokens.get(name, -1)
        if self.refuses(number, machine.lease):
            raise Overtaken(name)
        self.world.effects.append((name, number))
        return machine

    @staticmethod
    def _still(machine: Machine, boots: int) -> Machine:
        """Be in the middle of a verb: its agent does not outlive its machine."""
        if not machine.on or machine.boots != boots:
            raise Gone(machine.name)
        return machine

    @staticmethod
    def refuses(number: int, found: Lease) -> bool:
        """Whether an agent refuses a deployer that was overtaken, see `deploy.agent.lease.check_token`."""
        return number < found.token

    def _all(self) -> Effects:
        try:
            yield from self._hold()
            return (yield from self._roll_out())
        except Overtaken:
            return "held by another"
        except (Gone, Failed) as error:
            return f"refused: {error}"
        finally:
            if self.alive:
                self.at_work = False
                self._give_back()

    def _give_back(self) -> None:
        for machine in self.world.machines():
            if machine.on and machine.linked and machine.name in self.tokens:
                machine.lease = lease.release(machine.lease, self.tokens[machine.name])
        self.tokens.clear()

    def _hold(self) -> Generator[str, None, None]:
        missing = []
        for machine in self.world.machines():
            yield f"lease {machine.name}"
            try:
                self._take(machine)
            except Gone:
                missing.append(machine.name)
        if missing and not (self.spare and "lb1" not in missing and self.tally.held(self.world.now)):
            raise Gone(", ".join(missing))
        highest = max(self.tokens.values())
        for machine in self.world.machines():
            if self.tokens.get(machine.name, highest) < highest:
                self._take(machine, highest)
        self.renewed = self.world.now

    def _roll_out(self) -> Effects:
        observed = self.world.observe()
        if any(host.problem for host in observed) and not self.spare:
            raise Gone("a host")
        target = self._target(observed)
        policy = replace(POLICY, spare=self.spare)
        decided = plan.plan_rollout(observed, target, policy)
        if decided.problems:
            raise Failed(decided.problems[0])
        if decided.is_empty:
            return "nothing to do"
        before = _ran_before(observed, target.generation)
        self.at_work = True
        yield "journal"
        self._journal(observed, target)
        try:
            yield from self._run(decided)
            return "done"
        except (Failed, Gone):
            return (yield from self._go_back(before))

    def _journal(self, observed: Sequence[Host], target: Target) -> None:
        for host in observed:
            if not host.problem:
                self._write(host.name)
        self.world.ledger.add(target.generation)

    def _target(self, observed: Sequence[Host]) -> Target:
        if self.version == "back":
            candidates = generations.rollback_candidates([host for host in observed if not host.problem])
            if not candidates:
                raise Failed("nothing to go back to")
            return target_of(candidates[0].version, candidates[0].env_digest, candidates[0].number)
        wanted = (f"d{self.version}", self.world.variables)
        return target_of(self.version, self.world.variables, generations.number_generation(observed, wanted))

    def _go_back(self, before: int | None) -> Effects:
        if not self.touched & {Kind.DRAIN, Kind.SWITCH}:
            return "failed, nothing changed"
        for last in (False, True):  # once more: the first look may have been at what was just dying
            if before is None:
                break
            there = [h for h in self.world.observe() if h.generation(before)]
            try:
                if not there:
                    raise Failed("nobody has it")
                known = next(g for h in there if (g := h.generation(before)))
                back = plan.plan_rollout(there, target_of(known.version, known.env_digest, before), POLICY)
                if back.problems:
                    raise Failed(back.problems[0])
                yield from self._run(back)
                return "rolled back"
            except (Failed, Gone):
                if last:
                    break
        for name in self.world.hosts:
            hold = self.world.holds.get(name)
            if (
                self.world.admin[name] != "ready"
                and hold
                and (hold["why"], hold["rollout"]) == ("rollout", self.rollout)
            ):
                yield f"leave {name} out"
                self._write("lb1")
                self.world.set_state(name, self.world.admin[name], "left", self.rollout)
        return "mixed"

    def _run(self, decided: Plan) -> Generator[str, None, None]:
        self.target = decided.target.generation
        for group in decided.groups:
            for lane in group.lanes:  # lanes have no order: here one after the other
                for step in lane:
                    if not self.believes():
                        raise Overtaken("held up for too long")
                    self.touched.add(step.kind)
                    yield from STEPS[step.kind](self, step, decided.target)

    # One function a kind of step, as in deploy/execute.py.

    def _may_leave(self, host: str) -> bool:
        return batches.may_drain(host, {name: self.world.server(name) for name in HOSTS}, POLICY.floor)

    def fence(self, step: Step, target: Target) -> Generator[str, None, None]:
        yield f"look at {step.host}"
        if not self._may_leave(step.host):
            raise Failed(f"{step.host} gets requests again")
        for state in ("drain", "maint"):
            self._write("lb1")
            self.world.set_state(step.host, state, "fenced", self.rollout)
            yield f"fenced {step.host}, {state}"

    def stage(self, step: Step, target: Target) -> Generator[str, None, None]:
        yield f"assemble {step.host}"
        self._write(step.host).whole.setdefault(target.version, False)
        yield f"assembled {step.host}"
        self._write(step.host).whole[target.version] = True
        yield f"prepare {step.host}"
        machine = self._write(step.host)
        new = Generation(target.generation, target.version, target.digest, target.env_digest, created=self.world.now)
        machine.generations.setdefault(target.generation, new)

    def trial(self, step: Step, target: Target) -> Generator[str, None, None]:
        yield f"trial {step.host}"
        machine = self._write(step.host)
        if not machine.whole.get(target.version) or DIST[target.version].fails is Kind.TRIAL:
            raise Failed(f"trial on {step.host}")

    def migrate(self, step: Step, target: Target) -> Generator[str, None, None]:
        yield f"migrate {step.host}"
        machine = self._write(step.host)
        known = target.migrations
        end = known.index(step.revision) + 1 if step.revision else len(known)
        told = replace(machine.generations[target.generation], migrated=True, migrated_to=step.revision)
        boots = machine.boots
        for revision in known[:end]:
            yield f"migrate {step.host} to {revision}"
            self._still(machine, boots)
            self.world.schema.add(revision)
        yield f"migrated {step.host}"
        self._still(machine, boots)
        machine.generations[target.generation] = told

    def drain(self, step: Step, target: Target) -> Generator[str, None, None]:
        yield f"drain {step.host}"
        self._write("lb1")
        if not self._may_leave(step.host):
            return
        self.world.set_state(step.host, "drain", "rollout", self.rollout)
        yield f"maint {step.host}"
        self._write("lb1")
        self.world.set_state(step.host, "maint")

    def switch(self, step: Step, target: Target) -> Generator[str, None, None]:
        yield f"start {step.host}"
        machine, number = self._write(step.host), target.generation
        if not machine.whole.get(target.version) or number not in machine.generations:
            raise Failed(f"switch on {step.host}")
        boots = machine.boots
        machine.running.add(number)
        if DIST[target.version].fails is Kind.SWITCH:
            machine.running.discard(number) if number != machine.current else None
            raise Failed(f"switch on {step.host}")
        yield f"activate {step.host}"
        machine = self._still(self._write(step.host), boots)
        machine.generations[number] = replace(machine.generations[number], activated=self.world.now + machine.ahead)
        machine.current = number
        yield f"stop others {step.host}"
        self._still(self._write(step.host), boots).running &= {number}

    def ready(self, step: Step, target: Target) -> Generator[str, None, None]:
        yield f"ready {step.host}"
        if not self.world.lb.on or not self.world.up(step.host):
            raise Failed(f"ready on {step.host}")

    def restore(self, step: Step, target: Target) -> Generator[str, None, None]:
        yield f"restore {step.host}"
        self._write("lb1")
        self.world.set_state(step.host, "ready")

    def prune(self, step: Step, target: Target) -> Generator[str, None, None]:
        machine = self._write(step.host)
        known: Any = list(machine.generations.values())
        for number in prune.doomed(known, machine.current, machine.running, KEEP):
            yield f"prune {number} {step.host}"
            self._write(step.host).generations.pop(number, None)
        yield f"prune releases {step.host}"
        used = {generation.version for generation in self._write(step.host).generations.values()}
        for version in [version for version in machine.whole if version not in used]:
            del machine.whole[version]


STEPS: dict[Kind, Callable[[Deployer, Step, Target], Generator[str, None, None]]] = {
    Kind.FENCE: Deployer.fence, Kind.STAGE: Deployer.stage, Kind.TRIAL: Deployer.trial, Kind.MIGRATE: Deployer.migrate,
    Kind.DRAIN: Deployer.drain, Kind.SWITCH: Deployer.switch, Kind.READY: Deployer.ready,
    Kind.RESTORE: Deployer.restore, Kind.PRUNE: Deployer.prune,
}  # fmt: skip


def target_of(version: str, variables: str, number: int) -> Target:
    """Say what hosts shall run."""
    shipped = DIST[version]
    return Target(
        number,
        version,
        f"d{version}",
        variables,
        migrations=shipped.migrations,
        contract_migrations=shipped.contracts,
        migrate_stops=True,
    )


def _ran_before(observed: Sequence[Host], generation: int) -> int | None:
    """See `deploy.deciding.Rollout.ran_before`."""
    serving = [h.current for h in observed if h.current is not None and h.serving]
    others = [number for number in serving if number != generation]
    return max(set(others or serving), key=(others or serving).count, default=None)
