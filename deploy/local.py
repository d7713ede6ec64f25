"""The embedded environment: what Salt and systemd do on real servers, done with directories and processes.

Under the environment's directory: one directory a web host (its agent's root), `lb/` (HAProxy), `db/`, `secrets/`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment as Jinja
from jinja2 import FileSystemLoader, StrictUndefined

import deploy.artifacts.agent as zipapp
from deploy import variables
from deploy.agents import Agent, install
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.errors import SlipwayError
from deploy.hosts import Hosts, connect

TEMPLATES = Path(__file__).parent.parent / "salt" / "haproxy" / "files"
MARKER = "slipway-environment"  # the file that says whose directory this is
EMPTY_STATE = "1\n"  # the version of the format, and no server (management guide, "show servers state")
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
    with connect(environment, contract.name) as hosts:
        _check_addresses(environment, hosts)
        for name in variables.generate_missing(environment):
            said(f"secret    {name} generated")
        _make_directories(environment, said)
        _install_agents(hosts, said)
        _start_generations(hosts, said)
        _balancer(environment, contract, hosts, said)
        for host in _left_over(environment):  # the load balancer does not know it any more
            said(f"{host:<9} is no longer in {environment.path}: {_stop(hosts, host)}")
    return said.count > 0


def destroy(environment: Environment, contract: Contract, say: Say) -> bool:
    """Stop every process of the environment and remove its directory, data included. Returns whether there was one."""
    if not environment.directory.exists():
        return False
    _claim(environment)
    with connect(environment, contract.name) as hosts:
        _stop_balancer(hosts)
        there = [*(h for h in environment.web if (hosts.root(h) / "releasectl").is_file()), *_left_over(environment)]
        with ThreadPoolExecutor(len(there) or 1) as pool:
            for host, done in zip(there, pool.map(lambda h: _stop(hosts, h), there), strict=True):
                say(f"{host:<9} {done}")
    shutil.rmtree(environment.directory)
    say(f"directory {environment.directory} removed")
    return True


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
        directory.mkdir(parents=True)
    elif not marker.is_file() and any(directory.iterdir()):
        raise LocalError(
            f"{environment.name}: {directory} has other things in it (no {MARKER})",
            hint=f"name a directory that does not exist yet in {environment.path}",
        )
    marker.write_text(f"{environment.name}\n")


def _check_addresses(environment: Environment, hosts: Hosts) -> None:
    wanted = {} if hosts.balancer.answers() else {"balancer": environment.file.balancer.listen}
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
    for name in (*environment.web, "lb/run", "db"):
        path = environment.directory / name
        if not path.is_dir():
            path.mkdir(parents=True)
            say(f"directory {path}")


def _install_agents(hosts: Hosts, say: Say) -> None:
    content = zipapp.build()
    for host, agent in hosts.agents.items():
        if install(hosts.root(host) / "releasectl", content):
            agent.close()  # a session that was open runs the old one
            say(f"agent     {host}: releasectl installed")


def _left_over(environment: Environment) -> list[str]:
    """Find hosts that were taken out of the environment file and still have something to stop."""
    agents = environment.directory.glob("*/releasectl")
    return sorted(path.parent.name for path in agents if path.parent.name not in environment.web)


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
            agent.request("start", {"listen": hosts.environment.hosts[host].listen}, silence=STOP_TIMEOUT)
            say(f"{host:<9} generation {current} started")


def _balancer(environment: Environment, contract: Contract, hosts: Hosts, say: Say) -> None:
    directory = environment.directory / "lb"
    config, text = directory / "haproxy.cfg", render(environment, contract)
    changed = not config.is_file() or config.read_text() != text
    running = hosts.balancer.answers()
    if running and not changed:
        return
    # What was drained before a reload stays drained; a fresh start begins with all servers ready.
    (directory / "run" / "server-state").write_text(hosts.balancer.save_state() if running else EMPTY_STATE)
    candidate = directory / "haproxy.cfg.new"
    candidate.write_text(text)
    haproxy(directory, "-c", "-f", candidate.name)  # a bad file is refused; the live one stays
    candidate.rename(config)
    takeover = []
    if running:
        takeover = ["-x", "run/admin.sock", "-sf", str(hosts.balancer.pid())]
    haproxy(directory, "-D", "-f", config.name, "-p", "run/haproxy.pid", *takeover)
    _wait(hosts.balancer.answers, "HAProxy does not answer on its runtime socket")
    say(f"balancer  HAProxy {'reloaded' if running else 'started'}: {environment.url}")


def render(environment: Environment, contract: Contract) -> str:
    # Not HTML, so nothing to escape.
    jinja = Jinja(  # noqa: S701
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return jinja.get_template("haproxy.cfg.jinja").render(
        name=contract.name,
        listen=environment.file.balancer.listen,
        servers=[{"name": name, "address": host.listen} for name, host in environment.web.items()],
        health=contract.health,
        sockets="run",  # relative to HAProxy's directory: a socket's path may have 107 bytes (unix(7))
        user="",
        max_request=environment.file.balancer.max_request,
    )


def haproxy(directory: Path, *arguments: str) -> None:
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise LocalError("haproxy is not installed", hint="as root: apt-get install haproxy")
    done = subprocess.run([program, *arguments], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError("haproxy refuses", problems=tuple((done.stderr or done.stdout).strip().splitlines()[-8:]))


def _stop_balancer(hosts: Hosts) -> None:
    if hosts.balancer.answers():
        pid = hosts.balancer.pid()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        _wait(lambda: not Path(f"/proc/{pid}").exists(), f"HAProxy (pid {pid}) does not end")


def _wait(is_so: Callable[[], bool], otherwise: str, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not is_so():
        if time.monotonic() > deadline:
            raise LocalError(otherwise)
        time.sleep(0.02)
