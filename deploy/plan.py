"""Decide what a rollout does: facts and a target in, steps out. Nothing here touches a host.

`fab plan` prints what `plan_rollout` returns and `fab deploy` carries out the same value, so the two can't differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import deploy.alone as alone
import deploy.schema as schema
from deploy.batches import CONFIRM, Policy, batches
from deploy.changes import Change
from deploy.facts import WEB, Host
from deploy.fencing import set_aside


class Kind(StrEnum):
    """What a step does. The order is the order of a rollout."""

    FENCE = "fence"
    STAGE = "stage"
    TRIAL = "trial"
    REHEARSE = "rehearse"
    BACKUP = "backup"
    LOAD = "load"
    MIGRATE = "migrate"
    INIT = "init"
    SEED = "seed"
    DRAIN = "drain"
    SWITCH = "switch"
    RESTART = "restart"
    READY = "ready"
    RESTORE = "restore"
    BAKE = "bake"
    PAUSE = "pause"
    PRUNE = "prune"


@dataclass(frozen=True)
class Step:
    """One thing done to one host; `why` is a few words for a person."""

    kind: Kind
    host: str
    why: str
    check: str = ""  # of a trial: live or ready
    also: tuple[str, ...] = ()  # of a bake or a pause: the other hosts that it is about
    against: tuple[str, ...] = ()  # of a bake: the hosts that still serve the old generation
    # Of a migrate: where it stops; empty: it goes all the way. Of a backup or rehearsal: how far the database is.
    revision: str = ""
    pending: tuple[str, ...] = ()  # of a rehearsal: what will run, and which generation is asked
    asks: int = 0
    backup: str = ""  # of a load: which one
    seconds: float = 0  # of a pause; 0: until somebody says to go on
    form: str = "tree"  # of a stage: what the release comes as, and how much is sent
    files: int = 0
    bytes: int = 0

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host that it is about."""
        return (self.host, *self.also)


Lane = tuple[Step, ...]  # one host's steps, one after another


@dataclass(frozen=True)
class Group:
    """Lanes that run side by side. A group begins when the one before it is done."""

    title: str
    lanes: tuple[Lane, ...]


@dataclass(frozen=True)
class Target:
    """What the environment shall run: release and variables, as a generation."""

    generation: int
    version: str
    digest: str
    env_digest: str
    migrations: tuple[str, ...] = ()  # revisions that the release knows, oldest first
    contract_migrations: frozenset[str] = frozenset()
    migrate_stops: bool = False  # the migrate command can be told where to stop
    described: Mapping[str, str] = field(default_factory=dict, compare=False)  # migrations for a person: kind, summary
    init: bool = False  # the application prepares an empty database by a command of its own
    rehearses: bool = False  # it can make a scratch copy of the schema, and that is wanted
    migrate_once: bool = False  # it has a migrate command, and nobody knows its migrations: it runs once a release
    seed: bool = False  # the application has reference data to load
    processes: frozenset[str] = frozenset()  # what the release has beside the web server
    signature: str | None = None  # sha256 of the release's signature, when it has one
    backup: str = ""  # the host that can back the database up before a contract migration; empty: nobody wants that
    no_backup: str = ""  # why nobody can, though it is wanted
    no_way_back: bool = False  # older code refuses to run after its migrations, so only a backup leads back

    @property
    def identity(self) -> tuple[str, str]:
        """See `Generation.identity`."""
        return (self.digest, self.env_digest)


