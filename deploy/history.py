"""What the ledgers say of past rollouts: one entry a rollout, from whichever hosts have a part of it. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deploy.errors import Exit

BY_ITSELF = "releasectl"  # who did it, where no deployer did
# Tasks that leave every host the generation that it runs.
UPKEEP = ("restart", "migrate", "contract", "drain", "restore", "backup", "maintenance on", "maintenance off")


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
    before: int | None = None  # the generation that ran when it began
    overtaken: bool = False  # a later rollout began, so this one is at work no more
    limit: tuple[str, ...] = ()  # the hosts that it was limited to; none named: it was about all

    @property
    def outcome(self) -> str:
        """Say in words how it ended."""
        if self.exit is None:
            return "killed" if self.overtaken else "no end: still at work, or killed"
        return next((e.name.lower().replace("_", " ") for e in Exit if e == self.exit), f"exit {self.exit}")

    @property
    def what(self) -> str:
        """Say what was asked for."""
        return f"{self.task} --limit {','.join(self.limit)}" if self.limit else self.task

    @property
    def summary(self) -> str:
        """Say in a few words what was done, by whom, and how it ended."""
        what = f"{self.what} of {self.version}" if self.version else self.what
        took = f" in {self.seconds:.1f} s" if self.seconds is not None else ""
        return f"{what} by {self.by}: {self.outcome}{took}"


def rollouts(ledgers: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[Past]:
    """Put the ledgers of all hosts together, newest first."""
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for host, entries in ledgers.items():
        for entry in entries:
            if entry.get("kind") == "rollout" and entry.get("rollout"):
                found.setdefault(str(entry["rollout"]), []).append((host, entry))
    past = sorted((_past(name, parts) for name, parts in found.items()), key=lambda past: -past.begun)
    return [replace(entry, overtaken=number > 0) for number, entry in enumerate(past)]


def unfinished(past: Sequence[Past]) -> Past | None:
    """Find the rollout, of those given newest first, that has to be gone on with or taken back.

    What came after it counts only when it brought the hosts to something: not when nothing changed, and not when it
    looks after what runs. A rollout that another deployer took the lease from has no end of its own either.
    """
    open_ones = []
    for entry in past:
        if entry.exit in (None, Exit.LEASE_HELD):
            open_ones.append(entry)
        elif entry.task not in UPKEEP and entry.exit != Exit.FAILED_UNCHANGED:
            break
    return next((entry for entry in open_ones if entry.task not in UPKEEP), next(iter(open_ones), None))


def on_purpose(past: Sequence[Past]) -> Past | None:
    """Find the limited rollout, of those given newest first, that lets hosts run different things since then.

    None where it, or one before it, left them so without being asked to.
    """
    meant = None
    for entry in past:
        if entry.task in UPKEEP or entry.exit == Exit.FAILED_UNCHANGED:
            continue
        if entry.exit not in (Exit.OK, Exit.FAILED_ROLLED_BACK):
            return None
        if not entry.limit:
            return meant
        meant = meant or (entry if entry.exit == Exit.OK else None)
    return meant


def last_step(entries: Iterable[Mapping[str, Any]]) -> str:
    """Name the step of a rollout that a ledger speaks of last: `switch web1`; empty when none had begun."""
    steps = [entry for entry in entries if entry.get("kind") != "rollout" and entry.get("host")]
    newest = max(steps, key=lambda entry: float(entry.get("time", 0.0)), default=None)
    if newest is None:
        return ""
    failed = ", which failed" if newest.get("phase") == "failed" else ""
    return f"{newest['kind']} {newest['host']}{failed}"


def came_back(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the servers that a load balancer put back into service by itself (deploy/agent/restoring.py)."""
    return sorted({str(e["host"]) for e in entries if e.get("kind") == "restore" and e.get("by") == BY_ITSELF})


def describe(past: Past, last: str, now: float | None = None) -> str:
    """Say which rollout it is, whose, since when, and how far it came."""
    begun, today = time.localtime(past.begun), time.localtime(now)
    same_day = begun[:3] == today[:3]
    when = time.strftime("%H:%M" if same_day else "%Y-%m-%d %H:%M", begun)
    what = f"{past.what} of {past.version} as generation {past.generation}"
    return f"rollout {past.rollout} ({what}), by {past.by}, began {when}, last step: {last or 'none'}"


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
        before=first.get("before"),
        limit=tuple(map(str, first.get("limit") or ())),
    )
