"""The hosts of one environment: their agents, the load balancer, and one look at all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from deploy import sync
from deploy.agents import Agent
from deploy.balancer import Balancer, BalancerError, unix_sender
from deploy.environment import Environment
from deploy.errors import SlipwayError
from deploy.facts import Host, Server, host_from_status

T = TypeVar("T")

PARALLEL = 32  # hosts spoken to at once


class NotBootstrapped(SlipwayError):
    """The environment has not been set up."""


class Hosts:
    """Connections to the web hosts and the load balancer of an environment."""

    def __init__(self, environment: Environment, name: str) -> None:
        self.environment = environment
        self.agents = {host: Agent(host, self.command(host)) for host in environment.web}
        self.balancer = Balancer(name, unix_sender(environment.directory / "lb" / "run" / "admin.sock"))

    def root(self, host: str) -> Path:
        """Name the directory that stands for a server of the embedded environment."""
        return self.environment.directory / host

    def command(self, host: str) -> list[str]:
        """Say how to start a session with a host's agent."""
        root = self.root(host)
        # -I: neither the operator's PYTHON* variables nor packages reach the agent: it needs the standard library only.
        return [sys.executable, "-I", str(root / "releasectl"), "--root", str(root), "session"]

    def each(self, function: Callable[[str, Agent], T]) -> dict[str, T]:
        """Call a function for every web host, side by side; the first failure is raised when all are done."""
        with ThreadPoolExecutor(min(PARALLEL, len(self.agents))) as pool:
            futures = {host: pool.submit(function, host, agent) for host, agent in self.agents.items()}
        return {host: future.result() for host, future in futures.items()}

    def observe(self) -> list[Host]:
        """Look at every host and at the load balancer; in the order of the environment file.

        A host that can't be looked at is there with its `problem`.

        Raises: NotBootstrapped; BalancerError with what to type when the load balancer is not there.
        """
        self.require_bootstrap()
        try:
            servers = self.balancer.servers()
        except BalancerError as error:
            raise BalancerError(error.message, hint=f"fab bootstrap:{self.environment.name} starts it") from error
        return self.look(servers)

    def look(self, servers: Mapping[str, Server]) -> list[Host]:
        """Look at every host, given what the load balancer says of them."""

        def one(name: str, agent: Agent) -> Host:
            listen, server = self.environment.hosts[name].listen, servers.get(name)
            try:
                return host_from_status(name, listen, agent.call("status", releases=True), server)
            except SlipwayError as error:
                return Host(name, listen, server=server, problem=error.message)

        observed = self.each(one)
        return [observed[name] for name in self.environment.web if name in observed]

    def require_bootstrap(self) -> None:
        """Refuse an environment that was never set up."""
        missing = [host for host in self.agents if not (self.root(host) / "releasectl").is_file()]
        if missing:
            raise NotBootstrapped(
                f"environment {self.environment.name} is not set up (no agent on {', '.join(missing)})",
                hint=f"fab bootstrap:{self.environment.name}",
            )

    def measure(self, hosts: list[Host], manifest: Mapping[str, Any], digest: str) -> list[Host]:
        """Add what each host lacks of a release: one question to hosts that do not have it whole."""
        files = sync.contents(manifest)

        def lacks(host: Host) -> Host:
            if host.has(manifest["version"], digest):
                return host
            missing = self.agents[host.name].call("missing", hashes=sorted(files))["missing"]
            return replace(host, missing_files=len(missing), missing_bytes=sum(files[h][1] for h in missing))

        with ThreadPoolExecutor(min(PARALLEL, len(hosts))) as pool:
            return list(pool.map(lacks, hosts))

    def close(self) -> None:
        """End all sessions."""
        for agent in self.agents.values():
            agent.close()


@contextmanager
def connect(environment: Environment, name: str) -> Iterator[Hosts]:
    """Open the hosts of an environment, and close them in the end; `name` is the application's."""
    hosts = Hosts(environment, name)
    try:
        yield hosts
    finally:
        hosts.close()
