"""Hosts that can't be reached: fenced at the load balancer, and let in again when they have converged."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from deploy.balancer import together
from deploy.batches import Policy
from deploy.facts import Host, Server
from deploy.generations import running_generation
from deploy.plan import Kind, Target, plan_rollout
from tests.deploy.inventory import (
    NEW,
    R2,
    TARGET,
    WITH_WORKERS,
    assert_converged,
    dead,
    hosts_of_any_state,
    kinds,
    policies,
    server_of,
    serving,
    targets,
    worker,
)
from tests.deploy.world import apply


def test_a_dead_host_is_fenced_first_and_nothing_else_is_done_to_it() -> None:
    hosts = [serving("web1"), dead(serving("web2")), serving("web3")]
    plan = plan_rollout(hosts, TARGET, Policy(spare=True))
    assert kinds(plan)[0] == ("fence", "web2")
    assert [step for step in plan.steps if step.host == "web2"] == [plan.steps[0]]
    assert plan_rollout(hosts, TARGET, Policy()).problems == ("web2: can't be reached",)
    again = plan_rollout(apply(hosts, plan, Policy()), TARGET, Policy(spare=True))
    assert again.is_empty
    assert not again.problems


def test_a_host_that_one_of_two_load_balancers_still_sends_requests_is_fenced_at_both() -> None:
    open_, fenced = Server("web2", "ready", up=True), server_of("web2", "fenced", up=False)
    half = replace(together(open_, fenced), views=(("lb1", fenced), ("lb2", open_)))
    hosts = [serving("web1"), dead(serving("web2", server=half))]
    assert kinds(plan_rollout(hosts, TARGET, Policy(spare=True)))[0] == ("fence", "web2")
    whole = replace(fenced, views=(("lb1", fenced), ("lb2", fenced)))
    hosts = [serving("web1"), dead(serving("web2", server=whole))]
    assert ("fence", "web2") not in kinds(plan_rollout(hosts, TARGET, Policy(spare=True)))


def test_a_worker_that_is_dead_has_no_users_to_be_kept_from() -> None:
    plan = plan_rollout([serving("web1"), dead(worker("jobs1"))], WITH_WORKERS, Policy(spare=True))
    assert ("switch", "web1") in kinds(plan)
    assert "jobs1" not in {step.host for step in plan.steps}


def test_no_more_dead_hosts_are_spared_than_may_be_out() -> None:
    hosts = [serving("web1"), dead(serving("web2")), dead(serving("web3")), serving("web4")]
    for out in (None, 1, "25%"):
        plan = plan_rollout(hosts, TARGET, Policy(spare=True, max_unavailable=out))
        assert plan.is_empty
        assert "2 hosts can't be reached" in plan.problems[0]
        assert "web3: can't be reached" in plan.problems
    assert not plan_rollout(hosts, TARGET, Policy(spare=True, max_unavailable=2)).problems
    assert plan_rollout([dead(serving("web1"))], TARGET, Policy(spare=True)).problems


def test_a_host_that_only_we_can_t_reach_is_not_taken_from_its_users_below_the_floor() -> None:
    hosts = [serving("web1"), dead(serving("web2"))]
    plan = plan_rollout(hosts, TARGET, Policy(spare=True, floor=2))
    assert "web2 can't be reached and still gets requests" in plan.problems[0]
    down = [hosts[0], dead(serving("web2", server=Server("web2", "ready", up=False)))]
    assert not plan_rollout(down, TARGET, Policy(spare=True, floor=2)).problems


def test_dead_hosts_count_as_out_for_those_that_live() -> None:
    """With one that may be out, and one dead, nobody is drained."""
    hosts = [serving("web1"), dead(serving("web2")), serving("web3")]
    plan = plan_rollout(hosts, TARGET, Policy(spare=True, max_unavailable=1))
    assert "drain" not in {kind for kind, _ in kinds(plan)}
    assert ("switch", "web3") in kinds(plan)


def test_a_fenced_host_that_answers_again_comes_back_with_what_all_run() -> None:
    running = [serving(n, NEW, R2, generations=(replace(NEW, activated=1.0),)) for n in ("web1", "web3")]
    late = serving("web2", server=server_of("web2", "fenced", up=True))
    plan = plan_rollout([running[0], late, running[1]], TARGET, Policy())
    assert kinds(plan)[:5] == [
        ("stage", "web2"),
        ("trial", "web2"),
        ("switch", "web2"),
        ("ready", "web2"),
        ("restore", "web2"),
    ]
    up_to_date = replace(running[0], name="web2", server=server_of("web2", "fenced", up=True))
    assert kinds(plan_rollout([*running, up_to_date], TARGET, Policy()))[:2] == [
        ("ready", "web2"),
        ("restore", "web2"),
    ]


def test_what_a_fenced_host_runs_is_not_what_the_environment_runs() -> None:
    ahead = serving("web2", replace(NEW, activated=1.0), R2, server=server_of("web2", "fenced", up=True))
    assert running_generation([serving("web1"), ahead]) == 1
    assert running_generation([ahead]) == 2


@given(hosts_of_any_state(), policies, targets, st.data())
def test_whoever_is_dead_the_others_converge_and_only_then_is_a_host_without_its_fence(
    hosts: list[Host], policy: Policy, target: Target, data: st.DataObject
) -> None:
    gone = data.draw(st.sets(st.sampled_from([h.name for h in hosts]), max_size=len(hosts) - 1))
    mixed = [dead(h, fenced=h.fenced) if h.name in gone else h for h in hosts]
    sparing = replace(policy, spare=True)
    plan = plan_rollout(mixed, target, sparing)
    assert all(step.kind is Kind.FENCE for step in plan.steps if step.host in gone)
    assert not {step.host for step in plan.steps} & {h.name for h in mixed if h.problem and h.fenced}
    if plan.problems:
        assert gone
        return
    after = apply(mixed, plan, sparing)
    assert plan_rollout(after, target, sparing).is_empty
    for host in after:
        assert not (host.name in gone and host.server) or host.fenced, "kept from users until it converges"
    back = [replace(h, server=a.server) if h.name in gone else a for h, a in zip(hosts, after, strict=True)]
    for step in (s for s in plan_rollout(back, target, policy).steps if s.host in gone):
        assert step.kind is not Kind.DRAIN, "it has no users"
    assert_converged(apply(back, plan_rollout(back, target, policy), policy), target, policy)


def test_a_contract_migration_waits_for_a_host_that_can_t_be_seen() -> None:
    """Its workers may still be at it, whatever the load balancer does."""
    target = replace(TARGET, migrations=("0001", "0002"), contract_migrations=frozenset({"0002"}), migrate_stops=True)
    empty = [Host("web1", "", server=Server("web1", "ready", up=False)), serving("web2")]
    seen, unseen = [empty[0]], [empty[0], dead(empty[1], fenced=True)]
    assert not plan_rollout(seen, target, Policy(spare=True)).waiting
    assert "0002 waits: what web2 runs" in plan_rollout(unseen, target, Policy(spare=True)).waiting[0]
