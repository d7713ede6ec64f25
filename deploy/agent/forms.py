"""What this server needs for each form of a release, and does not have."""

from __future__ import annotations

import os

from deploy.agent.docker import Engine
from deploy.agent.generations import PATH


def missing() -> dict[str, list[str]]:
    """List what is missing, by form; `repository` is an rpm that this server's own dnf fetches."""
    engine = Engine()
    return {
        "rpm": _absent("rpm"),
        "repository": _absent("rpm", "dnf"),
        "image": [] if engine.answers() else [f"a Docker engine that answers at {engine.address}"],
    }


def _absent(*programs: str) -> list[str]:
    return [program for program in programs if not any(map(_runs, (f"{place}/{program}" for place in PATH.split(":"))))]


def _runs(path: str) -> bool:
    return os.access(path, os.X_OK) and not os.path.isdir(path)
