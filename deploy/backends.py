"""Backends of the load balancer beside the project's own: requests that have places of their own at every web host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy.contract import Contract
from deploy.environment_model import BackendEntry, BalancerEntry, share


def of(contract: Contract, entry: BalancerEntry) -> dict[str, Any]:
    """Give what the configuration of HAProxy says of places: the project's own, and each other backend's. Pure."""
    longest, places = contract.max_request(entry), _places(contract.server.slots, entry.backends)
    backends = [
        {
            "name": f"{contract.name}.{name}",
            "paths": list(backend.paths),
            "names": list(backend.names),
            "slots": slots,
            "max_request": backend.max_request or longest,
        }
        for (name, backend), slots in zip(entry.backends.items(), places, strict=True)
    ]
    left = contract.server.slots - sum(places)
    return {"slots": max(1, left), "max_request": longest, "backends": backends}


def _places(total: int, backends: Mapping[str, BackendEntry]) -> list[int]:
    """Give each its share of a server's places, rounded down, and one at least."""
    return [max(1, int(total * share(backend.share))) for backend in backends.values()]


def is_of(proxy: str, name: str) -> bool:
    """Whether a proxy of HAProxy is the project's backend, or one beside it: no project has a dot in its name. Pure."""
    return proxy == name or proxy.startswith(name + ".")
