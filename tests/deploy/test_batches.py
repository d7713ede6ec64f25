"""Batches: who changes side by side, and who is drained meanwhile."""

from __future__ import annotations

import pytest

from deploy.batches import CONFIRM, Amount, Policy, at_least, at_most, batches, may_drain
from deploy.facts import Host, Server
from deploy.plan import Kind, Plan, plan_rollout
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


def dead(name: str) -> Host:
    """Make a host that serves nobody."""
    return serving(name, processes=(), server=Server(name, "ready", up=False))


def sizes(hosts: list[Host], policy: Policy) -> list[tuple[int, bool]]:
    """Say how many hosts of those in service change at once, and whether they are drained."""
    return [(len(batch), drain) for batch, drain in batches([h for h in hosts if h.in_service], hosts, policy)]


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        (Policy(canary=0, batch=4, floor="50%"), [(2, True), (2, True)]),
        (Policy(canary=0, batch=4, floor="51%"), [(1, True)] * 4),  # rounded up: 3 stay
        (Policy(canary=0, batch=4, floor="100%"), [(1, False)] * 4),
        (Policy(canary=0, batch=4, floor=0), [(4, True)]),
        (Policy(canary=0, batch=4, max_unavailable=2), [(2, True), (2, True)]),
        (Policy(canary=0, batch=4, max_unavailable="60%"), [(2, True), (2, True)]),  # rounded down
        (Policy(canary=0, batch=4, max_unavailable=0), [(1, False)] * 4),
        (Policy(canary=0, batch=4, floor=3, max_unavailable=2), [(1, True)] * 4),  # the stricter one
    ],
)
def test_never_more_leave_than_floor_and_max_unavailable_allow(policy: Policy, found: list[tuple[int, bool]]) -> None:
    assert sizes([serving(f"web{i}") for i in range(4)], policy) == found


def test_hosts_that_are_dead_count_as_unavailable() -> None:
    hosts = [*(serving(f"web{i}") for i in range(4)), dead("web4")]
    assert sizes(hosts, Policy(canary=0, batch=4, max_unavailable=2)) == [(1, True)] * 4
    assert sizes(hosts, Policy(canary=0, batch=4, max_unavailable=1)) == [(1, False)] * 4


def test_a_dead_host_that_changed_is_available_again() -> None:
    """It goes first; when its turn is over, more may leave."""
    hosts = [*(serving(f"web{i}") for i in range(4)), dead("web4")]
    plan = plan_rollout(hosts, TARGET, Policy(canary=1, batch=4, max_unavailable=2))
    turns = [[lane[0].host for lane in g.lanes] for g in plan.groups if g.title == "canary" or "batch" in g.title]
    assert turns == [["web4"], ["web0", "web1"], ["web2", "web3"]]


@pytest.mark.parametrize(("amount", "least", "most"), [(2, 2, 2), ("50%", 2, 1), ("0%", 0, 0), ("100%", 3, 3)])
def test_shares_are_rounded_to_the_safe_side(amount: Amount, least: int, most: int) -> None:
    assert (at_least(amount, 3), at_most(amount, 3)) == (least, most)


def pauses(plan: Plan) -> list[tuple[str, tuple[str, ...], float]]:
    """Say when a plan pauses, who is looked at, and for how long."""
    return [
        (group.title, step.hosts, step.seconds)
        for group in plan.groups
        for lane in group.lanes
        for step in lane
        if step.kind is Kind.PAUSE
    ]


def test_it_pauses_between_batches_and_not_after_the_last() -> None:
    hosts = [serving(f"web{i}") for i in range(5)]
    asks = plan_rollout(hosts, TARGET, Policy(batch=2, pause=CONFIRM))
    assert pauses(asks) == [
        ("pause after canary", ("web0",), 0),
        ("pause after batch 2 of 3", ("web1", "web2"), 0),
    ]
    waits = plan_rollout(hosts, TARGET, Policy(batch=2, pause=60, pause_after="canary", bake=5))
    assert pauses(waits) == [("pause after canary", ("web0",), 60)]
    titles = [g.title for g in waits.groups]
    assert titles.index("bake after canary") + 1 == titles.index("pause after canary"), "what is seen there is told"
    assert not pauses(plan_rollout(hosts[:1], TARGET, Policy(pause=CONFIRM))), "one host: there is no between"
    assert not pauses(plan_rollout(hosts, TARGET, Policy(canary=0, pause=60, pause_after="canary")))


@pytest.mark.parametrize(
    ("others", "floor", "may"),
    [("ready up", 1, True), ("ready down", 1, False), ("maint up", 1, False), ("ready down", 0, True)],
)
def test_who_is_drained_is_counted_again_when_it_is_done(others: str, floor: Amount, may: bool) -> None:
    """What was planned may be minutes old, and the other server dead by now."""
    admin, _, up = others.partition(" ")
    servers = {"web1": Server("web1", "ready", up=True), "web2": Server("web2", admin, up=up == "up")}
    assert may_drain("web1", servers, floor) is may
    assert may_drain("web1", {**servers, "web1": Server("web1", "ready", up=False)}, floor)  # nobody misses it
