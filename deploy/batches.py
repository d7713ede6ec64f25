"""Decide which hosts change side by side, and whether they can be drained meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deploy.facts import Host, Server

Amount = int | str  # of hosts: a number, or a share of all of them such as "25%"
CONFIRM = "confirm"  # a pause that a person ends


@dataclass(frozen=True)
class Policy:
    """How carefully: from `[rollout]` of the environment file."""

    canary: int = 1  # hosts in the first batch
    batch: Amount = 1  # hosts in each later batch
    floor: Amount = 1  # hosts that must stay in service while others are drained
    max_unavailable: Amount | None = None  # hosts that may be out of service at once, whatever the reason
    only: tuple[str, ...] = ()  # the hosts that are changed, the others stay as they are; none named: all
    spare: bool = False  # hosts that can't be reached may be missed, within `max_unavailable`, without it one
    bake: float = 0  # seconds that new servers are compared with old ones after each batch
    pause: float | str = 0  # between batches: seconds, or `CONFIRM`
    pause_after: str = "batch"  # or "canary": after the first one only

    def takes(self, host: Host) -> bool:
        """Whether a host is one of those that are changed."""
        return not self.only or host.name in self.only

    def may_leave(self, total: int, in_service: int) -> int:
        """Say how many of the hosts in service may be drained at once; 0 or less: none."""
        left = in_service - at_least(self.floor, total)
        if self.max_unavailable is None:
            return left
        return min(left, at_most(self.max_unavailable, total) - (total - in_service))


def may_drain(name: str, servers: Mapping[str, Server], floor: Amount) -> bool:
    """Say whether the others that get requests now are enough: since it was planned, one of them may have died."""
    if not _gets_requests(servers[name]):
        return True
    others = sum(_gets_requests(server) for other, server in servers.items() if other != name)
    return others >= at_least(floor, len(servers))


def _gets_requests(server: Server) -> bool:
    return server.admin == "ready" and server.up


def at_least(amount: Amount, total: int) -> int:
    """Count hosts of which there shall not be fewer: a share is rounded up."""
    return amount if isinstance(amount, int) else math.ceil(int(amount.rstrip("%")) * total / 100)


def at_most(amount: Amount, total: int) -> int:
    """Count hosts of which there shall not be more: a share is rounded down."""
    return amount if isinstance(amount, int) else int(amount.rstrip("%")) * total // 100


def batches(todo: list[Host], hosts: Sequence[Host], policy: Policy) -> list[tuple[list[Host], bool]]:
    """Split hosts into batches; with each, whether enough stay in service to drain it."""
    size = max(1, at_most(policy.batch, len(hosts)))
    in_service = sum(h.in_service for h in hosts)
    turns: list[tuple[list[Host], bool]] = []
    while todo:
        wanted = policy.canary if not turns and policy.canary else size
        batch, room = [todo.pop(0)], policy.may_leave(len(hosts), in_service)
        while todo and len(batch) < wanted and _leaving([*batch, todo[0]]) <= max(0, room):
            batch.append(todo.pop(0))
        turns.append((batch, _leaving(batch) <= max(0, room)))
        in_service += len(batch) - _leaving(batch)
    return turns


def _leaving(batch: Iterable[Host]) -> int:
    return sum(h.in_service for h in batch)
