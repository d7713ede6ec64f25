"""A private network for one fleet: a bridge of its own, and the way out by address translation."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.fleet.base import PATH, MachineError

BITS = 24
KINDS = ("ip", "bridge")
# Cuts are by name, on all that crosses the bridge: a machine that was booted anew is still cut off.
RULES = """
add table ip {table}
add chain ip {table} out {{ type nat hook postrouting priority srcnat; }}
flush chain ip {table} out
add rule ip {table} out ip saddr {subnet} oifname != {bridge} masquerade
add table bridge {table}
add set bridge {table} cut {{ type ifname; }}
add chain bridge {table} enter {{ type filter hook prerouting priority 0; }}
add chain bridge {table} leave {{ type filter hook postrouting priority 0; }}
flush chain bridge {table} enter
flush chain bridge {table} leave
add rule bridge {table} enter iifname @cut drop
add rule bridge {table} leave oifname @cut drop
"""


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

    def claim(self) -> bool:
        """Make the bridge; say whether it was not there yet, so that it is ours."""
        # An address of its own: else it takes the lowest of its machines', and changes as they come and go.
        own = f"02:53:4c:57:00:{self.number:02x}"
        with suppress(MachineError):
            do("ip", "link", "add", self.bridge, "address", own, "type", "bridge")
            return True
        return False

    def up(self) -> None:
        """Give the bridge its address, the way out and the rules for cuts; what is there already stays."""
        do("ip", "address", "replace", f"{self.gateway}/{BITS}", "dev", self.bridge)
        do("ip", "link", "set", self.bridge, "up")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n", encoding="ascii")
        do("nft", RULES.format(table=self.table, subnet=self.subnet, bridge=self.bridge))

    def down(self) -> None:
        """Remove what `up` made, or what a killed fleet left."""
        if Path(f"/sys/class/net/{self.bridge}").exists():
            do("ip", "link", "delete", self.bridge)
        # Adding first makes deleting right whether it was there or not (nft(8)).
        do("nft", "; ".join(f"add table {kind} {self.table}; delete table {kind} {self.table}" for kind in KINDS))

    def taken(self) -> bool:
        """Tell whether somebody else uses these addresses, or this bridge."""
        if Path(f"/sys/class/net/{self.bridge}").exists():
            return True
        routes = subprocess.run(
            ["ip", "-4", "route", "show", "root", self.subnet], capture_output=True, text=True, check=False,
            env={"PATH": PATH},
        ).stdout  # fmt: skip
        return bool(routes.strip())

    def cut(self, links: Sequence[str]) -> None:
        """Let nothing through links any more, in either direction; also not after they were made anew."""
        do("nft", f"add element bridge {self.table} cut {{ {', '.join(map(quoted, links))} }}")

    def mend(self, links: Sequence[str]) -> None:
        """Let everything through links again."""
        self.cut(links)  # nft refuses to delete what is not there
        do("nft", f"delete element bridge {self.table} cut {{ {', '.join(map(quoted, links))} }}")

    def cuts(self) -> set[str]:
        """Name the links that are cut."""
        described = json.loads(do("nft", "--json", "list", "set", "bridge", self.table, "cut"))
        return {link for part in described["nftables"] for link in part.get("set", {}).get("elem", ())}


def quoted(word: str) -> str:
    """Quote a name for nft."""
    return f'"{word}"'


def do(*command: str) -> str:
    """Run a command of this computer.

    Raises: MachineError with what it said.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": PATH}, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise MachineError(f"{' '.join(command)}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout
