"""Rollouts: move an environment to a release and variables, or back.

What carries them out is loaded when there is something to carry out: half of all deploys by a pipeline find nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.deciding import decide, decide_ahead, decide_rollback, decide_upkeep
from deploy.hosts import Hosts, connect
from deploy.outcomes import nothing_to_do

if TYPE_CHECKING:
    from deploy.artifacts import ReleaseTree
    from deploy.asking import Ask
    from deploy.contract import Contract
    from deploy.deciding import MakePlan, Rollout
    from deploy.environment import Environment
    from deploy.lease import Lease
    from deploy.plan import Plan
    from deploy.report import Outcome, Reporter
    from deploy.saved_plan import SavedPlan


def deploy(
    hosts: Hosts,
    contract: Contract,
    release: ReleaseTree,
    reporter: Reporter,
    announced: SavedPlan | None = None,
    ask: Ask | None = None,
) -> Outcome:
    """Bring an environment to a release and its wanted variables; with a saved plan, by just that plan.

    Raises: SavedPlanError when something that the plan rests on has moved.
    """
    hosts.require_bootstrap()
    seen = None if announced else decide_ahead(hosts, release)
    if seen and seen.plan.is_empty:
        return nothing_to_do(hosts, seen)
    from deploy.carrying_out import under_lease

    def decide_now(lease: Lease) -> Rollout:
        decided = seen if seen and lease.follows(seen.before) else decide(hosts, release)
        if announced:
            announced.require(hosts.environment.name, decided.plan)
        return decided

    return under_lease(hosts, contract, reporter, decide_now, ask)


def rollback(environment: Environment, contract: Contract, to: int | None, reporter: Reporter) -> Outcome:
    """Bring an environment back to an earlier generation: its code and its variables."""
    from deploy.carrying_out import under_lease

    with connect(environment, contract.name) as hosts:
        hosts.require_bootstrap()
        return under_lease(hosts, contract, reporter, lambda lease: decide_rollback(hosts, to))


def upkeep(
    environment: Environment,
    contract: Contract,
    task: str,
    plan: MakePlan,
    reporter: Reporter,
    done: str = "",
) -> Outcome:
    """Carry out a plan (deploy/upkeep.py) that leaves each host the generation that it runs."""
    from deploy.carrying_out import under_lease

    with connect(environment, contract.name) as hosts:
        hosts.require_bootstrap()
        return under_lease(hosts, contract, reporter, lambda lease: decide_upkeep(hosts, task, plan, done))


def preview(environment: Environment, contract: Contract, release: ReleaseTree) -> Plan:
    """Say what `deploy` would do."""
    with connect(environment, contract.name) as hosts:
        return decide(hosts, release).plan
