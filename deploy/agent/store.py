"""The store: file contents by sha256, shared by all releases through hard links.

A content lies under `ab/cdef…` with mode 0444, or under `ab/cdef….x` with mode 0555 for executables, because hard links
share one mode. The mtime is pinned, so a later write shows without reading a byte.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from deploy.agent import files
from deploy.agent.layout import Layout
from deploy.agent.manifest import File

PINNED = 315532800  # 1980-01-01T00:00:00Z
PINNED_NS = (PINNED * 10**9, PINNED * 10**9)
PLAIN, EXECUTABLE = 0o444, 0o555


def mode_of(executable: bool) -> int:
    """Give the mode that a content has in the store and in releases."""
    return EXECUTABLE if executable else PLAIN


def path_of(store: str, sha256: str, executable: bool) -> str:
    """Locate a content in the store."""
    return f"{store}/{sha256[:2]}/{sha256[2:]}{'.x' if executable else ''}"


def untouched(status: os.stat_result, executable: bool, size: int | None) -> bool:
    """Tell from an lstat whether a content is as it was put there."""
    return (
        status.st_mode == stat.S_IFREG | mode_of(executable)
        and status.st_mtime_ns == PINNED_NS[0]
        and (size is None or status.st_size == size)
    )


def find(store: str, sha256: str, executable: bool, size: int | None = None) -> os.stat_result | None:
    """Look a content up; None when it is absent or was touched."""
    try:
        status = os.lstat(path_of(store, sha256, executable))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status if untouched(status, executable, size) else None


def missing(layout: Layout, hashes: Iterable[str]) -> list[str]:
    """List the hashes whose contents must be sent."""
    store = str(layout.store)
    return [sha for sha in hashes if find(store, sha, False) is None and find(store, sha, True) is None]


def lacking(store: str, wanted: Iterable[File]) -> list[str]:
    """List the hashes of files that the store can provide in neither mode."""
    return sorted(
        {
            file.sha256
            for file in wanted
            if find(store, file.sha256, file.executable, file.size) is None
            and find(store, file.sha256, not file.executable, file.size) is None
        }
    )


def put(store: str, aside: Path, sha256: str) -> bool:
    """Move a finished, synced file into the store; say whether it was needed."""
    if find(store, sha256, False) is not None:
        files.remove(aside)
        return False
    path = path_of(store, sha256, False)
    try:
        os.rename(aside, path)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.rename(aside, path)
    return True


def provide(layout: Layout, wanted: Iterable[File]) -> None:
    """See that each content is there in the mode it is wanted in: what is there in the other mode only gets a twin.

    The caller has seen with `lacking` that one of both is there.
    """
    import shutil  # here, as in `files`

    store = str(layout.store)
    needed = {path_of(store, file.sha256, file.executable): file for file in wanted}
    twins = {}
    for target, file in needed.items():
        if find(store, file.sha256, file.executable, file.size) is None:
            source = path_of(store, file.sha256, not file.executable)
            aside = files.scratch(layout.tmp, "twin")
            shutil.copyfile(source, aside)
            os.chmod(aside, mode_of(file.executable))
            os.utime(aside, ns=PINNED_NS)
            twins[target] = (aside, source)
    if twins:
        files.sync_filesystem(layout.tmp)
    for target, (aside, source) in twins.items():
        os.rename(aside, target)
        if source not in needed and os.lstat(source).st_nlink == 1:
            os.unlink(source)  # no release has it in that mode


def unreferenced(layout: Layout) -> list[tuple[str, int]]:
    """List the paths and sizes of contents that no release links to."""
    found = []
    with os.scandir(layout.store) as folders:
        for folder in folders:
            with os.scandir(folder.path) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if status.st_nlink == 1:
                        found.append((entry.path, status.st_size))
    return found


def discard(layout: Layout, sha256: str) -> None:
    """Remove a content in both modes, so that `missing` asks for it again."""
    for executable in (False, True):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path_of(str(layout.store), sha256, executable))
