"""The files of a release: written once, alike on every machine, and cheap to look after."""

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

MTIME = 315532800  # 1980-01-01: any later write shows, at the price of one lstat


class File(NamedTuple):
    """A file of a release."""

    path: str
    mode: int
    size: int
    sha256: str


def intact(folder: Path, files: Iterable[File]) -> bool:
    """Say whether files have their size, mode and pinned time: cheap, and any editor leaves a trace there."""
    start = f"{folder}/"
    try:
        for path, mode, size, _ in files:
            status = os.lstat(start + path)
            if status.st_mode != stat.S_IFREG | mode or status.st_size != size or status.st_mtime_ns != MTIME * 10**9:
                return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def write(root: Path, name: str, data: bytes, mode: int = 0o644) -> File:
    """Write a file as it is kept: its mode whatever the umask, its time pinned."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    os.utime(path, (MTIME, MTIME))
    return File(name, mode, len(data), hashlib.sha256(data).hexdigest())


def digest(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
