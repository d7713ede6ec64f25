"""The embedded environment: what Salt and systemd do on real servers, done with directories and processes.

Under the environment's directory: one directory a host (its agent's root), `lb/` (HAProxy), `db/`, `secrets/`.
"""

from __future__ import annotations

import copy
import shutil
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import deploy.artifacts.agent as zipapp
from deploy import haproxy, secrets_made, signatures
from deploy import lease as leases
from deploy.agent import furnish, holds, restoring
from deploy.agent.layout import Layout
from deploy.agents import Agent, AgentError, AgentGone
from deploy.balancer import Balancer, unix_sender
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.errors import SlipwayError
from deploy.hosts import LOCAL_BALANCER, Hosts, connect

MARKER = "slipway-environment"  # the file that says whose directory this is
STOP_TIMEOUT = 60.0  # seconds a generation gets to finish its requests before the environment is removed

Say = Callable[[str], None]


class LocalError(SlipwayError):
    """The embedded environment can't be set up or removed."""


def bootstrap(environment: Environment, contract: Contract, say: Say) -> bool:
    """Set up what is missing, and start what should run; say each thing done. Returns whether anything was.

    Raises: LocalError, naming every address that someone else has.
    """
    said = _Counter(say)
    _claim(environment)
    with connect(environment, contract.name) as hosts, _alone(hosts, "bootstrap"):
        _check_addresses(environment, hosts)
        _check_running_signed(environment, hosts)
        for name in secrets_made.generate_missing(environment):
            said(f"secret    {name} generated")
        _make_directories(environment, said)
        _share(environment, contract)
        _install_agents(hosts, said)
        _require_signatures(environment, hosts, said)
        _start_generations(hosts, said)
        text, held = haproxy.render(environment, contract), _fenced(environment)
        if done := haproxy.ensure(environment.directory / "lb", text, _balancer(hosts), held):
            said(f"balancer  HAProxy {done}: {environment.url}")
        for host in _left_over(environment):  # the load balancer does not know it any more
            said(f"{host:<9} is no longer in {environment.path}: {_stop(hosts, host)}")
    return said.count > 0


def destroy(environment: Environment, contract: Contract, say: Say) -> bool:
    """Stop every process of the environment and remove its directory, data included. Returns whether there was one."""
    if not environment.directory.exists() or not any(environment.directory.iterdir()):
        return False
    _claim(environment)
    with connect(environment, contract.name) as hosts, _alone(hosts, "destroy"):
        restoring.stop(Layout.under(environment.directory / LOCAL_BALANCER))
        haproxy.stop(_balancer(hosts))  # first: gunicorn waits 2 s for each idle connection of its
        there = [*(h for h in environment.app if (hosts.root(h) / "releasectl").is_file()), *_left_over(environment)]
        with ThreadPoolExecutor(len(there) or 1) as pool:
            for host, done in zip(there, pool.map(lambda h: _stop(hosts, h), there), strict=True):
                say(f"{host:<9} {done}")
    _remove(environment.directory)
    say(f"directory {environment.directory} removed")
    return True


@contextmanager
def _alone(hosts: Hosts, what: str) -> Iterator[None]:
    """Keep deployers away meanwhile; where no agent is, there is nothing to keep them from.

    Raises: LeaseHeld.
    """
    there = copy.copy(hosts)
    there.agents, there.balancers = (
        {host: agent for host, agent in agents.items() if (hosts.root(host) / "releasectl").is_file()}
        for agents in (hosts.agents, hosts.balancers)
    )
    with ExitStack() as stack:
        with suppress(AgentError, AgentGone):  # an agent that can't answer must not be what forbids to mend it
            stack.enter_context(leases.hold(there, what))
        yield


def _balancer(hosts: Hosts) -> Balancer:
    """Speak to HAProxy itself, whose agent may not be there yet."""
    socket = hosts.environment.directory / LOCAL_BALANCER / "run" / "admin.sock"
    return Balancer(hosts.name, unix_sender(socket), switch=haproxy.SWITCH)


def _fenced(environment: Environment) -> list[str]:
    return holds.fenced(holds.read(Layout.under(environment.directory / LOCAL_BALANCER)))


def _remove(directory: Path) -> None:
    """Remove a directory and all in it; a mount point stays, empty."""
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    with suppress(OSError):
        directory.rmdir()


@dataclass
class _Counter:
    say: Say
    count: int = 0

    def __call__(self, text: str) -> None:
        self.count += 1
        self.say(text)


def _claim(environment: Environment) -> None:
    """Make sure that the directory is this environment's own: `destroy` removes all of it."""
    directory, marker = environment.directory, environment.directory / MARKER
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)  # the database and everybody's API tokens are in it
    elif not marker.is_file() and any(directory.iterdir()):
        raise LocalError(
            f"{environment.name}: {directory} has other things in it (no {MARKER})",
            hint=f"name a directory that does not exist yet in {environment.path}",
        )
    owner = marker.read_text().strip() if marker.is_file() else ""
    if owner not in ("", environment.name):
        raise LocalError(
            f"{environment.name}: {directory} is the directory of the environment {owner}",
            hint=f"name another directory in {environment.path}",
        )
    marker.write_text(f"{environment.name}\n")