@dataclass(frozen=True)
class Plan:
    """All steps of a rollout, or the problems that forbid it."""

    target: Target
    groups: tuple[Group, ...] = ()
    problems: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()  # contract migrations that can't run yet, and for whom
    changes: tuple[Change, ...] = ()  # of variables
    overview: tuple[tuple[str, str], ...] = ()  # in a few lines, a word and what it is about
    only: tuple[str, ...] = ()  # the hosts that it is limited to; none named: it is about all

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, lane by lane."""
        return tuple(step for group in self.groups for lane in group.lanes for step in lane)

    @property
    def is_empty(self) -> bool:
        """Whether everything is as it should be."""
        return not self.groups


def plan_rollout(hosts: Sequence[Host], target: Target, policy: Policy) -> Plan:
    """Say what brings `hosts` to `target`: the same for the same facts, and empty for a converged environment."""
    aside = set_aside(hosts, policy)
    hosts, policy = aside.hosts, aside.policy
    problems = aside.problems or _problems(hosts, target, aside.unseen)
    if problems:
        return Plan(target, problems=problems, only=policy.only)
    hosts = [host.without({*host.runs} - {WEB, *target.processes}) for host in hosts]
    chosen = [host for host in hosts if policy.takes(host)]
    stage = _stage(chosen, target)
    pending = schema.decide(hosts, target, aside.unseen)
    turns = _turns(hosts, target, policy)
    untried = [h for h in chosen if not _proven(h, target)] if turns else []
    trial_live = Group(
        "trial", tuple((Step(Kind.TRIAL, h.name, "before the schema changes", check="live"),) for h in untried)
    )
    trial_ready = Group(
        "trial", tuple((Step(Kind.TRIAL, h.name, "before it sees a user", check="ready"),) for h in untried)
    )
    database = _database(hosts, chosen, target, pending) if turns else None
    groups: list[Group | None] = [_fence(aside.fence), stage]
    groups += [trial_live, database] if database and pending.run else [database]
    groups += [trial_ready, *turns]
    if turns:
        groups.append(
            Group("finish", tuple((Step(Kind.PRUNE, h.name, "keep what a rollback can need"),) for h in chosen))
        )
    return Plan(target, tuple(g for g in groups if g and g.lanes), waiting=waits(target, pending), only=policy.only)


def _fence(hosts: Sequence[Host]) -> Group:
    """Before anything else: a host that comes back half-way must not serve what the others have left."""
    return Group("fence", tuple((Step(Kind.FENCE, h.name, "can't be reached"),) for h in hosts))


def waits(target: Target, pending: schema.Decision) -> tuple[str, ...]:
    """Say of each migration that can't run yet what it waits for."""
    whom = ", ".join(pending.needed_by)
    return tuple(f"{target.described.get(r, r)} waits: {whom} needs the shape before it" for r in pending.waiting)


def _problems(hosts: Sequence[Host], target: Target, unseen: Sequence[str]) -> tuple[str, ...]:
    problems = [host.problem for host in hosts if host.problem]
    for host in hosts:
        other = next(
            (g.digest for g in host.generations if g.version == target.version and g.digest != target.digest), None
        )
        if other:
            problems.append(
                f"{host.name} has {target.version} with other bytes ({other[:12]}, not {target.digest[:12]}): "
                "a version is never built twice; commit the change and `make release` again"
            )
        generation = host.generation(target.generation)
        if generation and generation.identity != target.identity:
            problems.append(f"{host.name} has a generation {target.generation} with other content")
    pending = schema.decide(hosts, target, unseen)
    refused = pending.problem or schema.forbids(hosts, target) or unsafe(hosts, target, pending)
    problems += [refused] if refused else []
    return (*problems, *alone.problems(hosts, target.processes, unseen))


def _stage(hosts: Sequence[Host], target: Target) -> Group:
    lanes = []
    for host in hosts:
        if not host.has(target.version, target.digest):
            why = "files are missing or altered" if host.release(target.version) else "release is new here"
            lack = host.lack
            lanes.append((Step(Kind.STAGE, host.name, why, form=lack.form, files=lack.files, bytes=lack.bytes),))
        elif host.generation(target.generation) is None:
            why = "release is here; the variables are new"
            lanes.append((Step(Kind.STAGE, host.name, why, form=host.lack.form),))
        elif target.signature and getattr(host.release(target.version), "signature", None) != target.signature:
            why = "release is here; its signature is new"
            lanes.append((Step(Kind.STAGE, host.name, why, form=host.lack.form),))
    return Group("stage", tuple(lanes))


def _proven(host: Host, target: Target) -> bool:
    """Say whether this generation has been ready on this host before, with all its files still in place."""
    generation = host.generation(target.generation)
    return bool(generation and generation.activated is not None and host.has(target.version, target.digest))


def _database(hosts: Sequence[Host], chosen: Sequence[Host], target: Target, pending: schema.Decision) -> Group | None:
    first = next((h.name for h in chosen if h.web), chosen[0].name)
    lane, warned = list[Step](), no_return(hosts, target)
    if pending.run:
        lane += [*rehearsals(chosen, target, pending), *backups(hosts, target, pending)]
        lane.append(migrate(first, target, pending, warned))
    elif migrates(hosts, target, pending):
        lane += backups(hosts, target, pending)
        lane.append(Step(Kind.MIGRATE, first, f"once for this release, before any of its processes{warned}"))
    ran = any(h.current is not None for h in hosts)
    if target.init and not any(g.activated is not None for h in hosts for g in h.generations) and not ran:
        lane.append(Step(Kind.INIT, first, "nothing ever served here"))
    if target.seed and not any(h.serving for h in hosts):
        lane.append(Step(Kind.SEED, first, "nothing is ready: is it there?" if ran else "the environment is empty"))
    return Group("database", (tuple(lane),)) if lane else None


