"""What the ledgers say of past rollouts: one entry a rollout, from whichever hosts have a part of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.errors import Exit


@dataclass(frozen=True)
class Past:
    """A rollout that was: who did what, when, and how it ended. `exit` is None when nobody wrote down an end."""

    rollout: str
    task: str
    by: str
    begun: float
    version: str
    generation: int | None
    hosts: tuple[str, ...]
    steps: int
    exit: int | None = None
    seconds: float | None = None
    message: str = ""

    @property
    def outcome(self) -> str:
        """Say in words how it ended."""
        if self.exit is None:
            return "no end: still at work, or killed"
        return next((e.name.lower().replace("_", " ") for e in Exit if e == self.exit), f"exit {self.exit}")


def rollouts(ledgers: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[Past]:
    """Put the ledgers of all hosts together, newest first."""
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for host, entries in ledgers.items():
        for entry in entries:
            if entry.get("kind") == "rollout" and entry.get("rollout"):
                found.setdefault(str(entry["rollout"]), []).append((host, entry))
    return sorted((_past(name, parts) for name, parts in found.items()), key=lambda past: -past.begun)


def _past(name: str, parts: list[tuple[str, Mapping[str, Any]]]) -> Past:
    first = next((e for _, e in parts if e.get("phase") == "begin"), parts[0][1])
    last = next((e for _, e in parts if e.get("phase") in ("end", "failed")), {})
    return Past(
        rollout=name,
        task=str(first.get("detail") or "deploy"),
        by=str(first.get("by", "")),
        begun=min(float(e.get("time", 0.0)) for _, e in parts),
        version=str(first.get("version", "")),
        generation=first.get("generation"),
        hosts=tuple(dict.fromkeys(host for host, _ in parts)),
        steps=len(first.get("steps") or ()),
        exit=last.get("exit"),
        seconds=last.get("seconds"),
        message=str(last.get("detail") or ""),
    )
