"""Set machines up by hand, as Salt would: for tests and benches that are about something else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deploy import haproxy
from deploy.artifacts import agent as builder
from deploy.artifacts import units
from deploy.balancer import SWITCH
from deploy.contract import Contract
from deploy.fleet.machines import Machine

EVERY = """
set -e
systemd-sysusers {name}.conf
systemd-tmpfiles --create {name}.conf
useradd --create-home --shell /bin/sh deploy
install -d -o deploy -m 700 ~deploy/.ssh
install -o deploy -m 600 ~root/.ssh/authorized_keys ~deploy/.ssh/authorized_keys
chmod 440 /etc/sudoers.d/{name}
visudo --check --quiet
systemctl daemon-reload
"""
SERVES = "systemctl --quiet enable {name}.service"
BALANCES = f"touch /var/lib/haproxy/server-state {SWITCH}; systemctl restart haproxy"
CONFIG = "/etc/haproxy/haproxy.cfg"


def install(machine: Machine, contract: Contract, scratch: Path) -> None:
    """Put agent and units on a machine, and the user who calls the agent: whoever logs in as root may be that one."""
    zipapp = scratch / "releasectl"
    builder.write(zipapp)
    machine.push(zipapp, f"/usr/lib/{contract.name}/releasectl", 0o755)
    write(machine, units.sudoers(contract) | units.render(contract))
    machine.run(EVERY.format(name=contract.name))


def serve(machine: Machine, contract: Contract) -> None:
    """Let a machine start at boot what is deployed to it."""
    machine.run(SERVES.format(name=contract.name))


def balance(machine: Machine, config: str, more: Mapping[str, str] | None = None) -> None:
    """Start HAProxy on a machine with this configuration, and what `more` files it names."""
    pages = {f"/etc/haproxy/errors/{p.name}": p.read_text() for p in (haproxy.TEMPLATES / haproxy.PAGES).iterdir()}
    write(machine, {**pages, CONFIG: config, **(more or {})})
    machine.run(BALANCES)


def write(machine: Machine, texts: Mapping[str, str]) -> None:
    """Write files on a machine."""
    for place, text in texts.items():
        target = machine.root / place[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
