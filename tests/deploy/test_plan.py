"""The planner: facts and a target in, steps out; as data, each case with its no-op twin."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from deploy.batches import Policy
from deploy.facts import Generation, Hold, Host, Process, Release, Server
from deploy.generations import running_generation
from deploy.plan import Kind, Plan, Target, new_migrations, pending_migrations, plan_rollout
from tests.deploy.world import apply

OLD = Generation(1, "1.0", "d1", "e1", activated=10.0, migrated=True)
NEW = Generation(2, "2.0", "d2", "e1")
R1, R2 = (
    Release("1.0", "d1", complete=True, migrations=("0001",)),
    Release("2.0", "d2", complete=True, migrations=("0001",)),
)
TARGET = Target(2, "2.0", "d2", "e1", migrations=("0001",))


def serving(name: str, generation: Generation = OLD, release: Release = R1, **changes: object) -> Host:
    """Make a host that serves a generation behind the balancer."""
    host = Host(
        name=name,
        listen="",
        releases=(release,),
        generations=(generation,),
        current=generation.number,
        processes=(Process(generation.number, 1, ready=True),),
        server=Server(name, "ready", up=True),
    )
    return replace(host, **changes)  # type: ignore[arg-type]


def worker(name: str, generation: Generation = OLD, release: Release = R1, **changes: object) -> Host:
    """Make a host that takes jobs, and no requests."""
    processes = (Process(generation.number, 1, ready=True, name="worker"),)
    return serving(
        name, generation, release, **{"runs": ("worker",), "server": None, "processes": processes, **changes}
    )


def kinds(plan: Plan) -> list[tuple[str, str]]:
    """Say what a plan does, and where."""
    return [(str(step.kind), step.host) for step in plan.steps]


EMPTY = Host("web1", "", server=Server("web1", "ready", up=False))


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


def test_a_contract_migration_is_refused() -> None:
    target = replace(TARGET, migrations=("0001", "0002"), contract_migrations=frozenset({"0002"}))
    plan = plan_rollout([serving("web1")], target, Policy())
    assert plan.is_empty
    assert "0002 is a contract migration" in plan.problems[0]


def test_an_empty_environment_has_no_release_that_a_contract_migration_could_hurt() -> None:
    target = replace(TARGET, generation=1, migrations=("0001", "0002"), contract_migrations=frozenset({"0002"}))
    plan = plan_rollout([EMPTY], target, Policy())
    assert not plan.problems
    assert ("migrate", "web1") in kinds(plan)


def test_a_migration_stays_applied_when_the_generation_that_ran_it_is_pruned() -> None:
    later = replace(OLD, number=7, migrated=False)
    assert pending_migrations([serving("web1", later)], TARGET) == ()
    assert pending_migrations([EMPTY], TARGET) == ("0001",)


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
    assert not bakes(plan_rollout([EMPTY], TARGET, Policy(bake=5))), "nothing to compare with"


WITH_WORKERS = replace(TARGET, processes=frozenset({"worker"}))


# Any inventory at all.

generations = st.sampled_from([OLD, replace(NEW, activated=1.0), NEW])


def server_of(name: str, admin: str, *, up: bool) -> Server:
    """Make a server; one that is fenced is in maintenance, and known for it."""
    return Server(name, admin, up) if admin != "fenced" else Server(name, "maint", up, hold=Hold("fenced"))


@st.composite
def hosts_of_any_state(draw: st.DrawFn) -> list[Host]:
    """Draw hosts as kills, reboots and people can leave them."""
    hosts = []
    for i in range(draw(st.integers(1, 6))):
        known = tuple(sorted(draw(st.sets(generations, max_size=2)), key=lambda g: (g.number, g.activated or 0)))
        known = tuple({g.number: g for g in known}.values())
        current = draw(st.sampled_from([None, *(g.number for g in known if g.activated)]))
        runs = draw(st.sampled_from([("web",), ("web", "worker"), ("worker",)])) if i else ("web",)
        each = [(g.number, name) for g in known for name in ("web", "worker")]
        admin = draw(st.sampled_from(["ready", "drain", "maint", "fenced"]))
        alive = draw(st.sets(st.sampled_from(each))) if each else set()
        hosts.append(
            Host(
                name=f"web{i}",
                listen="",
                releases=tuple(
                    {g.version: Release(g.version, g.digest, draw(st.booleans()), ("0001",)) for g in known}.values()
                ),
                generations=known,
                current=current,
                processes=tuple(Process(n, 1, ready=draw(st.booleans()), name=name) for n, name in sorted(alive)),
                server=server_of(f"web{i}", admin, up=draw(st.booleans())) if "web" in runs else None,
                runs=runs,
            )
        )
    return hosts


policies = st.builds(
    Policy,
    canary=st.integers(0, 3),
    batch=st.sampled_from([1, 2, 3, "25%", "50%", "100%"]),
    floor=st.sampled_from([0, 1, 2, 4, "50%", "100%"]),
    max_unavailable=st.sampled_from([None, 0, 1, 2, "34%", "100%"]),
    bake=st.sampled_from([0, 5]),
    pause=st.sampled_from([0, 9.5, "confirm"]),
    pause_after=st.sampled_from(["batch", "canary"]),
)


targets = st.sampled_from([TARGET, WITH_WORKERS])


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


def assert_converged(hosts: list[Host], target: Target, policy: Policy) -> None:
    """Each host runs the target, all of it that it is there for and nothing else, and nothing is left to do."""
    for host in hosts:
        wanted = {name for name in host.runs if name == "web" or name in target.processes}
        assert host.current == target.generation
        assert {(p.generation, p.name, p.ready) for p in host.processes} == {(2, name, True) for name in wanted}
        assert host.in_service or not host.web
    assert plan_rollout(hosts, target, policy).is_empty


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


@given(hosts_of_any_state(), policies, st.sets(st.sampled_from(["0001", "0002", "0003"])))
def test_no_plan_runs_a_contract_migration_while_something_that_needs_the_old_shape_may_run(
    hosts: list[Host], policy: Policy, contract: set[str]
) -> None:
    target = replace(TARGET, migrations=("0001", "0002", "0003"), contract_migrations=frozenset(contract))
    plan = plan_rollout(hosts, target, policy)
    running = running_generation(hosts)
    migrates = any(step.kind is Kind.MIGRATE for step in plan.steps)
    if migrates and running is not None:
        assert not contract & set(new_migrations(hosts, target))
    if plan.problems:
        assert plan.is_empty


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


def dead(host: Host, *, fenced: bool = False) -> Host:
    """Let a host be out of reach: what it has can't be seen, what the load balancer says of it can."""
    server = server_of(host.name, "fenced", up=False) if fenced else host.server
    return Host(host.name, host.listen, host.runs, server=server, problem=f"{host.name}: can't be reached")


def test_a_dead_host_is_fenced_first_and_nothing_else_is_done_to_it() -> None:
    hosts = [serving("web1"), dead(serving("web2")), serving("web3")]
    plan = plan_rollout(hosts, TARGET, Policy(spare=True))
    assert kinds(plan)[0] == ("fence", "web2")
    assert [step for step in plan.steps if step.host == "web2"] == [plan.steps[0]]
    assert plan_rollout(hosts, TARGET, Policy()).problems == ("web2: can't be reached",)
    again = plan_rollout(apply(hosts, plan, Policy()), TARGET, Policy(spare=True))
    assert again.is_empty
    assert not again.problems


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
