"""What is said of a rollout when it has done its work, or had none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy import fencing
from deploy.errors import Exit
from deploy.report import Outcome

if TYPE_CHECKING:
    from deploy.deciding import Rollout
    from deploy.hosts import Hosts


def nothing_to_do(hosts: Hosts, rollout: Rollout) -> Outcome:
    """Say that the hosts run already what was decided."""
    outcome = outcome_of(hosts, rollout)
    outcome.exit = Exit.NOTHING_TO_DO
    outcome.message = f"nothing to do: {rollout.done or serving(hosts, rollout)}"
    return outcome


def outcome_of(hosts: Hosts, rollout: Rollout) -> Outcome:
    """Begin to tell how a rollout ends."""
    target = rollout.plan.target
    return Outcome(
        exit=Exit.OK,
        environment=hosts.environment.name,
        message="",
        version=target.version,
        digest=target.digest,
        generation=target.generation,
        url=hosts.environment.url,
        problems=tuple(fencing.notes(hosts.environment.name, rollout.before, done=True)),
    )


def serving(hosts: Hosts, rollout: Rollout) -> str:
    """Say what serves where, when all went well."""
    target, gone = rollout.plan.target, {h.name for h in rollout.before if h.problem}
    only = rollout.plan.only or tuple(hosts.environment.app)
    serve = ", ".join(h for h in hosts.environment.app if h in only and h not in gone)
    others = ", ".join(h for h in hosts.environment.app if h not in only)
    stay = f", and {others} as before" if others else ""
    who = f"{target.version} ({target.digest[:12]}) serves as generation {target.generation} on {serve}{stay}"
    return f"{who}; {hosts.environment.url}"
