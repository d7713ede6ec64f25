"""Rollouts: move an environment to a release and variables, or back, and put things right when that fails."""

from __future__ import annotations

import getpass
import hashlib
import json
import secrets
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import deploy.artifacts.agent as zipapp
from deploy import lease as leases
from deploy import report_page, signatures
from deploy import variables as vars_
from deploy.artifacts import ReleaseTree
from deploy.contract import Contract
from deploy.environment import ROOT, Environment
from deploy.errors import Exit, SlipwayError
from deploy.execute import Executor, Payload
from deploy.facts import Host
from deploy.hosts import Hosts, connect
from deploy.lease import Lease, LeaseLost
from deploy.plan import (
    Kind,
    Plan,
    Policy,
    Target,
    number_generation,
    plan_rollout,
    rollback_candidates,
    running_generation,
)
from deploy.preflight import PreflightFailed, host_problems, release_problems, server_problems, variable_problems
from deploy.probing import probing
from deploy.report import Outcome, Recorder, Reporter
from deploy.saved_plan import SavedPlan
from deploy.staging import Supply


@dataclass(frozen=True)
class Rollout:
    """A decision, with all it rests on."""

    before: tuple[Host, ...]
    plan: Plan
    payload: Payload


def deploy(
    environment: Environment,
    contract: Contract,
    release: ReleaseTree,
    reporter: Reporter,
    announced: SavedPlan | None = None,
) -> Outcome:
    """Bring an environment to a release and its wanted variables; with a saved plan, by just that plan.

    Raises: SavedPlanError when something that the plan rests on has moved.
    """
    with connect(environment, contract.name) as hosts:
        hosts.require_bootstrap()
        identifier = _identifier()
        with leases.hold(hosts, identifier) as lease:
            decided = decide(hosts, release)
            if announced:
                announced.require(environment.name, decided.plan)
            return _carry_out(hosts, contract, decided, lease, identifier, reporter)


def rollback(environment: Environment, contract: Contract, to: int | None, reporter: Reporter) -> Outcome:
    """Bring an environment back to an earlier generation: its code and its variables."""
    with connect(environment, contract.name) as hosts:
        hosts.require_bootstrap()
        identifier = _identifier()
        with leases.hold(hosts, identifier) as lease:
            decided = decide_rollback(hosts, to)
            return _carry_out(hosts, contract, decided, lease, identifier, reporter)


def preview(environment: Environment, contract: Contract, release: ReleaseTree) -> Plan:
    """Say what `deploy` would do."""
    with connect(environment, contract.name) as hosts:
        return decide(hosts, release).plan


def decide(hosts: Hosts, release: ReleaseTree) -> Rollout:
    """Look, and decide what brings the hosts to a release.

    Raises: PreflightFailed with every problem found.
    """
    manifest = release.manifest.data
    observed = _observe(hosts)
    wanted = vars_.wanted(hosts.environment)
    supply = Supply(hosts.environment, release)
    observed = hosts.measure(observed, supply)
    identity = (release.digest, wanted.digest)
    target = _target(manifest, release.digest, wanted.digest, number_generation(observed, identity))
    target = replace(target, signature=_digest(release.signature))
    plan = plan_rollout(observed, target, _policy(hosts.environment))
    problems = [
        *plan.problems,
        *host_problems(observed, manifest, shared_disk=hosts.environment.file.transport == "local"),
    ]
    problems += release_problems(hosts.environment, manifest)
    if hosts.environment.remote:
        problems += server_problems(hosts.environment, observed, zipapp.identity())
    problems += signatures.host_problems(hosts.environment, observed)
    if unsigned := signatures.problem(hosts.environment, release.version, release.manifest.text, release.signature):
        problems.append(unsigned)
    if not all(h.generation(target.generation) for h in observed):  # else this very pair was checked before
        problems += variable_problems(release.path, manifest, wanted)
    _refuse(hosts.environment, problems)
    payload = Payload(manifest, release.manifest.text, wanted, supply, release.signature)
    return Rollout(tuple(observed), plan, payload)


def _observe(hosts: Hosts) -> list[Host]:
    """Look at every host.

    Raises: PreflightFailed naming each that can't be looked at.
    """
    observed = hosts.observe()
    _refuse(hosts.environment, [h.problem for h in observed if h.problem], Exit.FAILED_UNCHANGED)
    return observed


