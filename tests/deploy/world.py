"""A world to try plans in: carries steps out on facts, and complains as soon as users would suffer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from deploy.batches import Policy
from deploy.facts import WEB, Generation, Hold, Host, Process, Release, Server
from deploy.plan import Kind, Plan, Step, Target


def apply(hosts: Sequence[Host], plan: Plan, policy: Policy, stop_after: int | None = None) -> list[Host]:
    """Carry out a plan, lanes of a group in step; assert after each step that the floor holds."""
    assert not plan.problems
    world = {host.name: host for host in hosts}
    done, web = 0, sum(host.web for host in hosts)
    for group in plan.groups:
        for position in range(max(len(lane) for lane in group.lanes)):
            for lane in group.lanes:
                if position >= len(lane):
                    continue
                if stop_after is not None and done >= stop_after:
                    return list(world.values())
                before = sum(h.in_service for h in world.values())
                step = lane[position]
                if step.kind is Kind.MIGRATE:
                    _no_contract_comes_early(step, world.values(), plan.target)
                world[step.host] = _do(step, world[step.host], plan.target)
                after = sum(h.in_service for h in world.values())
                # What left by itself is nobody's fault: it must not be made worse than the policy allows.
                assert after >= before or policy.may_leave(web, before) >= before - after, (
                    f"{step} left {after} of {web} in service: {policy}"
                )
                done += 1
    return list(world.values())


def _no_contract_comes_early(step: Step, hosts: Iterable[Host], target: Target) -> None:
    known = target.migrations
    run = known[: known.index(step.revision) + 1] if step.revision else known
    for contract in target.contract_migrations.intersection(run):
        for host in hosts:
            assert not host.problem, f"{step} runs {contract}, and nobody knows what {host.name} runs"
            generation = host.generation(host.current)
            release = host.release(generation.version) if generation else None
            assert not generation or (release and contract in release.migrations), f"{step} runs {contract} early"


def _do(step: Step, host: Host, target: Target) -> Host:
    generation, release = host.generation(target.generation), host.release(target.version)
    if step.kind is Kind.FENCE:
        assert host.problem, f"{step}: it can be reached"
        return replace(host, server=host.server and replace(host.server, admin="maint", hold=Hold("fenced")))
    assert not host.problem, f"{step}: it can't be reached"
    if step.kind is Kind.STAGE:
        kept = tuple(r for r in host.releases if r.version != target.version)
        made = generation or Generation(target.generation, target.version, target.digest, target.env_digest)
        others = tuple(g for g in host.generations if g.number != target.generation)
        new = Release(target.version, target.digest, complete=True, migrations=target.migrations)
        return replace(host, releases=(*kept, new), generations=(*others, made))
    assert generation, f"{step} before its generation is there"
    assert (release and release.complete) or step.kind in (Kind.READY, Kind.RESTORE, Kind.PRUNE), (
        f"{step}: release not whole"
    )
    if step.kind is Kind.SWITCH:
        others = tuple(g for g in host.generations if g.number != target.generation)
        wanted = [name for name in host.runs if name in (WEB, *target.processes)]
        return replace(
            host,
            current=target.generation,
            generations=(*others, replace(generation, activated=generation.activated or 1.0)),
            processes=tuple(Process(target.generation, 2, ready=True, name=name) for name in wanted),
            server=replace(host.server, up=True) if host.server else None,
            listening=host.listen or None,
        )
    if step.kind not in (Kind.DRAIN, Kind.READY, Kind.RESTORE):
        return host
    assert host.web, f"{step}: the load balancer knows no such server"
    assert host.server
    if step.kind is Kind.DRAIN:
        return replace(host, server=replace(host.server, admin="drain"))
    if step.kind is Kind.READY:
        assert host.serving, f"{step}: it does not serve"
        return replace(host, server=replace(host.server, up=True))
    return replace(host, server=Server(host.name, "ready", up=host.server.up))
