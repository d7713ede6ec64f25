"""Batches: who changes side by side, and who is drained meanwhile."""

from __future__ import annotations

import pytest

from deploy.batches import Policy
from deploy.plan import Kind, plan_rollout
from tests.deploy.test_plan import TARGET, serving


@pytest.mark.parametrize(
    ("batch", "canary", "sizes"),
    [(1, 1, [1, 1, 1, 1]), (2, 1, [1, 2, 1]), ("50%", 0, [2, 2]), (4, 0, [3, 1]), ("10%", 0, [1] * 4)],
)
def test_batches_have_the_asked_size_as_far_as_the_floor_allows(
    batch: int | str, canary: int, sizes: list[int]
) -> None:
    hosts = [serving(f"web{i}") for i in range(4)]
    plan = plan_rollout(hosts, TARGET, Policy(canary=canary, batch=batch))
    turns = [g for g in plan.groups if any(s.kind is Kind.SWITCH for lane in g.lanes for s in lane)]
    assert [len(g.lanes) for g in turns] == sizes
