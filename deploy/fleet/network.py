"""A private network for one fleet: a bridge of its own, and the way out by address translation."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.fleet.base import PATH, MachineError

BITS = 24


@dataclass(frozen=True)
class Network:
    """Slot `number` owns bridge `slw<number>` and 10.213.<number>.0/24."""

    number: int

    @property
    def bridge(self) -> str:
        return f"slw{self.number}"

    @property
    def table(self) -> str:
        return f"slipway{self.number}"

    @property
    def gateway(self) -> str:
        return self.address(1)

    @property
    def subnet(self) -> str:
        return f"{self.address(0)}/{BITS}"

    def address(self, host: int) -> str:
        """Give the address of a host by its number: 1 is this computer, machines begin at 2."""
        return f"10.213.{self.number}.{host}"

    def up(self) -> None:
        """Make bridge and translation."""
        do("ip", "link", "add", self.bridge, "type", "bridge")
        do("ip", "address", "add", f"{self.gateway}/{BITS}", "dev", self.bridge)
        do("ip", "link", "set", self.bridge, "up")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n", encoding="ascii")
        chain = f"{self.table} out"
        do(
            "nft",
            f"add table ip {self.table}; add chain ip {chain} {{ type nat hook postrouting priority srcnat; }}; "
            f"add rule ip {chain} ip saddr {self.subnet} oifname != {self.bridge} masquerade",
        )

    def down(self) -> None:
        """Remove what `up` made, or what a killed fleet left."""
        if Path(f"/sys/class/net/{self.bridge}").exists():
            do("ip", "link", "delete", self.bridge)
        # Adding first makes deleting right whether it was there or not (nft(8)).
        do("nft", f"add table ip {self.table}; delete table ip {self.table}")

    def taken(self) -> bool:
        """Tell whether somebody else uses these addresses, or this bridge."""
        if Path(f"/sys/class/net/{self.bridge}").exists():
            return True
        routes = subprocess.run(
            ["ip", "-4", "route", "show", "root", self.subnet], capture_output=True, text=True, check=False,
            env={"PATH": PATH},
        ).stdout  # fmt: skip
        return bool(routes.strip())

    def attach(self, link: str, pid: int, address: str) -> None:
        """Give a machine whose first process is `pid` its address, and connect its end of the cable."""
        do("ip", "link", "set", link, "up")
        inside = ("nsenter", "--target", str(pid), "--net", "ip")
        do(*inside, "address", "replace", f"{address}/{BITS}", "dev", "host0")
        do(*inside, "link", "set", "host0", "up")
        do(*inside, "link", "set", "lo", "up")
        do(*inside, "route", "replace", "default", "via", self.gateway)


def do(*command: str) -> str:
    """Run a command of this computer.

    Raises: MachineError with what it said.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": PATH})
    if done.returncode != 0:
        raise MachineError(f"{' '.join(command)}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout
