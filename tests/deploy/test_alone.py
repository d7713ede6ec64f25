"""A scheduler's role: one host has it, and it moves only when nobody else can still run it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy import alone
from deploy.agent import supervisors
from deploy.batches import Policy
from deploy.facts import Host, Process
from deploy.plan import Kind, plan_rollout
from tests.deploy.inventory import NEW, R2, TARGET, dead, serving, worker

WITH_SCHEDULER = replace(TARGET, processes=frozenset({"scheduler"}))
RUNS = (Process(1, 1, ready=True, name="scheduler"),)


def scheduler(name: str, **changes: object) -> Host:
    return worker(name, **{"runs": ("scheduler",), "processes": RUNS, **changes})


def test_operators_and_agents_mean_the_same() -> None:
    assert alone.ALONE == supervisors.ALONE


def test_its_host_switches_like_any_other() -> None:
    hosts = [serving("web1"), serving("web2", runs=("web", "scheduler"), processes=(Process(1, 1, ready=True), *RUNS))]
    plan = plan_rollout(hosts, WITH_SCHEDULER, Policy())
    assert [s.host for s in plan.steps if s.kind is Kind.SWITCH] == ["web1", "web2"]


def test_the_same_again_is_nothing() -> None:
    done = replace(NEW, activated=1.0)
    after = scheduler("jobs1", generation=done, release=R2, processes=(Process(2, 1, ready=True, name="scheduler"),))
    assert plan_rollout([serving("web1", done, R2), after], WITH_SCHEDULER, Policy()).is_empty


@pytest.mark.parametrize(
    ("old", "words"),
    [
        (serving("web1", processes=(Process(1, 1, ready=True), *RUNS)), "web1 still runs the scheduler that jobs1"),
        (dead(serving("web1")), "web1 can't be reached and may run a scheduler, so jobs1 can't begin"),
    ],
)
def test_it_begins_nowhere_as_long_as_another_host_may_run_it(old: Host, words: str) -> None:
    new, others = scheduler("jobs1", processes=()), [serving("web2"), serving("web3")]
    plan = plan_rollout([old, *others, new], WITH_SCHEDULER, Policy(spare=True))
    assert [problem for problem in plan.problems if words in problem], plan.problems
    assert not plan.steps
    without = plan_rollout([old, *others, replace(new, runs=())], WITH_SCHEDULER, Policy(spare=True))
    assert not without.problems, "first nobody has the role"


def test_a_host_that_runs_it_goes_on_whoever_is_away() -> None:
    hosts = [dead(serving("web1")), serving("web2"), serving("web3"), scheduler("jobs1")]
    assert not plan_rollout(hosts, WITH_SCHEDULER, Policy(spare=True)).problems


def test_whoever_asks_hears_that_none_runs_or_that_nobody_knows() -> None:
    names = WITH_SCHEDULER.processes
    assert [*alone.notes([serving("web1"), scheduler("jobs1")], names)] == []
    assert [*alone.notes([serving("web1")], [])] == []
    for hosts, words in (
        ([serving("web1")], "no host has the role scheduler"),
        ([scheduler("jobs1", processes=())], "no scheduler runs: jobs1's is not ready"),
        ([dead(scheduler("jobs1"))], "nobody knows whether the scheduler runs: it is jobs1's, which can't be reached"),
    ):
        assert words in next(alone.notes(hosts, names))
