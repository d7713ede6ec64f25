"""Which requests wait, which are with minions, and what their answers mean. Sent to the salt-master with relay.py."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

MISSED = 2  # looks at a minion in a row that did not find a job


class Request(NamedTuple):
    """A request to the agent of a host."""

    session: int
    host: str
    body: Mapping[str, Any]
    payload: str = ""  # what lies behind it, by its sha256
    behind: tuple[Mapping[str, Any], ...] = ()  # requests of the same session that go along

    @property
    def bodies(self) -> tuple[Mapping[str, Any], ...]:
        """Give all that the agent is asked, in order."""
        return (self.body, *self.behind)


class Running:
    """A request that a minion was told."""

    def __init__(self, request: Request, now: float) -> None:
        self.request = request
        self.begun = self.heard = now
        self.missed = 0


class Book:
    """Which requests wait, and which are with minions. Decides; publishes nothing."""

    def __init__(self, silence: float) -> None:
        self.silence = silence  # seconds without a word until a minion counts as gone
        self.waiting: dict[int, deque[Request]] = {}  # of each session that has a request at work
        self.running: dict[tuple[str, str], Running] = {}  # by number of the job, and host

    def add(self, request: Request) -> Request | None:
        """Take a request; give it back when it can be published now."""
        if request.session in self.waiting:
            self.waiting[request.session].append(request)
            return None
        self.waiting[request.session] = deque()
        return request

    def gather(self, request: Request) -> Request:
        """Let the requests that wait behind one go along with it, up to one that brings bytes: turns are dear."""
        waiting, behind = self.waiting.get(request.session), []
        while waiting and not (request.payload or waiting[0].payload):
            behind.append(waiting.popleft().body)
        return request._replace(behind=tuple(behind))

    def begin(self, job: str, request: Request, now: float) -> None:
        """Note that a request is published."""
        self.running[job, request.host] = Running(request, now)

    def end(self, job: str, host: str) -> tuple[Request | None, Request | None]:
        """Note an answer: give the request that it is of, and the next one of its session."""
        done = self.running.pop((job, host), None)
        if done is None:
            return None, None
        left = self.waiting.get(done.request.session)
        if left:
            return done.request, left.popleft()
        self.waiting.pop(done.request.session, None)
        return done.request, None

    def give_up(self, session: int) -> None:
        """Forget a session."""
        self.waiting.pop(session, None)
        self.running = {key: run for key, run in self.running.items() if run.request.session != session}

    def quiet(self, now: float) -> set[str]:
        """Name the hosts to look at: nothing was heard of a request for a third of the patience."""
        return {host for (_, host), run in self.running.items() if now - run.heard >= self.silence / 3}

    def dead(self, now: float) -> list[Running]:
        """List the requests whose minions did not answer in time."""
        return [run for run in self.running.values() if now - run.heard >= self.silence]

    def seen(self, host: str, jobs: set[str], asked: float, now: float) -> tuple[list[Request], list[Request]]:
        """Take a minion's own list of its jobs: give the requests at work, and those that it has lost."""
        alive, lost = [], []
        for (job, name), run in self.running.items():
            if name != host:
                continue
            run.heard = now
            if job in jobs:
                run.missed = 0
                alive.append(run.request)
            elif run.begun < asked:  # its answer may be on the way
                run.missed += 1
                if run.missed >= MISSED:
                    lost.append(run.request)
        return alive, lost


def batch(requests: list[Request]) -> tuple[list[Request], list[Request]]:
    """Split requests into those that one job can carry, one a host, and the rest."""
    first: dict[str, Request] = {}
    rest = []
    for request in requests:
        if request.host in first:
            rest.append(request)
        else:
            first[request.host] = request
    return list(first.values()), rest


def understand(host: str, returned: Any, asked: int = 1) -> tuple[list[str], dict[str, str] | None]:
    """Read what a minion returned for so many requests: the agent's lines, and where an answer lacks what to type."""
    if not isinstance(returned, dict) or "lines" not in returned:
        said = str(returned).strip().splitlines()[-1:] or ["nothing"]
        if "is not available" in said[0]:
            return [], {
                "message": f"{host}: its salt-minion has no module `release`",
                "hint": f"on the master, with salt/_modules in its file_roots: salt {host} saltutil.sync_modules",
            }
        return [], {
            "message": f"{host}: release.call failed: {said[0]}",
            "hint": f"on {host}: journalctl -u salt-minion",
        }
    lines = [line for line in returned["lines"] if _is_message(line)]
    if lines and "ok" in json.loads(lines[-1]) and sum("ok" in json.loads(line) for line in lines) >= asked:
        return lines, None
    if returned["status"] == 127:
        return lines, {"message": f"{host}: there is no agent ({returned['said']})", "hint": "", "code": "no-agent"}
    said = str(returned["said"]).strip().splitlines()[-1:] or ["nothing"]
    return lines, {"message": f"{host}: the agent ended with {returned['status']}: {said[0]}", "hint": ""}


def _is_message(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
