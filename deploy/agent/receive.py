"""Take file contents from a tar stream into the store."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from deploy.agent import files, store
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.manifest import SHA256_PATTERN

BLOCK = 512
CHUNK = 1 << 20
RESERVE = 16 << 20  # bytes that stay free: a full disk takes the app down as well


class Reader(Protocol):
    """A source of bytes; fewer than asked means the end."""

    def read(self, size: int, /) -> bytes: ...


class Payload:
    """Exactly `length` bytes of a stream: what is not read can be skipped, so that the next request is found."""

    def __init__(self, source: Reader, length: int) -> None:
        self._source = source
        self.left = length

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes.

        Raises: AgentError truncated when the stream ends before the payload does.
        """
        size = min(size, self.left)
        data = self._source.read(size) if size else b""
        self.left -= len(data)
        if len(data) < size:
            raise AgentError(
                "truncated", "the payload ended early", expected=f"{self.left} more bytes", got="the end of the input"
            )
        return data

    def skip(self) -> None:
        """Read to the end of the payload."""
        while self.left:
            self.read(CHUNK)


class Gunzip:
    """Decompress a payload without ever holding more than asked for."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._engine = zlib.decompressobj(wbits=31)
        self._ahead = b""

    def read(self, size: int, /) -> bytes:
        """Read up to `size` decompressed bytes."""
        data = b""
        try:
            while len(data) < size and not self._engine.eof:
                ahead = self._ahead or self._source.read(1 << 16)
                data += self._engine.decompress(ahead, size - len(data))
                self._ahead = self._engine.unconsumed_tail
                if not ahead:
                    raise AgentError("bad-payload", "the gzip stream ends early", hint="send it again")
        except zlib.error as error:
            raise AgentError("bad-payload", f"the payload is not gzip: {error}") from None
        return data


def receive(layout: Layout, source: Reader, encoding: str) -> dict[str, Any]:
    """Store every content of a tar stream. What was whole before an error is kept: the next try sends less."""
    reader: Reader = Gunzip(source) if encoding == "gzip" else source
    folder = files.scratch(layout.tmp, "receive")
    folder.mkdir()
    done: dict[str, Path] = {}
    size = 0
    try:
        while True:
            member = _header(reader)
            if member is None:
                break
            name, length = member
            done[name] = _content(layout, reader, name, length, folder)
            size += length
    finally:
        _keep(layout, folder, done)
    return {"files": len(done), "bytes": size}


def save(source: Payload, path: Path, sha256: str) -> None:
    """Write a payload to a file.

    Raises: AgentError hash-mismatch, truncated, disk-full.
    """
    _require_space(path.parent, source.left)
    digest = _write(path, source, source.left)
    if digest != sha256:
        raise AgentError(
            "hash-mismatch", "what came is not what was announced", expected=sha256, got=digest, hint="send it again"
        )


def _keep(layout: Layout, folder: Path, done: dict[str, Path]) -> None:
    if done:
        files.sync_filesystem(folder)
        for sha256, path in done.items():
            store.put(str(layout.store), path, sha256)
    files.sweep(folder)
    os.rmdir(folder)


def _exactly(reader: Reader, size: int) -> bytes:
    data = reader.read(size)
    if len(data) != size:
        raise AgentError("bad-payload", "the tar stream ends in the middle of a file", expected=size, got=len(data))
    return data


def _header(reader: Reader) -> tuple[str, int] | None:
    """Read one tar header: name and size, or None at the end of the archive."""
    block = reader.read(BLOCK)
    if not block or block == bytes(BLOCK):
        return None
    if len(block) < BLOCK:
        raise AgentError("bad-payload", "the tar stream ends in the middle of a header")
    try:
        checksum = int(block[148:156].rstrip(b"\0 ") or b"x", 8)
        size = int(block[124:136].rstrip(b"\0 ") or b"x", 8)
    except ValueError:
        raise AgentError("bad-payload", "the payload is not a tar stream") from None
    if checksum != sum(block[:148]) + 8 * 32 + sum(block[156:]) or size < 0:
        raise AgentError("bad-payload", "the payload is not a tar stream: wrong checksum of a header")
    name = block[:100].rstrip(b"\0").decode("latin-1")
    if block[156:157] not in (b"0", b"\0") or block[345:346] != b"\0" or not SHA256_PATTERN.match(name):
        raise AgentError(
            "bad-payload",
            f"the tar stream has a member {name[:80]!r} of type {block[156:157]!r}",
            expected="regular files named by their sha256 (ustar)",
        )
    return name, size


def _content(layout: Layout, reader: Reader, name: str, size: int, folder: Path) -> Path:
    _require_space(layout.store, size)
    path = folder / name
    digest = _write(path, reader, size)
    if digest != name:
        os.unlink(path)
        raise AgentError(
            "hash-mismatch", "a file of the payload is not what its name says", expected=name, got=digest,
            hint="the release tree on the operator's side changed since its manifest was made: build it again",
        )  # fmt: skip
    _exactly(reader, -size % BLOCK)
    return path


def _require_space(folder: Path, size: int) -> None:
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if size + RESERVE > free:
        raise AgentError(
            "disk-full",
            f"{folder}: a file of {size} bytes does not fit",
            expected=f"{size + RESERVE} bytes free",
            got=f"{free} bytes free",
            hint="free some space on that file system (`prune` removes old releases)",
        )


def _write(path: Path, reader: Reader, size: int) -> str:
    hashed = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        write: Callable[[bytes], int] = lambda data: os.write(descriptor, data)  # noqa: E731
        left = size
        while left:
            chunk = _exactly(reader, min(CHUNK, left))
            left -= len(chunk)
            hashed.update(chunk)
            view = chunk
            while view:
                view = view[write(view) :]
        os.fchmod(descriptor, store.PLAIN)
        os.utime(descriptor, ns=store.PINNED_NS)
    except BaseException:
        os.close(descriptor)
        os.unlink(path)
        raise
    os.close(descriptor)
    return hashed.hexdigest()
