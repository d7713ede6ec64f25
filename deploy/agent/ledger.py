"""The ledger: an append-only record of rollouts, one JSON object a line, on disk before it counts."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any

from deploy.agent import files
from deploy.agent.errors import BadRequest
from deploy.agent.layout import Layout

KEYS = (
    "time",
    "rollout",
    "step",
    "phase",
    "kind",
    "host",
    "generation",
    "version",
    "by",
    "detail",
    "seconds",
    "steps",  # of a rollout: what it plans to do, as [kind, host]
    "exit",  # of a rollout: its exit code
    "before",  # of a rollout: the generation that ran when it began
    "limit",  # of a rollout: the hosts that it is limited to
)
PHASES = ("begin", "end", "failed")


def complete(entry: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Fill in time and host, and check an entry.

    Raises: BadRequest bad-entry.
    """
    full = {"time": time.time(), "host": socket.gethostname(), **entry, **more}
    unknown = sorted(set(full) - set(KEYS))
    if unknown:
        raise BadRequest(
            "bad-entry", f"a ledger entry has unknown keys: {', '.join(unknown)}", expected=", ".join(KEYS)
        )
    if full.get("phase") not in PHASES:
        raise BadRequest(
            "bad-entry", "a ledger entry has no valid phase", expected=", ".join(PHASES), got=str(full.get("phase"))
        )
    return {key: full[key] for key in KEYS if key in full}


def append(layout: Layout, entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Write entries to disk, all or (after a crash) at worst the last one torn."""
    full = [complete(entry) for entry in entries]
    if not full:
        return full
    data = "".join(json.dumps(entry, ensure_ascii=True, separators=(",", ":")) + "\n" for entry in full).encode()
    new = not layout.ledger.exists()
    descriptor = os.open(layout.ledger, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            data = b"\n" + data  # a line torn by a crash stays alone
        file.write(data)
        os.fsync(descriptor)
    if new:
        files.fsync_directory(layout.ledger.parent)
    return full


def tail(layout: Layout, count: int, kind: str | None = None, rollout: str | None = None) -> list[dict[str, Any]]:
    """Read the newest entries, of one kind or rollout when it is named, oldest first; torn lines are left out."""
    if count <= 0:
        return []
    try:
        with layout.ledger.open("rb") as file:
            # Entries of one kind are few among the others: the whole of a ledger is read in milliseconds.
            some = kind is None and rollout is None
            lines = _last_lines(file.fileno(), count) if some else file.read().split(b"\n")
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and kind in (None, entry.get("kind")) and rollout in (None, entry.get("rollout")):
            found.append(entry)
    return found[-count:]


def _last_lines(descriptor: int, count: int) -> list[bytes]:
    position = os.fstat(descriptor).st_size
    data = b""
    while position and data.count(b"\n") <= count + 1:
        step = min(1 << 16, position)
        position -= step
        data = os.pread(descriptor, step, position) + data
    lines = data.split(b"\n")
    return lines if position == 0 else lines[1:]
