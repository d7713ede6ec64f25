"""Effects on files that survive a crash: build aside, fsync, rename."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.agent.errors import AgentError

_serial = itertools.count()


def scratch(tmp: Path, what: str) -> Path:
    """Name a path under tmp/ that nothing else uses."""
    return tmp / f"{what}.{os.getpid()}.{next(_serial)}"


def fsync_directory(path: Path) -> None:
    """Make the renames in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_filesystem(path: Path) -> None:
    """Bring everything written to the file system of `path` to disk: one call for thousands of files."""
    import ctypes

    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    except AttributeError:  # a C library without syncfs
        os.sync()
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a new file and bring it to disk; it is never readable with a wider mode than asked."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def atomic_write(path: Path, data: bytes, *, tmp: Path, mode: int = 0o644) -> None:
    """Replace a file whole: a reader, or the next boot, sees the old bytes or the new ones."""
    aside = scratch(tmp, path.name)
    write_file(aside, data, mode)
    os.rename(aside, path)
    fsync_directory(path.parent)


def atomic_symlink(path: Path, target: str, *, tmp: Path) -> None:
    """Point a symbolic link somewhere else without a moment in which it is absent."""
    aside = scratch(tmp, path.name)
    os.symlink(target, aside)
    os.rename(aside, path)
    fsync_directory(path.parent)


def remove_tree(path: Path, *, tmp: Path) -> None:
    """Remove a directory: out of sight first, so that a half-removed one is never seen."""
    aside = scratch(tmp, "removed")
    os.rename(path, aside)
    clear(aside)


def clear(path: Path | str) -> None:
    """Remove a directory of our own with all that is in it."""
    import shutil  # here: with its compressors it would cost each start 3 ms

    shutil.rmtree(path, ignore_errors=True)


def sweep(tmp: Path) -> None:
    """Remove what a killed agent left under tmp/, if that is there. Only for who holds the lock."""
    if not tmp.exists():
        return
    with os.scandir(tmp) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                clear(entry.path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.path)


def remove(path: Path) -> None:
    """Unlink a file that may be absent."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@contextlib.contextmanager
def locked(path: Path, *, timeout: float, what: str) -> Iterator[int]:
    """Hold an exclusive lock on a file, which names its holder while held; gives the descriptor that holds it.

    Raises: AgentError busy after `timeout` seconds.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = os.pread(descriptor, 200, 0).decode("ascii", "replace").strip()
                    raise AgentError(
                        "busy",
                        f"another agent is at work here: {holder or 'unknown'} (waited {timeout:g} s)",
                        hint="wait until it is done, or see `status`",
                    ) from None
                time.sleep(0.02)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{what}, pid {os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)
