"""Which process is which: a number alone may belong to another one by now."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from deploy.fleet.base import PATH


def identity(pid: int) -> str | None:
    """Name a living process for good: boot, number, start time; None when it is gone, or but a zombie."""
    fields = _fields(pid)
    return None if fields is None or fields[0] in "ZX" else _name(pid, fields)


def present(known: str) -> bool:
    """Tell whether the process of that identity still has a place in the table: it lives, or is a zombie."""
    words = known.split()
    fields = _fields(int(words[1])) if len(words) == 3 else None
    return fields is not None and _name(int(words[1]), fields) == " ".join(words)


def name(pid: int) -> str:
    """Give the name of what a process runs, cut after 15 characters; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


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


def spawn(command: list[str], output: Path) -> int:
    """Start a program that outlives this one, in a session of its own; what it says is added to a file."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(command[0], command, {"PATH": PATH}, file_actions=actions, setsid=True)


def init_of(keeper: int) -> int | None:
    """Find a machine's first process: number 1 of a namespace of its own, below systemd-nspawn, below its keeper."""
    for nspawn in _children(keeper):
        for child in _children(nspawn):
            with suppress(FileNotFoundError, ProcessLookupError):
                status = Path(f"/proc/{child}/status").read_text(encoding="utf-8", errors="replace")
                numbers = status.partition("NSpid:")[2].partition("\n")[0].split()
                if len(numbers) > 1 and numbers[-1] == "1":
                    return child
    return None


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def kill(known: str, patience: float = 10.0) -> bool:
    """Kill a process that is still the one meant, and wait until it is gone; say whether it is."""
    end = time.monotonic() + patience
    if len(known.split()) != 3:  # whoever wrote it was killed meanwhile, or it was gone before it could be named
        return True
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
