"""Inventories for tests of plans: hosts as data, and hypothesis' strategies for any of them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from deploy.batches import Policy
from deploy.facts import Generation, Hold, Host, Process, Release, Server
from deploy.plan import Plan, Target, plan_rollout

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
WITH_WORKERS = replace(TARGET, processes=frozenset({"worker"}))


generations = st.sampled_from([OLD, replace(NEW, activated=1.0), NEW])


def server_of(name: str, admin: str, *, up: bool) -> Server:
    """Make a server; one that is fenced is in maintenance, and known for it."""
    return Server(name, admin, up) if admin != "fenced" else Server(name, "maint", up, hold=Hold("fenced"))


@st.composite
def hosts_of_any_state(draw: st.DrawFn, newer: Release = R2) -> list[Host]:
    """Draw hosts as kills, reboots and people can leave them; `newer` is what the second release knows."""
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
                    {
                        g.version: replace(newer if g.number == 2 else R1, complete=draw(st.booleans())) for g in known
                    }.values()
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


def dead(host: Host, *, fenced: bool = False) -> Host:
    """Let a host be out of reach: what it has can't be seen, what the load balancer says of it can."""
    server = server_of(host.name, "fenced", up=False) if fenced else host.server
    return Host(host.name, host.listen, host.runs, server=server, problem=f"{host.name}: can't be reached")


def assert_converged(hosts: list[Host], target: Target, policy: Policy) -> None:
    """Each host runs the target, all of it that it is there for and nothing else, and nothing is left to do."""
    for host in hosts:
        wanted = {name for name in host.runs if name == "web" or name in target.processes}
        assert host.current == target.generation
        assert {(p.generation, p.name, p.ready) for p in host.processes} == {(2, name, True) for name in wanted}
        assert host.in_service or not host.web
    assert plan_rollout(hosts, target, policy).is_empty
