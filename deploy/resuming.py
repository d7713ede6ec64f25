"""Rollouts that began and never ended: find the last one, decide what goes on with it or takes it back, close it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from deploy import history, signatures
from deploy import variables as vars_
from deploy.announcing import announced
from deploy.artifacts import ReleaseTree, find_release
from deploy.deciding import Rollout, from_hosts, look, policy_back, policy_of, refuse, target_of
from deploy.environment import ROOT
from deploy.errors import Exit, SlipwayError
from deploy.facts import Generation, Host
from deploy.history import Past
from deploy.hosts import Hosts
from deploy.ledgers import LOOK_BACK, recent
from deploy.payload import Payload
from deploy.plan import Plan, Target, plan_rollout
from deploy.preflight import PreflightFailed, host_problems
from deploy.staging import Supply
from deploy.variables import Variables

DATABASE = ("migrate", "contract")  # tasks whose end hosts don't show


class NothingUnfinished(SlipwayError):
    """Every rollout has ended."""

    exit_code = Exit.NOTHING_TO_DO


@dataclass(frozen=True)
class Found:
    """A rollout without an end, and a sentence about it."""

    past: Past
    text: str


def find(hosts: Hosts, lately: Sequence[Past] | None = None) -> Found | None:
    """Look for a rollout without an end among the last ones.

    Raises: AgentGone when no host answers.
    """
    past = history.unfinished(recent(hosts) if lately is None else lately)
    if past is None:
        return None
    there = hosts.there
    steps, _ = hosts.attempt(
        lambda host, agent: agent.call("ledger", tail=LOOK_BACK, rollout=past.rollout)["entries"],
        {name: there[name] for name in past.hosts if name in there},
    )
    beside, _ = hosts.attempt(
        lambda host, agent: agent.call("ledger", tail=LOOK_BACK, rollout=past.rollout)["entries"], hosts.balancers
    )
    last = history.last_step(entry for entries in steps.values() for entry in entries)
    back = history.came_back(entry for entries in beside.values() for entry in entries)
    return Found(
        past, history.describe(past, last) + (f"; back in service by itself: {', '.join(back)}" if back else "")
    )


def is_done(past: Past, observed: Sequence[Host]) -> bool:
    """Say whether a rollout without an end has done all that there was to do: only its end was not written down."""
    about = [h for h in observed if not past.limit or h.name in past.limit]
    number = past.generation
    if number is None or not about or past.task in DATABASE or any(h.problem for h in about):
        return False
    return all(h.runs_only(number) and (h.in_place or not h.web) for h in about)


def keep_to(hosts: Hosts, past: Past) -> None:
    """Limit what is done to the hosts that a rollout was limited to, unless the operator names others."""
    environment = hosts.environment
    if past.limit and not environment.limit:
        hosts.environment = replace(environment, limit=tuple(h for h in environment.app if h in past.limit))


def require(hosts: Hosts) -> Found:
    """Find it, or say politely that there is none.

    Raises: NothingUnfinished.
    """
    found = find(hosts)
    if found is None:
        name = hosts.environment.name
        raise NothingUnfinished(
            f"nothing to do: no rollout of {name} is unfinished", hint=f"fab history:{name} shows how each ended"
        )
    return found


def decide_resume(hosts: Hosts, past: Past) -> Rollout:
    """Look, and decide what is left of a rollout: the same release, the same variables, to the same generation.

    Raises: PreflightFailed saying what is missing and what to type.
    """
    observed, environment = look(hosts), hosts.environment
    living = [h for h in observed if not h.problem]
    known = _known(living, past.generation)
    if known is None:
        raise PreflightFailed(
            f"{environment.name}: generation {past.generation} ({past.version}) is on no host: none of it was staged",
            hint=f"fab deploy:{environment.name} --version {past.version} begins anew, "
            f"fab abort:{environment.name} closes it",
        )
    payload = from_hosts(hosts, living, known.number)
    target = target_of(hosts.environment, payload.manifest, known.digest, known.env_digest, known.number)
    about = [h for h in living if policy_of(environment).takes(h)]
    lacking = [h for h in about if h.generation(known.number) is None or not h.has(known.version, known.digest)]
    if lacking:
        payload, living, problems = _with_supply(hosts, payload, known, living, lacking)
        refuse(environment, problems)
        observed = [next((h for h in living if h.name == o.name), o) for o in observed]
    return _decided(hosts, observed, target, payload, past, "resume")


def decide_abort(hosts: Hosts, past: Past) -> Rollout:
    """Look, and decide what takes a rollout back: to what ran before it.

    Raises: PreflightFailed when there is nothing to go back to.
    """
    observed, environment = look(hosts), hosts.environment
    living = [h for h in observed if not h.problem]
    number = past.generation if past.task == "abort" else past.before
    known = _known(living, number)
    if known is None and all(h.current is None for h in living):  # a first deploy that came to nothing
        nothing = Target(generation=past.generation or 0, version=past.version, digest="", env_digest="")
        return Rollout(tuple(observed), Plan(nothing), Payload({}, ""), "abort", "nothing runs, as before it")
    if known is None:
        what = f"generation {number} is on no host any more" if number else "nothing ran before it"
        raise PreflightFailed(
            f"{environment.name}: {what}: there is nothing to go back to",
            hint=f"fab resume:{environment.name} goes on with it",
        )
    observed = [h for h in observed if h.problem or h.generation(known.number)]  # see `newcomers`
    payload = from_hosts(hosts, living, known.number)
    target = target_of(hosts.environment, payload.manifest, known.digest, known.env_digest, known.number)
    return _decided(hosts, observed, target, payload, past, "abort")


def newcomers(observed: Sequence[Host], decided: Rollout) -> list[str]:
    """Name hosts that ran nothing before a rollout, and run what it brought: taken back, they run nothing again."""
    back, only = {h.name for h in decided.before}, decided.plan.only
    others = [h for h in observed if h.name not in back and (not only or h.name in only)]
    return [h.name for h in others if h.processes and not (h.problem or h.fenced)]


def close(hosts: Hosts, past: Past, by: str, code: Exit, how: str) -> str:
    """Write into the ledgers how a rollout ended that did not do so itself; give why that could not be written.

    `code` and `how` (`abort` and its identifier) are those of the rollout that ended it.
    """
    if code in (Exit.FAILED_UNCHANGED, Exit.LEASE_HELD):
        return ""  # it is as unfinished as before
    if code is Exit.OK and how.startswith("abort"):
        code = Exit.FAILED_ROLLED_BACK
    entry = {
        "rollout": past.rollout,
        "kind": "rollout",
        "generation": past.generation,
        "version": past.version,
        "by": by,
        "phase": "end" if code is Exit.OK else "failed",
        "exit": int(code),
        "detail": f"ended by {by}: {how}",
    }
    _, errors = hosts.attempt(lambda h, a: a.call("ledger", append=[{**entry, "host": h}]), hosts.there)
    return f"the ledger lacks the end of {past.rollout}: {next(iter(errors.values())).message}" if errors else ""


def _known(hosts: Sequence[Host], number: int | None) -> Generation | None:
    return next((g for h in hosts if (g := h.generation(number))), None)


def _decided(
    hosts: Hosts, observed: Sequence[Host], target: Target, payload: Payload, past: Past, task: str
) -> Rollout:
    """Plan it, as any other rollout."""
    environment = hosts.environment
    policy = (policy_back if task == "abort" else policy_of)(environment)
    plan = plan_rollout(observed, target, policy)
    manifest = payload.manifest
    problems = [*plan.problems]
    if payload.supply is not None:
        problems += host_problems([h for h in observed if not h.problem], manifest, shared_disk=not environment.remote)
    if unsigned := signatures.problem(environment, target.version, payload.manifest_text, payload.signature):
        problems.append(f"generation {target.generation}: {unsigned}")
    refuse(environment, problems)
    plan = announced(hosts, observed, plan, policy, payload.variables)
    return Rollout(tuple(observed), plan, payload, task, back_to=past.before)


def _with_supply(
    hosts: Hosts, payload: Payload, known: Generation, living: list[Host], lacking: list[Host]
) -> tuple[Payload, list[Host], list[str]]:
    """Find what some hosts lack of a generation: its release in dist/, and its variables as they are wanted now."""
    environment, names = hosts.environment, ", ".join(h.name for h in lacking)
    release, problem = _built(payload, known)
    wanted, differs = _same_variables(hosts, known)
    problems = [f"{names}: generation {known.number} is not whole there, and {p}" for p in (problem, differs) if p]
    if problems or release is None:
        return payload, living, problems
    supply = Supply(environment, release)
    full = replace(payload, variables=wanted, supply=supply, signature=payload.signature or release.signature)
    return full, hosts.measure(living, supply), []


def _built(payload: Payload, known: Generation) -> tuple[ReleaseTree | None, str]:
    """Find the release in dist/; else say what to type."""
    with suppress(SlipwayError):
        release = find_release(ROOT / "dist", known.version)
        if release.digest == known.digest:
            return release, ""
        return None, f"dist/ has {known.version} with other bytes -> git checkout {_commit(payload)} && make release"
    return None, f"dist/ has no {known.version} -> git checkout {_commit(payload)} && make release"


def _commit(payload: Payload) -> str:
    return str(payload.manifest.get("commit") or "the commit it was built of")[:12]


def _same_variables(hosts: Hosts, known: Generation) -> tuple[Variables | None, str]:
    """Give the wanted variables when they are those of a generation; its own never leave a host."""
    wanted = vars_.wanted(hosts.environment)
    if wanted.digest == known.env_digest:
        return wanted, ""
    name = hosts.environment.name
    return None, f"the variables have changed since -> fab deploy:{name} takes those of now, fab abort:{name} goes back"
