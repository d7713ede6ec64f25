"""The way into machines by SSH: a key of one's own, the machines' real host keys, and an ssh_config that says it all.

ssh -F <directory>/ssh_config web1
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.fleet.network import do

if TYPE_CHECKING:
    from deploy.fleet.machines import Fleet, Machine


@dataclass(frozen=True)
class Access:
    """Where the files are that let a person, or a program, in."""

    identity: Path
    known_hosts: Path
    config: Path


def write(fleet: Fleet, directory: Path) -> Access:
    """Let whoever can read `directory` into every machine of the fleet as root; a machine added later joins by itself.

    The key is made once; what says who the machines are is written anew each time.
    """
    directory = directory.resolve()
    access = Access(directory / "id_ed25519", directory / "known_hosts", directory / "ssh_config")
    directory.mkdir(parents=True, exist_ok=True)
    _make_key(access.identity)
    public = access.identity.with_suffix(".pub").read_text(encoding="ascii").strip()
    fleet.access[directory] = public
    machines = list(fleet.machines.values())
    for machine in machines:
        machine.admit(public)
    _replace(
        access.known_hosts, "".join(f"{machine.address},{machine.name} {machine.host_key}\n" for machine in machines)
    )
    _replace(access.config, "".join(_host(machine, access) for machine in machines))
    return access


def _make_key(identity: Path) -> None:
    """Make a key, complete or not at all: ssh-keygen writes its two files one after the other."""
    public = identity.with_suffix(".pub")
    if identity.exists() and public.exists():
        return
    aside = identity.with_name(f".{identity.name}.{os.getpid()}")
    for path in (aside, Path(f"{aside}.pub")):
        path.unlink(missing_ok=True)
    do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "slipway-fleet", "-f", str(aside))
    Path(f"{aside}.pub").rename(public)
    aside.rename(identity)


def _replace(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.rename(path)


def _host(machine: Machine, access: Access) -> str:
    return f"""Host {machine.name} {machine.address}
    HostName {machine.address}
    User root
    IdentityFile "{access.identity}"
    IdentitiesOnly yes
    UserKnownHostsFile "{access.known_hosts}"
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no

"""
