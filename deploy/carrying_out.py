"""Carry a decided rollout out, and put things right when that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from deploy import backups, report_page
from deploy import lease as leases
from deploy.asking import Ask
from deploy.contract import Contract
from deploy.deciding import Rollout, from_hosts, policy_back, refuse, target_of
from deploy.environment import ROOT, Environment
from deploy.errors import Exit, SlipwayError
from deploy.execute import Executor, Interrupted
from deploy.facts import Host
from deploy.hosts import Hosts
from deploy.identity import by, new_identifier
from deploy.lease import Lease, LeaseLost
from deploy.outcomes import nothing_to_do, outcome_of, serving
from deploy.plan import Kind, Plan, plan_rollout
from deploy.preflight import PreflightFailed
from deploy.probing import probing
from deploy.report import Outcome, Recorder, Reporter
from deploy.stopping import stoppable

STOP_SILENCE = 120.0  # seconds that a generation's last requests may take


def under_lease(
    hosts: Hosts,
    contract: Contract,
    reporter: Reporter,
    decide: Callable[[Lease], Rollout],
    ask: Ask | None = None,
) -> Outcome:
    """Take the lease, decide what to do, and do it."""
    identifier = new_identifier()
    with leases.hold(hosts, identifier, reporter.note) as lease:
        return carry_out(hosts, contract, decide(lease), lease, identifier, reporter, ask)


def carry_out(
    hosts: Hosts,
    contract: Contract,
    rollout: Rollout,
    lease: Lease,
    identifier: str,
    reporter: Reporter,
    ask: Ask | None = None,
) -> Outcome:
    """Do what was decided, and say how it ended; when it fails, put things right first."""
    plan, begun = rollout.plan, time.monotonic()
    outcome, done = outcome_of(hosts, rollout), rollout.done or serving(hosts, rollout)
    if plan.is_empty:
        return nothing_to_do(hosts, rollout)
    _require_somebody(hosts.environment, plan, ask)
    reporter.plan(hosts.environment.name, plan)
    recorder = Recorder(reporter)
    keep_out = rollout.task == "drain"
    executor = Executor(hosts, plan, rollout.payload, lease, recorder, identifier, by(), keep_out=keep_out, ask=ask)
    with (
        probing(hosts, contract, rollout.before, plan, outcome),
        _journal(hosts, executor, rollout, outcome),
        stoppable(executor),
    ):
        try:
            executor.run()
            outcome.message = f"done: {done}"
        except SlipwayError as error:
            _recover(hosts, rollout, executor, error, outcome)
            if outcome.exit is Exit.MIXED:
                _leave_out(hosts, executor)
        outcome.seconds, outcome.phases = round(time.monotonic() - begun, 3), recorder.seconds
        outcome.bakes, outcome.found_after = executor.bakes, recorder.found_after
    outcome.message = outcome.message.replace("done:", f"done in {outcome.seconds:.1f} s:")
    _keep_report(identifier, plan, recorder, outcome)
    return outcome


def _require_somebody(environment: Environment, plan: Plan, ask: Ask | None) -> None:
    """Refuse to begin what nobody could go on with.

    Raises: PreflightFailed.
    """
    if ask is None and any(step.kind is Kind.PAUSE and not step.seconds for step in plan.steps):
        raise PreflightFailed(
            f"{environment.name}: it pauses for somebody to say whether to go on, and there is no terminal to ask on; "
            "nothing was touched",
            hint="--yes says yes beforehand",
        )


def _keep_report(identifier: str, plan: Plan, recorder: Recorder, outcome: Outcome) -> None:
    """Write the report; a rollout is no worse for a disk that is full here."""
    try:
        page = report_page.write(identifier, plan, recorder.records, outcome)
        outcome.page = str(page.relative_to(ROOT))
    except OSError as error:
        outcome.problems = (*outcome.problems, f"no report was written: {error.filename}: {error.strerror}")


def _recover(hosts: Hosts, rollout: Rollout, executor: Executor, error: SlipwayError, outcome: Outcome) -> None:
    """After a failure, bring the hosts back to what they ran, in the same careful way, and say what came of it."""
    failed = _what_failed(error)
    outcome.hint = error.hint
    _without_gone_balancers(hosts, executor, outcome)
    if isinstance(error, Interrupted):
        outcome.hint = error.hint or f"fab deploy:{hosts.environment.name} begins again"
    if executor.lease.lost.is_set() or getattr(error, "code", "") in leases.LOST or isinstance(error, LeaseLost):
        outcome.exit, outcome.message = Exit.LEASE_HELD, f"{failed}; another deployer has taken over: this one lets go"
        outcome.hint = f"fab status:{hosts.environment.name} shows what runs"
        return
    outcome.problems = (*outcome.problems, *error.problems, *_schema_note(rollout, executor))
    if backups.may_be_restored(executor.touched, error):
        outcome.exit, outcome.message = Exit.MIXED, f"{failed}; {backups.HALF_DONE}"
        outcome.hint = f"fab migrate:{hosts.environment.name} brings it to what the running release knows"
        return
    if not executor.touched & {Kind.DRAIN, Kind.SWITCH, Kind.RESTART}:
        outcome.exit, outcome.message = Exit.FAILED_UNCHANGED, f"{failed}; nothing changed: {_running(hosts)}"
        return
    previous = rollout.ran_before
    try:
        if previous is not None:
            _go_back(hosts, executor, previous)
    except SlipwayError as again:
        outcome.exit = Exit.MIXED
        outcome.message = f"{failed}; going back failed too: {again.message}"
        outcome.hint = f"fab status:{hosts.environment.name} shows each host; mend it, then deploy again"
        return
    if previous is None and executor.switched:
        outcome.exit = Exit.MIXED
        outcome.message = f"{failed}; there is nothing to go back to; serving: {', '.join(sorted(executor.switched))}"
        return
    outcome.exit = Exit.FAILED_ROLLED_BACK if executor.switched else Exit.FAILED_UNCHANGED
    done = "rolled back" if executor.switched else "nothing changed"
    outcome.message = f"{failed}; {done}: {_running(hosts)}"


def _without_gone_balancers(hosts: Hosts, executor: Executor, outcome: Outcome) -> None:
    """Go back by those load balancers that are left; what another has drained, it puts back itself once it is there."""
    if len(hosts.balancers) < 2 or executor.lease.lost.is_set():
        return
    with suppress(SlipwayError):  # when none is left, whoever needs one says so
        hosts.balancer, problem = hosts.balancer.answering()
        if problem:
            told = f"{problem.message}: going back by {', '.join(hosts.balancer.names)} alone"
            executor.reporter.note(told)
            outcome.problems = (*outcome.problems, *dict.fromkeys((problem.message, *problem.problems)))


def _leave_out(hosts: Hosts, executor: Executor) -> None:
    """Let servers that are out stay out, though they would come back by themselves: a person has to look first."""
    hold = {"why": "left", "by": executor.by, "rollout": executor.rollout}
    with suppress(SlipwayError):  # a load balancer that is gone has nobody in service either
        for name, server in hosts.balancer.servers().items():
            found = server.hold  # who is fenced stays that
            if server.admin != "ready" and found and (found.why, found.rollout) == ("rollout", executor.rollout):
                hosts.balancer.set_state(name, server.admin, hold)


def _what_failed(error: SlipwayError) -> str:
    step = getattr(error, "step", None)
    if not step:
        return error.message
    said = error.message.removeprefix(f"{step.host}: ").removeprefix(f"{step.kind}: ")
    return f"failed at {step.kind} on {step.host}: {said}"


def _go_back(hosts: Hosts, executor: Executor, generation: int) -> None:
    """Return to a generation; once more when the first look was at processes that were just dying."""
    try:
        _return_to(hosts, executor, generation)
    except SlipwayError as error:
        if getattr(error, "code", "") in leases.LOST:
            raise
        executor.reporter.note(f"{error.message}; looking again")
        _return_to(hosts, executor, generation)


def _return_to(hosts: Hosts, executor: Executor, generation: int) -> None:
    observed = hosts.observe()
    there = [h for h in observed if h.generation(generation)]
    gone = [h for h in observed if h.problem and h.name in executor.switched]
    for newcomer in (h for h in observed if h not in there and h not in gone and h.name in executor.switched):
        # It ran nothing before, so it runs nothing again; the load balancer's check finds it down.
        executor.reporter.note(f"{newcomer.name} has no generation {generation}: its processes are stopped")
        stop = {"generation": executor.plan.target.generation}
        hosts.agents[newcomer.name].request("stop", stop, silence=STOP_SILENCE)
    payload = from_hosts(hosts, there, generation)
    known = next(g for h in there if (g := h.generation(generation)))
    target = target_of(hosts.environment, payload.manifest, known.digest, known.env_digest, generation)
    plan = plan_rollout(there, target, policy_back(hosts.environment))
    refuse(hosts.environment, plan.problems)
    executor.reporter.note(f"going back to {target.version}, generation {generation}; this can't be stopped")
    replace(executor, plan=plan, payload=payload, switched=set(), touched=set(), halt=threading.Event()).run()
    if gone:
        raise SlipwayError("; ".join(h.problem for h in gone))


def _schema_note(rollout: Rollout, executor: Executor) -> tuple[str, ...]:
    if Kind.MIGRATE not in executor.touched or not any(h.serving for h in rollout.before):
        return ()
    if rollout.payload.manifest["contract"].get("rollback") == "needs-db-restore":
        said = 'its contract says that older code does not start on that (rollback = "needs-db-restore")'
        return (f"the schema may be the new release's, and {said}; restore the backup before anything restarts",)
    return ("the schema may have the new release's expand migrations; the running release works with them",)


@contextmanager
def _journal(hosts: Hosts, executor: Executor, rollout: Rollout, outcome: Outcome) -> Iterator[None]:
    """Write the rollout's own entry into every host's ledger, before and after."""
    target = executor.plan.target
    entry: dict[str, Any] = {
        "rollout": executor.rollout,
        "kind": "rollout",
        "generation": target.generation,
        "version": target.version,
        "by": executor.by,
    }

    def append(**more: Any) -> None:
        hosts.each(lambda host, agent: agent.call("ledger", append=[{**entry, "host": host, **more}]), hosts.there)

    try:
        steps = [[s.kind, s.host] for s in executor.plan.steps]
        limited = {"limit": list(executor.plan.only)} if executor.plan.only else {}
        append(phase="begin", detail=rollout.task, steps=steps, before=rollout.ran_before, **limited)
    except SlipwayError as error:
        raise PreflightFailed(f"{error.message}; nothing was touched", hint=error.hint) from error
    yield
    phase = "end" if outcome.exit is Exit.OK else "failed"
    try:
        append(phase=phase, exit=int(outcome.exit), seconds=outcome.seconds, detail=outcome.message)
    except SlipwayError as error:
        outcome.problems = (*outcome.problems, f"the ledger lacks the end of this rollout: {error.message}")


def _running(hosts: Hosts) -> str:
    try:
        observed = hosts.observe()
    except SlipwayError as error:
        return f"what runs can't be seen ({error.message})"
    return ", ".join(_does(host) for host in observed)


def _does(host: Host) -> str:
    if not host.web:
        return f"{host.name} works on generation {host.current}" if host.on_duty else f"{host.name} does not work"
    return f"{host.name} serves generation {host.current}" if host.in_service else f"{host.name} does not serve"
