"""One deployer at a time: the lease on every host that matters, kept alive by a heartbeat."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.agents import Agent, AgentError
from deploy.errors import Exit, SlipwayError
from deploy.facts import holder
from deploy.hosts import Hosts

logger = logging.getLogger(__name__)


class LeaseHeld(SlipwayError):
    """Another deployer is at work."""

    exit_code = Exit.LEASE_HELD


class LeaseLost(SlipwayError):
    """Another deployer has taken over: this one must not touch anything any more."""

    exit_code = Exit.LEASE_HELD


LOST = ("fenced", "lease-lost")  # what an agent answers to a deployer that was overtaken


@dataclass(frozen=True)
class Lease:
    """A held lease: each host's fencing number, and whether a heartbeat found that it is another's by now."""

    tokens: dict[str, int]
    lost: threading.Event


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
def hold(hosts: Hosts, rollout: str) -> Iterator[Lease]:
    """Hold the lease of an environment: on every web host and, where it is a server, on every load balancer.

    All ask the same host first, so two deployers can't each hold half.

    Raises: LeaseHeld naming who holds it; AgentGone naming every host that does not answer.
    """
    ttl, me, tokens = hosts.environment.file.rollout.lease, owner(rollout), hosts.tokens
    hosts.begin(hosts.leased)
    try:
        _acquire(hosts, me, ttl)
        with _heartbeat(hosts, me, ttl) as lost:
            yield Lease(tokens, lost)
    finally:
        there = {host: agent for host, agent in hosts.leased.items() if host in tokens}
        hosts.attempt(lambda h, a: a.call("lease", action="release", owner=me, ttl=ttl, token=tokens[h]), there)
        tokens.clear()


def lock(hosts: Hosts, why: str, ttl: float) -> None:
    """Hold the lease without a deployer, for `ttl` seconds: whoever comes is told why.

    Raises: LeaseHeld; AgentGone.
    """
    me = {"who": getpass.getuser(), "host": socket.gethostname(), "why": why}
    hosts.begin(hosts.leased)
    try:
        _acquire(hosts, me, ttl)
    except SlipwayError:
        free(hosts, {host: {"token": token} for host, token in hosts.tokens.items()})
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


def _acquire(hosts: Hosts, me: Mapping[str, Any], ttl: float) -> None:
    def take(host: str, agent: Agent) -> None:
        hosts.tokens[host] = _take(agent, me, ttl)

    everyone = list(hosts.leased.items())
    _, errors = hosts.attempt(take, dict(everyone[:1]))
    if not any(isinstance(error, LeaseHeld) for error in errors.values()):
        _, more = hosts.attempt(take, dict(everyone[1:]))
        errors |= more
    for error in errors.values():
        if isinstance(error, LeaseHeld):
            error.hint = f"wait until it is done; fab status:{hosts.environment.name} shows it"
            raise error
    if errors:
        raise hosts.together(errors)


def _take(agent: Agent, me: Mapping[str, Any], ttl: float) -> int:
    """Take the lease of one host, from a deployer of this machine that was killed too: the host can't know that."""
    while True:
        try:
            return int(agent.call("lease", action="acquire", owner=me, ttl=ttl)["lease"]["token"])
        except AgentError as error:
            if error.code != "lease-held":
                raise
            if not is_gone(error.error.get("holder") or {}):
                raise LeaseHeld(error.message) from None
            agent.call("lease", action="release", token=error.error["token"])


@contextmanager
def _heartbeat(hosts: Hosts, me: Mapping[str, Any], ttl: float) -> Iterator[threading.Event]:
    """Renew the lease on every host, all side by side: one that is gone must not cost the others theirs."""
    done, lost = threading.Event(), threading.Event()

    def beat() -> None:
        # Sessions of its own: the others may be waiting for a switch. They open only when a rollout lasts so long.
        sessions: dict[str, Agent] = {}

        def renew(host: str, agent: Agent) -> None:
            agent.request(
                "lease",
                {"action": "renew", "owner": me, "ttl": ttl, "token": hosts.tokens[host]},
                silence=max(ttl / 3, 2.0),
            )

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