def migrates(hosts: Sequence[Host], target: Target, pending: schema.Decision) -> bool:
    """Say whether the database changes: migrations are due, or this very release never ran its migrate command."""
    ran = any(g.migrated and g.digest == target.digest for h in hosts for g in h.generations)
    return bool(pending.run) or (target.migrate_once and not ran)


def no_return(hosts: Sequence[Host], target: Target) -> str:
    """Say beside a migration that nothing here leads back from it; nothing where nothing ever ran."""
    if target.no_way_back and not target.backup and any(host.current is not None for host in hosts):
        return "; older code does not run after it, and no backup is made here: [backup] contract is false"
    return ""


def backups(hosts: Sequence[Host], target: Target, pending: schema.Decision) -> list[Step]:
    """Make the step that goes before migrations that nothing else leads back from; none where nothing ever ran."""
    contracts = [revision for revision in pending.run if revision in target.contract_migrations]
    if not (target.backup and any(host.current is not None for host in hosts)):
        return []
    if target.no_way_back:
        return [back_up(hosts, target, "before migrations that older code refuses to run after")]
    if not contracts:
        return []
    return [back_up(hosts, target, f"before {', '.join(contracts)} takes away what is not needed any more")]


def rehearsals(hosts: Sequence[Host], target: Target, pending: schema.Decision) -> list[Step]:
    """Make the step that asks the running release whether it survives; none where nothing serves."""
    runs = next((host for host in hosts if host.serving and host.current is not None), None)
    applied = schema.applied(hosts)
    there = [revision for revision in target.migrations if revision in applied]
    if not (target.rehearses and there and runs and runs.current):
        return []
    why = f"asks generation {runs.current}, which is running, before {', '.join(pending.run)}"
    return [Step(Kind.REHEARSE, runs.name, why, revision=there[-1], pending=pending.run, asks=runs.current)]


def back_up(hosts: Sequence[Host], target: Target, why: str) -> Step:
    """Make the step that backs the database up; it says up to which revision that is migrated."""
    applied = schema.applied(hosts)
    known = [revision for revision in target.migrations if revision in applied]
    return Step(Kind.BACKUP, target.backup, why, revision=known[-1] if known else "")


def unsafe(hosts: Sequence[Host], target: Target, pending: schema.Decision) -> str:
    """Say why migrations can't be run that nothing leads back from: there would be no backup."""
    if not (target.no_backup and any(host.current is not None for host in hosts)):
        return ""
    if target.no_way_back and migrates(hosts, target, pending):
        return (
            'older code refuses to run after its migrations (rollback = "needs-db-restore"), and no backup can be made '
            f"before: {target.no_backup}; [backup] contract = false says that somebody else makes them"
        )
    contracts = [revision for revision in pending.run if revision in target.contract_migrations]
    if not contracts:
        return ""
    return (
        f"contract migration {contracts[0]} takes away what only a backup brings back, and none can be made: "
        f"{target.no_backup}; [backup] contract = false says that somebody else makes them"
    )


def migrate(host: str, target: Target, pending: schema.Decision, warned: str = "") -> Step:
    """Make the step that brings the database to where it may go now."""
    why = ", ".join(target.described.get(r, r) for r in pending.run) + warned
    return Step(Kind.MIGRATE, host, why, revision=pending.to if pending.waiting else "")


def _turns(hosts: Sequence[Host], target: Target, policy: Policy) -> list[Group]:
    """Take each host that is not at the target in turn: those with users first, then those with jobs only."""
    web, others = [h for h in hosts if h.web], [h for h in hosts if not h.web]
    return [*_web_turns(web, target, policy), *_worker_turns(others, target, policy)]


def _worker_turns(hosts: Sequence[Host], target: Target, policy: Policy) -> list[Group]:
    """Old and new worker overlap, so nobody is missed meanwhile: no floor, no drain."""
    todo = [h for h in hosts if policy.takes(h) and not h.runs_only(target.generation)]
    turns = batches(todo, hosts, replace(policy, floor=0)) if any(h.working for h in hosts) else [(todo, False)]
    titles = (
        [f"workers, batch {i} of {len(turns)}" for i in range(1, len(turns) + 1)] if len(turns) > 1 else ["workers"]
    )
    return [
        Group(title, tuple((Step(Kind.SWITCH, h.name, _why(h, target)),) for h in batch))
        for title, (batch, _) in zip(titles, turns, strict=False)
        if batch
    ]


