"""Watch servers during a rollout: look at HAProxy's counters and at processes, and have them judged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deploy.agents import Agent
from deploy.bake import Counters, Seen, Verdict, judge, settled, since, together, usual
from deploy.balancer import Counted
from deploy.hosts import Hosts
from deploy.plan import Step

logger = logging.getLogger(__name__)

POLL = 0.25  # seconds between two looks at the counters
LOOK = 1.0  # seconds between two looks at processes: each is a question to every new server's agent


class Watch:
    """Looks at servers since a rollout began: first at the old ones, then at old and new ones side by side."""

    def __init__(self, hosts: Hosts, bakes: Iterable[Step]) -> None:
        settings = hosts.environment.file.rollout.bake
        self.hosts, self.seconds, self.limits = hosts, settings.seconds, settings.limits()
        self._about = list(dict.fromkeys(name for step in bakes for name in (*step.hosts, *step.against)))
        self._new: list[str] = []
        self._ready: dict[str, dict[str, Alive]] = {}  # what ran before its first user came
        self._before: Seen | None = None
        self._began = hosts.balancer.counters() if self._about else {}

    def turn(self) -> None:
        """Remember how the old servers did when the first one is about to change."""
        if self._about and self._before is None:
            now = self.hosts.balancer.counters()
            before = together(_seen(self._began, now, self._about).values())
            times = together(usual(one.get(name, Counters())) for one in now.values() for name in self._about)
            self._before = replace(before, milliseconds=times.milliseconds, slack=times.slack, timed=times.timed)

    def ready(self, host: str) -> None:
        """Remember what runs on a new server before its first user comes: its workers may die of that very request.

        Raises: AgentGone when it can't be asked.
        """
        if host in self._about:
            self._ready[host] = alive(_look(self.hosts.agents[host]))

    def bake(self, step: Step, stopped: Callable[[], bool]) -> Verdict:
        """Compare all servers that have changed by now with those that have not, until the window is over.

        It ends sooner when there is no doubt any more.

        Raises: AgentGone when a new server can't be asked.
        """
        self._new += [name for name in step.hosts if name not in self._new]
        new, old = self._new, step.against
        processes, stuck = Processes(self.hosts, new, old, self._ready), Stuck()
        first, begun = self.hosts.balancer.counters(), time.monotonic()
        half, looked = first, begun
        while True:
            passed = time.monotonic() - begun
            over = passed >= self.seconds
            if over or time.monotonic() - looked >= LOOK:
                processes.look(everybody=over)
                looked = time.monotonic()
            now = self.hosts.balancer.counters()
            if half is first and passed >= self.seconds / 2:
                half = now
            stuck.look(now, time.monotonic())
            old_seen, new_seen = (
                processes.of(stuck.of(self._settled(_seen(first, now, names), _seen(half, now, names))))
                for names in (old, new)
            )
            elapsed = 1.0 if over else min(0.99, passed / self.seconds)
            verdict = judge(old_seen, new_seen, self.limits, elapsed, self._before)
            if verdict.worse and not over:  # a last look, so that it says all that is wrong
                processes.look(everybody=True)
                verdict = judge(processes.of(old_seen), processes.of(new_seen), self.limits, elapsed, self._before)
            if over or verdict.worse or stopped():
                return verdict
            time.sleep(max(0.0, min(POLL, self.seconds - passed)))

    def _settled(self, whole: Mapping[str, Seen], late: Mapping[str, Seen]) -> dict[str, Seen]:
        return {name: settled(whole[name], late[name], self.limits) for name in whole}


def _seen(before: Counted, after: Counted, names: Iterable[str]) -> dict[str, Seen]:
    """Say what each server did between two looks, in all backends of all load balancers together."""
    return {
        name: together(
            since(before.get(place, {}).get(name, Counters()), found.get(name, Counters()))
            for place, found in after.items()  # a backend that was not there before began with nothing
        )
        for name in names
    }


class Stuck:
    """Requests that wait while nothing at all is answered: HAProxy counts their time when they have an answer."""

    def __init__(self) -> None:
        self._last: dict[str, Counters] = {}
        self._since: dict[str, float] = {}
        self._now = 0.0

    def look(self, counted: Counted, now: float) -> None:
        """Find servers where requests wait, and none was answered since the last look."""
        self._now = now
        for name in {name for one in counted.values() for name in one}:
            found = [one[name] for one in counted.values() if name in one]
            every = Counters(
                answers=sum(c.answers for c in found),
                lost=sum(c.lost for c in found),
                waiting=sum(c.waiting for c in found),
            )
            last = self._last.get(name)
            if not every.waiting or (last and (last.answers, last.lost) != (every.answers, every.lost)):
                self._since.pop(name, None)
            if every.waiting:
                self._since.setdefault(name, now)
            self._last[name] = every

    def of(self, seen: Mapping[str, Seen]) -> dict[str, Seen]:
        """Add what waits, with as much time as it has waited by now."""
        return {name: together([each, *self._waiting(name)]) for name, each in seen.items()}

    def _waiting(self, name: str) -> list[Seen]:
        waited = (self._now - self._since.get(name, self._now)) * 1000
        count = self._last[name].waiting
        return [Seen(requests=count, milliseconds=waited, timed=count)] if waited else []


class Processes:
    """The processes of some hosts, and how often one was started anew since the first look, or since `known`."""

    def __init__(
        self, hosts: Hosts, new: Sequence[str], old: Sequence[str], known: Mapping[str, dict[str, Alive]]
    ) -> None:
        self._hosts, self._new, self._old = hosts, new, old
        self._known = {name: known[name] for name in new if name in known}
        self._restarts: dict[str, int] = {}
        self._memory: dict[str, int] = {}
        self.look(everybody=True)

    def look(self, *, everybody: bool) -> None:
        """Look at the new servers, or at all; an old one that does not answer is left out.

        Raises: AgentGone when a new server does not answer.
        """
        asked = {name: self._hosts.agents[name] for name in (*self._new, *(self._old if everybody else ()))}
        found, errors = self._hosts.attempt(lambda _, agent: _look(agent), asked)
        if failed := {name: error for name, error in errors.items() if name in self._new}:
            raise self._hosts.together(failed)
        for name, status in found.items():
            processes = alive(status)
            known = self._known.get(name, processes)
            self._restarts[name] = self._restarts.get(name, 0) + started_anew(known, processes)
            self._known[name] = processes
            self._memory[name] = memory(status)

    def of(self, seen: Mapping[str, Seen]) -> dict[str, Seen]:
        """Add the restarts and the memory to what was counted."""
        return {
            name: replace(each, restarts=self._restarts.get(name, 0), memory=self._memory.get(name, 0))
            for name, each in seen.items()
        }


@dataclass(frozen=True)
class Alive:
    """A process that a supervisor keeps, and those that it keeps itself."""

    pid: int
    children: frozenset[int] = frozenset()
    restarts: int = 0  # how often its supervisor started it anew


def _look(agent: Agent) -> dict[str, Any]:
    return agent.call("status", releases=False)


def alive(status: Mapping[str, Any]) -> dict[str, Alive]:
    """Read what lives of the current generation out of an agent's `status` answer: others may leave at any time."""
    return {
        f"{p.get('process', '')} {p['generation']}": Alive(
            p["pid"], frozenset(p.get("children", ())), p.get("restarts", 0)
        )
        for p in status["processes"]
        if p["generation"] == status["current"]
    }


def memory(status: Mapping[str, Any]) -> int:
    """Read how many bytes the largest worker of the current generation has."""
    return max((p.get("memory", 0) for p in status["processes"] if p["generation"] == status["current"]), default=0)


def started_anew(before: Mapping[str, Alive], after: Mapping[str, Alive]) -> int:
    """Count restarts between two looks: of a process, or of its workers, which gunicorn itself replaces."""
    count = 0
    for key, process in before.items():
        found = after.get(key)
        if found is None or found.pid != process.pid:
            count += max(1, found.restarts - process.restarts if found else 1)
        else:
            count += len(process.children - found.children)
    return count
