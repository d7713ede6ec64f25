"""Read /proc: who holds a file, who listens, whether a process is the one it was."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

PIDFD_OPEN, PIDFD_GETFD = 434, 438  # system calls, the same number on every architecture


def pids() -> Iterator[int]:
    """List the processes of this machine."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name)


def stat_fields(pid: int) -> list[str] | None:
    """Give the fields of /proc/PID/stat from the third (state) on; None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def start_time(pid: int) -> int | None:
    """Tell when a process started, in ticks since boot; with the pid it names a process for good. None for zombies."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def program(pid: int) -> str:
    """Tell which program a process was started as; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def leads_session(pid: int) -> bool:
    """Tell whether a process lives and leads a session of its own, as all that the agent starts do."""
    fields = stat_fields(pid)
    return fields is not None and fields[3] == str(pid)


def children(parent: int) -> list[int]:
    """List the living children of a process."""
    return _living(1, parent)


def group(leader: int) -> list[int]:
    """List the living members of a process group."""
    return _living(2, leader)


def _living(field: int, value: int) -> list[int]:
    found = []
    for pid in pids():
        fields = stat_fields(pid)
        if fields and int(fields[field]) == value and fields[0] not in "ZX":
            found.append(pid)
    return found


def memory(pid: int) -> int:
    """Tell how many bytes a process has for itself alone; 0 when it is gone."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def boot_id() -> str:
    """Identify this boot of this machine.

    Containers of one kernel share its id, and not their process numbers: the namespace of those belongs to it.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"


def command(pid: int) -> str:
    """Show a process's command line, shortened."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b" ".join(words).decode("utf-8", "replace").strip()[:120]
    return ""


def _descriptors(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            yield entry.path


def holders(path: Path) -> list[int]:
    """List the processes that have a file open, however it is called by now."""
    try:
        wanted = os.stat(path)
    except FileNotFoundError:
        return []
    found = []
    for pid in pids():
        if pid == os.getpid():
            continue
        for descriptor in _descriptors(pid):
            with contextlib.suppress(OSError):
                status = os.stat(descriptor)
                if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino):
                    found.append(pid)
                    break
    return found


def listening(port: int) -> set[str]:
    """Name the sockets that listen on a TCP port, as /proc/PID/fd links to them."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found


def descriptor_of(pid: int, sockets: set[str]) -> int | None:
    """Find the descriptor under which a process has one of these sockets."""
    for descriptor in _descriptors(pid):
        with contextlib.suppress(OSError):
            if os.readlink(descriptor) in sockets:
                return int(os.path.basename(descriptor))
    return None


def listener(port: int) -> str | None:
    """Describe the process that listens on a TCP port, as far as this user may see."""
    sockets = listening(port)
    for pid in pids() if sockets else ():
        if descriptor_of(pid, sockets) is not None:
            return f"pid {pid} ({command(pid)})"
    return "a process of another user" if sockets else None


def kill(pid: int, number: signal.Signals) -> None:
    """Signal a process that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def copy_descriptor(pid: int, descriptor: int) -> int:
    """Duplicate a descriptor of another process (pidfd_getfd(2)).

    Raises: OSError; EPERM where the kernel does not let this user (kernel.yama.ptrace_scope).
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.syscall(PIDFD_OPEN, pid, 0)
    if handle < 0:
        raise OSError(ctypes.get_errno(), "pidfd_open")
    try:
        copy = libc.syscall(PIDFD_GETFD, handle, descriptor, 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return int(copy)
    finally:
        os.close(handle)
