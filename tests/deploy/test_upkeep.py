"""Restarts, drains and restores: decided from facts, as data, each with its no-op twin."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.batches import Policy
from deploy.deciding import MakePlan
from deploy.facts import Generation, Hold, Host, Process, Release, Server
from deploy.plan import Kind, Plan, Target
from deploy.upkeep import (
    Backup,
    plan_backup,
    plan_contract,
    plan_drain,
    plan_load,
    plan_migrate,
    plan_restart,
    plan_restore,
)
from tests.deploy import inventory
from tests.deploy.inventory import dead, hosts_of_any_state, policies

NOW = Generation(3, "3.0", "d3", "e3", activated=1.0)
TARGET = Target(3, "3.0", "d3", "e3")


def host(name: str, admin: str = "ready", **changes: object) -> Host:
    """Make a host that serves generation 3."""
    made = Host(
        name,
        "",
        generations=(NOW,),
        current=3,
        processes=(Process(3, 1, ready=True),),
        server=Server(name, admin, up=True),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


HOSTS = [host("web1"), host("web2"), host("web3")]


def lanes(plan: Plan) -> list[list[str]]:
    """Write a plan: groups of lanes."""
    assert not plan.problems
    return [[" ".join(f"{s.kind}" for s in lane) + f" {lane[0].host}" for lane in g.lanes] for g in plan.groups]


def test_a_restart_takes_each_host_in_turn_and_drains_it() -> None:
    turn = "drain restart ready restore"
    assert lanes(plan_restart(HOSTS, TARGET, Policy(canary=1, batch=2))) == [
        [f"{turn} web1"],
        [f"{turn} web2", f"{turn} web3"],
    ]


def test_a_restart_of_one_host_leaves_the_others_alone() -> None:
    assert lanes(plan_restart(HOSTS, TARGET, Policy(only=("web2",)))) == [["drain restart ready restore web2"]]


def test_at_the_floor_a_restart_does_without_draining() -> None:
    assert lanes(plan_restart(HOSTS[:1], TARGET, Policy())) == [["restart ready web1"]]
    assert lanes(plan_restart([host("web1"), host("web2", "maint")], TARGET, Policy(floor=1))) == [
        ["restart ready web2"],
        ["restart ready web1"],
    ], "a host without users goes first, and stays out of service"


def test_a_restart_is_of_one_generation() -> None:
    plan = plan_restart([host("web1"), host("web2", current=2)], TARGET, Policy())
    assert [p.partition(":")[0] for p in plan.problems] == ["web2 does not run generation 3"]


def test_what_is_drained_leaves_the_floor_in_service() -> None:
    assert lanes(
        plan_drain(
            HOSTS,
            TARGET,
            Policy(
                floor=1,
                only=(
                    "web1",
                    "web3",
                ),
            ),
        )
    ) == [["drain web1", "drain web3"]]
    refused = plan_drain(
        HOSTS,
        TARGET,
        Policy(
            floor=2,
            only=(
                "web1",
                "web3",
            ),
        ),
    )
    assert refused.problems == ("1 would be left in service of 3, and rollout.floor is 2",)
    assert plan_drain(HOSTS[:1], TARGET, Policy(floor=0, only=("web1",))).problems, "nobody drains the last one"


def test_what_is_out_is_not_drained_again_and_what_is_draining_is() -> None:
    assert plan_drain([host("web1"), host("web2", "maint")], TARGET, Policy(only=("web2",))).is_empty
    assert lanes(plan_drain([host("web1"), host("web2", "drain")], TARGET, Policy(only=("web2",)))) == [["drain web2"]]


def test_what_is_out_comes_back_and_the_rest_is_left_alone() -> None:
    out = [host("web1"), host("web2", "maint"), host("web3", "drain")]
    assert lanes(plan_restore(out, TARGET, Policy())) == [["ready restore web2", "ready restore web3"]]
    assert lanes(plan_restore(out, TARGET, Policy(only=("web3",)))) == [["ready restore web3"]]
    assert plan_restore(HOSTS, TARGET, Policy()).is_empty


def test_what_does_not_serve_what_all_serve_stays_out() -> None:
    old = host("web2", "maint", current=2)
    dead = host("web3", "maint", processes=())
    assert plan_restore([host("web1"), old, dead], TARGET, Policy()).problems == (
        "web2 does not serve generation 3",
        "web3 does not serve generation 3",
    )


R3 = Release("3.0", "d3", complete=True, migrations=("0001", "0002"), contracts=frozenset({"0002"}))
KNOWS = replace(TARGET, migrations=R3.migrations, contract_migrations=R3.contracts, migrate_stops=True)


def old(name: str) -> Host:
    """Make a host that can go back to a generation whose release does not know 0002."""
    before = Generation(2, "2.0", "d2", "e2", activated=0.5)
    return host(name, generations=(before, NOW), releases=(replace(R3, version="2.0", migrations=("0001",)), R3))


def test_the_database_is_migrated_once_by_a_host_that_runs_the_release_up_to_what_may_run() -> None:
    plan = plan_migrate([host("web1", current=2), *map(old, ("web2", "web3"))], KNOWS, Policy())
    assert lanes(plan) == [["migrate web2"]]
    assert plan.steps[0].revision == "0001"


def test_a_contract_runs_when_nothing_that_needs_the_old_shape_is_kept() -> None:
    kept = [host(name, releases=(R3,)) for name in ("web1", "web2")]
    plan = plan_contract(kept, KNOWS, Policy())
    assert lanes(plan) == [["migrate web1"]]
    done = [replace(h, generations=(replace(NOW, migrated=True, migrated_to="0002"),)) for h in kept]
    assert plan_contract(done, KNOWS, Policy()).is_empty


def test_a_contract_begins_with_a_backup_and_says_why_when_there_can_be_none() -> None:
    kept = [host(name, releases=(R3,)) for name in ("web1", "web2")]
    plan = plan_contract(kept, replace(KNOWS, backup="db1"), Policy())
    assert [(str(s.kind), s.host, s.revision) for s in plan.steps] == [
        ("backup", "db1", "0001"),
        ("migrate", "web1", ""),
    ]
    refused = plan_contract(kept, replace(KNOWS, no_backup="it is elsewhere"), Policy()).problems
    assert len(refused) == 1
    assert "none can be made: it is elsewhere; [backup] contract = false" in refused[0]


def test_a_backup_says_how_far_the_database_is_migrated() -> None:
    (step,) = plan_backup([old("web1")], replace(KNOWS, backup="db1"), Policy()).steps
    assert (step.kind, step.host, step.revision) == ("backup", "db1", "0001")


BACKUP = Backup("db1", "20260101T000000Z", "0001")


def test_a_restored_database_gets_what_the_running_release_needs_and_no_contract() -> None:
    kept = [host("web1", releases=(R3,))]
    assert lanes(plan_load(kept, KNOWS, Policy(), BACKUP)) == [["load db1"]], "0002 takes away what it brought back"
    more = replace(KNOWS, migrations=("0001", "0002", "0003"))
    plan = plan_load(kept, more, Policy(), BACKUP)
    assert lanes(plan) == [["load migrate db1"]]
    assert plan.steps[-1].host == "web1"
    more = replace(KNOWS, migrations=("0001", "0003", "0002"))
    assert plan_load(kept, more, Policy(), BACKUP).steps[-1].revision == "0003"
    assert "told to stop" in plan_load(kept, replace(more, migrate_stops=False), Policy(), BACKUP).problems[0]


def test_a_backup_from_after_a_contract_that_the_release_does_not_know_is_refused() -> None:
    later = replace(BACKUP, revision="0004", contracts=("0004",))
    (problem,) = plan_load(HOSTS, KNOWS, Policy(), later).problems
    assert "from after contract migration 0004 ran, and 3.0 is from before" in problem
    assert lanes(plan_load(HOSTS, KNOWS, Policy(), replace(later, contracts=()))) == [["load db1"]]


def test_a_contract_that_has_to_wait_says_for_whom() -> None:
    plan = plan_contract([old("web1")], KNOWS, Policy())
    assert plan.problems == ("0002 waits: generation 2 (2.0) needs the shape before it",)


def test_a_release_without_migrations_migrates_nothing() -> None:
    assert "has no migrations" in plan_migrate(HOSTS, TARGET, Policy()).problems[0]


def test_what_a_person_took_out_comes_back_with_what_it_ran_and_what_a_rollout_left_does_not() -> None:
    """Where hosts differ on purpose, nobody has to be deployed to for that."""
    mine = Server("web2", "maint", up=True, hold=Hold("person"))
    assert lanes(
        plan_restore(
            [host("web1"), host("web2", current=2, server=mine, processes=(Process(2, 1, True),))], TARGET, Policy()
        )
    ) == [["ready restore web2"]]
    left = replace(mine, hold=Hold("left"))
    plan = plan_restore(
        [host("web1"), host("web2", current=2, server=left, processes=(Process(2, 1, True),))], TARGET, Policy()
    )
    assert plan.problems == ("web2 does not serve generation 3",)


def test_a_dead_host_counts_as_out_and_keeps_nobody_else_from_being_looked_after() -> None:
    gone = [host("web1"), dead(host("web2")), host("web3")]
    assert lanes(plan_restart(gone, TARGET, Policy(floor=1))) == [
        ["drain restart ready restore web1"],
        ["drain restart ready restore web3"],
    ]
    assert plan_drain(gone, TARGET, Policy(floor=2, only=("web1",))).problems
    assert plan_restore(gone, TARGET, Policy()).is_empty
    assert "what web2 runs" in plan_contract([old("web1"), dead(host("web2"))], KNOWS, Policy()).problems[0]


@pytest.mark.parametrize("make", [plan_restart, plan_drain, plan_restore])
@given(hosts=hosts_of_any_state(), policy=policies, data=st.data())
def test_nothing_is_done_to_a_host_that_is_fenced_or_dead_nor_below_the_floor(
    make: MakePlan, hosts: list[Host], policy: Policy, data: st.DataObject
) -> None:
    names = [h.name for h in hosts]
    gone, only = data.draw(st.sets(st.sampled_from(names))), data.draw(st.sets(st.sampled_from(names)))
    mixed = [dead(h, fenced=h.fenced) if h.name in gone else h for h in hosts]
    plan = make(mixed, inventory.TARGET, replace(policy, only=tuple(only)))
    touched = {step.host for step in plan.steps}
    assert not touched & {h.name for h in mixed if h.problem}
    assert not only or touched <= only
    if make is not plan_drain:  # who is fenced has no users: a person may take it out for longer
        assert not touched & {h.name for h in mixed if h.fenced}
    serving = sum(h.in_service for h in mixed)
    for group in plan.groups:
        leaving = {s.host for lane in group.lanes for s in lane if s.kind is Kind.DRAIN}
        leave = sum(h.in_service for h in mixed if h.name in leaving)
        everybody = [h for h in mixed if make is plan_drain or not h.fenced]
        assert not leave or leave <= policy.may_leave(sum(h.web for h in everybody), serving), group


def test_a_fenced_host_is_left_to_the_next_deploy_whatever_it_serves() -> None:
    fenced = host("web2", server=Server("web2", "maint", up=True, hold=Hold("fenced")))
    assert lanes(plan_restart([host("web1"), fenced], TARGET, Policy(floor=0))) == [
        ["drain restart ready restore web1"]
    ]
    assert plan_restore([host("web1"), fenced], TARGET, Policy()).is_empty
    assert "fenced until a deploy" in plan_restore([host("web1"), fenced], TARGET, Policy(only=("web2",))).problems[0]
