"""Decide what happens to hosts that can't be reached: fenced at the load balancer, they may be missed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deploy.batches import Policy, at_least, at_most
from deploy.facts import Host


@dataclass(frozen=True)
class Aside:
    """The hosts that a rollout is about, and what becomes of the others."""

    hosts: Sequence[Host]
    policy: Policy
    fence: tuple[Host, ...] = ()
    unseen: tuple[str, ...] = ()  # those that are left out
    problems: tuple[str, ...] = ()


def set_aside(hosts: Sequence[Host], policy: Policy) -> Aside:
    """Take out the hosts that can't be reached, where the policy spares as many; otherwise say why not.

    The floor and the number of hosts that may be out stay what they are of all hosts together.
    """
    gone = [host for host in hosts if host.problem]
    if not (gone and policy.spare):
        return Aside(hosts, policy)
    living = [host for host in hosts if not host.problem]
    web = [host for host in hosts if host.web]
    allowed = 1 if policy.max_unavailable is None else at_most(policy.max_unavailable, len(web))
    floor, left = at_least(policy.floor, len(web)), sum(host.in_service for host in living)
    taken = [host for host in gone if policy.takes(host)]  # one that is to stay as it is may come back with it
    asked = [host.name for host in taken if gets_requests(host)]
    problems = []
    if not any(policy.takes(host) for host in living):
        problems = [host.problem for host in taken]
    elif len(gone) > allowed:
        why = "rollout.max_unavailable is" if policy.max_unavailable is not None else "without max_unavailable it is"
        problems = [f"{len(gone)} hosts can't be reached, and {why} {allowed}", *(host.problem for host in gone)]
    elif asked and left < min(floor, left + len(asked)):
        problems = [f"{', '.join(asked)} can't be reached and still gets requests: without it {left} would be left"]
    out = policy.max_unavailable
    left_over = None if out is None else max(0, allowed - sum(host.web for host in gone))
    fence = tuple(host for host in taken if host.server and not all(server.fenced for server in host.server.each))

    policy = replace(policy, floor=floor, max_unavailable=left_over)
    return Aside(living, policy, fence, tuple(host.name for host in gone), tuple(problems))


def gets_requests(host: Host) -> bool:
    """Whether a load balancer sends requests to a host, as far as it can tell."""
    return bool(host.server and any(server.admin == "ready" and server.up for server in host.server.each))


def notes(environment: str, hosts: Sequence[Host], *, done: bool = False) -> list[str]:
    """Say which hosts get no request until they run what all run, and what to type; `done`: after a rollout."""
    found = []
    for host in hosts:
        hold = host.server.hold if host.server else None
        when = f" by {hold.by}, rollout {hold.rollout}" if hold and hold.why == "fenced" else ""
        if host.problem and done:
            found.append(f"{host.name} was spared: once it answers, fab deploy:{environment} brings it to what all run")
        elif host.fenced and not done:
            once = "once it answers, " if host.problem else ""
            found.append(f"{host.name} is fenced{when}: it gets no requests -> {once}fab deploy:{environment}")
    return found