def _check_addresses(environment: Environment, hosts: Hosts) -> None:
    wanted = {} if _balancer(hosts).answers() else {"balancer": environment.file.balancer.listen}
    for host, entry in environment.web.items():
        status = hosts.agents[host].call("status") if (hosts.root(host) / "releasectl").is_file() else {}
        if status.get("listening") != entry.listen:
            wanted[host] = entry.listen
    taken = [f"{who}: {listen}: {why}" for who, listen in wanted.items() if (why := _taken(listen))]
    if taken:
        raise LocalError(
            f"{environment.name}: an address is not free",
            problems=tuple(taken),
            hint=f"stop what listens there (ss -ltnp), or name other ports in {environment.path}",
        )


def _taken(listen: str) -> str | None:
    """Say why nobody can listen on an address; None when it is free."""
    host, _, port = listen.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            return str(error.strerror).lower()
    return None


def _make_directories(environment: Environment, say: Say) -> None:
    for name in (*environment.app, "lb/run", "db"):
        path = environment.directory / name
        if not path.is_dir():
            path.mkdir(parents=True)
            say(f"directory {path}")


def _share(environment: Environment, contract: Contract) -> None:
    """Let the hosts share the folders of an app whose data are files on one server: here they are one computer."""
    if contract.slipway.scale != "one":
        return
    for folder in furnish.folders(contract.slipway.for_manifest()):
        furnish.make(environment.directory, f"shared/{folder}")
        for host in environment.app:
            path = environment.directory / host / "state" / folder
            if not path.exists():
                furnish.make(environment.directory, f"{host}/state/{Path(folder).parent}")
                path.symlink_to("../" * (folder.count("/") + 2) + f"shared/{folder}")


def _install_agents(hosts: Hosts, say: Say) -> None:
    for host, agent in hosts.leased.items():
        if zipapp.write(hosts.root(host) / "releasectl"):
            agent.close()  # a session that was open runs the old one
            say(f"agent     {host}: releasectl installed")


def _check_running_signed(environment: Environment, hosts: Hosts) -> None:
    """Before a host goes by another list of signers: what serves there must be good by it, or no way leads back to it.

    Raises: LocalError.
    """
    content = signatures.wanted(environment)
    problems = []
    for host, agent in hosts.agents.items() if content is not None else ():
        signers = hosts.root(host) / "allowed_signers"
        if not (hosts.root(host) / "releasectl").is_file() or (signers.is_file() and signers.read_bytes() == content):
            continue
        status = agent.call("status")
        for generation in (g for g in status["generations"] if g["number"] == status["current"]):
            there = agent.call("manifest", version=generation["version"])
            text, signature = there["manifest"], there.get("signature")
            if problem := signatures.problem(environment, generation["version"], text, signature):
                problems.append(f"{host}: serves generation {generation['number']}: {problem}")
    if problems:
        raise LocalError(
            f"{environment.name}: signatures can't be required yet: what serves has none that counts",
            problems=tuple(problems),
            hint=f"make sign, fab deploy:{environment.name}, then bootstrap again",
        )


def _require_signatures(environment: Environment, hosts: Hosts, say: Say) -> None:
    """Give the hosts the list of those whose signature counts, or take it away."""
    content = signatures.wanted(environment)
    for host in hosts.agents:
        path = hosts.root(host) / "allowed_signers"
        there = path.read_bytes() if path.is_file() else None
        if there == content:
            continue
        if content is None:
            path.unlink()
            say(f"signers   {host}: signatures are no longer required")
        else:
            aside = path.with_name(".allowed_signers.new")
            aside.write_bytes(content)
            aside.rename(path)
            say(f"signers   {host}: releases must be signed by one of {signatures.SIGNERS.name}")


def _left_over(environment: Environment) -> list[str]:
    """Find hosts that were taken out of the environment file and still have something to stop."""
    agents = environment.directory.glob("*/releasectl")
    return sorted({path.parent.name for path in agents} - {*environment.app, LOCAL_BALANCER})


def _stop(hosts: Hosts, host: str) -> str:
    """Stop everything on a host; a directory without an agent is one that has been stopped."""
    agent = hosts.agents.get(host) or Agent(host, hosts.command(host))
    try:
        agent.request("stop", {"generation": None, "timeout": STOP_TIMEOUT}, silence=2 * STOP_TIMEOUT)
    finally:
        agent.close()
    (hosts.root(host) / "releasectl").unlink()
    return "stopped"


def _start_generations(hosts: Hosts, say: Say) -> None:
    """Start what `current` names, as systemd would at boot."""
    for host, agent in hosts.agents.items():
        status = agent.call("status")
        current = status["current"]
        if current is not None and not any(p["generation"] == current for p in status["processes"]):
            listen = hosts.environment.hosts[host].listen or None
            agent.request("start", {"listen": listen, "processes": None}, silence=STOP_TIMEOUT)
            say(f"{host:<9} generation {current} started")
