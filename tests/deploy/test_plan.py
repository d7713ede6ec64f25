"""The planner: facts and a target in, steps out; as data, each case with its no-op twin."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from deploy.batches import Policy
from deploy.facts import Host, Process, Server
from deploy.plan import Kind, Plan, Target, plan_rollout
from tests.deploy.inventory import (
    EMPTY,
    NEW,
    OLD,
    R1,
    R2,
    TARGET,
    WITH_WORKERS,
    assert_converged,
    dead,
    hosts_of_any_state,
    kinds,
    policies,
    serving,
    targets,
)
from tests.deploy.world import apply


def test_a_new_release_is_staged_and_tried_everywhere_before_one_host_after_the_other_takes_its_turn() -> None:
    plan = plan_rollout([serving("web1"), serving("web2")], TARGET, Policy())
    assert kinds(plan) == [
        ("stage", "web1"),
        ("stage", "web2"),
        ("trial", "web1"),
        ("trial", "web2"),
        ("drain", "web1"),
        ("switch", "web1"),
        ("ready", "web1"),
        ("restore", "web1"),
        ("drain", "web2"),
        ("switch", "web2"),
        ("ready", "web2"),
        ("restore", "web2"),
        ("prune", "web1"),
        ("prune", "web2"),
    ]
    assert [g.title for g in plan.groups] == ["stage", "trial", "canary", "batch 2 of 2", "finish"]


def test_the_same_release_and_variables_again_is_nothing() -> None:
    hosts = [serving(n, NEW, R2, generations=(replace(NEW, activated=1.0),)) for n in ("web1", "web2")]
    assert plan_rollout(hosts, TARGET, Policy()).is_empty


def test_an_empty_environment_migrates_seeds_and_starts_all_hosts_at_once() -> None:
    target = replace(TARGET, generation=1, seed=True)
    plan = plan_rollout([EMPTY, replace(EMPTY, name="web2")], target, Policy())
    assert [g.title for g in plan.groups] == ["stage", "trial", "database", "trial", "start", "finish"]
    assert [(s.kind, s.check) for s in plan.steps if s.host == "web1"] == [
        (Kind.STAGE, ""),
        (Kind.TRIAL, "live"),
        (Kind.MIGRATE, ""),
        (Kind.SEED, ""),
        (Kind.TRIAL, "ready"),
        (Kind.SWITCH, ""),
        (Kind.READY, ""),
        (Kind.PRUNE, ""),
    ]


def test_a_pending_migration_runs_once_between_a_trial_that_lives_and_one_that_is_ready() -> None:
    target = replace(TARGET, migrations=("0001", "0002"))
    plan = plan_rollout([serving("web1"), serving("web2")], target, Policy())
    assert kinds(plan)[2:7] == [
        ("trial", "web1"),
        ("trial", "web2"),
        ("migrate", "web1"),
        ("trial", "web1"),
        ("trial", "web2"),
    ]
    assert "0002" in plan.steps[4].why
    assert "0001" not in plan.steps[4].why


def test_a_contract_migration_waits_and_the_rollout_goes_on_without_it() -> None:
    target = replace(
        TARGET, migrations=("0001", "0002"), contract_migrations=frozenset({"0002"}), described={"0002": "0002 (drop)"}
    )
    plan = plan_rollout([serving("web1")], target, Policy())
    assert not plan.problems
    assert ("migrate", "web1") not in kinds(plan)
    assert ("switch", "web1") in kinds(plan)
    assert plan.waiting == ("0002 (drop) waits: generation 1 (1.0) needs the shape before it",)


def test_a_release_from_before_a_contract_migration_can_not_come_back() -> None:
    dropped = replace(R2, migrations=("0001", "0002"), contracts=frozenset({"0002"}))
    there = serving("web1", replace(NEW, activated=5.0, migrated=True, migrated_to="0002"), dropped)
    back = replace(TARGET, generation=1, version="1.0", digest="d1")
    assert "contract migration 0002 ran, and 1.0 is from before" in plan_rollout([there], back, Policy()).problems[0]


def test_an_empty_environment_has_no_release_that_a_contract_migration_could_hurt() -> None:
    target = replace(TARGET, generation=1, migrations=("0001", "0002"), contract_migrations=frozenset({"0002"}))
    plan = plan_rollout([EMPTY], target, Policy())
    assert not plan.problems
    assert ("migrate", "web1") in kinds(plan)


def test_other_bytes_under_the_same_version_are_refused() -> None:
    plan = plan_rollout([serving("web1", generations=(OLD, replace(NEW, number=3, digest="dX")))], TARGET, Policy())
    assert "other bytes" in plan.problems[0]


def test_an_altered_manifest_is_replaced() -> None:
    altered = serving("web1", releases=(R1, replace(R2, digest="dX")))
    plan = plan_rollout([altered], TARGET, Policy())
    assert plan.steps[0].kind is Kind.STAGE
    assert "altered" in plan.steps[0].why


def test_an_altered_release_is_staged_again_even_when_it_runs() -> None:
    damaged = serving("web1", replace(NEW, activated=1.0), replace(R2, complete=False))
    plan = plan_rollout([damaged], TARGET, Policy())
    assert kinds(plan) == [("stage", "web1")]


def test_a_host_that_was_left_drained_is_restored_and_nothing_else() -> None:
    done = replace(NEW, activated=1.0)
    left = serving("web1", done, R2, server=Server("web1", "drain", up=True))
    assert kinds(plan_rollout([left, serving("web2", done, R2)], TARGET, Policy())) == [
        ("ready", "web1"),
        ("restore", "web1"),
        ("prune", "web1"),
        ("prune", "web2"),
    ]


def test_a_host_without_users_goes_first() -> None:
    down = serving("web2", processes=(), server=Server("web2", "ready", up=False))
    plan = plan_rollout([serving("web1"), down], TARGET, Policy())
    assert [s.host for s in plan.steps if s.kind is Kind.SWITCH] == ["web2", "web1"]
    assert ("drain", "web2") not in kinds(plan)


def test_the_only_server_is_not_drained_but_overlaps() -> None:
    plan = plan_rollout([serving("web1")], TARGET, Policy())
    assert ("drain", "web1") not in kinds(plan)
    assert any("overlap" in step.why for step in plan.steps)


def test_an_old_generation_that_still_runs_is_asked_to_leave() -> None:
    done = replace(NEW, activated=1.0)
    both = serving("web1", done, R2, processes=(Process(2, 5, ready=True), Process(1, 4, ready=True)))
    plan = plan_rollout([both, serving("web2", done, R2)], TARGET, Policy())
    assert ("switch", "web1") in kinds(plan)
    assert ("switch", "web2") not in kinds(plan)


def test_a_host_that_moves_is_drained_and_found_again_at_its_new_address() -> None:
    done = replace(NEW, activated=1.0)
    hosts = [serving(n, done, R2, listen="new:1", listening="old:1") for n in ("web1", "web2")]
    plan = plan_rollout(hosts, TARGET, Policy())
    assert [k for k, h in kinds(plan) if h == "web1"] == ["drain", "switch", "ready", "restore", "prune"]
    assert "moves from old:1 to new:1" in next(s.why for s in plan.steps if s.kind is Kind.SWITCH)
    moved = [replace(h, listening="new:1") for h in hosts]
    assert plan_rollout(moved, TARGET, Policy()).is_empty
    lost = [replace(h, server=Server(h.name, "ready", up=True, address="old:1")) for h in moved]
    assert [k for k, h in kinds(plan_rollout(lost, TARGET, Policy())) if h == "web1"] == ["ready", "prune"]


def test_when_nothing_is_ready_the_database_is_looked_at() -> None:
    done = replace(NEW, activated=1.0, migrated=True)
    down = [serving(n, done, R2, processes=(Process(2, 1, ready=False),)) for n in ("web1", "web2")]
    plan = plan_rollout(down, replace(TARGET, seed=True), Policy())
    assert [k for k, h in kinds(plan) if h == "web1"] == ["migrate", "seed", "switch", "ready", "prune"]


def test_a_host_that_can_not_be_looked_at_forbids_the_rollout() -> None:
    plan = plan_rollout([serving("web1"), Host("web2", "", problem="web2: no answer")], TARGET, Policy())
    assert plan.problems == ("web2: no answer",)


def bakes(plan: Plan) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Say who is compared with whom."""
    return [(step.hosts, step.against) for step in plan.steps if step.kind is Kind.BAKE]


