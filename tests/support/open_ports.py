"""What listens on servers, and what docs/reference/ports.md says of it."""

from __future__ import annotations

import re

from deploy.fleet.machines import Machine
from tests.support.repository import ROOT

PAGE = ROOT / "docs/reference/ports.md"


def rows() -> list[tuple[set[str], set[str], str]]:
    """Read the page: roles, places, who gets through."""
    found = re.findall(r"^\| ([a-z, ]+) \| (`.*?`) \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [(set(roles.split(", ")), set(places.split("`")[1::2]), who) for roles, places, who in found]


def role(host: str) -> str:
    """Name the role of a host that is named after it."""
    return host.rstrip("0123456789")


def documented(host: str) -> set[str]:
    """Where a host listens, as the page says."""
    return {place for roles, places, _ in rows() if {role(host), "every"} & roles for place in places}


def listening(machine: Machine) -> set[str]:
    """List where a machine takes connections, its own address written as ADDRESS."""
    said = machine.run("ss --listening --tcp --numeric --no-header").stdout
    places = {line.split()[3] for line in said.splitlines()}
    return {re.sub(rf"^{re.escape(machine.address)}:", "ADDRESS:", place) for place in places}
