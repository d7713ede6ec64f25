"""Which process is which: a number alone may belong to another one by now."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path


def identity(pid: int) -> str | None:
    """Name a living process for good: boot, number, start time (field 22 of /proc/PID/stat); None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return None if fields[0] in "ZX" else f"{boot} {pid} {fields[19]}"


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
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child of ours would stay as a zombie for as long as we live
    return True
