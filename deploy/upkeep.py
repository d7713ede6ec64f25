"""Decide what looks after a running environment takes: restart it, take servers out of service, put them back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deploy import schema
from deploy.batches import Policy, batches
from deploy.facts import Host
from deploy.plan import Group, Kind, Lane, Plan, Step, Target, back_up, backups, migrate, rehearsals, unsafe, waits


@dataclass(frozen=True)
class Backup:
    """A backup, as far as it matters for what comes after it."""

    host: str
    identifier: str
    revision: str = ""  # up to which the database was migrated
    contracts: tuple[str, ...] = ()  # contract migrations that it had


def plan_restart(hosts: Sequence[Host], target: Target, policy: Policy) -> Plan:
    """Start the processes of what runs anew, host by host, drained wherever the floor allows it."""
    hosts = [host for host in hosts if not host.fenced]
    todo = _chosen(hosts, policy)
    problems = [
        f"{h.name} does not run generation {target.generation}: a deploy brings it there, --limit restarts it apart"
        for h in todo
        if h.current != target.generation
    ]
    if problems:
        return Plan(target, problems=tuple(problems))
    workers = [host for host in todo if not host.web]
    todo = [host for host in todo if host.web]
    idle = tuple(_restart(host, drain=False) for host in todo if not host.in_service)
    turns = batches([host for host in todo if host.in_service], [host for host in hosts if host.web], policy)
    groups = [Group("without users", idle)] if idle else []
    groups += [
        Group(f"batch {number} of {len(turns)}", tuple(_restart(host, drain=drain) for host in batch))
        for number, (batch, drain) in enumerate(turns, 1)
    ]
    for batch, _ in batches(workers, [host for host in hosts if not host.web], replace(policy, floor=0)):
        groups.append(Group("workers", tuple(_restart(host, drain=False) for host in batch)))
    return Plan(target, tuple(groups), only=policy.only)


def _chosen(hosts: Sequence[Host], policy: Policy) -> list[Host]:
    """Give the hosts that it is about, and that can be reached: the others count as out of service."""
    return [host for host in hosts if policy.takes(host) and not host.problem]


def _unseen(hosts: Sequence[Host]) -> list[str]:
    return [host.name for host in hosts if host.problem]


def _restart(host: Host, *, drain: bool) -> Lane:
    restart = Step(Kind.RESTART, host.name, "the same generation, new processes")
    ready = Step(Kind.READY, host.name, "the balancer's own check")
    if host.server is None:
        return (restart,)
    if not host.in_service or not drain:
        why = "too few in service to drain: requests wait at the socket" if host.in_service else "it has no users"
        return (Step(Kind.RESTART, host.name, why), ready)
    return (
        Step(Kind.DRAIN, host.name, "let requests in flight finish"),
        restart,
        ready,
        Step(Kind.RESTORE, host.name, "back in service"),
    )


def plan_migrate(hosts: Sequence[Host], target: Target, policy: Policy) -> Plan:
    """Bring the database to what the running release knows and may have: for one that was restored, or made anew."""
    runs = [host for host in hosts if host.current == target.generation]
    pending = schema.decide(hosts, target, _unseen(hosts))
    if pending.problem or not pending.allowed or not runs:
        why = "has no migrations" if runs else "runs nowhere"
        return Plan(target, problems=(pending.problem or f"{target.version} {why}",))
    everything = replace(pending, run=pending.allowed, to=pending.allowed[-1])
    return Plan(target, (Group("database", ((migrate(runs[0].name, target, everything),),)),))


def plan_contract(hosts: Sequence[Host], target: Target, policy: Policy) -> Plan:
    """Run the contract migrations of the running release, once nothing needs the shape before them."""
    pending = schema.decide(hosts, target, _unseen(hosts))
    runs = [host for host in hosts if host.current == target.generation]
    if pending.problem or not set(pending.run) & target.contract_migrations:
        return Plan(target, problems=(pending.problem,) if pending.problem else waits(target, pending))
    if problem := unsafe(hosts, target, pending):
        return Plan(target, problems=(problem,))
    before = (*rehearsals(runs, target, pending), *backups(hosts, target, pending))
    lane = (*before, migrate(runs[0].name, target, pending))
    return Plan(target, (Group("database", (lane,)),))


def plan_backup(hosts: Sequence[Host], target: Target, policy: Policy) -> Plan:
    """Back the database up."""
    return Plan(target, (Group("database", ((back_up(hosts, target, "asked for"),),)),))


def plan_load(hosts: Sequence[Host], target: Target, policy: Policy, backup: Backup) -> Plan:
    """Bring the database back to a backup, and then up to what the running release needs, and no further.

    What a contract migration took away is there again: whoever goes back to an earlier release needs just that.
    """
    strange = [revision for revision in backup.contracts if revision not in target.migrations]
    if strange:
        text = f"backup {backup.identifier} is from after contract migration {', '.join(strange)} ran"
        return Plan(target, problems=(f"{text}, and {target.version} is from before",))
    missing, left = schema.needed_after(target, backup.revision)
    if missing and left and not target.migrate_stops:
        text = f"{target.version} needs {', '.join(missing)} then, and its migrate command can't be told to stop there"
        return Plan(target, problems=(f'{text}: put "{{revision}}" into [tool.slipway.commands] migrate',))
    name = backup.identifier
    load = Step(Kind.LOAD, backup.host, f"backup {name}", backup=name, revision=backup.revision)
    runs = [host for host in hosts if host.current == target.generation]
    if not missing:
        return Plan(target, (Group("database", ((load,),)),))
    pending = schema.Decision(missing, missing[-1], waiting=left)
    return Plan(target, (Group("database", ((load, migrate(runs[0].name, target, pending)),)),))


def plan_drain(hosts: Sequence[Host], target: Target, policy: Policy) -> Plan:
    """Take servers out of service, unless too few would be left."""
    chosen = [host for host in _chosen(hosts, policy) if not _is_out(host)]
    left = sum(host.in_service for host in hosts if not policy.takes(host))
    leaving, total = sum(host.in_service for host in chosen), sum(host.web for host in hosts)
    if leaving and (left < 1 or leaving > policy.may_leave(total, left + leaving)):
        limits = f"rollout.floor is {policy.floor}"
        if policy.max_unavailable is not None:
            limits += f", rollout.max_unavailable {policy.max_unavailable}"
        return Plan(target, problems=(f"{left} would be left in service of {total}, and {limits}",))
    lanes = tuple((Step(Kind.DRAIN, host.name, "let requests in flight finish"),) for host in chosen)
    return Plan(target, (Group("drain", lanes),) if lanes else (), only=policy.only)


def plan_restore(hosts: Sequence[Host], target: Target, policy: Policy) -> Plan:
    """Put servers back into service that were taken out: those that serve what all serve, or that a person took out."""
    fenced = [host.name for host in hosts if host.fenced and policy.only and policy.takes(host)]
    if fenced:
        return Plan(
            target, problems=tuple(f"{name} is fenced until a deploy brings it to what all run" for name in fenced)
        )
    chosen = [host for host in _chosen(hosts, policy) if not host.fenced]
    out = [host for host in chosen if host.server and host.server.admin != "ready"]
    unfit = [host.name for host in out if not _is_fit(host, target)]
    if unfit:
        return Plan(target, problems=tuple(f"{n} does not serve generation {target.generation}" for n in unfit))
    lanes = tuple(
        (Step(Kind.READY, host.name, "the balancer's own check"), Step(Kind.RESTORE, host.name, "back in service"))
        for host in out
    )
    return Plan(target, (Group("restore", lanes),) if lanes else (), only=policy.only)


def _is_fit(host: Host, target: Target) -> bool:
    """Say whether a server may have users again; what a person took out had them before, whatever it serves."""
    by_a_person = host.server is not None and host.server.hold is not None and host.server.hold.why == "person"
    return host.serving and (host.current == target.generation or by_a_person)


def _is_out(host: Host) -> bool:
    """Say whether a server has no users and gets none; one that is draining still has some."""
    return host.server is None or all(server.admin == "maint" for server in host.server.each)
