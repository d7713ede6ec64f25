"""Servers that this load balancer keeps out of service: why, and for whom. HAProxy knows states and no reasons."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.agent import files
from deploy.agent.errors import BadRequest
from deploy.agent.layout import Layout

# rollout: until its deployer restores it, or has vanished; person: until somebody restores it; fenced: it could not be
# reached, and comes back when it runs what all run; left: a rollout failed, and a person has to look.
WHY = ("rollout", "person", "fenced", "left")
LASTING = ("person", "fenced")  # a rollout that takes such a server in its turn and vanishes has not made it fit
KEYS = ("why", "rollout", "by", "since")
_STATE = re.compile(r"set server [^/]+/(\S+) state (ready|drain|maint)")

Holds = dict[str, dict[str, Any]]


def read(layout: Layout) -> Holds:
    """Read which servers are held, and why; a damaged file holds nobody (HAProxy's states stay as they are)."""
    try:
        found = json.loads(layout.holds.read_bytes())
        return {str(server): dict(hold) for server, hold in found.items() if hold["why"] in WHY}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write(layout: Layout, holds: Holds) -> None:
    """Keep it, also for the next boot. Only for who holds the lock of the lease."""
    # Not through tmp/: whoever holds the main lock may be sweeping it.
    files.atomic_write(layout.holds, json.dumps(holds, sort_keys=True).encode() + b"\n", tmp=layout.holds.parent)


def checked(hold: Any) -> dict[str, Any] | None:
    """Check the `hold` of a request.

    Raises: BadRequest bad-argument.
    """
    if hold is None:
        return None
    if not isinstance(hold, dict) or hold.get("why") not in WHY or set(hold) - set(KEYS):
        raise BadRequest("bad-argument", "`hold` does not say why", expected=f"why: {', '.join(WHY)}", got=str(hold))
    return {"rollout": "", "by": "", **hold, "since": time.time()}


def after(holds: Holds, commands: Sequence[str], hold: Mapping[str, Any] | None) -> Holds:
    """Say who is held once these commands have been carried out: `ready` frees, `drain` and `maint` hold. Pure."""
    held = dict(holds)
    for command in commands:
        match = _STATE.fullmatch(command)
        if match is None:
            continue
        server, state = match[1], match[2]
        if state == "ready":
            held.pop(server, None)
        elif hold is not None and not (hold["why"] == "rollout" and held.get(server, {}).get("why") in LASTING):
            held[server] = dict(hold)
    return held


def of_vanished(holds: Holds) -> list[str]:
    """List the servers that come back by themselves when nobody holds the lease any more. Pure."""
    return sorted(server for server, hold in holds.items() if hold["why"] == "rollout")


def fenced(holds: Holds) -> list[str]:
    """List the servers that get no request until they run what all run. Pure."""
    return sorted(server for server, hold in holds.items() if hold["why"] == "fenced")