def _web_turns(hosts: Sequence[Host], target: Target, policy: Policy) -> list[Group]:
    """Batches leave the floor in service."""
    todo = [h for h in hosts if policy.takes(h) and not (h.runs_only(target.generation) and h.in_place)]
    if not any(h.in_service for h in hosts):
        return [Group("start", tuple(_turn(h, target, drain=False) for h in todo))] if todo else []
    # A host without users risks nothing, so it goes first: the best canary, and capacity for those that follow.
    turns = batches(sorted(todo, key=lambda h: h.in_service), hosts, policy)
    titles = [f"batch {i} of {len(turns)}" for i in range(1, len(turns) + 1)]
    if policy.canary and len(turns) > 1:
        titles[0] = "canary"
    groups: list[Group] = []
    changed: set[str] = {h.name for h in hosts if h.current == target.generation}
    for title, (batch, drain) in zip(titles, turns, strict=True):
        groups.append(Group(title, tuple(_turn(h, target, drain=drain) for h in batch)))
        changed |= {h.name for h in batch}
        old = [h.name for h in hosts if h.in_service and h.name not in changed]
        anew = [h.name for h in batch if not h.runs_only(target.generation)]
        groups += _bake(title, anew, old, policy)
        groups += _pause(title, anew, policy) if title != titles[-1] else []
    return groups


def _bake(title: str, changed: Sequence[str], old: Sequence[str], policy: Policy) -> list[Group]:
    """Compare hosts that now run something else with those that still serve as before."""
    if not (changed and policy.bake):
        return []
    why = f"{policy.bake:g} s against {', '.join(old) if old else 'what served before'}"
    step = Step(Kind.BAKE, changed[0], why, also=tuple(changed[1:]), against=tuple(old))
    return [Group(f"bake after {title}", ((step,),))]


def _pause(title: str, changed: Sequence[str], policy: Policy) -> list[Group]:
    """Leave a person time to look at what changed."""
    if not (changed and policy.pause) or (policy.pause_after == "canary" and title != "canary"):
        return []
    seconds = 0.0 if policy.pause == CONFIRM else float(policy.pause)
    why = f"{seconds:g} s" if seconds else "asks whether to go on"
    step = Step(Kind.PAUSE, changed[0], why, also=tuple(changed[1:]), seconds=seconds)
    return [Group(f"pause after {title}", ((step,),))]


def _why(host: Host, target: Target) -> str:
    """Say in a few words what a switch changes."""
    running = host.generation(host.current)
    up = [name for name in host.runs if host.up(name)]
    if not (running and (up or not host.runs)):
        why = f"start {target.version}"
    elif running.version != target.version:
        why = f"{running.version} -> {target.version}"
    else:
        why = "the same release"
        if running.number != target.generation:
            why += ", new variables"
        elif any(p.generation != target.generation for p in host.processes):
            why += "; an older generation still runs"
        elif lacking := [name for name in host.runs if name not in up]:
            why += f"; its {' and its '.join(lacking)} is not ready"
        elif over := sorted({p.name for p in host.processes} - {*host.runs}):
            why += f"; its {' and its '.join(over)} is not wanted any more"
    if not host.moves:
        return why
    return f"{why}; moves from {host.listening} to {host.listen}" if host.web else f"{why}; closes {host.listening}"


def _turn(host: Host, target: Target, *, drain: bool) -> Lane:
    why = _why(host, target)
    if host.runs_only(target.generation):
        steps = [Step(Kind.READY, host.name, "runs the generation already")]
        if host.server and (host.server.admin != "ready" or host.fenced):
            steps.append(Step(Kind.RESTORE, host.name, "was fenced" if host.fenced else "was left drained"))
        return tuple(steps)
    switch = Step(Kind.SWITCH, host.name, why)
    if host.server is None:
        return (switch,)
    ready = Step(Kind.READY, host.name, "the balancer's own check")
    restore = Step(Kind.RESTORE, host.name, "back in service")
    if host.fenced:
        return (switch, ready, replace(restore, why="runs what all run: no longer fenced"))
    if host.in_service and not drain:
        return (replace(switch, why=f"{why}; too few in service to drain: both overlap on the socket"), ready)
    if host.server.admin == "ready" and not host.in_service:
        return (switch, ready)
    drain_why = "let requests in flight finish" if host.server.admin == "ready" else "was left drained"
    return (Step(Kind.DRAIN, host.name, drain_why), switch, ready, restore)
