"""Choose among generations: what runs, what number comes next, what an environment can go back to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deploy.facts import Generation, Host


def number_generation(hosts: Iterable[Host], identity: tuple[str, str]) -> int:
    """Choose the number of the generation with `identity`: that of the running or of the newest one, or the next free.

    Any other old number is not used again, so that "the generation before" always is the one that ran before. A number
    that means different things on two hosts, or can't be read on one, is spoilt: someone's hand, or a bad disk.
    """
    hosts = list(hosts)
    generations = [g for h in hosts for g in h.generations]
    unreadable = {number for h in hosts for number in h.unreadable}
    newest = max([*(g.number for g in generations), *unreadable], default=0)
    for number in (running_generation(hosts), newest):
        found = {g.identity for g in generations if g.number == number}
        if number and number not in unreadable and found == {identity}:
            return number
    return newest + 1


def rollback_candidates(hosts: Sequence[Host]) -> list[Generation]:
    """List what the environment can go back to, what ran last first: activated on every host, and older than what runs.

    A host that runs nothing yet has nothing to go back to, and is left out; so is one that is fenced.
    """
    running, run = running_generation(hosts), [h for h in hosts if h.current is not None and not h.fenced]
    if running is None:
        return []
    first, *others = run
    return sorted(
        (
            g
            for g in first.generations
            if g.number < running
            and g.activated is not None
            and all(
                (o := h.generation(g.number)) and o.activated is not None and o.identity == g.identity for h in others
            )
        ),
        key=lambda g: -(g.activated or 0.0),
    )


def running_generation(hosts: Iterable[Host]) -> int | None:
    """Say which generation the environment runs: the newest that is current on a host, or on a fenced one for want."""
    found = [(not h.fenced, h.current) for h in hosts if h.current is not None]
    return max(found, default=(False, None))[1]
