"""One deployer at a time: the lease on every host that matters, kept alive by a heartbeat."""

from __future__ import annotations

import getpass
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.agents import Agent, AgentError
from deploy.errors import Exit, SlipwayError
from deploy.facts import Host, holder
from deploy.hosts import Hosts
from deploy.quorum import Tally, now

logger = logging.getLogger(__name__)


class LeaseHeld(SlipwayError):
    """Another deployer is at work."""

    exit_code = Exit.LEASE_HELD


class LeaseLost(SlipwayError):
    """Another deployer has taken over: this one must not touch anything any more."""

    exit_code = Exit.LEASE_HELD


QUEUE = 1.0  # seconds between two tries of who waits for the lease
Say = Callable[[str], None]
LOST = ("fenced", "lease-lost")  # what an agent answers to a deployer that was overtaken


@dataclass(frozen=True)
class Lease:
    """A held lease: each host's fencing number, and whether a heartbeat found that it is another's by now."""

    tokens: dict[str, int]
    lost: Lost

    def follows(self, seen: Sequence[Host]) -> bool:
        """Whether nobody else has held it since hosts were looked at: what was seen then is true still."""
        return all(self.tokens.get(host.name) == host.lease_number + 1 for host in seen)


def owner(rollout: str) -> dict[str, Any]:
    """Say who asks; boot and start let the agent see whether a deployer on its own machine still lives (proc(5))."""
    return {
        "who": getpass.getuser(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "boot": _boot(),
        "start": _started(os.getpid()),
        "rollout": rollout,
    }


def is_gone(owner: Mapping[str, Any]) -> bool:
    """Tell whether a lease's owner was a process of this very machine that runs no more."""
    pid = owner.get("pid")
    return owner.get("boot") == _boot() and isinstance(pid, int) and _started(pid) != owner.get("start")


def _boot() -> str:
    """Identify this boot, and whose process numbers we see: containers share the one and not the other."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"


def _started(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None


@contextmanager
def hold(hosts: Hosts, rollout: str, say: Say = lambda text: None) -> Iterator[Lease]:
    """Hold the lease of an environment: on every host of the application and on every load balancer.

    Where the environment may `spare` hosts, those that can't be reached may be missing as long as most are there, and
    every load balancer; `hosts.away` then names them. It may `wait` for whoever holds it, and say who that is.

    Raises: LeaseHeld naming who holds it; AgentGone naming every host that does not answer.
    """
    ttl, me = hosts.environment.file.rollout.lease, owner(rollout)
    tally = Tally(len(hosts.leased), ttl)
    needed = [] if hosts.environment.spare else list(hosts.leased)
    hosts.begin(hosts.leased)
    try:
        _queue(hosts, me, tally, [*needed, *hosts.balancers], say)
        with _heartbeat(hosts, me, tally) as lost:
            yield Lease(hosts.tokens, lost)
    finally:
        _give_back(hosts, me)


def lock(hosts: Hosts, why: str, ttl: float) -> None:
    """Hold the lease without a deployer, for `ttl` seconds: whoever comes is told why. Most hosts are enough.

    Raises: LeaseHeld; AgentGone.
    """
    me = {"who": getpass.getuser(), "host": socket.gethostname(), "why": why}
    hosts.begin(hosts.leased)
    try:
        _acquire(hosts, me, Tally(len(hosts.leased), ttl), [])
    except SlipwayError:
        _give_back(hosts, me)
        raise


def held(hosts: Hosts) -> dict[str, dict[str, Any]]:
    """Ask every host who holds its lease; give those that somebody holds. One that is gone forgets it by itself.

    Raises: AgentGone when no host answers.
    """
    hosts.begin(hosts.leased)
    answers, errors = hosts.attempt(lambda host, agent: agent.call("lease", action="show"), hosts.leased)
    if not answers:
        raise hosts.together(errors)
    return {host: answer["lease"] for host, answer in answers.items() if answer["held"]}


def require_free(hosts: Hosts) -> None:
    """See that no deployer is at work; one of this machine that was killed holds nothing any more.

    Raises: LeaseHeld naming who it is.
    """
    living = [found["owner"] for found in held(hosts).values() if not is_gone(found["owner"])]
    if living:
        raise LeaseHeld(
            f"{hosts.environment.name}: held by {holder(living[0])}",
            hint=f"wait until it is done; fab status:{hosts.environment.name} shows it",
        )


def free(hosts: Hosts, held: Mapping[str, Mapping[str, Any]]) -> None:
    """Free the lease where somebody holds it under the number that was found."""
    agents = {host: agent for host, agent in hosts.leased.items() if host in held}
    hosts.each(lambda host, agent: agent.call("lease", action="release", token=held[host]["token"]), agents)


def _queue(hosts: Hosts, me: Mapping[str, Any], tally: Tally, needed: Sequence[str], say: Say) -> None:
    """Ask again and again for as long as somebody else has it; nothing is held while waiting."""
    begun, told, wait = now(), "", hosts.environment.wait
    while True:
        try:
            _acquire(hosts, me, tally, needed)
            return
        except LeaseHeld as held:
            _give_back(hosts, me)
            waited = now() - begun
            if waited >= wait:
                held.message += f" (waited {waited:.0f} s)" if wait else ""
                raise
            who = held.message.partition("; expected")[0]  # what follows counts seconds
            if who != told:
                told = who
                say(f"waiting up to {wait - waited:.0f} s: {told}")
        # Not all at the same beat: two that wait must not meet again and again, each with half of the hosts.
        time.sleep(QUEUE * (0.5 + secrets.randbelow(1000) / 1000))


def _acquire(hosts: Hosts, me: Mapping[str, Any], tally: Tally, needed: Sequence[str]) -> None:
    """Ask all hosts, and all deployers the same one first; put up with hosts that are gone, but for the `needed`.

    Raises: LeaseHeld as soon as one host says so; AgentGone naming who is gone.
    """

    def take(host: str, agent: Agent) -> None:
        asked = now()
        hosts.tokens[host] = _take(agent, me, tally.ttl)
        tally.granted(host, asked)

    hosts.away.clear()
    everyone = list(hosts.leased.items())
    _, errors = hosts.attempt(take, dict(everyone[:1]))
    if not any(isinstance(error, LeaseHeld) for error in errors.values()):
        _, more = hosts.attempt(take, dict(everyone[1:]))
        errors |= more
    if errors:  # whoever answered may have waited long for those that did not
        _, late = hosts.attempt(take, {host: hosts.leased[host] for host in hosts.tokens})
        errors |= late
        for host in late:
            hosts.tokens.pop(host)
            tally.refused(host)
    for error in errors.values():
        if isinstance(error, LeaseHeld):
            name = hosts.environment.name
            error.hint = f"--wait waits until it is done; fab status:{name} shows it"
            raise error
    if errors and (any(host in needed for host in errors) or not tally.held(now())):
        error = hosts.together(errors)
        if tally.held(now()) and not any(host in hosts.balancers for host in errors):
            error.hint = f"{error.hint}; or " if error.hint else ""
            error.hint += f"--skip-unreachable goes on without {', '.join(errors)}"
        raise error
    hosts.away.update(errors)
    _same_number(hosts, me, tally.ttl)


def _same_number(hosts: Hosts, me: Mapping[str, Any], ttl: float) -> None:
    """Raise the number of hosts that were away for a while: the highest fences everybody who came before."""
    highest = max(hosts.tokens.values(), default=0)
    behind = {host: hosts.leased[host] for host, token in hosts.tokens.items() if token < highest}

    def follow(host: str, agent: Agent) -> None:
        hosts.tokens[host] = _take(agent, me, ttl, highest)

    hosts.each(follow, behind)


def _give_back(hosts: Hosts, me: Mapping[str, Any]) -> None:
    tokens = dict(hosts.tokens)
    there = {host: agent for host, agent in hosts.leased.items() if host in tokens}
    hosts.attempt(lambda h, a: a.call("lease", action="release", owner=me, token=tokens[h]), there)
    hosts.tokens.clear()


def _take(agent: Agent, me: Mapping[str, Any], ttl: float, at_least: int = 0) -> int:
    """Take the lease of one host, from a deployer of this machine that was killed too: the host can't know that."""
    while True:
        try:
            return int(agent.call("lease", action="acquire", owner=me, ttl=ttl, token=at_least)["lease"]["token"])
        except AgentError as error:
            if error.code != "lease-held":
                raise
            if not is_gone(error.error.get("holder") or {}):
                raise LeaseHeld(error.message) from None
            agent.call("lease", action="release", token=error.error["token"])


class Lost(threading.Event):
    """Set when another deployer has it, or when most hosts may have forgotten us: then nothing may be touched."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def is_set(self) -> bool:
        """Look at the clock as well: this process may have been held up for a while."""
        return super().is_set() or not self._tally.held(now())


@contextmanager
def _heartbeat(hosts: Hosts, me: Mapping[str, Any], tally: Tally) -> Iterator[Lost]:
    """Renew the lease on every host, all side by side: one that is gone must not cost the others theirs."""
    done, lost, ttl = threading.Event(), Lost(tally), tally.ttl

    def beat() -> None:
        # Sessions of its own: the others may be waiting for a switch. They open only when a rollout lasts so long.
        sessions: dict[str, Agent] = {}

        def renew(host: str, agent: Agent) -> None:
            asked, token = now(), hosts.tokens[host]
            request = {"action": "renew", "owner": me, "ttl": ttl, "token": token}
            agent.request("lease", request, silence=max(ttl / 3, 2.0))
            tally.granted(host, asked)

        with ExitStack() as stack:
            while not done.wait(ttl / 3):
                for host in hosts.tokens if not sessions else ():
                    sessions[host] = hosts.leased[host].another()
                    stack.callback(sessions[host].close)
                _, errors = hosts.attempt(renew, sessions)  # a host that is gone fails its own step
                if any(getattr(error, "code", "") in LOST for error in errors.values()):
                    lost.set()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        done.set()
        thread.join()
