"""Reach servers by OpenSSH: the words of a command that runs over there.

OpenSSH itself, not a library: host keys are checked by its own rules; `ssh_config`, jump hosts, agents and hardware
keys work as the operator is used to; and ControlMaster lets all sessions with a host share one connection.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from deploy import ssh_sockets
from deploy.environment import ROOT, Environment
from deploy.ssh_failures import Link
from deploy.ssh_sockets import SshError

MACHINES = Path("var/fleet/ssh_config")  # leads to machines that `make fleet` made
PERSIST = 30  # seconds a connection stays open for the next command
MISSED = 3  # signs of life that may be missed in a row


def command(environment: Environment, host: str, words: Sequence[str], *, admin: bool = False) -> list[str]:
    """Give the words that run a command on a host, as the user who calls the agent or, by sudo, as root.

    `admin` is for setting a server up: the agent's user may do nothing but call the agent.
    """
    entry = environment.file.ssh
    user = entry.admin if admin else entry.user
    remote = list(words) if user == "root" else ["sudo", "-n", *words]
    return [*_client(environment), "-l", user, "--", address(environment, host), shlex.join(remote)]


def address(environment: Environment, host: str) -> str:
    """Say where a host is; a salt-master need not be a host of the environment."""
    entry = environment.hosts.get(host)
    return entry.address if entry else host


def agent(environment: Environment, host: str, name: str) -> list[str]:
    """Give the words that start a session with a host's agent; `name` is the application's."""
    return command(environment, host, _call(name))


def shell(environment: Environment, host: str, name: str) -> list[str]:
    """Give the words that open the application's own prompt on a host, on this terminal."""
    words = command(environment, host, _call(name, "shell"))
    return [*words[:1], "-t", *(word for word in words[1:] if word != "-T")]


def identities(environment: Environment, host: str) -> list[str]:
    """Give the words that print, among its other settings, which keys ssh would offer to a host."""
    return [*_client(environment), "-G", "--", environment.hosts[host].address]


def link(environment: Environment, host: str, name: str, *, admin: bool = False) -> Link:
    """Say how a host is reached, for messages."""
    entry = environment.file.ssh
    return Link(
        environment=environment.name,
        host=host,
        address=address(environment, host),
        port=entry.port,
        user=entry.admin if admin else entry.user,
        agent=shlex.join(_call(name)),
        known_hosts=str(entry.known_hosts or "~/.ssh/known_hosts"),
        identity=str(entry.identity or ""),
        connect_timeout=entry.connect_timeout,
        alive=entry.silence,
    )


def require_files(environment: Environment) -> None:
    """See that the files that `[ssh]` names are there: ssh itself would complain of something else.

    Raises: SshError naming each that is missing.
    """
    entry = environment.file.ssh
    named = {"config": entry.config, "identity": entry.identity, "known_hosts": entry.known_hosts}
    missing = [f"ssh.{key}: there is no {path}" for key, path in named.items() if path and not (ROOT / path).exists()]
    if missing:
        by_hand = f"put them there, or correct [ssh] in {environment.path}"
        raise SshError(
            f"{environment.path} names files that are not there",
            problems=tuple(missing),
            hint="make fleet" if entry.config == MACHINES else by_hand,
        )


def _call(name: str, word: str = "session") -> list[str]:
    """Give one of the commands that sudo allows (packaging/sudoers.d/app.in)."""
    return [f"/usr/lib/{name}/releasectl", "--name", name, word]


def disconnect(environment: Environment, host: str, *, admin: bool = False) -> list[str]:
    """Give the words that close the connection that is kept open to a host."""
    entry = environment.file.ssh
    user = entry.admin if admin else entry.user
    return [*_client(environment), "-l", user, "-O", "exit", "--", environment.hosts[host].address]


def _client(environment: Environment) -> list[str]:
    entry = environment.file.ssh
    options = {
        "BatchMode": "yes",  # nothing asks: a password, an unknown key
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": entry.connect_timeout,
        "ServerAliveInterval": entry.silence // MISSED,
        "ServerAliveCountMax": MISSED,
        "ControlMaster": "auto",
        "ControlPersist": PERSIST,
        "ControlPath": f"{ssh_sockets.directory()}/%C",
        "LogLevel": "ERROR",
    }
    if entry.known_hosts:
        options["UserKnownHostsFile"] = ROOT / entry.known_hosts
    if entry.identity:
        options["IdentityFile"] = ROOT / entry.identity
        options["IdentitiesOnly"] = "yes"
    words = ["ssh", "-T", "-p", str(entry.port)]
    if entry.config:
        words += ["-F", str(ROOT / entry.config)]
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    return words
