"""Look at an environment and decide what to do: facts of all hosts, a target, a plan, and everything it rests on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import deploy.artifacts.agent as zipapp
from deploy import backups, signatures
from deploy import variables as vars_
from deploy.announcing import announced
from deploy.artifacts import ReleaseTree
from deploy.batches import Policy
from deploy.environment import Environment
from deploy.errors import Exit, SlipwayError
from deploy.facts import Generation, Host
from deploy.generations import number_generation, rollback_candidates, running_generation
from deploy.hosts import Hosts
from deploy.payload import Payload
from deploy.plan import Kind, Plan, Target, plan_rollout
from deploy.preflight import (
    PreflightFailed,
    host_problems,
    migrate_problems,
    release_problems,
    server_problems,
    variable_problems,
)
from deploy.staging import Supply

MakePlan = Callable[[Sequence[Host], Target, Policy], Plan]


@dataclass(frozen=True)
class Rollout:
    """A decision, with all it rests on."""

    before: tuple[Host, ...]
    plan: Plan
    payload: Payload
    task: str = "deploy"  # what an operator asked for
    done: str = ""  # what to say when it is done, unless it is that a release serves
    back_to: int | None = None  # the generation that ran before, where `before` was looked at in the midst of it

    @property
    def ran_before(self) -> int | None:
        """Say what ran before it on most of the hosts that serve: what a failure goes back to."""
        if self.back_to is not None:
            return self.back_to
        about = [h for h in self.before if h.name in self.plan.only] or self.before
        numbers = Counter(h.current for h in about if h.current is not None and h.serving)
        others = Counter({n: count for n, count in numbers.items() if n != self.plan.target.generation})
        return next((n for n, _ in (others or numbers).most_common(1)), None)


def decide(hosts: Hosts, release: ReleaseTree) -> Rollout:
    """Look, and decide what brings the hosts to a release.

    Raises: PreflightFailed with every problem found.
    """
    manifest = release.manifest.data
    observed, policy = look(hosts, release.version), policy_of(hosts.environment)
    wanted = vars_.wanted(hosts.environment)
    supply = Supply(hosts.environment, release)
    observed = hosts.measure(observed, supply)
    living = [h for h in observed if not h.problem and policy.takes(h)]
    identity = (release.digest, wanted.digest)
    target = target_of(
        hosts.environment, manifest, release.digest, wanted.digest, number_generation(observed, identity)
    )
    target = replace(target, signature=_digest(release.signature))
    plan = plan_rollout(observed, target, policy)
    problems = [
        *plan.problems,
        *host_problems(living, manifest, shared_disk=hosts.environment.file.transport == "local"),
    ]
    problems += release_problems(hosts.environment, manifest)
    if hosts.environment.remote:
        problems += server_problems(hosts.environment, living, zipapp.identity())
    problems += signatures.host_problems(hosts.environment, living)
    if unsigned := signatures.problem(hosts.environment, release.version, release.manifest.text, release.signature):
        problems.append(unsigned)
    if not all(h.generation(target.generation) for h in living):  # else this very pair was checked before
        problems += variable_problems(release.path, manifest, wanted)
    if any(step.kind is Kind.MIGRATE for step in plan.steps):
        problems += migrate_problems(hosts.environment, release.path, manifest, wanted)
    refuse(hosts.environment, problems)
    plan = announced(hosts, observed, plan, policy, wanted)
    payload = Payload(manifest, release.manifest.text, wanted, supply, release.signature)
    return Rollout(tuple(observed), plan, payload)


def decide_ahead(hosts: Hosts, release: ReleaseTree) -> Rollout | None:
    """Decide before anybody holds the lease: where nothing has to be done, nothing is written either.

    None when somebody is at work, or when nothing can be decided: who takes the lease then says so, or finds out why.
    """
    if hosts.environment.spare:  # which hosts can't be reached is found out as the lease is taken
        return None
    with suppress(SlipwayError):
        decided = decide(hosts, release)
        return None if any(host.deployer for host in decided.before) else decided
    return None


def look(hosts: Hosts, version: str = "") -> list[Host]:
    """Look at every host, as `Hosts.observe` does.

    Raises: PreflightFailed naming each that can't be looked at, unless hosts may be spared: the plan sees to those.
    """
    observed = hosts.observe(version)
    if hosts.environment.spare:
        return observed
    refuse(hosts.environment, [h.problem for h in observed if h.problem], Exit.FAILED_UNCHANGED)
    return observed


def decide_rollback(hosts: Hosts, to: int | None) -> Rollout:
    """Look, and decide what brings the hosts back to generation `to`, by default the one before.

    Raises: PreflightFailed when there is no such generation to go back to.
    """
    observed, policy = look(hosts), policy_back(hosts.environment)
    # A new host has nothing to go back to.
    observed = [h for h in observed if h.current is not None or h.problem] or observed
    candidates = rollback_candidates([h for h in observed if policy.takes(h)])
    chosen = next((g for g in candidates if to in (None, g.number)), None)
    if chosen is None:
        there = ", ".join(f"{g.number} ({g.version})" for g in candidates) or "none"
        raise PreflightFailed(
            f"{hosts.environment.name}: no generation {'before the running one' if to is None else to} to go back to",
            problems=(f"runs: generation {_runs(observed, policy) or 'none'}", f"can go back to: {there}"),
        )
    observed = [h for h in observed if h.generation(chosen.number) or not h.fenced or h.problem]  # that stays fenced
    payload = from_hosts(hosts, observed, chosen.number)
    target = target_of(hosts.environment, payload.manifest, chosen.digest, chosen.env_digest, chosen.number)
    plan = plan_rollout(observed, target, policy)
    unsigned = signatures.problem(hosts.environment, chosen.version, payload.manifest_text, payload.signature)
    refuse(hosts.environment, _no_way_back(hosts, observed, chosen))
    refuse(hosts.environment, [*plan.problems, *([f"generation {chosen.number}: {unsigned}"] if unsigned else [])])
    plan = announced(hosts, observed, plan, policy)
    return Rollout(tuple(observed), plan, payload, "rollback")


def _no_way_back(hosts: Hosts, observed: Sequence[Host], chosen: Generation) -> list[str]:
    """Say which migrations since a generation its code does not survive, as the contract of what ran them says."""
    since = {
        g.number: g
        for h in observed
        for g in h.generations
        if g.number > chosen.number and g.migrated and g.digest != chosen.digest
    }
    return [
        f"generation {number} ({g.version}) migrated the database, and its contract says that older code does not run "
        'on it (rollback = "needs-db-restore") -> restore the backup from before it '
        f"(fab backups:{hosts.environment.name} lists them), then deploy the older version"
        for number, g in sorted(since.items())
        if from_hosts(hosts, observed, number).manifest["contract"].get("rollback") == "needs-db-restore"
    ]


def _runs(hosts: Sequence[Host], policy: Policy) -> int | None:
    """Say what the hosts that a task is about run; all hosts, when those run nothing."""
    return running_generation([h for h in hosts if policy.takes(h)]) or running_generation(hosts)


def decide_upkeep(hosts: Hosts, task: str, plan: MakePlan, done: str) -> Rollout:
    """Look, and decide something (deploy/upkeep.py) that leaves each host the generation that it runs."""
    observed, policy = look(hosts), policy_of(hosts.environment)
    if all(h.problem for h in observed if policy.takes(h)):
        refuse(hosts.environment, [h.problem for h in observed if h.problem], Exit.FAILED_UNCHANGED)
    # Who was taken out comes back to what all serve; anything else is about what its hosts run.
    running = running_generation(observed) if task == "restore" else _runs(observed, policy)
    if running is None:
        refuse(hosts.environment, [f"nothing is deployed yet -> fab deploy:{hosts.environment.name}"])
    known = next(g for h in observed if (g := h.generation(running)))
    payload = from_hosts(hosts, observed, known.number)
    target = target_of(hosts.environment, payload.manifest, known.digest, known.env_digest, known.number)
    planned = plan(observed, target, policy)
    refuse(hosts.environment, planned.problems)
    return Rollout(tuple(observed), planned, payload, task, done)


def from_hosts(hosts: Hosts, observed: Sequence[Host], generation: int) -> Payload:
    """Ask a host that has a generation for its release's manifest."""
    host, known = next((h, g) for h in observed if (g := h.generation(generation)))
    answer = hosts.agents[host.name].call("manifest", version=known.version)
    text = answer["manifest"]
    return Payload(json.loads(text), text, signature=answer.get("signature"))


