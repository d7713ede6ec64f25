"""Carry out a plan: lanes side by side, and every step in the ledger before and after."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from deploy import backups, rehearsal
from deploy.agents import AgentError
from deploy.asking import Ask
from deploy.bake import Verdict
from deploy.baking import Watch
from deploy.batches import may_drain
from deploy.errors import SlipwayError
from deploy.facts import WEB
from deploy.hosts import Hosts
from deploy.lease import Lease, LeaseLost
from deploy.payload import Payload
from deploy.plan import Group, Kind, Lane, Plan, Step
from deploy.report import Reporter
from deploy.variables import Variables, for_migrate
from deploy.wording import count, human

MIGRATE_TIMEOUT = 600.0  # seconds
GRACE = 30.0  # seconds an answer may take beyond the agent's own deadline


class StepFailed(SlipwayError):
    """A step did not do what the plan says."""

    def __init__(self, step: Step, error: SlipwayError) -> None:
        super().__init__(error.message, hint=error.hint, problems=error.problems)
        self.step = step
        self.detail = getattr(error, "detail", "")
        self.code = getattr(error, "code", "")


class Interrupted(SlipwayError):
    """The operator asked to stop."""


@dataclass
class Executor:
    """Carries out one plan, with what it needs to do so."""

    hosts: Hosts
    plan: Plan
    payload: Payload
    lease: Lease
    reporter: Reporter
    rollout: str
    by: str
    keep_out: bool = False  # a person takes servers out: they stay out when this deployer vanishes
    switched: set[str] = field(default_factory=set)
    touched: set[Kind] = field(default_factory=set)
    at_work: list[Step] = field(default_factory=list)  # steps that have begun and not ended, of a way back as well
    halt: threading.Event = field(default_factory=threading.Event)
    counting: threading.Lock = field(default_factory=threading.Lock)  # two lanes must not count on each other's server
    ask: Ask | None = None  # who says whether to go on after a pause
    bakes: dict[str, Verdict] = field(default_factory=dict)  # what they found, by the host of the step
    watch: Watch = field(init=False)

    def run(self) -> None:
        """Carry out group after group.

        Raises: StepFailed for the first step that failed, when the lanes beside it have come to rest; Interrupted.
        """
        self.watch = Watch(self.hosts, (step for step in self.plan.steps if step.kind is Kind.BAKE))
        for group in self.plan.groups:
            if any(step.kind in (Kind.DRAIN, Kind.SWITCH) for lane in group.lanes for step in lane):
                self.watch.turn()
            self._group(group)
            if self.lease.lost.is_set():
                raise LeaseLost("another deployer has taken over")
            if self.halt.is_set():
                raise Interrupted("stopped at your request")

    def _group(self, group: Group) -> None:
        with ThreadPoolExecutor(max(1, len(group.lanes))) as pool:
            lanes = [pool.submit(self._lane, lane) for lane in group.lanes]
        for lane in lanes:
            lane.result()

    def _lane(self, lane: Lane) -> None:
        for step in lane:
            if self.halt.is_set() or self.lease.lost.is_set():
                return
            try:
                self._step(step)
            except SlipwayError as error:
                self.halt.set()
                raise StepFailed(step, error) from error

    def _step(self, step: Step) -> None:
        begun = time.monotonic()
        self.reporter.begin(step)
        self.touched.add(step.kind)
        self.at_work.append(step)
        try:
            detail = getattr(self, f"_{step.kind}")(step)
        except SlipwayError as error:
            self.reporter.failed(step, time.monotonic() - begun, error)
            raise
        finally:
            self.at_work.remove(step)
        self.reporter.end(step, time.monotonic() - begun, detail)

    # One method a kind of step. Each returns a few words on what happened.

    def _stage(self, step: Step) -> str:
        supply, variables = self.payload.supply, self.payload.variables
        if variables is None or supply is None:
            raise SlipwayError(
                f"{step.host}: release {self.plan.target.version} is not whole there, and no copy of it is at hand",
                hint=f"make release, then fab deploy:{self.hosts.environment.name}",
            )
        agent, token, target = self.hosts.agents[step.host], self.lease.tokens[step.host], self.plan.target
        with self._in_ledger(step):
            sent = supply.bring(agent, step.form, token, whole=not step.files)
            self._agent(
                step,
                "prepare",
                generation=target.generation,
                version=target.version,
                digest=target.digest,
                variables=dict(variables.plain),
                secrets=variables.revealed(),
            )
        return sent

    def _trial(self, step: Step) -> str:
        generation, deadline = self.plan.target.generation, self._health["deadline"]
        asked = {"generation": generation, "check": step.check, "deadline": deadline, "linger": True}
        answer = self._agent(step, "trial", in_ledger=True, **asked)
        return f"{self._health[step.check]} answered {answer['status']}"

    def _migrate(self, step: Step) -> str:
        """Run it as whoever may change the schema: that role's password reaches the host for this command only."""
        return self._command(step, "migrate", to=step.revision or None)

    def _rehearse(self, step: Step) -> str:
        def run(command: str, *, to: str | None = None, generation: int | None = None) -> str:
            own = for_migrate(self.hosts.environment) if generation is None else Variables({}, {})
            return str(self._commanded(step, command, to, own, generation)["output"])

        with self._in_ledger(step):
            return rehearsal.rehearse(run, step)

    def _init(self, step: Step) -> str:
        return self._command(step, "init")

    def _backup(self, step: Step) -> str:
        with self._in_ledger(step):
            return backups.back_up(self.hosts, self.plan.target, step, self.by)

    def _load(self, step: Step) -> str:
        with self._in_ledger(step):
            return backups.load(self.hosts, step)

    def _seed(self, step: Step) -> str:
        """Run it as the same role: only who owns tables may ANALYZE them, and first plans depend on that."""
        return self._command(step, "seed")

    def _command(self, step: Step, command: str, to: str | None = None) -> str:
        answer = self._commanded(step, command, to, for_migrate(self.hosts.environment), in_ledger=True)
        lines = str(answer["output"]).strip().splitlines()
        return lines[-1] if lines else "done"

    def _commanded(
        self,
        step: Step,
        command: str,
        to: str | None,
        own: Variables,
        generation: int | None = None,
        in_ledger: bool = False,
    ) -> dict[str, Any]:
        """Run one of the contract's commands with a generation, by default the new one, and variables of its own."""
        return self._agent(
            step,
            "migrate",
            in_ledger=in_ledger,
            generation=generation or self.plan.target.generation,
            command=command,
            timeout=MIGRATE_TIMEOUT,
            to=to,
            variables=dict(own.plain),
            secrets=own.revealed(),
        )

    def _drain(self, step: Step) -> str:
        timeout = self.hosts.environment.file.rollout.drain_timeout
        with self._in_ledger(step):
            hold = self._hold("person" if self.keep_out else "rollout")
            with self.counting:
                if not self.keep_out and not self._may_leave(step.host):
                    return "too few others are in service now: both overlap on the socket"
                self.hosts.balancer.set_state(step.host, "drain", hold)
            if self.hosts.balancer.wait_until(step.host, lambda s: s.sessions == 0, timeout):
                # Closes its idle connections too; gunicorn would wait 2 s for a last request on each (measured).
                self.hosts.balancer.set_state(step.host, "maint")
                return "idle"
            left = self.hosts.balancer.server(step.host).sessions
        return f"{left} still in flight after {timeout:.0f} s; the old generation finishes them"

    def _fence(self, step: Step) -> str:
        timeout, hold = self.hosts.environment.file.rollout.drain_timeout, self._hold("fenced")
        with self._in_ledger(step):
            if not self._may_leave(step.host):
                raise SlipwayError(
                    f"{step.host}: gets requests again, and too few others do to take it out",
                    hint=f"fab deploy:{self.hosts.environment.name} begins again",
                )
            self.hosts.balancer.set_state(step.host, "drain", hold)  # it may serve users whom only we can't reach
            self.hosts.balancer.wait_until(step.host, lambda s: s.sessions == 0, timeout)
            self.hosts.balancer.set_state(step.host, "maint", hold)
        return "no requests until it runs what all run"

    def _may_leave(self, host: str) -> bool:
        """Look whether enough others get requests: since it was planned, one of them may have died."""
        return may_drain(host, self.hosts.balancer.servers(), self.hosts.environment.file.rollout.floor)

    def _hold(self, why: str) -> dict[str, str]:
        """Say why a server is taken out of service."""
        return {"why": why, "by": self.by, "rollout": self.rollout}

    def _switch(self, step: Step) -> str:
        free = self._let_it_be_checked(step.host)
        self.switched.add(step.host)
        try:
            answer = self._agent(
                step,
                "activate",
                in_ledger=True,
                generation=self.plan.target.generation,
                deadline=self._health["deadline"],
                linger=free,
                **self._place(step.host),
            )
        except AgentError:  # it says that all is as before; one that is gone says nothing
            self.switched.discard(step.host)
            raise
        for number in answer["leaving"]:  # nobody waits for what it has in hand; what is asked next of this host does
            self.hosts.agents[step.host].post("stop", generation=number, token=self.lease.tokens[step.host])
        seconds = answer["seconds"]
        return f"ready in {seconds['start'] + seconds['ready']:.1f} s, the old one closed in {seconds['stop']:.1f} s"

    def _let_it_be_checked(self, host: str) -> bool:
        """Have the load balancer check a server that is free of users while its new generation starts; say if it is."""
        if not any(step.host == host and step.kind is Kind.DRAIN for step in self.plan.steps):
            return False
        free = self.hosts.balancer.server(host).admin == "maint"  # then no connection of users is open either
        if free:
            self.hosts.balancer.set_state(host, "drain")
        return free

    def _restart(self, step: Step) -> str:
        self.switched.add(step.host)
        generation, deadline, place = self.plan.target.generation, self._health["deadline"], self._place(step.host)
        took = 0.0
        with self._in_ledger(step):
            for name in place["processes"]:  # one after the other: requests must not wait for jobs in hand
                self._agent(step, "stop", generation=generation, timeout=None, processes=[name])
                seconds = self._agent(step, "start", deadline=deadline, **place)["seconds"]
                took += seconds["start"] + seconds["ready"]
        return f"ready in {took:.1f} s"

    def _ready(self, step: Step) -> str:
        with self._in_ledger(step):
            balancer, listen = self.hosts.balancer, self.hosts.environment.hosts[step.host].listen
            server, ready, deadline = balancer.server(step.host), self._health["ready"], self._health["deadline"]
            if server.address != listen:
                balancer.set_state(step.host, "maint")  # what was checked was the other address
                balancer.set_address(step.host, listen)
            if server.admin == "maint" or server.address != listen:
                balancer.set_state(step.host, "drain")  # checked again, and still without users
            # The latest check may have met the old generation: one more question, to what listens there now.
            said = balancer.wait_for_200(step.host, ready, self._health["host"], deadline)
            if said != "200":
                raise SlipwayError(f"{step.host}: asked for {ready} from the load balancer, it says {said}, not 200")
            found = balancer.wait_until(step.host, lambda s: s.up and s.proven, deadline)
            if found is None:
                check = balancer.server(step.host).check
                raise SlipwayError(f"{step.host}: the load balancer's check of {ready} says {check}, not 200")
            self.watch.ready(step.host)
        return f"check says {found.check}"

    def _restore(self, step: Step) -> str:
        with self._in_ledger(step):
            self.hosts.balancer.set_state(step.host, "ready")
            self.hosts.balancer.wait_until(step.host, lambda s: s.up and s.admin == "ready", GRACE)
        return "in service"

    def _bake(self, step: Step) -> str:
        with self._in_ledger(step) as entry:
            verdict = self.bakes[step.host] = self.watch.bake(step, self._stopped)
            if verdict.worse:
                first, *others = verdict.reasons
                raise SlipwayError(
                    first, problems=tuple(others), hint=f"fab logs:{self.hosts.environment.name} shows why"
                )
            entry["detail"] = verdict.said
        return verdict.said

    def _pause(self, step: Step) -> str:
        """Wait for a while, or for a person; the lease is renewed meanwhile, and the prober goes on."""
        with self._in_ledger(step):
            if step.seconds:
                until = time.monotonic() + step.seconds
                while not self._stopped() and (left := until - time.monotonic()) > 0:
                    self.halt.wait(min(left, 0.5))
                return "the time is over" if not self._stopped() else "stopped"
            where = self.hosts.environment
            look = (
                f"{', '.join(step.hosts)} {'serves' if len(step.hosts) == 1 else 'serve'} {self.plan.target.version}:",
                f"  {where.url}",
                f"  fab status:{where.name}, fab logs:{where.name}",
            )
            with self.reporter.silent():
                yes = self.ask is not None and self.ask(look, self._stopped)
            if not (yes or self._stopped()):
                raise SlipwayError(f"{step.host}: nobody said yes to going on")
        return "yes" if yes else "stopped"

    def _stopped(self) -> bool:
        return self.halt.is_set() or self.lease.lost.is_set()

    def _prune(self, step: Step) -> str:
        answer = self._agent(step, "prune", in_ledger=True, keep=self.hosts.environment.file.rollout.keep)
        gone = answer["releases"]
        return f"{count(len(gone), 'release')} removed, {human(answer['bytes'])} freed" if gone else "nothing to remove"

    # How steps reach hosts and ledger.

    def _place(self, host: str) -> dict[str, Any]:
        """Say what of the release a host runs, and where: a release may have no process for a role."""
        entry, known = self.hosts.environment.hosts[host], {WEB, *self._contract.get("processes", {})}
        return {"listen": entry.listen or None, "processes": [name for name in entry.processes if name in known]}

    @property
    def _contract(self) -> Mapping[str, Any]:
        contract: Mapping[str, Any] = self.payload.manifest["contract"]
        return contract

    @property
    def _health(self) -> Mapping[str, Any]:
        health: Mapping[str, Any] = self._contract["health"]
        return health

    def _agent(self, step: Step, verb: str, *, in_ledger: bool = False, **request: Any) -> dict[str, Any]:
        allowed = float(request.get("deadline") or request.get("timeout") or 0)
        beside = [process["stop_seconds"] for process in self._contract.get("processes", {}).values()]
        stop = max([self._contract["server"]["graceful_timeout"], *beside])
        arguments = {**request, "token": self.lease.tokens[step.host]}
        if in_ledger:
            arguments["ledger"] = self._entry(step)
        return self.hosts.agents[step.host].request(verb, arguments, silence=allowed + stop + GRACE)

    def _entry(self, step: Step) -> dict[str, Any]:
        target = self.plan.target
        return {
            "rollout": self.rollout,
            "step": self.plan.steps.index(step),
            "kind": str(step.kind),
            "host": step.host,
            "generation": target.generation,
            "version": target.version,
            "by": self.by,
        }

    @contextmanager
    def _in_ledger(self, step: Step) -> Iterator[dict[str, Any]]:
        """Write the ledger before and after a step that takes more than one call, or is done at the load balancer.

        Nobody waits for it: a round trip is dear, and a ledger that can't be written is an error of the next call.
        """
        entry, begun = self._entry(step), time.monotonic()
        # What is done about a host that can't be reached, or that serves nobody, is in the ledger of the load balancer.
        own = step.kind is not Kind.FENCE and step.host in self.hosts.leased
        writer = step.host if own else next(iter(self.hosts.balancers))
        agent = self.hosts.leased[writer]

        def append(phase: str, **more: Any) -> None:
            agent.post("ledger", append=[{**entry, "phase": phase, **more}], token=self.lease.tokens[writer])

        more_at_the_end: dict[str, Any] = {}
        append("begin")
        try:
            yield more_at_the_end
        except SlipwayError as error:
            with suppress(SlipwayError):  # a host that is gone can't write it down
                append("failed", seconds=round(time.monotonic() - begun, 3), detail=error.message)
            raise
        append("end", seconds=round(time.monotonic() - begun, 3), **more_at_the_end)
