"""The planner and hosts of workers: they take part in all but the load balancer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.facts import Process
from deploy.plan import Kind, Policy, plan_rollout
from tests.deploy.inventory import NEW, R2, TARGET, WITH_WORKERS, kinds, serving, worker
from tests.deploy.world import apply


def test_workers_take_part_in_everything_but_the_load_balancer_and_switch_after_the_web_hosts() -> None:
    plan = plan_rollout([worker("jobs1"), serving("web1"), serving("web2")], WITH_WORKERS, Policy())
    assert [k for k, h in kinds(plan) if h == "jobs1"] == ["stage", "trial", "switch", "prune"]
    assert [s.host for s in plan.steps if s.kind is Kind.SWITCH] == ["web1", "web2", "jobs1"]
    assert [g.title for g in plan.groups][-2:] == ["workers", "finish"]


def test_workers_change_in_batches_and_leave_no_host_drained() -> None:
    hosts = [serving("web1"), *(worker(f"jobs{i}") for i in range(4))]
    plan = plan_rollout(hosts, WITH_WORKERS, Policy(canary=1, batch=2, floor=1))
    groups = [g for g in plan.groups if g.title.startswith("workers")]
    assert [(g.title, len(g.lanes)) for g in groups] == [
        ("workers, batch 1 of 3", 1),
        ("workers, batch 2 of 3", 2),
        ("workers, batch 3 of 3", 1),
    ]


def test_the_same_again_is_nothing_for_workers_too() -> None:
    done = replace(NEW, activated=1.0)
    assert plan_rollout([serving("web1", done, R2), worker("jobs1", done, R2)], WITH_WORKERS, Policy()).is_empty


def test_a_migration_runs_on_a_web_host_whoever_comes_first() -> None:
    target = replace(WITH_WORKERS, migrations=("0001", "0002"))
    plan = plan_rollout([worker("jobs1"), serving("web1")], target, Policy())
    assert ("migrate", "web1") in kinds(plan)


def test_what_only_workers_say_tells_nothing_of_the_database() -> None:
    done = replace(NEW, activated=1.0, migrated=True)
    down = serving("web1", done, R2, processes=())
    plan = plan_rollout([down, worker("jobs1", done, R2)], WITH_WORKERS, Policy())
    assert [k for k, h in kinds(plan) if h == "web1"] == ["migrate", "switch", "ready", "prune"]
    assert ("switch", "jobs1") not in kinds(plan)


@pytest.mark.parametrize(
    ("processes", "why"),
    [
        ((Process(2, 1, ready=True), Process(2, 2, ready=False, name="worker")), "its worker is not ready"),
        ((Process(2, 1, ready=True),), "its worker is not ready"),
        ((Process(2, 1, ready=True), Process(2, 2, ready=True, name="worker")), ""),
        (
            (
                Process(2, 1, ready=True),
                Process(2, 2, ready=True, name="worker"),
                Process(1, 3, ready=True, name="worker"),
            ),
            "an older generation still runs",
        ),
    ],
    ids=["not ready", "gone", "fine", "older one left over"],
)
def test_a_host_with_both_roles_is_done_when_both_are(processes: tuple[Process, ...], why: str) -> None:
    done = replace(NEW, activated=1.0)
    both = serving("web1", done, R2, runs=("web", "worker"), processes=processes)
    plan = plan_rollout([both, serving("web2", done, R2)], WITH_WORKERS, Policy())
    assert plan.is_empty == (not why)
    assert all(why in step.why for step in plan.steps if step.kind is Kind.SWITCH)


def test_a_role_that_was_taken_away_is_switched_off() -> None:
    done = replace(NEW, activated=1.0)
    both = (Process(2, 1, ready=True), Process(2, 2, ready=True, name="worker"))
    plan = plan_rollout([serving("web1", done, R2, processes=both)], WITH_WORKERS, Policy())
    assert "its worker is not wanted any more" in next(s.why for s in plan.steps if s.kind is Kind.SWITCH)
    jobs = worker("jobs1", done, R2, processes=both, listening="10.0.0.1:8000")
    plan = plan_rollout([serving("web1", done, R2), jobs], WITH_WORKERS, Policy())
    assert "closes 10.0.0.1:8000" in next(s.why for s in plan.steps if s.kind is Kind.SWITCH)


def test_a_release_without_workers_leaves_their_hosts_with_nothing_to_run() -> None:
    """As when going back to a release from before there were any."""
    plan = plan_rollout([serving("web1"), worker("jobs1")], TARGET, Policy())
    after = apply([serving("web1"), worker("jobs1")], plan, Policy())
    assert [p.name for h in after for p in h.processes] == ["web"]
    assert plan_rollout(after, TARGET, Policy()).is_empty
