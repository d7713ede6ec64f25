"""A highstate over an environment: look at its servers, keep rollouts away, run the states on all of them at once."""

from __future__ import annotations

import copy
import getpass
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from deploy import certificate, secrets_store, signatures, ssh, ssh_failures
from deploy import lease as leases
from deploy.agents import Agent, AgentError, AgentGone
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.errors import Exit, SlipwayError
from deploy.highstate import bundle, look, operators, parcel, reach
from deploy.highstate.look import Server
from deploy.highstate.result import Result
from deploy.highstate.session import HighstateError, Order, Sessions
from deploy.hosts import Hosts, connect
from deploy.pillar import Sources, pillar, secrets_of
from deploy.secrets_made import CERTIFICATE
from deploy.toml_model import nearest

INTERRUPTED = 130  # exit code after Ctrl-C, as a shell has it
LOOK_TIMEOUT = 60.0  # seconds; a connection that can't be made ends long before

Tell = Callable[[str, Mapping[str, Any]], None]  # host, event


@dataclass
class Outcome:
    """What came of a highstate: each server's result, or what was in its way."""

    results: dict[str, Result] = field(default_factory=dict)
    errors: dict[str, SlipwayError] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    stopped: bool = False  # by Ctrl-C

    @property
    def exit(self) -> Exit:
        """How it ended: failed servers that changed are mixed ones."""
        if not self.errors and all(result.good for result in self.results.values()):
            return Exit.OK
        changed = any(result.changed for result in self.results.values())
        return Exit.MIXED if changed else Exit.FAILED_UNCHANGED


def chosen(environment: Environment, limit: str) -> list[str]:
    """Name the hosts that are meant: all, or those of a comma-separated list.

    Raises: HighstateError for a host that there is not, and for an environment without servers.
    """
    if not environment.remote:
        raise HighstateError(
            f'{environment.name} has no servers that Salt could set up (transport = "local")',
            hint=f"fab bootstrap:{environment.name} does it",
        )
    names, known = [name.strip() for name in limit.split(",") if name.strip()], list(environment.hosts)
    for name in names:
        if name not in known:
            raise HighstateError(f'unknown host "{name}"{nearest(name, known)}', hint=f"hosts: {', '.join(known)}")
    return names or known


def sources(environment: Environment, contract: Contract, hosts: Iterable[str]) -> Sources:
    """Read all that the pillars of these hosts are made of.

    Raises: HighstateError naming every secret that is missing or can't be used; other SlipwayErrors.
    """
    needs = dict.fromkeys(name for host in hosts for name in secrets_of(environment, host))
    answer = secrets_store.find(environment, needs)
    problems = [
        f"{n}: {answer.reasons.get(n, 'this secret does not exist yet')}" for n in needs if n not in answer.found
    ]
    if CERTIFICATE in answer.found and (wrong := certificate.problem(answer.found[CERTIFICATE].value)):
        problems.append(f"{CERTIFICATE} ({answer.found[CERTIFICATE].source}): {wrong}")
    if problems:
        raise HighstateError(
            f"{environment.name}: its secrets are not complete; nothing was touched",
            problems=tuple(problems),
            hint=f"fab secrets:{environment.name} shows them; --generate makes what can be made",
        )
    signers = signatures.wanted(environment)
    found = {name: there.value for name, there in answer.found.items()}
    return Sources(environment, contract, found, operators.keys(environment), signers.decode() if signers else None)


def look_at(
    environment: Environment, contract: Contract, hosts: Iterable[str]
) -> tuple[dict[str, Server], dict[str, SlipwayError]]:
    """Look at servers side by side; give what was seen, and of the others what is in the way."""
    ssh.require_files(environment)

    def one(host: str) -> Server:
        words = look.words(contract.interpreter, contract.name)
        done = reach.run(environment, contract, host, words, LOOK_TIMEOUT)
        server = look.understand(host, done.stdout)
        if server is None:
            raise reach.explained(environment, contract, host, done.returncode, done.stderr)
        return server

    return reach.side_by_side(hosts, one)


