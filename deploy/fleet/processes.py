"""Which process is which: a number alone may belong to another one by now."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path


def identity(pid: int) -> str | None:
    """Name a living process for good: boot, number, start time; None when it is gone, or but a zombie."""
    fields = _fields(pid)
    return None if fields is None or fields[0] in "ZX" else _name(pid, fields)


def present(known: str) -> bool:
    """Tell whether the process of that identity still has a place in the table: it lives, or is a zombie."""
    words = known.split()
    fields = _fields(int(words[1])) if len(words) == 3 else None
    return fields is not None and _name(int(words[1]), fields) == " ".join(words)


def _fields(pid: int) -> list[str] | None:
    """Read /proc/PID/stat from the state on (field 3): a program's name before it may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _name(pid: int, fields: list[str]) -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {pid} {fields[19]}"


def alive(known: str) -> bool:
    """Tell whether the process of that identity still lives."""
    words = known.split()
    return len(words) == 3 and identity(int(words[1])) == " ".join(words)


def init_of(nspawn: int) -> int | None:
    """Find a machine's first process: the child of systemd-nspawn that is number 1 in a namespace of its own."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text(encoding="ascii").split():
            for line in Path(f"/proc/{child}/status").read_text(encoding="utf-8", errors="replace").splitlines():
                words = line.split()
                if words[0] == "NSpid:" and len(words) > 2 and words[-1] == "1":
                    return int(child)
    return None


def kill(known: str, patience: float = 10.0) -> bool:
    """Kill a process that is still the one meant, and wait until it is gone; say whether it is."""
    end = time.monotonic() + patience
    pid = int(known.split()[1])
    while alive(known):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return _reap(known, end)


def _reap(known: str, end: float) -> bool:
    """Take a dead child of ours out of the table: it would stay as a zombie for as long as we live."""
    while present(known):
        try:
            os.waitpid(int(known.split()[1]), os.WNOHANG)
        except ChildProcessError:  # another's child: its parent sees to it
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
