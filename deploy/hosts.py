"""The hosts of one environment: their agents, the load balancer, and one look at all of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from deploy import haproxy, head_start, ssh, ssh_failures, statuses
from deploy.agents import Agent, AgentError, AgentGone
from deploy.balancer import SWITCH, Balancer, BalancerError, Send, agent_sender
from deploy.environment import ROOT, Environment
from deploy.errors import SlipwayError
from deploy.facts import Host, Server, host_from_status
from deploy.salted import agents as relayed
from deploy.salted.agents import Line, Relayed

if TYPE_CHECKING:
    from deploy.staging import Supply

T = TypeVar("T")

PARALLEL = 32  # hosts spoken to at once
LOCAL_BALANCER = "lb"  # the directory of the embedded environment that stands for a load balancer


class NotBootstrapped(SlipwayError):
    """The environment has not been set up."""


class HostsGone(AgentGone):
    """Several hosts can't be worked with; each is a problem of its own."""


class Hosts:
    """Connections to the hosts of the application and the load balancers of an environment."""

    def __init__(self, environment: Environment, name: str) -> None:
        self.environment = environment
        self.name = name
        self.tokens: dict[str, int] = {}  # this deployer's number of the lease on each host, while it holds it
        self.away: dict[str, SlipwayError] = {}  # hosts that could not be reached for the lease, and why
        self.line = _line(environment, name) if environment.file.engine == "salt" else None
        self.agents = {host: self.agent(host) for host in environment.app}
        # Of their own even where a load balancer is a web host too: a look at it must not wait for a switch.
        balancers = list(environment.having("lb")) if environment.remote else [LOCAL_BALANCER]
        self.balancers = {host: self.agent(host) for host in balancers}
        switch = SWITCH if environment.remote else haproxy.SWITCH
        self.balancer = Balancer(name, *self._senders(), switch=switch, names=list(self.balancers))

    def _senders(self) -> list[Send]:
        return [agent_sender(agent, self.tokens) for agent in self.balancers.values()]

    def agent(self, host: str) -> Agent:
        """Give a session with a host's agent, which opens when it is used."""
        if self.line:
            return Relayed(host, self.line)
        if self.environment.remote:
            explain = partial(ssh_failures.explain, ssh.link(self.environment, host, self.name))
            return Agent(host, self.command(host), explain, far=True)
        return Agent(host, self.command(host))

    def root(self, host: str) -> Path:
        """Name the directory that stands for a server of the embedded environment."""
        return self.environment.directory / host

    def command(self, host: str) -> list[str]:
        """Say how to start a session with a host's agent."""
        if self.environment.remote:
            return ssh.agent(self.environment, host, self.name)
        root = self.root(host)
        # -I: neither the operator's PYTHON* variables nor packages reach the agent: it needs the standard library only.
        name = ["--name", self.name] if host == LOCAL_BALANCER else []  # of the backend that it may speak about
        return [sys.executable, "-I", str(root / "releasectl"), "--root", str(root), *name, "session"]

    def shell(self, host: str) -> list[str]:
        """Say how to open the application's own prompt on a host."""
        if self.environment.remote:
            return ssh.shell(self.environment, host, self.name)
        return [*self.command(host)[:-1], "shell"]

    def only(self, names: Sequence[str]) -> None:
        """Leave all hosts of the application out but these, if any is named."""
        if names:
            self.agents = {name: agent for name, agent in self.agents.items() if name in names}

    @property
    def there(self) -> dict[str, Agent]:
        """The hosts of the application that could be reached when the lease was taken."""
        return {host: agent for host, agent in self.agents.items() if host not in self.away}

    @property
    def leased(self) -> dict[str, Agent]:
        """The hosts that a deployer needs the lease of, by name."""
        return {**self.balancers, **self.agents}

    def begin(self, agents: Mapping[str, Agent]) -> None:
        """Let sessions with servers begin at once: all together they take no longer than the slowest.

        Of many hosts the first ones: the key exchange costs a tenth of a second of processor time each.
        """
        for agent in list(agents.values())[:PARALLEL] if self.environment.remote else ():
            agent.open()

    def each(self, function: Callable[[str, Agent], T], agents: Mapping[str, Agent] | None = None) -> dict[str, T]:
        """Call a function for every web host, or for other `agents`, side by side.

        Raises: what went wrong, when all are done; of several failures one error that names each.
        """
        asked = self.agents if agents is None else agents
        found, errors = self.attempt(function, asked)
        if errors:
            raise self.together(errors)
        return found

    def attempt(
        self, function: Callable[[str, Agent], T], agents: Mapping[str, Agent]
    ) -> tuple[dict[str, T], dict[str, SlipwayError]]:
        """Call a function for hosts, side by side; give what it returned, and where it failed."""
        found: dict[str, T] = {}
        errors: dict[str, SlipwayError] = {}
        if not agents:
            return found, errors
        with ThreadPoolExecutor(min(PARALLEL, len(agents))) as pool:
            futures = {host: pool.submit(function, host, agent) for host, agent in agents.items()}
        for host, future in futures.items():
            try:
                found[host] = future.result()
            except SlipwayError as error:
                errors[host] = error
        return found, errors

    def together(self, errors: Mapping[str, SlipwayError]) -> SlipwayError:
        """Make one error of what went wrong on several hosts."""
        first = next(iter(errors.values()))
        if all(getattr(error, "code", "") == ssh_failures.NO_AGENT for error in errors.values()):
            return self._not_set_up(list(errors))
        if len(errors) == 1 or not all(isinstance(error, AgentGone) for error in errors.values()):
            return first
        problems = [f"{error.message} -> {error.hint}" if error.hint else error.message for error in errors.values()]
        if len(set(problems)) == 1:  # the salt-master that leads to all of them
            return first
        return HostsGone(
            f"{self.environment.name}: {len(errors)} hosts can't be worked with",
            problems=tuple(problems),
        )

    def observe(self, version: str = "") -> list[Host]:
        """Look at every host and at the load balancer; in the order of the environment file.

        A host that can't be looked at is there with its `problem`. With a `version` the files of that release and of
        the current one are looked at, not those of all that are kept for a rollback.

        Raises: NotBootstrapped; BalancerError with what to type when the load balancer is not there.
        """
        self.require_bootstrap()
        observed, problem = self.look(version)
        if problem:
            problem.problems = (*problem.problems, *(host.problem for host in observed if host.problem))
            raise problem
        return observed

    def look(self, version: str = "") -> tuple[list[Host], SlipwayError | None]:
        """Look at every host, and say what is wrong with the load balancer, if it can't be looked at.

        Raises: NotBootstrapped when there is no agent on any web host.
        """
        self.begin(self.balancers)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self._servers)
            found, errors = self.attempt(partial(status_of, version=version), self.there)
        errors |= {host: error for host, error in self.away.items() if host in self.agents}
        if not found and all(getattr(error, "code", "") == ssh_failures.NO_AGENT for error in errors.values()):
            raise self._not_set_up(list(errors))
        servers, problem = asked.result()
        observed = [self._host(n, found.get(n), errors.get(n), servers.get(n)) for n in self.agents]
        return observed, problem

    def _servers(self) -> tuple[dict[str, Server], SlipwayError | None]:
        servers, problem = self.balancer.look()
        if isinstance(problem, BalancerError):
            task = "highstate" if self.environment.remote else "bootstrap"
            problem.hint = f"fab {task}:{self.environment.name} starts it"
        return servers, problem

    def _host(
        self, name: str, status: Mapping[str, Any] | None, error: SlipwayError | None, server: Server | None
    ) -> Host:
        entry = self.environment.hosts[name]
        if status is not None:
            return host_from_status(name, entry.listen, status, server, entry.processes)
        assert error
        hint = f" -> {error.hint}" if self.environment.remote and error.hint else ""
        return Host(name, entry.listen, entry.processes, server=server, problem=f"{error.message}{hint}")

    def require_bootstrap(self) -> None:
        """Refuse an environment that was never set up, where that can be seen from here; else begin all sessions."""
        if self.environment.remote:
            ssh.require_files(self.environment)
            self.begin(self.agents)
            return
        missing = [host for host in self.leased if not (self.root(host) / "releasectl").is_file()]
        if missing:
            raise self._not_set_up(missing)

    def _not_set_up(self, hosts: list[str]) -> NotBootstrapped:
        name = self.environment.name
        return NotBootstrapped(
            f"environment {name} is not set up (no agent on {', '.join(hosts)})", hint=f"fab bootstrap:{name}"
        )

    def measure(self, hosts: list[Host], supply: Supply) -> list[Host]:
        """Add what each host lacks of a release: one question to hosts that do not have it whole."""

        def lacks(host: Host) -> Host:
            left_alone = self.environment.limit and host.name not in self.environment.limit
            return host if host.problem or left_alone else replace(host, lack=supply.lack(self.agents[host.name], host))

        with ThreadPoolExecutor(min(PARALLEL, len(hosts))) as pool:
            return list(pool.map(lacks, hosts))

    def close(self) -> None:
        """End all sessions."""
        agents = (*self.agents.values(), *self.balancers.values())
        with ThreadPoolExecutor(min(PARALLEL, len(agents))) as pool:
            list(pool.map(lambda agent: agent.close(), agents))
        if self.line:
            self.line.close()


