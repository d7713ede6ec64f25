"""Rollouts of some hosts only: the others stay as they are, on purpose, until a rollout of all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deploy.batches import Policy
from deploy.errors import Exit
from deploy.facts import Host
from deploy.history import Past, on_purpose
from deploy.overview import overview
from deploy.plan import Kind, Target, plan_rollout
from tests.deploy.inventory import (
    NEW,
    OLD,
    R2,
    TARGET,
    assert_converged,
    dead,
    hosts_of_any_state,
    kinds,
    policies,
    serving,
    targets,
)
from tests.deploy.world import apply

WEB2 = Policy(only=("web2",))
THREE = [serving(name) for name in ("web1", "web2", "web3")]


def test_a_limited_plan_is_about_its_hosts_and_the_others_keep_the_floor() -> None:
    plan = plan_rollout(THREE, TARGET, WEB2)
    assert [kind for kind, _ in kinds(plan)] == ["stage", "trial", "drain", "switch", "ready", "restore", "prune"]
    assert {host for _, host in kinds(plan)} == {"web2"}
    assert plan.only == ("web2",)
    alone = [serving("web1", processes=()), serving("web2")]
    assert ("drain", "web2") not in kinds(plan_rollout(alone, TARGET, WEB2)), "the only one in service overlaps"


def test_it_is_empty_when_its_hosts_are_there_whatever_the_others_run() -> None:
    there = serving("web2", replace(NEW, activated=1.0), R2)
    assert plan_rollout([serving("web1"), there], TARGET, WEB2).is_empty
    assert ("switch", "web1") in kinds(plan_rollout([serving("web1"), there], TARGET, Policy()))


def test_new_servers_are_compared_with_those_that_stay() -> None:
    plan = plan_rollout(THREE, TARGET, replace(WEB2, bake=5))
    assert next(step.against for step in plan.steps if step.kind is Kind.BAKE) == ("web1", "web3")


def test_the_database_is_migrated_by_one_of_its_hosts_and_a_contract_waits_for_the_others() -> None:
    target = replace(TARGET, migrations=("0001", "0002"), described={"0002": "0002"})
    plan = plan_rollout(THREE, target, WEB2)
    assert ("migrate", "web2") in kinds(plan)
    known = [
        replace(h, generations=(replace(OLD, activated=None),), current=None) if h.name == "web2" else h for h in THREE
    ]
    waits = plan_rollout(known, replace(target, contract_migrations=frozenset({"0002"}), migrate_stops=True), WEB2)
    assert waits.waiting == ("0002 waits: generation 1 (1.0) needs the shape before it",)


def test_a_dead_host_that_it_is_not_about_is_not_fenced() -> None:
    hosts = [serving("web1"), serving("web2"), dead(serving("web3"))]
    plan = plan_rollout(hosts, TARGET, replace(WEB2, spare=True))
    assert {host for _, host in kinds(plan)} == {"web2"}
    gone = plan_rollout(hosts, TARGET, Policy(only=("web3",), spare=True))
    assert gone.problems == ("web3: can't be reached",)


def test_a_plan_says_who_is_left_alone() -> None:
    plan = plan_rollout(THREE, TARGET, WEB2)
    rows = overview(THREE, plan, WEB2, ())
    assert rows[0] == (
        "limited to",
        "web2; 1.0, generation 1 on web1, web3 stays: hosts may differ, until the next deploy without --limit",
    )
    assert rows[1] == ("instead of", "1.0, generation 1 on web2")


@given(hosts_of_any_state(), policies, targets, st.data())
def test_whoever_it_is_limited_to_nobody_else_is_touched_and_the_next_full_one_converges(
    hosts: list[Host], policy: Policy, target: Target, data: st.DataObject
) -> None:
    only = tuple(data.draw(st.sets(st.sampled_from([h.name for h in hosts]), min_size=1)))
    limited = replace(policy, only=only)
    plan = plan_rollout(hosts, target, limited)
    assume(not plan.problems)
    assert {step.host for step in plan.steps} <= {*only}
    after = apply(hosts, plan, limited)
    assert [h for h in after if h.name not in only] == [h for h in hosts if h.name not in only]
    assert plan_rollout(after, target, limited).is_empty
    assert_converged(apply(after, plan_rollout(after, target, policy), policy), target, policy)


def past(task: str = "deploy", code: int | None = Exit.OK, *limit: str) -> Past:
    """Make a rollout that was."""
    return Past("r", task, "ann@desk", 1.0, "2.0", 2, ("web1",), 1, exit=code, limit=limit)


LIMITED = past("deploy", Exit.OK, "web2")


@pytest.mark.parametrize(
    ("newest_first", "meant"),
    [
        ([LIMITED, past()], LIMITED),
        ([past("restart"), past("deploy", Exit.FAILED_UNCHANGED), LIMITED], LIMITED),
        ([past("deploy", Exit.FAILED_ROLLED_BACK, "web3"), LIMITED, past()], LIMITED),
        ([past(), LIMITED], None),
        ([past("deploy", Exit.MIXED, "web3"), LIMITED], None),
        ([LIMITED, past("deploy", Exit.MIXED)], None),
        ([past("deploy", None, "web2")], None),
        ([], None),
    ],
)
def test_hosts_differ_on_purpose_as_long_as_nothing_else_left_them_so(
    newest_first: list[Past], meant: Past | None
) -> None:
    assert on_purpose(newest_first) is meant


def test_the_ledger_says_what_it_was_limited_to() -> None:
    assert LIMITED.what == "deploy --limit web2"
    assert LIMITED.summary.startswith("deploy --limit web2 of 2.0 by ann@desk: ok")
