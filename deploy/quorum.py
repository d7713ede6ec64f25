"""A lease of several hosts: who has most of them holds it. What a deployer knows of that, by its own clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


def majority(total: int) -> int:
    """Count the hosts of which no two deployers can both have so many."""
    return total // 2 + 1


def now() -> float:
    """Tell the time by a clock that goes on while this machine sleeps: a laptop that was closed holds nothing."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class Tally:
    """Until when each host keeps the lease for this deployer, at least.

    A host counts from when it was asked, we from before we asked: so we never believe in a lease that it has forgotten.
    """

    total: int
    ttl: float
    until: dict[str, float] = field(default_factory=dict)

    def granted(self, host: str, asked: float) -> None:
        """Note that a host gave or prolonged the lease; `asked` is when the question was sent."""
        self.until[host] = asked + self.ttl

    def refused(self, host: str) -> None:
        """Note that a host has given it to another."""
        self.until.pop(host, None)

    def held(self, at: float) -> bool:
        """Say whether most hosts keep it for us at a time."""
        return sum(until > at for until in self.until.values()) >= majority(self.total)