def require(
    environment: Environment, hosts: Sequence[str], servers: Mapping[str, Server], errors: Mapping[str, SlipwayError]
) -> None:
    """See that the hosts that are meant can be worked with; nothing was touched yet.

    Raises: HighstateError with every problem.
    """
    problems = [f"{e.message} -> {e.hint}" if e.hint else e.message for h, e in errors.items() if h in hosts]
    known = [servers[host] for host in hosts if host in servers]
    problems += [problem for server in known for problem in look.problems(server)]
    problems += [f"{server.host}: it has no Python yet" for server in known if not server.python]
    if problems:
        raise HighstateError(
            f"{environment.name}: not every server can be worked with; nothing was touched",
            problems=tuple(problems),
            hint=f"fab bootstrap:{environment.name} prepares new servers" if known else None,
        )


def apply(environment: Environment, made_of: Sources, hosts: Sequence[str], tell: Tell, *, test: bool) -> Outcome:
    """Run the states on hosts, side by side; nobody waits for another.

    Raises: SlipwayError before anything is touched, when a pillar can't be made or Salt can't be had.
    """
    contract, outcome = made_of.contract, Outcome()
    states, salt = parcel.states(contract), bundle.build(contract)
    who = f"{getpass.getuser()}@{socket.gethostname()} at {time.strftime('%H:%M:%S')}"
    orders = {
        host: Order(
            host=host,
            minion=parcel.minion(environment, host),
            parcel=parcel.of_host(states, host, pillar(made_of, host)),
            bundle=salt,
            who=who,
            test=test,
        )
        for host in hosts
    }

    sessions = Sessions(environment, contract)

    def one(host: str) -> Result:
        started = time.monotonic()
        try:
            return sessions.carry_out(orders[host], lambda event: tell(host, event))
        finally:
            outcome.seconds[host] = time.monotonic() - started

    def stop() -> None:
        outcome.stopped = True
        for host in sessions.stop():
            tell(host, {"event": "stopping"})

    outcome.results, outcome.errors = reach.side_by_side(hosts, one, [stop, sessions.hang_up])
    return outcome


@contextmanager
def interruptible(environment: Environment, task: str) -> Iterator[None]:
    """Let Ctrl-C, wherever it comes, end a task with what to type next."""
    try:
        yield
    except KeyboardInterrupt:
        raise stopped(environment, task) from None


def stopped(environment: Environment, task: str) -> HighstateError:
    """Say that Ctrl-C ended a task, and what goes on with it."""
    hint = f"fab {task}:{environment.name} goes on; it waits for a server that is still at work"
    return HighstateError(f"{environment.name}: stopped before all was done", hint=hint, exit_code=INTERRUPTED)


@contextmanager
def alone(environment: Environment, contract: Contract, servers: Mapping[str, Server], what: str) -> Iterator[None]:
    """Keep rollouts away meanwhile, by their own lease; where no agent is, there is nothing to keep them from.

    Raises: LeaseHeld naming who is at work.
    """
    there = {host for host, server in servers.items() if server.agent}
    with connect(environment, contract.name) as hosts, ExitStack() as stack:
        administered = _as_admin(hosts, contract, there)
        if administered.leased:
            stack.callback(administered.close)
            with suppress(AgentError, AgentGone):  # an agent that can't answer must not be what forbids to mend it
                stack.enter_context(leases.hold(administered, what))
        yield
        for agent in administered.leased.values():
            agent.close()  # the states may have brought another agent: its lease is given back by that


def _as_admin(hosts: Hosts, contract: Contract, there: set[str]) -> Hosts:
    """Give the same hosts with agents that are called by whoever sets servers up: the agent's user may not exist."""

    def admin(host: str) -> Agent:
        words = [f"/usr/lib/{contract.name}/releasectl", "--name", contract.name, "session"]
        explain = partial(ssh_failures.explain, ssh.link(hosts.environment, host, contract.name, admin=True))
        return Agent(host, ssh.command(hosts.environment, host, words, admin=True), explain)

    other = copy.copy(hosts)
    other.tokens = {}
    other.agents = {host: admin(host) for host in hosts.agents if host in there}
    other.balancers = {host: admin(host) for host in hosts.balancers if host in there}
    return other
