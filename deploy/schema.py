"""Decide which migrations a rollout runs, which have to wait, and what can't come back after them. Pure.

An expand migration leaves the release before working; a contract migration does not, so it waits until no generation
that is there was made for the old shape (docs/reference/migrations.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from deploy.facts import Generation, Host, Release


class Wanted(Protocol):
    """What a release knows of its schema: `deploy.plan.Target` has it."""

    @property
    def generation(self) -> int: ...

    @property
    def version(self) -> str: ...

    @property
    def migrations(self) -> tuple[str, ...]:
        """Revisions, oldest first."""

    @property
    def contract_migrations(self) -> frozenset[str]: ...

    @property
    def migrate_stops(self) -> bool:
        """Whether its migrate command can be told where to stop."""


@dataclass(frozen=True)
class Decision:
    """What `migrate` runs, up to which revision, what waits, for whom, and why nothing at all may be done."""

    run: tuple[str, ...] = ()
    to: str = ""
    allowed: tuple[str, ...] = ()  # all that the database may have
    waiting: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()
    problem: str = ""


def decide(hosts: Sequence[Host], wanted: Wanted, unseen: Sequence[str] = ()) -> Decision:
    """Say which of a release's migrations run now.

    Hosts that are `unseen` may run anything, so whatever could break it waits for them.
    All of them are looked at again when something ran and nothing is ready now: then the database itself may be gone.
    """
    known = applied(hosts)
    new = [r for r in wanted.migrations if r not in known]
    ran, serves = any(h.current is not None for h in hosts), any(h.serving for h in hosts)
    first = next((r for r in new if r in wanted.contract_migrations and (unseen or old_shape(hosts, wanted, r))), None)
    waiting = tuple(new[new.index(first) :]) if first else ()
    allowed = tuple(r for r in wanted.migrations if r not in waiting)
    run = allowed if ran and not serves else tuple(r for r in allowed if r in new)
    needed_by = old_shape(hosts, wanted, first) if first else ()
    needed_by += tuple(f"what {name} runs" for name in unseen) if first else ()
    decision = Decision(run, run[-1] if run else "", allowed, waiting, needed_by)
    return Decision(problem=problem) if (problem := _problem(decision, wanted)) else decision


def _problem(decision: Decision, wanted: Wanted) -> str:
    if not decision.waiting:
        return ""
    contract, *others = decision.waiting
    stuck = [r for r in others if r not in wanted.contract_migrations]
    whom = f"{', '.join(decision.needed_by)} may come back, and {_verb(decision.needed_by)} for the shape before it"
    if stuck:
        return (
            f"migration {stuck[0]} comes after contract migration {contract}, which has to wait: {whom}; put it "
            "before, or ship it once the old generations are pruned"
        )
    if decision.run and not wanted.migrate_stops:
        return (
            f"contract migration {contract} has to wait ({whom}), and the migrate command can't be told to stop before "
            'it: put "{revision}" into [tool.slipway.commands] migrate'
        )
    return ""


def _verb(names: Sequence[str]) -> str:
    return "was made" if len(names) == 1 else "were made"


def old_shape(hosts: Iterable[Host], wanted: Wanted, contract: str) -> tuple[str, ...]:
    """Name the generations that run, ran or may come back, and don't know a contract migration.

    One that was started by an agent that was killed before it was active runs all the same, on the shared socket.
    """
    found = {}
    for host, generation in _generations(hosts):
        runs = generation.number in {host.current, *(process.generation for process in host.processes)}
        if generation.number == wanted.generation or not (generation.activated or runs):
            continue
        release = host.release(generation.version)
        if release is None or contract not in release.migrations:
            found[generation.number] = f"generation {generation.number} ({generation.version})"
    return tuple(found[number] for number in sorted(found))


def forbids(hosts: Sequence[Host], wanted: Wanted) -> str:
    """Say why a release can't work on the schema any more: a contract migration ran that it does not know."""
    contracts = {r for host in hosts for release in host.releases for r in release.contracts}
    gone = sorted(r for r in applied(hosts) & contracts if r not in wanted.migrations)
    if not gone:
        return ""
    names = f"contract migration{'s' * (len(gone) != 1)} {', '.join(gone)}"
    return f"{names} ran, and {wanted.version} is from before: the schema does not have the shape that it needs"


def needed_after(wanted: Wanted, revision: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name what a release needs and a database at a revision lacks, and the contract migrations that it can do without.

    A revision that it does not know is of a later release, whose migrations it has survived.
    """
    known = wanted.migrations
    if revision and revision not in known:
        return (), ()
    there = known.index(revision) + 1 if revision else 0
    end = max((number for number, each in enumerate(known, 1) if each not in wanted.contract_migrations), default=0)
    return known[there:end], known[max(there, end) :]


def applied(hosts: Iterable[Host]) -> set[str]:
    """Gather the revisions that the database has.

    A generation that migrated it says up to which. One that was ready once shows that what its release needs is there:
    all but the contract migrations at the end, which it can do without.
    """
    found: set[str] = set()
    for host, generation in _generations(hosts):
        release = host.release(generation.version)
        if release is not None and generation.migrated:
            found.update(_up_to(release, generation.migrated_to))
        elif release is not None and generation.activated is not None:
            found.update(_needed(release))
    return found


def _up_to(release: Release, revision: str) -> tuple[str, ...]:
    known = release.migrations
    return known[: known.index(revision) + 1] if revision in known else known


def _needed(release: Release) -> tuple[str, ...]:
    expands = [i for i, revision in enumerate(release.migrations) if revision not in release.contracts]
    return release.migrations[: expands[-1] + 1] if expands else ()


def _generations(hosts: Iterable[Host]) -> Iterator[tuple[Host, Generation]]:
    return ((host, generation) for host in hosts for generation in host.generations)
