"""Close the site for maintenance: the load balancer answers with a page, and the servers stay as they are."""

from __future__ import annotations

import time

from deploy.errors import Exit
from deploy.hosts import Hosts
from deploy.identity import by, new_identifier


def switch(hosts: Hosts, closed: bool) -> bool:
    """Close or open the site, also for after a reload or reboot, and tell the ledgers. Returns whether that changed it.

    No lease is needed: a rollout goes on behind the page.

    Raises: what keeps a load balancer from it, once the others have done it.
    """
    balancer, problem = hosts.balancer.answering()
    if balancer.is_all(closed=closed):
        if problem:
            raise problem
        return False
    begun = time.time()
    balancer.set_closed(closed)
    entry = {"rollout": new_identifier(), "kind": "rollout", "by": by()}
    ended = {"phase": "end", "exit": int(Exit.OK), "seconds": round(time.time() - begun, 3)}
    detail = f"maintenance {'on' if closed else 'off'}"
    # A host that is gone must not keep the site from being closed: its ledger lacks this.
    hosts.attempt(
        lambda host, agent: agent.call(
            "ledger",
            append=[{**entry, "host": host, "phase": "begin", "detail": detail}, {**entry, "host": host, **ended}],
        ),
        hosts.agents,
    )
    if problem:
        problem.message = f"{problem.message}; {', '.join(balancer.names)} did as asked"
        raise problem
    return True