def _line(environment: Environment, name: str) -> Line:
    """Lead to the salt-master of an environment; `name` is the application's."""
    master = environment.file.salt.master
    words = relayed.words(name, environment.file.salt.program, environment.file.ssh.silence)
    explain = partial(ssh_failures.explain, ssh.link(environment, master, name, admin=True))
    return Line(master, environment.name, ssh.command(environment, master, words, admin=True), explain)


def status_of(name: str, agent: Agent, version: str = "") -> dict[str, Any]:
    """Ask for the facts, and how far the host's clock is from ours: 0 when the answer was made meanwhile."""
    asked = time.time()
    try:
        status = agent.call("status", releases=True, **({"look": [version]} if version else {}))
    except AgentError as error:
        if error.code != "bad-argument" or not version:
            raise
        status = agent.call("status", releases=True)  # it is older than this program, and preflight will say so
    statuses.require(name, status)
    there, answered = float(status["host"]["time"]), time.time()
    return {**status, "skew": there - answered if there > answered else min(0.0, there - asked)}


@contextmanager
def connect(environment: Environment, name: str) -> Iterator[Hosts]:
    """Open the hosts of an environment, and close them in the end; `name` is the application's."""
    hosts = Hosts(environment, name)
    if environment.remote and not hosts.line:
        commands = [hosts.command(host) for host in (*hosts.balancers, *environment.app)][:PARALLEL]
        head_start.remember(environment.name, ROOT, commands)
    try:
        yield hosts
    finally:
        hosts.close()
