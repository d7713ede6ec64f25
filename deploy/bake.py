"""Judge servers that run a new release by those that run the old one: numbers in, a verdict in words out.

The numbers are HAProxy's own counters over a window, and how often processes were started anew meanwhile. Which of
them count, and why, is told in docs/decisions/0021-what-a-bake-compares.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from deploy.wording import human

MUCH = 64 * 10**6  # bytes that a worker may have in any case
CHANCE = 2  # requests, or connections, that may go wrong by chance
SAMPLES = 512  # requests that HAProxy's average of response times is about (TIME_STATS_SAMPLES)


@dataclass(frozen=True)
class Limits:
    """How much worse than the old servers the new ones may be; shares are of requests, from 0 to 1."""

    requests: int = 20  # fewer make no verdict
    errors: float = 0.005
    slower: float = 2.0  # times the old servers' mean response time
    slack: float = 50.0  # milliseconds more that never count
    retries: float = 0.05
    restarts: int = 0
    memory: float = 2.0  # times what the largest worker of an old server has


@dataclass(frozen=True)
class Counters:
    """What one HAProxy has counted of one server since it started."""

    answers: int = 0
    errors: int = 0  # of these, 5xx
    lost: int = 0  # requests that were sent and got no answer: eresp, which HAProxy answers 502 or 504 in its place
    retries: int = 0  # connections that were tried again, there or at another server
    milliseconds: int = 0  # average until the answer began, rounded up, of the last `SAMPLES` answers
    waiting: int = 0  # requests that have no answer yet
    down: str = ""  # what its health check found, when HAProxy takes the server for down


@dataclass(frozen=True)
class Seen:
    """What a server did within a window."""

    requests: int = 0
    failed: int = 0
    retries: int = 0
    restarts: int = 0
    down: str = ""  # what its health check found in the end, when it is down
    milliseconds: float | None = None  # mean until the answer began; None when nothing was answered
    slack: float = 0.0  # by how much that may be wrong
    timed: int = 0  # how many requests it is the mean of
    memory: int = 0  # bytes of the largest worker; 0 when unknown

    @property
    def share(self) -> float:
        """How many of the requests failed, from 0 to 1."""
        return self.failed / self.requests if self.requests else 0.0

    @property
    def tried_again(self) -> float:
        """How many connections were tried again for each request."""
        return self.retries / max(1, self.requests)


@dataclass(frozen=True)
class Verdict:
    """What a bake found: `worse` says of which server what is worse, in whole sentences; `said` sums it up."""

    worse: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    said: str = ""
    new: Mapping[str, Seen] = field(default_factory=dict)  # what it rests on: each new server,
    old: Seen = field(default_factory=lambda: Seen())  # and all that they were compared with, together

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every sentence once."""
        return tuple(dict.fromkeys(reason for reasons in self.worse.values() for reason in reasons))


def since(before: Counters, after: Counters) -> Seen:
    """Say what happened between two looks at one server; one that counts from 0 again was started anew meanwhile."""
    if after.answers < before.answers or after.lost < before.lost:
        before = Counters()
    answers, lost = after.answers - before.answers, after.lost - before.lost
    mean, slack = _mean(before, after)
    return Seen(
        requests=answers + lost,
        failed=after.errors - before.errors + lost,
        retries=max(0, after.retries - before.retries),
        down=after.down,
        milliseconds=mean,
        slack=slack,
        timed=answers,
    )


def usual(counters: Counters) -> Seen:
    """Give the response time that HAProxy knows by itself: of the last answers, whenever they were."""
    if not counters.answers:
        return Seen()
    return Seen(milliseconds=max(0.0, counters.milliseconds - 0.5), slack=0.5, timed=min(SAMPLES, counters.answers))


def settled(whole: Seen, late: Seen, limits: Limits) -> Seen:
    """Take response times from the later part of a window, if enough came then: processes are slow at first."""
    if late.timed < limits.requests:
        return whole
    return replace(whole, milliseconds=late.milliseconds, slack=late.slack, timed=late.timed)


def _mean(before: Counters, after: Counters) -> tuple[float | None, float]:
    """Take what was known before out of HAProxy's sliding average; say how wrong the rest may be, too.

    It is the plain mean of the first answers; from `SAMPLES` on, each answer takes a 512th of the average's place.
    """
    new = after.answers - before.answers
    if not new:
        return None, 0.0
    plain = max(0, min(SAMPLES, after.answers) - before.answers)
    kept = before.answers / (before.answers + plain) if plain else 1.0
    kept *= (1 - 1 / SAMPLES) ** (new - plain)
    half = 0.5  # it is rounded up
    mean = (after.milliseconds - half - (before.milliseconds - half) * kept) / (1 - kept)
    return max(0.0, mean), half * (1 + kept) / (1 - kept)


def together(seen: Iterable[Seen]) -> Seen:
    """Add up what several servers did, or one server behind several load balancers."""
    return reduce(_added, seen, Seen())


def _added(one: Seen, other: Seen) -> Seen:
    timed = [each for each in (one, other) if each.milliseconds is not None]
    weight = sum(each.timed for each in timed)
    return Seen(
        requests=one.requests + other.requests,
        failed=one.failed + other.failed,
        retries=one.retries + other.retries,
        restarts=one.restarts + other.restarts,
        down=one.down or other.down,
        milliseconds=sum((e.milliseconds or 0.0) * e.timed for e in timed) / weight if weight else None,
        slack=sum(e.slack * e.timed for e in timed) / weight if weight else 0.0,
        timed=weight,
        memory=max(one.memory, other.memory),
    )


