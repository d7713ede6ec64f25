"""Decide which hosts change side by side, and whether they can be drained meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deploy.facts import Host


@dataclass(frozen=True)
class Policy:
    """How carefully: from `[rollout]` of the environment file."""

    canary: int = 1  # hosts in the first batch
    batch: int | str = 1  # hosts in each later batch: a number, or a share such as "25%"
    floor: int = 1  # hosts that must stay in service while others are drained
    bake: float = 0  # seconds that new servers are compared with old ones after each batch


def batches(todo: list[Host], hosts: Sequence[Host], policy: Policy) -> list[tuple[list[Host], bool]]:
    """Split hosts into batches; with each, whether the floor allows to drain it."""
    share = isinstance(policy.batch, str)
    size = max(1, len(hosts) * int(str(policy.batch).rstrip("%")) // 100) if share else int(policy.batch)
    in_service = sum(h.in_service for h in hosts)
    turns: list[tuple[list[Host], bool]] = []
    while todo:
        wanted = policy.canary if not turns and policy.canary else size
        batch = [todo.pop(0)]
        while todo and len(batch) < wanted and in_service - _leaving([*batch, todo[0]]) >= policy.floor:
            batch.append(todo.pop(0))
        turns.append((batch, in_service - _leaving(batch) >= policy.floor))
        in_service += len(batch) - _leaving(batch)
    return turns


def _leaving(batch: Iterable[Host]) -> int:
    return sum(h.in_service for h in batch)