def target_of(
    environment: Environment, manifest: Mapping[str, Any], digest: str, env_digest: str, generation: int
) -> Target:
    migrations = manifest["migrations"]
    database = backups.find(environment) if environment.file.backup.contract else backups.Database()
    return Target(
        generation=generation,
        version=manifest["version"],
        digest=digest,
        env_digest=env_digest,
        migrations=tuple(m["revision"] for m in migrations) if manifest["contract"]["commands"].get("migrate") else (),
        described={m["revision"]: f"{m['revision']} ({m['kind']}: {m['summary']})" for m in migrations},
        contract_migrations=frozenset(m["revision"] for m in migrations if m["kind"] == "contract"),
        migrate_stops=any("{revision}" in word for word in manifest["contract"]["commands"].get("migrate", ())),
        rehearses=environment.file.migrate.rehearse and "rehearse" in manifest["contract"]["commands"],
        init="init" in manifest["contract"]["commands"],
        migrate_once="migrate" in manifest["contract"]["commands"] and not migrations,
        seed="seed" in manifest["contract"]["commands"],
        processes=frozenset(manifest["contract"].get("processes", {})),
        backup=database.host,
        no_backup=database.problem,
        no_way_back=manifest["contract"].get("rollback") == "needs-db-restore",
    )


def _digest(signature: str | None) -> str | None:
    return hashlib.sha256(signature.encode()).hexdigest() if signature else None


def policy_of(environment: Environment) -> Policy:
    wanted = environment.file.rollout
    return Policy(
        canary=wanted.canary,
        batch=wanted.batch,
        floor=wanted.floor,
        max_unavailable=wanted.max_unavailable,
        only=environment.limit,
        spare=environment.spare,
        bake=wanted.bake.seconds,
        pause=wanted.pause,
        pause_after=wanted.pause_after,
    )


def policy_back(environment: Environment) -> Policy:
    """Give the policy of a way back: to what served before, so nothing is compared, and mostly in a hurry."""
    return replace(policy_of(environment), bake=0, pause=0)


def refuse(environment: Environment, problems: Sequence[str], code: Exit = Exit.USAGE) -> None:
    if problems:
        raise PreflightFailed(
            f"{environment.name}: not ready for a rollout; nothing was touched",
            problems=tuple(problems),
            exit_code=code,
        )
