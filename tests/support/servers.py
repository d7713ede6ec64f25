"""Servers that had nothing when they were switched on, and a checkout whose environment `fleet` they are."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy import contract as contracts
from deploy import secrets_file
from deploy.fleet import access, layers, machines
from deploy.fleet.base import obstacle
from deploy.fleet.machines import Machine
from tests.support import releases
from tests.support.environments import hosts
from tests.support.remote import PYPROJECT, Remote, checkout
from tests.support.repository import ROOT

# What the states install, at hand without the network.
PACKAGES = ("haproxy", "nftables", "postgresql", "sudo", "systemd-timesyncd", "unattended-upgrades")
EVERY = ("nftables", "sudo", "systemd-timesyncd", "unattended-upgrades")
INSTALLED = {
    "lb": (*EVERY, "haproxy"),
    "web": (*EVERY, "python3.11"),
    "worker": (*EVERY, "python3.11"),
    "db": (*EVERY, "postgresql"),
}
# Parts of environment files, to be put together: how the machines are reached, and where users come in.
REACHED = """\
[ssh]
identity = "{access.identity}"
known_hosts = "{access.known_hosts}"
config = "/dev/null"

[balancer]
listen = "{lb}:443"
tls = "self-signed"

{hosts}
"""
# Rollouts that look no longer than a test needs.
HURRIED = """\
[rollout.bake]
seconds = 0

[prober]
clients = 2
rate = 20
"""
# gazetteer's migrations, by the role that owns its database.
MIGRATED = """\
[migrate.variables]
DATABASE_URL = "postgresql+psycopg://gazetteer_owner@{db1}/gazetteer"

[migrate.secrets]
DATABASE_PASSWORD = "DATABASE_OWNER_PASSWORD"
"""
SLOW = """#!/bin/sh
# A systemctl that keeps states waiting while there is a file `hold`, and nobody else.
if grep -q run_states /proc/$PPID/cmdline; then
    if [ -e /root/hold ]; then touch /root/held; fi
    while [ -e /root/hold ]; do sleep 0.05; done
fi
exec /root/systemctl "$@"
"""


class Servers(Remote):
    """Servers that had nothing when they were switched on."""

    patience = 600.0

    @property
    def secrets(self) -> dict[str, str]:
        """Read what bootstrap made."""
        return secrets_file.read(self.path / ".env.fleet")

    def add(self, name: str) -> Machine:
        """Switch one more machine on, and put it into the environment file."""
        machine = self.fleet.add(name)
        self.file.write_text(f"{self.file.read_text()}\n{hosts({name: machine.address})}")
        return machine

    def highstate(self, *options: str, expect: int = 0) -> dict[str, dict[str, list[dict[str, str]]]]:
        """Run `fab highstate`; give what came of each host."""
        done = self.fab("highstate:fleet", "--json", *options, expect=expect)
        return {host["host"]: host for host in done.last["hosts"]}


@contextmanager
def switched_on(
    folder: Path,
    environment: str,
    names: Iterable[str],
    installed: Mapping[str, tuple[str, ...]] | None = None,
    pyproject: str = PYPROJECT,
) -> Iterator[Servers]:
    """Boot servers that are named after their roles, and describe them; `installed` are packages that a role has.

    The text of the environment file may name {access}, {lb} and {hosts}.
    """
    if reason := obstacle():
        pytest.skip(reason)
    sockets = Path(tempfile.mkdtemp(prefix="slb", dir="/tmp"))  # short: a socket's path may have 107 bytes
    with pytest.MonkeyPatch.context() as patch, machines.fleet(print, cached=PACKAGES) as fleet:
        patch.setenv("XDG_RUNTIME_DIR", str(sockets))
        checkout(folder, pyproject)
        addresses = {}
        for name in names:
            if installed:
                fleet.lower = layers.lower(print, installed[name.rstrip("0123456789")])
            addresses[name] = fleet.add(name).address
        given = access.write(fleet, folder / "access")
        text = environment.format(access=given, lb=addresses["lb1"], hosts=hosts(addresses), **addresses)
        (folder / "deploy/environments/fleet.toml").write_text(text)
        settings = {"XDG_RUNTIME_DIR": str(sockets)}
        made = Servers(folder, fleet, contracts.parse(pyproject), "", settings)
        try:
            yield made
        finally:
            made.hang_up()
            shutil.rmtree(sockets)


@contextmanager
def reference(folder: Path, environment: str, names: Iterable[str], db: tuple[str, ...] = ()) -> Iterator[Servers]:
    """Boot servers, set them up and deploy the real application to them.

    What states install is there beforehand, and `db` on the database's server: other tests begin with nothing.
    """
    release = releases.base()
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    installed = {**INSTALLED, "db": (*INSTALLED["db"], *db)}
    with switched_on(folder, environment, names, installed, pyproject) as made:
        (folder / "dist").mkdir()
        (folder / "dist" / release.path.name).symlink_to(release.path)
        made.fab("bootstrap:fleet")
        made.deploy(release.version)
        made.bundle = made.secrets["TLS_CERTIFICATE"]
        yield made


@contextmanager
def held(machine: Machine) -> Iterator[Path]:
    """Let states that ask systemd wait while the file is there that this gives."""
    hold = machine.root / "root/hold"
    machine.run("cp /usr/bin/systemctl /root/systemctl")
    Servers.write(machine, {"/root/slow": SLOW})
    machine.run("chmod +x /root/slow && mount --bind /root/slow /usr/bin/systemctl")
    hold.touch()
    try:
        yield hold
    finally:
        hold.unlink(missing_ok=True)
        machine.run("umount --lazy /usr/bin/systemctl; rm -f /root/held /root/slow /root/systemctl")