def test_after_each_batch_who_changed_is_compared_with_who_did_not() -> None:
    hosts = [serving(f"web{i}") for i in range(1, 5)]
    plan = plan_rollout(hosts, TARGET, Policy(batch=2, bake=5))
    assert bakes(plan) == [(("web1",), ("web2", "web3", "web4")), (("web2", "web3"), ("web4",)), (("web4",), ())]
    whys = [step.why for step in plan.steps if step.kind is Kind.BAKE]
    assert whys == ["5 s against web2, web3, web4", "5 s against web4", "5 s against what served before"]
    assert not bakes(plan_rollout(hosts, TARGET, Policy(batch=2)))


def test_only_what_changes_is_compared_and_only_with_what_serves_as_before() -> None:
    done = replace(NEW, activated=1.0)
    hosts = [
        serving("web1"),
        serving("web2"),
        serving("web3", done, R2),
        serving("web4", done, R2, server=Server("web4", "drain", up=True)),
        serving("web5", server=Server("web5", "ready", up=False)),
    ]
    plan = plan_rollout(hosts, TARGET, Policy(bake=5))
    assert bakes(plan) == [(("web5",), ("web1", "web2")), (("web1",), ("web2",)), (("web2",), ())]
    assert bakes(plan_rollout(hosts[:1], TARGET, Policy(bake=5))) == [(("web1",), ())], "the only one: with before"
    assert not bakes(plan_rollout([EMPTY], TARGET, Policy(bake=5))), "nothing to compare with"


@given(hosts_of_any_state(), policies, targets)
def test_any_plan_carried_out_leaves_nothing_to_do(hosts: list[Host], policy: Policy, target: Target) -> None:
    plan = plan_rollout(hosts, target, policy)
    assert_converged(apply(hosts, plan, policy), target, policy)


