"""One deployer at a time: the lease on every web host, kept alive by a heartbeat."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.agents import Agent, AgentError
from deploy.errors import Exit, SlipwayError
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
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "start": int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]),
        "rollout": rollout,
    }


@contextmanager
def hold(hosts: Hosts, rollout: str) -> Iterator[Lease]:
    """Hold the lease of an environment; hosts are asked in one order, so two deployers can't each hold half.

    Raises: LeaseHeld naming who holds it.
    """
    ttl, me = hosts.environment.file.rollout.lease, owner(rollout)
    tokens: dict[str, int] = {}
    done, lost = threading.Event(), threading.Event()

    def heartbeat() -> None:
        # Sessions of its own: the others may be waiting for a switch. They open only when a rollout lasts so long.
        with ExitStack() as stack:
            sessions: dict[str, Agent] = {}
            while not done.wait(ttl / 3):
                for host, token in tokens.items():
                    if host not in sessions:
                        sessions[host] = hosts.agents[host].another()
                        stack.callback(sessions[host].close)
                    try:
                        sessions[host].call("lease", action="renew", owner=me, ttl=ttl, token=token)
                    except SlipwayError as error:  # a host that is gone fails its own step
                        if getattr(error, "code", "") in LOST:
                            lost.set()

    try:
        for host, agent in hosts.agents.items():
            try:
                tokens[host] = agent.call("lease", action="acquire", owner=me, ttl=ttl)["lease"]["token"]
            except AgentError as error:
                if error.code != "lease-held":
                    raise
                raise LeaseHeld(
                    error.message, hint=f"wait until it is done; fab status:{hosts.environment.name} shows it"
                ) from None
        beat = threading.Thread(target=heartbeat, daemon=True)
        beat.start()
        try:
            yield Lease(tokens, lost)
        finally:
            done.set()
            beat.join()
    finally:
        for host, token in tokens.items():
            with suppress(SlipwayError):
                hosts.agents[host].call("lease", action="release", owner=me, ttl=ttl, token=token)
