"""Compare two folders of artifacts: which file differs first, and what is different in it (diffoscope's idea)."""

import contextlib
import difflib
import hashlib
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_SHOWN = 12  # lines


@dataclass(frozen=True)
class Difference:
    """A file that is not the same in both, and in what."""

    path: str
    lines: tuple[str, ...]


def folders(one: Path, two: Path) -> Difference | None:
    """Find the first file that differs; those in folders first, for archives are made of them."""
    paths = sorted(_listed(one) | _listed(two), key=lambda path: (-path.count("/") if "/" in path else 1, path))
    return next((found for path in paths if (found := _file(path, one / path, two / path))), None)


def count(folder: Path) -> int:
    """Count the files of a folder."""
    return len(_listed(folder))


def _listed(root: Path) -> set[str]:
    return {os.path.relpath(Path(folder, name), root) for folder, _, names in os.walk(root) for name in names}


def _file(path: str, one: Path, two: Path) -> Difference | None:
    states = [_state(each) for each in (one, two)]
    if states[0] == states[1]:
        if states[0].startswith("link") or _digest(one) == _digest(two):
            return None
        return Difference(path, tuple(_inside(one, two)))
    return Difference(path, (f"first build: {states[0]}", f"second build: {states[1]}"))


def _state(path: Path) -> str:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return "no such file"
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return f"file of mode {stat.S_IMODE(status.st_mode):04o}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _inside(one: Path, two: Path) -> list[str]:
    """Say what differs: members of an archive, lines of a text, else the first byte."""
    for members in (_zip, _tar):
        with contextlib.suppress(zipfile.BadZipFile, tarfile.TarError, OSError, EOFError):
            return _members(dict(members(one)), dict(members(two)))
    return _content(one.read_bytes(), two.read_bytes())


def _members(one: dict[str, tuple[str, bytes]], two: dict[str, tuple[str, bytes]]) -> list[str]:
    for name in sorted(one.keys() | two.keys()):
        if name not in one or name not in two:
            return [f"{name}: only in the {'second' if name in two else 'first'} build"]
        if one[name][0] != two[name][0]:
            return [f"{name}: first build: {one[name][0]}", f"{name}: second build: {two[name][0]}"]
        if one[name][1] != two[name][1]:
            return [f"{name}:", *_content(one[name][1], two[name][1])]
    return ["the members come in another order" if list(one) != list(two) else "the members are packed differently"]


def _zip(path: Path) -> Iterator[tuple[str, tuple[str, bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            said = f"time {member.date_time}, attributes {member.external_attr:o}, system {member.create_system}"
            yield member.filename, (said, archive.read(member))


def _tar(path: Path) -> Iterator[tuple[str, tuple[str, bytes]]]:
    import zstandard

    with path.open("rb") as file:
        packed = file.read(4) == b"\x28\xb5\x2f\xfd"
        file.seek(0)
        stream: IO[bytes] = zstandard.ZstdDecompressor().stream_reader(file) if packed else file
        with tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                said = (
                    f"mode {member.mode:04o}, owner {member.uid}:{member.gid}, time {member.mtime}, {member.linkname}"
                )
                content = archive.extractfile(member) if member.isfile() else None
                yield member.name, (said, content.read() if content else b"")


def _content(one: bytes, two: bytes) -> list[str]:
    with contextlib.suppress(UnicodeDecodeError):
        texts = one.decode().splitlines(), two.decode().splitlines()
        diff = difflib.unified_diff(texts[0], texts[1], "first build", "second build", lineterm="", n=0)
        found = [line[:200] for line in diff]
        return found[:_SHOWN] or ["the line ends differ"]
    at = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    shown = [
        f"{name}: {len(data):,} bytes, at {at:,}: {data[at : at + 24].hex(' ')}"
        for name, data in (("first build", one), ("second build", two))
    ]
    return ["not text", *shown]