@given(hosts_of_any_state(), policies, targets, st.integers(0, 40))
def test_any_plan_stopped_half_way_is_finished_by_the_next(
    hosts: list[Host], policy: Policy, target: Target, steps: int
) -> None:
    half = apply(hosts, plan_rollout(hosts, target, policy), policy, stop_after=steps)
    assert_converged(apply(half, plan_rollout(half, target, policy), policy), target, policy)


DROPS = replace(TARGET, migrations=("0001", "0002"), contract_migrations=frozenset({"0002"}), migrate_stops=True)
KNOWS_IT = replace(R2, migrations=DROPS.migrations, contracts=DROPS.contract_migrations)


@given(hosts_of_any_state(KNOWS_IT), policies, st.sets(st.integers(0, 5), max_size=2))
def test_no_plan_runs_a_contract_migration_while_somebody_may_need_the_shape_before_it(
    hosts: list[Host], policy: Policy, gone: set[int]
) -> None:
    """The world complains, too, about whoever is not seen."""
    mixed = [dead(host, fenced=host.fenced) if i in gone else host for i, host in enumerate(hosts)]
    sparing = replace(policy, spare=True, max_unavailable="100%")
    plan = plan_rollout(mixed, DROPS, sparing)
    assume(not plan.problems)
    assert plan_rollout(apply(mixed, plan, sparing), DROPS, sparing).is_empty


@given(hosts_of_any_state(), policies)
def test_hosts_without_users_change_after_those_with_users(hosts: list[Host], policy: Policy) -> None:
    groups = [
        {step.host for lane in group.lanes for step in lane}
        for group in plan_rollout(hosts, WITH_WORKERS, policy).groups
        if any(step.kind is Kind.SWITCH for lane in group.lanes for step in lane)
    ]
    web = {host.name for host in hosts if host.web}
    kinds = ["web" if group <= web else "worker" if not group & web else "mixed" for group in groups]
    assert kinds == sorted(kinds), kinds
    assert "mixed" not in kinds


@given(hosts_of_any_state(), policies)
def test_every_batch_that_changes_is_looked_at_before_the_next(hosts: list[Host], policy: Policy) -> None:
    """Whoever is compared changed before, and whoever it is compared with changes later."""
    changed: set[str] = set()
    for group in plan_rollout(hosts, TARGET, policy).groups:
        for step in (step for lane in group.lanes for step in lane):
            if step.kind is Kind.SWITCH:
                assert step.host not in changed, "once each"
                changed.add(step.host)
            elif step.kind in (Kind.BAKE, Kind.PAUSE):
                assert set(step.hosts) <= changed
                assert not set(step.against) & changed


def test_a_release_that_older_code_does_not_survive_is_backed_up_for_before_it_migrates() -> None:
    """Whatever runs its migrations; and not where nothing ran, or nobody can."""
    hosts = [serving("web1"), serving("web2")]
    for target in (replace(TARGET, migrate_once=True), replace(TARGET, migrations=("0001", "0002"))):
        careful = replace(target, backup="db1", no_way_back=True)
        steps = [
            step for step in plan_rollout(hosts, careful, Policy()).steps if step.kind in (Kind.BACKUP, Kind.MIGRATE)
        ]
        assert [(step.kind, step.host) for step in steps] == [(Kind.BACKUP, "db1"), (Kind.MIGRATE, "web1")]
        for other in (replace(careful, no_way_back=False), replace(careful, backup="")):
            assert Kind.BACKUP not in {step.kind for step in plan_rollout(hosts, other, Policy()).steps}
        refused = plan_rollout(hosts, replace(careful, backup="", no_backup="it is elsewhere"), Policy())
        assert not refused.steps
        assert "no backup can be made before: it is elsewhere" in refused.problems[0]
        announced = plan_rollout(hosts, replace(careful, backup=""), Policy())
        [migrate] = [step for step in announced.steps if step.kind is Kind.MIGRATE]
        assert "no backup is made here" in migrate.why, "somebody else makes them, and that is said"
    first = replace(TARGET, generation=1, migrate_once=True, backup="db1", no_way_back=True)
    assert Kind.BACKUP not in {step.kind for step in plan_rollout([Host("web1", "a:1")], first, Policy()).steps}


def test_what_runs_is_asked_before_migrations_and_only_then() -> None:
    target = replace(TARGET, migrations=("0001", "0002"), rehearses=True)
    plan = plan_rollout([serving("web1"), serving("web2")], target, Policy())
    (step,) = [step for step in plan.steps if step.kind is Kind.REHEARSE]
    assert (step.host, step.revision, step.pending, step.asks) == ("web1", "0001", ("0002",), 1)
    assert kinds(plan).index(("rehearse", "web1")) + 1 == kinds(plan).index(("migrate", "web1"))
    nothing_new = plan_rollout([serving("web1")], replace(TARGET, rehearses=True), Policy())
    nobody_runs = plan_rollout([EMPTY], target, Policy())
    assert "rehearse" not in [kind for kind, _ in kinds(nothing_new) + kinds(nobody_runs)]