def decide_rollback(hosts: Hosts, to: int | None) -> Rollout:
    """Look, and decide what brings the hosts back to generation `to`, by default the one before.

    Raises: PreflightFailed when there is no such generation to go back to.
    """
    observed = _observe(hosts)
    observed = [h for h in observed if h.current is not None] or observed  # a new host has nothing to go back to
    candidates = rollback_candidates(observed)
    chosen = next((g for g in candidates if to in (None, g.number)), None)
    if chosen is None:
        there = ", ".join(f"{g.number} ({g.version})" for g in candidates) or "none"
        raise PreflightFailed(
            f"{hosts.environment.name}: no generation {'before the running one' if to is None else to} to go back to",
            problems=(f"runs: generation {running_generation(observed) or 'none'}", f"can go back to: {there}"),
        )
    payload = _from_hosts(hosts, observed, chosen.number)
    target = _target(payload.manifest, chosen.digest, chosen.env_digest, chosen.number)
    plan = plan_rollout(observed, target, _policy(hosts.environment))
    unsigned = signatures.problem(hosts.environment, chosen.version, payload.manifest_text, payload.signature)
    _refuse(hosts.environment, [*plan.problems, *([f"generation {chosen.number}: {unsigned}"] if unsigned else [])])
    return Rollout(tuple(observed), plan, payload)


def _carry_out(
    hosts: Hosts, contract: Contract, rollout: Rollout, lease: Lease, identifier: str, reporter: Reporter
) -> Outcome:
    plan, begun = rollout.plan, time.monotonic()
    outcome = _outcome(hosts, plan)
    if plan.is_empty:
        outcome.exit, outcome.message = Exit.NOTHING_TO_DO, f"nothing to do: {_serving(hosts, plan)}"
        return outcome
    reporter.plan(hosts.environment.name, plan)
    recorder = Recorder(reporter)
    executor = Executor(hosts, plan, rollout.payload, lease, recorder, identifier, _by())
    with probing(hosts, contract, rollout.before, outcome), _journal(hosts, executor, outcome), _signals(executor):
        try:
            executor.run()
            outcome.message = f"done: {_serving(hosts, plan)}"
        except SlipwayError as error:
            _recover(hosts, rollout, executor, error, outcome)
        outcome.seconds, outcome.phases = round(time.monotonic() - begun, 3), recorder.seconds
    outcome.message = outcome.message.replace("done:", f"done in {outcome.seconds:.1f} s:")
    _keep_report(identifier, plan, recorder, outcome)
    return outcome


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
    if executor.lease.lost.is_set() or getattr(error, "code", "") in leases.LOST or isinstance(error, LeaseLost):
        outcome.exit, outcome.message = Exit.LEASE_HELD, f"{failed}; another deployer has taken over: this one lets go"
        outcome.hint = f"fab status:{hosts.environment.name} shows what runs"
        return
    outcome.problems = (*outcome.problems, *error.problems, *_schema_note(rollout, executor))
    if not executor.touched & {Kind.DRAIN, Kind.SWITCH}:
        outcome.exit, outcome.message = Exit.FAILED_UNCHANGED, f"{failed}; nothing changed: {_running(hosts)}"
        return
    previous = Counter(h.current for h in rollout.before if h.current is not None and h.serving).most_common(1)
    try:
        if previous:
            _go_back(hosts, executor, previous[0][0])
    except SlipwayError as again:
        outcome.exit = Exit.MIXED
        outcome.message = f"{failed}; going back failed too: {again.message}"
        outcome.hint = f"fab status:{hosts.environment.name} shows each host; mend it, then deploy again"
        return
    if not previous and executor.switched:
        outcome.exit = Exit.MIXED
        outcome.message = f"{failed}; there is nothing to go back to; serving: {', '.join(sorted(executor.switched))}"
        return
    outcome.exit = Exit.FAILED_ROLLED_BACK if executor.switched else Exit.FAILED_UNCHANGED
    done = "rolled back" if executor.switched else "nothing changed"
    outcome.message = f"{failed}; {done}: {_running(hosts)}"


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
        hosts.agents[newcomer.name].request("stop", {"generation": executor.plan.target.generation}, silence=120.0)
    payload = _from_hosts(hosts, there, generation)
    known = next(g for h in there if (g := h.generation(generation)))
    target = _target(payload.manifest, known.digest, known.env_digest, generation)
    plan = plan_rollout(there, target, _policy(hosts.environment))
    _refuse(hosts.environment, plan.problems)
    executor.reporter.note(f"going back to {target.version}, generation {generation}; this can't be stopped")
    replace(executor, plan=plan, payload=payload, switched=set(), touched=set(), halt=threading.Event()).run()
    if gone:
        raise SlipwayError("; ".join(h.problem for h in gone))