def judge(
    old: Mapping[str, Seen], new: Mapping[str, Seen], limits: Limits, elapsed: float = 1.0, before: Seen | None = None
) -> Verdict:
    """Compare each new server with the old ones; where those had too few requests, with what was `before`, too.

    A server with too few requests is judged together with others like it. `elapsed` is how much of the window is over:
    until it all is, only what can't become good any more counts as worse.
    Response times are judged of few requests, too, and more leniently.
    """
    known = together(old.values())
    if before and known.requests < limits.requests:
        known = together([known, before])
    others_down = any(seen.down for seen in old.values())
    most = max((seen.restarts for seen in old.values()), default=0)
    worse: dict[str, tuple[str, ...]] = {}
    for name, seen in new.items():
        if seen.down and not others_down:
            worse[name] = (f"{name}: the load balancer's check finds it down ({seen.down}), and none of the others",)
        if seen.restarts > most + limits.restarts:
            worse[name] = (*worse.get(name, ()), _restarted(name, seen, most, limits))
        if reason := _larger(name, seen, max((seen.memory for seen in old.values()), default=0), limits):
            worse[name] = (*worse.get(name, ()), reason)
    for names in _groups(new, limits):
        reasons = _compare(_listed(names), together(new[name] for name in names), known, limits, elapsed)
        for name in names if reasons else ():
            worse[name] = (*worse.get(name, ()), *reasons)
    for name, seen in new.items() if elapsed >= 1 and known.timed >= limits.requests else ():
        if reason := _slower(name, seen, known, limits):
            worse[name] = (*worse.get(name, ()), reason)
    return Verdict(worse, _summary(new, known, limits), dict(new), known)


def _groups(new: Mapping[str, Seen], limits: Limits) -> list[tuple[str, ...]]:
    enough: list[tuple[str, ...]] = [(name,) for name, seen in new.items() if seen.requests >= limits.requests]
    few = tuple(name for name, seen in new.items() if seen.requests < limits.requests)
    if few and sum(new[name].requests for name in few) >= limits.requests:
        return [*enough, few]
    return enough


def _compare(name: str, seen: Seen, known: Seen, limits: Limits, elapsed: float) -> tuple[str, ...]:
    expected = seen.requests / max(elapsed, 0.01)  # when the window is over
    reasons = []
    if seen.failed > max(CHANCE, (known.share + limits.errors) * expected):
        reasons.append(
            f"{name}: {seen.failed} of {seen.requests} requests failed ({percent(seen.share)}), of the others' "
            f"{percent(known.share)}: worse than the {percent(limits.errors)} more that is allowed"
        )
    if seen.retries > max(CHANCE, (known.tried_again + limits.retries) * expected):
        reasons.append(
            f"{name}: {seen.retries} connections tried again for {seen.requests} requests, of the others' "
            f"{percent(known.tried_again)}: worse than the {percent(limits.retries)} that is allowed"
        )
    return tuple(reasons)


def _slower(name: str, seen: Seen, known: Seen, limits: Limits) -> str:
    if seen.milliseconds is None or known.milliseconds is None:
        return ""
    at_least, at_most = seen.milliseconds - seen.slack, known.milliseconds + known.slack
    # A slow server gets few requests, since users wait for it; yet the fewer they are, the more may be chance.
    slack = limits.slack * max(1.0, limits.requests / max(1, seen.timed))
    if at_least <= at_most * limits.slower or at_least <= at_most + slack:
        return ""
    return (
        f"{name}: answers after {seen.milliseconds:.0f} ms ({seen.timed} requests), the others after "
        f"{known.milliseconds:.0f} ms: slower than the {limits.slower:g} times that is allowed"
    )


def _restarted(name: str, seen: Seen, most: int, limits: Limits) -> str:
    allowed = f"{limits.restarts} more than those" if limits.restarts else "none more"
    times = "a process was" if seen.restarts == 1 else f"processes were, {seen.restarts} times,"
    return f"{name}: {times} started anew, at the others {most or 'none'}: {allowed} is allowed"


def _larger(name: str, seen: Seen, most: int, limits: Limits) -> str:
    """What leaks at the rate of a bake outgrows workers that have been there for days."""
    if not most or seen.memory <= max(most, MUCH) * limits.memory:
        return ""
    return (
        f"{name}: a worker has {human(seen.memory)} of memory, at the others {human(most)}: "
        f"more than the {limits.memory:g} times that is allowed"
    )


def _summary(new: Mapping[str, Seen], known: Seen, limits: Limits) -> str:
    seen = together(new.values())
    if seen.requests < limits.requests:
        return f"{seen.requests} requests, fewer than the {limits.requests} that a verdict on failures needs"
    said = f"{seen.failed} of {seen.requests} requests failed{_time(seen)}"
    if not known.requests:
        return f"{said}; there is nothing to compare with"
    return f"{said}; the others: {known.failed} of {known.requests}{_time(known)}"


def _time(seen: Seen) -> str:
    """Tell a response time, or what is certain of it."""
    if seen.milliseconds is None:
        return ""
    if seen.slack > max(1.0, seen.milliseconds / 4):
        return f", at most {seen.milliseconds + seen.slack:.0f} ms"
    return f", {seen.milliseconds:.0f} ms"


def percent(share: float) -> str:
    """Write a share: `6 %`, `0.1 %`."""
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.0f} %"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
