"""Add to a plan what a person wants to know before it is carried out."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from deploy.batches import Policy
from deploy.changes import Change, Marked, changes, mark
from deploy.errors import SlipwayError
from deploy.facts import Host
from deploy.generations import running_generation
from deploy.hosts import Hosts
from deploy.overview import overview
from deploy.plan import Plan
from deploy.variables import Variables


def announced(
    hosts: Hosts, observed: Sequence[Host], plan: Plan, policy: Policy, wanted: Variables | None = None
) -> Plan:
    """Give the plan with its overview and the variables that change; `wanted` are those of a new generation."""
    if plan.is_empty or plan.problems:
        return plan
    found = _changes(hosts, [host for host in observed if policy.takes(host)], plan, wanted)
    rows = overview(observed, plan, policy, found)
    if meant := _meant(hosts, observed):
        rows = (("differ", f"on purpose: {meant}"), *rows)
    return replace(plan, changes=found, overview=rows)


def _meant(hosts: Hosts, observed: Sequence[Host]) -> str:
    """Say which limited rollout lets hosts run different things; only where they do, since it costs a question."""
    if len({host.current for host in observed if not host.problem}) < 2:
        return ""
    from deploy import ledgers
    from deploy.history import on_purpose

    with suppress(SlipwayError):  # without an answer nothing is said
        limited = on_purpose(ledgers.recent(hosts))
        return limited.summary if limited else ""
    return ""


def _changes(hosts: Hosts, observed: Sequence[Host], plan: Plan, wanted: Variables | None) -> tuple[Change, ...]:
    """Ask a host that runs what all run; nothing is asked when the variables are the same, as a whole."""
    running, target, salt = running_generation(observed), plan.target, secrets.token_hex(16)
    if running == target.generation:  # half-way there: compared with what most others run
        running = running_generation(h for h in observed if h.current != running)
    host = next((h for h in observed if h.generation(running)), None)
    known = host.generation(running) if host else None
    if host is None or known is None or known.env_digest == target.env_digest:
        return ()

    def told(generation: int) -> Marked:
        answer = hosts.agents[host.name].call("variables", generation=generation, salt=salt)
        return Marked(answer["variables"], answer["secrets"])

    if wanted is not None:
        return changes(told(known.number), marked(wanted, salt))
    return changes(told(known.number), told(target.generation)) if host.generation(target.generation) else ()


def marked(variables: Variables, salt: str) -> Marked:
    """Mark secrets that are at hand as the agent does."""
    return Marked(variables.plain, {name: mark(salt, value) for name, value in variables.revealed().items()})
