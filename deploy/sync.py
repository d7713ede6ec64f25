"""Content-addressed sync: the files that a host lacks, as one tar stream whose members are named by their sha256."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import threading
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")

PINNED = 315532800  # 1980-01-01: the time of every file of a release, see deploy/artifacts/files.py
BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
CHUNK = 1 << 20


def contents(manifest: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """Map each content of a release, by sha256, to one path that has it and its size in bytes."""
    return {f["sha256"]: (f["path"], f["size"]) for f in manifest["files"] if "sha256" in f}


def length(sizes: Iterable[int]) -> int:
    """Tell how many bytes `stream` yields for files of these sizes: the agent is told before the payload comes."""
    return sum(BLOCK + -(-size // BLOCK) * BLOCK for size in sizes) + len(END)


def stream(tree: Path, files: Mapping[str, tuple[str, int]], hashes: Iterable[str]) -> Iterator[bytes]:
    """Yield a tar archive of the files with these hashes, read from the release tree."""
    for sha256 in hashes:
        path, size = files[sha256]
        member = tarfile.TarInfo(sha256)
        member.size = size
        yield member.tobuf(tarfile.USTAR_FORMAT)
        with (tree / path).open("rb") as file:
            left = size
            while left:
                # A file that shrank meanwhile would leave the agent waiting; zeros make it a hash mismatch instead.
                chunk = file.read(min(CHUNK, left)) or bytes(min(CHUNK, left))
                left -= len(chunk)
                yield chunk
        yield bytes(-size % BLOCK)
    yield END


class Archives(Generic[T]):
    """Compressed streams of one release: made once for all hosts that lack the same of it.

    gzip at its fastest makes a third of a release, at 100 MB/s. So it pays on any link below half a gigabit a second,
    and from two hosts on below a whole one (docs/decisions/0015-openssh-as-a-subprocess.md).
    """

    def __init__(self, stream: Callable[[Sequence[T]], Iterator[bytes]]) -> None:
        self._stream = stream
        self._made: dict[tuple[T, ...], int] = {}  # descriptors of files that have no name
        self._lock = threading.Lock()

    def of(self, lacking: Sequence[T]) -> tuple[int, Iterator[bytes]]:
        """Give the length and the bytes of the compressed stream of what is lacking."""
        with self._lock:
            if tuple(lacking) not in self._made:
                self._made[tuple(lacking)] = self._make(lacking)
        descriptor = self._made[tuple(lacking)]
        size = os.fstat(descriptor).st_size
        # Its position is nobody's, so hosts read side by side; `self` stays as long as somebody reads.
        return size, (os.pread(self._made[tuple(lacking)], CHUNK, at) for at in range(0, size, CHUNK))

    def _make(self, lacking: Sequence[T]) -> int:
        engine = zlib.compressobj(1, wbits=31)
        with tempfile.TemporaryFile() as file:
            for chunk in self._stream(lacking):
                file.write(engine.compress(chunk))
            file.write(engine.flush())
            file.flush()
            descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, descriptor)
        return descriptor


def expose_altered(tree: Path, files: Mapping[str, tuple[str, int]], hashes: Iterable[str]) -> None:
    """Give files whose bytes are not what their name says another time, so that the next build makes them anew.

    A build looks at size and time only; a bad disk changes neither.
    """
    for sha256 in hashes:
        path = tree / files[sha256][0]
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            os.utime(path, (PINNED + 1, PINNED + 1))
