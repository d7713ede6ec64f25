"""The release tree as one file, `<name>-<version>.release.tar.zst`: to keep, to carry by hand, to attach in CI.

zstd at level 6, by the library that the lock file fixes: measured on the reference release (87 MB) 19.6 MB in 0.9 s,
gzip -6 22.6 MB in 2.3 s, zstd -19 16.2 MB in 33 s. A compressor of the system would give other bytes on another
system; this one comes with its own libzstd. `tar --zstd -xf` unpacks it anywhere, times and modes included.
"""

import io
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from deploy.artifacts import manifest
from deploy.artifacts.built import ReleaseTree
from deploy.artifacts.cache import Cache, code_of, key
from deploy.artifacts.files import MTIME, digest
from deploy.artifacts.output import writing

SUFFIX = ".release.tar.zst"
LEVEL = 6
_KIND = "archives"


def build(release: ReleaseTree, out: Path, cache: Cache) -> Path:
    """Pack a release into `out`, unless it is there already."""
    made_of = key(release.digest, release.signature or "", code_of(Path(__file__)), _library())
    name = f"{release.path.name}{SUFFIX}"
    if (entry := cache.entry(_KIND, made_of)) is None:
        with cache.adding(_KIND, made_of) as folder:
            _pack(release, folder / name)
        entry = cache.root / _KIND / made_of
    target = out / name
    with writing(out):
        if not (target.is_file() and digest(target) == digest(entry / name)):
            aside = out / f".{name}"
            shutil.copyfile(entry / name, aside)
            aside.chmod(0o644)
            aside.rename(target)
    return target


def _library() -> str:
    import zstandard  # only who packs needs it

    return ".".join(map(str, zstandard.ZSTD_VERSION))


def _pack(release: ReleaseTree, target: Path) -> None:
    import zstandard

    # One thread: how a file is cut into jobs for several would be part of its bytes.
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    with (
        target.open("wb") as file,
        compressor.stream_writer(file, closefd=False) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as tar,
    ):
        for member, content in _members(release):
            tar.addfile(member, None if content is None else io.BytesIO(content))


def _members(release: ReleaseTree) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
    """Give everything in a release, folders before what is in them, owned by root and without a date of its own."""
    top, entries = release.path.name, {str(entry["path"]): entry for entry in release.manifest.data["files"]}
    beside = [name for name in (manifest.FILE, manifest.SIGNATURE) if (release.path / name).is_file()]
    entries |= {name: {"path": name, "mode": "0644"} for name in beside}
    folders = {path[:at] for path in entries for at, mark in enumerate(path) if mark == "/"}
    for path in ("", *sorted({*entries, *folders})):
        member = tarfile.TarInfo(f"{top}/{path}".rstrip("/"))
        member.mtime, member.mode, member.uname, member.gname = MTIME, 0o755, "root", "root"
        content = None
        if path == "" or path in folders:
            member.type = tarfile.DIRTYPE
        elif "link" in entries[path]:
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, entries[path]["link"], 0o777
        else:
            content = (release.path / path).read_bytes()
            member.size, member.mode = len(content), int(entries[path]["mode"], 8)
        yield member, content
