"""Go on with a rollout that was killed, or take it back."""

from __future__ import annotations

from collections.abc import Callable

from deploy import lease as leases
from deploy import resuming
from deploy.agents import Agent
from deploy.asking import Ask
from deploy.carrying_out import STOP_SILENCE, carry_out
from deploy.contract import Contract
from deploy.deciding import Rollout
from deploy.environment import Environment
from deploy.errors import Exit
from deploy.history import Past
from deploy.hosts import Hosts, connect
from deploy.identity import by, new_identifier
from deploy.plan import Plan
from deploy.preflight import PreflightFailed
from deploy.report import Outcome, Reporter
from deploy.resuming import Found


def unfinished(environment: Environment, contract: Contract, task: str) -> tuple[Found, Plan]:
    """Say which rollout has no end, and what `resume` or `abort` would do.

    Raises: NothingUnfinished; LeaseHeld when it is at work still.
    """
    with connect(environment, contract.name) as hosts:
        hosts.require_bootstrap()
        leases.require_free(hosts)
        found = resuming.require(hosts)
        resuming.keep_to(hosts, found.past)
        return found, _taking_up(task)(hosts, found.past).plan


def take_up(
    environment: Environment,
    contract: Contract,
    task: str,
    rollout: str,
    reporter: Reporter,
    ask: Ask | None = None,
) -> Outcome:
    """Go on with a rollout that began and never ended (`resume`), or take it back (`abort`)."""
    with connect(environment, contract.name) as hosts:
        hosts.require_bootstrap()
        identifier = new_identifier()
        with leases.hold(hosts, identifier, reporter.note) as lease:
            found = resuming.require(hosts)
            if found.past.rollout != rollout:
                raise PreflightFailed(f"{environment.name}: meanwhile another began: {found.text}; nothing was touched")
            resuming.keep_to(hosts, found.past)
            decided = _taking_up(task)(hosts, found.past)
            if task == "abort":
                _stop_newcomers(hosts, decided, found.past, reporter)
            outcome = carry_out(hosts, contract, decided, lease, identifier, reporter, ask)
            if task == "abort" and outcome.exit in (Exit.OK, Exit.NOTHING_TO_DO):
                _stop_left(hosts, decided, found.past, reporter)
            if outcome.exit is Exit.NOTHING_TO_DO:
                outcome.exit, outcome.message = Exit.OK, outcome.message.replace("to do", "was left to do")
            unwritten = resuming.close(hosts, found.past, by(), outcome.exit, f"{task} {identifier}")
            outcome.problems = (*outcome.problems, *([unwritten] if unwritten else []))
            return outcome


def _taking_up(task: str) -> Callable[[Hosts, Past], Rollout]:
    return resuming.decide_resume if task == "resume" else resuming.decide_abort


def _stop_newcomers(hosts: Hosts, decided: Rollout, past: Past, reporter: Reporter) -> None:
    for name in resuming.newcomers(hosts.observe(), decided):
        reporter.note(f"{name} ran nothing before rollout {past.rollout}: its processes are stopped")
        token = hosts.tokens[name]
        hosts.agents[name].request("stop", {"generation": past.generation, "token": token}, silence=STOP_SILENCE)


def _stop_left(hosts: Hosts, decided: Rollout, past: Past, reporter: Reporter) -> None:
    """See the end of what a killed agent left of the generation that was taken back: its trial is no part of a plan."""
    number, back = past.generation, decided.plan.target.generation
    names = {h.name for h in decided.before if not (h.problem or h.fenced)} if number not in (None, back) else set()

    def stop(name: str, agent: Agent) -> None:
        agent.request("stop", {"generation": number, "token": hosts.tokens[name]}, silence=STOP_SILENCE)

    _, errors = hosts.attempt(stop, {name: agent for name, agent in hosts.there.items() if name in names})
    for name, error in errors.items():
        reporter.note(f"{name}: what may be left of generation {number} is not stopped: {error.message}")
