"""A machine's cable to the bridge of its fleet: cut, made slow, mended.

A slow one leads through a relay. Its ends are links of this computer, which must keep silent on them: it would answer
for its own addresses past the relay.

    machine host0 = vb-... (relay) vd-... = vc-... bridge
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.fleet import processes
from deploy.fleet.base import MachineError
from deploy.fleet.network import Network, do

RELAY = Path(__file__).parent / "relay.py"
START = 30.0  # seconds until a relay must carry; a tenth of one is usual


@dataclass(frozen=True)
class Slowness:
    """What a slow cable does to frames, in each direction."""

    delay: float = 0.0  # seconds
    rate: float = 0.0  # bytes a second; 0 is as fast as it goes
    loss: float = 0.0  # share of frames, from 0 to 1

    def __str__(self) -> str:
        """Write it for a person: `50 ms, 1000 kbit/s, 1 % lost`."""
        parts = (
            f"{self.delay * 1000:g} ms" if self.delay else "",
            f"{self.rate * 8 / 1000:g} kbit/s" if self.rate else "",
            f"{self.loss * 100:g} % lost" if self.loss else "",
        )
        return ", ".join(filter(None, parts)) or "as it is"


@dataclass(frozen=True)
class Cable:
    """The cable of the machine whose folder and unique name are given."""

    folder: Path
    unique: str
    network: Network

    @property
    def outer(self) -> str:
        """The link that nspawn makes: the machine's `host0` ends here."""
        return f"vb-{self.unique}"

    @property
    def _ends(self) -> tuple[str, str]:
        return f"vc-{self.unique}", f"vd-{self.unique}"

    @property
    def _marker(self) -> Path:
        return self.folder / "relay"

    def cut(self) -> None:
        """Let nothing through, in either direction; connections hang."""
        self.network.cut((self.outer, self._ends[0]))

    def mend(self) -> None:
        """Let everything through again, at once."""
        self.quicken()
        self.network.mend((self.outer, self._ends[0]))

    def is_cut(self) -> bool:
        """Tell whether nothing gets through."""
        return self.outer in self.network.cuts()

    def slow(self, slowness: Slowness) -> None:
        """Delay, limit or lose what goes through, until it is mended or the machine is switched on anew.

        Raises: MachineError.
        """
        self.quicken()
        if not _exists(self.outer):
            raise MachineError(f"{self.outer} is not there: the machine is switched off", hint="boot it")
        near, far = self._ends
        do("ip", "link", "add", near, "type", "veth", "peer", "name", far)
        for link in (self.outer, near, far):
            conf = Path("/proc/sys/net")
            (conf / f"ipv4/conf/{link}/arp_ignore").write_text("8\n", encoding="ascii")  # answer for no address
            with suppress(FileNotFoundError):
                (conf / f"ipv6/conf/{link}/disable_ipv6").write_text("1\n", encoding="ascii")
            do("ip", "link", "set", link, "up")
        self._relay(slowness, far)
        do("ip", "link", "set", self.outer, "nomaster")
        do("ip", "link", "set", near, "master", self.network.bridge)

    def _relay(self, slowness: Slowness, far: str) -> None:
        """Start the relay, and wait until it carries."""
        log = self.folder / "relay.log"
        log.unlink(missing_ok=True)
        numbers = (slowness.delay, slowness.rate, slowness.loss)
        relay = processes.spawn([sys.executable, "-I", str(RELAY), self.outer, far, *map(str, numbers)], log)
        known = processes.identity(relay)
        self._marker.write_text(json.dumps({"process": known, **asdict(slowness)}), encoding="ascii")
        end = time.monotonic() + START
        while "ready" not in (said := log.read_text(encoding="utf-8") if log.exists() else ""):
            if processes.identity(relay) is None or time.monotonic() > end:
                self.quicken()
                raise MachineError(f"the relay of {self.outer} did not start", problems=tuple(said.splitlines()[-8:]))
            time.sleep(0.01)

    def quicken(self) -> None:
        """Take the relay away again."""
        described = self._described()
        if described:
            processes.kill(described["process"])
            self._marker.unlink()
        if _exists(self._ends[0]):
            do("ip", "link", "delete", self._ends[0])
            with suppress(MachineError):  # it is gone, or goes at this moment: the machine is off
                do("ip", "link", "set", self.outer, "master", self.network.bridge)

    def unplug(self) -> None:
        """Take away what is left of the cable of a machine that is off.

        The kernel does so when it has time; who boots the machine before finds that the link exists already.
        """
        self.quicken()
        with suppress(MachineError):
            if _exists(self.outer):
                do("ip", "link", "delete", self.outer)

    def slowness(self) -> Slowness | None:
        """Say how slow it is; None when it is not."""
        described = self._described()
        if described and processes.alive(described.pop("process")):
            return Slowness(**described)
        return None

    def _described(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._marker.read_text(encoding="ascii")))
        except (FileNotFoundError, ValueError):  # none, or a run before was killed while it wrote
            return {}


def _exists(link: str) -> bool:
    return Path(f"/sys/class/net/{link}").exists()
