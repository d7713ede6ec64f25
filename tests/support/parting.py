"""A partition between two machines, or a machine and its operator: packets are dropped where they would come in."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.fleet.machine import Machine

TABLE = "parting"


def nft(machine: Machine, text: str) -> None:
    """Change the packet filter of a machine's network, whatever the machine has of its own."""
    command = ["nsenter", "--target", str(machine.pid), "--net", "nft", "-f", "-"]
    subprocess.run(command, input=text, text=True, check=True, capture_output=True)


@contextmanager
def parted(machine: Machine, other: str, port: int | None = None) -> Iterator[None]:
    """Drop what comes from the other address, and what goes there; with a port, only what comes for that."""
    what = f"tcp dport {port}" if port else "meta l4proto { tcp, udp, icmp }"
    there = "" if port else f"ip daddr {other} drop;"
    nft(
        machine,
        f"table inet {TABLE} {{\n"
        f"  chain in {{ type filter hook input priority -200; ip saddr {other} {what} drop; }}\n"
        f"  chain out {{ type filter hook output priority -200; {there} }}\n"
        "}\n",
    )
    try:
        yield
    finally:
        nft(machine, f"delete table inet {TABLE}\n")