def _schema_note(rollout: Rollout, executor: Executor) -> tuple[str, ...]:
    if Kind.MIGRATE not in executor.touched or not any(h.serving for h in rollout.before):
        return ()
    return ("the schema may have the new release's expand migrations; the running release works with them",)


@contextmanager
def _journal(hosts: Hosts, executor: Executor, outcome: Outcome) -> Iterator[None]:
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
        hosts.each(lambda host, agent: agent.call("ledger", append=[{**entry, "host": host, **more}]))

    try:
        append(phase="begin", steps=[[s.kind, s.host] for s in executor.plan.steps])
    except SlipwayError as error:
        raise PreflightFailed(f"{error.message}; nothing was touched", hint=error.hint) from error
    yield
    phase = "end" if outcome.exit is Exit.OK else "failed"
    try:
        append(phase=phase, exit=int(outcome.exit), seconds=outcome.seconds, detail=outcome.message)
    except SlipwayError as error:
        outcome.problems = (*outcome.problems, f"the ledger lacks the end of this rollout: {error.message}")


@contextmanager
def _signals(executor: Executor) -> Iterator[None]:
    """Stop at a safe point when asked once; at once when asked again."""
    before: dict[signal.Signals, Any] = {}

    def stop(number: int, frame: object) -> None:
        executor.reporter.note("stopping at the next safe point; again to stop at once")
        executor.halt.set()
        for caught, handler in before.items():
            signal.signal(caught, handler)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _from_hosts(hosts: Hosts, observed: Sequence[Host], generation: int) -> Payload:
    """Ask a host that has a generation for its release's manifest."""
    host, known = next((h, g) for h in observed if (g := h.generation(generation)))
    answer = hosts.agents[host.name].call("manifest", version=known.version)
    text = answer["manifest"]
    return Payload(json.loads(text), text, signature=answer.get("signature"))


def _target(manifest: Mapping[str, Any], digest: str, env_digest: str, generation: int) -> Target:
    migrations = manifest["migrations"]
    return Target(
        generation=generation,
        version=manifest["version"],
        digest=digest,
        env_digest=env_digest,
        migrations=tuple(m["revision"] for m in migrations) if manifest["contract"]["commands"].get("migrate") else (),
        contract_migrations=frozenset(m["revision"] for m in migrations if m["kind"] == "contract"),
        seed="seed" in manifest["contract"]["commands"],
    )


def _digest(signature: str | None) -> str | None:
    return hashlib.sha256(signature.encode()).hexdigest() if signature else None


def _policy(environment: Environment) -> Policy:
    wanted = environment.file.rollout
    return Policy(canary=wanted.canary, batch=wanted.batch, floor=wanted.floor)


def _refuse(environment: Environment, problems: Sequence[str], code: Exit = Exit.USAGE) -> None:
    if problems:
        raise PreflightFailed(
            f"{environment.name}: not ready for a rollout; nothing was touched",
            problems=tuple(problems),
            exit_code=code,
        )


def _outcome(hosts: Hosts, plan: Plan) -> Outcome:
    target = plan.target
    return Outcome(
        exit=Exit.OK,
        environment=hosts.environment.name,
        message="",
        version=target.version,
        digest=target.digest,
        generation=target.generation,
        url=hosts.environment.url,
    )


def _serving(hosts: Hosts, plan: Plan) -> str:
    target = plan.target
    who = f"generation {target.generation} on {', '.join(hosts.environment.web)}"
    return f"{target.version} ({target.digest[:12]}) serves as {who}; {hosts.environment.url}"


def _running(hosts: Hosts) -> str:
    try:
        observed = hosts.observe()
    except SlipwayError as error:
        return f"what runs can't be seen ({error.message})"
    serving = [
        f"{h.name} serves generation {h.current}" if h.in_service else f"{h.name} does not serve" for h in observed
    ]
    return ", ".join(serving)


def _identifier() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime()) + secrets.token_hex(2)


def _by() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
