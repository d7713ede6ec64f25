"""Ask the hosts for what their ledgers say of past rollouts."""

from __future__ import annotations

from deploy import history
from deploy.history import Past
from deploy.hosts import Hosts

LOOK_BACK = 40  # entries of whole rollouts that are read: two for each


def recent(hosts: Hosts) -> list[Past]:
    """Read the last rollouts, newest first, in the ledgers of all hosts that answer.

    Raises: AgentGone when none does.
    """
    entries, errors = hosts.attempt(
        lambda host, agent: agent.call("ledger", tail=LOOK_BACK, kind="rollout")["entries"], hosts.there
    )
    if errors and not entries:
        raise hosts.together(errors)
    return history.rollouts(entries)
