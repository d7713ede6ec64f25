"""Reach servers by OpenSSH: the words of a command that runs over there.

OpenSSH itself, not a library: host keys are checked by its own rules; `ssh_config`, jump hosts, agents and hardware
keys work as the operator is used to; and ControlMaster lets all sessions with a host share one connection.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.environment import ROOT, Environment
from deploy.errors import SlipwayError

PERSIST = 30  # seconds a connection stays open for the next command
ALIVE = (5, 3)  # seconds between two signs of life, and how many may be missed: a dead host is noticed within 15 s


class SshError(SlipwayError):
    """Servers can't be reached by SSH from here."""


def command(environment: Environment, host: str, words: Sequence[str], *, admin: bool = False) -> list[str]:
    """Give the words that run a command on a host, as the user who calls the agent or, by sudo, as root.

    `admin` is for setting a server up: the agent's user may do nothing but call the agent.
    """
    entry = environment.file.ssh
    user = entry.admin if admin else entry.user
    remote = list(words) if user == "root" else ["sudo", "-n", *words]
    return [*_client(environment), "-l", user, "--", environment.hosts[host].address, shlex.join(remote)]


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
        "ServerAliveInterval": ALIVE[0],
        "ServerAliveCountMax": ALIVE[1],
        "ControlMaster": "auto",
        "ControlPersist": PERSIST,
        "ControlPath": f"{_sockets()}/%C",
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


def _sockets() -> Path:
    """Give a directory for the connections' sockets that nobody else can reach; its path is short (unix(7): 107 bytes).

    Raises: SshError when somebody else made it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    base = Path(runtime) if runtime and os.access(runtime, os.W_OK) else Path(tempfile.gettempdir())
    if len(str(base)) > 40:
        base = Path("/tmp")  # noqa: S108  (checked below)
    directory = base / f"slipway-ssh-{os.geteuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077 or directory.is_symlink():
        raise SshError(f"{directory}: expected a directory that only you can enter", hint=f"remove {directory}")
    return directory
